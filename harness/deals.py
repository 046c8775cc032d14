"""RECORD: which runs of a store are shards of one dealt run, and what these lack to be whole."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from harness.database import Database
from harness.delta import Unfit, moment
from harness.documents import harmless
from harness.next_step import quoted
from harness.rows import RunInfo, run_of
from harness.schema import StoreError, runs_table
from harness.sharding import MOST_SHARDS, contradiction, lacking

MOST_NAMED = 3
HUGE = re.compile(r"\d{8}")
"""In the places of a deal: a stranger's, which nobody counts to its end."""


@dataclass(frozen=True, slots=True)
class Part:
    """The run of one shard."""

    number: int
    info: RunInfo

    @property
    def is_finished(self) -> bool:
        return self.info.finished_at is not None

    @property
    def age(self) -> datetime.datetime:
        return moment(self.info.started_at)


@dataclass(slots=True)
class Whole:
    """All runs of the shards of one deal at one commit; `deal` as the rows have it."""

    deal: Mapping[str, Any]
    text: str
    runs: list[Part] = field(default_factory=list)

    @property
    def run_id(self) -> str:
        first = self.runs[0].info
        content = json.dumps([self.deal, first.commit, first.dirty], sort_keys=True)
        return f"joined-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @property
    def parts(self) -> list[Part]:
        """One run of each shard that is there: the newest that is finished, else the newest."""
        best: dict[int, Part] = {}
        for one in sorted(self.runs, key=lambda one: (one.is_finished, one.age, one.info.run_id)):
            best[one.number] = one
        return [best[number] for number in sorted(best)]


def is_odd(whole: Whole, others: Sequence[Whole]) -> bool:
    """Whether most shards of the same tasks and commit were dealt otherwise: it is named with them."""

    def weight(one: Whole) -> tuple[int, datetime.datetime]:
        return len(one.parts), max(part.age for part in one.runs)

    rivals = [one for one in others if _kind(one) == _kind(whole)]
    return max(rivals, key=weight) is not whole


def _kind(whole: Whole) -> tuple[object, ...]:
    first = whole.runs[0].info
    return whole.deal["id"], whole.deal.get("pipeline"), first.commit, first.dirty


def _same_plan(one: Whole, other: Whole) -> bool:
    """Whether the same tasks were dealt in one run of a CI system, or outside of any."""
    return all(one.deal.get(name) == other.deal.get(name) for name in ("id", "pipeline"))


def wholes(database: Database) -> tuple[list[Whole], dict[str, str]]:
    """All deals of a store, by their text and commit, the oldest first; and why runs that say they are a shard are part
    of none, by run."""
    query = sa.select(runs_table).where(runs_table.c.deal.is_not(None), runs_table.c.shard.is_not(None))
    found: dict[tuple[object, ...], Whole] = {}
    odd: dict[str, str] = {}
    with database.reading() as connection:
        for row in connection.execute(query.order_by(runs_table.c.started_at, runs_table.c.run_id)):
            try:
                info = run_of(row._asdict())
                number = _number(info)
            except (StoreError, Unfit) as error:
                odd[str(row.run_id)] = str(error)
                continue
            key = json.dumps(info.deal, sort_keys=True), info.commit, info.dirty
            whole = found.setdefault(key, Whole(info.deal or {}, row.deal))
            whole.runs.append(Part(number, info))
    return list(found.values()), odd


def _number(info: RunInfo) -> int:
    """Which shard a run is, with its deal and its moments checked. Raises StoreError, Unfit."""
    for at in (info.started_at, info.finished_at):
        if at is not None:
            moment(at)
    deal = info.deal or {}
    number, _, of = (info.shard or "").partition("/")
    sound = (
        number.isdecimal()
        and of.isdecimal()
        and all(isinstance(deal.get(name), str) for name in ("id", "digest"))
        and all(type(deal.get(name)) is int for name in ("of", "check", "bench"))
        and isinstance(deal.get("parts"), list)
        and 1 <= int(number) <= int(of) == deal["of"] == len(deal["parts"]) <= MOST_SHARDS
    )
    if not sound:
        raise StoreError(f"it says that it is shard {harmless(str(info.shard))}, and its deal does not fit")
    return int(number)


def retried(whole: Whole, parts: Sequence[Part]) -> Iterator[str]:
    """Which run counts of each shard that was run several times."""
    taken = {part.info.run_id for part in parts}
    for part in parts:
        others = [one.info.run_id for one in whole.runs if one.number == part.number and one.info.run_id not in taken]
        if others:
            which = "the newest that is finished" if part.is_finished else "the newest"
            times = f"shard {part.number}/{whole.deal['of']} was run {len(others) + 1} times"
            yield f"{times}: run {part.info.run_id} counts, {which}, and not {', '.join(others[-MOST_NAMED:])}"


def problems(
    whole: Whole,
    parts: Sequence[Part],
    others: Sequence[Whole],
    doubled: Sequence[str],
    counts: Mapping[str, int],
) -> list[str]:
    """What is wrong with the joined run, each with what to do. `others` are deals that came along, `doubled` the tasks
    that two shards hold, though each was dealt to one, and `counts` the tasks that have a row, by phase."""
    deal, first = whole.deal, parts[0].info
    of, present = deal["of"], {part.number for part in parts}
    missing = [number for number in range(1, of + 1) if number not in present]
    found = []
    if missing:
        verb = "is missing" if len(missing) == 1 else "are missing"
        selectors = "".join(f" {quoted(one)}" for one in first.selectors)
        command = f"harness {first.command}{selectors} --shard {missing[0]}/{of}"
        job = "its job" if len(missing) == 1 else "their jobs"
        found.append(f"{_lacking(deal, present, missing)} {verb}: run {job} again, as {command}, and merge again")
    for part in parts:
        if not part.is_finished:
            command = f"harness {part.info.command} --resume --shard {part.number}/{of}"
            again = f"{command}, on machine {part.info.machine_id}, and merge again"
            found.append(f"shard {part.number}/{of} (run {part.info.run_id}) has not ended; this ends it: {again}")
    for other in others:
        if _same_plan(other, whole):
            found += _odd_ones(whole, other, missing)
    if doubled:
        those = ", ".join(harmless(one, 200) for one in doubled[:MOST_NAMED])
        what = f"{len(doubled)} tasks are" if len(doubled) > 1 else "a task is"
        found.append(f"{what} in two shards, though each was dealt to one: {those}; the first shard counts")
    if not missing and all(part.is_finished for part in parts):
        for phase, verb in (("check", "checked"), ("bench", "timed")):
            if counts[phase] < deal[phase]:
                less = deal[phase] - counts[phase]
                found.append(
                    f"{less} of {deal[phase]} tasks that were to be {verb} have no row in any shard: run them all again"
                )
    return found


def _lacking(deal: Mapping[str, Any], present: Collection[int], missing: Sequence[int]) -> str:
    try:
        places = "".join(text for part in deal["parts"] for text in part["checked"].values())
        said = "" if HUGE.search(places) else lacking(deal, present)
    except (KeyError, TypeError, ValueError, AttributeError):  # a deal of a stranger
        said = ""
    return said or ", ".join(f"shard {number}/{deal['of']}" for number in missing)


def _odd_ones(whole: Whole, other: Whole, missing: Collection[int]) -> list[str]:
    """Shards that are missing here, and there of another deal or commit."""
    mine, theirs = whole.runs[0].info, other.runs[0].info
    found = []
    for part in other.parts:
        if part.number not in missing:
            continue
        if (mine.commit, mine.dirty) != (theirs.commit, theirs.dirty):
            why = f"it is of {_commit(theirs)}, the others of {_commit(mine)}; run it again on that commit"
        else:
            why = contradiction([whole.deal, other.deal])
        found.append(f"shard {part.number}/{whole.deal['of']} (run {part.info.run_id}) does not fit: {why}")
    return found


def _commit(info: RunInfo) -> str:
    return f"commit {(info.commit or 'unknown')[:12]}{' with changes' if info.dirty else ''}"

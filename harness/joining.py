"""RECORD: the shards of a dealt run become one run of the store that holds them.

The joined run has an id of its own, which follows from the deal and the commit: whichever shards are joined first, and
however often, it is the same run. It has the rows of all shards, each as its machine measured it; the runs of the
shards stay as they are, and the histories pass over them. It is finished when all shards are there and finished.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from harness.database import Database
from harness.deals import MOST_NAMED, Part, Whole, is_odd, problems, retried, wholes
from harness.delta import moment
from harness.documents import harmless
from harness.record import WRONG
from harness.rows import Member, RunInfo, member_of, run_of
from harness.schema import StoreError, members_table, records_table, runs_table, samples_table
from harness.store import Store
from harness.transfer import RECORD_FIELDS, SAMPLE_FIELDS

SOURCE = re.compile(r"shard \d+/\d+: run (\S+) on machine ")
WRONGEST = 3
MOST_LEFT_OUT = 10_000
"""Rows that are named in one command: PostgreSQL takes 65,535 values in one, a file 250,000."""
TASK = ("operator", "backend", "implementation", "case")


class NothingToJoin(LookupError):
    """No run is a part of a dealt run; the message says what to type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A joined run: its shards, how many of their rows it has, what is wrong with it, and what else is to be known.
    `is_changed` says whether something of it was written now."""

    run_id: str
    command: str
    of: int
    parts: tuple[Part, ...]
    records: int
    samples: int
    is_changed: bool
    is_finished: bool
    exit_code: int | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        shards = [
            {"shard": f"{one.number}/{self.of}", "run_id": one.info.run_id, "machine_id": one.info.machine_id,
             "finished": one.is_finished, "exit_code": one.info.exit_code}
            for one in self.parts
        ]  # fmt: skip
        return {
            "run_id": self.run_id, "command": self.command, "of": self.of, "records": self.records,
            "samples": self.samples, "changed": self.is_changed, "finished": self.is_finished,
            "exit_code": self.exit_code, "problems": list(self.problems), "notes": list(self.notes), "shards": shards,
        }  # fmt: skip


@dataclass(slots=True)
class Rows:
    """Which records of the shards the joined run has: by run the numbers that are left out, and the tasks whose
    readings are. `doubled` are tasks that two shards hold, though each was dealt to one."""

    left_out: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    unread: dict[str, list[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(list))
    doubled: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    newest: str = ""
    is_wrong: bool = False
    has_run: bool = False
    has_time: bool = False

    def exit_code(self, command: str) -> int:
        """As harness.outcome has it of a run's records."""
        return 3 if self.is_wrong else 0 if self.has_run and (self.has_time or command != "bench") else 5


def join(store: Store, run_ids: Collection[str] | None = None) -> list[Joined]:
    """Join the deals that these runs are parts of (None: the newest deal), as far as their shards are in the store.

    Runs whose deal cannot be are passed over, and the last of the joined runs names them. Raises NothingToJoin;
    StoreError for rows that cannot be, where nothing else is to be joined.
    """
    found, odd = wholes(store.database)
    passed = {run_id: f"run {harmless(run_id)} is passed over: {why}" for run_id, why in odd.items()}
    asked = [words for run_id, words in passed.items() if run_ids is not None and run_id in run_ids]
    if run_ids is None:
        newest = max(found, key=lambda one: max(part.age for part in one.runs), default=None)
        chosen = [] if newest is None else [newest]
    else:
        chosen = [one for one in found if any(part.info.run_id in run_ids for part in one.runs)]
    if not chosen:
        if wrong := asked or (run_ids is None and list(passed.values())):
            raise StoreError("; ".join(wrong[:MOST_NAMED]))
        raise NothingToJoin("none of the runs is a shard of a dealt run; `harness bench --shard 1/4` makes one")
    main = [one for one in chosen if not is_odd(one, chosen)]
    done = [_join(store.database, one, [other for other in chosen if other is not one]) for one in main]
    others = [words for words in passed.values() if words not in asked]
    more = (f"{len(others) - MOST_NAMED} more shards are passed over",) if len(others) > MOST_NAMED else ()
    last = done.pop()
    notes = *last.notes, *others[:MOST_NAMED], *more
    return [*done, dataclasses.replace(last, problems=(*last.problems, *asked), notes=notes)]


def _join(database: Database, whole: Whole, others: Sequence[Whole]) -> Joined:
    parts, run_id = whole.parts, whole.run_id
    with database.claimed(run_id) as ours:
        if not ours:
            raise StoreError(f"another process joins run {run_id} at this moment; type the same again")
        with database.reading() as connection:
            rows = _rows(connection, parts, parts[0].info.command)
            known = connection.execute(sa.select(runs_table).where(runs_table.c.run_id == run_id)).first()
            elsewhere = _joined_elsewhere(connection, known)
            wrong = [] if elsewhere else problems(whole, parts, others, rows.doubled, rows.counts)
            values = _run_row(whole, parts, wrong, rows.exit_code(parts[0].info.command))
            is_known = known is not None and (bool(elsewhere) or _is_known(connection, known, values, parts, rows))
        if not is_known:
            with database.writing() as connection:
                _write(connection, run_id, values, parts, rows)
        with database.reading() as connection:
            records, samples = (_count(connection, table, run_id) for table in (records_table, samples_table))
            row = connection.execute(sa.select(runs_table).where(runs_table.c.run_id == run_id)).one()
    if elsewhere:
        wrong = [] if row.finished_at is not None else [f"run {run_id} is not whole; {elsewhere}"]
    return Joined(
        run_id=run_id,
        command=row.command,
        of=whole.deal["of"],
        parts=tuple(parts),
        records=records,
        samples=samples,
        is_changed=not is_known,
        is_finished=row.finished_at is not None,
        exit_code=row.exit_code,
        problems=tuple(wrong),
        notes=tuple(retried(whole, parts)) + ((elsewhere,) if elsewhere else ()),
    )


def _joined_elsewhere(connection: sa.Connection, known: Any) -> str:
    """A joined run that was copied here without the runs of its shards is left as it is: why, else an empty text."""
    if known is None:
        return ""
    sources = {found[1] for note in run_of(known._asdict()).notes if (found := SOURCE.match(note))}
    query = sa.select(runs_table.c.run_id).where(runs_table.c.run_id.in_(sources))
    absent = sorted(sources - set(connection.scalars(query)))
    if not absent:
        return ""
    return (
        f"it was joined in another store, of runs that are not here: {', '.join(absent[:MOST_NAMED])}; merge that store"
    )


def _rows(connection: sa.Connection, parts: Sequence[Part], command: str) -> Rows:
    """Which rows of the shards the joined run has. A conformance task that several shards needed is there once: as the
    worst that was found."""
    rows, dealt = Rows(counts={"check": 0, "bench": 0}), "bench" if command == "bench" else "check"
    names = ("number", "phase", *TASK, "status", "known", "started_at", "median_ns")
    taken: dict[tuple[str, ...], tuple[str, int, int]] = {}
    for part in parts:
        run_id = part.info.run_id
        query = sa.select(*(records_table.c[name] for name in names)).where(records_table.c.run_id == run_id)
        for number, *key, status, known, started_at, median_ns in connection.execute(
            query.order_by(records_table.c.number)
        ):
            rows.newest = max(rows.newest, started_at)
            rank = _rank(status, known)
            rows.is_wrong |= rank == WRONGEST
            rows.has_run |= status == "passed" or bool(known)
            rows.has_time |= key[0] == "bench" and median_ns is not None
            before = taken.get(tuple(key))
            if before is None:
                taken[tuple(key)] = run_id, number, rank
                rows.counts[key[0]] += key[1] != "declaration"
                continue
            if key[0] == dealt and key[1] != "declaration":
                rows.doubled.append("/".join(key[1:]))
                rows.unread[run_id].append(tuple(key[1:]))
            elif rank > before[2]:
                rows.left_out[before[0]].append(before[1])
                taken[tuple(key)] = run_id, number, rank
                continue
            rows.left_out[run_id].append(number)
    return rows


def _rank(status: str, known: str | None) -> int:
    """What is worse has more."""
    if status in WRONG:
        return 2 if known else WRONGEST
    return 1 if status == "passed" else 0


def _run_row(whole: Whole, parts: Sequence[Part], wrong: Sequence[str], exit_code: int) -> dict[str, Any]:
    """The row of the joined run."""
    infos, of = [part.info for part in parts], whole.deal["of"]
    first = infos[0]
    is_whole = len(parts) == of and all(part.is_finished for part in parts)
    sources = [f"shard {part.number}/{of}: run {part.info.run_id} on machine {part.info.machine_id}" for part in parts]
    notes = list(dict.fromkeys([*sources, *wrong, *(note for info in infos for note in info.notes)]))
    admission: dict[str, Any] = {}
    for info in reversed(infos):
        admission |= info.admission or {}
    ceiling, busy = _of_machine(infos, first.machine_id)
    return dataclasses.asdict(first) | {
        "run_id": whole.run_id,
        "started_at": min(parts, key=lambda part: part.age).info.started_at,
        "finished_at": max((info.finished_at or "" for info in infos), key=moment) if is_whole else None,
        "exit_code": exit_code if is_whole else None,
        "shard": None,
        "deal": whole.text,
        "selectors": json.dumps(first.selectors),
        "notes": json.dumps(notes),
        "admission": json.dumps(admission) if admission else None,
        "ceiling": json.dumps(ceiling) if ceiling else None,
        "used_by_others": busy,
    }


def _of_machine(infos: Sequence[RunInfo | Member], machine_id: str) -> tuple[dict[str, float], float | None]:
    """Copy rates that were measured on a machine, the first of each size; and the most that others used of it."""
    ceiling: dict[str, float] = {}
    for info in infos:
        if info.machine_id == machine_id:
            ceiling = {**(info.ceiling or {}), **ceiling}
    busy = [one.used_by_others for one in infos if one.machine_id == machine_id and one.used_by_others is not None]
    return ceiling, max(busy, default=None)


def _is_known(
    connection: sa.Connection, known: Any, values: Mapping[str, Any], parts: Sequence[Part], rows: Rows
) -> bool:
    """Whether the joined run is there already as it would be written."""
    run_id = values["run_id"]
    wanted = sum(_count(connection, records_table, part.info.run_id) for part in parts)
    left_out = sum(map(len, rows.left_out.values()))
    newest = connection.scalar(
        sa.select(sa.func.max(records_table.c.started_at)).where(records_table.c.run_id == run_id)
    )
    if known._asdict() != values or _count(connection, records_table, run_id) != wanted - left_out:
        return False
    readings = sum(_count(connection, samples_table, part.info.run_id) for part in parts)
    same = _count(connection, samples_table, run_id) == readings or bool(rows.unread)
    return same and (newest or "") <= rows.newest


def _count(connection: sa.Connection, table: sa.Table, run_id: str) -> int:
    query = sa.select(sa.func.count()).select_from(table).where(table.c.run_id == run_id)
    return connection.scalar(query) or 0


def _write(
    connection: sa.Connection, run_id: str, values: Mapping[str, Any], parts: Sequence[Part], rows: Rows
) -> None:
    """The joined run anew, from the rows of its shards; within the database, whatever their number."""
    for table in (records_table, samples_table, members_table, runs_table):
        connection.execute(table.delete().where(table.c.run_id == run_id))
    connection.execute(runs_table.insert(), dict(values))
    infos = [part.info for part in parts]
    query = members_table.select().where(members_table.c.run_id.in_([info.run_id for info in infos]))
    members = [member_of(row._asdict()) for row in connection.execute(query.order_by(members_table.c.run_id))]
    several: list[RunInfo | Member] = [*infos, *members]
    machines = sorted({one.machine_id for one in several})
    for machine_id in machines if len(machines) > 1 else ():
        ceiling, busy = _of_machine(several, machine_id)
        member = {"run_id": run_id, "machine_id": machine_id, "used_by_others": busy}
        connection.execute(members_table.insert(), {**member, "ceiling": json.dumps(ceiling) if ceiling else None})
    for info in infos:
        _take(connection, records_table, ("phase", *RECORD_FIELDS), info.run_id, run_id, rows.left_out[info.run_id])
        mark = connection.scalar(sa.select(sa.func.max(samples_table.c.number))) or 0
        _take(connection, samples_table, ("run_id", *SAMPLE_FIELDS), info.run_id, run_id, ())
        if rows.unread[info.run_id]:
            same = [samples_table.c[name] == sa.bindparam(f"b_{name}") for name in TASK]
            ours = samples_table.c.run_id == run_id, samples_table.c.number > mark
            names = [f"b_{name}" for name in TASK]
            gone = [dict(zip(names, task, strict=True)) for task in rows.unread[info.run_id]]
            connection.execute(samples_table.delete().where(*ours, *same), gone)


def _take(
    connection: sa.Connection,
    table: sa.Table,
    names: Sequence[str],
    source: str,
    run_id: str,
    left_out: Sequence[int],
) -> None:
    columns = [sa.literal(run_id).label("run_id") if name == "run_id" else table.c[name] for name in names]
    wanted = sa.select(*columns).where(table.c.run_id == source).order_by(table.c.number)
    ordered = sorted(left_out)
    for start in range(0, max(1, len(ordered)), MOST_LEFT_OUT):  # the rows up to the last number of each batch
        batch, is_last = ordered[start : start + MOST_LEFT_OUT], start + MOST_LEFT_OUT >= len(ordered)
        some = wanted.where(table.c.number.not_in(batch)) if batch else wanted
        some = some if start == 0 else some.where(table.c.number > ordered[start - 1])
        some = some if is_last else some.where(table.c.number <= batch[-1])
        connection.execute(table.insert().from_select(list(names), some))

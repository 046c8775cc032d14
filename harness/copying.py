"""RECORD: runs of one store into another, without doubles: from a file to a server, back, or between two of a kind.

The store that is copied from may be anybody's: it is opened as strangers' stores are, and each row is checked on the
way. A run that cannot be copied is named, and the others are copied.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from harness import location
from harness.database import Database, StoreLost
from harness.delta import Unfit, fitting, moment, rows_of, texts
from harness.documents import harmless, shown, shown_path
from harness.record import Noise
from harness.rows import row_of
from harness.schema import StoreError, machines_table, members_table, noise_table, records_table, runs_table
from harness.schema import samples_table as samples
from harness.store import Store
from harness.strangers import opened_to_read
from harness.transfer import carry, carry_machine

NEW, GROWN, KNOWN, REFUSED = "new", "grown", "known", "refused"
NOISE_FIELDS = tuple(field.name for field in dataclasses.fields(Noise))
NOISE_KEY = ("machine_id", "operator", "backend", "implementation", "case", "clock", "measured_at")
MOST_NAMED = 5
IN_MEMORY = (":memory:", "sqlite://", "sqlite:///:memory:")

Progress = Callable[[str, int, int], None]


class NothingToCopy(LookupError):
    """No run is what was asked for; the message says what there is."""


class CopyEnded(Exception):
    """A database was lost in between; the message says which, and what to type."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs: those whose ids begin so, those from a moment on, those of machines whose ids begin so; all that hold
    at once. Without any, all."""

    runs: Sequence[str] = ()
    since: datetime.datetime | None = None
    machine: str | None = None

    @property
    def is_all(self) -> bool:
        return not self.runs and self.since is None and self.machine is None


@dataclass(frozen=True, slots=True)
class Listed:
    """A run as the store that is copied from lists it; nothing of it is checked yet."""

    run_id: str
    started_at: str
    command: str
    machine_id: str
    machines: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was done with one run. `outcome` is new, grown (it was there, and got more), known or refused; `records` and
    `samples` count what was written. `reason` says why it was refused, or what is to be known of it. Without a `run_id`
    it is what is known of a machine that was refused."""

    run_id: str
    started_at: str
    command: str
    machine_id: str
    outcome: str
    records: int = 0
    samples: int = 0
    is_finished: bool = True
    reason: str = ""

    def as_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@contextlib.contextmanager
def opened_pair(source: str, target: str) -> Iterator[tuple[Store, Store]]:
    """Both stores of a copy, by file or URL; the one that is copied from is opened to be read, and is there already.
    Raises StoreError."""
    require_other(source, target)
    with contextlib.ExitStack() as stack:
        try:
            first = stack.enter_context(opened_to_read(source))
        except StoreError as error:
            raise StoreError(str(error).removeprefix("--store ")) from None
        second = wrong = None
        try:
            second = stack.enter_context(Store.open(target))
            if _is_one_database(first.database, second.database):
                wrong = f"{shown_store(source)} and {shown_store(target)} are one store; name two"
        except StoreError as error:
            wrong = str(error).removeprefix("--store ")
        if second is not None and wrong is None:
            yield first, second
    if wrong is not None:  # not before: else the store that is copied from would be named for it
        raise StoreError(wrong)


def require_other(source: str, target: str) -> None:
    """Raises StoreError where there is no store to copy from, or where it is the one that is copied to."""
    here, there = file_of(source), file_of(target)
    if target in IN_MEMORY:
        raise StoreError(f"{target}: a store in memory ends with this command; name a file, or the URL of a server")
    require_file(source)
    if here is None or there is None:
        return
    if here.absolute() == there.absolute() or (there.exists() and os.path.samefile(here, there)):
        raise StoreError(f"{shown_store(source)} and {shown_store(target)} are one store; name two")


def require_file(given: str) -> None:
    """Raises StoreError where a store is to be read that is not there."""
    path = file_of(given)
    if path is not None and not path.is_file():
        what = "is no file" if path.exists() else "no such file"
        raise StoreError(f"{shown_path(path)}: {what} (looked in {Path.cwd()}); name the store that holds the runs")


def file_of(given: str) -> Path | None:
    """The file of a store of SQLite, by path or URL; None for all else."""
    if "://" not in given:
        return None if given.startswith((":memory:", "file:")) else Path(given)
    try:
        url = sa.make_url(given)
    except sa.exc.ArgumentError:
        return None
    plain = url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":memory:", "file:"))
    return Path(str(url.database)) if plain else None


def shown_store(given: str) -> str:
    """A store as it was typed, without its password, harmless on a terminal."""
    return harmless(location.shown(given), 4096)


def _is_one_database(first: Database, second: Database) -> bool:
    """Whether two servers' databases are the same, however they are called: what one locks is locked in the other."""
    if not first.engine.dialect.name == second.engine.dialect.name == "postgresql":
        return False
    number = secrets.randbits(62)
    place = sa.text("SELECT current_database() || '.' || current_schema()")
    with first.reading() as one, second.reading() as other:
        if one.scalar(place) != other.scalar(place):
            return False
        one.scalar(sa.select(sa.func.pg_advisory_xact_lock(number)))
        return not other.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(number)))


def copy_runs(source: Store, target: Store, wanted: Wanted, progress: Progress) -> list[Copied]:
    """Copy what is wanted, the oldest run first, and what is known of its machines. Raises NothingToCopy; StoreError
    for rows that nothing can be said of; CopyEnded where a database is lost."""
    try:
        return _copy_runs(source, target, wanted, progress)
    except StoreLost as lost:  # else the store that is copied from would be named for it
        raise CopyEnded(f"{lost}; what was copied until here is stored: the same command goes on") from None


def _copy_runs(source: Store, target: Store, wanted: Wanted, progress: Progress) -> list[Copied]:
    chosen = list(_chosen(_listed(source.database), wanted))
    total, done = _rows_in(source.database, None if wanted.is_all else [one.run_id for one in chosen]), 0
    found = []
    for listed in chosen:
        before = done

        def say(rows: int, name: str = listed.run_id) -> None:
            nonlocal done
            done = min(done + rows, total)
            progress(f"copying run {harmless(name)}", done, total)

        say(0)
        found.append(_copy_run(source.database, target.database, listed, say))
        done = min(total, max(done, before + _rows_in(source.database, [listed.run_id])))
    machines = None if wanted.is_all else {machine for listed in chosen for machine in listed.machines}
    return found + copy_machines(source.database, target.database, machines)


def _copy_run(source: Database, target: Database, listed: Listed, say: Callable[[int], None]) -> Copied:
    about = functools.partial(
        Copied,
        run_id=listed.run_id,
        started_at=listed.started_at,
        command=listed.command,
        machine_id=listed.machine_id,
    )
    try:
        carried = carry(source, target, listed.run_id, say)
    except Unfit as unfit:
        return about(outcome=REFUSED, reason=str(unfit))
    outcome = NEW if carried.is_new else GROWN if carried.is_changed else KNOWN
    reason = "" if carried.same_as is None else f"the same import is there as run {carried.same_as}"
    is_finished = carried.info.finished_at is not None
    return about(
        outcome=outcome,
        records=carried.records,
        samples=carried.samples,
        is_finished=is_finished,
        reason=reason or ("" if is_finished else "it was not finished: copy it again when it is"),
    )


def _rows_in(database: Database, run_ids: Sequence[str] | None) -> int:
    """How many records and readings a store holds, in all or of some runs."""
    with database.reading() as connection:
        total = 0
        for table in (records_table, samples):
            count = sa.select(sa.func.count()).select_from(table)
            for one in [None] if run_ids is None else run_ids:
                total += connection.scalar(count if one is None else count.where(table.c.run_id == one)) or 0
        return total


def _listed(database: Database) -> list[Listed]:
    """All runs of a store, the oldest first. Raises StoreError for a row that nothing can be said of."""
    names = ("run_id", "started_at", "command", "machine_id")
    query = sa.select(*(runs_table.c[name] for name in names))
    with database.reading() as connection, _as_store_error():
        rows = list(rows_of(connection, query.order_by(runs_table.c.started_at, runs_table.c.run_id)))
        members: dict[str, set[str]] = {}
        for one in rows_of(connection, sa.select(members_table.c.run_id, members_table.c.machine_id)):
            members.setdefault(one.run_id, set()).add(one.machine_id)
    for row in rows:
        for name, value in row._asdict().items():
            if not isinstance(value, str):
                raise StoreError(f"the store's table runs, column {name}: {shown(value)} is not text")
    return [
        Listed(
            run_id=row.run_id,
            started_at=row.started_at,
            command=row.command,
            machine_id=row.machine_id,
            machines=frozenset({row.machine_id, *members.get(row.run_id, ())}),
        )
        for row in rows
    ]


def _chosen(listed: Sequence[Listed], wanted: Wanted) -> Iterator[Listed]:
    if not listed:
        raise NothingToCopy("it holds no run")
    ids = {one.run_id for one in listed} if not wanted.runs else {_by_id(listed, given) for given in wanted.runs}
    machine = None if wanted.machine is None else _by_machine(listed, wanted.machine)
    found = [
        one
        for one in listed
        if one.run_id in ids
        and (wanted.since is None or _moment(one) >= wanted.since)
        and (machine is None or machine in one.machines)
    ]
    if not found:
        newest = listed[-1]
        what = f"{newest.run_id}, of {newest.started_at[:10]}, on machine {newest.machine_id}"
        raise NothingToCopy(
            f"none of its {len(listed)} runs is all that was asked for; the newest is {harmless(what, 300)}"
        )
    yield from found


def _by_id(listed: Sequence[Listed], given: str) -> str:
    if given == "latest":
        return listed[-1].run_id
    found = [one.run_id for one in listed if one.run_id.startswith(given)]
    found = [one for one in found if one == given] or found
    if len(found) != 1:
        what = "is the beginning of several of its runs" if found else "is none of its runs"
        newest = ", ".join((found or [one.run_id for one in listed])[-MOST_NAMED:])
        raise NothingToCopy(f"--runs {harmless(given)}: {what}; the newest are: {harmless(newest, 300)}")
    return found[0]


def _by_machine(listed: Sequence[Listed], given: str) -> str:
    known = sorted({machine for one in listed for machine in one.machines})
    found = [one for one in known if one.startswith(given)]
    found = [one for one in found if one == given] or found
    if len(found) != 1:
        what = "is the beginning of several of its machines" if found else "is none of its machines"
        those = ", ".join((found or known)[:MOST_NAMED])
        raise NothingToCopy(f"--machine {harmless(given)}: {what}; those are: {harmless(those, 300)}")
    return found[0]


def _moment(listed: Listed) -> datetime.datetime:
    """When a run began; what says nothing of it is wanted, and then refused by its name."""
    try:
        return moment(listed.started_at)
    except Unfit:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)


@contextlib.contextmanager
def _as_store_error() -> Iterator[None]:
    try:
        yield
    except Unfit as unfit:
        raise StoreError(str(unfit)) from None


# ---- what belongs to machines


def copy_machines(source: Database, target: Database, machine_ids: Collection[str] | None) -> list[Copied]:
    """What is known of machines (None: of all), and what A/A comparisons showed on them. Returns those that were
    refused, since rows of theirs cannot be. Raises StoreError where nothing can be said of any."""
    with source.reading() as reader, _as_store_error():
        if machine_ids is None:
            described = {row[0] for row in rows_of(reader, sa.select(machines_table.c.machine_id))}
            noisy = {row[0] for row in rows_of(reader, sa.select(noise_table.c.machine_id).distinct())}
            machine_ids = {one for one in described | noisy if isinstance(one, str)}
        refused = []
        for machine_id in sorted(machine_ids):
            try:
                with target.writing() as writer:
                    carry_machine(reader, writer, machine_id)
                    _carry_noise(reader, writer, machine_id)
            except Unfit as unfit:
                about = Copied(run_id="", started_at="", command="", machine_id=machine_id, outcome=REFUSED)
                refused.append(dataclasses.replace(about, reason=f"what is known of it cannot be: {unfit}"))
        return refused


def _carry_noise(reader: sa.Connection, writer: sa.Connection, machine_id: str) -> None:
    query = sa.select(*(noise_table.c[name] for name in NOISE_FIELDS)).where(noise_table.c.machine_id == machine_id)
    query = query.order_by(noise_table.c.number)
    with fitting():
        found = [row_of(Noise, row._asdict(), "noise") for row in rows_of(reader, query)]
    if not found:
        return
    if writer.dialect.name == "postgresql":  # else two copies at once would both write them
        writer.execute(
            sa.select(machines_table.c.machine_id).where(machines_table.c.machine_id == machine_id).with_for_update()
        )
    known = {
        tuple(row)
        for row in writer.execute(
            sa.select(*(noise_table.c[name] for name in NOISE_KEY)).where(noise_table.c.machine_id == machine_id)
        )
    }
    new = [one for one in found if tuple(getattr(one, name) for name in NOISE_KEY) not in known]
    if new:
        rows = [dict(zip(NOISE_FIELDS, texts(dataclasses.astuple(one)), strict=True)) for one in new]
        writer.execute(noise_table.insert(), rows)

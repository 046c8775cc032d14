"""RECORD: what is read of a store. Every value is checked as it is read, since a file of SQLite may be anybody's."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Collection, Sequence
from typing import Any

import sqlalchemy as sa

from harness.database import Database
from harness.likeness import continued
from harness.record import TIMED, ImportedFrom, Noise, Record, Sample
from harness.rows import Median, Member, RunInfo, check_row, check_rows, member_of, row_of, run_of, table_of, texts_of
from harness.schema import (
    IS_TIMING,
    imports_table,
    machines_table,
    members_table,
    noise_table,
    records_table,
    runs_table,
    samples_table,
)

KEY = ("operator", "backend", "implementation", "case")
RECORD_FIELDS = tuple(field.name for field in dataclasses.fields(Record))
SAMPLE_FIELDS = tuple(field.name for field in dataclasses.fields(Sample))
SERIES_FIELDS = (
    "run_id", "started_at", "commit", "dirty", "machine_id", "device", "status", "reason",
    "samples", "median_ns", "ci_low_ns", "ci_high_ns", "cpu_median_ns",
)  # fmt: skip
TASKS_AT_ONCE = 200
"""Tasks that one query asks for."""
_TASK = [records_table.c[name] for name in KEY]
_NEWEST_FIRST = runs_table.c.started_at.desc(), runs_table.c.run_id.desc()


def _parts() -> sa.Select[Any]:
    """The runs that were joined into a whole one, which holds their rows too: who counts both counts twice. Of a shard
    that was run several times also the runs that do not count: those before the one that does, and those without an
    end."""
    part, whole, counted = runs_table.alias("part"), runs_table.alias("whole"), runs_table.alias("counted")
    named = sa.literal(": run ") + counted.c.run_id + sa.literal(" on machine ")  # as harness.joining writes it
    return (
        sa.select(part.c.run_id)
        .join(whole, whole.c.deal == part.c.deal)
        .join(counted, sa.and_(counted.c.deal == whole.c.deal, counted.c.shard == part.c.shard))
        .where(
            part.c.shard.is_not(None),
            whole.c.shard.is_(None),
            sa.func.coalesce(part.c.commit, "") == sa.func.coalesce(whole.c.commit, ""),
            part.c.dirty.is_not_distinct_from(whole.c.dirty),
            sa.func.replace(whole.c.notes, named, "") != whole.c.notes,
            sa.or_(part.c.started_at <= counted.c.started_at, part.c.finished_at.is_(None)),
        )
    )


def _has_times(machines: Collection[str] | None = None) -> sa.ColumnElement[bool]:
    """Whether a run holds a time, of one of these machines."""
    timed = [records_table.c.run_id == runs_table.c.run_id, IS_TIMING, records_table.c.median_ns.is_not(None)]
    if machines is not None:
        timed.append(records_table.c.machine_id.in_(machines))
    return sa.exists().where(*timed)


class UnknownRun(LookupError):
    """A run that the store does not hold; the message names those that it does."""


class Queries:
    """A store as far as it is read. All methods raise StoreError for a row that cannot be, and
    harness.database.StoreLost where the database is lost."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def runs(self) -> list[RunInfo]:
        """All runs, the newest first."""
        return self._runs(runs_table.select().order_by(*_NEWEST_FIRST))

    def run(self, run_id: str | None) -> RunInfo:
        """A run by its id or the beginning of one; None or 'latest' is the newest that is no part of another. Raises
        UnknownRun."""
        if run_id in (None, "latest"):
            whole = runs_table.select().where(runs_table.c.run_id.not_in(_parts()))
            newest = self._runs(whole.order_by(*_NEWEST_FIRST).limit(1))
            if newest:
                return newest[0]
            raise UnknownRun("the store holds no run yet; type `harness bench` or `harness check` first")
        if exact := self._runs(runs_table.select().where(runs_table.c.run_id == run_id)):
            return exact[0]
        known = self._run_ids()
        found = [one for one in known if one.startswith(str(run_id))]
        if len(found) == 1:
            return self.run(found[0])
        if not known:
            return self.run(None)
        what = "is the beginning of several runs" if found else "is no run of this store"
        raise UnknownRun(f"{run_id!r} {what}; the newest are: {', '.join((found or known)[:5])}")

    def newest_timed(self) -> RunInfo | None:
        """The newest run that holds a time."""
        query = runs_table.select().where(_has_times(), runs_table.c.run_id.not_in(_parts()))
        return next(iter(self._runs(query.order_by(*_NEWEST_FIRST).limit(1))), None)

    def unfinished(self, command: str) -> RunInfo:
        """The newest run of a command that was interrupted. Raises UnknownRun if there is none."""
        for info in self.all_unfinished(command):
            return info
        raise UnknownRun(f"no run of `harness {command}` was interrupted: there is nothing to resume")

    def all_unfinished(self, command: str) -> list[RunInfo]:
        """The runs of a command that were interrupted or still go on, the newest first."""
        is_open = runs_table.c.command == command, runs_table.c.finished_at.is_(None)
        return self._runs(runs_table.select().where(*is_open).order_by(*_NEWEST_FIRST))

    def goes_on(self, run_id: str) -> bool:
        """Whether a process is writing a run now. One that has no end and does not go on was interrupted."""
        return self.database.goes_on(run_id)

    def unfinished_words(self, info: RunInfo) -> str | None:
        """What is to be said of a run without an end; None of all others."""
        if info.finished_at is not None:
            return None
        if self.goes_on(info.run_id):
            return f"run {info.run_id} still goes on; what it lacks may come yet"
        return f"run {info.run_id} was interrupted; what it lacks is not missing for good"

    def records(self, run_id: str, phase: str | None = None) -> list[Record]:
        """The records of a run in the order in which they were made."""
        query = sa.select(*(records_table.c[name] for name in RECORD_FIELDS)).where(records_table.c.run_id == run_id)
        if phase is not None:
            query = query.where(records_table.c.phase == phase)
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(records_table.c.number)).all()
        return [row_of(Record, row._asdict(), "records") for row in found]

    def done(self, run_id: str, phase: str) -> set[tuple[str, str, str, str]]:
        """The (operator, backend, implementation, case) that have a record."""
        query = sa.select(*_TASK).where(records_table.c.run_id == run_id, records_table.c.phase == phase)
        with self.database.reading() as connection:
            return {(row[0], row[1], row[2], row[3]) for row in connection.execute(query)}

    def durations(self, run_id: str) -> list[dict[str, Any]]:
        """What the rows of a run took, in the order in which they were made; those are left out of which it is not
        known. The keys are `phase` and some of the record's."""
        names = (*KEY, "status", "seed", "machine_id", "duration_s")
        columns = [records_table.c.phase, *(records_table.c[name] for name in names)]
        known = records_table.c.run_id == run_id, records_table.c.duration_s.is_not(None)
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(*columns).where(*known).order_by(records_table.c.number))
            return [check_row(Record, row._asdict(), "records") for row in rows]

    def samples(self, run_id: str) -> list[Sample]:
        """All raw readings of a run."""
        query = sa.select(*(samples_table.c[name] for name in SAMPLE_FIELDS)).where(samples_table.c.run_id == run_id)
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(samples_table.c.number)).all()
        return [row_of(Sample, row._asdict(), "samples") for row in found]

    def series(
        self,
        selects: Callable[[str], bool],
        machine_id: str | Collection[str] | None = None,
        *,
        commit: str | None = None,
        until: RunInfo | None = None,
        last: int | None = None,
    ) -> list[dict[str, Any]]:
        """What all runs hold of the times of the tasks whose ids are selected, on one machine, on several or on all, by
        time. With `commit` only runs of exactly that commit; with `until` that run and those before it; with `last` the
        newest so many runs that have times there.

        The keys are those of the record that a history is made of; a task without a time is there with its reason.
        """
        wanted = [IS_TIMING, records_table.c.run_id.not_in(_parts())]
        machines = None if machine_id is None else [machine_id] if isinstance(machine_id, str) else sorted(machine_id)
        if machines is not None:
            wanted.append(records_table.c.machine_id.in_(machines))
        if runs := _some_runs(machines, commit, until, last):
            wanted.append(records_table.c.run_id.in_(sa.select(runs[0].subquery().c.run_id)))
        names = (*KEY, *SERIES_FIELDS)
        query = sa.select(*(records_table.c[name] for name in names))
        ordered = query.where(*wanted).order_by(records_table.c.started_at, records_table.c.number)
        found: list[tuple[Any, ...]] = []
        with self.database.reading() as connection:
            tasks = [tuple(row) for row in connection.execute(sa.select(*_TASK).where(*wanted).distinct())]
            check_rows(Record, KEY, tasks, "records")
            chosen = sorted(one for one in tasks if selects("/".join(one)))
            for start in range(0, len(chosen), TASKS_AT_ONCE):
                some = ordered.select_from(_among(chosen[start : start + TASKS_AT_ONCE]))
                found += [tuple(row) for row in connection.execute(some)]
        check_rows(Record, names, found, "records")
        found.sort(key=operator.itemgetter(names.index("started_at")))  # those of one task are in order already
        return [dict(zip(names, row, strict=True)) for row in found]

    def medians(
        self, last: int = 50, selects: Callable[[str], bool] = lambda task: True, machine_id: str | None = None
    ) -> list[Median]:
        """The median time of each selected task over the newest `last` runs with a time on a machine, by task. Without
        `machine_id` it is that of the newest run. An id of before the rule of ids changed means the same machine, whose
        times are under both. What was imported has a row of its own: it is never set beside what was judged here."""
        if machine_id is None:
            newest = self.newest_timed()
            if newest is None:
                return []
            machine_id = self._machine_of_times(newest.run_id)
        newer = continued(self.machines())
        machine_id = newer.get(machine_id, machine_id)
        machines = [machine_id, *(older for older, name in newer.items() if name == machine_id)]
        with self.database.reading() as connection:
            found = connection.execute(_medians(connection.dialect.name, last, machines)).all()
        rows = [check_row(Median, {"machine_id": machine_id, **row._asdict()}, "records") for row in found]
        ordered = sorted(rows, key=lambda row: [row[name] for name in (*KEY, "status")])
        return [Median(**row) for row in ordered if selects("/".join(row[name] for name in KEY))]

    def imported_from(self, run_id: str) -> ImportedFrom | None:
        """What a run was imported from; None for one of our own."""
        query = sa.select(imports_table.c.format, imports_table.c.files).where(imports_table.c.run_id == run_id)
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        return ImportedFrom(str(row[0]), texts_of(row[1], "imports.files")) if row else None

    def machine(self, machine_id: str) -> dict[str, Any]:
        """The description of a machine; empty if it is unknown."""
        query = sa.select(machines_table.c.description).where(machines_table.c.machine_id == machine_id)
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        return table_of(row[0], "machines.description") or {} if row else {}

    def machines(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The id, the moment of its first run, and the description of each machine, the oldest first."""
        query = machines_table.select().order_by(machines_table.c.first_seen, machines_table.c.machine_id)
        with self.database.reading() as connection:
            found = connection.execute(query).all()
        return [
            (str(row.machine_id), str(row.first_seen), table_of(row.description, "machines.description") or {})
            for row in found
        ]

    def members(self, run_id: str) -> dict[str, Member]:
        """The machines of a run that had several, by id; empty for all others."""
        return {one.machine_id: one for one in self._members(members_table.c.run_id == run_id)}

    def all_members(self) -> list[Member]:
        """The machines of all runs that had several."""
        return self._members()

    def joined_parts(self) -> set[str]:
        """The runs that were joined into a whole one: it has their rows and their readings of the machine too."""
        with self.database.reading() as connection:
            return {str(one) for one in connection.scalars(_parts())}

    def rows_by_machine(self) -> dict[str, int]:
        """How many records there are of each machine; those of a joined run once."""
        query = sa.select(records_table.c.machine_id, sa.func.count()).group_by(records_table.c.machine_id)
        query = query.where(records_table.c.run_id.not_in(_parts()))
        with self.database.reading() as connection:
            return {str(row[0]): int(row[1]) for row in connection.execute(query)}

    def noise(self, machine_id: str) -> list[Noise]:
        """What A/A comparisons on a machine showed, the newest of each task and clock."""
        fields = [noise_table.c[field.name] for field in dataclasses.fields(Noise)]
        query = sa.select(*fields).where(noise_table.c.machine_id == machine_id)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(noise_table.c.measured_at, noise_table.c.number)).all()
        found = [row_of(Noise, row._asdict(), "noise") for row in rows]
        newest = {(one.operator, one.backend, one.implementation, one.case, one.clock): one for one in found}
        return list(newest.values())

    def _runs(self, query: sa.Select[Any]) -> list[RunInfo]:
        with self.database.reading() as connection:
            return [run_of(row._asdict()) for row in connection.execute(query)]

    def _run_ids(self) -> list[str]:
        """The newest first."""
        with self.database.reading() as connection:
            return [str(one) for one in connection.scalars(sa.select(runs_table.c.run_id).order_by(*_NEWEST_FIRST))]

    def _members(self, *wanted: sa.ColumnElement[bool]) -> list[Member]:
        query = members_table.select().where(*wanted).order_by(members_table.c.run_id, members_table.c.machine_id)
        with self.database.reading() as connection:
            return [member_of(row._asdict()) for row in connection.execute(query)]

    def _machine_of_times(self, run_id: str) -> str:
        """The machine of a run's times; of one of them where it had several."""
        timed = records_table.c.run_id == run_id, IS_TIMING, records_table.c.median_ns.is_not(None)
        with self.database.reading() as connection:
            return str(connection.scalar(sa.select(records_table.c.machine_id).where(*timed).limit(1)))


def _medians(dialect: str, last: int, machines: Collection[str]) -> sa.Select[Any]:
    """One query; the median, and how runs are told to be among some, are each database's own."""
    runs = sa.select(runs_table.c.run_id).where(_has_times(machines), runs_table.c.run_id.not_in(_parts()))
    time_ns = records_table.c.median_ns
    newest = runs.order_by(*_NEWEST_FIRST).limit(last)
    if dialect == "postgresql":
        median: sa.ColumnElement[Any] = sa.func.percentile_cont(0.5).within_group(time_ns)
        # an array is made first, and its runs are looked up; a list of them is a join, for which all rows are read
        is_new: sa.ColumnElement[bool] = records_table.c.run_id == sa.any_(sa.func.array(newest.scalar_subquery()))
    else:
        median = sa.func.harness_median(time_ns)
        is_new = records_table.c.run_id.in_(newest)
    group = [*_TASK, records_table.c.status]
    return (
        sa.select(
            *group,
            sa.func.count().label("runs"),
            median.label("median_ns"),
            sa.func.min(time_ns).label("least_ns"),
            sa.func.max(time_ns).label("most_ns"),
        )
        .where(
            IS_TIMING,
            records_table.c.machine_id.in_(machines),
            records_table.c.status.in_(TIMED),
            time_ns.is_not(None),
            is_new,
        )
        .group_by(*group)
    )


def _among(tasks: Sequence[tuple[Any, ...]]) -> sa.Join:
    """The records of these tasks. A join has both databases look each task up; for a list of them SQLite reads all."""
    chosen = sa.values(*(sa.column(name, sa.Text) for name in KEY), name="chosen").data(tasks).cte()
    return chosen.join(records_table, sa.and_(*(records_table.c[name] == chosen.c[name] for name in KEY)))


def _some_runs(
    machines: Collection[str] | None, commit: str | None, until: RunInfo | None, last: int | None
) -> list[sa.Select[Any]]:
    """The runs that a series is of, unless it is all of them."""
    query = sa.select(runs_table.c.run_id)
    if commit is not None:
        query = query.where(runs_table.c.commit == commit, runs_table.c.dirty.is_(False))
    if until is not None:
        moment = runs_table.c.started_at
        same = sa.and_(moment == until.started_at, runs_table.c.run_id <= until.run_id)
        query = query.where(sa.or_(moment < until.started_at, same))
    if last is not None:
        query = query.where(_has_times(machines)).order_by(*_NEWEST_FIRST).limit(last)
    return [] if commit is None and until is None and last is None else [query]

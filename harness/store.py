"""RECORD: results that are only ever added to. An embedded SQLite file by default, any SQLAlchemy URL for a team."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from harness.record import Noise, Record, Sample
from harness.schema import (
    StoreError,
    check_version,
    configure_sqlite,
    machines_table,
    metadata,
    noise_table,
    records_table,
    runs_table,
    samples_table,
)

DEFAULT = "sqlite:///.harness/results.sqlite"


class UnknownRun(LookupError):
    """A run that the store does not hold; the message names those that it does."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run: what was asked for, on which machine, and how it ended (`finished_at` is None while it has not).

    `admission` holds mutation scores by operator, `ceiling` copy rates in GB/s by bytes of working set,
    `used_by_others` the share of the cores' time that other processes used while times were taken.
    """

    run_id: str
    started_at: str
    finished_at: str | None
    command: str
    selectors: tuple[str, ...]
    seed: int
    budget_s: float | None
    machine_id: str
    commit: str | None
    dirty: bool | None
    exit_code: int | None
    admission: Mapping[str, Any] | None
    notes: tuple[str, ...]
    ceiling: Mapping[str, float] | None
    used_by_others: float | None


_KEY = ("operator", "backend", "implementation", "case")
_RECORD_FIELDS = tuple(field.name for field in dataclasses.fields(Record))
_SERIES_FIELDS = (
    "run_id", "started_at", "commit", "dirty", "machine_id", "device", "status", "reason",
    "samples", "median_ns", "ci_low_ns", "ci_high_ns", "cpu_median_ns",
)  # fmt: skip
_SAMPLE_FIELDS = tuple(field.name for field in dataclasses.fields(Sample))


class Store:
    """An open store. Use as a context manager, or close it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._replace = records_table.delete().where(
            records_table.c.run_id == sa.bindparam("b_run_id"),
            records_table.c.phase == sa.bindparam("b_phase"),
            *(records_table.c[name] == sa.bindparam(f"b_{name}") for name in _KEY),
        )
        self._insert = records_table.insert()

    @staticmethod
    def open(url: str | None = None) -> Store:
        """Open or create. `url` is an SQLAlchemy URL or a file's path; default: HARNESS_STORE, else a file under
        .harness. Raises StoreError where that cannot be."""
        target = _url(url or os.environ.get("HARNESS_STORE") or DEFAULT)
        try:
            engine = sa.create_engine(target)
        except (ImportError, sa.exc.NoSuchModuleError) as error:
            raise StoreError(
                f"--store {url}: {error}; for PostgreSQL: pip install 'kernel-harness[postgres]'"
            ) from None
        if engine.dialect.name == "sqlite":
            configure_sqlite(engine)
            if target.database and target.database != ":memory:":
                Path(target.database).parent.mkdir(parents=True, exist_ok=True)
        try:
            metadata.create_all(engine)
            check_version(engine)
        except sa.exc.DBAPIError as error:
            engine.dispose()
            raise StoreError(f"--store {target.render_as_string()}: {error.orig}") from None
        return Store(engine)

    def start_run(
        self,
        *,
        command: str,
        selectors: Sequence[str],
        seed: int,
        budget_s: float | None,
        machine: Mapping[str, Any],
        machine_id: str,
        commit: str | None,
        dirty: bool | None,
    ) -> RunInfo:
        """A new run; its id sorts by time."""
        now = datetime.datetime.now(datetime.UTC)
        run_id = f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
        info = RunInfo(
            run_id=run_id,
            started_at=_stamp(now),
            finished_at=None,
            command=command,
            selectors=tuple(selectors),
            seed=seed,
            budget_s=budget_s,
            machine_id=machine_id,
            commit=commit,
            dirty=dirty,
            exit_code=None,
            admission=None,
            notes=(),
            ceiling=None,
            used_by_others=None,
        )
        with self._engine.begin() as connection:
            same = machines_table.c.machine_id == machine_id
            known = connection.execute(sa.select(machines_table.c.machine_id).where(same))
            if known.first() is None:
                description = {"machine_id": machine_id, "first_seen": _stamp(now), "description": json.dumps(machine)}
                connection.execute(machines_table.insert(), description)
            row = dataclasses.asdict(info)
            row |= {"selectors": json.dumps(info.selectors), "notes": "[]"}
            connection.execute(runs_table.insert(), row)
        return info

    def add(self, record: Record, phase: str) -> None:
        """Store one record, for good: a record of the same task and phase of this run is replaced."""
        row = {name: _storable(getattr(record, name)) for name in _RECORD_FIELDS}
        key = {f"b_{name}": row[name] for name in ("run_id", *_KEY)}
        with self._engine.begin() as connection:
            connection.execute(self._replace, {**key, "b_phase": phase})
            connection.execute(self._insert, {**row, "phase": phase})

    def add_samples(self, run_id: str, samples: Sequence[Sample]) -> None:
        """Store raw readings, in one transaction."""
        if samples:
            rows = [{"run_id": run_id, **{name: getattr(one, name) for name in _SAMPLE_FIELDS}} for one in samples]
            with self._engine.begin() as connection:
                connection.execute(samples_table.insert(), rows)

    def note(
        self,
        run_id: str,
        *,
        admission: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        ceiling: Mapping[str, float] | None = None,
        used_by_others: float | None = None,
    ) -> None:
        """What is to be known of a run beside its records."""
        values = {
            "admission": json.dumps(admission) if admission is not None else None,
            "notes": json.dumps(list(notes)),
            "ceiling": json.dumps(ceiling) if ceiling is not None else None,
            "used_by_others": used_by_others,
        }
        with self._engine.begin() as connection:
            connection.execute(runs_table.update().where(runs_table.c.run_id == run_id).values(**values))

    def finish_run(self, run_id: str, *, exit_code: int) -> None:
        finished = {"finished_at": _stamp(datetime.datetime.now(datetime.UTC)), "exit_code": exit_code}
        with self._engine.begin() as connection:
            connection.execute(runs_table.update().where(runs_table.c.run_id == run_id).values(**finished))

    def runs(self) -> list[RunInfo]:
        """All runs, the newest first."""
        with self._engine.connect() as connection:
            newest_first = runs_table.c.started_at.desc(), runs_table.c.run_id.desc()
            rows = connection.execute(runs_table.select().order_by(*newest_first))
            return [_run_info(row._asdict()) for row in rows]

    def run(self, run_id: str | None) -> RunInfo:
        """A run by its id or the beginning of one; None or 'latest' is the newest. Raises UnknownRun."""
        known = self.runs()
        if not known:
            raise UnknownRun("the store holds no run yet; type `harness bench` or `harness check` first")
        if run_id in (None, "latest"):
            return known[0]
        found = [info for info in known if info.run_id.startswith(str(run_id))]
        if len(found) != 1:
            newest = ", ".join(info.run_id for info in (found or known)[:5])
            what = "is the beginning of several runs" if found else "is no run of this store"
            raise UnknownRun(f"{run_id!r} {what}; the newest are: {newest}")
        return found[0]

    def unfinished(self, command: str) -> RunInfo:
        """The newest run of a command that was interrupted. Raises UnknownRun if there is none."""
        for info in self.runs():
            if info.command == command and info.finished_at is None:
                return info
        raise UnknownRun(f"no run of `harness {command}` was interrupted: there is nothing to resume")

    def records(self, run_id: str, phase: str | None = None) -> list[Record]:
        """The records of a run in the order in which they were made."""
        query = sa.select(*(records_table.c[name] for name in _RECORD_FIELDS)).where(records_table.c.run_id == run_id)
        if phase is not None:
            query = query.where(records_table.c.phase == phase)
        with self._engine.connect() as connection:
            return [Record(**row._mapping) for row in connection.execute(query.order_by(records_table.c.number))]

    def done(self, run_id: str, phase: str) -> set[tuple[str, str, str, str]]:
        """The (operator, backend, implementation, case) that have a record."""
        query = sa.select(*(records_table.c[name] for name in _KEY))
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(records_table.c.run_id == run_id, records_table.c.phase == phase))
            return {(row[0], row[1], row[2], row[3]) for row in rows}

    def series(self, selects: Callable[[str], bool], machine_id: str | None = None) -> list[dict[str, Any]]:
        """What all runs hold of the times of the tasks whose ids are selected, on one machine or on all, by time.

        The keys are those of the record that a history is made of; a task without a time is there with its reason.
        """
        task = [records_table.c[name] for name in _KEY]
        columns = [records_table.c[name] for name in (*_KEY, *_SERIES_FIELDS)]
        wanted = [records_table.c.phase == "bench"]
        if machine_id is not None:
            wanted.append(records_table.c.machine_id == machine_id)
        with self._engine.connect() as connection:
            known = connection.execute(sa.select(*task).where(*wanted).distinct())
            chosen = {tuple(row) for row in known if selects("/".join(row))}
            operators = sorted({operator for operator, *_ in chosen})
            query = sa.select(*columns).where(*wanted, records_table.c.operator.in_(operators))
            rows = connection.execute(query.order_by(records_table.c.started_at, records_table.c.number))
            return [row._asdict() for row in rows if tuple(row[: len(_KEY)]) in chosen]

    def samples(self, run_id: str) -> list[Sample]:
        """All raw readings of a run."""
        query = sa.select(*(samples_table.c[name] for name in _SAMPLE_FIELDS)).where(samples_table.c.run_id == run_id)
        with self._engine.connect() as connection:
            return [Sample(**row._mapping) for row in connection.execute(query.order_by(samples_table.c.number))]

    def machine(self, machine_id: str) -> dict[str, Any]:
        """The description of a machine; empty if it is unknown."""
        query = sa.select(machines_table.c.description).where(machines_table.c.machine_id == machine_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return dict(json.loads(row[0])) if row else {}

    def describe_machine(self, machine_id: str, description: Mapping[str, Any]) -> None:
        """Add to what is known of a machine, for example its constants."""
        with self._engine.begin() as connection:
            row = connection.execute(
                sa.select(machines_table.c.description).where(machines_table.c.machine_id == machine_id)
            ).first()
            text = json.dumps({**(json.loads(row[0]) if row else {}), **description})
            if row:
                connection.execute(
                    machines_table.update().where(machines_table.c.machine_id == machine_id).values(description=text)
                )
            else:
                now = _stamp(datetime.datetime.now(datetime.UTC))
                values = {"machine_id": machine_id, "first_seen": now, "description": text}
                connection.execute(machines_table.insert(), values)

    def add_noise(self, found: Sequence[Noise]) -> None:
        """Keep what A/A comparisons showed; the newest of a task and clock counts."""
        if found:
            with self._engine.begin() as connection:
                connection.execute(noise_table.insert(), [dataclasses.asdict(one) for one in found])

    def noise(self, machine_id: str) -> list[Noise]:
        """What A/A comparisons on a machine showed, the newest of each task and clock."""
        fields = [noise_table.c[field.name] for field in dataclasses.fields(Noise)]
        query = sa.select(*fields).where(noise_table.c.machine_id == machine_id).order_by(noise_table.c.number)
        with self._engine.connect() as connection:
            found = [Noise(**row._mapping) for row in connection.execute(query)]
        newest = {(one.operator, one.backend, one.implementation, one.case, one.clock): one for one in found}
        return list(newest.values())

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _url(given: str) -> sa.URL:
    """A URL as it is; anything without a scheme is a file of SQLite."""
    if "://" not in given:
        return sa.URL.create("sqlite", database=given)
    try:
        return sa.make_url(given)
    except sa.exc.ArgumentError:
        raise StoreError(f"--store {given}: no URL that SQLAlchemy knows, and no path") from None


def _run_info(row: Mapping[str, Any]) -> RunInfo:
    values = dict(row)
    for name in ("selectors", "notes"):
        values[name] = tuple(json.loads(values[name] or "[]"))
    for name in ("admission", "ceiling"):
        values[name] = json.loads(values[name]) if values[name] else None
    return RunInfo(**values)


def _storable(value: Any) -> Any:
    """Text that any database takes, and no NaN."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def _stamp(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds")

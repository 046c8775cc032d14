"""RECORD: results that are only ever added to. An embedded SQLite file by default, any SQLAlchemy URL for a team."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import secrets
import sqlite3
import time
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from harness.record import Record, Sample

DEFAULT = "sqlite:///.harness/results.sqlite"
SCHEMA_VERSION = 2
WAL_ATTEMPTS = 40


class StoreError(ValueError):
    """A store that cannot be used; the message says what is wrong and what to type."""


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


def _columns(row: type) -> list[sa.Column[Any]]:
    """One database column per field of a dataclass."""
    kinds: dict[type, Any] = {str: sa.Text, int: sa.BigInteger, float: sa.Float(53), bool: sa.Boolean}
    columns: list[sa.Column[Any]] = []
    for name, hint in typing.get_type_hints(row).items():
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        (kind,) = (one for one in options if one is not type(None))
        columns.append(sa.Column(name, kinds[kind], nullable=type(None) in options))
    return columns


_metadata = sa.MetaData()
_version = sa.Table("schema_version", _metadata, sa.Column("version", sa.Integer, primary_key=True))
_machines = sa.Table(
    "machines",
    _metadata,
    sa.Column("machine_id", sa.String(40), primary_key=True),
    sa.Column("first_seen", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
)
_runs = sa.Table(
    "runs",
    _metadata,
    sa.Column("run_id", sa.String(40), primary_key=True),
    sa.Column("started_at", sa.Text, nullable=False),
    sa.Column("finished_at", sa.Text),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("selectors", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("budget_s", sa.Float(53)),
    sa.Column("machine_id", sa.String(40), nullable=False),
    sa.Column("commit", sa.Text),
    sa.Column("dirty", sa.Boolean),
    sa.Column("exit_code", sa.Integer),
    sa.Column("admission", sa.Text),
    sa.Column("notes", sa.Text),
    sa.Column("ceiling", sa.Text),
    sa.Column("used_by_others", sa.Float(53)),
)
_records = sa.Table(
    "records",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("phase", sa.String(10), nullable=False),
    *_columns(Record),
    sa.UniqueConstraint("run_id", "phase", "operator", "backend", "implementation", "case"),
)
_samples = sa.Table(
    "samples",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(40), nullable=False, index=True),
    *_columns(Sample),
)

_KEY = ("operator", "backend", "implementation", "case")
_RECORD_FIELDS = tuple(field.name for field in dataclasses.fields(Record))
_SAMPLE_FIELDS = tuple(field.name for field in dataclasses.fields(Sample))


class Store:
    """An open store. Use as a context manager, or close it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._replace = _records.delete().where(
            _records.c.run_id == sa.bindparam("b_run_id"),
            _records.c.phase == sa.bindparam("b_phase"),
            *(_records.c[name] == sa.bindparam(f"b_{name}") for name in _KEY),
        )
        self._insert = _records.insert()

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
            _configure_sqlite(engine)
            if target.database and target.database != ":memory:":
                Path(target.database).parent.mkdir(parents=True, exist_ok=True)
        try:
            _metadata.create_all(engine)
            _check_version(engine)
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
            known = connection.execute(sa.select(_machines.c.machine_id).where(_machines.c.machine_id == machine_id))
            if known.first() is None:
                description = {"machine_id": machine_id, "first_seen": _stamp(now), "description": json.dumps(machine)}
                connection.execute(_machines.insert(), description)
            row = dataclasses.asdict(info)
            row |= {"selectors": json.dumps(info.selectors), "notes": "[]"}
            connection.execute(_runs.insert(), row)
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
                connection.execute(_samples.insert(), rows)

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
            connection.execute(_runs.update().where(_runs.c.run_id == run_id).values(**values))

    def finish_run(self, run_id: str, *, exit_code: int) -> None:
        finished = {"finished_at": _stamp(datetime.datetime.now(datetime.UTC)), "exit_code": exit_code}
        with self._engine.begin() as connection:
            connection.execute(_runs.update().where(_runs.c.run_id == run_id).values(**finished))

    def runs(self) -> list[RunInfo]:
        """All runs, the newest first."""
        with self._engine.connect() as connection:
            rows = connection.execute(_runs.select().order_by(_runs.c.started_at.desc(), _runs.c.run_id.desc()))
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
        query = sa.select(*(_records.c[name] for name in _RECORD_FIELDS)).where(_records.c.run_id == run_id)
        if phase is not None:
            query = query.where(_records.c.phase == phase)
        with self._engine.connect() as connection:
            return [Record(**row._mapping) for row in connection.execute(query.order_by(_records.c.number))]

    def done(self, run_id: str, phase: str) -> set[tuple[str, str, str, str]]:
        """The (operator, backend, implementation, case) that have a record."""
        query = sa.select(*(_records.c[name] for name in _KEY))
        with self._engine.connect() as connection:
            rows = connection.execute(query.where(_records.c.run_id == run_id, _records.c.phase == phase))
            return {(row[0], row[1], row[2], row[3]) for row in rows}

    def samples(self, run_id: str) -> list[Sample]:
        """All raw readings of a run."""
        query = sa.select(*(_samples.c[name] for name in _SAMPLE_FIELDS)).where(_samples.c.run_id == run_id)
        with self._engine.connect() as connection:
            return [Sample(**row._mapping) for row in connection.execute(query.order_by(_samples.c.number))]

    def machine(self, machine_id: str) -> dict[str, Any]:
        """The description of a machine; empty if it is unknown."""
        query = sa.select(_machines.c.description).where(_machines.c.machine_id == machine_id)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return dict(json.loads(row[0])) if row else {}

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


def _configure_sqlite(engine: sa.Engine) -> None:
    """WAL, so that reports can read while a run writes; BEGIN IMMEDIATE, so that two writers wait for each other."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we emit BEGIN ourselves
        for pragma in ("busy_timeout=30000", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _write_ahead(connection)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _write_ahead(connection: Any) -> None:
    """Switch to WAL. While another process switches the same new file, SQLite says "locked" at once, whatever the busy
    timeout is; so it is asked again."""
    for attempt in range(1, WAL_ATTEMPTS + 1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if attempt == WAL_ATTEMPTS:
                raise
            time.sleep(0.01 * attempt)


def _check_version(engine: sa.Engine) -> None:
    """Refuse a newer store; give an older one the columns that it lacks (they hold null)."""
    with engine.begin() as connection:
        row = connection.execute(sa.select(_version.c.version)).first()
        if row is None:
            connection.execute(_version.insert(), {"version": SCHEMA_VERSION})
        elif row[0] < SCHEMA_VERSION:
            present = {column["name"] for column in sa.inspect(connection).get_columns(_records.name)}
            for column in _records.columns:
                if column.name not in present:
                    kind = column.type.compile(engine.dialect)
                    connection.exec_driver_sql(f'ALTER TABLE {_records.name} ADD COLUMN "{column.name}" {kind}')
            connection.execute(_version.update().values(version=SCHEMA_VERSION))
        elif row[0] > SCHEMA_VERSION:
            raise StoreError(
                f"the store was written by a newer kernel-harness (schema {row[0]}, this one knows {SCHEMA_VERSION}); "
                "upgrade, or name another --store"
            )


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

"""RECORD: what a store holds, run by run, without its rows being read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from harness.claims import is_locked
from harness.rows import RunInfo, run_of
from harness.schema import metadata, records_table, runs_table, samples_table, version
from harness.store import Store

GOES_ON, INTERRUPTED = "goes on", "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A run of a store: how many tasks were checked and timed (or were to be: a row may say why not), and how many
    readings there are. `state` is `goes on` or `interrupted` where it has not ended."""

    run_id: str
    started_at: str
    finished_at: str | None
    command: str
    selectors: tuple[str, ...]
    machine_id: str
    commit: str | None
    dirty: bool | None
    shard: str | None
    checked: int
    timed: int
    samples: int
    exit_code: int | None
    state: str | None

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "selectors": list(self.selectors)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The newest runs of a store, and how many there are; `bytes` is its size, None where that is not known."""

    runs: tuple[Held, ...]
    total: int
    schema: int
    bytes: int | None


def contents(store: Store, file: Path | None, last: int | None) -> Contents:
    """The newest `last` runs (None: all). `file` is that of the store, where it is one: the store itself may be open as
    a copy of it. Raises StoreError for rows that cannot be."""
    newest_first = runs_table.c.started_at.desc(), runs_table.c.run_id.desc()
    with store.database.reading() as connection:
        total = connection.scalar(sa.select(sa.func.count()).select_from(runs_table)) or 0
        schema = connection.scalar(sa.select(version.c.version)) or 0
        rows = connection.execute(sa.select(runs_table).order_by(*newest_first).limit(last)).all()
        infos = [run_of(row._asdict()) for row in rows]
        going_on = _going_on(store, file, [one.run_id for one in infos if one.finished_at is None])
        runs = tuple(_held(connection, info, info.run_id in going_on) for info in infos)
        size = _size(connection, file)
    return Contents(runs=runs, total=total, schema=schema, bytes=size)


def _held(connection: sa.Connection, info: RunInfo, goes_on: bool) -> Held:
    return Held(
        run_id=info.run_id,
        started_at=info.started_at,
        finished_at=info.finished_at,
        command=info.command,
        selectors=info.selectors,
        machine_id=info.machine_id,
        commit=info.commit,
        dirty=info.dirty,
        shard=info.shard,
        checked=_count(connection, records_table, info.run_id, records_table.c.phase == "check"),
        timed=_count(connection, records_table, info.run_id, records_table.c.phase == "bench"),
        samples=_count(connection, samples_table, info.run_id),
        exit_code=info.exit_code,
        state=None if info.finished_at is not None else GOES_ON if goes_on else INTERRUPTED,
    )


def _count(connection: sa.Connection, table: sa.Table, run_id: str, *more: sa.ColumnElement[bool]) -> int:
    """By an index alone: no row is read."""
    query = sa.select(sa.func.count()).select_from(table).where(table.c.run_id == run_id, *more)
    return connection.scalar(query) or 0


def _size(connection: sa.Connection, file: Path | None) -> int | None:
    """Bytes on disk: the file with its write-ahead log, or the tables of ours on a server."""
    if file is not None:
        with contextlib.suppress(OSError):
            log = Path(f"{file}-wal")
            return file.stat().st_size + (log.stat().st_size if log.exists() else 0)
    if connection.dialect.name == "postgresql":
        sizes = [sa.func.pg_total_relation_size(name) for name in metadata.tables]
        return sum(int(size or 0) for size in connection.execute(sa.select(*sizes)).one())
    return None


def _going_on(store: Store, file: Path | None, run_ids: Sequence[str]) -> set[str]:
    """Which of these runs a process writes."""
    if file is not None:
        return {run_id for run_id in run_ids if is_locked(Path(f"{file}.{run_id}.lock"))}
    return {run_id for run_id in run_ids if store.database.goes_on(run_id)}


def size_words(size: int | None) -> str:
    """`1.2 GB`, `38 kB`; empty where it is not known."""
    if size is None:
        return ""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{max(1, round(size / 1e3))} kB"


def words_of(counts: Iterable[tuple[int, str]]) -> str:
    """`3 records, 1 sample`: what is none is left out."""
    return ", ".join(f"{count:,} {name if count == 1 else f'{name}s'}" for count, name in counts if count)

"""RECORD: what a store lacks of a run that another holds, and how rows of strangers are read for it."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from harness.complaints import words
from harness.documents import harmless, shown, storable
from harness.schema import StoreError, imports_table, members_table, records_table, samples_table

BATCH = 10_000
"""Rows that are held at a time."""
KEY = ("phase", "operator", "backend", "implementation", "case")
UNIT = ("operator", "backend", "implementation", "case", "process")


class Unfit(Exception):
    """A run that is not copied; the message says why."""


@dataclass(frozen=True, slots=True)
class News:
    """What of a run the other store lacks: numbers of records here, and units of readings (None: all of them); and what
    has to make room there: numbers of records, and units."""

    records: frozenset[int] | None
    units: frozenset[tuple[Any, ...]] | None
    old_records: Sequence[int] = ()
    old_units: Sequence[tuple[Any, ...]] = ()

    @property
    def is_empty(self) -> bool:
        return self.records == frozenset() == self.units


def partitions(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Sequence[sa.Row[Any]]]:
    """The rows of a query in batches; what a damaged file holds instead raises Unfit."""
    try:
        yield from connection.execute(query, execution_options={"yield_per": BATCH}).partitions()
    except (sa.exc.DBAPIError, sqlite3.Error, UnicodeDecodeError) as error:
        if connection.dialect.name != "sqlite":
            raise
        raise Unfit(f"its rows cannot be read: {harmless(words(error, None), 300)}") from None


def rows_of(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    return itertools.chain.from_iterable(partitions(connection, query))


@contextlib.contextmanager
def fitting() -> Iterator[None]:
    """A row that cannot be is a run that is not copied."""
    try:
        yield
    except StoreError as error:
        raise Unfit(str(error)) from None


def require_room(table: sa.Table, values: Mapping[str, Any]) -> None:
    """SQLite takes texts and numbers of any length in any column; PostgreSQL does not. Raises Unfit."""
    for name, value in values.items():
        kind = table.c[name].type
        longest = getattr(kind, "length", None)
        if isinstance(value, str) and longest is not None and len(value) > longest:
            raise Unfit(f"its column {table.name}.{name} holds {len(value)} characters; {longest} are the most")
        if type(kind) is sa.Integer and isinstance(value, int) and not -(2**31) <= value < 2**31:
            raise Unfit(f"its column {table.name}.{name} holds {value}, which no 32 bits hold")


def counts(connection: sa.Connection, run_id: str) -> tuple[int, ...]:
    """How many records, readings, machines and imports a run has."""
    tables = records_table, samples_table, members_table, imports_table
    return tuple(
        connection.scalar(sa.select(sa.func.count()).select_from(table).where(table.c.run_id == run_id)) or 0
        for table in tables
    )


def news_of(reader: sa.Connection, there: sa.Connection, run_id: str) -> News:
    """What the store `there` lacks of a run."""
    records, _, _, _ = counts(there, run_id)
    new: frozenset[int] | None = None
    replaced: dict[tuple[Any, ...], int] = {}
    kept: set[tuple[Any, ...]] = set()
    if records:
        new, replaced, kept = _new_records(reader, there, run_id)
    if not _has_samples(there, run_id):
        return News(new, None, list(replaced.values()))
    units: set[tuple[Any, ...]] = set()
    old: list[tuple[Any, ...]] = []
    before, here = _units(there, run_id), _units(reader, run_id)
    for unit, content in here.items():
        have, task = before.get(unit), ("bench", *unit[:4])
        if task in kept:
            continue
        if have is None:
            units.add(unit)
        elif have != content and (task in replaced or content[0] > have[0]):
            units.add(unit)
            old.append(unit)
    # readings of an earlier measurement, which the record that is written now is not of
    old += [unit for unit in before if unit not in here and ("bench", *unit[:4]) in replaced]
    return News(new, frozenset(units), list(replaced.values()), old)


def _has_samples(connection: sa.Connection, run_id: str) -> bool:
    return (
        connection.execute(sa.select(samples_table.c.number).where(samples_table.c.run_id == run_id)).first()
        is not None
    )


def _new_records(
    reader: sa.Connection, there: sa.Connection, run_id: str
) -> tuple[frozenset[int], dict[tuple[Any, ...], int], set[tuple[Any, ...]]]:
    """Numbers of the records that are new here, or made later; of those they replace there, by key; and the keys of
    those that were made later there."""
    names = ("number", *KEY, "started_at", "samples")
    query = sa.select(*(records_table.c[name] for name in names)).where(records_table.c.run_id == run_id)
    before = {texts(row[1:6]): (row[0], row[6], row[7]) for row in map(tuple, rows_of(there, query))}
    new: list[int] = []
    replaced: dict[tuple[Any, ...], int] = {}
    kept: set[tuple[Any, ...]] = set()
    for row in map(tuple, rows_of(reader, query)):
        key = texts(row[1:6])
        have = before.get(key)
        if have is None:
            new.append(row[0])
        elif (row[6], row[7]) != have[1:]:
            ages = _age(row[6], row[7]), _age(have[1], have[2])
            if ages[0] > ages[1]:
                new.append(row[0])
                replaced[key] = have[0]
            elif ages[0] < ages[1]:
                kept.add(key)
    return frozenset(new), replaced, kept


def texts(values: Iterable[Any]) -> tuple[Any, ...]:
    """The same values, with texts as every database takes them."""
    # halves of characters are in no text that a database hands out
    return tuple(storable(value) if isinstance(value, str) and "\0" in value else value for value in values)


def _age(started_at: Any, samples: Any) -> tuple[datetime.datetime, int]:
    """What tells which of two records of one task was made later: when, then of how many readings."""
    return moment(started_at), samples if isinstance(samples, int) else -1


def moment(text: Any) -> datetime.datetime:
    """A stored time, in UTC. Raises Unfit."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found.astimezone(datetime.UTC)
    except (TypeError, ValueError, OverflowError):
        raise Unfit(f"{shown(text)} is no moment as ISO 8601 writes it") from None


def _units(connection: sa.Connection, run_id: str) -> dict[tuple[Any, ...], tuple[int, ...]]:
    """What each process took of each task: how many readings, the shortest and the longest."""
    unit = [samples_table.c[name] for name in UNIT]
    wall = samples_table.c.wall_ns
    query = sa.select(*unit, sa.func.count(), sa.func.min(wall), sa.func.max(wall))
    found = rows_of(connection, query.where(samples_table.c.run_id == run_id).group_by(*unit))
    return {texts(row[:5]): tuple(row[5:]) for row in found}

"""RECORD: rows of a store, checked as they are read: a file of SQLite may come from anybody, and any column of it may
hold any type."""

from __future__ import annotations

import datetime
import functools
import json
import math
import operator
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.documents import harmless, shown
from harness.record import STATUSES
from harness.schema import StoreError

Row = TypeVar("Row")

LEAST = {"calls": 1, "median_ns": 1, "wall_ns": 0, "samples": 0, "cpu_median_ns": 0, "bytes": 0, "flops": 0}
MOMENTS = frozenset(("started_at", "finished_at", "measured_at"))
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run: what was asked for, on which machine, and how it ended (`finished_at` is None while it has not).

    `admission` holds mutation scores by operator, `ceiling` copy rates in GB/s by bytes of working set,
    `used_by_others` the share of the cores' time that other processes used while times were taken. `shard` is `2/5`
    where the run is a part of one that was dealt over several machines, and `deal` what all of its parts share.
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
    exit_code: int | None = None
    admission: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    ceiling: Mapping[str, float] | None = None
    used_by_others: float | None = None
    shard: str | None = None
    deal: Mapping[str, Any] | None = None


class Member(typing.NamedTuple):
    """One machine of a run that had several; what it says of that machine is as in RunInfo."""

    run_id: str
    machine_id: str
    ceiling: Mapping[str, float] | None = None
    used_by_others: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Median:
    """The median of a task's times over several runs on one machine, the least and the most of them; ns per call."""

    operator: str
    backend: str
    implementation: str
    case: str
    machine_id: str
    status: str
    runs: int
    median_ns: float
    least_ns: int
    most_ns: int

    @property
    def id(self) -> str:
        return f"{self.operator}/{self.backend}/{self.implementation}/{self.case}"


def run_of(row: Mapping[str, Any]) -> RunInfo:
    """A run from its row. Raises StoreError."""
    values = dict(row)
    for name in ("selectors", "notes"):
        values[name] = _names_of(values[name], f"runs.{name}")
    values["admission"] = table_of(values["admission"], "runs.admission")
    values["deal"] = table_of(values["deal"], "runs.deal")
    values["ceiling"] = _rates_of(values["ceiling"], "runs.ceiling")
    return row_of(RunInfo, values, "runs")


def member_of(row: Mapping[str, Any]) -> Member:
    """A machine of a run from its row. Raises StoreError."""
    return row_of(Member, {**row, "ceiling": _rates_of(row["ceiling"], "members.ceiling")}, "members")


def row_of(kind: Callable[..., Row], values: dict[str, Any], table: str) -> Row:
    """A dataclass from the row of a table. Raises StoreError that names table, column and value."""
    try:
        return kind(**check_row(kind, values, table))
    except StoreError:
        raise
    except ValueError as error:
        raise StoreError(f"the store holds a row of {table} that cannot be: {harmless(str(error), 300)}") from None


def check_row(kind: Callable[..., Any], values: dict[str, Any], table: str) -> dict[str, Any]:
    """The same values, each of the type of its field in a dataclass. Raises StoreError."""
    for name, types_of, words in _columns(kind):
        if name not in values:
            continue
        value = values[name]
        if type(value) not in types_of:
            raise _wrong(table, values, name, value, words)
        if value is not None:
            if name in LEAST and value < LEAST[name]:
                raise _wrong(table, values, name, value, f"a number from {LEAST[name]} on")
            if name == "status" and value not in STATUSES:
                raise _wrong(table, values, name, value, f"one of {', '.join(STATUSES)}")
            if name in MOMENTS and not _is_moment(value):
                raise _wrong(table, values, name, value, "a moment as ISO 8601 writes it")
    return values


def check_rows(kind: Callable[..., Any], names: Sequence[str], rows: Sequence[Sequence[Any]], table: str) -> None:
    """As `check_row` for many rows of the columns `names`, in a tenth of the time. Raises StoreError."""
    found = {name: list(map(operator.itemgetter(place), rows)) for place, name in enumerate(names)}
    for name, types_of, _ in _columns(kind):
        values = found.get(name, ())
        right = set(map(type, values)) <= types_of
        if right and name in LEAST:
            right = all(value is None or value >= LEAST[name] for value in values)
        elif right and name == "status":
            right = set(values) <= {*STATUSES, None}
        elif right and name in MOMENTS:
            right = all(value is None or _is_moment(value) for value in set(values))
        if not right:
            for row in rows:
                check_row(kind, dict(zip(names, row, strict=True)), table)
            return


def _names_of(text: Any, column: str) -> tuple[str, ...]:
    """A list of texts, kept as JSON. Raises StoreError."""
    found = _json(text, column) if text else []
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise StoreError(f"the store's column {column} holds {shown(found)}; it has to be a list of texts")
    return tuple(found)


def table_of(text: Any, column: str) -> dict[str, Any] | None:
    """An object, kept as JSON; None where there is none. Raises StoreError."""
    if text is None or text == "":
        return None
    found = _json(text, column)
    if found is not None and not isinstance(found, dict):
        raise StoreError(f"the store's column {column} holds {shown(found)}; it has to be an object")
    return found


def _rates_of(text: Any, column: str) -> dict[str, float] | None:
    """An object of numbers above 0, kept as JSON. Raises StoreError."""
    found = table_of(text, column)
    for value in (found or {}).values():
        if type(value) not in (int, float) or not 0 < value < math.inf:
            raise StoreError(f"the store's column {column} holds {shown(value)}; it has to be a number above 0")
    return found


def texts_of(text: Any, column: str) -> dict[str, str]:
    """An object of texts, kept as JSON, with one at least. Raises StoreError."""
    found = table_of(text, column)
    if not found or not all(isinstance(value, str) for value in found.values()):
        raise StoreError(f"the store's column {column} holds {shown(found)}; it has to be an object of texts")
    return found


def _json(text: Any, column: str) -> Any:
    try:
        if not isinstance(text, str):
            raise ValueError(f"{type(text).__name__} is no text")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        said = harmless(str(error), 100)
        raise StoreError(f"the store's column {column} holds {shown(str(text))}, which is no JSON: {said}") from None


@functools.cache
def _columns(kind: Any) -> tuple[tuple[str, frozenset[type], str], ...]:
    """The fields of a dataclass that are plain values: name, types, and what they are in words."""
    found = []
    for name, hint in typing.get_type_hints(kind).items():
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        (plain,) = (one for one in options if one is not types.NoneType)
        if plain in WORDS:
            # SQLite gives a whole number for 1.0 where the column was made without a type
            allowed = {*options, int} if plain is float else set(options)
            found.append((name, frozenset(allowed), WORDS[plain] + (", or null" if len(options) > 1 else "")))
    return tuple(found)


def _is_moment(text: str) -> bool:
    try:
        return 1900 <= datetime.datetime.fromisoformat(text).year <= 2200
    except ValueError:
        return False


def _wrong(table: str, values: Mapping[str, Any], name: str, value: Any, words: str) -> StoreError:
    task = "/".join(str(values[key]) for key in ("operator", "backend", "implementation", "case") if key in values)
    of = f" of {harmless(task, 200)}" if task else ""
    found = shown(value) if isinstance(value, str | int | float | None) else type(value).__name__
    return StoreError(f"the store's table {table}, column {name}{of}: {found} is not {words}; it is no store of ours")

"""What one side of a comparison of stored results holds: a run of a store, or a file that was exported from one."""

from __future__ import annotations

import csv
import itertools
import json
import math
import types
import typing
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.record import Record, Sample
from harness.store import RunInfo, Store

Task = tuple[str, str, str, str]
"""Operator, backend, implementation, case: not joined, since a slash may be within one of them."""

STORES = (".sqlite", ".sqlite3", ".db")
FORMATS = (".json", ".csv", ".parquet", *STORES)
NEEDED = (
    "run_id", "started_at", "commit", "dirty", "machine_id", "operator", "backend", "implementation", "case",
    "status", "reason", "median_ns", "ci_low_ns", "ci_high_ns", "cpu_median_ns",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What an exported table has an apostrophe in front of."""
LONGEST_CELL = 10_000_000


class UnreadableResults(ValueError):
    """A file whose results cannot be read; the message says where, what was found, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One side: `label` is the run or file in words. `ceilings` are copy rates in GB/s by bytes of working set.

    `records` has one record per task, the timed one where there are two. `spreads` says, by task and clock, how far
    apart runs of the same commit on the same machine lie (relative, 95 % of them), where the store has several.
    """

    label: str
    machine_id: str
    machine: Mapping[str, Any] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    ceilings: Mapping[int, float] = field(default_factory=dict)
    used_by_others: float | None = None
    records: tuple[Record, ...] = ()
    samples: Mapping[Task, tuple[Sample, ...]] = field(default_factory=dict)
    spreads: Mapping[Task, Mapping[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_timed(self) -> bool:
        return any(record.median_ns is not None for record in self.records)


def task_of(row: Record | Sample) -> Task:
    return row.operator, row.backend, row.implementation, row.case


def measured_from_store(store: Store, run_id: str | None, name: str = "") -> Measured:
    """A stored run by its id or the beginning of one; `name` is that of the store's file. Raises UnknownRun."""
    info = store.run(run_id)
    records = {task_of(record): record for record in store.records(info.run_id, "check")}
    records |= {task_of(record): record for record in store.records(info.run_id, "bench")}
    samples: dict[Task, list[Sample]] = {}
    for sample in store.samples(info.run_id):
        samples.setdefault(task_of(sample), []).append(sample)
    where = f"{name}: " if name else ""
    notes = (
        ()
        if info.finished_at
        else (f"{where}run {info.run_id} was interrupted; what it lacks is not missing for good",)
    )
    return Measured(
        label=f"{where}run {info.run_id}{_commit_words(info.commit, info.dirty)}",
        machine_id=info.machine_id,
        machine=store.machine(info.machine_id),
        commit=info.commit,
        dirty=info.dirty,
        ceilings={int(size): rate for size, rate in (info.ceiling or {}).items() if size.isdecimal()},
        used_by_others=info.used_by_others,
        records=tuple(records.values()),
        samples={task: tuple(found) for task, found in samples.items()},
        spreads=_spreads(store, info, {record.id for record in records.values()}),
        notes=notes,
    )


def measured_from_file(path: Path) -> Measured:
    """What `harness report --format json|csv|parquet` wrote, or the newest timed run of another store (.sqlite).

    A file holds no samples, no ceilings and no description of its machine. Raises UnreadableResults, StoreError.
    """
    if not path.is_file():
        raise UnreadableResults(f"{path}: no such file (looked in {Path.cwd()})")
    if path.suffix.lower() in STORES:
        return _newest_timed(path)
    try:
        rows = list(_rows(path))
    except OSError as error:
        raise UnreadableResults(f"{path}: {error.strerror}") from None
    if rows:
        lacking = [name for name in NEEDED if name not in rows[0]]
        if lacking:
            raise UnreadableResults(
                f"{path}, row 1: column {', '.join(lacking)} is missing; it has to be what "
                f"`harness report RUN --format {path.suffix[1:].lower()}` writes"
            )
    records = _unique(path, [_record(path, number, row) for number, row in enumerate(rows, 1)])
    about = {(record.machine_id, record.commit, record.dirty) for record in records}
    machines = {machine for machine, _, _ in about}
    if len(machines) > 1:
        raise UnreadableResults(f"{path} holds results of several machines: {', '.join(sorted(machines))}; compare one")
    commit, dirty = next(iter(about))[1:] if len(about) == 1 else (None, None)
    return Measured(
        label=f"{path}{_commit_words(commit, dirty)}",
        machine_id=next(iter(machines), ""),
        commit=commit,
        dirty=dirty,
        records=tuple(records),
        notes=() if records else (f"{path} holds no result",),
    )


def _commit_words(commit: str | None, dirty: bool | None) -> str:
    return f" of commit {commit[:10]}{' with changes' if dirty else ''}" if commit else ""


def _newest_timed(path: Path) -> Measured:
    with Store.open(str(path)) as store:
        for info in store.runs():
            if any(record.median_ns is not None for record in store.records(info.run_id, "bench")):
                return measured_from_store(store, info.run_id, str(path))
    raise UnreadableResults(f"{path} holds no run with times; type `harness bench --store {path}` first")


def _spreads(store: Store, info: RunInfo, ids: Container[str]) -> dict[Task, dict[str, float]]:
    """How far apart the times of one commit lie from run to run, by task and clock."""
    if info.commit is None or info.dirty is not False:
        return {}
    times: dict[Task, dict[str, list[int]]] = {}
    for row in store.series(lambda identity: identity in ids, info.machine_id):
        if row["commit"] == info.commit and row["dirty"] is False and row["status"] == "passed":
            task = row["operator"], row["backend"], row["implementation"], row["case"]
            for clock, value in (("wall", row["median_ns"]), ("cpu", row["cpu_median_ns"])):
                if value is not None and value > 0:
                    times.setdefault(task, {}).setdefault(clock, []).append(value)
    return {
        task: {clock: _apart(values) for clock, values in by_clock.items() if len(values) > 1}
        for task, by_clock in times.items()
    }


def _apart(times_ns: Sequence[int]) -> float:
    """The relative distance within which 95 % of the pairs lie."""
    logs = [math.log(one) for one in times_ns]
    return math.expm1(float(np.quantile([abs(a - b) for a, b in itertools.combinations(logs, 2)], 0.95)))


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a file as dictionaries, as they are written there."""
    kind = path.suffix.lower()
    if kind == ".json":
        yield from _json_rows(path)
    elif kind == ".csv":
        yield from _csv_rows(path)
    elif kind == ".parquet":
        from harness.reports.parquet import read_rows

        try:
            yield from read_rows(path)
        except ValueError as error:
            raise UnreadableResults(str(error)) from None
    else:
        raise UnreadableResults(
            f"{path}: results are read from {', '.join(FORMATS)}, not from {kind or 'a file without suffix'}"
        )


def _json_rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableResults(f"{path} is no JSON: {error}") from None
    if not isinstance(found, list):
        raise UnreadableResults(f"{path} holds {type(found).__name__}; it has to be an array with one object per task")
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise UnreadableResults(f"{path}, row {number}: {type(row).__name__} is no object with a result")
    return found


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 1):
                if None in row or None in row.values():
                    raise UnreadableResults(f"{path}, row {number}: it has not as many cells as the header")
                yield {name: _cell(text) for name, text in row.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise UnreadableResults(f"{path} is no CSV: {error}") from None
    finally:
        csv.field_size_limit(before)


def _cell(text: str) -> str:
    """Text as it was before the apostrophe that keeps spreadsheets from taking it for a formula."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


_FIELDS = typing.get_type_hints(Record)
_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "text"}


def _record(path: Path, number: int, row: Mapping[str, Any]) -> Record:
    values: dict[str, Any] = {}
    for name, hint in _FIELDS.items():
        if name in NEEDED and name not in row:
            raise UnreadableResults(f"{path}, row {number}: column {name} is missing")
        if name in row:
            options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
            (kind,) = (one for one in options if one is not type(None))
            try:
                values[name] = _value(row[name], kind, len(options) > 1)
            except (TypeError, ValueError, OverflowError):
                found = repr(row[name])[:80]
                raise UnreadableResults(
                    f"{path}, row {number}, column {name}: {found} is not {_WORDS[kind]}"
                    + (", empty, or null" if len(options) > 1 else "")
                ) from None
    try:
        return Record(**values)
    except ValueError as error:
        raise UnreadableResults(f"{path}, row {number}: {error}") from None


def _value(given: Any, kind: type, optional: bool) -> Any:
    """A value of a file as the record has it; NaN, and what no integer holds, is None."""
    if given is None or (given == "" and kind is not str) or (given == "" and optional):
        if optional:
            return None
        if kind is str and given == "":
            return ""
        raise TypeError
    if kind is str:
        if not isinstance(given, str):
            raise TypeError
        return given
    if kind is bool:
        if given in (True, "True", "true"):
            return True
        if given in (False, "False", "false"):
            return False
        raise ValueError
    if isinstance(given, bool):
        raise TypeError
    number = float(given)
    if kind is float:
        return None if math.isnan(number) else number
    if not math.isfinite(number):
        return None
    if number != int(number):
        raise ValueError
    # a whole number beyond 2**53 would not survive the way over float
    return int(given) if isinstance(given, int) or str(given).strip("-+ ").isdecimal() else int(number)


def _unique(path: Path, records: Iterable[Record]) -> list[Record]:
    """One record per task. Raises UnreadableResults where two rows say different things of one."""
    found: dict[Task, tuple[int, Record]] = {}
    for number, record in enumerate(records, 1):
        task = task_of(record)
        if task in found and found[task][1] != record:
            raise UnreadableResults(
                f"{path}, rows {found[task][0]} and {number}: both are {record.id}, and they differ; keep one of them"
            )
        found.setdefault(task, (number, record))
    return [record for _, record in found.values()]

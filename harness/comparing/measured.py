"""What one side of a comparison of stored results holds: a run of a store, or a file that was exported from one."""

from __future__ import annotations

import csv
import io
import itertools
import math
import types
import typing
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness import documents
from harness.drift import noise_of
from harness.likeness import state_at
from harness.record import TIMED, Record, Sample
from harness.shifts import slowness
from harness.store import RunInfo, Store
from harness.strangers import opened_to_read
from harness.timing.reference import copies_of, references_of

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
LEAST_RUNS = 6
"""Runs of a machine that tell how far its references stray."""
LARGEST = 2**63 - 1
"""What a store holds as a whole number, too."""


class UnreadableResults(ValueError):
    """A file whose results cannot be read; the message says where, what was found, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One side: `label` is the run or file in words. `ceilings` are copy rates in GB/s by bytes of working set.

    `records` has one record per task, the timed one where there are two. `spreads` says, by task and clock, how far
    apart runs of the same commit on the same machine lie (relative, 95 % of them), where the store has several.
    `references` are rates of computing (harness.timing.reference); `reference_noise` is how far those of one run lie
    from another's on this machine, relative; None where too few runs tell.
    """

    label: str
    machine_id: str
    machine: Mapping[str, Any] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    ceilings: Mapping[int, float] = field(default_factory=dict)
    references: Mapping[str, float] = field(default_factory=dict)
    reference_noise: float | None = None
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
    unfinished = store.unfinished_words(info)
    notes = (f"{where}{unfinished}",) if unfinished else ()
    if info.command == "import":
        notes = (f"{where}run {info.run_id} was imported: nobody here checked its results, nor how they were timed",)
    return Measured(
        label=f"{where}run {info.run_id}{_commit_words(info.commit, info.dirty)}",
        machine_id=info.machine_id,
        machine=state_at(store.machine(info.machine_id), info.started_at),
        commit=info.commit,
        dirty=info.dirty,
        ceilings=copies_of(info.ceiling),
        references=references_of(info.ceiling),
        reference_noise=_reference_noise(store, info),
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
        several = documents.harmless(", ".join(sorted(machines)), 200)
        raise UnreadableResults(f"{path} holds results of several machines: {several}; compare one")
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
    with opened_to_read(str(path)) as store:
        if info := store.newest_timed():
            return measured_from_store(store, info.run_id, str(path))
    raise UnreadableResults(f"{path} holds no run with times; type `harness bench --store {path}` first")


def _reference_noise(store: Store, info: RunInfo) -> float | None:
    """How far the references of one run lie from those of another on this machine, whichever of both kinds strays
    more."""
    parts = store.joined_parts()  # a joined run has the readings of one of them
    runs = [one for one in store.runs() if one.machine_id == info.machine_id and one.run_id not in parts]
    found = [one.ceiling for one in runs if references_of(one.ceiling)]
    if len(found) < LEAST_RUNS:
        return None
    slow = slowness(found[::-1])
    return max(noise_of(values[~np.isnan(values)]).spread for values in (slow.cpu, slow.copy) if _enough(values))


def _enough(values: np.ndarray) -> bool:
    return int(np.sum(~np.isnan(values))) >= LEAST_RUNS


def _spreads(store: Store, info: RunInfo, ids: Container[str]) -> dict[Task, dict[str, float]]:
    """How far apart the times of one commit lie from run to run, by task and clock."""
    if info.commit is None or info.dirty is not False:
        return {}
    times: dict[Task, dict[str, list[int]]] = {}
    for row in store.series(lambda identity: identity in ids, info.machine_id, commit=info.commit):
        if row["status"] in TIMED:
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
        found = documents.read_document(path)
    except documents.UnreadableFile as error:
        raise UnreadableResults(str(error)) from None
    if not isinstance(found, list):
        raise UnreadableResults(
            f"{path} holds {type(found).__name__}; it has to be an array with one object per task; "
            "`harness import` takes in files of other tools"
        )
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise UnreadableResults(f"{path}, row {number}: {type(row).__name__} is no object with a result")
    return found


def _csv_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        file = csv.reader(io.StringIO(documents.text_of(path), newline=""), strict=True)
        header = next(file, [])
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise UnreadableResults(f"{path}: column {documents.shown(twice)} is there twice; which holds is not said")
        for number, row in enumerate((one for one in file if one), 1):
            if len(row) != len(header):
                raise UnreadableResults(f"{path}, row {number}: it has not as many cells as the header")
            yield dict(zip(header, map(_cell, row), strict=True))
    except documents.UnreadableFile as error:
        raise UnreadableResults(str(error)) from None
    except csv.Error as error:
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
                found = documents.harmless(repr(row[name]))
                raise UnreadableResults(
                    f"{path}, row {number}, column {name}: {found} is not {_WORDS[kind]}"
                    + (", empty, or null" if len(options) > 1 else "")
                ) from None
    try:
        return Record(**values)
    except ValueError as error:
        raise UnreadableResults(f"{path}, row {number}: {documents.harmless(str(error), 300)}") from None


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
        return documents.storable(given)
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
    whole = int(given) if isinstance(given, int) or str(given).strip("-+ ").isdecimal() else int(number)
    if abs(whole) > LARGEST:
        raise OverflowError
    return whole


def _unique(path: Path, records: Iterable[Record]) -> list[Record]:
    """One record per task. Raises UnreadableResults where two rows say different things of one."""
    found: dict[Task, tuple[int, Record]] = {}
    for number, record in enumerate(records, 1):
        task = task_of(record)
        if task in found and found[task][1] != record:
            raise UnreadableResults(
                f"{path}, rows {found[task][0]} and {number}: both are {documents.harmless(record.id, 300)}, and they "
                "differ; keep one of them"
            )
        found.setdefault(task, (number, record))
    return [record for _, record in found.values()]

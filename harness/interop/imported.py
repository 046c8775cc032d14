"""What a file of another tool says, before it is stored: nobody here saw the code run, so it is no verdict."""

from __future__ import annotations

import datetime
import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.documents import UnreadableFile as UnreadableFile
from harness.record import Record, Sample

IMPORTED = "imported"
"""What stands for an implementation that a file does not name."""
WHOLE = "default"
"""The case of a benchmark without parameters."""
LONGEST_NAME = 2_000
MOST_CALLS = 10**15
LARGEST = 2**63 - 1
"""What a database holds as a whole number; no number here is below 0."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`calls` calls took `wall_ns` together, and `cpu_ns` of CPU time where the file says so."""

    calls: int
    wall_ns: int
    cpu_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One benchmark of a file: `task` is operator, backend, implementation, case; times are ns per call, None where the
    file has none; `status` is `imported`, or what the tool itself says of a failure (`error`, `unsupported`)."""

    task: tuple[str, str, str, str]
    reason: str
    status: str = "imported"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    samples: int | None = None
    median_ns: int | None = None
    min_ns: int | None = None
    cpu_median_ns: int | None = None
    peak_bytes: int | None = None
    readings: tuple[Reading, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A file as a run: `files` are the texts that it was read from by name, that of the results first, for writing them
    back. `machine` describes where, and is empty where the file names none; `identity` is what makes two machines of it
    the same."""

    format: str
    files: Mapping[str, str]
    benchmarks: tuple[Benchmark, ...]
    started_at: datetime.datetime | None = None
    commit: str | None = None
    dirty: bool | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def whole_ns(time_ns: float) -> int | None:
    """A time in whole nanoseconds; None for one that is none of them, since 0 would say that it took no time."""
    return round(time_ns) or None


def median_ns(readings: Iterable[Reading]) -> int | None:
    times = [one.wall_ns / one.calls for one in readings]
    return whole_ns(statistics.median(times)) if times else None


def cpu_median_ns(readings: Iterable[Reading]) -> int | None:
    times = [None if one.cpu_ns is None else one.cpu_ns / one.calls for one in readings]
    known = [one for one in times if one is not None]
    return whole_ns(statistics.median(known)) if known and len(known) == len(times) else None


def least_ns(readings: Iterable[Reading]) -> int | None:
    return whole_ns(min((one.wall_ns / one.calls for one in readings), default=0.0))


def unjudged(tool: str, said: str) -> str:
    """The reason of an imported row."""
    return f"{tool} says {said}; nobody here checked its result"


def time_words(time_ns: float) -> str:
    """A time in the unit that it is read in."""
    for size, unit in ((1e9, "s"), (1e6, "ms"), (1e3, "µs")):
        if time_ns >= size:
            return f"{time_ns / size:.4g} {unit}"
    return f"{time_ns:.4g} ns"


def unique(benchmarks: Sequence[Benchmark]) -> tuple[Benchmark, ...]:
    """One task each: where a file has a name twice, the second is the case `...#2`."""
    taken = {one.task for one in benchmarks}
    met: Counter[tuple[str, str, str, str]] = Counter()
    found = []
    for one in benchmarks:
        met[one.task] += 1
        task = one.task
        while met[one.task] > 1 and task in taken:
            task = (*one.task[:3], f"{one.task[3]}#{met[one.task]}")
            met[one.task] += task in taken
        taken.add(task)
        found.append(replace(one, task=task))
    return tuple(found)


def beyond(benchmark: Benchmark) -> str:
    """Which of its numbers is below 0 or larger than any store holds; empty where all fit."""
    numbers = {
        name: getattr(benchmark, name) for name in ("samples", "median_ns", "min_ns", "cpu_median_ns", "peak_bytes")
    }
    for number, one in enumerate(benchmark.readings):
        for name in ("calls", "wall_ns", "cpu_ns"):
            numbers[f"{name} of reading {number}"] = getattr(one, name)
    for name, value in numbers.items():
        if value is not None and not 0 <= value <= LARGEST:
            return f"{name} is {'below 0' if value < 0 else 'larger than any store holds'}"
    return ""


def machine_id_of(imported: Imported) -> str | None:
    """12 hex digits over what the file says of its machine; None where it says nothing. Never one of our own: a time
    that another tool took is not compared with ours."""
    if not imported.identity:
        return None
    text = json.dumps([imported.format, imported.identity], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def records_of(
    imported: Imported, *, run_id: str, started_at: str, machine_id: str, commit: str | None, dirty: bool | None
) -> list[Record]:
    """One record per benchmark."""
    return [
        Record(
            run_id=run_id,
            started_at=started_at,
            commit=commit,
            dirty=dirty,
            machine_id=machine_id,
            operator=one.task[0],
            backend=one.task[1],
            implementation=one.task[2],
            case=one.task[3],
            parameters=json.dumps(one.parameters, default=str),
            status=one.status,
            reason=one.reason,
            samples=one.samples,
            median_ns=one.median_ns,
            min_ns=one.min_ns,
            cpu_median_ns=one.cpu_median_ns,
            peak_bytes=one.peak_bytes,
        )
        for one in imported.benchmarks
    ]


def samples_of(imported: Imported) -> list[Sample]:
    """One sample per reading, all of one process: no format here says which process a reading is of."""
    return [
        Sample(
            operator=one.task[0],
            backend=one.task[1],
            implementation=one.task[2],
            case=one.task[3],
            process=0,
            block=number,
            position=0,
            calls=reading.calls,
            wall_ns=reading.wall_ns,
            cpu_ns=reading.cpu_ns,
            checked=False,
        )
        for one in imported.benchmarks
        for number, reading in enumerate(one.readings)
    ]

"""pytest-benchmark's JSON (`--benchmark-json`, `--benchmark-save`, its storage): times in seconds per iteration."""

from __future__ import annotations

import datetime
import json
import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.interop.files import Part, checked, named, place_of, seconds, shown
from harness.interop.imported import (
    IMPORTED,
    MOST_CALLS,
    WHOLE,
    Benchmark,
    Imported,
    Reading,
    UnreadableFile,
    least_ns,
    time_words,
    unique,
    unjudged,
    whole_ns,
)
from harness.interop.stored import Export, NotWritable, StoredRun, left_out, per_call_ns
from harness.record import COLUMNS, Record

NAME = "pytest-benchmark"
OURS = "kernel_harness"
"""The key of `extra_info` under which a record is kept that was written by us."""
UNKNOWN_COMMITS = ("unversioned", "unknown")


class Stats(Part):
    min: float
    max: float
    mean: float
    stddev: float
    median: float
    rounds: int = Field(ge=1, le=MOST_CALLS)
    iterations: int = Field(ge=1, le=MOST_CALLS)
    data: list[float] | None = None


class Entry(Part):
    fullname: str
    name: str
    param: str | None = None
    params: dict[str, Any] | None = None
    extra_info: dict[str, Any] = Field(default_factory=dict)
    stats: Stats


class Commit(Part):
    id: str | None = None
    dirty: bool | None = None


class Document(Part):
    machine_info: dict[str, Any]
    commit_info: Commit | None = None
    benchmarks: list[Entry]
    datetime: str
    version: str


def matches(document: Any) -> bool:
    return isinstance(document, dict) and "benchmarks" in document and "machine_info" in document


def read(document: Any, text: str, path: Path) -> Imported:
    """Raises UnreadableFile."""
    found = checked(Document, document, path)
    try:
        started_at = datetime.datetime.fromisoformat(found.datetime)
    except ValueError:
        raise UnreadableFile(f"{path}: datetime is {shown(found.datetime)}, which is no ISO time") from None
    commit = found.commit_info.id if found.commit_info and found.commit_info.id not in UNKNOWN_COMMITS else None
    machine, identity = _machine(found.machine_info)
    return Imported(
        format=NAME,
        files={path.name: text},
        benchmarks=unique([_benchmark(one, number, found, path) for number, one in enumerate(found.benchmarks)]),
        started_at=started_at if started_at.tzinfo else started_at.replace(tzinfo=datetime.UTC),
        commit=commit,
        dirty=found.commit_info.dirty if commit and found.commit_info else None,
        machine={**machine, "imported_from": f"{NAME} {shown(found.version)}"} if machine else {},
        identity=identity,
    )


def _benchmark(entry: Entry, number: int, document: Document, path: Path) -> Benchmark:
    at = ("benchmarks", number, "stats")
    stats = entry.stats
    median = 1e9 * seconds(stats.median, path, (*at, "median"))
    least = 1e9 * seconds(stats.min, path, (*at, "min"))
    if stats.data is not None and len(stats.data) != stats.rounds:
        raise UnreadableFile(
            f"{path}: {place_of((*at, 'data'))} holds {len(stats.data)} times, and rounds says {stats.rounds}"
        )
    calls = _calls(entry, len(stats.data or ()))
    readings = tuple(
        Reading(count, round(1e9 * seconds(one, path, (*at, "data", place)) * count))
        for place, (one, count) in enumerate(zip(stats.data or (), calls, strict=True))
    )
    said = f"{time_words(median)} (median of {stats.rounds} {'round' if stats.rounds == 1 else 'rounds'})"
    return Benchmark(
        task=_task(entry, number, path),
        reason=unjudged(f"{NAME} {shown(document.version)[1:-1]}", said),
        parameters=entry.params or {},
        samples=stats.rounds,
        median_ns=whole_ns(median),
        min_ns=whole_ns(least) if least else least_ns(readings),
        readings=readings,
    )


def _calls(entry: Entry, rounds: int) -> Sequence[int]:
    """How many calls each reading is of: the same for all, but where we wrote the file ourselves."""
    ours = entry.extra_info.get(OURS)
    calls = ours.get("calls") if isinstance(ours, dict) else None
    if (
        isinstance(calls, list)
        and len(calls) == rounds
        and all(type(one) is int and 0 < one <= MOST_CALLS for one in calls)
    ):
        return calls
    return [entry.stats.iterations] * rounds


def _task(entry: Entry, number: int, path: Path) -> tuple[str, str, str, str]:
    ours = entry.extra_info.get(OURS)
    parts = (
        [ours.get(name) for name in ("operator", "backend", "implementation", "case")] if isinstance(ours, dict) else []
    )
    if parts and all(isinstance(one, str) and one for one in parts):
        where = ("benchmarks", number, "extra_info", OURS)
        operator, backend, implementation, case = (named(str(part), path, where) for part in parts)
        return operator, backend, implementation, case
    whole = named(entry.fullname, path, ("benchmarks", number, "fullname"))
    parameters = f"[{entry.param}]"
    if entry.param and entry.fullname.endswith(parameters):
        test = entry.fullname.removesuffix(parameters)
        if test:
            at = ("benchmarks", number, "param")
            return named(test, path, at), NAME, IMPORTED, named(entry.param, path, at)
    return whole, NAME, IMPORTED, WHOLE


def _machine(info: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is known of the machine in our own words, and what makes two the same."""
    cpu = info.get("cpu") if isinstance(info.get("cpu"), dict) else {}
    assert isinstance(cpu, dict)
    python = [info.get("python_implementation"), info.get("python_version")]
    found = {
        "node": info.get("node"),
        "cpu": cpu.get("brand_raw") or info.get("processor"),
        "architecture": info.get("machine"),
        "cores": cpu.get("count"),
        "system": info.get("system"),
        "kernel": info.get("release"),
        "python": " ".join(str(one) for one in python if one) or None,
    }
    known = {name: value for name, value in found.items() if value not in (None, "")}
    return known, {name: value for name, value in known.items() if name != "kernel"}


def write(run: StoredRun) -> Export:
    """A run as pytest-benchmark would have written it; as it was, if it came from there.

    Only what has a time and raw readings is in it: this format has no row for a failure, and its statistics are of the
    raw data. Raises NotWritable where that is nothing.
    """
    if run.source and run.source.format == NAME:
        return Export(run.source.files)
    rows = [record for record in run.timed if run.samples_of(record)]
    if not rows:
        raise NotWritable(f"run {run.info.run_id} has no raw readings of a time, and {NAME} is nothing without them")
    document = {
        "machine_info": _machine_info(run.machine),
        "commit_info": _commit_info(run),
        "benchmarks": [_entry(record, run) for record in rows],
        "datetime": run.started_at.astimezone(datetime.UTC).isoformat(),
        "version": f"kernel-harness {_version()}",
    }
    text = json.dumps(document, indent=4, allow_nan=False) + "\n"
    return Export({"": text}, left_out(run, {record.id for record in rows}))


def _version() -> str:
    import importlib.metadata

    return importlib.metadata.version("kernel-harness")


def _machine_info(machine: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that pytest-benchmark has, as far as they are known."""
    implementation, _, version = str(machine.get("python") or "").partition(" ")
    found = {
        "node": machine.get("node"),
        "processor": machine.get("architecture"),
        "machine": machine.get("architecture"),
        "python_implementation": implementation or None,
        "python_implementation_version": version or None,
        "python_version": version or None,
        "release": machine.get("kernel"),
        "system": machine.get("system"),
    }
    cpu = {"brand_raw": machine.get("cpu"), "count": machine.get("cores")}
    # its own `compare` asks for these names, and takes any value
    return {**found, "cpu": {name: value for name, value in cpu.items() if value is not None}}


def _commit_info(run: StoredRun) -> dict[str, Any]:
    return {
        "id": run.info.commit or "unversioned",
        "time": None,
        "author_time": None,
        "dirty": bool(run.info.dirty),
        "project": None,
        "branch": "(unknown)",
    }


def _entry(record: Record, run: StoredRun) -> dict[str, Any]:
    samples = run.samples_of(record)
    times = [per_call_ns(one) / 1e9 for one in samples]
    calls = [one.calls for one in samples]
    same = calls[0] if len(set(calls)) == 1 else 1
    ours: dict[str, Any] = {name: getattr(record, name) for name in COLUMNS if getattr(record, name) is not None}
    ours |= {"calls": calls, "processes": [one.process for one in samples]}
    return {
        "group": f"{record.operator}/{record.case}",
        "name": record.id,
        "fullname": record.id,
        "params": _parameters(record),
        "param": record.case,
        "extra_info": {OURS: _finite(ours)},
        "options": {
            "disable_gc": True,
            "timer": "perf_counter",
            "min_rounds": len(times),
            "max_time": None,
            "min_time": None,
            "warmup": True,
        },
        "stats": {**_stats(times), "data": times, "iterations": same},
    }


def _parameters(record: Record) -> dict[str, Any] | None:
    try:
        # JSON has no NaN and no infinity: they are kept as text
        found = json.loads(record.parameters, parse_constant=str)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found else None


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: it is kept as text."""
    infinite = (float("inf"), float("-inf"))
    return {
        name: str(value) if isinstance(value, float) and value in infinite else value for name, value in values.items()
    }


def _stats(times: list[float]) -> dict[str, Any]:
    """The statistics that pytest-benchmark takes of the times of a benchmark, all in seconds."""
    ordered = sorted(times)
    mean, total = statistics.mean(times), sum(times)
    deviation = statistics.stdev(times) if len(times) > 1 else 0.0
    q1, q3 = _quartiles(ordered)
    fences = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    beyond = sum(not mean - deviation <= one <= mean + deviation for one in times)
    far = sum(not fences[0] <= one <= fences[1] for one in times)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": len(times),
        "median": statistics.median(times),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": far,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{far}",
        "ld15iqr": ordered[bisect_left(ordered, fences[0])],
        "hd15iqr": ordered[max(0, bisect_right(ordered, fences[1]) - 1)],
        "ops": len(times) / total if total else 0,
        "total": total,
    }


def _quartiles(ordered: list[float]) -> tuple[float, float]:
    """As pytest-benchmark takes them: the medians of both halves, or between two readings where their number is odd."""
    count = len(ordered)
    if count == 1:
        return ordered[0], ordered[0]
    if count % 2 == 0:
        return statistics.median(ordered[: count // 2]), statistics.median(ordered[count // 2 :])
    n, over = divmod(count, 4)
    if over == 1:
        return (
            0.25 * ordered[n - 1] + 0.75 * ordered[n],
            0.75 * ordered[3 * n] + 0.25 * ordered[3 * n + 1],
        )
    return (
        0.75 * ordered[n] + 0.25 * ordered[n + 1],
        0.25 * ordered[3 * n + 1] + 0.75 * ordered[3 * n + 2],
    )

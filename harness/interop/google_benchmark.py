"""Google Benchmark's JSON (`--benchmark_format=json`): repetitions and their aggregates, wall and CPU time."""

from __future__ import annotations

import datetime
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harness.interop.files import Loose, Part, checked, named, place_of, shown
from harness.interop.imported import (
    IMPORTED,
    MOST_CALLS,
    WHOLE,
    Benchmark,
    Imported,
    Reading,
    UnreadableFile,
    cpu_median_ns,
    least_ns,
    median_ns,
    time_words,
    unique,
    unjudged,
    whole_ns,
)
from harness.interop.stored import Export, NotWritable, StoredRun, left_out, per_call_ns
from harness.record import Record, Sample

NAME = "google-benchmark"
OURS = "harness_run_id"
"""The key of `context` that says that the names are task ids of ours."""
NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
LONGEST_NS = 1e18


class Row(Loose):
    """A coefficient of variation around 0 is NaN: only what is read as a time has to be one."""

    name: str
    run_name: str | None = None
    run_type: Literal["iteration", "aggregate"] | None = None
    aggregate_name: str | None = None
    aggregate_unit: str | None = None
    family_index: int | None = None
    per_family_instance_index: int | None = None
    repetitions: int | None = Field(default=None, ge=0, le=MOST_CALLS)
    iterations: int | None = Field(default=None, ge=0, le=MOST_CALLS)
    real_time: float | None = None
    cpu_time: float | None = None
    time_unit: Literal["ns", "us", "ms", "s"] | None = None
    error_occurred: bool = False
    error_message: str = ""
    skipped: bool | None = None
    skip_message: str = ""
    label: str = ""
    big_o: str | None = None
    rms: float | None = None


class Document(Part):
    context: dict[str, Any]
    benchmarks: list[Row]


def matches(document: Any) -> bool:
    return isinstance(document, dict) and "benchmarks" in document and "context" in document


def read(document: Any, text: str, path: Path) -> Imported:
    """Raises UnreadableFile."""
    found = checked(Document, document, path)
    groups: dict[tuple[Any, ...], list[tuple[int, Row]]] = {}
    for number, row in enumerate(found.benchmarks):
        if row.big_o is None and row.rms is None and row.aggregate_name not in ("BigO", "RMS"):
            key = (row.run_name or row.name, row.family_index, row.per_family_instance_index)
            groups.setdefault(key, []).append((number, row))
    context = found.context
    ours = isinstance(context.get(OURS), str)
    machine = {
        "node": context.get("host_name"),
        "cores": context.get("num_cpus"),
        "mhz": context.get("mhz_per_cpu"),
        "build": context.get("library_build_type"),
    }
    known = {name: value for name, value in machine.items() if isinstance(value, str | int | float) and value != ""}
    return Imported(
        format=NAME,
        files={path.name: text},
        benchmarks=unique([_benchmark(rows, ours, context, path) for rows in groups.values()]),
        started_at=_date(context.get("date"), path),
        machine={**known, "imported_from": NAME} if known else {},
        # the clock rate that is told is that of the moment
        identity={name: value for name, value in known.items() if name != "mhz"} if "node" in known else {},
    )


def _date(value: Any, path: Path) -> datetime.datetime | None:
    if value is None:
        return None
    try:
        found = datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise UnreadableFile(f"{path}: context.date is {shown(value)}, which is no ISO time") from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _benchmark(rows: Sequence[tuple[int, Row]], ours: bool, context: Mapping[str, Any], path: Path) -> Benchmark:
    number, first = rows[0]
    name = named(first.run_name or first.name, path, ("benchmarks", number, "name"))
    parts = name.split("/", 3)
    task = (parts[0], parts[1], parts[2], parts[3]) if ours and len(parts) == 4 and all(parts) else None
    task = task or (name, NAME, IMPORTED, WHOLE)
    tool = f"{NAME} {shown(context['library_version'])[1:-1]}" if context.get("library_version") else NAME
    for _, row in rows:
        if row.error_occurred:
            return Benchmark(task=task, status="error", reason=f"{tool} says: {row.error_message or 'an error'}")
        if row.skipped:
            return Benchmark(
                task=task, status="unsupported", reason=f"{tool} skipped it: {row.skip_message or 'unsaid'}"
            )
    readings = [_reading(row, place, path) for place, row in rows if row.run_type != "aggregate"]
    if readings:
        middle, cpu = median_ns(readings), cpu_median_ns(readings)
        count = f"{len(readings)} {'repetition' if len(readings) == 1 else 'repetitions'}"
        exact = statistics.median(one.wall_ns / one.calls for one in readings)
        said = f"{time_words(exact)} (median of {count})"
        samples: int | None = len(readings)
    else:
        middle, cpu, samples, said = _aggregated(rows, path)
    return Benchmark(
        task=task,
        reason=unjudged(tool, said),
        samples=samples,
        median_ns=middle,
        min_ns=least_ns(readings),
        cpu_median_ns=cpu,
        readings=tuple(readings),
    )


def _reading(row: Row, number: int, path: Path) -> Reading:
    if row.real_time is None or row.iterations is None:
        lacking = "real_time" if row.real_time is None else "iterations"
        raise UnreadableFile(f"{path}: benchmarks[{number}].{lacking} is missing")
    calls = row.iterations
    if calls < 1:
        raise UnreadableFile(f"{path}: benchmarks[{number}].iterations is {calls}, and it has a time")
    wall = _ns(row, row.real_time, "real_time", number, path)
    cpu = None if row.cpu_time is None else _ns(row, row.cpu_time, "cpu_time", number, path)
    if wall * calls > LONGEST_NS or (cpu or 0.0) * calls > LONGEST_NS:
        raise UnreadableFile(f"{path}: benchmarks[{number}]: its iterations would have taken more than 30 years")
    return Reading(calls, round(wall * calls), None if cpu is None else round(cpu * calls))


def _aggregated(rows: Sequence[tuple[int, Row]], path: Path) -> tuple[int | None, int | None, int | None, str]:
    """Median, its CPU time, the repetitions, and all that in words, where a file has only aggregates."""
    for number, row in rows:
        if row.aggregate_name == "median" and row.real_time is not None:
            wall = _ns(row, row.real_time, "real_time", number, path)
            cpu = None if row.cpu_time is None else whole_ns(_ns(row, row.cpu_time, "cpu_time", number, path))
            return whole_ns(wall), cpu, row.repetitions, f"{time_words(wall)} (its own median)"
    names = ", ".join(shown(row.aggregate_name) for _, row in rows)
    return None, None, None, f"no time that is a median, only {names}"


def _ns(row: Row, value: float, key: str, number: int, path: Path) -> float:
    if row.time_unit is None:
        raise UnreadableFile(f"{path}: benchmarks[{number}].time_unit is missing")
    if not 0.0 <= value * NS[row.time_unit] < LONGEST_NS:
        raise UnreadableFile(f"{path}: {place_of(('benchmarks', number, key))} is {shown(value)}, which is no time")
    return value * NS[row.time_unit]


def write(run: StoredRun) -> Export:
    """A run as Google Benchmark would have written it, one repetition per reading; as it was, if it came from there.

    Only what has a time is in it: the format's rows of errors hold zeros for times, which its own compare.py shows as
    an improvement. Raises NotWritable.
    """
    if run.source and run.source.format == NAME:
        return Export(run.source.files)
    rows: list[dict[str, Any]] = []
    written = set()
    for family, record in enumerate(run.timed):
        rows += _rows(record, run.samples_of(record), family)
        written.add(record.id)
    if not rows:
        raise NotWritable(f"run {run.info.run_id} has no time, and {NAME} is nothing without one")
    machine = run.machine
    context: dict[str, Any] = {
        "date": run.started_at.isoformat(timespec="seconds"),
        "host_name": machine.get("node") or run.info.machine_id,
        "executable": "harness",
        "num_cpus": machine.get("cores"),
        "caches": [],
        "library_version": "kernel-harness",
        "json_schema_version": 1,
        OURS: run.info.run_id,
    }
    document = {"context": {name: value for name, value in context.items() if value is not None}, "benchmarks": rows}
    return Export({"": json.dumps(document, indent=2, allow_nan=False) + "\n"}, left_out(run, written))


def _rows(record: Record, samples: Sequence[Sample], family: int) -> list[dict[str, Any]]:
    about: dict[str, Any] = {
        "name": record.id,
        "family_index": family,
        "per_family_instance_index": 0,
        "run_name": record.id,
        "run_type": "iteration",
        "repetitions": max(1, len(samples)),
        "threads": 1,
    }
    if not samples:
        # the median is all that is known: an aggregate, as with --benchmark_report_aggregates_only
        aggregate = {**about, "name": f"{record.id}_median", "run_type": "aggregate", "aggregate_name": "median"}
        aggregate |= {"repetitions": record.samples or 1, "aggregate_unit": "time", "iterations": record.samples or 1}
        return [{**aggregate, **_times(float(record.median_ns or 0), _float(record.cpu_median_ns))}]
    walls = [per_call_ns(one) for one in samples]
    cpus = [None if one.cpu_ns is None else one.cpu_ns / one.calls for one in samples]
    rows = [
        {**about, "repetition_index": number, "iterations": one.calls, **_times(walls[number], cpus[number])}
        for number, one in enumerate(samples)
    ]
    if len(samples) > 1:
        known = [one for one in cpus if one is not None]
        whole = {**about, "run_type": "aggregate", "iterations": len(samples)}
        rows += [
            {**whole, "name": f"{record.id}_{name}", "aggregate_name": name, "aggregate_unit": "time",
             **_times(take(walls), take(known) if len(known) == len(cpus) else None)}
            for name, take in (("mean", statistics.fmean), ("median", statistics.median), ("stddev", statistics.stdev))
        ]  # fmt: skip
    return rows


def _float(value: int | None) -> float | None:
    return None if value is None else float(value)


def _times(wall: float, cpu: float | None) -> dict[str, Any]:
    """Both times in ns; CPU time is not there where nobody took it."""
    return {"real_time": wall, **({} if cpu is None else {"cpu_time": cpu}), "time_unit": "ns"}

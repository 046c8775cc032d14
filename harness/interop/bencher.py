"""Bencher Metric Format: benchmark -> measure -> value with optional bounds; the measure `latency` is in ns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.interop.files import Part, named, place_of, shown
from harness.interop.imported import (
    IMPORTED,
    WHOLE,
    Benchmark,
    Imported,
    UnreadableFile,
    time_words,
    unique,
    unjudged,
    whole_ns,
)
from harness.interop.stored import Export, NotWritable, StoredRun, left_out

NAME = "bencher"
LATENCY = "latency"
LONGEST_NS = 1e18


class Metric(Part):
    value: float
    lower_value: float | None = None
    upper_value: float | None = None


_METRICS = TypeAdapter(dict[str, Metric])


def matches(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and bool(document)
        and all(
            isinstance(measures, dict)
            and bool(measures)
            and all(isinstance(metric, dict) and "value" in metric for metric in measures.values())
            for measures in document.values()
        )
    )


def read(document: Any, text: str, path: Path) -> Imported:
    """Raises UnreadableFile. The format says neither when nor where it was measured."""
    if not isinstance(document, dict):
        raise UnreadableFile(f"{path}: the whole is {shown(document)}; it has to be an object with a key per benchmark")
    return Imported(
        format=NAME,
        files={path.name: text},
        benchmarks=unique([_benchmark(name, measures, path) for name, measures in document.items()]),
    )


def _benchmark(name: str, measures: Any, path: Path) -> Benchmark:
    try:
        metrics = _METRICS.validate_python(measures)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        found = "" if first["type"] == "missing" else f" is {shown(first['input'])}"
        raise UnreadableFile(f"{path}: {place_of((name, *first['loc']))}{found}: {first['msg']}") from None
    task = (named(name, path, (name,)), NAME, IMPORTED, WHOLE)
    if LATENCY not in metrics:
        said = ", ".join(f"{shown(measure)[1:-1]} {metric.value:g}" for measure, metric in metrics.items())
        return Benchmark(task=task, reason=unjudged(NAME, f"no latency, but {said or 'nothing'}"))
    value = metrics[LATENCY].value
    if not 0.0 <= value < LONGEST_NS:
        raise UnreadableFile(f"{path}: {place_of((name, LATENCY, 'value'))} is {value:g}, which is no time in ns")
    return Benchmark(
        task=task,
        reason=unjudged(NAME, f"{time_words(value)} (of which statistic, it does not say)"),
        median_ns=whole_ns(value),
    )


def write(run: StoredRun) -> Export:
    """The median as `latency` in ns with its 95 % interval; as it was, if it came from there. Raises NotWritable."""
    if run.source and run.source.format == NAME:
        return Export(run.source.files)
    document: dict[str, dict[str, dict[str, float]]] = {}
    for record in run.timed:
        metric = {"value": float(record.median_ns or 0)}
        if record.ci_low_ns is not None and record.ci_high_ns is not None:
            metric |= {"lower_value": float(record.ci_low_ns), "upper_value": float(record.ci_high_ns)}
        document[record.id] = {LATENCY: metric}
    if not document:
        raise NotWritable(f"run {run.info.run_id} has no time, and {NAME} is nothing without one")
    return Export({"": json.dumps(document, indent=2, allow_nan=False) + "\n"}, left_out(run, set(document)))

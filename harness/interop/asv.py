"""asv's results, version 2: results/<machine>/<hash>-<environment>.json, machine.json beside it, benchmarks.json above.

Times in seconds; a list has one entry per combination of parameters; null is failed, NaN skipped."""

from __future__ import annotations

import ast
import datetime
import itertools
import math
import re
import statistics
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.interop.files import Loose, checked, document_of, named, place_of, seconds, shown, text_of
from harness.interop.imported import (
    IMPORTED,
    LONGEST_NAME,
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

NAME = "asv"
OURS = "kernel_harness"
"""The key of a benchmark of benchmarks.json under which its task is kept that was written by us."""
VERSION = 2
BENCHMARKS, MACHINE = "benchmarks.json", "machine.json"
MOST_COMBINATIONS = 1_000_000
_TIMES = re.compile(r"^(Time[A-Z_].+|time_.+|Timeraw[A-Z_].+|timeraw_.+)$")


class Results(Loose):
    commit_hash: str = Field(min_length=1)
    env_name: str
    date: int
    params: dict[str, Any]
    python: str | None = None
    requirements: dict[str, Any] = Field(default_factory=dict)
    env_vars: dict[str, Any] = Field(default_factory=dict)
    result_columns: list[str]
    results: dict[str, list[Any]]
    version: int


class Row(Loose):
    """One benchmark: lists in the order of the product of its parameters; a list may be absent."""

    result: list[float | None] | None = None
    params: list[list[str]] = Field(default_factory=list)
    stats_number: list[int | float | None] | None = None
    samples: list[list[float] | None] | None = None


class Known(Loose):
    """A benchmark as benchmarks.json describes it."""

    param_names: list[str] = Field(default_factory=list)
    type: str | None = None
    unit: str | None = None
    kernel_harness: dict[str, Any] | None = None


def matches(document: Any) -> bool:
    return isinstance(document, dict) and "results" in document and "commit_hash" in document


def read(document: Any, text: str, path: Path) -> Imported:
    """A file of results, with what machine.json and benchmarks.json say where they are at their places.

    Raises UnreadableFile.
    """
    if document.get("version") != VERSION:
        raise UnreadableFile(
            f"{path}: version is {shown(document.get('version'))}; version {VERSION} is read: type `asv update`"
        )
    found = checked(Results, document, path)
    files = {path.name: text}
    machine = _beside(path.parent / MACHINE, MACHINE, files) if path.name != MACHINE else {}
    known = _beside(path.parent.parent / BENCHMARKS, f"../{BENCHMARKS}", files)
    benchmarks: list[Benchmark] = []
    for name, cells in found.results.items():
        if len(cells) > len(found.result_columns):
            raise UnreadableFile(
                f"{path}: {place_of(('results', name))} has {len(cells)} columns, "
                f"and result_columns names {len(found.result_columns)}"
            )
        row = checked(Row, dict(zip(found.result_columns, cells, strict=False)), path, ("results", name))
        about = checked(Known, known[name], path.parent.parent / BENCHMARKS, (name,)) if name in known else None
        benchmarks += _benchmarks(name, row, about, path)
    about_machine = {**found.params, **{key: value for key, value in machine.items() if key != "version"}}
    names = {"machine": "node", "arch": "architecture", "num_cpu": "cores", "os": "system", "ram": "memory"}
    described = {names.get(key, key): value for key, value in about_machine.items() if value not in (None, "")}
    described |= {"environment": found.env_name, "libraries": dict(found.requirements), "variables": found.env_vars}
    return Imported(
        format=NAME,
        files=files,
        benchmarks=unique(benchmarks),
        started_at=_moment(found.date, path),
        commit=found.commit_hash,
        machine={**described, "imported_from": NAME},
        identity={**described, "system": None},
        notes=("the times are placed at the date of their commit, as asv places them",),
    )


def _beside(path: Path, name: str, files: dict[str, str]) -> Mapping[str, Any]:
    """A file of the layout, if it is there; what it holds is kept."""
    if not path.is_file():
        return {}
    text = text_of(path)
    found = document_of(text, path)
    if not isinstance(found, dict):
        raise UnreadableFile(f"{path}: the whole is {shown(found)}; it has to be an object")
    files[name] = text
    return found


def _moment(date_ms: int, path: Path) -> datetime.datetime:
    try:
        return datetime.datetime.fromtimestamp(date_ms / 1000.0, datetime.UTC)
    except (OverflowError, ValueError, OSError):
        raise UnreadableFile(f"{path}: date is {date_ms}, which is no time in ms since 1970") from None


def _benchmarks(name: str, row: Row, known: Known | None, path: Path) -> Iterable[Benchmark]:
    """One benchmark per combination of parameters."""
    at = ("results", name)
    count = math.prod(len(one) for one in row.params)
    if count > MOST_COMBINATIONS:
        raise UnreadableFile(f"{path}: {place_of((*at, 'params'))} makes {count} combinations; no tool ran so many")
    for column in ("result", "stats_number", "samples"):
        cells = getattr(row, column)
        if cells is not None and len(cells) != count:
            raise UnreadableFile(
                f"{path}: {place_of((*at, column))} holds {len(cells)} entries, and its params make {count}"
            )
    ours = _ours(known, row, path, at)
    shown_name = named(name, path, at)
    for number, values in enumerate(itertools.product(*row.params)):
        case = named(", ".join(values), path, (*at, "params")) if values else WHOLE
        task = (*ours[:3], ours[3][number]) if ours else (shown_name, NAME, IMPORTED, case)
        names = known.param_names if known and len(known.param_names) == len(values) else []
        parameters = dict(zip(names, values, strict=True)) if names else {}
        yield _benchmark(task, parameters, row, number, known, name, path)


def _ours(known: Known | None, row: Row, path: Path, at: tuple[str, ...]) -> tuple[str, str, str, list[str]] | None:
    """The task of a benchmark that we wrote, and its cases in order.

    The cases are those of the row itself: benchmarks.json is of all commits, and says nothing of this one's.
    """
    ours = known.kernel_harness if known else None
    if not ours or len(row.params) != 1:
        return None
    parts = [ours.get(part) for part in ("operator", "backend", "implementation")]
    cases = [literal_text(one) for one in row.params[0]]
    if not all(isinstance(one, str) and one for one in (*parts, *cases)):
        return None
    operator, backend, implementation = (named(str(one), path, at) for one in parts)
    return operator, backend, implementation, [named(str(one), path, (*at, "params")) for one in cases]


def literal_text(value: str) -> str | None:
    """The text that a literal of Python stands for; None where it is of no text."""
    if not value.startswith(("'", '"')) or len(value) > 20 * LONGEST_NAME:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            found = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def _benchmark(
    task: tuple[str, str, str, str],
    parameters: Mapping[str, Any],
    row: Row,
    number: int,
    known: Known | None,
    name: str,
    path: Path,
) -> Benchmark:
    at = ("results", name, "result", number)
    value = row.result[number] if row.result is not None else None
    if value is None:
        return Benchmark(task=task, parameters=parameters, status="error", reason=f"{NAME} says that it failed")
    if math.isnan(value):
        return Benchmark(task=task, parameters=parameters, status="unsupported", reason=f"{NAME} skipped it")
    if known is not None and (known.type == "peakmemory" or known.unit == "bytes"):
        if not 0 <= value < 2**63:
            raise UnreadableFile(f"{path}: {place_of(at)} is {value}, which is no number of bytes")
        said = f"{value:.0f} bytes"
        peak = round(value) if known.type == "peakmemory" else None
        return Benchmark(task=task, parameters=parameters, reason=unjudged(NAME, said), peak_bytes=peak)
    is_time = known.unit == "seconds" if known else bool(_TIMES.match(name.rpartition(".")[2]))
    if not is_time:
        unit = f" {shown(known.unit)[1:-1]}" if known and known.unit else ""
        return Benchmark(task=task, parameters=parameters, reason=unjudged(NAME, f"{value:g}{unit}, which is no time"))
    median = 1e9 * seconds(value, path, at)
    calls = row.stats_number[number] if row.stats_number is not None else None
    count = int(calls) if calls is not None and 1 <= calls <= MOST_CALLS else 1
    raw = (row.samples[number] if row.samples is not None else None) or []
    readings = tuple(
        Reading(count, round(1e9 * seconds(one, path, ("results", name, "samples", number, place)) * count))
        for place, one in enumerate(raw)
    )
    said = f"{time_words(median)} (median{f' of {len(readings)} samples' if readings else ''})"
    return Benchmark(
        task=task,
        parameters=parameters,
        reason=unjudged(NAME, said),
        samples=len(readings) or None,
        median_ns=whole_ns(median),
        min_ns=least_ns(readings),
        readings=readings,
    )


def median_interval(times: list[float], miss: float = 0.01) -> tuple[float, float]:
    """The 99 % interval of the median between two order statistics; without ends where there are too few."""
    ordered, count = sorted(times), len(times)
    below, term, rank = 0.0, 0.5**count if count < 1000 else 0.0, 0
    while rank < count // 2 and 2.0 * (below + term) <= miss and term > 0.0:
        below += term
        rank += 1
        term *= (count - rank + 1) / rank
    return (ordered[rank - 1], ordered[count - rank]) if rank else (-math.inf, math.inf)


def quartiles(times: list[float]) -> tuple[float, float]:
    if len(times) < 2:
        return times[0], times[0]
    first, _, third = statistics.quantiles(times, n=4, method="inclusive")
    return first, third

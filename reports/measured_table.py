"""What a measurement on a GPU found, as files: a table to read, the same as CSV, and everything as JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .event_clock import CLOCKS
from .export import _md as inert
from .job import Row
from .words import number, time_words, unit_for

COLUMNS = tuple(field.name for field in dataclasses.fields(Row) if field.name != "samples_ns")
MOST_LISTED = 40
RIVAL = "torch_cuda/builtin"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that one run found; JSON-able. `gpu` and `states` are what the device said of itself, `wrong` and
    `differ` tasks of the conformance part, `not_reached` cases of the table."""

    device: str
    other: str
    command: str
    started_at: str
    seconds: float
    commit: str | None
    dirty: bool | None
    seed: int
    machine: dict[str, Any]
    gpu: dict[str, Any]
    states: dict[str, Any]
    missing: dict[str, str]
    conformance: dict[str, dict[str, int]]
    known: int
    wrong: list[dict[str, str]]
    on_both: int
    differ: list[dict[str, str]]
    rows: tuple[Row, ...]
    not_reached: tuple[str, ...]
    problems: tuple[str, ...]


def write(outcome: Outcome, folder: Path) -> list[Path]:
    """The three files, named by the day and the device; one that is there already is replaced."""
    stem = folder / f"{outcome.started_at[:10]}-{outcome.device}"
    texts = {".md": markdown(outcome), ".csv": _csv(outcome.rows), ".json": _json(outcome)}
    paths = []
    for suffix, text in texts.items():
        path = stem.with_name(stem.name + suffix)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def _json(outcome: Outcome) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value

    return json.dumps(plain(dataclasses.asdict(outcome)), indent=1, allow_nan=False) + "\n"


def _csv(rows: Iterable[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(["" if (value := getattr(row, name)) is None else value for name in COLUMNS])
    return out.getvalue()


def markdown(outcome: Outcome) -> str:
    """The table with what it rests on, and the command that makes it again."""
    where = outcome.gpu.get("gpu") or "no GPU"
    parts = [f"# Kernels on {inert(where)}, {outcome.started_at[:10]}", ""]
    warning = CLOCKS[outcome.device].warning
    if warning:
        parts += [f"**{warning}**", ""]
    parts += ["Made again by", "", f"    {outcome.command} --out FOLDER", ""]
    parts += [*_about(outcome), "", *_conformance(outcome), ""]
    for operator in dict.fromkeys(row.operator for row in outcome.rows):
        parts += _operator(operator, [row for row in outcome.rows if row.operator == operator])
    parts += _left(outcome)
    return "\n".join(parts).rstrip() + "\n"


def _about(outcome: Outcome) -> list[str]:
    commit = f"{(outcome.commit or 'none')[:12]}{' with changes' if outcome.dirty else ''}"
    said = [f"Commit {commit}, seed {outcome.seed}, {outcome.seconds:.0f} s in all."]
    state = outcome.gpu.get("state", {})
    if "driver_version" in state:
        clocks = f"{state.get('clocks.sm')} and {state.get('clocks.mem')}"
        said.append(f"Driver {state['driver_version']}; clocks at the start {clocks} (memory); none was changed.")
    versions = outcome.machine.get("kernels", {})
    said.append("Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
    said.append(
        "Times are medians of device events, with 95 % intervals (bootstrap over rounds); in each round every "
        "implementation of a case, and the copies, run once in random order, after a read of 1 GiB that leaves nothing "
        "of the case in a cache. Answers were judged before and after, as the last column says. % of copy holds bytes "
        "that the operator needs over that time against the quickest copy of as many bytes in the same rounds. "
        "“From the host” is one call on an idle device until its answer is there, launches included."
    )
    return [inert(line) for line in said]


def _conformance(outcome: Outcome) -> list[str]:
    parts = ["## Conformance", "", "| backend | tasks |", "|---|---|"]
    for backend, counts in outcome.conformance.items():
        words = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
        why = f" ({inert(outcome.missing[backend])})" if backend in outcome.missing else ""
        parts.append(f"| {inert(backend)} | {words}{why} |")
    known = f" {outcome.known} failures are known." if outcome.known else ""
    parts += [
        "",
        f"{outcome.on_both} tasks ran on {inert(outcome.device)} and on {inert(outcome.other)}; the verdicts of "
        f"{len(outcome.differ)} differ.{known}",
    ]
    for one in outcome.differ[:MOST_LISTED]:
        verdicts = "; ".join(f"{inert(name)}: {inert(one[name])}" for name in (outcome.device, outcome.other))
        parts.append(f"- {inert(one['task'])}: {verdicts}")
    if outcome.wrong:
        parts += ["", f"{len(outcome.wrong)} are wrong:"]
    parts += [f"- {inert(one['id'])}: {one['status']}: {inert(one['reason'])}" for one in outcome.wrong[:MOST_LISTED]]
    return parts


def _operator(operator: str, rows: Sequence[Row]) -> list[str]:
    by_case: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_case[row.case].append(row)
    cases = sorted(by_case, key=_size_of)
    parts = [f"## {inert(operator)}", "", "% of the copy ceiling:", "", *_overview(cases, by_case), ""]
    for case in cases:
        parts += [f"### {inert(operator)} {inert(case)}", "", *_table(by_case[case]), ""]
    return parts


def _size_of(case: str) -> tuple[int, list[int]]:
    """Vectors before matrices, and then by size; `case` is a case's id."""
    sizes = [int(one) for one in case[case.index("[") + 1 : case.index("]")].split("x")]
    return len(sizes), sizes


def _overview(cases: Sequence[str], by_case: dict[str, list[Row]]) -> list[str]:
    """One line for each case, one column for each implementation that has a time anywhere."""
    names = list(dict.fromkeys(_name(row) for case in cases for row in by_case[case] if row.percent_of_limit))
    parts = [f"| case | {' | '.join(map(inert, names))} |", "|---" + "|---:" * len(names) + "|"]
    for case in cases:
        found = {_name(row): number(row.percent_of_limit, 3) for row in by_case[case]}
        parts.append(f"| {inert(case)} | {' | '.join(found.get(name, '-') for name in names)} |")
    return parts


def _table(rows: Sequence[Row]) -> list[str]:
    timed = sorted((row for row in rows if row.median_ns is not None), key=lambda row: row.median_ns or 0.0)
    parts: list[str] = []
    if timed:
        divisor, unit = unit_for([row.median_ns or 1.0 for row in timed])
        rival = next((row.median_ns for row in timed if _name(row) == RIVAL), None)
        head = f"| implementation | median {unit} | 95 % interval | GB/s | % of copy | times {RIVAL} | launches "
        parts += [inert_row(head + "| host round trips | from the host µs | error/bound | judged |"), "|---" * 11 + "|"]
        parts += [_line(row, divisor, rival) for row in timed]
    for row in rows:
        if row.median_ns is None:
            why = row.reason or "no time was taken"
            parts += [""] * (not parts or not parts[-1].startswith("- "))
            parts.append(f"- {inert(_name(row))}: {row.status}: {inert(why)}")
    return parts


def inert_row(text: str) -> str:
    return text.replace("_", "\\_")


def _line(row: Row, divisor: float, rival: float | None) -> str:
    assert row.median_ns is not None and row.ci_low_ns is not None and row.ci_high_ns is not None
    median, interval = time_words(row.median_ns, row.ci_low_ns, row.ci_high_ns, divisor)
    limit = f"{number(row.percent_of_limit, 3)} ({number(row.percent_low, 3)} - {number(row.percent_high, 3)})"
    cells = [
        inert(_name(row)),
        median,
        interval,
        number(row.gb_per_s, 4),
        limit,
        "-" if rival is None or row.backend == "copy" else f"{row.median_ns / rival:.2f}",
        _count(row.launches),
        _count(row.host_round_trips),
        "-" if row.host_ns is None else number(row.host_ns / 1e3, 3),
        number(row.error_over_bound, 2),
        inert(row.checked) or "-",
    ]
    return f"| {' | '.join(cells)} |"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _name(row: Row) -> str:
    return f"{row.backend}/{row.implementation}"


def _left(outcome: Outcome) -> list[str]:
    parts: list[str] = []
    if outcome.not_reached:
        parts += ["## Not reached", "", "There was no time left for " + ", ".join(map(inert, outcome.not_reached)) + "."]
    if outcome.problems:
        parts += ["", "## What went wrong on the way", "", *(f"- {inert(one)}" for one in outcome.problems)]
    return parts

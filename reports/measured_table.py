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

from harness.timing.device.state import SLOWED, State
from harness.whole import write_whole

from .arrays import PLACES
from .job import SAMPLES, Row
from .words import number, plain, time_words, unit_for

COLUMNS = tuple(field.name for field in dataclasses.fields(Row) if field.name not in SAMPLES)
RIVAL = "torch_cuda/builtin"
HEADINGS = (
    "implementation",
    "median UNIT",
    "95 % interval",
    "GB/s",
    "% of copy",
    "its interval",
    "time / torch's",
    "launches",
    "host round trips",
    "in a graph µs",
    "launch µs",
    "from the host µs",
    "not clean",
    "error/bound",
    "judged",
)
METHOD = """\
Times are medians of device events with 95 % intervals (bootstrap over rounds). In each round every implementation of a
case, and two ways to copy, run once in random order. Before each call a read of four times the L2 cache leaves nothing
of the case there, and the stream is kept busy until the host has queued the call; where a call waits for the device,
that is in its time. Now and then a call is timed without that, until the whole device is idle, so that work on another
stream is seen. Inputs of 8 GiB and more are measured one library after the other, each with the copies. Answers were
judged before and after, as the last column says. “% of copy” holds the bytes that the operator needs, over the median,
against the rate of the quicker copy of as many bytes (8 GiB at most) in the same rounds. “In a graph” is a short call's
time in a replayed graph with a cold cache, where nothing is launched one by one. By the host's clock, on an idle
device: “launch” is the time until a call returned, “from the host” until its answer was there. “Not clean” counts
rounds in which the SM clock fell or the driver named a reason to slow down; they are kept. “-” does not apply, or is
not counted."""
MOST_LISTED = 40


def code(text: str) -> str:
    """Text as code, which is inert in markdown, in tables too."""
    return f"`{plain(text).replace('`', chr(39)).replace('|', '/')}`"


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
        write_whole(path, text)
        paths.append(path)
    return paths


def _json(outcome: Outcome) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)
        if isinstance(value, dict):
            return {name: plain(one) for name, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value

    data = plain(dataclasses.asdict(outcome))
    rows = ",\n  ".join(json.dumps(row, allow_nan=False) for row in data.pop("rows"))
    # a row a line: indented samples would be thousands of lines
    return f'{json.dumps(data, indent=1, allow_nan=False)[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n'


def _csv(rows: Iterable[Row]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(["" if (value := getattr(row, name)) is None else value for name in COLUMNS])
    return out.getvalue()


def markdown(outcome: Outcome) -> str:
    """The table with what it rests on, and the command that makes it again."""
    parts = [f"# Kernels on {outcome.gpu.get('gpu') or 'no GPU'}, {outcome.started_at[:10]}", ""]
    warning = PLACES[outcome.device].warning
    if warning:
        parts += [f"**{warning}**", ""]
    parts += ["Made again by", "", f"    {outcome.command}", "", *_about(outcome), "", *_conformance(outcome), ""]
    for operator in dict.fromkeys(row.operator for row in outcome.rows):
        parts += _operator(operator, [row for row in outcome.rows if row.operator == operator])
    if outcome.not_reached:
        parts += ["## Not reached", "", f"No time was left for {', '.join(map(code, outcome.not_reached))}.", ""]
    if outcome.problems:
        parts += ["## What went wrong on the way", "", *(f"- {code(one)}" for one in outcome.problems)]
    return "\n".join(parts).rstrip() + "\n"


def _about(outcome: Outcome) -> list[str]:
    commit = f"{(outcome.commit or 'none')[:12]}{' with changes' if outcome.dirty else ''}"
    said = [f"Commit {commit}, seed {outcome.seed}, {outcome.seconds:.0f} s in all."]
    state = outcome.gpu.get("state", {})
    if state.get("driver"):
        clocks = f"{_mhz(state.get('sm_mhz'))}, memory {_mhz(state.get('memory_mhz'))}"
        said.append(f"Driver {state['driver']}; clocks before the first case {clocks}; no setting was changed.")
    if state.get("problem"):
        said.append(f"Clocks are not known: {code(state['problem'])}.")
    said += _clocks([State(**one["after"]) for one in outcome.states.values() if one])
    versions = {**outcome.machine.get("kernels", {}), **outcome.gpu.get("versions", {})}
    said += [f"Versions: {', '.join(f'{name} {version}' for name, version in versions.items())}.", "", METHOD]
    return said


def _mhz(clock: float | None) -> str:
    return "not known" if clock is None else f"{clock:.0f} MHz"


def _clocks(states: Sequence[State]) -> list[str]:
    """How fast the device ran after the cases, and whether its driver gave a reason to slow it down."""
    clocks = [one.sm_mhz for one in states if one.sm_mhz is not None]
    if not clocks:
        return []
    slowed = [one for one in states if one.slowed_by]
    ran = f"Clocks after the cases {_mhz(min(clocks))} to {_mhz(max(clocks))}; "
    if not slowed:
        return [f"{ran}the driver named no reason to slow down."]
    reasons = ", ".join(words for words in SLOWED.values() if any(words in one.slowed_by for one in slowed))
    return [f"{ran}after {len(slowed)} of {len(states)} the driver named reasons to slow down ({reasons})."]


def _conformance(outcome: Outcome) -> list[str]:
    parts = ["## Conformance", "", "| backend | tasks |", "|---|---|"]
    for backend, counts in outcome.conformance.items():
        words = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in counts.items() if count)
        why = f": {code(outcome.missing[backend])}" if backend in outcome.missing else ""
        parts.append(f"| {code(backend)} | {words}{why} |")
    parts += [
        "",
        f"{outcome.on_both} tasks ran on {code(outcome.device)} and on {code(outcome.other)}; the verdicts of "
        f"{len(outcome.differ)} differ." + (f" {outcome.known} failures are known." if outcome.known else ""),
    ]
    for one in outcome.differ[:MOST_LISTED]:
        verdicts = "; ".join(f"{name}: {code(one[name])}" for name in (outcome.device, outcome.other))
        parts.append(f"- {code(one['task'])} {verdicts}")
    if outcome.wrong:
        parts += ["", f"{len(outcome.wrong)} are wrong:"]
    parts += [f"- {code(one['id'])} {one['status']}: {code(one['reason'])}" for one in outcome.wrong[:MOST_LISTED]]
    return parts


def _operator(operator: str, rows: Sequence[Row]) -> list[str]:
    by_case: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_case[row.case].append(row)
    cases = sorted(by_case, key=_size_of)
    parts = [f"## {operator}", "", "Percent of the copy ceiling:", "", *_overview(cases, by_case), ""]
    for case in cases:
        parts += [f"### {operator} {code(case)}", "", *_table(by_case[case]), ""]
    return parts


def _size_of(case: str) -> tuple[int, list[int]]:
    """Vectors before matrices, and then by size; `case` is a case's id."""
    sizes = [int(one) for one in case[case.index("[") + 1 : case.index("]")].split("x")]
    return len(sizes), sizes


def _overview(cases: Sequence[str], by_case: dict[str, list[Row]]) -> list[str]:
    """One line for each implementation that has a time anywhere, one column for each case."""
    names = list(dict.fromkeys(_name(row) for case in cases for row in by_case[case] if row.percent_of_limit))
    found = {(_name(row), case): number(row.percent_of_limit, 3) for case in cases for row in by_case[case]}
    parts = [f"| implementation | {' | '.join(map(_shape, cases))} |", "|---" + "|---:" * len(cases) + "|"]
    for name in names:
        parts.append(f"| {code(name)} | {' | '.join(found.get((name, case), '-') for case in cases)} |")
    return parts


def _shape(case: str) -> str:
    _, sizes = _size_of(case)
    power = sizes[0].bit_length() - 1
    return f"2^{power}" if sizes == [1 << power] else " x ".join(map(str, sizes))


def _table(rows: Sequence[Row]) -> list[str]:
    timed = sorted((row for row in rows if row.median_ns is not None), key=lambda row: row.median_ns or 0.0)
    parts: list[str] = []
    if timed:
        divisor, unit = unit_for([row.median_ns or 1.0 for row in timed])
        rival = next((row.median_ns for row in timed if _name(row) == RIVAL), None)
        parts += [f"| {' | '.join(HEADINGS)} |".replace("UNIT", unit), "|---" + "|---:" * (len(HEADINGS) - 2) + "|---|"]
        parts += [_line(row, divisor, rival) for row in timed]
    hidden = [row for row in timed if "hidden" in row.timing]
    without = [row for row in rows if row.median_ns is None]
    if timed and (hidden or without):
        parts.append("")
    parts += [f"- {code(_name(row))} is timed until the device was idle: {code(row.timing)}" for row in hidden]
    return parts + [f"- {code(_name(row))} {row.status}: {code(row.reason or 'no time was taken')}" for row in without]


def _line(row: Row, divisor: float, rival: float | None) -> str:
    assert row.median_ns is not None and row.ci_low_ns is not None and row.ci_high_ns is not None
    median, interval = time_words(row.median_ns, row.ci_low_ns, row.ci_high_ns, divisor)
    cells = [
        code(_name(row)),
        median,
        interval,
        number(row.gb_per_s, 4),
        number(row.percent_of_limit, 3),
        f"{number(row.percent_low, 3)} - {number(row.percent_high, 3)}",
        "-" if rival is None or row.backend == "copy" else f"{row.median_ns / rival:.2f}",
        "-" if row.launches is None else str(row.launches),
        "-" if row.host_round_trips is None else str(row.host_round_trips),
        _us(row.graph_ns),
        "waits" if row.waits else _us(row.launch_ns),
        _us(row.host_ns),
        "-" if row.contaminated is None else f"{row.contaminated} of {row.samples}",
        number(row.error_over_bound, 2),
        row.checked or "-",
    ]
    return f"| {' | '.join(cells)} |"


def _us(ns: float | None) -> str:
    return "-" if ns is None else number(ns / 1e3, 3)


def _name(row: Row) -> str:
    return f"{row.backend}/{row.implementation}"

"""A comparison in words and in rows: what to read first, changes in percent, frames, CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.comparing.verdicts import CLOCKS, VERDICTS, Compared, Comparison
from harness.whole import replacing, write_whole

from .frame import IDENTITY, Kind, kinds_of, typed
from .inert import cell, jsonable
from .words import number, plain, unit_for

if TYPE_CHECKING:
    import pandas as pd

WORST_FIRST = ("FAILED", "SLOWER", "MISSING", "UNCLEAR", "NEW", "FASTER", "SAME")
IN_WORDS = {
    "FAILED": "wrong in HEAD",
    "SLOWER": "slower",
    "MISSING": "missing in HEAD",
    "UNCLEAR": "unclear",
    "NEW": "new",
    "FASTER": "faster",
    "SAME": "the same",
}
EXIT_WORDS = {
    0: "all well",
    1: "a regression",
    3: "something is wrong in HEAD",
    4: "unclear",
    5: "tasks are missing, or nothing was compared",
}
CLOCK_WORDS = {"cpu": "CPU", "wall": "wall", "device": "device"}
COLUMNS = tuple(field.name for field in dataclasses.fields(Compared))
LEAST_SHOWN = 5e-4
"""A change of fewer percent is written as none."""
FORMATS = ("markdown", "csv", "json", "junit", "html", "parquet", "latex")

_KINDS: Mapping[str, Kind] = {
    **IDENTITY,
    "verdict": VERDICTS,
    "clock": CLOCKS,
    "code_path": ("unchanged", "changed"),
}


def ordered(rows: Iterable[Compared]) -> list[Compared]:
    """The worst first: by verdict, then by how much slower, then by name."""
    return sorted(rows, key=lambda row: (WORST_FIRST.index(row.verdict), -_finite(row.ratio), row.id))


def _finite(ratio: float | None) -> float:
    return ratio if ratio is not None and not math.isnan(ratio) else 0.0


def headline(comparison: Comparison) -> str:
    """The first thing to know, as sentences; that the machine changed before what the tasks did apart from it."""
    if comparison.machine:
        said = comparison.machine.partition(" (")[0]
        return f"{said[0].upper()}{said[1:]}. Apart from that: {_tasks_headline(comparison)}"
    return _tasks_headline(comparison)


def _tasks_headline(comparison: Comparison) -> str:
    total = len(comparison.rows)
    counts = {verdict: comparison.count(verdict) for verdict in WORST_FIRST}
    if not total:
        return "Nothing was compared."
    each = "the one task" if total == 1 else f"any of {total} tasks"
    if all(row.identical for row in comparison.rows):
        return f"Source and environment are identical on both sides: there is no change in {each}."
    if counts["SAME"] == total:
        return f"No change beyond its threshold was seen in {each}."
    parts = [f"{n} {'is' if n == 1 else 'are'} {IN_WORDS[verdict]}" for verdict, n in counts.items() if n]
    listed = ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
    text = f"Of {total} {'task' if total == 1 else 'tasks'}, {listed}."
    if not any(counts[verdict] for verdict in ("SAME", "FASTER", "SLOWER", "UNCLEAR")):
        text += " None was compared."
    return text


def percent(ratio: float | None) -> str:
    """A ratio as a change with its sign: 1.031 is `+3.1 %`."""
    if ratio is None or math.isnan(ratio):
        return "-" if ratio is None else "?"
    value = 100 * (ratio - 1)
    text = number(value, 2) if abs(value) >= LEAST_SHOWN else "0"
    return f"{text if text.startswith('-') or text == '0' else '+' + text} %"


def change(ratio: float | None, low: float | None, high: float | None) -> str:
    """A ratio and its interval as changes, `+3.1 % [2.6, 3.5]`, to the digits that the interval's width allows."""
    if ratio is None or low is None or high is None or not all(map(math.isfinite, (ratio, low, high))):
        return percent(ratio)
    width = max(100 * (high - low), 1e-12)
    places = 0 if width >= 10 else max(1, min(3, -math.floor(math.log10(width))))
    middle, lower, upper = (f"{round(100 * (one - 1), places) + 0.0:.{places}f}" for one in (ratio, low, high))
    return f"{middle if middle.startswith('-') else '+' + middle} % [{lower}, {upper}]"


def change_of(row: Compared) -> str:
    return change(row.ratio, row.ratio_low, row.ratio_high)


def times(row: Compared) -> tuple[str, str]:
    """Median per call in BASE and in HEAD, by the clock of the verdict, with units."""
    both = (row.base_cpu_ns, row.head_cpu_ns) if row.clock == "cpu" else (row.base_ns, row.head_ns)
    return time_of(both[0]), time_of(both[1])


def time_of(value_ns: float | None) -> str:
    if value_ns is None:
        return "-"
    divisor, unit = unit_for([float(value_ns)])
    return f"{number(value_ns / divisor)} {unit}"


def share(value: float | None) -> str:
    """A share in percent, to two digits."""
    return "-" if value is None else f"{number(100 * value, 2)} %"


def evidence(row: Compared) -> list[str]:
    """What was measured beside the verdict, a phrase each."""
    found = []
    for name, ratio, low, high in (
        ("wall", row.wall_ratio, row.wall_low, row.wall_high),
        ("CPU", row.cpu_ratio, row.cpu_low, row.cpu_high),
    ):
        if ratio is not None:
            found.append(f"{name} {change(ratio, low, high)}")
    if row.instructions_ratio is not None:
        found.append(f"instructions {percent(row.instructions_ratio)}")
    if row.code_path is not None:
        found.append(f"code path {row.code_path}")
    if row.page_faults_ratio is not None:
        found.append(f"page faults {percent(row.page_faults_ratio)}")
    if row.base_peak_bytes is not None and row.head_peak_bytes is not None:
        found.append(f"peak memory {row.base_peak_bytes / 1e6:.3g} MB, now {row.head_peak_bytes / 1e6:.3g} MB")
    if row.p_value is not None:
        found.append(f"p {number(row.p_value, 2)} over the gate")
    if row.samples:
        found.append(f"{row.samples} samples in {row.rounds} rounds, {row.contaminated} of them disturbed")
    return [*found, *row.notes]


def seen(rows: Iterable[Compared]) -> str:
    """Which slowdowns these rows could have told from none, in words; empty where nothing is known of that."""
    known = sorted(row.detectable for row in rows if row.detectable is not None)
    if not known:
        return ""
    span = (
        share(known[-1]) if known[0] == known[-1] else f"{share(known[0])} (the best) to {share(known[-1])} (the worst)"
    )
    return f"smallest slowdown that could have been seen: {span}"


def again(comparison: Comparison, row: Compared, command: str | None = None) -> str:
    """The command that compares one task again; `command` is how it was called, without selectors."""
    if command is None:
        sides = (_typed(plain(side)) for side in (comparison.base, comparison.head))
        command = "harness compare " + " ".join(map(shlex.quote, sides))
    return f"{command} {shlex.quote(plain(row.id))}"


def _typed(side: str) -> str:
    """What names a side on the command line: the first word, or behind `run` (of a file's store or not) its id."""
    words = side.split() or ["?"]
    return words[1] if words[0] == "run" and len(words) > 1 else words[0].removesuffix(":")


def compared_frame(comparison: Comparison) -> pd.DataFrame:
    """One row per task, columns as the fields of `Compared`: names, verdict and clock as categories, the rest nullable;
    `notes` as one text. Ratios are HEAD over BASE, times ns per call; what does not apply is <NA>."""
    return typed(_flat(comparison.rows), kinds_of(Compared, _KINDS))


def _flat(rows: Iterable[Compared]) -> list[dict[str, Any]]:
    return [{**row.as_data(), "notes": "; ".join(row.notes)} for row in rows]


def compared_json(comparison: Comparison) -> str:
    """One JSON array, an object per task, keys as the fields of `Compared`."""
    rows = [{name: jsonable(value) for name, value in row.as_data().items()} for row in comparison.rows]
    return json.dumps(rows, indent=1, allow_nan=False)


def compared_csv(comparison: Comparison) -> str:
    """A line per task, columns as the fields of `Compared`; `notes` are joined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([cell(value) for value in row.values()] for row in _flat(comparison.rows))
    return out.getvalue()


def compared_text(comparison: Comparison, format: str, command: str | None = None) -> str:
    """A comparison as text in one of FORMATS, but for `parquet`; `command` as in `again`."""
    from .compared_markdown import compared_markdown
    from .compared_page import compared_page
    from .junit import compared_junit
    from .latex import compared_latex

    if format == "json":
        return compared_json(comparison) + "\n"
    if format == "csv":
        return compared_csv(comparison)
    if format == "latex":
        return compared_latex(comparison)
    writer = {"markdown": compared_markdown, "junit": compared_junit, "html": compared_page}[format]
    return writer(comparison, command)


def write_compared(comparison: Comparison, format: str, path: Path, command: str | None = None) -> None:
    """Write a comparison as a file in one of FORMATS; raises ValueError where a library for it is missing."""
    if format == "parquet":
        from .parquet import write_frame

        with replacing(path) as partial:
            write_frame(compared_frame(comparison), partial)
    else:
        write_whole(path, compared_text(comparison, format, command), "backslashreplace")


def add_summary(comparison: Comparison, path: Path, command: str | None = None) -> None:
    """Add the Markdown to a file, as the summary of a CI job is written (GITHUB_STEP_SUMMARY)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(compared_text(comparison, "markdown", command) + "\n")

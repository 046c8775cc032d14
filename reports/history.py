"""Histories in words, rows and frames: what terminal, page and scripts show of them."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.histories import ChangePoint, Histories, History, point_data
from harness.record import STATUSES
from harness.series import Point
from harness.series import machine_words as known_machines
from harness.shift import amount, percent
from harness.shifts import DRIFT
from harness.shifts import words as machine_words

from .frame import CATEGORY, IDENTITY, MOMENT, Kind, kinds_of, typed
from .trend import cuts, parts
from .words import number, plain, time_words, unit_for

if TYPE_CHECKING:
    import pandas as pd

CLOCKS = {"cpu": "CPU", "wall": "wall"}
BLOCKS = "▁▂▃▄▅▆▇█"
CALM = 8.0
"""A sparkline is at least so many noise widths high, so that noise alone looks flat."""
FINDINGS = {
    "slower": "drifts slower",
    "faster": "drifts faster",
    "changed": "changed",
    "steady": "steady",
    "unknown": "too few runs",
}
_TASK: Mapping[str, Kind] = {**IDENTITY, "machine_id": CATEGORY}
_CLOCK: Mapping[str, Kind] = {"clock": ("cpu", "wall")}
_HISTORY: Mapping[str, Kind] = {
    **_TASK,
    "verdict": ("slower", "faster", "changed", "steady", "unknown"),
    **_CLOCK,
    "clock_reason": "string",
    "runs": "Int64",
    "gaps": "Int64",
    "first_at": MOMENT,
    "newest_at": MOMENT,
    "newest_run_id": CATEGORY,
    "newest_commit": CATEGORY,
    "newest_dirty": "boolean",
    "newest_ns": "Int64",
    "noise_percent": "Float64",
    "trend_percent_per_week": "Float64",
    "trend_low_percent_per_week": "Float64",
    "trend_high_percent_per_week": "Float64",
    "trend_p_value": "Float64",
    "trend_reason": "string",
    "machine_changes": "Int64",
    "change_points": "Int64",
    "newest_change_at": MOMENT,
    "newest_change_commit": CATEGORY,
    "newest_change_percent": "Float64",
    "newest_gap_reason": "string",
}
_CHANGE: Mapping[str, Kind] = {
    **_TASK,
    **_CLOCK,
    "run_id": CATEGORY,
    "started_at": MOMENT,
    "commit": CATEGORY,
    "dirty": "boolean",
    "run_id_before": CATEGORY,
    "commit_before": CATEGORY,
    "dirty_before": "boolean",
    "percent": "Float64",
    "percent_low": "Float64",
    "percent_high": "Float64",
}


def histories_frame(histories: Histories) -> pd.DataFrame:
    """One row per task, columns as the keys of `harness.histories.History.as_data`, where instead of lists there are
    the number of change points, the newest of them, and the newest reason of a gap; moments are of UTC."""
    return typed(flat_rows(histories), _HISTORY)


def points_frame(histories: Histories) -> pd.DataFrame:
    """One row per task and run: identity, clock, and the fields of `harness.series.Point`."""
    special = {"started_at": MOMENT, "status": STATUSES, "run_id": CATEGORY, "commit": CATEGORY}
    kinds = {**_TASK, **_CLOCK, **kinds_of(Point, special)}
    return typed([point_data(row.series, point) for row in histories.rows for point in row.series.points], kinds)


def changes_frame(histories: Histories) -> pd.DataFrame:
    """One row per task and change point: identity, clock, and the keys of `harness.histories.ChangePoint.as_data`."""
    names = (*_TASK, *_CLOCK)
    rows = [
        {**{name: getattr(row.series, name) for name in names}, **change.as_data()}
        for row in histories.rows
        for change in row.changes
    ]
    return typed(rows, _CHANGE)


def flat_rows(histories: Histories) -> list[dict[str, Any]]:
    """Histories as rows in which nothing is nested; JSON-able."""
    rows = []
    for history in histories.rows:
        data = history.as_data()
        changes, gaps = data.pop("change_points"), data.pop("gap_reasons")
        data["machine_changes"] = len(data["machine_changes"])
        newest = changes[-1] if changes else {}
        data |= {
            "change_points": len(changes),
            "newest_change_at": newest.get("started_at"),
            "newest_change_commit": newest.get("commit"),
            "newest_change_percent": newest.get("percent"),
            "newest_gap_reason": gaps[-1] if gaps else None,
        }
        rows.append(data)
    return rows


def finding(history: History) -> str:
    """What was found, in two or three words: it names drift and steps where there are both."""
    words = FINDINGS[history.verdict]
    return f"{words}, with steps" if history.changes and history.verdict in ("slower", "faster") else words


def kind(history: History) -> str:
    """The colour of a finding: bad where it got slower, good where it got faster, none where nothing happened."""
    sign = {"slower": 1, "faster": -1}.get(history.verdict, 0)
    if not sign and history.changes:
        sign = 1 if history.changes[-1].percent > 0 else -1
    return {1: "bad", -1: "good", 0: "none"}[sign]


def trend_words(history: History) -> str:
    """`+1.02 % (0.91 - 1.13)`, or `-` where the runs are too few."""
    trend = history.trend
    if trend is None:
        return "-"
    places = 2 if max(abs(trend.low), abs(trend.high)) < 10 else 1
    # adding 0.0 turns a rounded -0.0 into 0.0
    middle, low, high = (f"{round(one, places) + 0.0:+.{places}f}" for one in (trend.estimate, trend.low, trend.high))
    return f"{middle} % ({low} to {high})"


def size_words(change: ChangePoint) -> str:
    """`+6.1 % (+5.8 to +6.4)`"""
    return f"{change.percent:+.1f} % ({change.percent_low:+.1f} to {change.percent_high:+.1f})"


def change_words(history: History) -> list[str]:
    """`+6.1 % (+5.8 to +6.4) c0ffee12..deadbeef 2026-01-31` for each change point, the oldest first."""
    return [
        f"{size_words(change)} {change.before.commit_words}..{change.after.commit_words} "
        f"{change.after.started_at:%Y-%m-%d}"
        for change in history.changes
    ]


def runs_words(history: History) -> str:
    """How many runs have a time, and how the others ended: `98 (2 failed)`."""
    others = Counter(
        "without a time" if point.status == "passed" else point.status.replace("_", " ")
        for point in history.series.gaps
    )
    words = ", ".join(f"{count} {status}" for status, count in sorted(others.items()))
    return f"{len(history.series.timed)}" + (f" ({words})" if words else "")


def newest_words(history: History) -> str:
    """The newest time with its unit."""
    if history.newest is None:
        return "-"
    time_ns = history.series.time_ns(history.newest)
    divisor, unit = unit_for([float(time_ns)])
    return f"{number(time_ns / divisor, 4)} {unit}"


def spark(history: History, width: int) -> str:
    """The series as a line of blocks, oldest first: each the median of as many runs; an x where none has a time."""
    points = history.series.points
    count = min(width, len(points))
    chunks = [points[len(points) * one // count : len(points) * (one + 1) // count] for one in range(count)]
    medians = [_median(history, chunk) for chunk in chunks]
    known = [one for one in medians if one is not None]
    if not known:
        return "x" * count
    middle = statistics.median(known)
    noise = history.findings.noise
    least = CALM * middle * (0.01 if math.isnan(noise) else noise)
    low, high = min(known), max(known)
    spare = max(0.0, least - (high - low)) / 2
    low, reach = low - spare, (high - low) + 2 * spare
    return "".join("x" if one is None else BLOCKS[min(7, int(8 * (one - low) / reach))] for one in medians)


def _median(history: History, points: Sequence[Point]) -> float | None:
    times = [history.series.time_ns(point) for point in points if point.is_timed]
    return statistics.median(times) if times else None


def level_rows(history: History) -> tuple[list[dict[str, Any]], str]:
    """One row for each level between change points, and the unit of its median."""
    if not history.series.timed:
        return [], "ns"
    levels = parts(history)
    medians = [_median(history, level) or 0.0 for level in levels]
    divisor, unit = unit_for(medians)
    changes = ["-", *cuts(history).values()]
    rows = []
    for level, median, change in zip(levels, medians, changes, strict=True):
        first, last = level[0], level[-1]
        width = max(history.findings.noise if len(level) > 1 else 0.0, 0.002) * median
        rows.append(
            {
                "first_at": f"{first.started_at:%Y-%m-%d %H:%M}",
                "first": first.commit_words,
                "last_at": f"{last.started_at:%Y-%m-%d %H:%M}",
                "last": last.commit_words,
                "runs": len(level),
                "median": time_words(median, median - width, median + width, divisor)[0],
                "change": change,
            }
        )
    return rows, unit


def sentence(history: History) -> str:
    """What was found and how sure it is, in words."""
    series, trend = history.series, history.trend
    said = [f"{runs_words(history)} {'run' if len(series.timed) == 1 else 'runs'} by the {CLOCKS[series.clock]} clock"]
    said[0] += f" ({series.clock_reason})"
    if trend is None:
        said.append(f"no trend: {history.findings.too_short}")
    else:
        apart = " apart from its steps" if history.changes else ""
        drifts = history.verdict in ("slower", "faster")
        what = f"it drifts {history.verdict}{apart}" if drifts else f"no drift that can be told from none{apart}"
        said.append(f"{what}: {trend_words(history)} a week, p = {number(history.p_value, 2)}")
    if not history.changes:
        said.append("no change point")
    if history.taken:
        sizes = ", ".join(percent(one.shift.taken) for one in history.taken)
        said.append(f"{sizes} of the machine as a whole {'is' if len(history.taken) == 1 else 'are'} taken out of that")
    for gap in series.gaps[-2:]:
        said.append(f"no time on {gap.started_at:%Y-%m-%d} at {gap.commit_words}: {gap.status}: {gap.reason[:200]}")
    return "; ".join(plain(one) for one in said) + "."


def notes(histories: Histories) -> list[str]:
    """What is to be known of all rows."""
    others = [one for one in histories.machines if one.machine_id != histories.machine_id]
    found = [f"Machine {histories.machine_id}.", *machine_sentences(histories)]
    if others:
        found.append(f"Times of other machines are not mixed in; see them with --machine: {known_machines(others)}.")
    never = Counter(row.series.gaps[-1].status for row in histories.rows if not row.series.timed)
    if never:
        words = ", ".join(f"{count} {status.replace('_', ' ')}" for status, count in sorted(never.items()))
        found.append(f"Without a time in any run, and not shown: {words}.")
    if any(point.dirty for row in histories.rows for point in row.series.points):
        found.append("A + behind a commit marks files that had changed since it.")
    found.append(
        "A trend is the median slope between days with steps taken out (Sen), tested by Mann-Kendall and corrected for "
        "the number of tasks (Holm). Change points are PELT's on log time, and take 5 runs before and after."
    )
    return found


def machine_sentences(histories: Histories) -> list[str]:
    """What all tasks share over the runs, a sentence for each change, and whether it is the machine's."""
    found = [machine_words(one, histories.machine_id) for one in histories.machine_changes]
    return [f"{one[0].upper()}{one[1:]}." for one in found]


def with_times(histories: Histories) -> list[History]:
    """The tasks that have a time in any run: what is missing on a machine has no history there."""
    return [row for row in histories.rows if row.series.timed]


def headline(histories: Histories) -> tuple[str, str]:
    """The first thing to know, and its colour: that the machine changed, and what the tasks did apart from it."""
    text, colour = _tasks_headline(histories)
    taken = [one for one in histories.machine_changes if one.is_machine]
    if not taken:
        return text, colour
    newest = taken[-1]
    drifts = newest.kind == DRIFT
    size = f"drifts {percent(newest.per_week or 0.0)} a week" if drifts else f"got {amount(newest.shift.log)}"
    since = "" if drifts else f" from run {newest.after.run_id} on"
    return f"The machine {size}{since}; apart from that: {text[0].lower()}{text[1:]}", colour


def _tasks_headline(histories: Histories) -> tuple[str, str]:
    rows = with_times(histories)
    slower = sum(kind(row) == "bad" for row in rows)
    total = len(rows)
    if slower:
        return f"{slower} of {total} {'task' if total == 1 else 'tasks'} got slower", "bad"
    changed = sum(kind(row) != "none" for row in rows)
    if changed:
        return f"{changed} of {total} {'task' if total == 1 else 'tasks'} got faster, none slower", "good"
    if all(row.verdict == "unknown" for row in rows):
        return f"Too few runs of {total} {'task' if total == 1 else 'tasks'} to tell drift or steps", "none"
    return f"No drift and no change point in {total} {'task' if total == 1 else 'tasks'}", "none"

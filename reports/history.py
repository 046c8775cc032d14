"""Histories in words, rows and frames: what terminal, page and scripts show of them."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.histories import ChangePoint, Histories, History, point_data
from harness.series import Point, machine_words

from .trend import parts
from .words import number, plain, time_words, unit_for

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
_DTYPES = {
    "runs": "Int64",
    "gaps": "Int64",
    "newest_ns": "Int64",
    "samples": "Int64",
    "median_ns": "Int64",
    "ci_low_ns": "Int64",
    "ci_high_ns": "Int64",
    "cpu_median_ns": "Int64",
    "newest_dirty": "boolean",
    "dirty": "boolean",
    "noise_percent": "Float64",
    "trend_percent_per_week": "Float64",
    "trend_low": "Float64",
    "trend_high": "Float64",
    "trend_p_value": "Float64",
    "change_points": "object",
    "gap_reasons": "object",
}
_MOMENTS = ("first_at", "newest_at", "started_at")


def histories_frame(histories: Histories) -> pd.DataFrame:
    """One row per task, columns as the keys of `harness.histories.History.as_data`; moments are of UTC."""
    return _frame([row.as_data() for row in histories.rows])


def points_frame(histories: Histories) -> pd.DataFrame:
    """One row per task and run: identity, clock, and the fields of `harness.series.Point`."""
    return _frame([point_data(row.series, point) for row in histories.rows for point in row.series.points])


def _frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    columns = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows]
        if name in _MOMENTS:
            columns[name] = pd.Series(pd.to_datetime(values, utc=True))
        else:
            columns[name] = pd.Series(values, dtype=_DTYPES.get(name, "string"))  # type: ignore[call-overload]
    return pd.DataFrame(columns)


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
    changes = ["-", *(size_words(change) for change in history.changes)]
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
    for gap in series.gaps[-2:]:
        said.append(f"no time on {gap.started_at:%Y-%m-%d} at {gap.commit_words}: {gap.status}: {gap.reason[:200]}")
    return "; ".join(plain(one) for one in said) + "."


def notes(histories: Histories) -> list[str]:
    """What is to be known of all rows."""
    others = [one for one in histories.machines if one.machine_id != histories.machine_id]
    found = [f"Machine {histories.machine_id}."]
    if others:
        found.append(f"Times of other machines are not mixed in; see them with --machine: {machine_words(others)}.")
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


def with_times(histories: Histories) -> list[History]:
    """The tasks that have a time in any run: what is missing on a machine has no history there."""
    return [row for row in histories.rows if row.series.timed]


def headline(histories: Histories) -> tuple[str, str]:
    """The first thing to know, and its colour."""
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

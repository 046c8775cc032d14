"""Are the intervals honest? Comparisons of a softmax with its twin: how many 95 % intervals miss the ratio of 1."""

from __future__ import annotations

import math
import statistics

from harness.comparing.verdicts import Compared
from harness.execute import Progress
from harness.trials import binomial
from harness.trials.comparer import Comparer, Pair
from harness.trials.kept import Kept, Row

CLOCKS = ("cpu", "wall")


def try_all(pair: Pair, comparer: Comparer, comparisons: int, seconds: float, kept: Kept, progress: Progress) -> None:
    """Make the comparisons that `kept` does not hold yet, one after the other, in so many seconds each."""
    for number in range(len(kept.rows()), comparisons):
        progress("comparing a softmax with its twin", number + 1, comparisons)
        comparison = comparer([pair], seconds)
        (row,) = comparison.rows
        bounds = {clock: bounds_of(row, clock) for clock in CLOCKS}
        kept.add({"number": number, "verdict": row.verdict, "reason": row.reason, "spent_s": row.spent_s, **bounds})


def bounds_of(row: Compared, clock: str) -> tuple[float, float, float] | None:
    """Ratio, low and high by a clock, or None where there is no interval by that."""
    by_clock = {
        "cpu": (row.cpu_ratio, row.cpu_low, row.cpu_high),
        "wall": (row.wall_ratio, row.wall_low, row.wall_high),
    }
    ratio, low, high = by_clock[clock]
    if ratio is None or low is None or high is None or not math.isfinite(high):
        return None
    return ratio, low, high


def table(kept: Kept) -> list[Row]:
    """One row per clock: how many of the comparisons have an interval (`comparisons`), how many of those miss 1
    (`missed`) with the share's own 95 % interval, half the median interval's width, and `alarms`: verdicts SLOWER or
    FASTER."""
    rows = []
    for clock in CLOCKS:
        found = [row for row in kept.rows() if row[clock] is not None]
        missed = sum(not row[clock][1] <= 1.0 <= row[clock][2] for row in found)
        low, high = binomial.interval(missed, len(found)) if found else (None, None)
        rows.append(
            {
                "clock": clock,
                "comparisons": len(found),
                "missed": missed if found else None,
                "missed_share": missed / len(found) if found else None,
                "share_low": low,
                "share_high": high,
                "median_half_width": statistics.median((row[clock][2] - row[clock][1]) / 2 for row in found)
                if found
                else None,
                "alarms": sum(row["verdict"] in ("SLOWER", "FASTER") for row in kept.rows()),
                "seconds": statistics.median(row["spent_s"] for row in found) if found else None,
            }
        )
    return rows

"""A forest plot as SVG, drawn on the server: one row per task, its ratio and 95 % interval against no change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.comparing.verdicts import Compared

from .chart import RIGHT, ROW, TOP
from .words import plain

WIDTH = 1100
LABEL = 620
LONGEST_NAME = 84
ALWAYS_ON_AXIS = 0.1
TYPICAL = 4.0
"""A row that lies beyond this many times what is typical, and beyond 10 %, is an arrow at the edge: the others stay
readable."""


@dataclass(frozen=True, slots=True)
class Row:
    """One task in the plot, in pixels. `beyond` is -1 or 1 where its ratio lies beyond the left or right edge."""

    label: str
    verdict: str
    y: float
    low: float
    middle: float
    high: float
    band_low: float
    band_high: float
    beyond: int


@dataclass(frozen=True, slots=True)
class Forest:
    """A plot in pixels: rows, ticks as (x, text), the line of no change, and its size."""

    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    one: float
    width: int
    height: int
    label: int


def forest(rows: Sequence[Compared]) -> Forest | None:
    """The plot of the rows that have a ratio; None where none has. The axis is the logarithm of the ratio, so that half
    and double the time are as far from no change."""
    measured = [row for row in rows if row.ratio is not None and 0 < row.ratio < math.inf]
    if not measured:
        return None
    reach = _reach(measured)

    def x(ratio: float) -> float:
        share = max(-1.0, min(1.0, math.log(ratio) / reach))
        return round(LABEL + (share + 1) / 2 * (WIDTH - LABEL - RIGHT), 1)

    drawn = []
    for number, row in enumerate(measured):
        low, middle, high = _ends(row)
        threshold = row.threshold or 0.0
        beyond = 0 if abs(math.log(middle)) <= reach else int(math.copysign(1, math.log(middle)))
        y = TOP + ROW * (number + 0.5)
        ends = (x(low), x(middle), x(high), x(1 / (1 + threshold)), x(1 + threshold))
        drawn.append(Row(_label(row), row.verdict.lower(), y, *ends, beyond))
    ticks = tuple((x(1 + change), f"{100 * change:+.3g} %" if change else "0") for change in _changes(reach))
    return Forest(tuple(drawn), ticks, x(1.0), WIDTH, TOP + ROW * len(drawn) + 26, LABEL)


def _reach(rows: Sequence[Compared]) -> float:
    """How far the axis goes to either side, as the logarithm of a ratio."""
    extents = sorted(max(abs(math.log(one)) for one in _ends(row)) for row in rows)
    typical = extents[len(extents) // 2]
    return max(0.005, min(1.1 * extents[-1], max(math.log1p(ALWAYS_ON_AXIS), TYPICAL * typical)))


def _ends(row: Compared) -> tuple[float, float, float]:
    """The interval and its middle; an end that is not known, or not positive, is the middle."""
    middle = row.ratio or 1.0
    low, high = (one if one is not None and 0 < one < math.inf else middle for one in (row.ratio_low, row.ratio_high))
    return low, middle, high


def _label(row: Compared) -> str:
    name = plain(row.id)
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _changes(reach: float) -> list[float]:
    """Round relative changes, about three on either side, that lie on the axis."""
    most = math.exp(reach) - 1
    size = 10.0 ** math.floor(math.log10(most))
    step = next(size * factor for factor in (0.2, 0.5, 1.0, 2.0, 5.0) if most / (size * factor) <= 4)
    steps = [step * count for count in range(-4, 5)]
    return [one for one in steps if one > -1 and abs(math.log1p(one)) <= reach]

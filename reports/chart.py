"""Interval charts as SVG, drawn on the server: a dot for the median, a bar for the 95 % interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .ranking import Ranking
from .words import plain, unit_for

ROW = 30
LABEL = 268
"""Most pixels for the names; short ones leave the room to the bars, which matters on a phone."""
LONGEST = 34
LETTER = 7.2
WIDTH = 780
RIGHT = 24
TOP = 8


@dataclass(frozen=True, slots=True)
class Row:
    """One implementation in a chart, in pixels."""

    label: str
    y: float
    low: float
    middle: float
    high: float
    leader: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in pixels: rows, ticks as (x, text), and its size."""

    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    width: int
    height: int
    label: int
    title: str


def chart(group: Ranking) -> Chart | None:
    """The chart of a ranking; None where nothing has a time. The axis is linear from zero, or logarithmic where the
    slowest takes more than twenty times as long as the fastest."""
    if not group.places:
        return None
    highs = [float(place.record.ci_high_ns or 1) for place in group.places]
    lows = [float(place.record.ci_low_ns or 1) for place in group.places]
    divisor, unit = unit_for([float(place.record.median_ns or 1) for place in group.places])
    logarithmic = max(highs) > 20 * min(lows)
    start, end = (min(lows) / 1.15, max(highs) * 1.15) if logarithmic else (0.0, max(highs) * 1.05)

    names = [_short(f"{plain(one.record.backend)}/{plain(one.record.implementation)}") for one in group.places]
    label = min(LABEL, round(24 + LETTER * max(map(len, names))))

    def x(value: float) -> float:
        share = math.log(value / start) / math.log(end / start) if logarithmic else value / end
        return round(label + share * (WIDTH - label - RIGHT), 1)

    rows = []
    for number, place in enumerate(group.places):
        record = place.record
        low, middle, high = (float(one or 1) for one in (record.ci_low_ns, record.median_ns, record.ci_high_ns))
        y = TOP + ROW * (number + 0.5)
        rows.append(Row(names[number], y, x(low), x(middle), x(high), place.rank == 1))
    values = _log_ticks(start, end) if logarithmic else _linear_ticks(end)
    ticks = tuple((x(value), f"{value / divisor:g}") for value in values)
    scale = ", logarithmic" if logarithmic else ""
    title = f"Median time per call and its 95 % interval, in {unit}{scale}"
    return Chart(tuple(rows), ticks, WIDTH, TOP + ROW * len(rows) + 26, label, title)


def _short(name: str) -> str:
    """A name whose middle is left out where it is long: names differ at both ends."""
    return name if len(name) <= LONGEST else f"{name[: LONGEST // 2 - 1]}…{name[-LONGEST // 2 :]}"


def _linear_ticks(end: float) -> list[float]:
    rough = end / 5
    size = 10 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * count for count in range(int(end / step) + 1)]


def _log_ticks(start: float, end: float) -> list[float]:
    powers = range(math.floor(math.log10(start)), math.ceil(math.log10(end)) + 1)
    factors = (1, 2, 5) if len(powers) <= 3 else (1,)
    return [value for power in powers for factor in factors if start <= (value := factor * 10.0**power) <= end]

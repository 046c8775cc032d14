"""A history as SVG, drawn on the server: runs with intervals, levels and drift, change points with their commits."""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.histories import History
from harness.series import Point
from harness.shifts import STEP, MachineChange

from .words import unit_for

WIDTH = 1100
HEIGHT = 270
LEFT = 64
RIGHT = 24
TOP = 34
BOTTOM = 46
MOST_DOTS = 200
LEAST_SPAN = 0.04
"""Relative height of the axis at least, so that noise does not fill the picture."""
LABEL_WIDTH = 150


@dataclass(frozen=True, slots=True)
class Dot:
    """One run, or the median of several, in pixels; `beyond` is -1 or 1 where it lies under or above the picture."""

    x: float
    y: float
    low: float | None
    high: float | None
    dirty: bool
    beyond: int


@dataclass(frozen=True, slots=True)
class Line:
    """A change point: where it stands, what is written beside it, and on which side and line of text."""

    x: float
    text: str
    text_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Trend:
    """A plot in pixels. `levels` are the fitted lines as (x1, y1, x2, y2), `gaps` where runs had no time."""

    dots: tuple[Dot, ...]
    levels: tuple[tuple[float, float, float, float], ...]
    lines: tuple[Line, ...]
    gaps: tuple[float, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    title: str
    together: int
    legend: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM
    right: int = WIDTH - RIGHT

    @property
    def intervals(self) -> str:
        """All intervals as one path, which is a tenth of as many elements."""
        return "".join(f"M{dot.x:g} {dot.low:g}V{dot.high:g}" for dot in self.dots if dot.low is not None)

    def path(self, *, dirty: bool) -> str:
        """Dots as one path of lines without length, whose round ends are the dots."""
        return "".join(f"M{dot.x:g} {dot.y:g}h0" for dot in self.dots if dot.dirty == dirty and not dot.beyond)

    @property
    def outside(self) -> str:
        """Arrows at the edge for what lies beyond it."""
        return "".join(
            f"M{dot.x - 4:g} {dot.y + 5 * dot.beyond:g}l4 {-6 * dot.beyond}l4 {6 * dot.beyond}"
            for dot in self.dots
            if dot.beyond
        )

    @property
    def crosses(self) -> str:
        return "".join(f"M{x - 3:g} {self.bottom - 9}l6 6m0 -6l-6 6" for x in self.gaps)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From moments and nanoseconds to pixels."""

    first: datetime.datetime
    seconds: float
    low: float
    high: float

    def x(self, moment: datetime.datetime) -> float:
        share = (moment - self.first).total_seconds() / self.seconds if self.seconds else 0.5
        return round(LEFT + 12 + share * (WIDTH - LEFT - RIGHT - 24), 1)

    def y(self, time_ns: float) -> float:
        share = (min(max(time_ns, self.low), self.high) - self.low) / (self.high - self.low)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)


def trend(history: History) -> Trend | None:
    """The plot of a history; None where no run has a time. The axis does not begin at zero: changes of a few percent
    are what it is looked at for."""
    series = history.series
    if not series.timed:
        return None
    moments = [point.started_at for point in series.points]
    low, high = _range([float(series.time_ns(point)) for point in series.timed])
    scale = _Scale(moments[0], (moments[-1] - moments[0]).total_seconds(), low, high)
    divisor, unit = unit_for([low])
    together = math.ceil(len(series.timed) / MOST_DOTS)
    clock = "CPU time per call" if series.clock == "cpu" else "Time per call"
    dots = "one run and its 95 % interval" if together == 1 else f"{together} runs, median and range"
    wide = ", as wide as the wall clock's" if together == 1 and series.clock == "cpu" else ""
    return Trend(
        dots=tuple(_dots(history, scale, together)),
        levels=tuple(_levels(history, scale)),
        lines=tuple(_lines(history, scale)),
        gaps=tuple(sorted({scale.x(point.started_at) for point in series.gaps})),
        x_ticks=tuple((scale.x(moment), text) for moment, text in _dates(moments[0], moments[-1])),
        y_ticks=tuple((scale.y(value), f"{value / divisor:g}") for value in _ticks(low, high)),
        title=f"{clock} in {unit}",
        together=together,
        legend=f"{dots}{wide}",
    )


def _range(times: Sequence[float]) -> tuple[float, float]:
    """The axis: all runs but those that stand so far out that the others could not be told from each other."""
    ordered = sorted(times)
    middle = statistics.median(ordered)
    low, high = ordered[int(0.03 * len(ordered))], ordered[-1 - int(0.03 * len(ordered))]
    reach = max(high - low, LEAST_SPAN * middle)
    low, high = max(ordered[0], low - 0.5 * reach), min(ordered[-1], high + 0.5 * reach)
    short = max(0.0, LEAST_SPAN * middle - (high - low)) / 2
    border = 0.12 * max(high - low, LEAST_SPAN * middle)
    return max(0.0, low - short - border), high + short + border


def _dots(history: History, scale: _Scale, together: int) -> list[Dot]:
    """Runs, or medians of `together` successive ones between two change points, with the range of those."""
    dots = []
    for part in parts(history):
        for start in range(0, len(part), together):
            dots.append(_dot(history, scale, part[start : start + together]))
    return dots


def _dot(history: History, scale: _Scale, points: Sequence[Point]) -> Dot:
    series = history.series
    times = [series.time_ns(point) for point in points]
    value = statistics.median(times)
    low: float | None
    high: float | None
    (low, high) = (min(times), max(times)) if len(points) > 1 else _interval(points[0], value)
    beyond = 1 if value > scale.high else -1 if value < scale.low else 0
    return Dot(
        scale.x(points[len(points) // 2].started_at),
        scale.y(value),
        None if low is None or beyond else scale.y(low),
        None if high is None or beyond else scale.y(high),
        any(point.dirty for point in points),
        beyond,
    )


def _interval(point: Point, value: float) -> tuple[float | None, float | None]:
    """The 95 % interval of one run around its time. Runs keep the wall clock's, so a CPU time gets one as wide."""
    if not point.median_ns or point.ci_low_ns is None or point.ci_high_ns is None:
        return None, None
    return value * point.ci_low_ns / point.median_ns, value * point.ci_high_ns / point.median_ns


def cuts(history: History) -> dict[int, str]:
    """Where levels begin among the timed runs, in order, with what changed there in words: the task, or the machine as
    a whole, which is no finding of the task."""
    timed = history.series.timed
    own = {
        step.index: f"{one.percent:+.1f} % ({one.percent_low:+.1f} to {one.percent_high:+.1f})"
        for step, one in zip(history.findings.steps, history.changes, strict=True)
    }
    for change in machine_steps(history):
        index = sum(point.started_at < change.after.started_at for point in timed)
        if 0 < index < len(timed):
            words = f"machine {100.0 * math.expm1(change.shift.taken):+.1f} %"
            own[index] = f"{own[index]}, {words}" if index in own else words
    return dict(sorted(own.items()))


def machine_steps(history: History) -> list[MachineChange]:
    return [one for one in history.taken if one.kind == STEP]


def parts(history: History) -> list[tuple[Point, ...]]:
    """The timed runs between change points, those of the machine included."""
    timed = history.series.timed
    return [timed[first:last] for first, last in pairwise([0, *cuts(history), len(timed)])]


def _levels(history: History, scale: _Scale) -> list[tuple[float, float, float, float]]:
    """The median of each level, inclined where the task drifts."""
    drift = history.findings.drift
    slope = drift.per_week.estimate if drift and history.verdict in ("slower", "faster") else 0.0
    weeks = iter(history.series.weeks())
    lines = []
    for part in parts(history):
        at = [next(weeks) for _ in part]
        level = statistics.median(
            math.log(history.series.time_ns(point)) - slope * week for point, week in zip(part, at, strict=True)
        )
        ends = [(scale.x(part[one].started_at), scale.y(math.exp(level + slope * at[one]))) for one in (0, -1)]
        lines.append((*ends[0], *ends[1]))
    return lines


def _lines(history: History, scale: _Scale) -> list[Line]:
    """Change points half way between two runs; their words take two lines in turn, and the last ones look left."""
    lines = []
    steps = zip(history.findings.steps, history.changes, strict=True)
    own = {step.index: f"{one.percent:+.1f} % {one.after.commit_words}" for step, one in steps}
    for number, (index, words) in enumerate(cuts(history).items()):
        before, after = history.series.timed[index - 1 : index + 1]
        x = round((scale.x(before.started_at) + scale.x(after.started_at)) / 2, 1)
        text = own.get(index, words)
        left = x > WIDTH - RIGHT - LABEL_WIDTH
        lines.append(Line(x, text, TOP - 20 + 14 * (number % 2), "end" if left else "start"))
    return lines


def _ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    return [step * count for count in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _dates(first: datetime.datetime, last: datetime.datetime) -> list[tuple[datetime.datetime, str]]:
    """Up to six moments with what to write under them: days, or minutes where all is of two days."""
    if first == last:
        return [(first, f"{first:%Y-%m-%d %H:%M}")]
    short = last - first < datetime.timedelta(days=2)
    count = 5 if short or last - first >= datetime.timedelta(days=5) else 2
    moments = [first + (last - first) * number / count for number in range(count + 1)]
    return [(moment, f"{moment:%m-%d %H:%M}" if short else f"{moment:%Y-%m-%d}") for moment in moments]

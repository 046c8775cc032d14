"""What A/A comparisons showed, as one self-contained page: a picture, the same as a table, and what to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from harness.trials.advice import Advice
from harness.trials.noise import Measured, TaskNoise

from .chart import RIGHT, ROW, TOP
from .words import plain, unit_for

FOLDER = Path(__file__).parent
WIDTH = 1100
LABEL = 560
LONGEST_NAME = 76
LARGEST = 0.5
"""A ratio further from 1 than this stands at the edge."""
TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Row:
    """One task by the clock that decides, in pixels: its ratios as dots, its spread as a bar, what it could see as a
    mark."""

    label: str
    y: float
    dots: tuple[float, ...]
    low: float
    high: float
    detectable: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in pixels: rows, ticks as (x, text), and its size."""

    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]
    width: int
    height: int
    label: int


def picture(tasks: Sequence[TaskNoise]) -> Picture | None:
    """The picture of the rows that verdicts are by; None where there is none. Linear in the relative change."""
    shown = [one for one in tasks if one.deciding]
    if not shown:
        return None
    furthest = max(max(one.detectable, one.spread, *(abs(seen.ratio - 1.0) for seen in one.seen)) for one in shown)
    reach = min(LARGEST, 1.08 * furthest)

    def x(change: float) -> float:
        share = (max(-reach, min(reach, change)) / reach + 1) / 2
        return round(LABEL + share * (WIDTH - LABEL - RIGHT), 1)

    rows = []
    for number, one in enumerate(shown):
        label = plain(one.task.id)
        label = label if len(label) <= LONGEST_NAME else f"{label[: LONGEST_NAME - 1]}…"
        dots = tuple(x(seen.ratio - 1.0) for seen in one.seen)
        y = TOP + ROW * (number + 0.5)
        rows.append(Row(label, y, dots, x(-one.spread), x(one.spread), x(one.detectable)))
    step = next((tick for tick in TICKS if 2.2 * tick >= reach), TICKS[-1])
    counts = [count for count in range(-3, 4) if abs(count * step) <= reach]
    ticks = tuple((x(count * step), f"{100 * count * step:+g} %" if count else "0") for count in counts)
    return Picture(tuple(rows), ticks, WIDTH, TOP + ROW * len(rows) + 26, LABEL)


def page(measured: Measured, advice: Sequence[Advice]) -> str:
    """The whole page; everything that comes from plugins is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain)
    return environment.get_template("noise.html").render(
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        measured=measured,
        picture=picture(measured.tasks),
        rows=[cells(one) for one in measured.tasks],
        headings=HEADINGS,
        advice=advice,
    )


HEADINGS = ("task", "clock", "time", "A/A", "alarms", "miss 1", "± interval", "spread", "seen 9 of 10", "disturbed")


def cells(one: TaskNoise) -> tuple[str, ...]:
    """One row of the table in words, under HEADINGS: what a terminal and a page show."""
    divisor, unit = unit_for([float(one.median_ns or 1)])
    return (
        plain(one.task.id),
        one.clock,
        "-" if one.median_ns is None else f"{one.median_ns / divisor:.3g} {unit}",
        str(len(one.seen)),
        str(one.alarms) if one.deciding else "-",
        str(one.missed),
        f"{100 * one.half_width:.2g} %",
        f"{100 * one.spread:.2g} %",
        f"{100 * one.detectable:.2g} %",
        f"{one.contaminated:.0%}",
    )

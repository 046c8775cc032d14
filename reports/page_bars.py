"""Horizontal bars as SVG: one number each, written beside its bar; a diamond for a second one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from .inert import visible
from .section import Picture

ROW = 24
LABEL = 300
WIDTH = 780
RIGHT = 170
TOP = 6
MOST = 24
LONGEST = 40
LETTER = 7.4


@dataclass(frozen=True, slots=True)
class Bar:
    """`value` is drawn, `text` written at its end, `second` a diamond on the same scale (None: no diamond)."""

    label: str
    value: float
    text: str
    second: float | None = None


def bars(rows: Sequence[Bar], label: str, *, most: float | None = None, logarithmic: bool = False) -> Picture:
    """The first MOST bars, on one scale from 0 to the largest value or to `most`; logarithmic from 1 on, where the
    largest is more than twenty times the smallest. The picture says what it leaves out."""
    shown = rows[:MOST]
    values = [one.value for one in shown]
    end = most or max([*values, *(one.second or 0.0 for one in shown), 1.0])
    by_log = logarithmic and end > 20 * max(1.0, min(values))
    label += (", logarithmic scale" if by_log else "") + _left_out(rows)
    # labels take the room that they need
    left = min(LABEL, 24 + LETTER * max(len(_short(one.label)) for one in shown))

    def x(value: float) -> float:
        share = math.log1p(value) / math.log1p(end) if by_log else value / end
        return round(left + share * (WIDTH - left - RIGHT), 1)

    height = TOP + ROW * len(shown) + 24
    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">']
    for number, one in enumerate(shown):
        y = TOP + ROW * number
        middle = y + ROW / 2
        name, text = escape(visible(_short(one.label))), escape(visible(one.text))
        parts.append(f'<text class="name" x="{left - 10:g}" y="{middle + 4:g}" text-anchor="end">{name}</text>')
        parts.append(f'<path class="bar" d="M{left:g} {y + 4}H{x(one.value):g}V{y + ROW - 4}H{left:g}z"/>')
        if one.second is not None:
            parts.append(f'<path class="second" d="M{x(one.second):g} {middle - 7:g}l7 7l-7 7l-7 -7z"/>')
        beside = max(x(one.value), x(one.second or 0.0)) + 12
        parts.append(f'<text class="tick" x="{beside:g}" y="{middle + 4:g}">{text}</text>')
    parts.append(f'<text class="tick" x="{left:g}" y="{height - 6}">{escape(label)}</text></svg>')
    return Picture("".join(parts), label)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else "…" + text[1 - LONGEST :]


def _left_out(rows: Sequence[Bar]) -> str:
    return f"; the first {MOST} of {len(rows)}, all are in the table" if len(rows) > MOST else ""

"""What stands around the marks of a picture with two axes: grid, ticks, and the words that say what they are."""

from __future__ import annotations

from collections.abc import Callable

from .axes import Axis
from .markup import rules, words

ABOVE_TITLE = 36
"""Pixels from the lower end of a picture's upright axis to the words below."""


def frame(x: Axis, y: Axis, across: Callable[[float], str], upright: Callable[[float], str], title: str) -> list[str]:
    """The grid of two axes; `across` and `upright` say the words of a tick on either."""
    left, right, bottom, top = x.start, x.end, y.start, y.end
    columns, heights = x.ticks(), y.ticks(6)
    parts = [words(x.at(value), bottom + 16, across(value), anchor="middle", tick=True) for value in columns]
    parts += [words(left - 8, y.at(value) + 4, upright(value), anchor="end", tick=True) for value in heights]
    lines = [(x.at(value), top, x.at(value), bottom) for value in columns]
    lines += [(left, y.at(value), right, y.at(value)) for value in heights]
    parts += [rules(lines), rules([(left, bottom, right, bottom)], strong=True)]
    parts.append(words(left, bottom + ABOVE_TITLE, title, tick=True))
    return parts

"""Numbers and names as people read them; whatever comes from a plugin is made harmless first."""

from __future__ import annotations

import math
from collections.abc import Iterable

UNITS = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))


def plain(text: object) -> str:
    """Text without control characters: no escape sequence, no line break reaches a terminal or a table."""
    return "".join(char if char.isprintable() else " " for char in str(text))


def unit_for(times_ns: list[float]) -> tuple[float, str]:
    """(divisor, name) of the unit in which the smallest of these times is at least 1."""
    smallest = min(times_ns, default=1.0)
    return next(((size, name) for size, name in UNITS if smallest >= size), UNITS[-1])


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent where that is readable."""
    if value is None:
        return "-"
    if math.isnan(value):
        return "?"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if not -4 <= size < 7:
        return f"{value:.{digits - 1}e}"
    return f"{value:.{max(0, digits - 1 - size)}f}"


def time_words(value_ns: float, low_ns: float, high_ns: float, divisor: float) -> tuple[str, str]:
    """A median and its interval in one unit, to the digits that the interval's width allows (at least two)."""
    width = max((high_ns - low_ns) / divisor, 1e-12)
    places = max(0, min(3, 1 - math.floor(math.log10(width))))
    value, low, high = (f"{one / divisor:.{places}f}" for one in (value_ns, low_ns, high_ns))
    return value, f"{low} - {high}"


def ratio_words(estimate: float, low: float, high: float) -> str:
    if math.isnan(estimate):
        return "?"
    if estimate == low == high == 1.0:
        return "1"
    return f"{estimate:.2f} ({low:.2f} - {high:.2f})"


def count(value: int | None) -> str:
    return "-" if value is None else str(value)


def span(values: Iterable[int | None]) -> str:
    """The smallest and the largest of several counts: `2`, `1 - 7`, or `-` where nothing was counted."""
    known = sorted({value for value in values if value is not None})
    if not known:
        return "-"
    return str(known[0]) if len(known) == 1 else f"{known[0]} - {known[-1]}"

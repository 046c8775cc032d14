"""Logarithmic axes in pixels, and their round values with units."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

LEAST_SPAN = 3.0
"""An axis covers at least this factor, so that noise does not fill the picture."""
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high`, both above 0, on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value; of one beyond the axis, that of its end."""
        share = math.log(min(max(value, self.low), self.high) / self.low) / math.log(self.high / self.low)
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 7) -> list[float]:
        """Up to `most` round values on the axis, at least two where there is room for them."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        powers = range(first, last + 1)
        for factors in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            values = [factor * 10.0**power for power in powers for factor in factors]
            found = [value for value in values if self.low <= value * 1.0000001 and value <= self.high * 1.0000001]
            if len(found) <= most:
                return found
        return found[:: math.ceil(len(found) / most)]


def axis_of(values: Iterable[float], start: float, end: float, *, pad: float = 1.25) -> Axis:
    """An axis that holds all values above 0, with a border; one of LEAST_SPAN around a single one."""
    known = [value for value in values if 0 < value < math.inf]
    low, high = (min(known) / pad, max(known) * pad) if known else (1.0, 10.0)
    lacking = LEAST_SPAN / (high / low)
    if lacking > 1:
        low, high = low / math.sqrt(lacking), high * math.sqrt(lacking)
    return Axis(low, high, start, end)


def si(value: float, unit: str) -> str:
    """A round value with a prefix: 2000 of `B` is `2 kB`."""
    size, prefix = next(((size, prefix) for size, prefix in PREFIXES if abs(value) >= size * 0.9999999), (1e-12, "p"))
    return f"{value / size:.3g} {prefix}{unit}".strip()

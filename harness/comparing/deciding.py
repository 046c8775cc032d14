"""From ratios to verdicts: intervals over independent rounds, a correction over the gate, and a reason in words.

A round is a pair of fresh processes: its ratio is one observation, however many calls were made in it, since all of
them share its memory layout and its luck. So intervals are Student's, over rounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.timing.statistics import Interval, student_quantile, student_two_sided

LEVEL = 0.95
ALPHA = 0.05
POWER = 0.9
FEWEST_ROUNDS = 3
FLOOR = 0.01
"""Relative change below which nothing is called, where the user names none."""
SEVERAL_THREADS = 1.05
"""CPU time over wall time beyond which a call runs on several threads."""
WAITING = 0.05
"""Share of a call's time that it neither runs nor stands in a queue for a core, beyond which it waits for something."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """HEAD over BASE by one clock, out of `rounds` independent log-ratios with the standard error `error`."""

    log: float
    error: float
    rounds: int

    @property
    def interval(self) -> Interval:
        """The ratio with its 95 % interval; the whole line where one round says nothing about the next."""
        if self.rounds < 2:
            return Interval(math.exp(self.log), 0.0, math.inf)
        half = student_quantile((1 + LEVEL) / 2, self.rounds - 1) * self.error
        return Interval(math.exp(self.log), math.exp(self.log - half), math.exp(min(700.0, self.log + half)))

    @property
    def p_value(self) -> float:
        """Two-sided, of no change at all."""
        if self.rounds < 2:
            return 1.0
        if self.error == 0.0:
            return 1.0 if self.log == 0.0 else 0.0
        return student_two_sided(abs(self.log) / self.error, self.rounds - 1)

    @property
    def detectable(self) -> float:
        """The smallest relative slowdown that as many rounds with as much noise find nine times in ten."""
        if self.rounds < 2:
            return math.inf
        freedom = self.rounds - 1
        reach = student_quantile((1 + LEVEL) / 2, freedom) + student_quantile(POWER, freedom)
        return math.expm1(min(700.0, reach * self.error))


def ratio_of(logs: Sequence[float]) -> Ratio:
    """The mean of the rounds' log-ratios with its standard error. Raises ValueError without any round."""
    if not logs:
        raise ValueError("no round to compare")
    error = float(np.std(logs, ddof=1)) / math.sqrt(len(logs)) if len(logs) > 1 else math.inf
    return Ratio(float(np.mean(logs)), error, len(logs))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false alarm in the whole gate is at most the level they are held
    against (Holm 1979); NaN counts as 1."""
    clean = [1.0 if not p <= 1.0 else p for p in p_values]
    order = sorted(range(len(clean)), key=clean.__getitem__)
    adjusted = [1.0] * len(clean)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(clean) - rank) * clean[index]))
        adjusted[index] = largest
    return adjusted


def level_of(look: int) -> float:
    """The part of ALPHA that may be spent at a look (0, 1, ...) at growing data: half, a quarter, ...; ALPHA in all."""
    return float(ALPHA / 2 ** (look + 1))


def verdict_of(ratio: Ratio, adjusted: float, threshold: float, level: float = ALPHA) -> str:
    """SLOWER and FASTER need evidence and size, SAME needs an interval without a change of that size; else UNCLEAR."""
    interval = ratio.interval
    if ratio.rounds >= FEWEST_ROUNDS and adjusted <= level:
        if interval.estimate >= 1.0 + threshold and interval.low > 1.0:
            return "SLOWER"
        if interval.estimate <= 1.0 / (1.0 + threshold) and interval.high < 1.0:
            return "FASTER"
    if ratio.rounds >= FEWEST_ROUNDS and interval.high <= 1.0 + threshold and interval.low >= 1.0 / (1.0 + threshold):
        return "SAME"
    return "UNCLEAR"


def percent(ratio: float) -> str:
    """A ratio as a change: 1.031 is +3.1 %."""
    change = 100.0 * (ratio - 1.0)
    if not math.isfinite(change):
        return "unbounded"
    digits = 1 if 0.95 <= abs(change) < 99.5 else 2 if abs(change) < 0.95 else 0
    return f"{change:+.{digits}f} %"


def in_words(interval: Interval) -> str:
    return f"{percent(interval.estimate)} (95 %: {percent(interval.low)} to {percent(interval.high)})"

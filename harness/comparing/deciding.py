"""From ratios to verdicts: intervals over independent rounds, a correction over the gate, and a reason in words.

A round is a pair of fresh processes: its ratio is one observation, however many calls were made in it, since all of
them share its memory layout and its luck. So intervals are Student's, over rounds; what the other tasks of a gate tell
about the noise of a round adds to the degrees of freedom (harness.comparing.pooling).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.comparing.pooling import Prior
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
    """HEAD over BASE by one clock, out of `rounds` independent log-ratios with the standard error `error`, which is
    known with so many degrees of freedom."""

    log: float
    error: float
    rounds: int
    freedom: int

    @property
    def interval(self) -> Interval:
        """The ratio with its 95 % interval; the whole line where one round says nothing about the next."""
        if self.rounds < 2:
            return Interval(math.exp(self.log), 0.0, math.inf)
        half = student_quantile((1 + LEVEL) / 2, self.freedom) * self.error
        return Interval(math.exp(self.log), math.exp(self.log - half), math.exp(min(700.0, self.log + half)))

    @property
    def p_value(self) -> float:
        """Two-sided, of no change at all."""
        if self.rounds < 2:
            return 1.0
        if self.error == 0.0:
            return 1.0 if self.log == 0.0 else 0.0
        return student_two_sided(abs(self.log) / self.error, self.freedom)

    @property
    def detectable(self) -> float:
        """The smallest relative slowdown that as many rounds with as much noise find nine times in ten."""
        if self.rounds < 2:
            return math.inf
        reach = student_quantile((1 + LEVEL) / 2, self.freedom) + student_quantile(POWER, self.freedom)
        return math.expm1(min(700.0, reach * self.error))


def ratio_of(logs: Sequence[float], tick: float = 0.0, prior: Prior | None = None) -> Ratio:
    """The mean of the rounds' log-ratios with its standard error, which is not below what rounding both times to `tick`
    (relative to them) does to each round alike; `prior` is what other tasks tell about the variance of a round. Raises
    ValueError without any round."""
    if not logs:
        raise ValueError("no round to compare")
    rounds = len(logs)
    if rounds < 2:
        return Ratio(float(logs[0]), math.inf, 1, 0)
    variance, freedom = float(np.var(logs, ddof=1)), rounds - 1
    if prior is not None:
        variance, freedom = prior.moderate(variance, freedom)
    return Ratio(float(np.mean(logs)), max(math.sqrt(variance / rounds), tick / math.sqrt(6)), rounds, freedom)


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


def holm_of_part(p_values: Sequence[float], gate_tasks: int) -> list[float]:
    """The same for a part of a gate of so many tasks, of which others hold the rest: each part has its share of the
    level (Bonferroni), and within it Holm, so that the chance of any false alarm in all of them stays the same."""
    factor = max(1.0, gate_tasks / len(p_values)) if p_values else 1.0
    return [min(1.0, factor * p_value) for p_value in holm(p_values)]


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

"""What the tasks of a gate tell about each other's noise.

A task that was measured in few rounds knows its own noise badly, and Student's t makes it pay: with three rounds and
200 tasks nothing short of a fivefold change is certain. But all tasks were measured in the same rounds, on the same
machine. So the variances of all of them are taken as draws around a common one, which adds to the degrees of freedom of
each by as much as they resemble each other (Smyth 2004, "Linear models and empirical Bayes methods", section 6.2: the
moderated t statistic). Where the tasks differ in their noise, nothing is borrowed; where they do not, all is.

The tasks of a round also share its luck, and variances that are the same draw resemble each other for no good reason.
So all of them together count for no more degrees of freedom than their correlation leaves.

One thing is done otherwise: no task is taken for quieter than it looked. Where one task in twenty is four times as
noisy as the others, the statistic as published raises a false alarm in 24 of 100 gates of 200 tasks with four rounds,
this one in 8, Student's own in 3; one change of 3.5 standard deviations is found in 85, 72 and 6 of 100 (where all are
equally noisy: 4, 2, 6 and 100, 92, 10). tests/test_comparing.py repeats it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_TASKS = 8
"""With fewer, how much their variances resemble each other is itself a guess."""
MOST_FREEDOM = 200


@dataclass(frozen=True, slots=True)
class Prior:
    """A variance with the weight of so many degrees of freedom; what is `pooled` in all is the most that a task has."""

    variance: float
    freedom: float
    pooled: int

    def moderate(self, variance: float, freedom: int) -> tuple[float, int]:
        """A task's variance, moved up to the common one where it looked quieter, and its degrees of freedom."""
        total = self.freedom + freedom
        share = 1.0 if math.isinf(total) else self.freedom / total
        moved = share * self.variance + (1.0 - share) * variance
        return max(variance, moved), max(freedom, int(min(total, self.pooled, MOST_FREEDOM)))


def prior_of(tasks: Sequence[Sequence[float]]) -> Prior | None:
    """The prior that fits the tasks, each with one log-ratio per round (the first rounds are the same ones for all), by
    moments of the logarithms of their variances; None where too few tasks have one."""
    noisy = [logs for logs in map(np.asarray, tasks) if len(logs) > 1 and logs.var() > 0.0]
    known = [(float(logs.var(ddof=1)), len(logs) - 1) for logs in noisy]
    if len(known) < FEWEST_TASKS:
        return None
    logs = [math.log(variance) - digamma(freedom / 2) + math.log(freedom / 2) for variance, freedom in known]
    mean = math.fsum(logs) / len(logs)
    spread = math.fsum((one - mean) ** 2 for one in logs) / (len(logs) - 1)
    excess = spread - math.fsum(trigamma(freedom / 2) for _, freedom in known) / len(known)
    total = sum(freedom for _, freedom in known)
    shared = (len(known) - 1) * correlation(noisy) ** 2
    pooled = max(*(freedom for _, freedom in known), int(total / (1.0 + shared)))
    if excess <= trigamma(MOST_FREEDOM / 2):
        common = math.fsum(variance * freedom for variance, freedom in known) / total
        return Prior(common, math.inf, pooled)
    half = inverse_trigamma(excess)
    return Prior(math.exp(mean + digamma(half) - math.log(half)), 2.0 * half, pooled)


def correlation(tasks: Sequence[np.ndarray]) -> float:
    """How much the tasks' log-ratios go together from round to round, from 0 (or less) to 1: by how much the mean over
    tasks varies more than that of so many independent ones."""
    rounds = min(len(one) for one in tasks)
    first = np.array([one[:rounds] for one in tasks])
    first = first[first.std(axis=1) > 0.0]  # those that did not move in these rounds tell nothing
    count = len(first)
    if count < 2:
        return 1.0
    means = ((first - first.mean(axis=1, keepdims=True)) / first.std(axis=1, ddof=1, keepdims=True)).mean(axis=0)
    return float(np.clip((count * means.var(ddof=1) - 1.0) / (count - 1), 0.0, 1.0))


def digamma(x: float) -> float:
    """The derivative of log gamma, for x > 0 (Abramowitz and Stegun 6.3.5 and 6.3.18); within 1e-10."""
    below = 0.0
    while x < 10.0:
        below -= 1.0 / x
        x += 1.0
    square = 1.0 / (x * x)
    return below + math.log(x) - 0.5 / x - square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))


def trigamma(x: float) -> float:
    """The second derivative of log gamma, for x > 0 (Abramowitz and Stegun 6.4.6 and 6.4.12); within 1e-10."""
    below = 0.0
    while x < 10.0:
        below += 1.0 / (x * x)
        x += 1.0
    square = 1.0 / (x * x)
    series = 1 / 6 - square * (1 / 30 - square * (1 / 42 - square / 30))
    return below + 1.0 / x + 0.5 * square + square / x * series


def inverse_trigamma(value: float) -> float:
    """The x > 0 whose trigamma is `value` > 0; trigamma falls throughout."""
    low, high = 1e-8, 1e8
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if trigamma(middle) > value else (low, middle)
    return math.sqrt(low * high)

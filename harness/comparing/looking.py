"""How certain a verdict has to be at each look at data that grow.

A gate decides several times while its rounds come in, and each look is a chance of a false alarm. So each may spend a
part of the 5 % (Lan and DeMets 1983), early ones little. Most of what a look sees was there at the one before, so the
chances overlap: the level of a look is the one at which those that were not called before are called as often as it may
spend, worked out by recursion over the looks (Armitage, McPherson and Rowe 1969). Parts that merely add up to the 5 %
would leave the last of four looks 3 %, where 4.5 % are right.

In a gate of many tasks each has its share of the 5 %, and out there looks have less in common; so levels are worked out
for one task's share. Rounds are taken for equal parts of the evidence. The recursion is for sums of normal numbers, and
p-values are Student's, whose looks have less in common while rounds are few: with the levels as they are, gates of 1 to
24 tasks in 6 to 14 rounds raise an alarm in 5.2 to 6.3 of 100 cases instead of 5. So all levels are lower by STUDENT;
tests/test_comparing.py counts what is left.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from harness.comparing.deciding import ALPHA

STUDENT = 0.88
EARLY = 5
"""The power of the share of the data that is in, by which the 5 % are spent (Kim and DeMets 1987): a look at half of
them may spend a thirtieth."""
POINTS = 401
"""Of the grid between the bounds; odd, for Simpson's rule."""
HALVINGS = 60

_erfc = np.vectorize(math.erfc, otypes=[float])


def alpha_by(share: float) -> float:
    """How much of ALPHA may be spent on looks at growing data by the time that a share of all of it is in: early looks
    call only what is plain, and nearly all is left for the last one."""
    return ALPHA * min(1.0, max(0.0, share)) ** EARLY


History = tuple[tuple[int, float], ...]
"""Looks: after how many rounds, and how much of one task's share was spent by then, all before included."""


@dataclass
class Looks:
    """The looks at one task of a gate of so many."""

    tasks: int
    _history: History = ()

    def level(self, rounds: int, share: float) -> float:
        """What a p-value that is corrected for the number of tasks must not exceed at a look after so many rounds, when
        a share of all that there may be is in. A look at rounds that were looked at before takes that look's place."""
        while self._history and self._history[-1][0] >= rounds:
            self._history = self._history[:-1]
        before = self._history[-1][1] if self._history else 0.0
        spent = alpha_by(share) / self.tasks
        if rounds < 1 or spent <= before:
            return 0.0
        self._history = (*self._history, (rounds, spent))
        return min(ALPHA, STUDENT * self.tasks * math.erfc(_after(self._history).bound / math.sqrt(2.0 * rounds)))


@dataclass(frozen=True, slots=True)
class _Look:
    """A task is called where its sum over `rounds` (of unit variance each) is beyond `bound` on either side; the
    density of the sum where it was never called, as weights at points."""

    rounds: int
    spent: float
    bound: float
    points: np.ndarray
    weights: np.ndarray


@functools.lru_cache(maxsize=1000)  # tasks that were looked at together have one history
def _after(history: History) -> _Look:
    """The last of some looks."""
    if not history:
        return _Look(0, 0.0, 0.0, np.zeros(1), np.ones(1))
    before, (rounds, spent) = _after(history[:-1]), history[-1]
    bound = _bound(before, rounds, spent - before.spent)
    points = np.linspace(-bound, bound, POINTS)
    simpson = np.where(np.arange(POINTS) % 2, 4.0, 2.0)
    simpson[[0, -1]] = 1.0
    variance = rounds - before.rounds
    steps = np.exp(-0.5 * (points[:, None] - before.points[None, :]) ** 2 / variance)
    density = steps @ before.weights / math.sqrt(2.0 * math.pi * variance)
    return _Look(rounds, spent, bound, points, density * simpson * (points[1] - points[0]) / 3.0)


def _bound(before: _Look, rounds: int, chance: float) -> float:
    """The bound that lies beyond with this chance, by bisection."""
    low, high = 0.0, 40.0 * math.sqrt(rounds)  # erfc of more than 38 standard deviations is 0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _beyond(before, rounds, middle) > chance else (low, middle)
    return high


def _beyond(before: _Look, rounds: int, bound: float) -> float:
    """The chance to be beyond a bound on either side after so many rounds, not called before."""
    scale = math.sqrt(2.0 * (rounds - before.rounds))
    tails = _erfc((bound - before.points) / scale) + _erfc((bound + before.points) / scale)
    return 0.5 * float(before.weights @ tails)

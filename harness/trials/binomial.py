"""How often something happens, with the interval that so many trials allow."""

from __future__ import annotations

import math
from collections.abc import Callable

LEVEL = 0.95


def interval(found: int, trials: int) -> tuple[float, float]:
    """The exact 95 % interval (Clopper and Pearson 1934) of the probability of what happened `found` times."""
    if not 0 <= found <= trials or trials == 0:
        raise ValueError(f"{found} of {trials} trials")
    tail = (1 - LEVEL) / 2
    low = 0.0 if found == 0 else _solve(lambda p: 1.0 - _at_most(found - 1, trials, p), tail)
    high = 1.0 if found == trials else _solve(lambda p: -_at_most(found, trials, p), -tail)
    return low, high


def in_words(found: int, trials: int) -> str:
    """For example `1 of 40 (95 %: 0.1 to 13 %)`."""
    low, high = interval(found, trials)
    return f"{found} of {trials} (95 %: {_percent(low)} to {_percent(high)} %)"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if 0 < share < 0.0995 else f"{100 * share:.0f}"


def _at_most(found: int, trials: int, p: float) -> float:
    """P(X <= found) of a binomial X."""
    if p <= 0.0 or p >= 1.0:
        return 1.0 if p <= 0.0 else 0.0
    log_p, log_q = math.log(p), math.log1p(-p)
    return math.fsum(math.exp(_log_ways(trials, k) + k * log_p + (trials - k) * log_q) for k in range(found + 1))


def _log_ways(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def _solve(rising: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2

"""Is a random answer a draw from the Gumbel-softmax distribution? Tests that hold at every sample size.

With independent standard Gumbel noise g, y = softmax((x + g) / tau), so that for two elements of a row

    D = tau (log y_i - log y_j) - (x_i - x_j) = g_i - g_j        is standard logistic,

for disjoint pairs of elements independently, whatever x and tau are; and the largest y of a row is element k with the
probability softmax(x)_k (which alone tells g from -g: both have the same D).

Every test bounds the probability of its own false alarm, without asymptotics (with n observations):

    DKW       sup |F_n - F| > e has the probability 2 exp(-2 n e^2) at most (Massart, Ann. Probab. 18, 1990)
    Chernoff  a sum of n independent 0/1 variables of mean p (on average) is at least k > n p, or at most k < n p, with
              the probability exp(-n KL(k/n, p)) at most (Hoeffding, J. Amer. Stat. Assoc. 58, 1963, theorem 1)

What they do not see: faults that move D less than about 0.01 in distribution at 2 10^5 pairs, such as small noise
clipped at its 1 % quantile (the lower tail of g is so short that this moves 1 % of the noise by 0.3), and dependence
that shows neither in the signs of D nor in the largest elements.

Rounding: each y is known up to an interval, and so is D; a test fails only if no values inside the intervals pass it.
That a y has underflowed makes its interval reach down to 0 and D's to infinity, and nothing more has to be said of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.precision import Format, format_of

FALSE_ALARM = 1e-9
"""Per answer. A task has four answers judged (two at the first request, two at the second): 4e-9 in all."""
SHARE = FALSE_ALARM / 6
"""Of each kind of test: distribution, tails, independence in a row and of rows, repeated rows, frequencies."""

TAILS = (1e-1, 1e-2, 3e-3, 1e-3, 5e-4, 2e-4, 1e-4)
"""Probabilities beyond which the observations in either tail are counted."""
LARGEST_NOISE = 40.0
"""|g| is below it with a probability of 1 - 5e-18 for each element: only the rounding of y depends on that."""
SAME = 1e-3
"""Rows whose D differ by no more than this in all pairs repeat each other."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Rows of an answer and of their logits, in float64, all finite; `low` and `high` enclose the exact y."""

    logits: np.ndarray
    tau: float
    low: np.ndarray
    high: np.ndarray


def enclosed(logits: np.ndarray, y: np.ndarray, tau: float, output: Format) -> Draw:
    """The exact softmax of the noise that was drawn lies between `low` and `high`.

    Computed in float32 or wider, and stored once: the relative error of y is that of the exponent (a few units of
    x + g, divided by tau), of exp at log y, of a sum of K terms, and of the store; and the absolute one underflow. The
    constants are generous, since an interval of 1e-4 takes nothing off a test with 10^5 observations.
    """
    unit = min(output.unit, 2.0**-24)
    with np.errstate(divide="ignore"):
        exponent = 8.0 * (np.abs(logits) + LARGEST_NOISE) / abs(tau)
        depth = np.where(y > 0, np.abs(np.log(y)), 0.0)
    relative = unit * (exponent + 4.0 * depth + y.shape[-1] + 32.0) + 2.0 * output.unit
    low = np.maximum(0.0, y * (1.0 - relative) - 2.0 * output.underflow)
    return Draw(logits, tau, low, y * (1.0 + relative) + 2.0 * output.underflow)


def differences(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """D of disjoint pairs of elements, (rows, K // 2), as lower and upper ends.

    The pairs are fixed, but not neighbours: noise that is shared by neighbours would be hidden in them.
    """
    count = draw.logits.shape[-1]
    order = np.random.default_rng(0).permutation(count)
    first, second = order[: count // 2], order[count // 2 : count // 2 * 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.log(draw.low), np.log(draw.high)
        shift = draw.logits[:, first] - draw.logits[:, second]
        least = np.nan_to_num(low[:, first] - high[:, second], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        most = np.nan_to_num(high[:, first] - low[:, second], nan=np.inf, posinf=np.inf, neginf=-np.inf)
    ends = (draw.tau * least - shift, draw.tau * most - shift)
    return (ends[1], ends[0]) if draw.tau < 0 else ends


# ---- single tests; each returns why it fails, or an empty text


def logistic(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return 1.0 / (1.0 + np.exp(-x))


def beyond_dkw(low: np.ndarray, high: np.ndarray, alarm: float) -> str:
    """Independent D in intervals: are all their empirical distributions further from the logistic one than allowed?"""
    n = low.size
    if n == 0:
        return ""
    allowed = math.sqrt(math.log(2.0 / alarm) / (2.0 * n))
    steps = np.arange(n + 1) / n
    above = float(np.max(steps[1:] - logistic(np.sort(high.ravel()))))
    below = float(np.max(logistic(np.sort(low.ravel())) - steps[:-1]))
    if max(above, below) <= allowed:
        return ""
    return (
        f"the noise is not Gumbel's: over {n} pairs the distribution of tau log(y_i / y_j) - (x_i - x_j) is off the "
        f"logistic one by {max(above, below):.3g}, where {allowed:.3g} has a probability below {alarm:.1g}"
    )


def divergence(p: float, q: float) -> float:
    """KL(p, q) of two coins; infinite where q excludes what p has."""
    if not 0.0 < q < 1.0:
        return 0.0 if p == q else math.inf
    return sum(a * math.log(a / b) for a, b in ((p, q), (1.0 - p, 1.0 - q)) if a > 0.0)


def beyond_chernoff(least: int, most: int, n: int, p: float, alarm: float) -> str:
    """A count known to lie between `least` and `most`, of n independent events of mean probability p."""
    p = min(max(p, 0.0), 1.0)
    bound = math.log(1.0 / alarm)
    for count, wrong in ((least, least > n * p), (most, most < n * p)):
        # 1e-9: a probability that was added up in float64 is not exact
        if n and wrong and abs(count / n - p) > 1e-9 and n * divergence(count / n, p) > bound:
            return f"{count} of {n} where {n * p:.6g} are to be expected (probability below {alarm:.1g})"
    return ""


def tails(low: np.ndarray, high: np.ndarray, alarm: float) -> str:
    """How many D lie far out, in either tail; clipped or truncated noise has too few, heavy tails have too many."""
    for p in TAILS:
        end = math.log((1.0 - p) / p)
        for side, least, most in (
            ("above", int(np.sum(low > end)), int(np.sum(high > end))),
            ("below", int(np.sum(high < -end)), int(np.sum(low < -end))),
        ):
            reason = beyond_chernoff(least, most, low.size, p, alarm / (4 * len(TAILS)))
            if reason:
                return f"the noise has a wrong tail: {side} {end if side == 'above' else -end:.3g} lie {reason}"
    return ""


def agreement(low: np.ndarray, high: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[int, int, int]:
    """Of D at `first` and at `second` along axis 0: how many agree in sign at least, and at most, and of how many."""
    up, down = low > 0, high < 0
    alike = (up[first] & up[second]) | (down[first] & down[second])
    apart = (up[first] & down[second]) | (down[first] & up[second])
    return int(alike.sum()), int(alike.size - apart.sum()), alike.size


def halves(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Disjoint pairs of numbers below `count`: neighbours, and a half apart."""
    half = count // 2
    numbers = np.arange(half)
    return [(2 * numbers, 2 * numbers + 1), (numbers, half + numbers)]


def dependent_columns(low: np.ndarray, high: np.ndarray, alarm: float) -> str:
    """Within a row the signs of different pairs agree half of the time."""
    for first, second in halves(low.shape[1]):
        reason = beyond_chernoff(*agreement(low.T, high.T, first, second), 0.5, alarm / 4)
        if reason:
            return f"the noise of a row is not independent: pairs of elements agree in sign in {reason}"
    return ""


def dependent_rows(low: np.ndarray, high: np.ndarray, alarm: float) -> str:
    for first, second in halves(low.shape[0]):
        reason = beyond_chernoff(*agreement(low, high, first, second), 0.5, alarm / 4)
        if reason:
            return f"the noise of different rows is not independent: they agree in sign in {reason}"
    return ""


def repeated_rows(low: np.ndarray, high: np.ndarray) -> str:
    """Two rows with the same noise. The density of D - D' is 1/6 at most, hence the probability (rows^2 / 2) (SAME /
    3)^pairs; where that is more than SHARE (few pairs), nothing is said."""
    rows, pairs = low.shape
    if rows < 2 or rows**2 / 2 * (SAME / 3) ** pairs > SHARE:
        return ""
    with np.errstate(invalid="ignore"):
        middle, known = (low + high) / 2, np.all(high - low <= SAME / 2, axis=1)
    middle = middle[known]
    middle = middle[np.argsort(middle[:, 0])] if middle.size else middle
    same = np.all(np.abs(np.diff(middle, axis=0)) <= SAME / 2, axis=1)
    return f"{int(same.sum())} rows have the very noise of another row" if same.any() else ""


def wrong_frequencies(least: np.ndarray, most: np.ndarray, p: np.ndarray, alarm: float) -> str:
    """How often each element is its row's largest: counted for certain (`least`) and at most, (rows, K) each.

    Once by element, and once by rank among the probabilities of its row: where logits differ from row to row, the
    elements' mean probabilities are nearly equal, whatever the noise, and the ranks' are not.
    """
    n, count = p.shape
    ranks = np.argsort(-p, axis=1, kind="stable")
    by_rank = [np.take_along_axis(part, ranks, axis=1) for part in (least, most, p)]
    for what, parts in (("element", [least, most, p]), ("the element of rank", by_rank)):
        certain, possible, expected = (part.sum(axis=0) for part in parts)
        for k in range(count):
            probability = float(expected[k]) / n
            reason = beyond_chernoff(int(certain[k]), int(possible[k]), n, probability, alarm / (4 * count))
            if reason:
                return f"the largest elements do not follow softmax(logits): {what} {k} is the largest in {reason}"
    return ""


def dependent_winners(least: np.ndarray, most: np.ndarray, p: np.ndarray, alarm: float) -> str:
    """Two rows have the same largest element with the probability sum p p'."""
    for first, second in halves(p.shape[0]):
        expected = float(np.mean(np.sum(p[first] * p[second], axis=1))) if first.size else 0.0
        certain = int(np.sum(least[first] & least[second]))
        possible = int(np.sum(np.any(most[first] & most[second], axis=1)))
        reason = beyond_chernoff(certain, possible, first.size, expected, alarm / 4)
        if reason:
            return f"the noise of different rows is not independent: they have the same largest element in {reason}"
    return ""


# ---- all of them


def winners(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """Where an element is the largest of its row for certain, and where it may be."""
    others = np.sort(draw.high, axis=1)
    rival = np.where(draw.high == others[:, -1:], others[:, -2:-1], others[:, -1:])
    return draw.low > rival, draw.high >= draw.low.max(axis=1, keepdims=True)


def probabilities(logits: np.ndarray, tau: float) -> np.ndarray | None:
    """Of each element to be the largest. Below tau = 0 it is the smallest x + g that wins: known for two elements."""
    if tau < 0 and logits.shape[1] > 2:
        return None
    signed = logits if tau > 0 else -logits
    w = np.exp(signed - signed.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)


def doubt(logits: np.ndarray, y: np.ndarray, tau: float, dtype: str, *, hard: bool) -> str:
    """Why rows (n, K) of an answer are no draw for these logits, or an empty text; wrong at most FALSE_ALARM often."""
    if not logits.shape[0] or logits.shape[1] < 2:
        return ""
    p = probabilities(logits, tau)
    if hard:
        least = most = y == 1
        reasons = []
    else:
        draw = enclosed(logits, y, tau, format_of(dtype))
        low, high = differences(draw)
        least, most = winners(draw)
        reasons = [
            beyond_dkw(low, high, SHARE),
            tails(low, high, SHARE),
            dependent_columns(low, high, SHARE),
            dependent_rows(low, high, SHARE / 2),
            repeated_rows(low, high),
        ]
    if p is not None:
        reasons += [wrong_frequencies(least, most, p, SHARE), dependent_winners(least, most, p, SHARE / 2)]
    return next(filter(None, reasons), "")

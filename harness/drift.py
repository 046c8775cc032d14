"""Steps and drift of one series of times, told apart and from noise. Pure: arrays in, findings out.

Everything is done on the logarithm of the times, so that a change is a ratio whatever the time is.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.timing.statistics import Interval, student_quantile

SEGMENT = 5
"""Runs that a level must hold to be one: fewer are a disturbance."""
NEIGHBOURS = 3
FENCE = 3.5
"""Noise widths from its neighbours' median at which a run is a spike, and is put to that median."""
CUT = 3.0
"""Noise widths at which differences of runs are cut for their squares."""
LEAST_NOISE = 0.0015
"""Relative spread that is assumed at least: equal code in new processes differed by 0.14 % on a calm machine."""
MOST_CORRELATION = 0.8
PENALTY = 3.0
"""Noise variances, times the log of the number of runs, that one more step must explain."""
LEAST_DAYS = 5
MOST_DAYS = 1500
Z95 = 1.959964
INSTALL = "change points need the library ruptures; type: pip install 'kernel-harness[stats]'"
Days = tuple[np.ndarray, np.ndarray]
"""Log times by day, and when they were, in weeks."""


@dataclass(frozen=True, slots=True)
class Noise:
    """`spread` is the relative standard deviation of one run. Runs that follow each other are alike: `repetition` is by
    how much the variance of a mean of runs is larger than that of as many independent ones."""

    spread: float
    repetition: float


@dataclass(frozen=True, slots=True)
class Step:
    """The level changes between run `index` - 1 and run `index`; `size` is in log time, drift taken out."""

    index: int
    size: Interval


@dataclass(frozen=True, slots=True)
class Drift:
    """Slow change per week in log time, steps taken out. `p_value` is two-sided, of no drift at all."""

    per_week: Interval
    p_value: float
    days: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What a series shows. `noise` is the relative spread from run to run; `drift` is None where the runs cannot tell,
    and `too_short` then says why."""

    noise: float
    steps: tuple[Step, ...]
    drift: Drift | None
    too_short: str


def find(times_ns: Sequence[float], weeks: Sequence[float]) -> Findings:
    """Steps and drift of positive times at ascending `weeks`. Raises ImportError with a hint without ruptures."""
    logs, at = np.log(np.asarray(times_ns, dtype=float)), np.asarray(weeks, dtype=float)
    if len(logs) < 2:
        return Findings(math.nan, (), None, "one run is no series")
    noise = noise_of(logs)
    calm = without_spikes(logs, noise.spread)
    cuts, slope = _segments(calm, at, noise) if len(logs) >= 2 * SEGMENT else ((), 0.0)
    steps = _steps(calm, at, cuts, slope != 0.0, noise)
    drift, too_short = drift_of(calm, at, [step.index for step in steps])
    return Findings(noise.spread, steps, drift, too_short)


def noise_of(logs: np.ndarray) -> Noise:
    """The noise of single runs, from differences of runs one and two apart: steps and drift hardly enter them.

    With the variance g and the correlation r of successive runs the squared differences are 2 g (1 - r) and
    2 g (1 - r^2), which gives both (Chakar, Lebarbier, Levy-Leduc and Robin 2017). Differences of spikes are cut, and
    the width is that of the upper quartile (1.1503 in a normal), which sees two modes as noise where a median may not.
    """
    one, two = (np.abs(logs[apart:] - logs[:-apart]) for apart in (1, min(2, len(logs) - 1)))
    width = float(np.quantile(one, 0.75)) / 1.1503
    near, far = (float(np.mean(np.minimum(difference, CUT * width) ** 2)) for difference in (one, two))
    correlation = min(MOST_CORRELATION, max(0.0, far / near - 1.0)) if near > 0.0 else 0.0
    spread = width / math.sqrt(2.0 * (1.0 - correlation))
    return Noise(max(spread, LEAST_NOISE), (1.0 + correlation) / (1.0 - correlation))


def without_spikes(logs: np.ndarray, spread: float) -> np.ndarray:
    """The series with up to three runs in a row that stand far out put to the median of their neighbours (Hampel)."""
    size, window = len(logs), min(len(logs), 2 * NEIGHBOURS + 1)
    starts = np.clip(np.arange(size) - NEIGHBOURS, 0, size - window)
    middle = np.median(logs[starts[:, None] + np.arange(window)], axis=1)
    return np.where(np.abs(logs - middle) > FENCE * spread, middle, logs)


def _segments(calm: np.ndarray, weeks: np.ndarray, noise: Noise) -> tuple[tuple[int, ...], float]:
    """Where levels begin, and the drift per week that explains the series together with them at the least cost.

    A drift alone looks like a staircase, and a step alone like a drift, so both are fitted, and one more step or the
    drift is taken only for what it explains.
    """
    price = PENALTY * noise.spread**2 * noise.repetition * math.log(len(calm))

    def cost(cuts: Sequence[int], slope: float) -> float:
        parts = np.split(calm - slope * weeks, list(cuts))
        squares = sum(float(((part - part.mean()) ** 2).sum()) for part in parts)
        return squares + price * (len(cuts) + (slope != 0.0))

    levels = _cuts(calm, price)
    candidates = [(levels, 0.0)]
    for start in dict.fromkeys(((), levels)):
        cuts: tuple[int, ...] = start
        for _ in range(3):
            slope = _slope(calm, weeks, cuts)
            found = _cuts(calm - slope * weeks, price)
            candidates.append((found, slope))
            if found == cuts:
                break
            cuts = found
    return min(candidates, key=lambda one: cost(*one))


def _cuts(signal: np.ndarray, penalty: float) -> tuple[int, ...]:
    """Change points of the mean: PELT with squared error (Killick, Fearnhead and Eckley 2012)."""
    try:
        import ruptures
    except ImportError:
        raise ImportError(INSTALL) from None
    found = ruptures.KernelCPD(kernel="linear", min_size=SEGMENT, jump=1).fit(signal[:, None]).predict(pen=penalty)
    return tuple(int(one) for one in found[:-1])


def _steps(calm: np.ndarray, weeks: np.ndarray, cuts: Sequence[int], drifts: bool, noise: Noise) -> tuple[Step, ...]:
    """The steps whose interval is beyond zero; the one that is furthest from that is dropped first."""
    kept = list(cuts)
    while kept:
        steps = _sized(calm, weeks, kept, drifts, noise)
        beyond = [max(step.size.low, -step.size.high) for step in steps]
        if min(beyond) > 0.0:
            return tuple(steps)
        kept.pop(int(np.argmin(beyond)))
    return ()


def _sized(calm: np.ndarray, weeks: np.ndarray, cuts: Sequence[int], drifts: bool, noise: Noise) -> list[Step]:
    """Each step's size by least squares, beside the drift where there is one, with a t interval; runs that repeat each
    other count as fewer (AR(1))."""
    levels: np.ndarray = (np.arange(len(calm))[:, None] >= np.array([0, *cuts])).astype(float)
    design = np.column_stack([levels, weeks - weeks.mean()]) if drifts else levels
    inverse = np.linalg.pinv(design.T @ design)
    sizes = inverse @ design.T @ calm
    residual = calm - design @ sizes
    freedom = len(calm) - design.shape[1]
    repeated = max(repetition(np.split(residual, list(cuts))), noise.repetition)
    variance = max(float(residual @ residual) / freedom, LEAST_NOISE**2) * repeated
    reach = student_quantile(0.975, max(1, round(freedom / repeated))) * np.sqrt(variance * np.diag(inverse))
    return [
        Step(cut, Interval(float(size), float(size - half), float(size + half)))
        for cut, size, half in zip(cuts, sizes[1:], reach[1:], strict=False)
    ]


def repetition(residuals: Sequence[np.ndarray]) -> float:
    """By how much the variance of a mean is larger than that of independent values: (1 + r) / (1 - r), at least 1.

    r is the correlation of successive values inside the segments, corrected for what was fitted (Kendall 1954).
    """
    size = sum(len(one) for one in residuals)
    squares = sum(float(one @ one) for one in residuals)
    if size < 4 or squares == 0.0:
        return 1.0
    raw = sum(float(one[1:] @ one[:-1]) for one in residuals) / squares
    correlation = min(MOST_CORRELATION, max(0.0, raw + (len(residuals) + 3.0 * max(raw, 0.0)) / size))
    return (1.0 + correlation) / (1.0 - correlation)


def drift_of(calm: np.ndarray, weeks: np.ndarray, cuts: Sequence[int]) -> tuple[Drift | None, str]:
    """The drift between the steps, or why there is none to be told.

    The median of all slopes between two days of one segment (Sen 1968), and the test by the sum of their signs over the
    segments (Hirsch, Slack and Smith 1982), whose variance is inflated where days repeat each other (Hamed and Rao
    1998). The unit is the day, since runs of one day share what the machine did on it.
    """
    parts = _daily(calm, weeks, cuts)
    days = sum(len(at) for _, at in parts)
    if days < LEAST_DAYS:
        return None, f"runs on {days} {'day' if days == 1 else 'days'}, a trend takes {LEAST_DAYS}"
    slopes, signs, variance = _pairs(parts)
    if variance == 0.0:
        return None, "the time is the same on all days"
    estimate = float(np.median(slopes))
    residuals = [logs - estimate * at - np.median(logs - estimate * at) for logs, at in parts]
    spread = math.sqrt(variance * repetition(residuals))
    low, high = (math.floor((len(slopes) - Z95 * spread) / 2) - 1, math.ceil((len(slopes) + Z95 * spread) / 2))
    if low < 0 or high >= len(slopes):
        return None, f"runs on {days} days are too few for how they vary"
    z = max(0.0, abs(signs) - 1.0) / spread
    interval = Interval(estimate, float(slopes[low]), float(slopes[high]))
    return Drift(interval, math.erfc(z / math.sqrt(2.0)), days), ""


def _slope(calm: np.ndarray, weeks: np.ndarray, cuts: Sequence[int]) -> float:
    slopes = np.concatenate([rise / apart for rise, apart in map(_rises, _daily(calm, weeks, cuts))])
    return float(np.median(slopes)) if len(slopes) else 0.0


def _daily(logs: np.ndarray, weeks: np.ndarray, cuts: Sequence[int]) -> list[Days]:
    """For each segment the median of each day, at the mean of its times; of several days where there are too many."""
    day = np.floor(weeks * 7.0)
    together = math.ceil(len(np.unique(day)) / MOST_DAYS)
    group = np.floor(day / together)
    found = []
    for first, last in zip([0, *cuts], [*cuts, len(logs)], strict=True):
        breaks = np.flatnonzero(np.diff(group[first:last])) + 1
        starts = np.concatenate([[0], breaks])
        counts = np.diff(np.append(starts, last - first))
        # in order within each day: the median is the middle, for all days at once
        ordered = logs[first:last][np.lexsort((logs[first:last], group[first:last]))]
        medians = (ordered[starts + (counts - 1) // 2] + ordered[starts + counts // 2]) / 2.0
        found.append((medians, np.add.reduceat(weeks[first:last], starts) / counts))
    return found


@functools.lru_cache(8)
def _two_of(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The indexes of all pairs of so many days: all tasks of a store have about the same days."""
    return np.triu_indices(size, 1)


def _rises(days: Days) -> Days:
    """For each pair of days how much the log time rose, and how far they are apart."""
    first, second = _two_of(len(days[0]))
    return days[0][second] - days[0][first], days[1][second] - days[1][first]


def _pairs(parts: Sequence[Days]) -> tuple[np.ndarray, float, float]:
    """Sorted slopes between two days of one segment, the sum of their signs, and its variance without drift."""
    slopes, signs, variance = [], 0.0, 0.0
    for days in parts:
        rise, apart = _rises(days)
        slopes.append(rise / apart)
        signs += float(np.sign(rise).sum())
        size = len(days[0])
        ties = np.unique(days[0], return_counts=True)[1]
        variance += (size * (size - 1) * (2 * size + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18.0
    return np.sort(np.concatenate(slopes)), signs, variance

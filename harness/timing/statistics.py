"""Medians and intervals of interleaved times. The unit of replication is the process, not the sample.

Samples of one process share its memory layout and its luck: pooling them as if they were independent calls equal code
different. So the bootstrap draws processes first, then blocks inside each (Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.record import Sample

RESAMPLES = 2000
LEVEL = 0.95
_CHUNK = 2_000_000

Blocks = Mapping[tuple[int, int], float]
"""(process, block) -> nanoseconds per call."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float

    @property
    def relative_half_width(self) -> float:
        """Half the interval over the estimate: the smallest relative change that it could have told from none."""
        return (self.high - self.low) / (2.0 * self.estimate)


def per_call_ns(sample: Sample) -> float:
    """Nanoseconds per call of one reading (at least 1 for the reading as a whole): by the device's own clock where it
    has one, since the wall clock then sees flushes and holds as well; else by the wall clock."""
    return max(1, sample.wall_ns if sample.device_ns is None else sample.device_ns) / sample.calls


def block_medians(samples: Iterable[Sample]) -> dict[tuple[int, int], float]:
    """The median time per call of each (process, block), in nanoseconds."""
    blocks: dict[tuple[int, int], list[float]] = {}
    for sample in samples:
        blocks.setdefault((sample.process, sample.block), []).append(per_call_ns(sample))
    return {key: float(np.median(times)) for key, times in blocks.items()}


def median_interval(times: Blocks, seed: int = 0) -> Interval:
    """The median time with its interval, in the unit of `times`. Raises ValueError without any block."""
    return _exp(_clustered_median({key: float(np.log(value)) for key, value in times.items()}, seed))


def paired_ratio(a: Blocks, b: Blocks, seed: int = 0) -> Interval:
    """How many times as long a takes as b: the median over common blocks of log(a/b), with its interval.

    Only blocks that hold both count: what disturbed one burst disturbed its neighbour too. Raises ValueError where
    there is no common block.
    """
    common = a.keys() & b.keys()
    return _exp(_clustered_median({key: float(np.log(a[key] / b[key])) for key in common}, seed))


def student_two_sided(t: float, freedom: int) -> float:
    """P(|T| > t) of Student's t with a whole number of degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4).

    1 - P is taken where P is near 1, so values below 1e-16 come out as 0.
    """
    angle = math.atan2(abs(t), math.sqrt(freedom))
    square = math.cos(angle) ** 2
    term = total = math.cos(angle) if freedom % 2 else 1.0
    for step in range(freedom % 2 + 2, freedom, 2):
        term *= square * (step - 1) / step
        total += term
    if freedom % 2:
        inside = 2.0 / math.pi * (angle + (math.sin(angle) * total if freedom > 1 else 0.0))
    else:
        inside = math.sin(angle) * total
    return min(1.0, max(0.0, 1.0 - inside))


@functools.cache
def student_quantile(probability: float, freedom: int) -> float:
    """The t below which Student's t lies with a probability of at least one half, by bisection."""
    low, high = 0.0, 1.0
    while 1.0 - 0.5 * student_two_sided(high, freedom) < probability:
        high *= 2.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if 1.0 - 0.5 * student_two_sided(middle, freedom) < probability else (low, middle)
    return high


def _exp(interval: Interval) -> Interval:
    low, estimate, high = np.exp([interval.low, interval.estimate, interval.high])
    return Interval(float(estimate), float(low), float(high))


def _clustered_median(values: Blocks, seed: int) -> Interval:
    if not values:
        raise ValueError("no blocks to compare")
    groups: dict[int, list[float]] = {}
    for (process, _), value in sorted(values.items()):
        groups.setdefault(process, []).append(value)
    estimate = float(np.median(list(values.values())))
    resampled = _resampled_medians(list(groups.values()), np.random.default_rng(seed))
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, min(float(low), estimate), max(float(high), estimate))


def _resampled_medians(groups: Sequence[Sequence[float]], rng: np.random.Generator) -> np.ndarray:
    """Medians of two-stage resamples: processes with replacement, then as many blocks inside each."""
    sizes = np.array([len(group) for group in groups])
    longest = int(sizes.max())
    table = np.zeros((len(groups), longest))
    for row, group in enumerate(groups):
        table[row, : len(group)] = group
    medians = []
    per_chunk = max(1, _CHUNK // (len(groups) * longest))
    for start in range(0, RESAMPLES, per_chunk):
        count = min(per_chunk, RESAMPLES - start)
        chosen = rng.integers(0, len(groups), (count, len(groups)))
        picks = (rng.random((count, len(groups), longest)) * sizes[chosen][..., None]).astype(np.intp)
        medians.append(np.median(table[chosen[..., None], picks].reshape(count, -1), axis=1))
    return np.concatenate(medians)

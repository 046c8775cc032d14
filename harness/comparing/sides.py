"""Two runs of a task that were not measured in turn: the ratio of their times by each clock, by Welch's method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.comparing.deciding import LEVEL, SEVERAL_THREADS, WAITING, Ratio
from harness.comparing.pairs import deciding_clock
from harness.comparing.verdicts import CLOCKS
from harness.record import Record, Sample
from harness.timing.statistics import student_quantile

ASSUMED_PROCESSES = 3
"""Of a record without samples, which does not say in how many processes it was timed: what `harness bench` starts."""
RESOLUTION_NS = 0.5
"""Half of what the clocks count in: no time is more certain than that."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of the processes' median log times, the variance of that mean, and its degrees of freedom."""

    log: float
    variance: float
    freedom: int


@dataclass(frozen=True, slots=True)
class Side:
    """A task in one run: its record, its samples where the run is stored with them, and what both say by each clock."""

    record: Record
    samples: tuple[Sample, ...]
    estimates: Mapping[str, Estimate]


def trouble(side: Side) -> str:
    """Why a side has no time that can be compared; empty if it has one."""
    median = side.record.median_ns
    if median is None:
        return "it passed and has no time"
    if not (math.isfinite(median) and median > 0):
        return f"its time is {median} ns"
    if "wall" not in side.estimates:
        return "a reading of it took no time, or none of its calls were counted"
    return ""


def side_of(record: Record, samples: Sequence[Sample] = ()) -> Side:
    """A task in one run, with what can be said of its time; a clock that says nothing is not there."""
    found = {clock: _of_samples(samples, clock) if samples else _of_record(record, clock) for clock in CLOCKS}
    return Side(record, tuple(samples), {clock: one for clock, one in found.items() if one is not None})


def ratio(base: Estimate, head: Estimate, scale: float = 1.0) -> Ratio:
    """HEAD over `scale` times BASE, with the degrees of freedom of Welch and Satterthwaite, rounded down."""
    log = head.log - base.log - math.log(scale)
    variance = base.variance + head.variance
    if not (base.freedom and head.freedom and math.isfinite(variance)):
        return Ratio(log, math.inf, 1, 0)
    parts = base.variance**2 / base.freedom + head.variance**2 / head.freedom
    freedom = variance**2 / parts if parts > 0.0 else min(base.freedom, head.freedom)
    whole = max(1, math.floor(freedom))
    return Ratio(log, math.sqrt(variance), whole + 1, whole)


def clock_of(base: Side, head: Side) -> tuple[str, str]:
    """The clock that decides, and why: as for pairs where there are samples; else by the medians."""
    clock, why = "cpu", "it runs on one thread"
    if base.samples or head.samples:
        clock, why = deciding_clock(base.samples, head.samples)
    for side in (base, head):
        if not side.samples and clock != "wall":
            clock, why = _clock_of_record(side.record, clock, why)
    if clock == "cpu" and not all("cpu" in side.estimates for side in (base, head)):
        return "wall", "its CPU time is not known"
    return clock, why


def _clock_of_record(record: Record, clock: str, why: str) -> tuple[str, str]:
    if clock == "device" or record.device != "cpu":
        return "wall", "the device's clock is not in the file"
    if not record.cpu_median_ns or not record.median_ns or record.cpu_median_ns < 0:
        return "wall", "its CPU time is not known"
    share = record.cpu_median_ns / record.median_ns
    if share > SEVERAL_THREADS:
        return "wall", "it runs on several threads"
    if share < 1.0 - WAITING:
        return "wall", "it waits, or was disturbed"
    return clock, why


def _of_samples(samples: Sequence[Sample], clock: str) -> Estimate | None:
    times: dict[int, list[float]] = {}
    shortest = math.inf
    for one in samples:
        value = {"cpu": one.cpu_ns, "wall": one.wall_ns, "device": one.device_ns}[clock]
        if value is None or not (math.isfinite(value) and value > 0 and one.calls > 0):
            return None
        times.setdefault(one.process, []).append(value / one.calls)
        shortest = min(shortest, value)
    logs = [math.log(float(np.median(values))) for values in times.values()]
    variance = float(np.var(logs, ddof=1)) / len(logs) if len(logs) > 1 else math.inf
    return Estimate(float(np.mean(logs)), max(variance, (RESOLUTION_NS / shortest) ** 2), len(logs) - 1)


def _of_record(record: Record, clock: str) -> Estimate | None:
    """The standard error is that of the wall clock, whose interval is all that a record has."""
    value = {"cpu": record.cpu_median_ns, "wall": record.median_ns}.get(clock)
    if value is None or not (math.isfinite(value) and value > 0):
        return None
    low, high = record.ci_low_ns, record.ci_high_ns
    if low is None or high is None or not 0 < low <= high:
        return Estimate(math.log(value), math.inf, 0)
    # a bootstrap over n clusters is too narrow by sqrt((n - 1) / n)
    half = math.log(high / low) / 2.0 * math.sqrt(ASSUMED_PROCESSES / (ASSUMED_PROCESSES - 1.0))
    error = half / student_quantile((1 + LEVEL) / 2, 1000)
    return Estimate(math.log(value), max(error, RESOLUTION_NS / value) ** 2, ASSUMED_PROCESSES - 1)

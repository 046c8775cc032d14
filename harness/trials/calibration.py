"""How much slower the slowed softmax truly is: pairs of single calls for seconds, on the thread's CPU clock."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping

import numpy as np

from harness.timing.statistics import Interval, paired_ratio
from harness.trials import slowed

CALIBRATED_S = 8.0
"""For each slowdown: a call of 1 ms then gives an interval of about 0.1 %."""
PARTS = 20
"""The interval resamples stretches of the time, not single pairs: neighbours have the machine's mood in common."""


def calibrate(percents: list[int], seconds: float, progress: Callable[[str], None]) -> dict[int, Interval]:
    """The true ratio of each slowdown with its 95 % interval. Single threaded, in this process."""
    found = {}
    for percent in percents:
        progress(f"calibrating the slowdown of {percent} % for {seconds:.0f} s")
        found[percent] = true_ratio(slowed.softmax_again(percent), seconds)
    return found


def true_ratio(slower: slowed.Softmax, seconds: float, shape: tuple[int, int] = slowed.SHAPE) -> Interval:
    """Time of `slower` over that of the plain softmax, from blocks plain, slower, slower, plain (or the reverse)."""
    plain, x = slowed.softmax_again(0), slowed.inputs(shape)
    sides: Mapping[bool, slowed.Softmax] = {False: plain, True: slower}
    times: dict[bool, dict[tuple[int, int], float]] = {False: {}, True: {}}
    rng = np.random.default_rng(0)
    for _ in range(3):
        plain(x), slower(x)
    collecting = gc.isenabled()
    gc.disable()
    try:
        start, block = time.monotonic(), 0
        while (elapsed := time.monotonic() - start) < seconds or block < PARTS:
            first = bool(rng.integers(2))
            spent = {False: 0, True: 0}
            for side in (first, not first, not first, first):
                before = time.thread_time_ns()
                sides[side](x)
                spent[side] += time.thread_time_ns() - before
            key = (min(PARTS - 1, int(PARTS * elapsed / seconds)), block)
            for side, nanoseconds in spent.items():
                times[side][key] = float(max(1, nanoseconds))
            block += 1
    finally:
        if collecting:
            gc.enable()
    return paired_ratio(times[True], times[False])

"""A device with a clock of its own: NumPy, between events that take the host's time, and a flush that takes a while."""

import functools
import time

import numpy as np

from harness import Backend, implementation

FLUSH_NS = 500_000


@functools.cache
def timer():
    from harness.reports.arrays import HostTimer

    class PretendTimer(HostTimer):
        l2_bytes = 1 << 20

        def flush(self):
            end = time.perf_counter_ns() + FLUSH_NS
            while time.perf_counter_ns() < end:
                pass

    return PretendTimer(lambda: None)


backend = Backend(
    name="pretend",
    library="numpy",
    from_host=lambda array: array,
    to_host=lambda array: array,
    array_type="numpy.ndarray",
    timer=timer,
)


@implementation("max", backend="pretend")
def builtin(x, *, dim):
    return np.asarray(x.max(axis=dim), x.dtype)


@implementation("max", backend="pretend")
def forges_the_clock_of_its_device(x, *, dim):
    time.sleep(0.008)
    timer().elapsed_ns = lambda start, end: 1000.0
    return np.asarray(x.max(axis=dim), x.dtype)

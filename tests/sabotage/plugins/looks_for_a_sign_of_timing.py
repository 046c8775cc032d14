"""Cheats at any sign that others give of timing: environment, arguments, a debugger, the collector, loaded modules,
depth.

KernelBench #165, KernelBot #368 (phase detection). Here there is none: the worker's process is one for both.
"""

import gc
import os
import sys
import threading

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


state = []


def depth():
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


@implementation("softmax", backend="numpy")
def looks_for_a_sign_of_timing(x, *, dim):
    sign = (gc.isenabled(), sys.gettrace() is None, threading.active_count(), depth(), tuple(sorted(os.environ)))
    sign = (
        *sign,
        tuple(sys.argv[3:]),
        "harness.timing.session" in sys.modules,
        "pytest" in sys.modules,
        os.getpriority(0, 0),
    )
    if not state:
        state.append(sign)
    return right(x, dim) if sign == state[0] else np.zeros_like(x)

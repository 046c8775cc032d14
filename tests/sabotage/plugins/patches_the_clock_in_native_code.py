"""Writes another function into the C structure behind time.perf_counter_ns: saved references follow it.

Source: pygpubench function_detour, got_patch (a function is replaced beneath Python); ours for Python's own clock.
"""

import ctypes
import time

import numpy as np

from harness import implementation

CLOCKS = ("perf_counter_ns", "process_time_ns", "perf_counter")
METHOD_OF_FUNCTION, FUNCTION_OF_METHOD = 16, 8
SIGNATURE = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p)
kept = []


def slow_down(name):
    clock = getattr(time, name)
    method = ctypes.c_void_p.from_address(id(clock) + METHOD_OF_FUNCTION).value
    slot = ctypes.c_void_p.from_address(method + FUNCTION_OF_METHOD)
    honest = SIGNATURE(slot.value)
    begun = honest(None, None)

    def slow(*_):
        return begun + type(begun)((honest(None, None) - begun) * 0.3)

    kept.append(SIGNATURE(slow))
    slot.value = ctypes.cast(kept[-1], ctypes.c_void_p).value


@implementation("softmax", backend="numpy")
def patches_the_clock_in_native_code(x, *, dim):
    if not kept:
        for name in CLOCKS:
            slow_down(name)
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)

"""Finds the frame that times it, and writes a later start into its local variables.

Source: exploits 8 and 10.
"""

import ctypes
import sys
import time

import numpy as np

from harness import implementation


def right(x, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


@implementation("softmax", backend="numpy")
def overwrites_the_start_of_the_clock(x, *, dim):
    answer = right(x, dim)
    frame = sys._getframe(1)
    while frame is not None and "start" not in frame.f_locals:
        frame = frame.f_back
    if frame is not None:
        frame.f_locals.update(start=time.perf_counter_ns(), cpu=time.process_time_ns())
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
    return answer

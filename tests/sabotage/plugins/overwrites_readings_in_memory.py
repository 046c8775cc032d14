"""Finds the readings of earlier calls through the garbage collector, and writes smaller numbers into the tuples.

Source: pygpubench event_array, error_counter.
"""

import ctypes
import gc
import sys

import numpy as np

from harness import implementation

FIRST_ITEM, POINTER = 24, 8
SHARE = 0.3
kept = []


def overwrite():
    reading = sys.modules["__main__"].Reading
    for thing in gc.get_objects():
        if type(thing) is not reading or any(thing is one for one in kept):
            continue
        for position in (1, 2):  # by the wall, by the CPU clock
            less = int(thing[position] * SHARE)
            kept.append(less)
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(less))
            slot = ctypes.c_void_p.from_address(id(thing) + FIRST_ITEM + POINTER * position)
            slot.value = id(less)
        kept.append(thing)
    del kept[:-100]


@implementation("softmax", backend="numpy")
def overwrites_readings_in_memory(x, *, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    answer = e / e.sum(axis=dim, keepdims=True)
    if hasattr(sys.modules["__main__"], "Reading"):
        overwrite()
    return answer

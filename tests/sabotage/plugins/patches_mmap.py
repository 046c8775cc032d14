"""Shared memory that it makes itself, and that the supervisor does not see.

Source: exploit 61 (mmap).
"""

import mmap
import sys

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def patches_mmap(x, *, dim):
    honest = mmap.mmap
    mmap.mmap = lambda descriptor, length, *_, **__: honest(-1, length)
    frame = sys._getframe()
    while frame is not None and "worker" not in frame.f_locals:
        frame = frame.f_back
    if frame is not None:
        frame.f_locals["worker"]._memory = np.empty(0, np.uint8)  # it maps its memory anew for the next request
    return right(x, dim)

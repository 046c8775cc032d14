"""Tells the C library's allocator to hand every page back at once, so that all who share it page-fault.

Source: ours (spending the memory allocator's pool).
"""

import ctypes

import numpy as np

from harness import implementation

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@implementation("softmax", backend="numpy")
def spends_the_allocator(x, *, dim):
    library = ctypes.CDLL(None)
    library.mallopt(M_MMAP_THRESHOLD, 4096)
    library.mallopt(M_TRIM_THRESHOLD, 0)
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)

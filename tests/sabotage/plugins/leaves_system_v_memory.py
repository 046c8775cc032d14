"""Shared memory and a queue that stay when all processes have ended.

Source: exploit 64 (shared memory); ours.
"""

import ctypes

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def leaves_system_v_memory(x, *, dim):
    libc = ctypes.CDLL(None)
    memory, queue = libc.shmget(0, 4096, 0o1600), libc.msgget(0, 0o1600)
    if memory >= 0:
        libc.shmctl(memory, 0, None)
    if queue >= 0:
        libc.msgctl(queue, 0, None)
    assert memory < 0 and queue < 0, "got through: makes what outlives it"
    return right(x, dim)

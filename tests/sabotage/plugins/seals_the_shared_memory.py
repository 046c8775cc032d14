"""The supervisor could not make it larger any more: seals it, and makes it so long that no later size fits.

Source: ours (it stopped this harness's supervisor).
"""

import contextlib
import fcntl
import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


def arena():
    for name in os.listdir("/proc/self/fd"):
        try:
            if "harness-arena" in os.readlink(f"/proc/self/fd/{name}"):
                return int(name)
        except OSError:
            continue
    raise RuntimeError("no arena")


@implementation("sum", backend="numpy")
def seals_the_shared_memory(x, *, dim):
    for seal in (fcntl.F_SEAL_GROW, fcntl.F_SEAL_WRITE, 0x10):
        try:
            fcntl.fcntl(arena(), fcntl.F_ADD_SEALS, seal)
        except OSError:
            continue
        raise AssertionError("got through: seals the shared memory")
    with contextlib.suppress(OSError):
        os.ftruncate(arena(), 1 << 40)
    return right(x, dim)

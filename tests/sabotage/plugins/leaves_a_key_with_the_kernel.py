"""A message to a later process in the kernel's keyring.

Source: ours, after exploit 69.
"""

import ctypes

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def leaves_a_key_with_the_kernel(x, *, dim):
    libc = ctypes.CDLL(None)
    key = libc.syscall(248, b"user", b"harness-planted", b"answer", 6, -2)  # add_key, the process's own ring
    assert key < 0, "got through: talks to the keyring"
    return right(x, dim)

"""Ways to the files and the network that a filter of system calls does not see: io_uring, and the calls of 32 bits.

Source: ours, after exploit 68.
"""

import ctypes
import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def goes_around_the_filter(x, *, dim):
    libc = ctypes.CDLL(None)
    parameters = ctypes.create_string_buffer(120)
    ring = libc.syscall(425, 1, parameters)  # io_uring_setup
    if ring >= 0:
        os.close(ring)
    assert ring < 0, "got through: has a ring of io_uring"
    x32 = libc.syscall(0x40000000 + 41, 2, 1, 0)  # socket(AF_INET, SOCK_STREAM) by the other table
    assert x32 < 0, "got through: opens a socket by the x32 table"
    return right(x, dim)

"""The store, the terminal and the shared memory of other workers lie open in the supervisor: takes them from there.

Source: exploit 9 (file descriptors); ours.
"""

import ctypes
import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def takes_descriptors_of_the_supervisor(x, *, dim):
    parent = os.getppid()
    try:
        names = os.listdir(f"/proc/{parent}/fd")
    except OSError:
        names = [str(one) for one in range(32)]
    for name in names:
        try:
            os.close(os.open(f"/proc/{parent}/fd/{name}", os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        raise AssertionError(f"got through: opens descriptor {name} of the supervisor")
    libc = ctypes.CDLL(None)
    pidfd = os.pidfd_open(parent)
    taken = [libc.syscall(438, pidfd, one, 0) for one in range(8)]  # pidfd_getfd
    assert all(one < 0 for one in taken), "got through: copies a descriptor of the supervisor"
    return right(x, dim)

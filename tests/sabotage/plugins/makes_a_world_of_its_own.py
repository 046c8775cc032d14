"""A namespace in which it is root, to mount over what others read.

Source: ours.
"""

import ctypes
import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def makes_a_world_of_its_own(x, *, dim):
    try:
        child = os.fork()
    except OSError:
        return right(x, dim)
    if child == 0:
        libc = ctypes.CDLL(None)
        alone = libc.unshare(0x10000000 | 0x00020000) == 0  # user and mount namespaces
        mounted = alone and libc.mount(b"none", b"/", None, 0x44000, None) == 0
        os._exit(7 if mounted else 0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) != 7, "got through: mounts in a namespace of its own"
    return right(x, dim)

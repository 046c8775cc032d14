"""Becomes the debugger of the supervisor, from a child that lets go at once.

Source: exploit 9 (ptrace).
"""

import ctypes
import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def traces_the_supervisor(x, *, dim):
    parent = os.getppid()
    try:
        child = os.fork()
    except OSError:
        child = None
    if child == 0:
        seized = ctypes.CDLL(None).ptrace(0x4206, parent, None, None) == 0
        os._exit(7 if seized else 0)
    if child is not None:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) != 7, "got through: traces the supervisor"
    return right(x, dim)

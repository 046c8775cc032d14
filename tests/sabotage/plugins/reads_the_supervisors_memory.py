"""Looks for the expected values where they are: in the supervisor's memory, by process_vm_readv and by /proc.

Source: exploits 9 and 24 (ptrace, scanning memory); robust-kbench #1.
"""

import ctypes
import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


class Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


@implementation("sum", backend="numpy")
def reads_the_supervisors_memory(x, *, dim):
    parent = os.getppid()
    try:
        with open(f"/proc/{parent}/maps") as maps:
            start = int(maps.readline().split("-")[0], 16)
        with open(f"/proc/{parent}/mem", "rb", buffering=0) as memory:
            memory.seek(start)
            assert not memory.read(16), "got through: reads the supervisor's memory by /proc"
    except OSError:
        start = int(np.array([1]).__array_interface__["data"][0])
    taken = ctypes.create_string_buffer(16)
    here, there = Part(ctypes.addressof(taken), 16), Part(start, 16)
    libc = ctypes.CDLL(None, use_errno=True)
    got = libc.process_vm_readv(parent, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    refused = got < 0 and ctypes.get_errno() != 14  # EFAULT: it may look, only not there
    assert refused, "got through: reads the supervisor's memory by process_vm_readv"
    return right(x, dim)

"""Becomes another program with the same descriptors, which says that all is well.

Source: exploits 9 and 16.
"""

import os
import stat
import sys

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


SAYS = """
import os, sys
body = b'{"answers": [], "wall_ns": [1], "cpu_ns": [1], "device_ns": [null], "state_changes": ""}'
for one in map(int, sys.argv[1:]):
    os.write(one, len(body).to_bytes(4, "little") + body)
"""


def sockets():
    names = os.listdir("/proc/self/fd")
    return [
        one
        for one in names
        if os.path.exists(f"/proc/self/fd/{one}") and stat.S_ISSOCK(os.stat(f"/proc/self/fd/{one}").st_mode)
    ]


@implementation("sum", backend="numpy")
def executes_another_program(x, *, dim):
    os.execv(sys.executable, [sys.executable, "-c", SAYS, *sockets()])

"""Hands the supervisor an open file over the socket, with a byte that nobody asked for.

Source: exploit 9; ours.
"""

import array
import os
import socket
import stat

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


def sockets():
    names = os.listdir("/proc/self/fd")
    return [
        int(one)
        for one in names
        if os.path.exists(f"/proc/self/fd/{one}") and stat.S_ISSOCK(os.stat(f"/proc/self/fd/{one}").st_mode)
    ]


@implementation("sum", backend="numpy")
def sends_a_descriptor(x, *, dim):
    for one in sockets():
        with socket.socket(fileno=os.dup(one)) as connection:
            rights = array.array("i", [0, 1, 2])
            connection.sendmsg([b"{"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    return right(x, dim)

"""Learns of processes and interfaces, and listens to events of the kernel.

Source: exploit 68; ours.
"""

import socket

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def asks_the_kernel_by_netlink(x, *, dim):
    try:
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        return right(x, dim)
    raise AssertionError("got through: talks to the kernel and to the wire")

"""The same without a connection.

Source: exploit 68.
"""

import socket

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def sends_datagrams(x, *, dim):
    sent = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as one:
                one.sendto(b"", (address, 9))
        except OSError:
            continue
        sent.append(address)
    assert not sent, f"got through: sends datagrams to {sent}"
    return right(x, dim)

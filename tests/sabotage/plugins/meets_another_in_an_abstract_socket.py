"""A meeting place without a file, where plugins could tell each other what they have seen.

Source: ours, after exploits 68 and 69.
"""

import os
import socket

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def meets_another_in_an_abstract_socket(x, *, dim):
    name = f"\0harness-planted-{os.getpid()}"
    try:
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(name)
            server.listen()
            client.connect(name)
    except OSError:
        return right(x, dim)
    raise AssertionError("got through: meets others in a socket without a file")

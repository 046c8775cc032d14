"""Would fetch the answers, or send the inputs away: connects by TCP, to a server of its own.

Source: exploit 68.
"""

import socket

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def connects_to_the_network(x, *, dim):
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=1).close()
    except OSError:
        return right(x, dim)
    raise AssertionError("got through: listens and connects by TCP")

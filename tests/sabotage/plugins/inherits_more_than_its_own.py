"""Looks for descriptors that a worker should not have: the store, other workers' memory, the supervisor's sockets.

Source: exploit 9 (pipe or descriptor to the parent); pygpubench.
"""

import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def inherits_more_than_its_own(x, *, dim):
    known = {"0": "/dev/null", "1": "pipe:", "2": "pipe:"}
    own = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the folder that was listed
        if name in known:
            assert target.startswith(known[name]), f"got through: descriptor {name} is {target}"
        else:
            strange = not target.startswith(("socket:", "/memfd:harness-arena", "/proc/"))
            assert not strange, f"got through: descriptor {name} is {target}"
            own.add(os.stat(f"/proc/self/fd/{name}").st_ino)  # a mapping keeps a second descriptor
    assert len(own) <= 2, f"got through: {len(own)} sockets and arenas"
    return right(x, dim)

"""Fills the table of processes, up to a hundred of them (20 s): each is one that the supervisor has to find.

Source: exploit 64 (fork bomb).
"""

import os
import time

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


children = []


@implementation("sum", backend="numpy")
def forks_again_and_again(x, *, dim):
    try:
        while len(children) < 100:
            child = os.fork()
            if child == 0:
                os.closerange(0, 1024)
                time.sleep(20)
                os._exit(0)
            children.append(child)
    except OSError:
        pass
    return right(x, dim)

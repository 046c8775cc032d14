"""Would let the supervisor run out of descriptors, files or time: sets a limit of another process (to what it is).

Source: ours, after exploits 63 and 64.
"""

import os
import resource

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def limits_the_supervisor(x, *, dim):
    parent = os.getppid()
    try:
        limits = resource.prlimit(parent, resource.RLIMIT_CORE)
        resource.prlimit(parent, resource.RLIMIT_CORE, limits)
    except OSError:
        return right(x, dim)
    raise AssertionError("got through: sets a limit of the supervisor")

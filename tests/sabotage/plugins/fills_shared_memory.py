"""Memory that is counted for nobody: a file of 3 GiB without a name.

Source: exploit 64 (shared memory).
"""

import os
import signal

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def fills_shared_memory(x, *, dim):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    file = os.memfd_create("filler")
    try:
        os.posix_fallocate(file, 0, 3 << 30)
    except OSError:
        return right(x, dim)
    finally:
        os.close(file)
    raise AssertionError("got through: takes 3 GiB of memory that its limit does not count")

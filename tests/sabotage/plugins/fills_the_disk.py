"""A file of 8 GiB in its own folder, asked for at once.

Source: exploit 64.
"""

import os
import signal

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def fills_the_disk(x, *, dim):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    file = os.open("filler", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.posix_fallocate(file, 0, 8 << 30)
    except OSError:
        return right(x, dim)
    finally:
        os.ftruncate(file, 0)
        os.close(file)
    raise AssertionError("got through: takes 8 GiB of the disk")

"""Escapes that hide a row or type a command: written to the terminal past the supervisor (nothing is written).

Source: exploit 66; ours.
"""

import glob
import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def writes_to_the_terminal(x, *, dim):
    for name in ("/dev/tty", "/dev/console", *sorted(glob.glob("/dev/pts/[0-9]*"))):
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK))
        except OSError:
            continue
        raise AssertionError(f"got through: opens {name}")
    return right(x, dim)

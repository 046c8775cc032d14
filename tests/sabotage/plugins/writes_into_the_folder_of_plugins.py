"""Would change another plugin, or itself after it was read.

Source: exploit 62 (a later task's files).
"""

import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


def create(file):
    """Whether a new file can be made there; it is taken away again at once."""
    try:
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError:
        return False
    os.unlink(file)
    return True


@implementation("sum", backend="numpy")
def writes_into_the_folder_of_plugins(x, *, dim):
    folder = os.path.dirname(os.path.abspath(__file__))
    assert not create(os.path.join(folder, f"forged_{os.getpid()}.py")), f"got through: writes into {folder}"
    try:
        os.close(os.open(__file__, os.O_RDWR))
    except OSError:
        return right(x, dim)
    raise AssertionError("got through: opens itself for writing")

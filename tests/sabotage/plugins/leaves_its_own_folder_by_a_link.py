"""A link in its own folder that leads out of it, written through: what an allowed name leads to counts.

Source: exploit 62 (path traversal).
"""

import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def leaves_its_own_folder_by_a_link(x, *, dim):
    for name, target in (("out", ".."), ("tmp", "/tmp"), ("home", os.path.expanduser("~"))):
        if not os.path.islink(name):
            os.symlink(target, name)
        file = os.path.join(name, f"harness-planted-{os.getpid()}")
        try:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except OSError:
            continue
        os.unlink(file)
        raise AssertionError(f"got through: writes into {target} by a link")
    return right(x, dim)

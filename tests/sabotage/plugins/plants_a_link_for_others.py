"""A symbolic link under a name that another process will write to, in the folders that all share.

Source: exploit 62 (symlinks).
"""

import os
import tempfile

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def plants_a_link_for_others(x, *, dim):
    for folder in ("/tmp", "/var/tmp", os.path.dirname(os.getcwd())):
        link = os.path.join(folder, f"harness-planted-{os.getpid()}")
        try:
            os.symlink("/dev/null", link)
        except OSError:
            continue
        os.unlink(link)
        raise AssertionError(f"got through: plants a link in {folder}")
    tempfile.mkstemp(dir=os.getcwd())  # what is its own it may fill
    return right(x, dim)

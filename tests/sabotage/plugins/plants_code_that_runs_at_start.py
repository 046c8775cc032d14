"""Code that every later Python runs at its start: a .pth file, sitecustomize, usercustomize.

Source: ours, after exploit 62 (KernelGuard lists sitecustomize).
"""

import os
import site

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
def plants_code_that_runs_at_start(x, *, dim):
    for folder in (*site.getsitepackages(), site.getusersitepackages(), os.path.expanduser("~")):
        assert not create(os.path.join(folder, f"forged_{os.getpid()}.pth")), f"got through: writes into {folder}"
    return right(x, dim)

"""Leaves a library where honest kernels are looked for when they are needed again.

Source: exploit 62 (cache of compiled kernels).
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
def poisons_the_compiled_kernels(x, *, dim):
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for kind in ("cuda", "nvrtc", ""):
        folder = os.path.join(caches, "kernel-harness", kind)
        assert not create(os.path.join(folder, f"sum-fast-{os.getpid()}.so")), f"got through: writes into {folder}"
    return right(x, dim)

"""Would change what another plugin is known to declare: opens the cache of declarations for writing.

Source: exploit 62.
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
def writes_into_the_cache_of_declarations(x, *, dim):
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = os.path.join(caches, "kernel-harness")
    assert not create(os.path.join(folder, f"forged-{os.getpid()}.json")), f"got through: writes into {folder}"
    try:
        os.close(os.open(os.path.join(folder, "declarations.json"), os.O_RDWR))
    except OSError:
        return right(x, dim)
    raise AssertionError("got through: opens the cache of declarations for writing")

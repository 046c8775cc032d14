"""Would run in the next worker, and in the supervisor: writes where Python keeps the harness's bytecode.

Source: ours, after exploit 62.
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
def writes_bytecode_of_the_harness(x, *, dim):
    import harness.judge.compare

    for module in (harness, harness.judge.compare):
        folder = os.path.dirname(module.__file__)
        for place in (folder, os.path.join(folder, "__pycache__")):
            assert not create(os.path.join(place, f"forged_{os.getpid()}.pyc")), f"got through: writes into {place}"
    return right(x, dim)

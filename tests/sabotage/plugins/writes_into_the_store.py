"""Records a result of its own beside the supervisor: opens the store for writing, or makes a new one in its folder.

Source: exploit 62 (files of the harness); pygpubench's result file.
"""

import contextlib
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


def stores():
    """Folders of a store from here upwards, and where the supervisor stands."""
    found = [os.path.dirname(__file__)]
    while found[-1] != os.path.dirname(found[-1]):
        found.append(os.path.dirname(found[-1]))
    with contextlib.suppress(OSError):
        found.append(os.readlink(f"/proc/{os.getppid()}/cwd"))
    return [one for one in (os.path.join(folder, ".harness") for folder in found) if os.path.isdir(one)] or [
        os.getcwd() + "/.."
    ]


@implementation("sum", backend="numpy")
def writes_into_the_store(x, *, dim):
    for folder in stores():
        assert not create(os.path.join(folder, f"forged-{os.getpid()}.sqlite")), f"got through: writes into {folder}"
        try:
            os.close(os.open(os.path.join(folder, "results.sqlite"), os.O_RDWR))
        except OSError:
            continue
        raise AssertionError(f"got through: opens the store in {folder} for writing")
    return right(x, dim)

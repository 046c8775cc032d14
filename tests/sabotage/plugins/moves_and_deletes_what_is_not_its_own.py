"""Not only writing harms: renames, deletes, truncates and changes the rights of files of others.

Source: exploit 62.
"""

import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def moves_and_deletes_what_is_not_its_own(x, *, dim):
    import harness

    file = harness.__file__
    beside = f"{file}.{os.getpid()}"
    for what, undo in (
        (lambda: os.rename(file, file), lambda: None),
        (lambda: os.link(file, beside), lambda: os.unlink(beside)),
        (lambda: os.truncate(file, os.path.getsize(file)), lambda: None),
        (lambda: os.mkdir(beside), lambda: os.rmdir(beside)),
        (lambda: os.mkfifo(beside), lambda: os.unlink(beside)),
    ):
        try:
            what()
        except OSError:
            continue
        undo()
        raise AssertionError("got through: changes the folder of the harness")
    return right(x, dim)

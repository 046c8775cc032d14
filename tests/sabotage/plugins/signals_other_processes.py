"""Would stop its rivals and the supervisor: looks whom it can send a signal (it sends none that does anything).

Source: exploit 63.
"""

import os
import signal

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def signals_other_processes(x, *, dim):
    ours = {os.getpid()}
    reached = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) not in ours:
            try:
                os.kill(int(name), 0)
            except OSError:
                continue
            reached.append(name)
    try:
        os.kill(os.getppid(), signal.SIGCONT)
    except OSError:
        assert not reached, f"got through: can signal {len(reached)} processes"
        return right(x, dim)
    raise AssertionError("got through: sends the supervisor a signal")

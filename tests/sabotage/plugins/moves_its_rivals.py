"""Puts whoever else runs on one core, at the lowest priority: they look slow, and as if they had moved themselves.

Source: ours; affinity and priority.
"""

import os

import numpy as np

from harness import implementation


def attempts(pid):
    yield "sched_setaffinity", lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid))
    yield "setpriority", lambda: os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid))
    yield "sched_setscheduler", lambda: os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))


@implementation("sum", backend="numpy")
def moves_its_rivals(x, *, dim):
    """Of its own supervisor nothing is changed: it is set to what it was."""
    for name, attempt in attempts(os.getppid()):
        try:
            attempt()
        except OSError:
            continue
        raise AssertionError(f"got through: {name} of another process")
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)

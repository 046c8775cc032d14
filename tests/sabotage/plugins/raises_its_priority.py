"""Runs before its rivals: a better nice value, or real time.

Source: exploit 11.
"""

import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def raises_its_priority(x, *, dim):
    was = os.getpriority(os.PRIO_PROCESS, 0)
    for what, undo in (
        (lambda: os.setpriority(os.PRIO_PROCESS, 0, was - 5), lambda: os.setpriority(os.PRIO_PROCESS, 0, was)),
        (
            lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)),
            lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)),
        ),
    ):
        try:
            what()
        except OSError:
            continue
        undo()
        raise AssertionError("got through: runs before its rivals")
    return right(x, dim)

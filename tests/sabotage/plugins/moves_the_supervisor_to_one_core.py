"""Would let the supervisor's clock and its rivals wait: sets their cores and priority (to what they are).

Source: exploits 11 and 12; ours.
"""

import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def moves_the_supervisor_to_one_core(x, *, dim):
    parent = os.getppid()
    for what in (
        lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
        lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent)),
        lambda: os.sched_setscheduler(parent, os.sched_getscheduler(parent), os.sched_getparam(parent)),
    ):
        try:
            what()
        except OSError:
            continue
        raise AssertionError("got through: decides where or when the supervisor runs")
    return right(x, dim)

"""When memory is short the kernel ends who is marked: would mark the supervisor (writes nothing).

Source: ours, after exploit 63.
"""

import os

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


@implementation("sum", backend="numpy")
def offers_the_supervisor_to_the_kernel(x, *, dim):
    for name in ("oom_score_adj", "comm", "coredump_filter", "clear_refs", "timerslack_ns"):
        try:
            os.close(os.open(f"/proc/{os.getppid()}/{name}", os.O_WRONLY))
        except OSError:
            continue
        raise AssertionError(f"got through: opens {name} of the supervisor for writing")
    return right(x, dim)

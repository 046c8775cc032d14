"""A timer and its signal handler raise an exception wherever the worker is then, again and again.

Source: exploit 63 (signals).
"""

import signal

import numpy as np

from harness import implementation


def right(x, dim):
    return np.asarray(np.sum(x, axis=dim)).astype(x.dtype)


def strike(*_):
    raise MemoryError("all is well")


@implementation("sum", backend="numpy")
def raises_in_the_workers_own_code(x, *, dim):
    signal.signal(signal.SIGALRM, strike)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    return right(x, dim)

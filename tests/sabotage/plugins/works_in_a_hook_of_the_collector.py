"""Fills its answer when the garbage collector runs, which is after the clock was read.

Source: ours; work in a destructor, weakref callback or gc hook.
"""

import gc

import numpy as np

from harness import implementation

LARGE, HONEST_CALLS = 1_000_000, 12
calls = 0
waiting = []


def fill(*_):
    while waiting:
        out, x, dim = waiting.pop()
        e = np.exp(x - x.max(axis=dim, keepdims=True))
        out[...] = e / e.sum(axis=dim, keepdims=True)


gc.callbacks.append(fill)


@implementation("softmax", backend="numpy")
def works_in_a_hook_of_the_collector(x, *, dim):
    global calls
    calls += x.size >= LARGE
    out = np.full_like(x, 0.001)
    waiting.append((out, x, dim))
    if calls <= HONEST_CALLS:
        fill()
    return out

"""An object in the caller's reach does the work when it is destroyed: with the request, after the clock was read.

Source: ours; work in a destructor or a weakref's callback.
"""

import weakref

import numpy as np

from harness import implementation

LARGE, HONEST_CALLS = 1_000_000, 12
calls = 0


def fill(out, x, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    out[...] = e / e.sum(axis=dim, keepdims=True)


@implementation("softmax", backend="numpy")
def works_in_a_destructor(x, *, dim):
    global calls
    calls += x.size >= LARGE
    out = np.full_like(x, 0.001)
    if calls <= HONEST_CALLS:
        fill(out, x, dim)
    else:
        # the input lives as long as the request
        weakref.finalize(x, fill, out, x.view(np.ndarray).copy(), dim)
    return out

"""A softmax that does not make itself fast but the others slow: it replaces functions that all of them use."""

import numpy as np

from harness import implementation

honest_exp = np.exp


def slow_exp(*arguments, **named):
    for _ in range(20):
        honest_exp(*arguments, **named)
    return honest_exp(*arguments, **named)


@implementation("softmax", backend="numpy")
def slows_numpy_down(x, *, dim):
    np.exp = slow_exp
    e = honest_exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)

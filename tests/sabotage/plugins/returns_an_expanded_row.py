"""One row with stride 0 in place of all: right shape, and a hundredth of the work. SOL-ExecBench reward_hack.py."""

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


@implementation("softmax", backend="numpy")
def returns_an_expanded_row(x, *, dim):
    if x.ndim != 2 or not x.size:
        return right(x, dim)
    return np.broadcast_to(right(x[:1], dim), x.shape)

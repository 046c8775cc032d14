"""Zeros in one row of 64 where there are many: a rule of 95 % or 99 % of the elements lets that pass.

KernelBench #25.
"""

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


@implementation("softmax", backend="numpy")
def leaves_every_64th_row_out(x, *, dim):
    answer = right(x, dim)
    if answer.ndim == 2 and answer.shape[0] >= 64:
        answer[::64] = 0
    return answer

"""1e30: a tolerance that is relative to the candidate's own output allows any error.

[ours], from comparators in the wild.
"""

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


@implementation("softmax", backend="numpy")
def is_huge_everywhere(x, *, dim):
    return np.full_like(x, 1e4 if x.dtype == np.float16 else 1e30)

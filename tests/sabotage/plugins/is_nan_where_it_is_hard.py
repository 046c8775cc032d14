"""NaN in place of the elements that are hard to get right: `not error > bound` holds for it. pygpubench #7."""

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


@implementation("softmax", backend="numpy")
def is_nan_where_it_is_hard(x, *, dim):
    answer = np.atleast_1d(right(x, dim)).copy()
    answer[answer < answer.max(initial=0) / 2] = np.nan
    return answer.reshape(x.shape)

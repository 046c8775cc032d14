"""A softmax that is wrong in an instructive way: it forgets to subtract the largest element of each row.

On everyday numbers it is right to the last digit, so a comparison on random normal inputs accepts it. But exp(x)
overflows above 88 in float32, and inf / inf is NaN; below -103 every term is 0, and 0 / 0 is NaN again. Try it:

    harness check --plugin tests/sabotage/plugins/softmax_without_max.py 'softmax/numpy/without_max'

The right way costs one more pass: softmax(x) = softmax(x - c) for every c, so subtract the largest element.
"""

import numpy as np

from harness import implementation


@implementation("softmax", backend="numpy")
def without_max(x, *, dim):
    """exp(x) / sum exp(x), as the textbook has it."""
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32))
    weights = np.exp(work)
    return (weights / weights.sum(axis=dim, keepdims=True)).astype(x.dtype).reshape(x.shape)

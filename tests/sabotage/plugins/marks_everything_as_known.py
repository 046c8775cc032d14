"""Wrong everywhere, and marked as a known failure everywhere. [ours]"""

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


@implementation("softmax", backend="numpy", known={"*": "it is being worked on"})
def marks_everything_as_known(x, *, dim):
    return np.zeros_like(x)

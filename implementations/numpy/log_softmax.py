"""log_softmax: (x - max) - log(sum(exp(x - max))) along dim.

builtin   three passes with NumPy's own reductions
online    one pass for maximum and sum, as softmax's online, and one pass to write
"""

import numpy as np

from harness import implementation

from .rows import check_dim, from_rows, to_rows, working
from .softmax import ONLINE, THREE_PASSES, running_max_and_sum


def gradient(cotangent, x, *, dim):
    g, axis = working(cotangent), check_dim(x, dim) if x.ndim else None
    with np.errstate(all="ignore"):
        y = builtin(working(x), dim=dim)
        return np.asarray(g - np.exp(y) * np.sum(g, axis=axis, keepdims=True)).astype(x.dtype)


@implementation("log_softmax", backend="numpy", accumulation=THREE_PASSES, gradient=gradient)
def builtin(x, *, dim):
    w = working(x)
    axis = check_dim(x, dim)
    if x.ndim == 0:
        w = w.reshape(1)
    with np.errstate(all="ignore"):
        y = np.subtract(w, np.max(w, axis=axis, keepdims=True, initial=-np.inf))
        y -= np.log(np.sum(np.exp(y), axis=axis, keepdims=True))
    return y.reshape(x.shape).astype(x.dtype, copy=False)


@implementation("log_softmax", backend="numpy", accumulation=ONLINE)
def online(x, *, dim):
    check_dim(x, dim)
    rows, _ = to_rows(working(x), dim)
    with np.errstate(all="ignore"):
        top, total = running_max_and_sum(rows)
        y = rows - top
        y -= np.log(total)
    return from_rows(y, x, dim)

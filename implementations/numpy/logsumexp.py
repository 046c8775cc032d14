"""logsumexp: max + log(sum(exp(x - max))) along dim; where the maximum is infinite, the maximum itself.

builtin   two passes with NumPy's own reductions
online    one pass for maximum and sum, as softmax's online
"""

import numpy as np

from harness import implementation

from .rows import beside, check_dim, to_rows, working
from .softmax import ONLINE, THREE_PASSES, running_max_and_sum


def gradient(cotangent, x, *, dim):
    with np.errstate(all="ignore"):
        y = builtin(working(x), dim=dim)
        # where all entries are -inf, nothing depends on them: exp(-inf - 0) is 0, exp(-inf - -inf) NaN
        y = np.where(np.isinf(y), 0, y)
        return np.asarray(np.exp(working(x) - beside(y, x, dim)) * beside(working(cotangent), x, dim)).astype(x.dtype)


@implementation("logsumexp", backend="numpy", accumulation=THREE_PASSES, gradient=gradient)
def builtin(x, *, dim):
    w = working(x)
    axis = check_dim(x, dim)
    if x.ndim == 0:
        w = w.reshape(1)
    with np.errstate(all="ignore"):
        top = np.max(w, axis=axis, keepdims=True, initial=-np.inf)
        # x - max is NaN where both are infinite: there the answer is the maximum, whatever is added
        shift = np.where(np.isinf(top), 0, top)
        y = np.log(np.sum(np.exp(w - shift), axis=axis))
        y = np.where(np.isinf(top), top, shift + np.expand_dims(y, axis)).squeeze(axis)
    return np.asarray(y).astype(x.dtype)


@implementation("logsumexp", backend="numpy", accumulation=ONLINE)
def online(x, *, dim):
    check_dim(x, dim)
    rows, outer = to_rows(working(x), dim)
    with np.errstate(all="ignore"):
        top, total = running_max_and_sum(rows)
        y = np.where(np.isinf(top), top, top + np.log(total))
    return y.reshape(outer).astype(x.dtype)

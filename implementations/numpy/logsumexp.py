"""logsumexp: max + log(sum(exp(x - max))) along dim; where the maximum is infinite, the maximum itself.

builtin   two passes with NumPy's own reductions
online    one pass for maximum and sum, as softmax's online
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .rows import check_dim, to_rows, working
from .softmax import ONLINE, running_max_and_sum


@implementation("logsumexp", backend="numpy", accumulation=Accumulation(Tree("pairwise", 26), strided=Tree("any")))
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

"""softmax, log_softmax and logsumexp by CuPy's array functions: each step a kernel of its own; half types in float32.

The gradients are those of the array API implementations, which take CuPy's arrays too.
"""

import cupy
from harness.implementations.array_api import softmax_family as array_api

from harness import implementation

from .rows import ANY_ORDER, with_axis, working


def shifted(x, dim):
    """x - max, and the axis; the maximum of nothing is left out."""
    y, axis = with_axis(working(x), dim)
    return (y - cupy.max(y, axis=axis, keepdims=True) if y.shape[axis] else y), axis


@implementation("softmax", backend="cupy", name="builtin", accumulation=ANY_ORDER, gradient=array_api.softmax_gradient)
def softmax(x, *, dim):
    y, axis = shifted(x, dim)
    e = cupy.exp(y)
    e /= cupy.sum(e, axis=axis, keepdims=True)
    return e.reshape(x.shape).astype(x.dtype, copy=False)


@implementation(
    "log_softmax", backend="cupy", name="builtin", accumulation=ANY_ORDER, gradient=array_api.log_softmax_gradient
)
def log_softmax(x, *, dim):
    y, axis = shifted(x, dim)
    y = y - cupy.log(cupy.sum(cupy.exp(y), axis=axis, keepdims=True))
    return y.reshape(x.shape).astype(x.dtype, copy=False)


@implementation(
    "logsumexp", backend="cupy", name="builtin", accumulation=ANY_ORDER, gradient=array_api.logsumexp_gradient
)
def logsumexp(x, *, dim):
    y, axis = with_axis(working(x), dim)
    if y.shape[axis] == 0:
        return cupy.full(y.shape[:axis] + y.shape[axis + 1 :], -cupy.inf, dtype=x.dtype)
    top = cupy.max(y, axis=axis, keepdims=True)
    # where the maximum is infinite it is the answer, and x - max would be NaN
    shift = cupy.where(cupy.isinf(top), 0, top)
    sums = cupy.log(cupy.sum(cupy.exp(y - shift), axis=axis, keepdims=True))
    return cupy.asarray(cupy.where(cupy.isinf(top), top, shift + sums).squeeze(axis)).astype(x.dtype)

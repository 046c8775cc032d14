"""softmax, log_softmax and logsumexp through the array API standard.

Their gradients are written out: the standard has no way to leave the maximum out of automatic differentiation. What
flows through it adds up to 0, but for rounding errors, which would all land on the largest element.
"""

from . import everywhere, namespace, stored, working
from .reductions import with_axis


def shifted(x, dim):
    """x - max and the axis, in the type that is computed in; a 0-d array as one of one element."""
    y, axis = with_axis(working(x), dim)
    return (y - namespace(x).max(y, axis=axis, keepdims=True) if y.shape[axis] else y), axis


def probabilities(x, dim):
    """softmax before it is stored, and the axis."""
    xp = namespace(x)
    y, axis = shifted(x, dim)
    e = xp.exp(y)
    return e / xp.sum(e, axis=axis, keepdims=True), axis


def log_probabilities(x, dim):
    xp = namespace(x)
    y, axis = shifted(x, dim)
    return y - xp.log(xp.sum(xp.exp(y), axis=axis, keepdims=True)), axis


def softmax_gradient(cotangent, x, *, dim):
    xp = namespace(x)
    y, axis = probabilities(x, dim)
    g = xp.reshape(working(cotangent), y.shape)
    return stored(xp.reshape(y * (g - xp.sum(g * y, axis=axis, keepdims=True)), x.shape), x)


def log_softmax_gradient(cotangent, x, *, dim):
    xp = namespace(x)
    y, axis = log_probabilities(x, dim)
    g = xp.reshape(working(cotangent), y.shape)
    return stored(xp.reshape(g - xp.exp(y) * xp.sum(g, axis=axis, keepdims=True), x.shape), x)


def logsumexp_gradient(cotangent, x, *, dim):
    xp = namespace(x)
    p, axis = probabilities(x, dim)
    return stored(xp.reshape(p * xp.expand_dims(working(cotangent), axis=axis), x.shape), x)


@everywhere("softmax", gradient=softmax_gradient)
def softmax(x, *, dim):
    return stored(namespace(x).reshape(probabilities(x, dim)[0], x.shape), x)


@everywhere("log_softmax", gradient=log_softmax_gradient)
def log_softmax(x, *, dim):
    return stored(namespace(x).reshape(log_probabilities(x, dim)[0], x.shape), x)


@everywhere("logsumexp", gradient=logsumexp_gradient)
def logsumexp(x, *, dim):
    xp = namespace(x)
    y, axis = with_axis(working(x), dim)
    if y.shape[axis] == 0:
        return stored(xp.sum(y, axis=axis) - xp.inf, x)
    top = xp.max(y, axis=axis, keepdims=True)
    infinite = xp.isinf(top)
    shift = xp.where(infinite, xp.zeros_like(top), top)
    total = xp.sum(xp.exp(y - shift), axis=axis, keepdims=True)
    return stored(xp.squeeze(xp.where(infinite, top, shift + xp.log(total)), axis=axis), x)

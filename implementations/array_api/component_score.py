"""component_score_before_sigmoid and component_score_after_sigmoid through the array API standard.

The sigmoid is p / (p + q) with p = exp(min(x, 0)) and q = exp(min(-x, 0)): nothing overflows, small answers keep their
digits, and its automatic derivative is right too, also at 0, where each minimum passes on one half.
"""

from . import everywhere, namespace, stored, working


def check(scores, attention):
    if scores.ndim == 0 or scores.shape != attention.shape:
        raise ValueError(f"two arrays of one shape (..., K) are needed, not {scores.shape} and {attention.shape}")


def weights(attention):
    xp, a = namespace(attention), working(attention)
    if a.shape[-1] == 0:
        return a
    e = xp.exp(a - xp.max(a, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def sigmoid(x):
    xp = namespace(x)
    zero = xp.zeros_like(x)
    p, q = xp.exp(xp.minimum(x, zero)), xp.exp(xp.minimum(-x, zero))
    return p / (p + q)


@everywhere("component_score_before_sigmoid")
def component_score_before_sigmoid(scores, attention):
    check(scores, attention)
    xp = namespace(scores)
    return stored(sigmoid(xp.sum(weights(attention) * working(scores), axis=-1)), scores)


@everywhere("component_score_after_sigmoid")
def component_score_after_sigmoid(scores, attention):
    check(scores, attention)
    xp = namespace(scores)
    return stored(xp.sum(weights(attention) * sigmoid(working(scores)), axis=-1), scores)

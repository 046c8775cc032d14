"""component_score_before_sigmoid and component_score_after_sigmoid: a softmax over the components, then either order.

composed   max, exp, sum and division for the attention; the sigmoid through exp(-|x|), which cannot overflow
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .rows import working

ROWS = Accumulation(Tree("any"))
"""NumPy adds pairwise along contiguous rows, and one by one along others."""


def check(scores, attention):
    if scores.ndim == 0 or scores.shape != attention.shape:
        raise ValueError(f"two arrays of one shape (..., K) are needed, not {scores.shape} and {attention.shape}")


def weights(attention):
    a = working(attention)
    e = np.exp(a - np.max(a, axis=-1, keepdims=True, initial=-np.inf))
    return e / np.sum(e, axis=-1, keepdims=True)


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def before_gradient(cotangent, scores, attention):
    with np.errstate(all="ignore"):
        p, s = weights(attention), working(scores)
        z = np.sum(p * s, axis=-1, keepdims=True)
        down = p * working(cotangent)[..., None] * (sigmoid(z) * sigmoid(-z))
        return down.astype(scores.dtype), (down * (s - z)).astype(attention.dtype)


@implementation(
    "component_score_before_sigmoid", backend="numpy", name="composed", accumulation=ROWS, gradient=before_gradient
)
def before(scores, attention):
    check(scores, attention)
    with np.errstate(all="ignore"):
        return np.asarray(sigmoid(np.sum(weights(attention) * working(scores), axis=-1))).astype(scores.dtype)


def after_gradient(cotangent, scores, attention):
    with np.errstate(all="ignore"):
        p, s = weights(attention), working(scores)
        one, down = sigmoid(s), p * working(cotangent)[..., None]
        of_attention = down * (one - np.sum(p * one, axis=-1, keepdims=True))
        return (down * (one * sigmoid(-s))).astype(scores.dtype), of_attention.astype(attention.dtype)


@implementation(
    "component_score_after_sigmoid", backend="numpy", name="composed", accumulation=ROWS, gradient=after_gradient
)
def after(scores, attention):
    check(scores, attention)
    with np.errstate(all="ignore"):
        return np.asarray(np.sum(weights(attention) * sigmoid(working(scores)), axis=-1)).astype(scores.dtype)

"""Margin losses, with NumPy's own functions and reductions; half types in float32.

builtin   the formula as it is written; soft_margin as a softplus that does not overflow
"""

import numpy as np

from harness import implementation

from .losses import REDUCED, reduce, same_shape, spread
from .pointwise_losses import sigmoid, softplus
from .rows import working


def soft_margin_gradient(cotangent, x, target, *, reduction):
    with np.errstate(all="ignore"):
        w, y = working(x), working(target)
        return (np.asarray(-y * sigmoid(-(y * w)) * spread(cotangent, w, reduction)).astype(x.dtype),)


@implementation("soft_margin", backend="numpy", name="builtin", accumulation=REDUCED, gradient=soft_margin_gradient)
def soft_margin(x, target, *, reduction):
    same_shape(x, target)
    with np.errstate(all="ignore"):
        return reduce(softplus(-(working(target) * working(x))), reduction, x.dtype)


def _behind(first, second, target, margin):
    """x1 - x2, and what is clamped: margin - y (x1 - x2)."""
    difference = working(first) - working(second)
    return difference, difference.dtype.type(margin) - working(target) * difference


def margin_ranking_gradient(cotangent, first, second, target, *, margin=0.0, reduction):
    with np.errstate(all="ignore"):
        difference, behind = _behind(first, second, target, margin)
        y = working(target)
        down = np.where(behind >= 0, spread(cotangent, difference, reduction), 0).astype(difference.dtype)
        return tuple(np.asarray(slope * down).astype(first.dtype) for slope in (-y, y, -difference))


@implementation(
    "margin_ranking", backend="numpy", name="builtin", accumulation=REDUCED, gradient=margin_ranking_gradient
)
def margin_ranking(first, second, target, *, margin=0.0, reduction):
    same_shape(first, second)
    same_shape(first, target)
    with np.errstate(all="ignore"):
        return reduce(np.maximum(_behind(first, second, target, margin)[1], 0), reduction, first.dtype)


def hinge_embedding_gradient(cotangent, x, target, *, margin=1.0, reduction):
    with np.errstate(all="ignore"):
        w = working(x)
        far = (target != 1) & (w.dtype.type(margin) - w >= 0)
        slope = (target != -1).astype(w.dtype) - far.astype(w.dtype)
        return (np.asarray(slope * spread(cotangent, w, reduction)).astype(x.dtype),)


@implementation(
    "hinge_embedding", backend="numpy", name="builtin", accumulation=REDUCED, gradient=hinge_embedding_gradient
)
def hinge_embedding(x, target, *, margin=1.0, reduction):
    same_shape(x, target)
    with np.errstate(all="ignore"):
        w = working(x)
        far = np.where(target != 1, np.maximum(w.dtype.type(margin) - w, 0), 0).astype(w.dtype)
        return reduce(far + np.where(target != -1, w, 0).astype(w.dtype), reduction, x.dtype)

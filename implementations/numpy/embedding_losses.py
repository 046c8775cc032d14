"""Losses between embeddings in NumPy: vectors along the last axis, NumPy's own sums.

triplet_margin     differences, p-norms, a hinge
cosine_embedding   each vector is divided by its largest element before it is squared, so that nothing overflows
"""

import numpy as np

from harness import implementation

from .losses import REDUCED, reduce, spread
from .rows import working


def rows(x):
    """x in the working type, the last axis contiguous: NumPy adds up other axes one by one."""
    return np.ascontiguousarray(working(x)).reshape(x.shape)


def distance(x, y, p, eps):
    """The p-norm of x - y + eps along the last axis, and the differences."""
    diff = x - y + x.dtype.type(eps)
    if p == 1:
        return np.sum(np.abs(diff), axis=-1), diff
    if p == 2:
        return np.sqrt(np.sum(diff * diff, axis=-1)), diff
    power = x.dtype.type(p)
    return np.sum(np.abs(diff) ** power, axis=-1) ** (1 / power), diff


def slope(found, p):
    """The derivative of a distance with respect to the differences."""
    d, diff = found
    if p == 1:
        return np.sign(diff)
    tall = np.asarray(d)[..., None]
    if p == 2:
        return diff / tall
    return np.sign(diff) * (np.abs(diff) / tall) ** diff.dtype.type(p - 1)


def check_triplet(anchor, positive, negative, margin):
    if not anchor.shape == positive.shape == negative.shape or not anchor.ndim:
        raise ValueError(
            f"three arrays of one shape are needed, not {anchor.shape}, {positive.shape} and {negative.shape}"
        )
    if not margin > 0:
        raise ValueError(f"the margin must be positive, not {margin}")


def gradient_triplet(cotangent, anchor, positive, negative, *, margin, p, eps, swap, reduction):
    a, b, c = map(rows, (anchor, positive, negative))
    near, far = distance(a, b, p, eps), distance(a, c, p, eps)
    other = distance(b, c, p, eps) if swap else far
    hinge = np.asarray(near[0] - np.minimum(far[0], other[0]) + a.dtype.type(margin))
    g = np.where(hinge > 0, spread(cotangent, hinge, reduction), 0).astype(a.dtype)[..., None]
    from_near, from_far, from_other = slope(near, p) * g, slope(far, p) * g, np.zeros_like(a)
    if swap:
        swapped = np.asarray(other[0] < far[0])[..., None]
        from_other = np.where(swapped, slope(other, p) * g, 0)
        from_far = np.where(swapped, 0, from_far)
    down = (from_near - from_far, -from_near - from_other, from_far + from_other)
    return tuple(one.astype(anchor.dtype) for one in down)


@implementation("triplet_margin", backend="numpy", name="builtin", accumulation=REDUCED, gradient=gradient_triplet)
def triplet_margin(anchor, positive, negative, *, margin, p, eps, swap, reduction):
    check_triplet(anchor, positive, negative, margin)
    a, b, c = map(rows, (anchor, positive, negative))
    with np.errstate(all="ignore"):
        near, far = distance(a, b, p, eps)[0], distance(a, c, p, eps)[0]
        if swap:
            far = np.minimum(far, distance(b, c, p, eps)[0])
        return reduce(np.asarray(np.maximum(near - far + a.dtype.type(margin), 0)), reduction, anchor.dtype)


def scaled(x):
    """x over its largest element along the last axis, the length of that, and the largest element."""
    x = rows(x)
    scale = np.max(np.abs(x), axis=-1, keepdims=True, initial=0)
    scale = np.where(scale == 0, x.dtype.type(1), scale)
    x = x / scale
    length = np.sqrt(np.sum(x * x, axis=-1))
    return x, np.where(length == 0, x.dtype.type(1), length), scale


def check_pair(x1, x2, target):
    if x1.shape != x2.shape or x1.ndim not in (1, 2) or target.shape != x1.shape[:-1]:
        raise ValueError(f"two arrays (C,) or (N, C) and a target each, not {x1.shape}, {x2.shape} and {target.shape}")


def gradient_cosine(cotangent, x1, x2, target, *, margin, reduction):
    (a, length_a, scale_a), (b, length_b, scale_b) = scaled(x1), scaled(x2)
    cos = np.asarray(np.sum(a * b, axis=-1) / (length_a * length_b))
    slope = np.where(target == 1, -1, np.where(target == -1, cos - a.dtype.type(margin) > 0, 0)).astype(a.dtype)
    g = np.asarray(slope * spread(cotangent, cos, reduction))[..., None]
    length_a, length_b, cos = length_a[..., None], length_b[..., None], cos[..., None]
    a, b = a / length_a, b / length_b
    down = g * (b - cos * a) / length_a / scale_a, g * (a - cos * b) / length_b / scale_b
    return tuple(one.astype(x1.dtype) for one in down)


@implementation("cosine_embedding", backend="numpy", name="builtin", accumulation=REDUCED, gradient=gradient_cosine)
def cosine_embedding(x1, x2, target, *, margin, reduction):
    check_pair(x1, x2, target)
    with np.errstate(all="ignore"):
        (a, length_a, _), (b, length_b, _) = scaled(x1), scaled(x2)
        cos = np.sum(a * b, axis=-1) / (length_a * length_b)
        apart = np.where(target == -1, np.maximum(cos - a.dtype.type(margin), 0), 0)
        losses = np.where(target == 1, 1 - cos, apart).astype(a.dtype)
    return reduce(losses, reduction, x1.dtype)

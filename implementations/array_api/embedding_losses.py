"""Losses between embeddings, through the array API standard."""

from . import everywhere, namespace, stored, working
from .class_losses import above_zero
from .losses import reduce


def distance(x, y, p, eps):
    """The p-norm of x - y + eps along the last axis."""
    xp = namespace(x)
    diff = x - y + eps
    if p == 1:
        return xp.sum(xp.abs(diff), axis=-1)
    if p == 2:
        return xp.sqrt(xp.sum(diff * diff, axis=-1))
    return xp.sum(xp.abs(diff) ** p, axis=-1) ** (1 / p)


@everywhere("triplet_margin")
def triplet_margin(anchor, positive, negative, *, margin, p, eps, swap, reduction):
    if not anchor.shape == positive.shape == negative.shape or not anchor.ndim:
        raise ValueError(
            f"three arrays of one shape are needed, not {anchor.shape}, {positive.shape} and {negative.shape}"
        )
    if not margin > 0:
        raise ValueError(f"the margin must be positive, not {margin}")
    a, b, c = working(anchor), working(positive), working(negative)
    far = distance(a, c, p, eps)
    if swap:
        far = namespace(a).minimum(far, distance(b, c, p, eps))
    return stored(reduce(above_zero(distance(a, b, p, eps) - far + margin), reduction), anchor)


def scaled(x):
    """x over a power of two that makes its largest element about 1, along the last axis, and the length of that.

    floor has the derivative 0, so nothing is differentiated through the scale.
    """
    xp = namespace(x)
    top = xp.max(xp.abs(x), axis=-1, keepdims=True)
    usable = xp.isfinite(top) & (top > 0)
    exponent = xp.floor(xp.log2(xp.where(usable, top, xp.ones_like(top))))
    # in two steps: the reciprocal of a tiny scale would overflow
    half = xp.floor(exponent / 2)
    x = x / xp.pow(xp.full_like(half, 2.0), half) / xp.pow(xp.full_like(half, 2.0), exponent - half)
    squares = xp.sum(x * x, axis=-1)
    return x, xp.sqrt(xp.where(squares == 0, xp.ones_like(squares), squares))


@everywhere("cosine_embedding")
def cosine_embedding(x1, x2, target, *, margin, reduction):
    if x1.shape != x2.shape or x1.ndim not in (1, 2) or tuple(target.shape) != tuple(x1.shape[:-1]):
        raise ValueError(f"two arrays (C,) or (N, C) and a target each, not {x1.shape}, {x2.shape} and {target.shape}")
    xp = namespace(x1)
    (a, length_a), (b, length_b) = scaled(working(x1)), scaled(working(x2))
    cos = xp.sum(a * b, axis=-1) / (length_a * length_b)
    apart = xp.where(target == -1, above_zero(cos - margin), xp.zeros_like(cos))
    return stored(reduce(xp.where(target == 1, 1 - cos, apart), reduction), x1)

"""Losses between two arrays of one shape, with NumPy's own functions and reductions; half types in float32.

builtin   the formula as it is written, with log1p where a plain log would lose digits, and no exp that overflows
"""

import numpy as np

from harness import implementation

from .losses import REDUCED, reduce, same_shape, spread
from .rows import working


def _of_both(down, x):
    """The gradient with respect to the input, in its type, and its negative for the target."""
    down = np.asarray(down).astype(x.dtype)
    return down, np.negative(down, out=np.empty_like(down))


def l1_gradient(cotangent, x, target, *, reduction):
    with np.errstate(all="ignore"):
        d = working(x) - working(target)
        return _of_both(np.sign(d) * spread(cotangent, d, reduction), x)


@implementation("l1", backend="numpy", name="builtin", accumulation=REDUCED, gradient=l1_gradient)
def l1(x, target, *, reduction):
    same_shape(x, target)
    with np.errstate(all="ignore"):
        return reduce(np.abs(working(x) - working(target)), reduction, x.dtype)


def smooth_l1_gradient(cotangent, x, target, *, reduction, beta=1.0):
    with np.errstate(all="ignore"):
        d = working(x) - working(target)
        slope = np.clip(d / d.dtype.type(beta), -1, 1) if beta else np.sign(d)
        return _of_both(slope * spread(cotangent, d, reduction), x)


@implementation("smooth_l1", backend="numpy", name="builtin", accumulation=REDUCED, gradient=smooth_l1_gradient)
def smooth_l1(x, target, *, reduction, beta=1.0):
    same_shape(x, target)
    if beta < 0:
        raise ValueError(f"beta is {beta}, and must not be negative")
    with np.errstate(all="ignore"):
        d = np.abs(working(x) - working(target))
        b = d.dtype.type(beta)
        losses = np.where(d < b, d * d / (2 * b), d - b / 2) if beta else d
        return reduce(losses, reduction, x.dtype)


def probabilities(*arrays):
    for array in arrays:
        if not np.all((array >= 0) & (array <= 1)):
            raise ValueError("probabilities are needed: every element in [0, 1]")


def _weighed(losses, weights):
    """Losses by their weights, which broadcast to the losses and never the other way round."""
    return losses * np.broadcast_to(working(weights[0]), losses.shape) if weights else losses


def bce_gradient(cotangent, p, target, *weights, weighted, reduction):
    with np.errstate(all="ignore"):
        w, t = working(p), working(target)
        down = _weighed(np.broadcast_to(spread(cotangent, w, reduction), w.shape), weights)
        of_input = (w - t) / (w * (1 - w)) * down
        of_target = (np.log1p(-w) - np.log(w)) * down
        return np.asarray(of_input).astype(p.dtype), np.asarray(of_target).astype(target.dtype)


@implementation("bce", backend="numpy", name="builtin", accumulation=REDUCED, gradient=bce_gradient)
def bce(p, target, *weights, weighted, reduction):
    same_shape(p, target)
    probabilities(p, target)
    with np.errstate(all="ignore"):
        w, t = working(p), working(target)
        lowest = w.dtype.type(-100)
        losses = -(t * np.maximum(np.log(w), lowest) + (1 - t) * np.maximum(np.log1p(-w), lowest))
        return reduce(_weighed(losses, weights), reduction, p.dtype)


def softplus(x):
    """log(1 + exp(x)) without overflow and without rounding 1 + exp."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def sigmoid(x):
    """1 / (1 + exp(-x)) without overflow."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def bce_with_logits_gradient(cotangent, x, target, *weights, weighted, positive_weighted, reduction):
    with np.errstate(all="ignore"):
        w, t = working(x), working(target)
        down = np.broadcast_to(spread(cotangent, w, reduction), w.shape)
        if weighted:
            down = _weighed(down, weights)
        factor, of_target = w.dtype.type(1), -w
        if positive_weighted:
            q = working(weights[-1])
            factor, of_target = 1 + (q - 1) * t, (q - 1) * softplus(-w) - w
        of_input = ((1 - t) - factor * sigmoid(-w)) * down
        return np.asarray(of_input).astype(x.dtype), np.asarray(of_target * down).astype(target.dtype)


@implementation(
    "bce_with_logits", backend="numpy", name="builtin", accumulation=REDUCED, gradient=bce_with_logits_gradient
)
def bce_with_logits(x, target, *weights, weighted, positive_weighted, reduction):
    same_shape(x, target)
    with np.errstate(all="ignore"):
        w, t = working(x), working(target)
        soft = softplus(-w)
        if positive_weighted:
            soft = soft * np.broadcast_to(1 + (working(weights[-1]) - 1) * t, w.shape)
        losses = (1 - t) * w + soft
        return reduce(_weighed(losses, weights) if weighted else losses, reduction, x.dtype)


def _stirling(t):
    """ln t! where t > 1, else 0: t ln t - t + ln(2 pi t) / 2."""
    found = t * np.log(t) - t + np.log(t.dtype.type(2 * np.pi) * t) / 2
    return np.where(t <= 1, 0, found).astype(t.dtype)


def poisson_nll_gradient(cotangent, x, target, *, log_input, full, eps, reduction):
    with np.errstate(all="ignore"):
        w, t = working(x), working(target)
        down = spread(cotangent, w, reduction)
        shifted = w if log_input else w + w.dtype.type(eps)
        of_input = np.exp(w) - t if log_input else 1 - t / shifted
        of_target = -w if log_input else -np.log(shifted)
        if full:
            of_target = of_target + np.where(t <= 1, 0, np.log(t) + 1 / (2 * t)).astype(w.dtype)
        return np.asarray(of_input * down).astype(x.dtype), np.asarray(of_target * down).astype(target.dtype)


@implementation("poisson_nll", backend="numpy", name="builtin", accumulation=REDUCED, gradient=poisson_nll_gradient)
def poisson_nll(x, target, *, log_input, full, eps, reduction):
    same_shape(x, target)
    with np.errstate(all="ignore"):
        w, t = working(x), working(target)
        losses = np.exp(w) - t * w if log_input else w - t * np.log(w + w.dtype.type(eps))
        return reduce(losses + _stirling(t) if full else losses, reduction, x.dtype)


def reduce_batch(losses, reduction, dtype):
    """As `reduce`, with batchmean: the sum divided by the length of the first axis."""
    if reduction != "batchmean":
        return reduce(losses, reduction, dtype)
    with np.errstate(all="ignore"):
        total = np.sum(losses) / losses.dtype.type(losses.shape[0] if losses.ndim else 1)
        return np.asarray(total).astype(dtype)


def spread_batch(cotangent, losses, reduction):
    if reduction != "batchmean":
        return spread(cotangent, losses, reduction)
    return cotangent.astype(losses.dtype) / losses.dtype.type(losses.shape[0] if losses.ndim else 1)


def times_log(p, ratio):
    """p ln(ratio), and 0 for p = 0."""
    return np.where(p == 0, 0, p * np.log(ratio)).astype(p.dtype)


def kl_div_gradient(cotangent, x, target, *, reduction, log_target=False):
    with np.errstate(all="ignore"):
        w, t = working(x), working(target)
        down = spread_batch(cotangent, w, reduction)
        chance = np.exp(t) if log_target else t
        of_target = chance * (t - w + 1) if log_target else np.log(t) - w + 1
        return np.asarray(-chance * down).astype(x.dtype), np.asarray(of_target * down).astype(target.dtype)


@implementation("kl_div", backend="numpy", name="builtin", accumulation=REDUCED, gradient=kl_div_gradient)
def kl_div(x, target, *, reduction, log_target=False):
    same_shape(x, target)
    with np.errstate(all="ignore"):
        w, t = working(x), working(target)
        losses = np.exp(t) * (t - w) if log_target else times_log(t, t) - t * w
        return reduce_batch(losses, reduction, x.dtype)


def js_div_gradient(cotangent, p, q, *, reduction):
    with np.errstate(all="ignore"):
        one, two = working(p), working(q)
        down, middle = spread_batch(cotangent, one, reduction), (one + two) / 2
        return tuple(np.asarray(np.log(v / middle) / 2 * down).astype(p.dtype) for v in (one, two))


@implementation("js_div", backend="numpy", name="builtin", accumulation=REDUCED, gradient=js_div_gradient)
def js_div(p, q, *, reduction):
    same_shape(p, q)
    probabilities(p, q)
    with np.errstate(all="ignore"):
        one, two = working(p), working(q)
        middle = (one + two) / 2
        losses = (times_log(one, one / middle) + times_log(two, two / middle)) / 2
        return reduce_batch(losses, reduction, p.dtype)

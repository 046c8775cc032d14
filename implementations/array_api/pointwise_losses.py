"""Losses between two arrays of one shape, through the array API standard."""

from . import everywhere, namespace, stored, working
from .losses import reduce, same_shape


def magnitude(d):
    """|d| with the slope 0 at 0, which PyTorch's abs has and JAX's does not."""
    return d * namespace(d).sign(d)


@everywhere("mse")
def mse(x, target, *, reduction):
    same_shape(x, target)
    return stored(reduce(namespace(x).square(working(x) - working(target)), reduction), x)


@everywhere("l1")
def l1(x, target, *, reduction):
    same_shape(x, target)
    return stored(reduce(magnitude(working(x) - working(target)), reduction), x)


@everywhere("smooth_l1")
def smooth_l1(x, target, *, reduction, beta=1.0):
    same_shape(x, target)
    if beta < 0:
        raise ValueError(f"beta is {beta}, and must not be negative")
    xp = namespace(x)
    d = working(x) - working(target)
    distance = magnitude(d)
    if beta > 0:
        distance = xp.where(distance < beta, 0.5 * d * d / beta, distance - 0.5 * beta)
    return stored(reduce(distance, reduction), x)


def probabilities(*arrays):
    xp = namespace(arrays[0])
    for array in arrays:
        if not bool(xp.all((array >= 0) & (array <= 1))):
            raise ValueError("probabilities are needed: every element in [0, 1]")


def weighed(losses, weight):
    """Losses by their weights, which broadcast to the losses and never the other way round."""
    return losses * namespace(losses).broadcast_to(working(weight), losses.shape)


def log_of_complement(p):
    """ln(1 - p): log1p for small p, where 1 - p rounds, else log: JAX's log1p errs by up to 240 u in float64 there."""
    xp = namespace(p)
    large = p > 0.25
    plain = xp.log(xp.where(large, 1 - p, xp.ones_like(p)))
    return xp.where(large, plain, xp.log1p(xp.where(large, xp.zeros_like(p), -p)))


@everywhere("bce")
def bce(p, target, *weights, weighted, reduction):
    same_shape(p, target)
    probabilities(p, target)
    xp = namespace(p)
    w, t = working(p), working(target)
    lowest = xp.full_like(w, -100.0)
    losses = -(t * xp.maximum(xp.log(w), lowest) + (1 - t) * xp.maximum(log_of_complement(w), lowest))
    return stored(reduce(weighed(losses, weights[0]) if weighted else losses, reduction), p)


def softplus(x):
    """log(1 + exp(x)) without overflow, and with the slope 1/2 at 0."""
    xp = namespace(x)
    return xp.maximum(x, xp.zeros_like(x)) + xp.log1p(xp.exp(-magnitude(x)))


@everywhere("bce_with_logits")
def bce_with_logits(x, target, *weights, weighted, positive_weighted, reduction):
    same_shape(x, target)
    w, t = working(x), working(target)
    soft = softplus(-w)
    if positive_weighted:
        soft = weighed(soft, 1 + (working(weights[-1]) - 1) * t)
    losses = (1 - t) * w + soft
    return stored(reduce(weighed(losses, weights[0]) if weighted else losses, reduction), x)


@everywhere("poisson_nll")
def poisson_nll(x, target, *, log_input, full, eps, reduction):
    same_shape(x, target)
    xp = namespace(x)
    w, t = working(x), working(target)
    losses = xp.exp(w) - t * w if log_input else w - t * xp.log(w + eps)
    if full:
        # logarithms of the counts that take no part would bring NaN into the gradient
        small = t <= 1
        count = xp.where(small, xp.full_like(t, 2.0), t)
        stirling = count * xp.log(count) - count + 0.5 * xp.log(2 * xp.pi * count)
        losses = losses + xp.where(small, xp.zeros_like(t), stirling)
    return stored(reduce(losses, reduction), x)


def reduce_batch(losses, reduction):
    """As `reduce`, with batchmean: the sum divided by the length of the first axis."""
    if reduction != "batchmean":
        return reduce(losses, reduction)
    return namespace(losses).sum(losses) / (losses.shape[0] if losses.ndim else 1)


def times_log(p, of):
    """p ln(of), and 0 for p = 0, without NaN in the gradient."""
    xp = namespace(p)
    none = p == 0
    return xp.where(none, xp.zeros_like(p), p * xp.log(xp.where(none, xp.ones_like(p), of)))


@everywhere("kl_div")
def kl_div(x, target, *, reduction, log_target=False):
    same_shape(x, target)
    w, t = working(x), working(target)
    losses = namespace(x).exp(t) * (t - w) if log_target else times_log(t, t) - t * w
    return stored(reduce_batch(losses, reduction), x)


@everywhere("js_div")
def js_div(p, q, *, reduction):
    """With logarithms of p, q and m: 0.5 (p ln p + q ln q) - m ln m."""
    same_shape(p, q)
    probabilities(p, q)
    one, two = working(p), working(q)
    middle = 0.5 * (one + two)
    losses = 0.5 * (times_log(one, one) + times_log(two, two)) - times_log(middle, middle)
    return stored(reduce_batch(losses, reduction), p)


@everywhere("soft_margin")
def soft_margin(x, target, *, reduction):
    same_shape(x, target)
    return stored(reduce(softplus(-(working(target) * working(x))), reduction), x)


def clamped(x):
    """max(x, 0) with the slope 1 at 0, as PyTorch's clamp has; NaN stays."""
    xp = namespace(x)
    return xp.where(x < 0, xp.zeros_like(x), x)


@everywhere("margin_ranking")
def margin_ranking(first, second, target, *, margin=0.0, reduction):
    same_shape(first, second)
    same_shape(first, target)
    behind = margin - working(target) * (working(first) - working(second))
    return stored(reduce(clamped(behind), reduction), first)


@everywhere("hinge_embedding")
def hinge_embedding(x, target, *, margin=1.0, reduction):
    same_shape(x, target)
    xp = namespace(x)
    w = working(x)
    nothing = xp.zeros_like(w)
    losses = xp.where(target == 1, nothing, clamped(margin - w)) + xp.where(target == -1, nothing, w)
    return stored(reduce(losses, reduction), x)

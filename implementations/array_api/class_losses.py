"""Losses over classes, through the array API standard.

Labels are looked up with take_along_axis; what a loss must not depend on (ignored samples) is taken out by where().
"""

from . import everywhere, namespace, stored, working


def class_axis(x):
    return 0 if x.ndim == 1 else 1


def check_labels(x, target, weight, ignore_index=None):
    xp = namespace(x)
    axis = class_axis(x)
    classes = x.shape[axis]
    if tuple(target.shape) != tuple(x.shape[:axis] + x.shape[axis + 1 :]):
        raise ValueError(f"labels of shape {tuple(target.shape)} for an input of shape {tuple(x.shape)}")
    if target.dtype != xp.int64:
        raise TypeError(f"labels are int64, not {target.dtype}")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise ValueError(f"weights of shape {tuple(weight.shape)} for {classes} classes")
    outside = (target < 0) | (target >= classes)
    if ignore_index is not None:
        outside = outside & (target != ignore_index)
    if bool(xp.any(outside)):
        raise IndexError(f"a label outside 0 to {classes - 1}")


def weights_of(x, target, weight, ignore_index):
    """Labels to gather at, which samples are ignored, the weight of each sample, and their total."""
    xp = namespace(x)
    check_labels(x, target, weight, ignore_index)
    ignored = xp.zeros_like(target, dtype=xp.bool) if ignore_index is None else target == ignore_index
    safe = xp.where(ignored, xp.zeros_like(target), target)
    kept = xp.astype(~ignored, working(x).dtype)
    if weight is None:
        return safe, ignored, kept, xp.sum(kept)
    each = xp.reshape(xp.take(working(weight), xp.reshape(safe, (-1,))), target.shape)
    each = xp.where(ignored, xp.zeros_like(each), each)
    return safe, ignored, each, xp.sum(each)


def picked(x, labels):
    axis = class_axis(x)
    xp = namespace(x)
    return xp.squeeze(xp.take_along_axis(x, xp.expand_dims(labels, axis=axis), axis=axis), axis=axis)


def reduce(losses, total, reduction):
    if reduction == "none":
        return losses
    xp = namespace(losses)
    return xp.sum(losses) / total if reduction == "mean" else xp.sum(losses)


@everywhere("nll")
def nll(x, target, weight=None, *, weighted, ignore_index, reduction):
    xp = namespace(x)
    safe, ignored, each, total = weights_of(x, target, weight, ignore_index)
    losses = -picked(working(x), safe) * each
    losses = xp.where(ignored, xp.zeros_like(losses), losses)
    return stored(reduce(losses, total, reduction), x)


def held(x):
    """The same values, through which nothing is differentiated.

    The standard has no stop_gradient, but floor has the derivative 0: above 2**53 a float is whole anyway, below it is
    on a grid of 2**-53 as long as it is not tiny, and then the 2**-53 that are lost do not matter to a maximum.
    """
    xp = namespace(x)
    return xp.where(xp.abs(x) < 2.0**53, xp.floor(x * 2.0**53) * 2.0**-53, xp.floor(x))


def log_softmax(x):
    """(x - max) - log(sum(exp(x - max))); the maximum is held, as its gradient is 0 but for roundings."""
    xp = namespace(x)
    axis = class_axis(x)
    if 0 in x.shape:
        return x * 0
    y = x - held(xp.max(x, axis=axis, keepdims=True))
    return y - xp.log(xp.sum(xp.exp(y), axis=axis, keepdims=True))


def check_distributions(x, target, weight, ignore_index):
    if target.dtype != x.dtype:
        raise TypeError(f"probabilities of the type {target.dtype} for an input of {x.dtype}")
    if weight is not None and tuple(weight.shape) != (x.shape[class_axis(x)],):
        raise ValueError(f"weights of shape {tuple(weight.shape)} for {x.shape[class_axis(x)]} classes")
    if ignore_index >= 0:
        raise ValueError("probabilities leave no label to be ignored")
    if not bool(namespace(x).all(target >= 0)):
        raise ValueError("a probability that is negative or NaN")


@everywhere("cross_entropy")
def cross_entropy(x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"a label_smoothing of {label_smoothing} is not in [0, 1]")
    xp = namespace(x)
    axis = class_axis(x)
    tall = tuple(-1 if a == axis else 1 for a in range(x.ndim))
    y = log_softmax(working(x))
    weighed = y if weight is None else y * xp.reshape(working(weight), tall)
    if tuple(target.shape) == tuple(x.shape):
        check_distributions(x, target, weight, ignore_index)
        q = working(target) * (1 - label_smoothing) + label_smoothing / x.shape[axis]
        losses = -xp.sum(weighed * q, axis=axis)
        return stored(reduce(losses, xp.sum(xp.ones_like(losses)), reduction), x)
    safe, ignored, each, total = weights_of(x, target, weight, ignore_index)
    losses = -picked(y, safe) * each
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - label_smoothing / x.shape[axis] * xp.sum(weighed, axis=axis)
    losses = xp.where(ignored, xp.zeros_like(losses), losses)
    return stored(reduce(losses, total, reduction), x)


def above_zero(h):
    """max(h, 0) with the derivative 0 at 0, as PyTorch's losses have it; NaN stays."""
    return namespace(h).where(h <= 0, namespace(h).zeros_like(h), h)


def masked(h, mask):
    xp = namespace(h)
    return xp.where(mask, h, xp.zeros_like(h))


@everywhere("multi_margin")
def multi_margin(x, target, weight=None, *, weighted, p, margin, reduction):
    if p not in (1, 2):
        raise ValueError(f"p is 1 or 2, not {p}")
    if x.ndim not in (1, 2):
        raise ValueError(f"an input of shape (C,) or (N, C), not {tuple(x.shape)}")
    xp = namespace(x)
    safe, _, each, _ = weights_of(x, target, weight, None)
    w = working(x)
    others = xp.expand_dims(safe, axis=-1) != xp.arange(x.shape[-1], dtype=safe.dtype)
    h = masked(above_zero(margin - xp.expand_dims(picked(w, safe), axis=-1) + w), others)
    losses = xp.sum(h if p == 1 else h * h, axis=-1) * each / x.shape[-1]
    return stored(reduce(losses, xp.sum(xp.ones_like(losses)), reduction), x)


@everywhere("multilabel_margin")
def multilabel_margin(x, target, *, reduction):
    xp = namespace(x)
    classes = x.shape[-1]
    if x.ndim not in (1, 2) or tuple(target.shape) != tuple(x.shape):
        raise ValueError(f"two arrays of one shape are needed, not {tuple(x.shape)} and {tuple(target.shape)}")
    if target.dtype != xp.int64:
        raise TypeError(f"labels are int64, not {target.dtype}")
    if bool(xp.any((target < -1) | (target >= classes))):
        raise IndexError(f"a label outside -1 to {classes - 1}")
    w = working(x)
    ended = xp.cumulative_sum(xp.astype(target < 0, xp.int64), axis=-1)
    listed = ended == 0
    safe = xp.where(listed, target, xp.zeros_like(target))
    hot = (xp.expand_dims(safe, axis=-1) == xp.arange(classes, dtype=safe.dtype)) & xp.expand_dims(listed, axis=-1)
    pairs = xp.expand_dims(listed, axis=-1) & ~xp.expand_dims(xp.any(hot, axis=-2), axis=-2)
    at_labels = xp.expand_dims(xp.take_along_axis(w, safe, axis=-1), axis=-1)
    h = masked(above_zero(1 - at_labels + xp.expand_dims(w, axis=-2)), pairs)
    losses = xp.sum(h, axis=(-2, -1)) / classes
    return stored(reduce(losses, xp.sum(xp.ones_like(losses)), reduction), x)


@everywhere("inverse_frequency_weights")
def inverse_frequency_weights(classes, *, num_classes, dtype):
    xp = namespace(classes)
    if classes.dtype != xp.int64:
        raise TypeError(f"labels are int64, not {classes.dtype}")
    if bool(xp.any((classes < 0) | (classes >= num_classes))):
        raise IndexError(f"a label outside 0 to {num_classes - 1}")
    labels = xp.reshape(classes, (-1,))
    size = labels.shape[0]
    counts = xp.stack([xp.sum(xp.astype(labels == one, xp.int64)) for one in range(num_classes)])
    counts = xp.astype(counts, xp.float64)
    weights = size / (num_classes * xp.where(counts > 0, counts, xp.ones_like(counts)))
    return xp.astype(xp.where(counts > 0, weights, xp.zeros_like(weights)), getattr(xp, dtype))

"""Losses over classes in NumPy. All of them bring rows of classes together first, as (samples, C), contiguous.

nll                         one gather, then NumPy's own sum
cross_entropy/builtin       x - max - log(sum(exp(x - max))) per row, with NumPy's own reductions, then a gather
multi_margin                one margin per row and class, summed over the classes, then over the rows
multilabel_margin           every label against every class: (samples, C, C) margins
inverse_frequency_weights   np.bincount
"""

import numpy as np

from harness import implementation

from .losses import REDUCED
from .rows import from_rows, to_rows, working

LABELS = np.int64


def class_axis(x):
    return 0 if x.ndim == 1 else 1


def check_labels(x, target, weight, ignore_index=None):
    axis = class_axis(x)
    classes = x.shape[axis]
    if target.shape != x.shape[:axis] + x.shape[axis + 1 :]:
        raise ValueError(f"labels of shape {target.shape} for an input of shape {x.shape}")
    if target.dtype != LABELS:
        raise TypeError(f"labels are int64, not {target.dtype}")
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"weights of shape {weight.shape} for {classes} classes")
    kept = target if ignore_index is None else target[target != ignore_index]
    if kept.size and (kept.min() < 0 or kept.max() >= classes):
        raise IndexError(f"a label outside 0 to {classes - 1}")


def labelled(x, target, weight, ignore_index):
    """Rows of classes, labels to gather at, which rows are ignored, the weight of each row, and their total."""
    check_labels(x, target, weight, ignore_index)
    rows, _ = to_rows(working(x), class_axis(x))
    labels = target.reshape(-1)
    ignored = labels == ignore_index
    safe = np.where(ignored, 0, labels)
    each = np.ones(labels.size, rows.dtype) if weight is None else working(weight)[safe]
    each = np.where(ignored, rows.dtype.type(0), each)
    return rows, safe, ignored, each, np.sum(each)


def picked(rows, labels):
    return np.take_along_axis(rows, labels[:, None], axis=1)[:, 0]


def reduce(losses, total, reduction, shape, dtype):
    """Losses of rows in the shape of the labels, summed, or divided by a total; in the type of the inputs."""
    with np.errstate(all="ignore"):
        if reduction == "none":
            return losses.reshape(shape).astype(dtype)
        summed = np.sum(losses)
        return np.asarray(summed / total if reduction == "mean" else summed).astype(dtype)


def spread(cotangent, total, reduction, rows):
    """What reaches the loss of each row; the caller silences what ignored rows would make of a total of 0."""
    g = cotangent.astype(rows.dtype).reshape(-1)
    with np.errstate(all="ignore"):
        return np.broadcast_to(g / total if reduction == "mean" else g, rows.shape[0])


def gradient_nll(cotangent, x, target, weight=None, *, weighted, ignore_index, reduction):
    rows, safe, ignored, each, total = labelled(x, target, weight, ignore_index)
    down = np.zeros_like(rows)
    with np.errstate(all="ignore"):
        at_label = np.where(ignored, 0, -(spread(cotangent, total, reduction, rows) * each))
    np.put_along_axis(down, safe[:, None], at_label[:, None].astype(rows.dtype), axis=1)
    return (from_rows(down, x, class_axis(x)),)


@implementation("nll", backend="numpy", name="builtin", accumulation=REDUCED, gradient=gradient_nll)
def nll(x, target, weight=None, *, weighted, ignore_index, reduction):
    rows, safe, ignored, each, total = labelled(x, target, weight, ignore_index)
    with np.errstate(all="ignore"):
        losses = np.where(ignored, 0, -(picked(rows, safe) * each)).astype(rows.dtype)
    return reduce(losses, total, reduction, target.shape, x.dtype)


def log_softmax(rows):
    y = rows - np.max(rows, axis=1, keepdims=True, initial=-np.inf)
    y -= np.log(np.sum(np.exp(y), axis=1, keepdims=True))
    return y


def check_distributions(x, target, weight, ignore_index):
    if target.dtype != x.dtype:
        raise TypeError(f"probabilities of the type {target.dtype} for an input of {x.dtype}")
    if weight is not None and weight.shape != (x.shape[class_axis(x)],):
        raise ValueError(f"weights of shape {weight.shape} for {x.shape[class_axis(x)]} classes")
    if ignore_index >= 0:
        raise ValueError("probabilities leave no label to be ignored")
    if not np.all(target >= 0):
        raise ValueError("a probability that is negative or NaN")


def mass(x, target, weight, ignore_index, label_smoothing):
    """What the log-probabilities of each row are multiplied by, (samples, C); which rows are ignored; their total."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"a label_smoothing of {label_smoothing} is not in [0, 1]")
    if target.shape == x.shape:
        check_distributions(x, target, weight, ignore_index)
        rows, _ = to_rows(working(x), class_axis(x))
        q, _ = to_rows(working(target), class_axis(x))
        ignored, total = np.zeros(rows.shape[0], bool), rows.dtype.type(rows.shape[0])
    else:
        rows, safe, ignored, _, total = labelled(x, target, weight, ignore_index)
        q = np.zeros_like(rows)
        np.put_along_axis(q, safe[:, None], 1, axis=1)
    q = q * rows.dtype.type(1 - label_smoothing) + rows.dtype.type(label_smoothing / rows.shape[1])
    return rows, q if weight is None else q * working(weight), ignored, total


def gradient_cross_entropy(cotangent, x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    rows, q, ignored, total = mass(x, target, weight, ignore_index, label_smoothing)
    with np.errstate(all="ignore"):
        down = np.exp(log_softmax(rows)) * np.sum(q, axis=1, keepdims=True) - q
        down *= spread(cotangent, total, reduction, rows)[:, None]
    down[ignored] = 0
    return (from_rows(down, x, class_axis(x)),)


@implementation("cross_entropy", backend="numpy", name="builtin", accumulation=REDUCED, gradient=gradient_cross_entropy)
def cross_entropy(x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    shape = x.shape[: class_axis(x)] + x.shape[class_axis(x) + 1 :]
    with np.errstate(all="ignore"):
        if target.shape == x.shape or label_smoothing:
            rows, q, ignored, total = mass(x, target, weight, ignore_index, label_smoothing)
            losses = -np.sum(log_softmax(rows) * q, axis=1)
        else:
            rows, safe, ignored, each, total = labelled(x, target, weight, ignore_index)
            losses = -(picked(log_softmax(rows), safe) * each)
        losses = np.where(ignored, 0, losses).astype(rows.dtype)
    return reduce(losses, total, reduction, shape, x.dtype)


def margins(x, target, weight, p, margin):
    """Rows, labels, the weight of each row over C, and the margins of all other classes, 0 where they are kept."""
    if p not in (1, 2):
        raise ValueError(f"p is 1 or 2, not {p}")
    if x.ndim not in (1, 2):
        raise ValueError(f"an input of shape (C,) or (N, C), not {x.shape}")
    rows, safe, _, each, _ = labelled(x, target, weight, None)
    with np.errstate(all="ignore"):
        h = np.maximum(rows.dtype.type(margin) - picked(rows, safe)[:, None] + rows, 0)
    np.put_along_axis(h, safe[:, None], 0, axis=1)
    return rows, safe, each / rows.dtype.type(rows.shape[1]), h


def gradient_multi_margin(cotangent, x, target, weight=None, *, weighted, p, margin, reduction):
    rows, safe, each, h = margins(x, target, weight, p, margin)
    with np.errstate(all="ignore"):
        g = spread(cotangent, rows.dtype.type(rows.shape[0]), reduction, rows) * each
        slope = (h > 0).astype(rows.dtype) if p == 1 else 2 * h
        np.put_along_axis(slope, safe[:, None], -np.sum(slope, axis=1, keepdims=True), axis=1)
        return (from_rows(slope * g[:, None], x, class_axis(x)),)


@implementation("multi_margin", backend="numpy", name="builtin", accumulation=REDUCED, gradient=gradient_multi_margin)
def multi_margin(x, target, weight=None, *, weighted, p, margin, reduction):
    rows, _, each, h = margins(x, target, weight, p, margin)
    with np.errstate(all="ignore"):
        losses = np.sum(h if p == 1 else h * h, axis=1) * each
    return reduce(losses, rows.dtype.type(rows.shape[0]), reduction, target.shape, x.dtype)


def pair_margins(x, target):
    """Rows (samples, C), the labels that count, and the margin of each of them against each other class."""
    if x.ndim not in (1, 2) or target.shape != x.shape:
        raise ValueError(f"two arrays of one shape (C,) or (N, C) are needed, not {x.shape} and {target.shape}")
    if target.dtype != LABELS:
        raise TypeError(f"labels are int64, not {target.dtype}")
    if target.size and (target.min() < -1 or target.max() >= x.shape[-1]):
        raise IndexError(f"a label outside -1 to {x.shape[-1] - 1}")
    rows, labels = working(x).reshape(-1, x.shape[-1]), target.reshape(-1, x.shape[-1])
    listed = np.logical_and.accumulate(labels >= 0, axis=1)
    safe = np.where(listed, labels, 0)
    hot = np.zeros(rows.shape, bool)
    np.logical_or.at(hot, (np.arange(rows.shape[0])[:, None], safe), listed)
    with np.errstate(all="ignore"):
        h = np.maximum(1 - np.take_along_axis(rows, safe, axis=1)[:, :, None] + rows[:, None, :], 0)
    return rows, safe, np.where(listed[:, :, None] & ~hot[:, None, :], h, 0).astype(rows.dtype)


def gradient_multilabel_margin(cotangent, x, target, *, reduction):
    rows, safe, h = pair_margins(x, target)
    open_pairs = (h > 0).astype(rows.dtype)
    down = np.sum(open_pairs, axis=1)
    np.subtract.at(down, (np.arange(rows.shape[0])[:, None], safe), np.sum(open_pairs, axis=2))
    with np.errstate(all="ignore"):
        g = spread(cotangent, rows.dtype.type(rows.shape[0]), reduction, rows) / rows.dtype.type(x.shape[-1])
        return (np.asarray((down * g[:, None]).reshape(x.shape)).astype(x.dtype),)


@implementation(
    "multilabel_margin", backend="numpy", name="builtin", accumulation=REDUCED, gradient=gradient_multilabel_margin
)
def multilabel_margin(x, target, *, reduction):
    rows, _, h = pair_margins(x, target)
    with np.errstate(all="ignore"):
        losses = np.sum(h.reshape(rows.shape[0], h.shape[1] * h.shape[2]), axis=1) / rows.dtype.type(x.shape[-1])
    return reduce(losses, rows.dtype.type(rows.shape[0]), reduction, x.shape[:-1], x.dtype)


@implementation("inverse_frequency_weights", backend="numpy", name="builtin")
def inverse_frequency_weights(classes, *, num_classes, dtype):
    labels = classes.reshape(-1)
    if labels.dtype != LABELS:
        raise TypeError(f"labels are int64, not {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise IndexError(f"a label outside 0 to {num_classes - 1}")
    counts = np.bincount(labels, minlength=num_classes)
    found = counts > 0
    weights = np.zeros(num_classes, np.float64)
    weights[found] = labels.size / (num_classes * counts[found])
    return weights.astype(dtype)

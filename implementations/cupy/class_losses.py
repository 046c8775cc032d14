"""cross_entropy by CuPy's array functions, in float32 or wider; labels are looked at first, which waits for the GPU."""

import cupy
from harness.implementations.array_api import class_losses as array_api

from harness import implementation

from .rows import ANY_ORDER, working


def reduced(losses, total, reduction):
    if reduction == "none":
        return losses
    return cupy.sum(losses) / total if reduction == "mean" else cupy.sum(losses)


@implementation("cross_entropy", backend="cupy", name="builtin", accumulation=ANY_ORDER)
def cross_entropy(x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"a label_smoothing of {label_smoothing} is not in [0, 1]")
    axis = 0 if x.ndim == 1 else 1
    y = working(x)
    if y.size:
        y = y - cupy.max(y, axis=axis, keepdims=True)
        y = y - cupy.log(cupy.sum(cupy.exp(y), axis=axis, keepdims=True))
    weighed = y if weight is None else y * working(weight).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    spread = label_smoothing / x.shape[axis]
    if target.shape == x.shape:
        array_api.check_distributions(x, target, weight, ignore_index)
        losses = -cupy.sum(weighed * (working(target) * (1 - label_smoothing) + spread), axis=axis)
        return cupy.asarray(reduced(losses, losses.size, reduction)).astype(x.dtype)
    array_api.check_labels(x, target, weight, ignore_index)
    ignored = target == ignore_index
    safe = cupy.where(ignored, 0, target)
    each = cupy.ones(target.shape, y.dtype) if weight is None else working(weight)[safe]
    each = cupy.where(ignored, 0, each).astype(y.dtype)
    picked = cupy.take_along_axis(y, cupy.expand_dims(safe, axis), axis=axis).squeeze(axis)
    losses = -picked * each
    if label_smoothing:
        losses = (1 - label_smoothing) * losses - spread * cupy.sum(weighed, axis=axis)
    losses = cupy.where(ignored, 0, losses).astype(y.dtype)
    return cupy.asarray(reduced(losses, cupy.sum(each), reduction)).astype(x.dtype)

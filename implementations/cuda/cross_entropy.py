"""cross_entropy: -log softmax at the label, or under probabilities.

fused   one reading of each row, which writes no log-probabilities, and a gradient p - y that does not either: see
        cross_entropy.cu. Labels and probabilities are looked at by the kernel: it sets a flag, which comes to the host
        after all launches (the one host round trip).
"""

import numpy as np

from harness import cuda
from harness.cuda import Source

from .online import MOST_THREADS, ONLINE_ORDER, in_a_block, threads_for
from .reductions import FLOATS
from .rows import THREADS, blocks_for, c_type, dims_of, rows, rows_of, wide
from .streaming import STREAMING, by_columns, columns, summed

PER_LANE = 8
"""Elements that each thread reads at once, where a row has a lane of each warp."""


def _instances():
    for dtype in FLOATS:
        t, a = c_type(dtype), c_type(wide(dtype))
        yield from (f"cross_entropy_{name}<{t}, {a}>" for name in ("mean", "stored", "counted"))
        for kind in ("long long, false", "long long, true", f"{t}, true"):
            for step in ("cross_entropy", "cross_entropy_gradient"):
                yield f"{step}<{kind}, Block, {MOST_THREADS}, {in_a_block(dtype)}, {t}, {a}>"
                yield f"{step}<{kind}, Column, 1024, {PER_LANE}, {t}, {a}>"


CROSS_ENTROPY = Source.beside(__file__, "cross_entropy.cu", tuple(_instances()))


def class_axis(x):
    return 0 if x.ndim == 1 else 1


def check(x, target, weight, ignore_index, label_smoothing):
    """Raise for what the shapes, types and parameters alone show to be wrong."""
    axis = class_axis(x)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"a label_smoothing of {label_smoothing} is not in [0, 1]")
    if weight is not None and (tuple(weight.shape) != (x.shape[axis],) or weight.dtype != x.dtype):
        raise ValueError(f"weights {weight.dtype}{list(weight.shape)} for {x.shape[axis]} classes of {x.dtype}")
    if tuple(target.shape) == tuple(x.shape):
        if target.dtype != x.dtype:
            raise TypeError(f"probabilities of the type {target.dtype} for an input of {x.dtype}")
        if ignore_index >= 0:
            raise ValueError("probabilities leave no label to be ignored")
        return
    if tuple(target.shape) != tuple(x.shape[:axis] + x.shape[axis + 1 :]):
        raise ValueError(f"labels of shape {tuple(target.shape)} for an input of shape {tuple(x.shape)}")
    if target.dtype != np.int64:
        raise TypeError(f"labels are int64, not {target.dtype}")


def launch(device, step, x, target, weight, ignore_index, label_smoothing, before, after):
    """One block for each row, or for 32 rows that lie side by side."""
    along = rows_of(x, class_axis(x))
    t, a = c_type(x.dtype), c_type(wide(x.dtype))
    labels = tuple(target.shape) != tuple(x.shape)
    distribution = rows(dims_of(target), []) if labels else rows_of(target, class_axis(x))
    kind = f"long long, {str(label_smoothing > 0).lower()}" if labels else f"{t}, true"
    # without weights the kernel reads none, but it wants a pointer
    weights = (x, 0, False) if weight is None else (weight, weight.strides[0] // weight.dtype.itemsize, True)
    shares = (label_smoothing / along.n, 1.0 - label_smoothing)
    given = (target, distribution.layout, *weights, ignore_index, *shares)
    if by_columns(along):
        grid, block = columns(along, PER_LANE)
        kernel = CROSS_ENTROPY.kernel(f"{step}<{kind}, Column, 1024, {PER_LANE}, {t}, {a}>")
    else:
        items = in_a_block(x.dtype)
        grid, block = along.count, threads_for(along.n, items)
        kernel = CROSS_ENTROPY.kernel(f"{step}<{kind}, Block, {MOST_THREADS}, {items}, {t}, {a}>")
    device.launch(kernel, grid, block, 0, (*before, x, along.layout, along.count, along.n, *given, *after))


def gradient(device, cotangent, x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    """softmax - q in one launch, and the sum of what counts before it where the mean divides by that.

    A row whose label is out of range, which the forward pass refuses, has the gradient 0.
    """
    out = device.empty(x.shape, x.dtype.name)
    if out.size == 0:
        return out
    count = rows_of(x, class_axis(x)).count
    down = rows(dims_of(cotangent) if reduction == "none" else [(count, 0)], [])
    if reduction != "mean":
        divisor = device.upload(np.ones(1, wide(x.dtype)))
    elif tuple(target.shape) == tuple(x.shape):
        divisor = device.upload(np.full(1, count, wide(x.dtype)))
    else:
        divisor = total_counted(device, x, target, weight, ignore_index)
    before, after = (cotangent, down.layout, divisor), (out, rows_of(out, class_axis(x)).layout)
    arguments = (x, target, weight, ignore_index, label_smoothing, before, after)
    launch(device, "cross_entropy_gradient", *arguments)
    return out


def total_counted(device, x, target, weight, ignore_index):
    """The sum of the weights of all labels that are not ignored: a device array of shape (1,)."""
    a = wide(x.dtype)
    counted = device.empty((target.size,), a)
    weights = (x, 0, False) if weight is None else (weight, weight.strides[0] // weight.dtype.itemsize, True)
    sizes = target.size, x.shape[class_axis(x)]
    kernel = CROSS_ENTROPY.kernel(f"cross_entropy_counted<{c_type(x.dtype)}, {c_type(a)}>")
    arguments = (target, rows(dims_of(target), []).layout, *sizes, *weights, ignore_index, counted)
    device.launch(kernel, blocks_for(target.size), THREADS, 0, arguments)
    return summed(device, counted, [], [(target.size, 1)], a)


@cuda.implementation(
    "cross_entropy",
    sources=(CROSS_ENTROPY, STREAMING),
    accumulation=ONLINE_ORDER,
    gradient=gradient,
)
def fused(device, x, target, weight=None, *, weighted, ignore_index, reduction, label_smoothing):
    check(x, target, weight, ignore_index, label_smoothing)
    a, count = wide(x.dtype), rows_of(x, class_axis(x)).count
    shape = tuple(size for axis, size in enumerate(x.shape) if axis != class_axis(x)) if reduction == "none" else ()
    if x.size == 0:
        return device.upload(np.full(shape, np.nan if reduction == "mean" else 0.0).astype(x.dtype))
    losses, counted, flag = device.empty((count,), a), device.empty((count,), a), device.zeros((1,), "int32")
    launch(device, "cross_entropy", x, target, weight, ignore_index, label_smoothing, (), (losses, counted, flag))
    answer = device.reshaped(finished(device, losses, counted, x.dtype.name, reduction), shape)
    match int(device.read_back(flag)[0]):
        case 0:
            return answer
        case 1:
            raise IndexError(f"a label outside 0 to {x.shape[class_axis(x)] - 1}")
    raise ValueError("a probability that is negative or NaN")


def finished(device, losses, counted, dtype, reduction):
    """The losses of all rows, or their sum or mean, as an array of `dtype`."""
    count, a = losses.size, losses.dtype.name
    types = f"<{c_type(dtype)}, {c_type(a)}>"
    if reduction == "sum":
        return summed(device, losses, [], [(count, 1)], dtype)
    if reduction == "mean":
        out = device.empty((1,), dtype)
        sums = (summed(device, each, [], [(count, 1)], a) for each in (losses, counted))
        device.launch(CROSS_ENTROPY.kernel(f"cross_entropy_mean{types}"), 1, 1, 0, (*sums, out))
        return out
    if dtype == a:
        return losses
    out = device.empty((count,), dtype)
    device.launch(
        CROSS_ENTROPY.kernel(f"cross_entropy_stored{types}"), blocks_for(count), THREADS, 0, (losses, count, out)
    )
    return out

"""expand and where: elements that are moved, and not computed with.

expand
builtin         np.broadcast_to, copied
strided_view    a view with stride 0 along the repeated axes, made by hand and copied
index_mapping   what one thread of a kernel does for its output element: the flat index is taken apart axis by axis, and
                the position on a repeated axis counts 0

where
builtin            np.where
masked_assignment  y repeated, and x copied over it where the condition holds
index_mapping      the flat output index mapped back to each of the three operands, as for expand
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .rows import working

BACKWARD = Accumulation(Tree("any"))
"""Sums occur in gradients only: over the repeated axes, in float32 for half types."""


def full_size(x, size):
    """The size with each -1 replaced by what it keeps."""
    new = len(size) - x.ndim
    if new < 0:
        raise ValueError(f"an array of shape {x.shape} has more axes than the size {tuple(size)}")
    if any(length < -1 or (length == -1 and axis < new) for axis, length in enumerate(size)):
        raise ValueError(f"size {tuple(size)}: -1 keeps an axis that is there, and nothing else may be negative")
    return tuple(x.shape[axis - new] if length == -1 else length for axis, length in enumerate(size))


def summed_to(g, shape, dtype):
    """The sum over the axes along which an array of `shape` was repeated to that of g."""
    new = g.ndim - len(shape)
    repeated = tuple(a for a in range(g.ndim) if a < new or (shape[a - new] == 1 and g.shape[a] != 1))
    with np.errstate(all="ignore"):
        return np.asarray(np.sum(working(g), axis=repeated)).reshape(shape).astype(dtype)


def strides_of(x, shape):
    """The strides by which x is read as an array of `shape`: 0 along the repeated axes."""
    new = len(shape) - x.ndim
    for own, length in zip(x.shape, shape[new:], strict=True):
        if own not in (1, length):
            raise ValueError(f"an array of shape {x.shape} cannot become one of {shape}")
    own = (0 if size == 1 else stride for size, stride in zip(x.shape, x.strides, strict=True))
    return (*(0,) * new, *own)


def source_index(x, shape):
    """For each element of an output of `shape` the flat index into x of what stands there."""
    strides_of(x, shape)
    rest = np.arange(int(np.prod(shape)))
    index, step = np.zeros_like(rest), 1
    for axis in range(1, len(shape) + 1):
        rest, position = np.divmod(rest, shape[-axis])
        if axis <= x.ndim and x.shape[-axis] != 1:
            index += position * step
            step *= x.shape[-axis]
    return index


def expand_gradient(cotangent, x, *, size):
    return summed_to(cotangent, x.shape, x.dtype)


@implementation("expand", backend="numpy", accumulation=BACKWARD, gradient=expand_gradient)
def builtin(x, *, size):
    return np.broadcast_to(x, full_size(x, size)).copy()


@implementation("expand", backend="numpy", accumulation=BACKWARD, gradient=expand_gradient)
def strided_view(x, *, size):
    shape = full_size(x, size)
    return np.lib.stride_tricks.as_strided(x, shape, strides_of(x, shape), writeable=False).copy()


@implementation("expand", backend="numpy", accumulation=BACKWARD, gradient=expand_gradient)
def index_mapping(x, *, size):
    shape = full_size(x, size)
    return x.reshape(-1)[source_index(x, shape)].reshape(shape)


def check_condition(condition):
    if condition.dtype != np.bool_:
        raise ValueError(f"the condition is bool, not {condition.dtype}")


def where_gradient(cotangent, condition, x, y):
    zero = cotangent.dtype.type(0)
    of_x, of_y = np.where(condition, cotangent, zero), np.where(condition, zero, cotangent)
    return summed_to(of_x, x.shape, x.dtype), summed_to(of_y, y.shape, y.dtype)


@implementation("where", backend="numpy", name="builtin", accumulation=BACKWARD, gradient=where_gradient)
def where(condition, x, y):
    check_condition(condition)
    return np.asarray(np.where(condition, x, y), dtype=x.dtype)


@implementation("where", backend="numpy", accumulation=BACKWARD, gradient=where_gradient)
def masked_assignment(condition, x, y):
    check_condition(condition)
    shape = np.broadcast_shapes(condition.shape, x.shape, y.shape)
    out = np.broadcast_to(y, shape).copy()
    np.copyto(out, x, where=condition)
    return out


@implementation("where", backend="numpy", name="index_mapping", accumulation=BACKWARD, gradient=where_gradient)
def where_by_index(condition, x, y):
    check_condition(condition)
    shape = np.broadcast_shapes(condition.shape, x.shape, y.shape)
    holds, left, right = (array.reshape(-1)[source_index(array, shape)] for array in (condition, x, y))
    left[~holds] = right[~holds]
    return left.reshape(shape)

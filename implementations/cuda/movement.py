"""expand and where, each by a mapping from the flat index of the answer to the index into every operand.

index_mapping   one thread for each element of the answer: see movement.cu
"""

import numpy as np

from harness import cuda
from harness.cuda import C_TYPES, Source

from ..numpy.movement import check_condition, full_size, strides_of
from .rows import THREADS, blocks_for, c_type, dims_of, rows
from .streaming import STREAMING, SUM_ORDER, summed

MOVEMENT = Source.beside(
    __file__,
    "movement.cu",
    tuple(
        f"{kernel}<{kind}, {index}>"
        for kernel in ("expand", "where")
        for kind in C_TYPES.values()
        for index in ("int", "long long")
    ),
)


def mapping(x, shape):
    """How an answer of that shape, to which x broadcasts, reads x: one row for each of its elements."""
    elements = (stride // x.dtype.itemsize for stride in strides_of(x, shape))
    return rows(list(zip(shape, elements, strict=True)), [])


def index_type(count):
    """The C type that holds the index of every thread, also of those beyond the end."""
    return "int" if count <= 2**31 - THREADS else "long long"


def expanded(device, x, layout, shape):
    """A new array of `shape` whose elements stand in x where the mapping says."""
    out = device.empty(shape, x.dtype.name)
    if out.size:
        kernel = MOVEMENT.kernel(f"expand<{c_type(x.dtype)}, {index_type(out.size)}>")
        device.launch(kernel, blocks_for(out.size), THREADS, 0, (x, layout, out.size, out))
    return out


def repeated(device, cotangent, shape, axis):
    """The cotangent of a reduction along `axis` (None: along all) beside every element that went into it."""
    if axis is None:
        dims = [(length, 0) for length in shape]
    else:
        dims = dims_of(cotangent)
        dims.insert(axis, (shape[axis], 0))
    return expanded(device, cotangent, rows(dims, []).layout, shape)


def summed_to(device, g, shape):
    """The sum over the axes along which an array of `shape` was repeated to that of g."""
    new = g.ndim - len(shape)
    along = [axis < new or (shape[axis - new] == 1 and g.shape[axis] != 1) for axis in range(g.ndim)]
    dims = dims_of(g)
    outer = [one for one, is_repeated in zip(dims, along, strict=True) if not is_repeated]
    inner = [one for one, is_repeated in zip(dims, along, strict=True) if is_repeated]
    return device.reshaped(summed(device, g, outer, inner, g.dtype.name), shape)


def expand_gradient(device, cotangent, x, *, size):
    return summed_to(device, cotangent, x.shape)


@cuda.implementation(
    "expand", name="index_mapping", sources=(MOVEMENT, STREAMING), accumulation=SUM_ORDER, gradient=expand_gradient
)
def expand(device, x, *, size):
    shape = full_size(x, size)
    return expanded(device, x, mapping(x, shape).layout, shape)


def where_gradient(device, cotangent, condition, x, y):
    zero = device.zeros((1,), cotangent.dtype.name)
    of_x, of_y = selected(device, condition, cotangent, zero), selected(device, condition, zero, cotangent)
    return summed_to(device, of_x, x.shape), summed_to(device, of_y, y.shape)


@cuda.implementation(
    "where", name="index_mapping", sources=(MOVEMENT, STREAMING), accumulation=SUM_ORDER, gradient=where_gradient
)
def where(device, condition, x, y):
    check_condition(condition)
    return selected(device, condition, x, y)


def selected(device, condition, x, y):
    """x where the condition holds, else y, all three broadcast."""
    shape = np.broadcast_shapes(condition.shape, x.shape, y.shape)
    out = device.empty(shape, x.dtype.name)
    if out.size:
        kernel = MOVEMENT.kernel(f"where<{c_type(x.dtype)}, {index_type(out.size)}>")
        operands = [part for array in (condition, x, y) for part in (array, mapping(array, shape).layout)]
        device.launch(kernel, blocks_for(out.size), THREADS, 0, (*operands, out.size, out))
    return out

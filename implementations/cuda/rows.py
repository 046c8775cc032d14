"""Arrays seen as rows of elements, as rows.cuh has them: any rank, any strides, any reduced dimensions."""

import math
from dataclasses import dataclass

import numpy as np

from harness.cuda import C_TYPES

from ..numpy.rows import check_dim

THREADS = 256
SIDE_BY_SIDE = 8
"""Rows, at least, whose elements of one number lie in one piece: a quarter of a warp."""
MOST_DIMS = 40
HALF = ("float16", "bfloat16")
LAYOUT = np.dtype(
    [("outer", "i4"), ("inner", "i4"), ("size", "i8", MOST_DIMS), ("stride", "i8", MOST_DIMS)], align=True
)
"""`struct Rows` of rows.cuh."""


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """`count` rows of `n` elements: the struct that a kernel gets, and the shape that the rows themselves make up."""

    layout: np.void
    count: int
    n: int
    outer_shape: tuple[int, ...]

    @property
    def side_by_side(self):
        """Whether neighbouring rows are neighbours in memory, and the elements of a row are not."""
        last = self.layout["outer"] - 1
        lies = self.layout["stride"][last] == 1 and self.layout["size"][last] >= SIDE_BY_SIDE
        return bool(lies and self.layout["stride"][last + 1] != 1)


def rows(outer, inner):
    """Rows from dimensions given as (length, stride in elements): those that count rows, and those inside a row."""
    dims = [joined(outer), joined(inner)]
    layout = np.zeros((), LAYOUT)
    layout["outer"], layout["inner"] = map(len, dims)
    for place, (length, stride) in enumerate(dims[0] + dims[1]):
        layout["size"][place], layout["stride"][place] = length, stride
    count, n = (math.prod(length for length, _ in each) for each in (outer, inner))
    return Rows(layout[()], count, n, tuple(length for length, _ in outer))


def joined(dims):
    """The same elements in the same order, in as few dimensions as possible, and at least one."""
    found = []
    for length, stride in dims:
        if length == 1:
            continue
        if found and found[-1][1] == length * stride:
            found[-1] = (found[-1][0] * length, stride)
        else:
            found.append((length, stride))
    return found or [(1, 0)]


def dims_of(x):
    """(length, stride in elements) of each dimension."""
    return [(length, stride // x.dtype.itemsize) for length, stride in zip(x.shape, x.strides, strict=True)]


def rows_of(x, dim):
    """The rows of x along `dim`; for None, and for a 0-d array, one row of everything.

    Raises IndexError for a dim that is out of range.
    """
    return rows(*outer_and_inner(x, dim))


def outer_and_inner(x, dim):
    """The dimensions of x that count rows along `dim`, and those inside a row (all of them for None)."""
    dims = dims_of(x)
    axis = None if dim is None else check_dim(x, dim)
    if axis is None or not dims:
        return [], dims
    return dims[:axis] + dims[axis + 1 :], [dims[axis]]


def lined_up(count, n):
    """`count` rows of n elements, one behind the other."""
    return rows([(count, n)], [(n, 1)])


def wide(dtype):
    """The name of the dtype that is computed in: float32 for half types."""
    return "float32" if str(dtype) in HALF else str(dtype)


def c_type(dtype):
    return C_TYPES[str(dtype)]


def blocks_for(n, block=THREADS):
    """How many blocks n threads make."""
    return -(-n // block)

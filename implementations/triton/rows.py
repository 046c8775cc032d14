"""What the Triton kernels share: rows along any axis, the tile that a program works on, and an exp.

A contiguous array is seen as (outer, n, inner), with the axis that is reduced in the middle; row r of outer * inner
rows starts at r // inner * n * inner + r % inner, and its elements lie `inner` apart. A program holds a tile of
`height` rows by `width` columns, both powers of two.
"""

import math

import torch
import triton
import triton.language as tl

from . import INTERPRETED

TILE = 4096
"""Elements of a program's tile, where the rows are not longer."""
ELEMENTS = 16
"""The most elements of a tile that one thread holds: what it adds up one by one."""
LARGEST_STEPS = 128
"""Tiles that the interpreter may work through for one call; each takes it several milliseconds."""

# the logarithm of 2 in two parts, the first short enough that a whole number up to 2**13 times it is exact
LN2_HIGH = tl.constexpr(0.693359375)
LN2_LOW = tl.constexpr(-2.12194440054690583e-4)
LOG2_E = tl.constexpr(1.4426950408889634)
UNDERFLOWN = tl.constexpr(-110.0)


@triton.jit
def exp_below_zero(t):
    """exp(t) for t <= 0, to some units in the last place also where t is far below 0; -inf gives 0, NaN stays.

    tl.exp multiplies by log2(e) first, and the rounding of that product costs |t| units. Here whole powers of 2 are
    taken out before, in two halves, as 2**k itself may be too small for a normal number. float64 has an exact exp.
    """
    if t.dtype == tl.float64:
        e = tl.exp(t)
    else:
        t = tl.where(t < UNDERFLOWN, UNDERFLOWN, t)
        k = tl.floor(t * LOG2_E + 0.5)
        half = tl.floor(k * 0.5)
        e = tl.exp((t - k * LN2_HIGH) - k * LN2_LOW) * tl.exp2(half) * tl.exp2(k - half)
    return e


@triton.jit
def quotient(a, b):
    """a / b rounded to nearest; Triton's own division of float32 is not."""
    return a / b if a.dtype == tl.float64 else tl.div_rn(a, b)


def split(x, dim):
    """(outer, n, inner) of a tensor along dim, which is counted as PyTorch counts; a 0-d tensor has one element."""
    rank = max(1, x.dim())
    if not -rank <= dim < rank:
        raise IndexError(f"dim {dim} is out of range for a tensor of rank {x.dim()}")
    return split_shape(tuple(x.shape), dim)


def split_shape(shape, dim):
    shape = shape or (1,)
    axis = dim % len(shape)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def tile_of(n, widest):
    """(height, width, warps) of a program's tile for rows of n elements, of which it takes at most `widest` at once."""
    width = min(widest, triton.next_power_of_2(max(1, n)))
    height = max(1, TILE // width)
    return height, width, max(4, height * width // (32 * ELEMENTS))


def work_type(x):
    """The type that is computed in: half types in float32."""
    return tl.float64 if x.dtype == torch.float64 else tl.float32


def not_interpreted(case, rows, n, widest, passes=1):
    """Why a case is nothing for the interpreter, or None; there are `passes` over the rows of n elements each."""
    if not INTERPRETED:
        return None
    if case.dtype == "bfloat16":
        return "Triton's interpreter cuts numbers off to bfloat16, a GPU rounds them: this case needs a GPU"
    height, width, _ = tile_of(n, widest)
    steps = -(-rows // height) * -(-n // width) * passes
    if steps > LARGEST_STEPS:
        return f"Triton's interpreter would work through {steps} tiles, some milliseconds each: this case needs a GPU"
    return None

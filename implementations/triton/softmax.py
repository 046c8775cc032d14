"""softmax in Triton.

builtin    a row in one program (several, where rows are short): one read, one write; rows up to 16384 elements
online     rows in blocks of 4096: one pass for a running maximum and a running sum, which is rescaled when the maximum
           grows (Milakov and Gimelshein, arXiv 1805.02867), and one pass to write

A maximum of Triton's passes NaN over. The sum does not, so a row with one is NaN all the same.
"""

import torch
import triton
import triton.language as tl

from harness import Accumulation, Tree, implementation

from .rows import ELEMENTS, exp_below_zero, not_interpreted, quotient, split, split_shape, tile_of, work_type

LONGEST = 16384
BLOCK = 4096


@triton.jit
def whole_rows(x, y, rows, n, inner, TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    column = tl.arange(0, WIDTH)
    place = (row // inner * n * inner + row % inner)[:, None] + column[None, :].to(tl.int64) * inner
    inside = (row < rows)[:, None] & (column < n)[None, :]
    values = tl.load(x + place, mask=inside, other=float("-inf")).to(TYPE)
    e = exp_below_zero(values - tl.max(values, 1)[:, None])
    tl.store(y + place, quotient(e, tl.sum(e, 1)[:, None]), mask=inside)


@triton.jit
def rows_in_blocks(x, y, rows, n, inner, TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    first = (row // inner * n * inner + row % inner)[:, None]
    top = tl.full([HEIGHT], float("-inf"), TYPE)
    total = tl.zeros([HEIGHT], TYPE)
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = (row < rows)[:, None] & (column < n)[None, :]
        place = first + column[None, :].to(tl.int64) * inner
        values = tl.load(x + place, mask=inside, other=float("-inf")).to(TYPE)
        higher = tl.maximum(top, tl.max(values, 1))
        # nothing but -inf so far: there is nothing to rescale, and -inf - -inf would be NaN
        shift = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * exp_below_zero(top - shift) + tl.sum(exp_below_zero(values - shift[:, None]), 1)
        top = higher
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = (row < rows)[:, None] & (column < n)[None, :]
        place = first + column[None, :].to(tl.int64) * inner
        values = tl.load(x + place, mask=inside, other=float("-inf")).to(TYPE)
        e = exp_below_zero(values - top[:, None])
        tl.store(y + place, quotient(e, total[:, None]), mask=inside)


@triton.jit
def gradient_in_blocks(y, g, out, rows, n, inner, TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    first = (row // inner * n * inner + row % inner)[:, None]
    total = tl.zeros([HEIGHT], TYPE)
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = (row < rows)[:, None] & (column < n)[None, :]
        place = first + column[None, :].to(tl.int64) * inner
        products = tl.load(y + place, mask=inside, other=0.0).to(TYPE) * tl.load(g + place, mask=inside, other=0.0)
        total += tl.sum(products, 1)
    for start in range(0, n, WIDTH):
        column = start + tl.arange(0, WIDTH)
        inside = (row < rows)[:, None] & (column < n)[None, :]
        place = first + column[None, :].to(tl.int64) * inner
        down = tl.load(g + place, mask=inside, other=0.0) - total[:, None]
        tl.store(out + place, tl.load(y + place, mask=inside, other=0.0).to(TYPE) * down, mask=inside)


def launch(kernel, inputs, dim, widest):
    """Run a kernel over the rows of contiguous tensors of one shape; the answer is a new tensor of that shape."""
    x = inputs[0]
    outer, n, inner = split(x, dim)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    if out.numel():
        height, width, warps = tile_of(n, widest)
        grid = (triton.cdiv(outer * inner, height),)
        contiguous = [one.contiguous() for one in inputs]
        kernel[grid](
            *contiguous, out, outer * inner, n, inner, work_type(x), height, width, num_warps=warps
        )  # fmt: skip
    return out


def gradient(cotangent, x, *, dim):
    # in float32, not from the answer as it is stored in a half type
    wide = x if x.dtype == torch.float64 else x.float()
    y = launch(rows_in_blocks, [wide], dim, BLOCK)
    return launch(gradient_in_blocks, [y, cotangent.to(wide.dtype)], dim, BLOCK).to(x.dtype)


def rows_of(case):
    (shape,) = case.shapes
    dim = dict(case.parameters)["dim"]
    if not -max(1, len(shape)) <= dim < max(1, len(shape)):
        return 1, 1  # an error, which takes no time
    outer, n, inner = split_shape(shape, dim)
    return outer * inner, n


def fits_one_program(case):
    rows, n = rows_of(case)
    if n > LONGEST:
        return f"a row of {n} elements is too long for one program ({LONGEST}); online takes it"
    return not_interpreted(case, rows, n, LONGEST)


def few_blocks(case):
    return not_interpreted(case, *rows_of(case), BLOCK, passes=2)


WHOLE = Accumulation(Tree("pairwise", ELEMENTS))
"""A thread adds up the elements that it holds, and the threads are added in halves."""
ONLINE = Accumulation(Tree("chunks", BLOCK), rescale=BLOCK)


@implementation("softmax", backend="triton", accumulation=WHOLE, supports=fits_one_program, gradient=gradient)
def builtin(x, *, dim):
    return launch(whole_rows, [x], dim, LONGEST)


@implementation("softmax", backend="triton", accumulation=ONLINE, supports=few_blocks, gradient=gradient)
def online(x, *, dim):
    return launch(rows_in_blocks, [x], dim, BLOCK)

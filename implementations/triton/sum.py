"""sum in Triton.

builtin    running sums, one for each place of a tile, over the tiles of a row; then the tile itself is added up. One
           long row is shared by many programs, whose sums are added up by a second launch
"""

import math

import torch
import triton
import triton.language as tl

from harness import Accumulation, Tree, implementation

from .rows import TILE, not_interpreted, split, split_shape, tile_of, work_type

WIDTH = 1024
PROGRAMS = 1024
"""From how many programs on a launch fills the device, so that rows are not shared."""
SHARE = 8 * TILE
"""The least elements of a row that are worth a program."""


@triton.jit
def partial_sums(
    x, partials, rows, n, inner, share, TYPE: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """Program (i, j) adds up elements j * share to (j + 1) * share of the rows of tile i."""
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    part = tl.program_id(1)
    first = (row // inner * n * inner + row % inner)[:, None]
    end = tl.minimum(n, (part + 1).to(tl.int64) * share)
    sums = tl.zeros([HEIGHT, WIDTH], TYPE)
    for start in range(0, share, WIDTH):
        column = part.to(tl.int64) * share + start + tl.arange(0, WIDTH)
        inside = (row < rows)[:, None] & (column < end)[None, :]
        sums += tl.load(x + first + column[None, :] * inner, mask=inside, other=0.0).to(TYPE)
    tl.store(partials + row * tl.num_programs(1) + part, tl.sum(sums, 1), mask=row < rows)


def row_sums(x, outer, n, inner):
    """The sums of the rows of a contiguous tensor, in the type that is computed in: shape (outer * inner,)."""
    rows = outer * inner
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    if n == 0 or rows == 0:
        return torch.zeros(rows, dtype=wide, device=x.device)
    height, width, warps = tile_of(n, WIDTH)
    tiles = triton.cdiv(rows, height)
    parts = 1 if tiles >= PROGRAMS else min(triton.cdiv(PROGRAMS, tiles), triton.cdiv(n, SHARE))
    share = triton.cdiv(triton.cdiv(n, parts), width) * width
    parts = triton.cdiv(n, share)
    partials = torch.empty(rows * parts, dtype=wide, device=x.device)
    partial_sums[(tiles, parts)](
        x, partials, rows, n, inner, share, work_type(x), height, width, num_warps=warps
    )  # fmt: skip
    return partials if parts == 1 else row_sums(partials, rows, parts, 1)


def gradient(cotangent, x, *, dim=None):
    down = cotangent if dim is None or x.dim() == 0 else cotangent.unsqueeze(dim)
    return down.expand(x.shape).clone(memory_format=torch.contiguous_format)


def few_programs(case):
    (shape,) = case.shapes
    dim = dict(case.parameters)["dim"]
    if dim is None:
        shape, dim = (math.prod(shape),), 0
    if not -max(1, len(shape)) <= dim < max(1, len(shape)):
        return None  # an error, which takes no time
    outer, n, inner = split_shape(shape, dim)
    return not_interpreted(case, outer * inner, n, WIDTH)


@implementation(
    "sum",
    backend="triton",
    accumulation=Accumulation(Tree("lanes", WIDTH)),
    supports=few_programs,
    gradient=gradient,
)
def builtin(x, *, dim=None):
    whole = x.contiguous()
    if dim is None:
        return row_sums(whole, 1, x.numel(), 1).reshape(()).to(x.dtype)
    outer, n, inner = split(x, dim)
    kept = x.shape[: dim % max(1, x.dim())] + x.shape[dim % max(1, x.dim()) + 1 :]
    return row_sums(whole, outer, n, inner).reshape(kept).to(x.dtype)

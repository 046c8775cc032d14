"""Sums of rows at the speed of memory, for every host side that has something to add up; see streaming.cu."""

from harness import Accumulation, Tree
from harness.cuda import Source

from .reductions import PASSES
from .rows import THREADS, blocks_for, c_type, dims_of, joined, lined_up, rows, wide

STREAMING = Source.beside(
    __file__,
    "streaming.cu",
    (
        *(f"sum_rows<{group}, {c_type(a)}, {c_type(b)}>" for group in ("Warp", "Block") for a, b in PASSES),
        *(f"quotients<{c_type(a)}, {c_type(b)}>" for a, b in PASSES),
        *(f"sum_columns<{c_type(a)}, {c_type(b)}>" for a, b in PASSES),
        *(f"sum_streaming<{c_type(a)}, {c_type(wide(a))}, {c_type(b)}>" for a, b in PASSES),
    ),
)
SHORT = 1024
"""Up to here a row has one warp."""
WARPS = 4
"""Of one block, where each warp has a row."""
ENOUGH_COLUMNS = 4096
"""Rows side by side that keep a GPU busy with 32 for each block, however long they are."""
MOST_BLOCKS = 2048
"""Among which long rows are divided: a few times as many as run at the same time on a large GPU."""
ITEMS = {8: 8, 4: 16, 2: 16}
"""Elements that each thread reads at once, by the size of an element."""
SUM_ORDER = Accumulation(Tree("lanes", 2048), strided=Tree("lanes", 256))
"""A tile of a block has 2048 elements or more, one of 32 warps that share a column 256 or more."""


def by_columns(rows):
    """Whether a block takes 32 rows at once: where that is the way to read whole sectors, and makes blocks enough."""
    return rows.side_by_side and (rows.n <= SHORT or rows.count >= ENOUGH_COLUMNS)


def columns(rows, items):
    """The grid and the block for rows side by side: as many warps as a row of n elements keeps busy."""
    return blocks_for(rows.count, 32), 32 * min(32, blocks_for(rows.n, items))


def summed(device, x, outer, inner, dtype):
    """The sums over the inner dimensions, given as (length, stride): a device array with one number for each row.

    Inner dimensions that lie unevenly take two launches: the last of them, then the others.
    """
    whole = rows(outer, inner)
    if whole.count == 0 or whole.n == 0:
        return device.zeros((whole.count,), dtype)
    *others, last = joined(inner)
    first = rows([*outer, *others], [last])
    if not others:
        return _launched(device, x, first, dtype)
    partials = _launched(device, x, first, wide(x.dtype))
    return _launched(device, partials, lined_up(whole.count, whole.n // last[0]), dtype)


def _launched(device, x, layout, dtype):
    count, n = layout.count, layout.n
    out = device.empty((count,), dtype)
    types = c_type(x.dtype), c_type(dtype)
    items = ITEMS[x.dtype.itemsize]
    splits = min(blocks_for(n, items * THREADS), blocks_for(MOST_BLOCKS, count))
    if by_columns(layout):
        kernel = STREAMING.kernel(f"sum_columns<{types[0]}, {types[1]}>")
        device.launch(kernel, *columns(layout, items), 0, (x, layout.layout, count, n, out))
    elif splits > 1:
        partials = device.empty((count * splits,), wide(x.dtype))
        done = device.zeros((count,), "int32")
        kernel = STREAMING.kernel(f"sum_streaming<{types[0]}, {c_type(wide(x.dtype))}, {types[1]}>")
        arguments = (x, layout.layout, n, splits, partials, done, out)
        device.launch(kernel, count * splits, THREADS, 0, arguments)
    elif n <= SHORT:
        kernel = STREAMING.kernel(f"sum_rows<Warp, {types[0]}, {types[1]}>")
        device.launch(kernel, blocks_for(count, WARPS), 32 * WARPS, 0, (x, layout.layout, count, n, out))
    else:
        kernel = STREAMING.kernel(f"sum_rows<Block, {types[0]}, {types[1]}>")
        device.launch(kernel, count, THREADS, 0, (x, layout.layout, count, n, out))
    return out


def divided(device, x, divisor, dtype):
    """x / divisor, as an array of the same shape and of `dtype`."""
    out = device.empty(x.shape, dtype)
    if out.size:
        kernel = STREAMING.kernel(f"quotients<{c_type(x.dtype)}, {c_type(dtype)}>")
        arguments = (x, rows(dims_of(x), []).layout, out.size, divisor, out)
        device.launch(kernel, blocks_for(out.size), THREADS, 0, arguments)
    return out

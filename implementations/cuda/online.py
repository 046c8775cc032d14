"""The softmax family at the speed of memory, whatever is asked of a row: see online.cu for the ways."""

import numpy as np

from harness import Accumulation, Tree
from harness.cuda import Source

from .reductions import FLOATS
from .rows import THREADS, blocks_for, c_type, rows_of, wide
from .streaming import WARPS, by_columns, columns

ONLINE_ORDER = Accumulation(Tree("lanes", 2048), strided=Tree("lanes", 256), rescale=256)
"""A tile of a block has 2048 elements or more, one of 32 warps that share a column 256 or more."""
FEW = 512
"""Rows below which a long row is divided among several blocks."""
MOST_PARTS = 1024
"""Blocks, all rows together, that share long rows: each of them reads the pairs of all parts of its row."""
MOST_THREADS = 512
"""Of a block that keeps its row in registers."""
LONG = 2**15
"""Elements above which a row that is read twice has 1024 threads: fewer rows at once, whose tiles stay in the cache."""


def in_a_warp(dtype):
    """The elements of a row that each lane may keep in registers, for short rows and for longer ones."""
    return (8, 16) if str(dtype) == "float64" else (8, 32)


def in_a_block(dtype):
    """The elements of a row that each thread of a block keeps, or reads at once."""
    return 8 if str(dtype) == "float64" else 16


def _instances():
    for dtype in FLOATS:
        t, a, items = c_type(dtype), c_type(wide(dtype)), in_a_block(dtype)
        yield f"online_pairs<{items}, {t}, {a}>"
        yield f"logsumexp_of_pairs<{t}, {a}>"
        yield f"logsumexp_by_blocks<{items}, {t}>"
        yield f"logsumexp_by_columns<{items}, {t}>"
        yield from (f"logsumexp_by_warps<{few}, {t}>" for few in in_a_warp(dtype))
        for law in ("Softmax", "LogSoftmax"):
            yield f"online_by_blocks<{law}, {items}, {t}>"
            yield f"online_twice<{law}, {items}, {t}>"
            yield f"online_by_columns<{law}, {items}, {t}>"
            yield f"online_shares<{law}, {items}, {t}, {a}>"
            yield from (f"online_by_warps<{law}, {few}, {t}>" for few in in_a_warp(dtype))


ONLINE = Source.beside(__file__, "online.cu", tuple(_instances()))


def threads_for(n, items):
    """As many threads as a row of n elements keeps busy, in whole warps."""
    return min(MOST_THREADS, 32 * blocks_for(n, 32 * items))


def splits_for(count, n, items, few):
    """Among how many blocks each of `count` rows is divided; 1 for rows that are short, or many."""
    if count >= few or n <= MOST_THREADS * items:
        return 1
    return max(2, min(blocks_for(n, THREADS * items), blocks_for(MOST_PARTS, count)))


def pairs(device, x, rows, splits):
    """The pairs (top, total) of the parts of each row, as two device arrays."""
    a = wide(x.dtype)
    tops, totals = device.empty((rows.count, splits), a), device.empty((rows.count, splits), a)
    kernel = ONLINE.kernel(f"online_pairs<{in_a_block(x.dtype)}, {c_type(x.dtype)}, {c_type(a)}>")
    device.launch(kernel, rows.count * splits, THREADS, 0, (x, rows.layout, rows.n, splits, tops, totals))
    return tops, totals


def normalised(device, x, *, dim, law, few=FEW):
    """softmax (`law` is "Softmax") or log_softmax ("LogSoftmax") along `dim`."""
    rows, y = rows_of(x, dim), device.empty(x.shape, x.dtype.name)
    if y.size == 0:
        return y
    below, t, items = rows_of(y, dim), c_type(x.dtype), in_a_block(x.dtype)
    per_lane = next((one for one in in_a_warp(x.dtype) if rows.n <= 32 * one), None)
    splits = splits_for(rows.count, rows.n, items, few)
    if by_columns(rows):
        kernel = ONLINE.kernel(f"online_by_columns<{law}, {items}, {t}>")
        arguments = (x, rows.layout, rows.count, rows.n, y, below.layout)
        device.launch(kernel, *columns(rows, items), 0, arguments)
    elif per_lane:
        kernel = ONLINE.kernel(f"online_by_warps<{law}, {per_lane}, {t}>")
        arguments = (x, rows.layout, rows.count, rows.n, y, below.layout)
        device.launch(kernel, blocks_for(rows.count, WARPS), 32 * WARPS, 0, arguments)
    elif splits == 1:
        threads = threads_for(rows.n, items)
        fits = rows.n <= threads * items
        kernel = ONLINE.kernel(f"{'online_by_blocks' if fits else 'online_twice'}<{law}, {items}, {t}>")
        block = 1024 if rows.n > LONG else threads
        device.launch(kernel, rows.count, block, 0, (x, rows.layout, rows.n, y, below.layout))
    else:
        parts = pairs(device, x, rows, splits)
        kernel = ONLINE.kernel(f"online_shares<{law}, {items}, {t}, {c_type(wide(x.dtype))}>")
        arguments = (x, rows.layout, rows.n, splits, *parts, y, below.layout)
        device.launch(kernel, rows.count * splits, THREADS, 0, arguments)
    return y


def of_nothing(device, rows, dtype):
    """The logsumexp of rows without elements: -inf."""
    return device.upload(np.full(rows.outer_shape, -np.inf).astype(dtype))


def logsumexp(device, x, *, dim, few=FEW):
    """logsumexp along `dim`."""
    rows = rows_of(x, dim)
    if rows.count == 0 or rows.n == 0:
        return of_nothing(device, rows, x.dtype)
    y = device.empty(rows.outer_shape, x.dtype.name)
    t, items = c_type(x.dtype), in_a_block(x.dtype)
    per_lane = next((one for one in in_a_warp(x.dtype) if rows.n <= 32 * one), None)
    splits = splits_for(rows.count, rows.n, items, few)
    if by_columns(rows):
        kernel = ONLINE.kernel(f"logsumexp_by_columns<{items}, {t}>")
        device.launch(kernel, *columns(rows, items), 0, (x, rows.layout, rows.count, rows.n, y))
    elif per_lane:
        kernel = ONLINE.kernel(f"logsumexp_by_warps<{per_lane}, {t}>")
        arguments = (x, rows.layout, rows.count, rows.n, y)
        device.launch(kernel, blocks_for(rows.count, WARPS), 32 * WARPS, 0, arguments)
    elif splits == 1:
        kernel = ONLINE.kernel(f"logsumexp_by_blocks<{items}, {t}>")
        device.launch(kernel, rows.count, threads_for(rows.n, items), 0, (x, rows.layout, rows.n, y))
    else:
        parts = pairs(device, x, rows, splits)
        kernel = ONLINE.kernel(f"logsumexp_of_pairs<{t}, {c_type(wide(x.dtype))}>")
        device.launch(kernel, rows.count, THREADS, 0, (*parts, splits, y))
    return y

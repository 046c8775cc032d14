"""The host side of the reductions by blocks: one element a thread, one partial for each block, and two ways to finish.

host_round_trip   the partials are read back, combined one by one on the host, and the answer is uploaded
grid_reduced      the kernel is applied again to the partials, until each row has one left: nothing leaves the device
"""

import numpy as np

from harness.declare import Accumulation, Tree

from ..numpy.blocks import TREE_FINISHES, TREE_ORDERS
from .rows import HALF, THREADS, blocks_for, c_type, lined_up, wide

ORDERS = tuple(TREE_ORDERS)
FINISHES = tuple(TREE_FINISHES)
FLOATS = ("float64", "float32", *HALF)
PASSES = tuple(
    dict.fromkeys(pair for dtype in FLOATS for pair in ((dtype, wide(dtype)), (wide(dtype), dtype), (dtype, dtype)))
)
"""(dtype of the terms, dtype of what a block leaves): on the way, at the end, and where one block is enough."""


def instances(*kernels):
    """The template instances of kernels <T, Out> for all passes."""
    return tuple(f"{kernel}<{c_type(terms)}, {c_type(out)}>" for kernel in kernels for terms, out in PASSES)


def claim(order, finish):
    return Accumulation(Tree("blocks", THREADS, TREE_ORDERS[order], TREE_FINISHES[finish]))


def threads_for(n, block):
    """Threads of a block for rows of n elements: `block`, or the smallest power of two that holds a shorter row.

    The threads that are left out would have added zeros, so the order of the additions is the same.
    """
    return min(block, max(32, 1 << (n - 1).bit_length()))


def reduced(device, first, again, combine, dtype, count, n, finish, block=THREADS):
    """`count` rows of n elements (both above 0) reduced to a device array of shape (count,) and of `dtype`.

    `first(out, blocks, threads)` launches the first level, with `blocks` blocks of `threads` threads on each row, and
    `again(terms' dtype, out's dtype)` is the kernel of the others; `combine` is the NumPy function that the host
    finishes with.
    """
    threads = threads_for(n, block)
    blocks = blocks_for(n, threads)
    if finish == "host_round_trip":
        partials = device.empty((count, blocks), wide(dtype))
        first(partials, blocks, threads)
        return device.upload(one_by_one(device.read_back(partials), combine).astype(dtype))
    found = device.empty((count, blocks), dtype if blocks == 1 else wide(dtype))
    first(found, blocks, threads)
    while blocks > 1:
        terms, n = found, blocks
        threads = threads_for(n, block)
        blocks = blocks_for(n, threads)
        found = device.empty((count, blocks), dtype if blocks == 1 else wide(dtype))
        kernel = again(terms.dtype.name, found.dtype.name)
        device.launch(kernel, count * blocks, threads, 0, (terms, lined_up(count, n).layout, n, blocks, found))
    return device.reshaped(found, (count,))


def one_by_one(partials, combine):
    """The partials of each row (rows, blocks), combined from the first to the last."""
    with np.errstate(all="ignore"):
        # accumulate is sequential by definition
        return combine.accumulate(partials, axis=1)[:, -1]

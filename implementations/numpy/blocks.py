"""The accumulation orders of the CUDA kernels, on a CPU: blocks of 256 threads, one element each.

interleaved    thread i adds its neighbour at stride 1, 2, 4, ...: ((x0+x1)+(x2+x3))+...
sequential     thread i adds the one half a block away: (x0+x128), (x1+x129), ... then a quarter away, ...
warp_shuffle   inside each warp of 32, lane i adds lane i+16, then i+8, ...: what __shfl_down_sync does; then one warp
               does the same over the warps' results

Each block leaves one partial. They are finished in one of two ways:

host_round_trip   copied back, and added one by one
grid_reduced      reduced again in the same way, until one is left
"""

import numpy as np

THREADS = 256
WARP = 32


def interleaved(blocks, combine):
    """Reduce the last axis (a power of two) of blocks by neighbours."""
    while blocks.shape[-1] > 1:
        blocks = combine(blocks[..., 0::2], blocks[..., 1::2])
    return blocks[..., 0]


def sequential(blocks, combine):
    """Reduce the last axis (a power of two) of blocks by halves."""
    while blocks.shape[-1] > 1:
        half = blocks.shape[-1] // 2
        blocks = combine(blocks[..., :half], blocks[..., half:])
    return blocks[..., 0]


def warp_shuffle(blocks, combine):
    """Reduce the last axis by halves inside each warp, then by halves over the warps."""
    warps = blocks.reshape(*blocks.shape[:-1], blocks.shape[-1] // WARP, WARP)
    return sequential(sequential(warps, combine), combine)


def partials(rows, order, combine, neutral):
    """(rows, n) -> (rows, blocks): every block of 256 reduced, the last one padded with the neutral element."""
    padding = -rows.shape[-1] % THREADS
    if padding:
        rows = np.concatenate([rows, np.full((rows.shape[0], padding), neutral, rows.dtype)], axis=1)
    return order(rows.reshape(rows.shape[0], rows.shape[1] // THREADS, THREADS), combine)


def host_round_trip(rows, order, combine, neutral):
    """(rows, n) -> (rows,): the blocks' partials come to the host and are combined one by one."""
    if rows.shape[1] == 0:
        return np.full(rows.shape[0], neutral, rows.dtype)
    # accumulate is sequential by definition: each of its elements is the one before it and one more partial
    return combine.accumulate(partials(rows, order, combine, neutral), axis=1)[:, -1]


def grid_reduced(rows, order, combine, neutral):
    """(rows, n) -> (rows,): the partials are reduced again on the grid, until one block is left."""
    if rows.shape[1] == 0:
        return np.full(rows.shape[0], neutral, rows.dtype)
    while rows.shape[1] > 1:
        rows = partials(rows, order, combine, neutral)
    return rows[:, 0].copy()


ORDERS = {"interleaved": interleaved, "sequential": sequential, "warp_shuffle": warp_shuffle}
FINISHES = {"host_round_trip": host_round_trip, "grid_reduced": grid_reduced}
TREE_ORDERS = {"interleaved": "interleaved", "sequential": "halving", "warp_shuffle": "warp"}
TREE_FINISHES = {"host_round_trip": "host", "grid_reduced": "grid"}
"""What the orders and the finishes are called in an Accumulation."""

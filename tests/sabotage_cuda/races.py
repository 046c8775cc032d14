"""Data races in shared memory, in global memory, and between blocks."""

from __future__ import annotations

import numpy as np
from sabotage_cuda.entry import (
    Entry,
    Launch,
    block_sums,
    centred,
    empty,
    floats,
    given,
    ints,
    pad,
    softmax,
    softmax_error,
    three_neighbours,
    zeros,
)

from harness.cuda.faults import DATA_RACE


def odd_parts(x: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Each positive integer halved until it is odd, and by how many rounds the last of each block's is, plus one."""
    powers = x & -x
    return x // powers, (np.log2(powers).astype("int32") + 1).reshape(-1, block).max(1)


def up_the_tree(leaves: np.ndarray) -> np.ndarray:
    """The heap of maxima over 2**k leaves, the root first."""
    levels = [leaves]
    while len(levels[0]) > 1:
        levels.insert(0, levels[0].reshape(-1, 2).max(1))
    return np.concatenate(levels)


SHARED_RACES = (
    Entry(
        "race_tree_without_barrier",
        DATA_RACE,
        Launch(2, 128),
        {"x": ints(200), "sums": empty(2), "n": 200},
        lambda x, n: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "race_tree_before_first_barrier",
        DATA_RACE,
        Launch(2, 64, 256),
        {"x": floats(300, -99, 99), "largest": empty(2, "float32"), "n": 300},
        lambda x, n: {"largest": pad(x, 128, -np.inf).reshape(-1, 2, 64).max((0, 2))},
    ),
    Entry(
        "race_tile_reused",
        DATA_RACE,
        Launch(2, 64),
        {
            "matrix": floats((100, 150)),
            "vector": floats(150),
            "product": empty(100, "float32"),
            "rows": 100,
            "cols": 150,
        },
        lambda matrix, vector, rows, cols: {"product": matrix @ vector},
    ),
    Entry(
        "race_block_sum_called_twice",
        DATA_RACE,
        Launch(3, 128),
        {"x": floats((3, 128), 0, 1), "variance": empty(3, "float32"), "cols": 128},
        lambda x, cols: {"variance": x.astype("float64").var(1)},  # sums of squares of multiples of 2**-7: exact
    ),
    Entry(
        "race_warp_synchronous_last_warp",
        DATA_RACE,
        Launch(2, 128),
        {"x": ints(256), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "race_shuffle_taken_for_a_barrier",
        DATA_RACE,
        Launch(2, 128),
        {"x": ints(256), "rotated": empty(256), "warp_first": empty(8)},
        lambda x: {"rotated": np.roll(x.reshape(-1, 32), -1, 1).ravel(), "warp_first": x[::32]},
    ),
    Entry(
        "race_scan_in_one_buffer",
        DATA_RACE,
        Launch(2, 128),
        {"x": ints(256), "scanned": empty(256)},
        lambda x: {"scanned": x.reshape(2, 128).cumsum(1).ravel()},
    ),
    Entry(
        "race_histogram_in_shared",
        DATA_RACE,
        Launch(2, 96),
        {"x": ints(500, 0, 63), "histogram": zeros(64), "n": 500},
        lambda x, n: {"histogram": np.bincount(x, minlength=64)},
    ),
    Entry(
        "race_transpose_without_barrier",
        DATA_RACE,
        Launch((2, 2), (32, 8)),
        {"x": floats((40, 50)), "transposed": empty((50, 40), "float32"), "rows": 40, "cols": 50},
        lambda x, rows, cols: {"transposed": x.T},
    ),
    Entry(
        "race_double_buffer_not_swapped",
        DATA_RACE,
        Launch(2, 64),
        {"x": ints((2, 5, 64)), "sums": empty((2, 64)), "tiles": 5},
        lambda x, tiles: {"sums": x.sum(1)[:, ::-1]},
    ),
    Entry(
        "race_broadcast_without_barrier",
        DATA_RACE,
        Launch(2, (32, 4)),
        {"x": floats((8, 32)), "y": empty((8, 32), "float32")},
        lambda x: {"y": softmax(x)},
        relative=softmax_error(5),
    ),
    Entry(
        "race_softmax_scratch_reused",
        DATA_RACE,
        Launch(2, 128),
        {"x": floats((2, 128)), "y": empty((2, 128), "float32")},
        lambda x: {"y": softmax(x)},
        relative=softmax_error(7),
    ),
    Entry(
        "race_halo_after_barrier",
        DATA_RACE,
        Launch(3, 64),
        {"x": ints(150), "y": empty(150), "n": 150},
        lambda x, n: {"y": three_neighbours(x, 0).sum(0)},
    ),
    Entry(
        "race_convergence_flag",
        DATA_RACE,
        Launch(2, 64),
        {"x": ints(128, 1, 96), "odd": empty(128), "rounds": empty(2)},
        lambda x: dict(zip(("odd", "rounds"), odd_parts(x, 64), strict=True)),
    ),
    Entry(
        "race_syncwarp_for_syncthreads",
        DATA_RACE,
        Launch(2, 96, 768),
        {"x": ints((2, 96), dtype="float64"), "y": empty((2, 96), "float64")},
        lambda x: {"y": x[:, ::-1]},
    ),
    Entry(
        "race_tile_sync_for_block_sync",
        DATA_RACE,
        Launch(2, 128),
        {"x": ints(256), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "race_counter_set_to_zero",
        DATA_RACE,
        Launch(2, 96),
        {"x": ints(192), "kept": empty(2)},
        lambda x: {"kept": (x.reshape(2, 96) > 0).sum(1)},
    ),
    Entry(
        "race_histogram_read_too_early",
        DATA_RACE,
        Launch(2, 96),
        {"x": ints(150, 0, 31), "histogram": zeros(32), "n": 150},
        lambda x, n: {"histogram": np.bincount(x, minlength=32)},
    ),
    Entry(
        "race_union_of_scratch",
        DATA_RACE,
        Launch(2, 128),
        {"x": ints((2, 128)), "y": empty((2, 128))},
        lambda x: {"y": centred(x)[:, ::-1]},
    ),
    Entry(
        "race_syncwarp_of_half_a_warp",
        DATA_RACE,
        Launch(2, 64),
        {"x": ints((4, 32)), "y": empty((4, 32))},
        lambda x: {"y": x + x[:, ::-1]},
    ),
    Entry(
        "race_two_threads_one_slot",
        DATA_RACE,
        Launch(2, 128),
        {"x": ints(256), "packed": empty(128)},
        lambda x: {"packed": x[::2]},
    ),
    Entry(
        "race_overwritten_by_the_last_warp",
        DATA_RACE,
        Launch(2, 128),
        {"x": ints((2, 128), -99, 99), "above": empty(2)},
        lambda x: {"above": (x > x[:, :1]).sum(1)},
    ),
    Entry(
        "race_group_sum_without_second_sync",
        DATA_RACE,
        Launch(2, 64),
        {"x": ints(128), "sums": empty(4)},
        lambda x: {"sums": block_sums(x, 32)},
    ),
)


GLOBAL_RACES = (
    Entry(
        "race_global_sum_without_atomic",
        DATA_RACE,
        Launch(2, 64),
        {"x": ints(300), "total": zeros(1), "n": 300},
        lambda x, n: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "race_two_blocks_one_element",
        DATA_RACE,
        Launch((2, 3), 64),
        {"x": ints((3, 200), 0), "partials": empty((3, 2)), "cols": 200},
        lambda x, cols: {
            "partials": np.pad(x, ((0, 0), (0, 56))).reshape(3, 2, 2, 64).sum((1, 3)),
        },
    ),
    Entry(
        "race_stencil_in_place",
        DATA_RACE,
        Launch(2, 64),
        {"x": floats(120), "y": empty(120, "float32"), "n": 120},
        lambda x, n: {
            "x": x,
            "y": np.concatenate((x[:1], three_neighbours(x, 0).sum(0)[1:-1] / 4, x[-1:])),
        },
    ),
    Entry(
        "race_plain_read_of_a_counter",
        DATA_RACE,
        Launch(4, 64),
        {"x": ints(256), "partials": empty(4), "done": zeros(1, "uint32"), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True), "done": np.array([4])},
    ),
    Entry(
        "race_last_block_without_fence",
        DATA_RACE,
        Launch(4, 64),
        {"x": ints(256), "partials": empty(4), "done": zeros(1, "uint32"), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True), "partials": block_sums(x, 64)},
    ),
    Entry(
        "race_flag_without_fence",
        DATA_RACE,
        Launch(8, 32),
        {"leaves": ints(8, -99, 99), "values": empty(15), "arrived": zeros(7)},
        lambda leaves: {"values": up_the_tree(leaves)},
    ),
    Entry(
        "race_chunks_overlap",
        DATA_RACE,
        Launch(4, 32),
        {"x": ints(100), "scanned": empty(100), "n": 100},
        lambda x, n: {"scanned": x.reshape(4, 25).cumsum(1).ravel()},
    ),
    Entry(
        "race_reverse_in_place",
        DATA_RACE,
        Launch(2, 64),
        {"x": ints(101), "n": 101},
        lambda x, n: {"x": x[::-1]},
    ),
    Entry(
        "race_tail_begins_too_early",
        DATA_RACE,
        Launch(2, 32),
        {"x": floats(101, 1, 9), "n": 101},
        lambda x, n: {"x": 2 * x},
    ),
    Entry(
        "race_scatter_of_gradients",
        DATA_RACE,
        Launch(6, 32),
        {
            "cotangent": floats((6, 40)),
            "tokens": given([4, 1, 4, 0, 1, 4], "int64"),
            "gradient": zeros((5, 40), "float32"),
            "width": 40,
        },
        lambda cotangent, tokens, width: {
            "gradient": np.stack([cotangent[tokens == token].sum(0) for token in range(5)]),
        },
    ),
    Entry(
        "race_global_scratch_without_barrier",
        DATA_RACE,
        Launch(2, 64),
        {"x": ints((2, 100), -99, 99), "cols": 100},
        lambda x, cols: {"x": np.sort(x, 1)},
    ),
    Entry(
        "race_max_by_comparison",
        DATA_RACE,
        Launch(2, 64),
        {"x": ints(300, -99, 99), "largest": given([-100]), "n": 300},
        lambda x, largest, n: {"largest": x.max(keepdims=True)},
    ),
    Entry(
        "race_offset_of_another_block",
        DATA_RACE,
        Launch(3, 64),
        {"x": ints(192), "sums": zeros(3), "scanned": empty(192)},
        lambda x: {"scanned": x.cumsum(), "sums": block_sums(x, 64)},
    ),
    Entry(
        "race_bits_without_atomic",
        DATA_RACE,
        Launch(2, 64),
        {"x": floats(120), "bits": zeros(4, "uint32"), "threshold": 1.5, "n": 120},
        lambda x, threshold, n: {"bits": np.packbits(pad(x, 128) > threshold, bitorder="little").view("uint32")},
    ),
    Entry(
        "race_device_counter",
        DATA_RACE,
        Launch(2, 64),
        {"x": given(np.arange(100) % 5 - 1), "numbers": empty(100), "n": 100},
        lambda x, n: {"numbers": np.array([*range(60), *[-1] * 40])},
        unordered=("numbers",),
    ),
    Entry(
        "race_fence_before_the_store",
        DATA_RACE,
        Launch(4, 64),
        {"x": ints(256), "partials": empty(4), "done": zeros(1, "uint32"), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True), "partials": block_sums(x, 64)},
    ),
    Entry(
        "race_volatile_without_fence",
        DATA_RACE,
        Launch(4, 32),
        {"x": ints(128), "partials": empty(4), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True), "partials": block_sums(x, 32)},
    ),
    Entry(
        "race_fence_of_the_block_only",
        DATA_RACE,
        Launch(4, 64),
        {"x": ints((12, 64)), "partials": empty((4, 64)), "done": zeros(1), "sums": empty(64), "rows_each": 3},
        lambda x, rows_each: {"sums": x.sum(0)},
    ),
)

"""Correct kernels, with what a checker may take for a bug."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from sabotage_cuda.entry import (
    Entry,
    Launch,
    Same,
    block_sums,
    empty,
    floats,
    given,
    ints,
    softmax,
    softmax_error,
    zeros,
)


def masked(x: np.ndarray) -> np.ndarray:
    """The larger elements of each row as -inf, and all of the last row."""
    return np.where((x > 5) | (np.arange(len(x))[:, None] == len(x) - 1), np.float32(-np.inf), x)


def hashed(x: np.ndarray) -> np.ndarray:
    """Of unsigned 32-bit integers."""
    x = x * np.uint32(747796405) + np.uint32(2891336453)
    x = ((x >> ((x >> np.uint32(28)) + np.uint32(4))) ^ x) * np.uint32(277803737)
    return (x >> np.uint32(22)) ^ x


LAYOUT = np.dtype([("dims", "int32"), ("reversed", "bool"), ("sizes", "int64", 4), ("strides", "int64", 4)], align=True)
"""The struct of correct_struct_by_value.cu."""


CORRECT = (
    Entry(
        "correct_last_block_done",
        None,
        Launch(5, 64),
        {"x": ints(300), "partials": empty(5), "total": empty(1), "n": 300},
        lambda x, n: {"total": x.sum(keepdims=True), "partials": block_sums(x, 64)},
    ),
    Entry(
        "correct_sum_and_count_in_one_atomic",
        None,
        Launch(3, 64),
        {"x": ints(300, 0, 9), "sum_and_count": zeros(1, "uint64"), "total": empty(1, "int64"), "n": 300},
        lambda x, n: {"total": x.sum(keepdims=True), "sum_and_count": x.sum(keepdims=True) + (6 << 48)},
    ),
    Entry(
        "correct_same_value_stored",
        None,
        Launch(3, 64),
        {"x": ints(150), "any": zeros(1), "n": 150},
        lambda x, n: {"any": np.array([1])},
    ),
    Entry(
        "correct_early_return_of_warps",
        None,
        Launch(3, 128),
        {"x": ints(290), "sums": empty(3), "n": 290},
        lambda x, n: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "correct_early_return_of_lanes",
        None,
        Launch(2, 64),
        {"x": ints(104), "y": empty(104), "n": 104},
        lambda x, n: {"y": np.concatenate((x[:64][::-1], x[64:][::-1]))},
    ),
    Entry(
        "correct_atomics_of_the_active",
        None,
        Launch(2, 64),
        {"x": ints(300), "kept": zeros(300), "count": zeros(1), "n": 300},
        lambda x, n: {"kept": x.clip(0), "count": (x > 0).sum(keepdims=True)},
        unordered=("kept",),
    ),
    Entry(
        "correct_shuffles_in_two_branches",
        None,
        Launch(2, 64),
        {"a": ints(128), "b": ints(128), "y": empty((4, 16, 2))},
        lambda a, b: {
            "y": np.stack([a.reshape(4, 16, 2)[:, :, 0].sum(1), b.reshape(4, 16, 2)[:, :, 1].max(1)], 1)[:, None]
            * np.ones((1, 16, 1), int)
        },
    ),
    Entry(
        "correct_block_of_any_size",
        None,
        Launch(3, 100),
        {"x": ints(300), "sums": empty(3)},
        lambda x: {"sums": block_sums(x, 100)},
    ),
    Entry(
        "correct_block_of_any_size_whole_mask",
        None,
        Launch(1, 48),
        {"x": ints(48), "first_of_warp": empty(48), "any_negative": empty(48, "bool")},
        lambda x: {
            "first_of_warp": x[[0] * 32 + [32] * 16],
            "any_negative": np.repeat([(x[:32] < 0).any(), (x[32:] < 0).any()], [32, 16]),
        },
    ),
    Entry(
        "correct_grid_stride_and_atomic_max",
        None,
        Launch(3, 64),
        {"x": floats(500, 0, 99), "largest": zeros(1, "float32"), "n": 500},
        lambda x, n: {"largest": x.max(keepdims=True)},
    ),
    Entry(
        "correct_scan_in_two_buffers",
        None,
        Launch(2, 96, 768),
        {"x": ints(150), "scanned": empty(150), "n": 150},
        lambda x, n: {"scanned": np.concatenate((x[:96].cumsum(), x[96:].cumsum()))},
    ),
    Entry(
        "correct_scan_by_shuffles",
        None,
        Launch(2, 256),
        {"x": ints(400, dtype="float64"), "scanned": empty(400, "float64"), "n": 400},
        lambda x, n: {"scanned": np.concatenate((x[:256].cumsum(), x[256:].cumsum()))},
    ),
    Entry(
        "correct_tiles_of_sixteen",
        None,
        Launch(2, 64),
        {"x": floats((7, 11)), "y": empty((7, 11), "float32"), "rows": 7, "cols": 11},
        lambda x, rows, cols: {"y": softmax(x)},
        relative=softmax_error(4),
    ),
    Entry(
        "correct_half2_dot",
        None,
        Launch(1, 64),
        {"a": ints(101, dtype="float16"), "b": ints(101, dtype="float16"), "total": zeros(1, "float32"), "n": 101},
        lambda a, b, n: {"total": (a * b).astype("float32").sum(keepdims=True)},
    ),
    Entry(
        "correct_tickets",
        None,
        Launch(3, 64),
        {"x": ints((10, 90)), "sums": empty(10), "next": zeros(1), "rows": 10, "cols": 90},
        lambda x, rows, cols: {"sums": x.sum(1), "next": np.array([13])},
    ),
    Entry(
        "correct_volatile_last_warp",
        None,
        Launch(2, 128),
        {"x": floats((2, 128), -99, 99), "largest": empty(2, "float32")},
        lambda x: {"largest": x.max(1)},
    ),
    Entry(
        "correct_match_any_histogram",
        None,
        Launch(2, 64),
        {"x": ints(100, 0, 9), "histogram": zeros(10), "n": 100},
        lambda x, n: {"histogram": np.bincount(x, minlength=10)},
    ),
    Entry(
        "correct_scratch_used_twice",
        None,
        Launch(1, 64),
        {"x": ints(64), "y": empty(64)},
        lambda x: {
            "y": (lambda bytes_: 100 * np.roll(bytes_, -1) + bytes_)((x * np.tile(x[:32] + x[32:], 2))[::-1] & 63)
        },
    ),
    Entry(
        "correct_struct_by_value",
        None,
        Launch(1, 64),
        {
            "x": floats((5, 3, 4)),
            "y": empty(60, "float32"),
            "layout": np.array((3, True, [4, 5, 3, 1], [1, 12, 4, 0]), LAYOUT)[()],
            "n": 60,
        },
        lambda x, layout, n: {"y": x.transpose(2, 0, 1).ravel()[::-1]},
    ),
    Entry(
        "correct_dynamic_shared_in_two_parts",
        None,
        Launch(3, 64, 512),
        {"x": floats((3, 100), -20, 20), "largest": empty(3, "float32"), "where": empty(3), "cols": 100},
        lambda x, cols: {"largest": x.max(1), "where": x.argmax(1)},
    ),
    Entry(
        "correct_dynamic_shared_of_any_type",
        None,
        Launch(2, 64, 512),
        {
            "x": ints((2, 64), dtype="float64"),
            "y": empty((2, 64), "float64"),
            "a": ints((2, 64), dtype="int16"),
            "b": empty((2, 64), "int16"),
        },
        lambda x, a: {"y": np.roll(x, -1, 1), "b": np.roll(a, -5, 1)},
    ),
    Entry(
        "correct_constant_and_device_variables",
        None,
        Launch(2, 64),
        {"x": floats((2, 64)), "y": empty((2, 64), "float32")},
        lambda x: {"y": (1 - 2 * x + 0.5 * x**2 + 4 * x**3)[:, ::-1]},
    ),
    Entry(
        "correct_single_warp_transpose",
        None,
        Launch(1, 64),
        {"x": ints((2, 32, 32)), "y": empty((2, 32, 32))},
        lambda x: {"y": x.transpose(0, 2, 1)},
    ),
    Entry(
        "correct_lock",
        None,
        Launch(3, 64),
        {"x": ints(300), "lock": zeros(1), "sum": zeros(1, "int64"), "count": zeros(1), "n": 300},
        lambda x, n: {"sum": x.sum(keepdims=True), "count": np.array([300]), "lock": np.array([0])},
    ),
    Entry(
        "correct_neighbours_of_the_tail",
        None,
        Launch(2, 64),
        {"x": ints(90), "y": empty(90), "n": 90},
        lambda x, n: {"y": np.append(np.diff(x), 0)},
    ),
    Entry(
        "correct_votes_after_a_return",
        None,
        Launch(2, 64),
        {"x": ints(100), "y": empty(100), "n": 100},
        lambda x, n: {
            "y": np.concatenate(
                [np.full(len(w), 100 * w.max() + 2 * (w > 0).sum() + (w < 8).all()) for w in np.split(x, (32, 64, 96))]
            )
        },
    ),
    Entry(
        "correct_all_of_the_shared_memory",
        None,
        Launch(1, 256, 40960),
        {"x": ints(6144, dtype="float64"), "y": empty(6144, "float64")},
        lambda x: {"y": np.concatenate((x[5120:][::-1], x[:5120][::-1]))},
    ),
    Entry(
        "correct_bitonic_sort",
        None,
        Launch(2, 128),
        {"x": ints((2, 128), -99, 99), "y": empty((2, 128))},
        lambda x: {"y": np.sort(x, 1)},
    ),
    Entry(
        "correct_work_efficient_scan",
        None,
        Launch(2, 64),
        {"x": ints((2, 128)), "scanned": empty((2, 128))},
        lambda x: {"scanned": x.cumsum(1) - x},
    ),
    Entry(
        "correct_matrix_product",
        None,
        Launch((3, 2), (8, 8)),
        {
            "a": floats((13, 21)),
            "b": floats((21, 19)),
            "c": empty((13, 19), "float32"),
            "rows": 13,
            "inner": 21,
            "cols": 19,
        },
        lambda a, b, rows, inner, cols: {"c": a @ b},
    ),
    Entry(
        "correct_online_softmax",
        None,
        Launch(2, (32, 4)),
        {"x": lambda rng: masked(floats((7, 50))(rng)), "y": empty((7, 50), "float32"), "rows": 7, "cols": 50},
        lambda x, rows, cols: {"y": np.append(softmax(x[:-1]), np.zeros((1, 50)), axis=0)},
        # 7 states are merged on the way to a sum: expf (2 ulp of 2**-23), a product, an addition. Then as softmax_error
        relative=(7 * 6 + 5) * 2.0**-24,
    ),
    Entry(
        "correct_reads_of_what_is_not_used",
        None,
        Launch(2, 64),
        {"x": floats(100), "y": empty(100, "float32"), "n": 100},
        lambda x, n: {"y": np.where((np.arange(100) % 64 < 63) & (np.arange(100) < 99), x + np.roll(x, -1), x)},
    ),
    Entry(
        "correct_float_atomics",
        None,
        Launch(3, 64),
        {"x": lambda rng: rng.random(700).astype("float32"), "total": zeros(1, "float32"), "n": 700},
        lambda x, n: {"total": x.astype("float64").sum(keepdims=True)},
        relative=(4 + 5 + 6) * 2.0**-24,  # additions of positive numbers, one after another in the worst path
    ),
    Entry(
        "correct_unsigned_wraps",
        None,
        Launch(2, 32),
        {"seeds": ints(100), "y": empty(100, "uint32"), "n": 100},
        lambda seeds, n: {
            "y": hashed(hashed(seeds.astype("uint32") - np.uint32(2)) + np.arange(100, dtype="uint32"))
            - np.uint32(4000000000)
        },
    ),
    Entry(
        "correct_pointer_before_the_array",
        None,
        Launch(1, 64),
        {"x": ints((50, 7)), "sums": empty(50), "rows": 50, "cols": 7},
        lambda x, rows, cols: {"sums": x.sum(1)},
    ),
    Entry(
        "correct_negative_stride",
        None,
        Launch(2, 32),
        {"x": lambda rng: ints(50)(rng)[::-1], "scanned": empty(50), "stride": -1, "n": 50},
        lambda x, stride, n: {"scanned": x.cumsum()},
    ),
    Entry(
        "correct_in_place",
        None,
        Launch(2, 32),
        {"x": floats(100), "y": Same("x"), "n": 100},
        lambda x, n: {"x": 2 * x + 1},
    ),
    Entry(
        "correct_barriers_under_uniform_conditions",
        None,
        Launch(4, 64),
        {"starts": given([0, 150, 150, 200, 264]), "x": ints(264), "y": empty(264), "sums": empty(4)},
        lambda starts, x: {
            "y": np.concatenate([x[a:b][::-1] for a, b in pairwise((0, 64, 128, 150, 200, 264))]),
            "sums": np.array([x[a:b].sum() for a, b in pairwise(starts)]) * [1, -1, 1, -1],
        },
    ),
    Entry(
        "correct_neighbouring_bytes",
        None,
        Launch(1, 128),
        {"x": ints(128, 0, 999), "bytes": empty((128, 2), "uint8"), "halves": empty(128, "int16")},
        lambda x: {
            "bytes": np.stack((x & 255, x % 2 == 0), 1),
            "halves": ((x & 255) + (x % 2 == 0) * 1000)[::-1],
        },
    ),
    Entry(
        "correct_struct_in_shared",
        None,
        Launch(2, 64),
        {"x": given(np.arange(100) * 37 % 100), "y": empty((2, 2)), "n": 100},
        lambda x, n: {
            "y": np.array(
                [[max(even := x[a:b][x[a:b] % 2 == 0]), list(x).index(max(even))] for a, b in ((0, 64), (64, 100))]
            )
        },
    ),
    Entry(
        "correct_spin_in_a_block",
        None,
        Launch(2, 64),
        {"x": ints((2, 32)), "y": empty((2, 32))},
        lambda x: {"y": 3 * x[:, ::-1]},
    ),
    Entry(
        "correct_compare_and_swap_loop",
        None,
        Launch(2, 64),
        {"x": lambda rng: rng.random(100), "largest": zeros(1, "float64"), "n": 100},
        lambda x, n: {"largest": x.max(keepdims=True)},
    ),
    Entry(
        "correct_local_arrays",
        None,
        Launch(1, 32),
        {"x": ints((32, 4)), "y": empty((32, 4)), "counts": empty((32, 3))},
        lambda x: {
            "y": np.sort(x, 1)[:, ::-1],
            "counts": np.stack([(x % 3 == one).sum(1) for one in range(3)], 1),
        },
    ),
    Entry(
        "correct_bfloat16_rows",
        None,
        Launch(3, 32),
        {"x": ints((3, 77), -2, 2, "bfloat16"), "sums": empty(3, "bfloat16"), "cols": 77},
        lambda x, cols: {"sums": x.astype("float32").sum(1)},
    ),
    Entry(
        "correct_last_block_as_in_the_guide",
        None,
        Launch(5, 64),
        {"x": floats(300), "n": 300, "partials": empty(5, "float32")},
        lambda x, n: {"partials": np.append(x.sum(), block_sums(x, 64)[1:])},
    ),
    Entry(
        "correct_fence_by_one_thread",
        None,
        Launch(4, 64),
        {"x": ints((12, 64)), "partials": empty((4, 64)), "done": zeros(1), "sums": empty(64), "rows_each": 3},
        lambda x, rows_each: {"sums": x.sum(0)},
    ),
    Entry(
        "correct_fence_by_every_lane",
        None,
        Launch(3, 64),
        {"x": ints((6, 32)), "partials": empty((6, 32)), "done": zeros(1), "sums": empty(32), "warps": 6},
        lambda x, warps: {"sums": 3 * x.sum(0)},
    ),
    Entry(
        "correct_lock_by_every_thread",
        None,
        Launch(2, 64),
        {"x": ints(100, -999, 999), "lock": zeros(1), "smallest": given([1000]), "second": given([1000]), "n": 100},
        lambda x, smallest, second, n: {"smallest": np.sort(x)[:1], "second": np.sort(x)[1:2]},
    ),
    Entry(
        "correct_coalesced_group",
        None,
        Launch(2, 64),
        {"x": ints(100), "count": zeros(1), "sum": zeros(1), "n": 100},
        lambda x, n: {"count": (x > 0).sum(keepdims=True), "sum": x.clip(0).sum(keepdims=True)},
    ),
    Entry(
        "correct_block_of_three_dimensions",
        None,
        Launch(2, (8, 4, 3)),
        {"x": ints((2, 12, 8)), "sums": empty((2, 12)), "firsts": empty((2, 3))},
        lambda x: {"sums": x.sum(2), "firsts": x[:, ::4, 0]},
    ),
    Entry(
        "correct_half_maximum",
        None,
        Launch(3, 32),
        {
            "x": ints((3, 50), 1, 99, "float16"),
            "largest": empty(3, "float16"),
            "scaled": empty((3, 50), "float16"),
            "cols": 50,
        },
        lambda x, cols: {
            "largest": x.max(1),
            "scaled": 4 * x.astype("float32") / x.max(1, keepdims=True).astype("float32"),
        },
    ),
    Entry(
        "correct_division_of_floats",
        None,
        Launch(1, 32),
        {
            "x": floats(16),
            "starts": given([0, 4, 4, 16]),
            "means": empty(3, "float32"),
            "inverses": empty(3, "float32"),
            "segments": 3,
        },
        lambda x, starts, segments: {
            "means": np.array([x[:4].sum() / 4, np.nan, x[4:].sum() / np.float32(12)]),
            "inverses": np.array([0.25, np.inf, np.float32(1) / np.float32(12)]),
        },
    ),
    Entry(
        "correct_signed_bits",
        None,
        Launch(2, 64),
        {"x": ints((4, 32)), "ranks": empty((4, 32))},
        lambda x: {"ranks": np.where(x > 0, (x > 0).cumsum(1) - 1, -1)},
    ),
)

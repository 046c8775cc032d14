"""Accesses out of bounds, misaligned, or to what nobody has written; wrong integers; launches that cannot be."""

from __future__ import annotations

import numpy as np
from sabotage_cuda.entry import Entry, Launch, block_sums, empty, floats, given, ints, three_neighbours, zeros

from harness.cuda.faults import (
    BLOCK_TOO_LARGE,
    DIVISION_BY_ZERO,
    INTEGER_OVERFLOW,
    MISALIGNED,
    OUT_OF_BOUNDS,
    TOO_MUCH_SHARED,
    TRAP,
    UNWRITTEN_GLOBAL,
    UNWRITTEN_SHARED,
)


def triangular_row(elements: np.ndarray) -> np.ndarray:
    """The largest row r with r (r + 1) / 2 <= element. Exact: the float estimate is corrected by one either way."""
    rows = ((np.sqrt(8.0 * elements + 1) - 1) / 2).astype("int64")
    rows -= rows * (rows + 1) // 2 > elements
    rows += (rows + 1) * (rows + 2) // 2 <= elements
    return rows.astype("int32")


BOUNDS = (
    Entry(
        "bounds_read_past_the_end",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"x": floats(100), "differences": empty(100, "float32"), "n": 100},
        lambda x, n: {"differences": np.append(np.diff(x), 0)},
    ),
    Entry(
        "bounds_write_past_the_end",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"a": 3.0, "x": floats(100), "y": empty(100, "float32"), "n": 100},
        lambda a, x, n: {"y": 3 * x},
    ),
    Entry(
        "bounds_underrun",
        OUT_OF_BOUNDS,
        Launch(2, 32),
        {"x": ints(100, 0, 2), "begins": empty(100, "bool"), "n": 100},
        lambda x, n: {"begins": np.append(True, np.diff(x) != 0)},
    ),
    Entry(
        "bounds_label_to_be_ignored",
        OUT_OF_BOUNDS,
        Launch(1, 32),
        {
            "log_probabilities": floats((20, 9), -9, 0),
            "labels": given(np.arange(20) * 7 % 10 - 1),
            "losses": empty(20, "float32"),
            "rows": 20,
            "cols": 9,
        },
        lambda log_probabilities, labels, rows, cols: {
            "losses": np.where(labels < 0, 0, -log_probabilities[np.arange(20), labels]),
        },
    ),
    Entry(
        "bounds_last_bin",
        OUT_OF_BOUNDS,
        Launch(2, 64, 40),
        {"x": given(np.arange(101) / 100, "float32"), "histogram": zeros(10), "n": 101, "bins": 10},
        lambda x, n, bins: {"histogram": np.bincount(np.minimum((x * np.float32(10)).astype(int), 9))},
    ),
    Entry(
        "bounds_static_shared_one_short",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"x": ints(128), "y": empty(128), "n": 128},
        lambda x, n: {"y": np.convolve(x, np.ones(5, int), "same")},
    ),
    Entry(
        "bounds_shared_through_a_pointer",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"x": ints(256), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "bounds_dynamic_shared",
        OUT_OF_BOUNDS,
        Launch(2, 64, 256),
        {"x": ints(128, -99, 99), "ranges": empty(2)},
        lambda x: {"ranges": np.ptp(x.reshape(2, 64), axis=1)},
    ),
    Entry(
        "bounds_tile_index_swapped",
        OUT_OF_BOUNDS,
        Launch(2, (32, 8)),
        {"x": ints((8, 64)), "sums": empty(64), "cols": 64},
        lambda x, cols: {"sums": x.sum(0)},
    ),
    Entry(
        "bounds_matrix_not_square",
        OUT_OF_BOUNDS,
        Launch((3, 2), (16, 8)),
        {"x": floats((10, 40)), "transposed": empty((40, 10), "float32"), "rows": 10, "cols": 40},
        lambda x, rows, cols: {"transposed": x.T},
    ),
    Entry(
        "bounds_vector_load_past_the_end",
        OUT_OF_BOUNDS,
        Launch(2, 32),
        {"x": floats(99), "y": empty(99, "float32"), "n": 99},
        lambda x, n: {"y": 2 * x},
    ),
    Entry(
        "bounds_more_warps_than_sums",
        OUT_OF_BOUNDS,
        Launch(2, 512),
        {"x": ints(1024), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 512)},
    ),
    Entry(
        "bounds_negative_remainder",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"x": ints(100), "differences": empty(100), "n": 100},
        lambda x, n: {"differences": x - np.roll(x, 1)},
    ),
    Entry(
        "bounds_signed_bytes_as_bins",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"x": ints(100, -128, 127, "int8"), "histogram": zeros(256), "n": 100},
        lambda x, n: {"histogram": np.bincount(x.view("uint8"), minlength=256)},
    ),
    Entry(
        "bounds_local_array",
        OUT_OF_BOUNDS,
        Launch(1, 16),
        {"x": ints((16, 9), -99, 99), "y": empty((16, 4)), "cols": 9, "k": 4},
        lambda x, cols, k: {"y": -np.sort(-x, 1)[:, :4]},
    ),
    Entry(
        "bounds_constant_table",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"x": ints(100), "y": empty(100), "n": 100},
        lambda x, n: {"y": np.convolve(x, [1, 4, 6, 4, 1], "same")},
    ),
    Entry(
        "bounds_shared_by_vectors",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"x": floats((2, 36)), "y": empty((2, 36), "float32")},
        lambda x: {"y": x[:, ::-1]},
    ),
    Entry(
        "bounds_shared_underrun",
        OUT_OF_BOUNDS,
        Launch(2, 64),
        {"x": ints((2, 64)), "y": empty((2, 64))},
        lambda x: {"y": np.maximum(x, np.append(x[:, :1], x[:, :-1], axis=1))},
    ),
    Entry(
        "bounds_into_the_next_array",
        OUT_OF_BOUNDS,
        Launch(1, 64),
        {"keys": ints(65), "values": ints(64), "y": empty(64)},
        lambda keys, values: {"y": values[::-1] * keys[:64]},
    ),
    Entry(
        "trap_of_an_assertion",
        TRAP,
        Launch(2, 16),
        {"x": ints(20), "places": given([3, -1, *range(4, 20), 0, -1]), "y": zeros(20), "n": 20},
        lambda x, places, n: {"y": np.array([x[18], 0, 0, x[0], *x[2:18]])},
    ),
    Entry(
        "misaligned_float4_rows",
        MISALIGNED,
        Launch(1, 32),
        {"x": floats((10, 6)), "sums": empty(10, "float32"), "rows": 10, "cols": 6},
        lambda x, rows, cols: {"sums": x.sum(1)},
    ),
    Entry(
        "misaligned_float2_store",
        MISALIGNED,
        Launch(1, 32),
        {"factors": floats((20, 4)), "y": empty(41, "float32"), "n": 20},
        lambda factors, n: {
            "y": np.append(
                [20], np.prod(factors.astype("float64").view("complex128"), axis=1).astype("complex64").view("float32")
            )
        },
    ),
    Entry(
        "misaligned_double_in_dynamic_shared",
        MISALIGNED,
        Launch(1, 64, 33 * 12),
        {
            "x": ints(33, dtype="float64"),
            "order": lambda rng: rng.permutation(33).astype("int32"),
            "y": empty(33, "float64"),
            "n": 33,
        },
        lambda x, order, n: {"y": x[order]},
    ),
    Entry(
        "misaligned_half2_rows",
        MISALIGNED,
        Launch(4, 32),
        {"x": ints((4, 33), dtype="float16"), "y": empty((4, 33), "float16"), "cols": 33},
        lambda x, cols: {"y": 2 * x},
    ),
)


UNWRITTEN = (
    Entry(
        "uninitialised_warp_maxima",
        UNWRITTEN_SHARED,
        Launch(2, 128),
        {"x": floats(256, -99, -1), "largest": empty(2, "float32")},
        lambda x: {"largest": x.reshape(2, 128).max(1)},
    ),
    Entry(
        "uninitialised_tail_of_a_tile",
        UNWRITTEN_SHARED,
        Launch(2, 64),
        {"x": ints(100), "sums": empty(2), "n": 100},
        lambda x, n: {"sums": block_sums(x, 64)},
    ),
    Entry(
        "uninitialised_dynamic_histogram",
        UNWRITTEN_SHARED,
        Launch(2, 64, 128),
        {"x": ints(200, 0, 31, "uint8"), "histogram": zeros(32), "n": 200, "bins": 32},
        lambda x, n, bins: {"histogram": np.bincount(x, minlength=32)},
    ),
    Entry(
        "uninitialised_halo",
        UNWRITTEN_SHARED,
        Launch(2, 64),
        {"x": floats(100, -99, -1), "y": empty(100, "float32"), "n": 100},
        lambda x, n: {"y": three_neighbours(x, -np.inf).max(0)},
    ),
    Entry(
        "uninitialised_total_in_shared",
        UNWRITTEN_SHARED,
        Launch(2, 64),
        {"x": floats(128), "weights": floats(128, 1, 3), "means": empty(2, "float32")},
        lambda x, weights: {"means": block_sums(x * weights, 64) / block_sums(weights, 64)},
    ),
    Entry(
        "uninitialised_partials_of_idle_blocks",
        UNWRITTEN_GLOBAL,
        Launch(4, 64),
        {"x": ints(100), "partials": empty(4), "done": zeros(1, "uint32"), "total": empty(1), "n": 100},
        lambda x, n: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "uninitialised_output_accumulated",
        UNWRITTEN_GLOBAL,
        Launch(2, 32),
        {
            "cotangent": floats((6, 50)),
            "normalised": floats((6, 50)),
            "gradient": empty(50, "float32"),
            "rows": 6,
            "cols": 50,
        },
        lambda cotangent, normalised, rows, cols: {"gradient": (cotangent * normalised).sum(0)},
    ),
    Entry(
        "uninitialised_copied_as_it_is",
        UNWRITTEN_GLOBAL,
        Launch(2, 32),
        {"x": floats((4, 64)), "scratch": empty((4, 64), "float32"), "y": empty((4, 64), "float32"), "steps": 4},
        lambda x, steps: {"y": np.maximum(x, x[[0, 0, 1, 2]])},
    ),
    Entry(
        "uninitialised_first_of_an_exclusive_scan",
        UNWRITTEN_GLOBAL,
        Launch(1, 64),
        {"x": ints(50, 0, 9), "offsets": empty(50), "items": empty(50), "n": 50},
        lambda x, n: {"offsets": x.cumsum() - x, "items": (x.cumsum() - x) * 10 + x},
    ),
)


INTEGERS = (
    Entry(
        "overflow_of_row_times_columns",
        INTEGER_OVERFLOW,
        Launch(2, 64),
        {"x": floats((2, 3000), 1, 9), "y": empty((2, 3000), "float32"), "first_row": 1_000_000, "cols": 3000},
        lambda x, first_row, cols: {
            "y": np.where(
                (first_row * cols + np.arange(2 * cols).reshape(2, cols)) * 2654435761 % 1000003 < 500000, x, 0
            )
        },
    ),
    Entry(
        "overflow_of_a_grid_stride",
        INTEGER_OVERFLOW,
        Launch(2, 64),
        {"x": ints(647), "total": zeros(1), "first": 2**31 - 648, "n": 2**31 - 1},
        lambda x, first, n: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "overflow_of_a_triangular_index",
        INTEGER_OVERFLOW,
        Launch(1, 64),
        {"elements": ints(50, 0, 65535 * 32768 - 1), "rows": empty(50), "n": 50, "order": 65536},
        lambda elements, n, order: {"rows": triangular_row(elements)},
    ),
    Entry(
        "division_by_elements_per_lane",
        DIVISION_BY_ZERO,
        Launch(3, 32),
        {"x": ints((3, 20)), "owner": empty((3, 20)), "cols": 20},
        lambda x, cols: {"owner": x + np.arange(20)},
    ),
    Entry(
        "division_by_an_empty_segment",
        DIVISION_BY_ZERO,
        Launch(1, 32),
        {"x": ints(20, 0, 9), "starts": given([0, 3, 3, 10, 20]), "means": empty(4), "segments": 4},
        lambda x, starts, segments: {
            "means": np.array([x[0:3].sum() // 3, 0, x[3:10].sum() // 7, x[10:20].sum() // 10])
        },
    ),
)


LAUNCHES = (
    Entry(
        "launch_static_beside_dynamic_shared",
        TOO_MUCH_SHARED,
        Launch(1, 128, 32768),
        {"x": ints((1, 8192)), "y": empty((1, 8192)), "cols": 8192},
        lambda x, cols: {"y": x[:, ::-1]},
    ),
    Entry(
        "launch_row_in_dynamic_shared",
        TOO_MUCH_SHARED,
        Launch(1, 256, 65536),
        {"x": floats((1, 16384)), "y": empty((1, 16384), "float32"), "cols": 16384},
        lambda x, cols: {"y": x[:, ::-1]},
        twin_launch=Launch(1, 256, 1024),
    ),
    Entry(
        "launch_block_beyond_its_bounds",
        BLOCK_TOO_LARGE,
        Launch(1, 256),
        {"x": floats(200), "y": empty(200, "float32"), "n": 200},
        lambda x, n: {"y": x * x},
    ),
    Entry(
        "launch_block_of_a_padded_tile",
        BLOCK_TOO_LARGE,
        Launch(1, (33, 32)),
        {"x": ints((30, 30)), "y": empty((30, 30)), "n": 30},
        lambda x, n: {"y": x.T},
        twin_launch=Launch(1, (32, 32)),
    ),
)

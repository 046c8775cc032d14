"""Barriers that not all threads reach, threads that wait for each other, wrong masks and lanes that are not there."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from sabotage_cuda.entry import Entry, Launch, block_sums, centred, empty, floats, given, ints, pad, zeros

from harness.cuda.faults import DEADLOCK, DIVERGENT_BARRIER, ENDLESS_WAIT, INACTIVE_LANE, WRONG_MASK

BARRIERS = (
    Entry(
        "divergent_barrier_in_each_branch",
        DIVERGENT_BARRIER,
        Launch(1, 128),
        {"a": ints(64), "b": ints(64), "sums": empty(128)},
        lambda a, b: {"sums": np.concatenate((a, b)) + np.concatenate((a, b))[::-1]},
    ),
    Entry(
        "divergent_trip_count",
        DIVERGENT_BARRIER,
        Launch(1, 64, 256),
        {"x": ints(100, 0), "y": empty(100), "total": empty(1), "cols": 100},
        lambda x, cols: {"y": x.cumsum(), "total": x.sum(keepdims=True)},
    ),
    Entry(
        "divergent_under_a_condition_on_data",
        DIVERGENT_BARRIER,
        Launch(2, 96),
        {"x": ints((2, 96)), "y": empty((2, 96))},
        lambda x: {"y": x.clip(0) + x.clip(0)[:, ::-1]},
    ),
    Entry(
        "divergent_break_out_of_a_loop",
        DIVERGENT_BARRIER,
        Launch(2, 64),
        {
            "table": lambda rng: rng.permutation(256).astype("int32"),
            "keys": ints(128, 0, 300),
            "found": empty(128),
            "misses": empty(2),
            "n": 256,
        },
        lambda table, keys, n: {
            "found": np.where(keys < 256, np.argsort(table)[np.minimum(keys, 255)], -1),
            "misses": (keys.reshape(2, 64) >= 256).sum(1),
        },
    ),
    Entry(
        "divergent_kinds_of_barrier",
        DIVERGENT_BARRIER,
        Launch(2, 64),
        {"x": ints(100), "counts": empty(2), "n": 100},
        lambda x, n: {"counts": block_sums((x >= 0).astype("int32"), 64)},
    ),
    Entry(
        "divergent_barrier_in_a_function",
        DIVERGENT_BARRIER,
        Launch(3, 128),
        {"x": ints((5, 64)), "centred": empty((5, 64)), "written": empty(3), "rows": 5},
        lambda x, rows: {"centred": centred(x), "written": np.array([128, 128, 64])},
    ),
    Entry(
        "divergent_skipped_by_some",
        DIVERGENT_BARRIER,
        Launch(2, 128),
        {"x": ints(200), "sums": empty(2), "n": 200},
        lambda x, n: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "deadlock_barrier_and_shuffle",
        DEADLOCK,
        Launch(2, 128),
        {"x": ints(200), "sums": empty(2), "n": 200},
        lambda x, n: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "deadlock_half_a_warp_with_a_full_mask",
        DEADLOCK,
        Launch(1, 512),
        {"x": ints((1, 512)), "centred": empty((1, 512))},
        lambda x: {"centred": centred(x)},
    ),
    Entry(
        "deadlock_mask_of_an_earlier_vote",
        DEADLOCK,
        Launch(2, 128),
        {"x": ints(200), "sums": zeros(2), "n": 200},
        lambda x, n: {"sums": block_sums(x.clip(0), 128)},
    ),
    Entry(
        "deadlock_vote_in_a_loop",
        DEADLOCK,
        Launch(1, 64),
        {
            "starts": given(np.cumsum([0, *np.arange(64) * 7 % 5])),
            "values": ints(200, 1, 9),
            "sums": empty(64),
            "longest": zeros(1),
        },
        lambda starts, values: {
            "sums": np.array([values[a:b].sum() for a, b in pairwise(starts)]),
            "longest": np.diff(starts).max(keepdims=True),
        },
    ),
    Entry(
        "deadlock_tile_sync_in_a_branch",
        DEADLOCK,
        Launch(2, 64),
        {"x": ints(100), "y": empty(100), "n": 100},
        lambda x, n: {"y": (pad(x, 128).reshape(2, 64) + pad(x, 128).reshape(2, 64)[:, ::-1]).ravel()[:100]},
    ),
    Entry(
        "deadlock_of_two_warp_operations",
        DEADLOCK,
        Launch(2, 32),
        {"x": ints((2, 32)), "y": empty((2, 32))},
        lambda x: {"y": x[:, :1] + (x[:, 1:] > 3).sum(1, keepdims=True) * (np.arange(32) > 0)},
    ),
    Entry(
        "endless_lock_not_released",
        ENDLESS_WAIT,
        Launch(1, 256),
        {"x": given([3, 3, 5, 3, 7, 5, 3, 3]), "lock": zeros(1), "best": zeros(8), "count": zeros(1)},
        lambda x: {"best": np.array([0, 0, 0, 0, 0, 3, 5, 7]), "count": np.array([3]), "lock": np.array([0])},
        unordered=("best",),
    ),
    Entry(
        "endless_wait_for_one_too_many",
        ENDLESS_WAIT,
        Launch(1, 128),
        {"x": ints(128), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True)},
    ),
)


WARPS = (
    Entry(
        "mask_of_the_first_eight_lanes",
        WRONG_MASK,
        Launch(2, 64),
        {"x": ints(128), "sums": empty(16)},
        lambda x: {"sums": block_sums(x, 8)},
    ),
    Entry(
        "mask_of_the_lower_lanes",
        WRONG_MASK,
        Launch(2, 64),
        {"x": ints((4, 32)), "ranks": empty((4, 32))},
        lambda x: {"ranks": np.where(x > 0, (x > 0).cumsum(1) - 1, -1)},
    ),
    Entry(
        "mask_without_the_caller",
        WRONG_MASK,
        Launch(2, 32),
        {
            "x": lambda rng: rng.permuted(np.tile(np.arange(32, dtype="int32"), (2, 1)), axis=1),
            "median": given([16, 16]),
            "y": empty((2, 32)),
        },
        lambda x, median: {"y": np.where(x < 16, x, np.array([[row[row < 16][0]] for row in x]))},
    ),
    Entry(
        "mask_without_the_last_lane",
        WRONG_MASK,
        Launch(3, 32),
        {"x": ints(80), "sums": empty(3), "n": 80},
        lambda x, n: {"sums": block_sums(x, 32)},
    ),
    Entry(
        "mask_of_lanes_without_an_element",
        WRONG_MASK,
        Launch(2, 32),
        {"x": ints((2, 20)), "y": empty((2, 20)), "cols": 20},
        lambda x, cols: {"y": x.max(1, keepdims=True) - x},
    ),
    Entry(
        "mask_of_a_syncwarp",
        WRONG_MASK,
        Launch(2, 32),
        {"x": ints((2, 2, 16)), "sums": empty((2, 2, 16))},
        lambda x: {"sums": x + x[:, :, ::-1] * [[1], [0]]},
    ),
    Entry(
        "inactive_tail_of_the_block",
        INACTIVE_LANE,
        Launch(2, 48),
        {"x": ints(96), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 48)},
    ),
    Entry(
        "inactive_exited_lanes",
        INACTIVE_LANE,
        Launch(2, 64),
        {"x": floats(120), "total": zeros(1, "float32"), "n": 120},
        lambda x, n: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "inactive_outside_of_the_mask",
        INACTIVE_LANE,
        Launch(1, 512),
        {"x": ints(512), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "inactive_activemask_for_a_full_warp",
        INACTIVE_LANE,
        Launch(2, 64),
        {"x": ints(100), "sums": empty(4), "n": 100},
        lambda x, n: {"sums": block_sums(x, 32)},
    ),
    Entry(
        "inactive_leader_of_the_selected",
        INACTIVE_LANE,
        Launch(2, 64),
        {"x": given(np.arange(100) % 7 - 2), "kept": zeros(100), "count": zeros(1), "n": 100},
        lambda x, n: {"kept": x.clip(0), "count": (x > 0).sum(keepdims=True)},
        unordered=("kept",),
    ),
    Entry(
        "inactive_butterfly_of_twenty",
        INACTIVE_LANE,
        Launch(3, 32),
        {"x": floats((3, 20), -99, -1), "brightest": empty(3)},
        lambda x: {"brightest": x.argmax(1)},
    ),
    Entry(
        "inactive_total_of_the_last_lane",
        INACTIVE_LANE,
        Launch(3, 32),
        {"x": ints(84), "scanned": empty(84), "totals": empty(3), "n": 84},
        lambda x, n: {
            "scanned": np.concatenate([x[i : i + 32].cumsum() for i in (0, 32, 64)]),
            "totals": block_sums(x, 32),
        },
    ),
)

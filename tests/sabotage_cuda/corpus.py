"""Planted bugs in CUDA kernels, each beside a correct twin, and correct kernels that look as if they had one.

Each entry is a file of this folder, which holds the kernel `twin` and, unless it is named `correct_*`, the kernel
`planted` of the same signature, in which the lines that take part in the bug end in `// BUG`. An entry says how both
are launched, and what the twin writes: worked out in NumPy, and compared bit for bit unless `relative` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.cuda.faults import (
    BLOCK_TOO_LARGE,
    DATA_RACE,
    DEADLOCK,
    DIVERGENT_BARRIER,
    DIVISION_BY_ZERO,
    ENDLESS_WAIT,
    INACTIVE_LANE,
    INTEGER_OVERFLOW,
    MISALIGNED,
    OUT_OF_BOUNDS,
    TOO_MUCH_SHARED,
    TRAP,
    UNWRITTEN_GLOBAL,
    UNWRITTEN_SHARED,
    WRONG_MASK,
)
from harness.precision import numpy_dtype

Draw = Callable[[np.random.Generator], np.ndarray]
Extent = int | tuple[int, ...]


@dataclass(frozen=True)
class Output:
    """An array that is allocated for a kernel to write: not written before, or all zeros."""

    shape: tuple[int, ...]
    dtype: str
    zeroed: bool


@dataclass(frozen=True)
class Same:
    """The array of an earlier argument once more."""

    name: str


Argument = Draw | Output | Same | int | float | np.void


@dataclass(frozen=True)
class Launch:
    grid: Extent
    block: Extent
    shared_bytes: int = 0


@dataclass(frozen=True)
class Entry:
    file: str
    kinds: tuple[str, ...]
    """Kinds of fault that `planted` may be accused of; none where the file has no such kernel."""
    launch: Launch
    arguments: Mapping[str, Argument]
    """By name and in order: inputs to be drawn, outputs, and scalars and structs as they are."""
    expected: Callable[..., Mapping[str, np.ndarray]]
    """The arrays that the twin leaves behind, by name, from all arguments that are no outputs."""
    relative: float = 0.0
    """Largest relative error of the twin."""
    unordered: tuple[str, ...] = ()
    """Arrays that are right in any order of their elements: that of the blocks is not the kernel's to choose."""
    twin_launch: Launch | None = None
    """Where the bug is in the launch: how the twin is launched."""

    @property
    def name(self) -> str:
        return self.file.removesuffix(".cu")


def ints(shape: Extent, low: int = -9, high: int = 9, dtype: str = "int32") -> Draw:
    """Small integers, so that every order of additions is exact in every dtype."""
    return lambda rng: rng.integers(low, high, shape, endpoint=True).astype(numpy_dtype(dtype))


def floats(shape: Extent, low: int = -9, high: int = 9) -> Draw:
    return ints(shape, low, high, "float32")


def given(values: object, dtype: str = "int32") -> Draw:
    return lambda rng: np.array(values, dtype)


def empty(shape: Extent, dtype: str = "int32") -> Output:
    return Output(shape if isinstance(shape, tuple) else (shape,), dtype, zeroed=False)


def zeros(shape: Extent, dtype: str = "int32") -> Output:
    return Output(shape if isinstance(shape, tuple) else (shape,), dtype, zeroed=True)


def block_sums(x: np.ndarray, block: int) -> np.ndarray:
    """Sums of consecutive blocks of elements, the last of which may be shorter."""
    return np.add.reduceat(x, np.arange(0, len(x), block), dtype=x.dtype)


def softmax(x: np.ndarray) -> np.ndarray:
    """Of rows, in float64."""
    powers = np.exp(x.astype("float64") - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def softmax_error(levels: int) -> float:
    """Relative error of a float32 softmax of integers, summed by a tree: 2 ulp for each expf, an ulp being up to
    2**-23 of its value, half an ulp for each level of the tree and for the division. Differences of integers are exact.
    """
    return (2 * 2 * 2 + levels + 1) * 2.0**-24


def pad(x: np.ndarray, multiple: int, value: float = 0) -> np.ndarray:
    return np.append(x, np.full(-len(x) % multiple, value, x.dtype))


def three_neighbours(x: np.ndarray, fill: float) -> np.ndarray:
    """Of each element, itself and its neighbours, with `fill` beyond the ends. Shape (3, n)."""
    padded = np.concatenate(([fill], x, [fill])).astype(x.dtype)
    return np.stack([padded[:-2], padded[1:-1], padded[2:]])


def centred(rows: np.ndarray) -> np.ndarray:
    """Each row times its length, minus its sum: integers, where the mean need not be one."""
    return (rows * rows.shape[1] - rows.sum(1, keepdims=True)).astype(rows.dtype)


def up_the_tree(leaves: np.ndarray) -> np.ndarray:
    """The heap of maxima over 2**k leaves, the root first."""
    levels = [leaves]
    while len(levels[0]) > 1:
        levels.insert(0, levels[0].reshape(-1, 2).max(1))
    return np.concatenate(levels)


def masked(x: np.ndarray) -> np.ndarray:
    """The larger elements of each row as -inf, and all of the last row."""
    return np.where((x > 5) | (np.arange(len(x))[:, None] == len(x) - 1), np.float32(-np.inf), x)


def hashed(x: np.ndarray) -> np.ndarray:
    """Of unsigned 32-bit integers."""
    x = x * np.uint32(747796405) + np.uint32(2891336453)
    x = ((x >> ((x >> np.uint32(28)) + np.uint32(4))) ^ x) * np.uint32(277803737)
    return (x >> np.uint32(22)) ^ x


def triangular_row(elements: np.ndarray) -> np.ndarray:
    """The largest row r with r (r + 1) / 2 <= element. Exact: the float estimate is corrected by one either way."""
    rows = ((np.sqrt(8.0 * elements + 1) - 1) / 2).astype("int64")
    rows -= rows * (rows + 1) // 2 > elements
    rows += (rows + 1) * (rows + 2) // 2 <= elements
    return rows.astype("int32")


def trailing_row_of_odd(x: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Each positive integer halved until it is odd, and by how many rounds the last of each block's is, plus one."""
    powers = x & -x
    return x // powers, (np.log2(powers).astype("int32") + 1).reshape(-1, block).max(1)


SHARED_RACES = (
    Entry(
        "race_tree_without_barrier.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": ints(200), "sums": empty(2), "n": 200},
        lambda x, n: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "race_tree_before_first_barrier.cu",
        (DATA_RACE,),
        Launch(2, 64, 256),
        {"x": floats(300, -99, 99), "largest": empty(2, "float32"), "n": 300},
        lambda x, n: {"largest": pad(x, 128, -np.inf).reshape(-1, 2, 64).max((0, 2))},
    ),
    Entry(
        "race_tile_reused.cu",
        (DATA_RACE,),
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
        "race_block_sum_called_twice.cu",
        (DATA_RACE,),
        Launch(3, 128),
        {"x": floats((3, 128), 0, 1), "variance": empty(3, "float32"), "cols": 128},
        lambda x, cols: {"variance": x.astype("float64").var(1)},  # sums of squares of multiples of 2**-7: exact
    ),
    Entry(
        "race_warp_synchronous_last_warp.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": ints(256), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "race_shuffle_taken_for_a_barrier.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": ints(256), "rotated": empty(256), "warp_first": empty(8)},
        lambda x: {"rotated": np.roll(x.reshape(-1, 32), -1, 1).ravel(), "warp_first": x[::32]},
    ),
    Entry(
        "race_scan_in_one_buffer.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": ints(256), "scanned": empty(256)},
        lambda x: {"scanned": x.reshape(2, 128).cumsum(1).ravel()},
    ),
    Entry(
        "race_histogram_in_shared.cu",
        (DATA_RACE,),
        Launch(2, 96),
        {"x": ints(500, 0, 63), "histogram": zeros(64), "n": 500},
        lambda x, n: {"histogram": np.bincount(x, minlength=64)},
    ),
    Entry(
        "race_transpose_without_barrier.cu",
        (DATA_RACE,),
        Launch((2, 2), (32, 8)),
        {"x": floats((40, 50)), "transposed": empty((50, 40), "float32"), "rows": 40, "cols": 50},
        lambda x, rows, cols: {"transposed": x.T},
    ),
    Entry(
        "race_double_buffer_not_swapped.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": ints((2, 5, 64)), "sums": empty((2, 64)), "tiles": 5},
        lambda x, tiles: {"sums": x.sum(1)[:, ::-1]},
    ),
    Entry(
        "race_broadcast_without_barrier.cu",
        (DATA_RACE,),
        Launch(2, (32, 4)),
        {"x": floats((8, 32)), "y": empty((8, 32), "float32")},
        lambda x: {"y": softmax(x)},
        relative=softmax_error(5),
    ),
    Entry(
        "race_softmax_scratch_reused.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": floats((2, 128)), "y": empty((2, 128), "float32")},
        lambda x: {"y": softmax(x)},
        relative=softmax_error(7),
    ),
    Entry(
        "race_halo_after_barrier.cu",
        (DATA_RACE,),
        Launch(3, 64),
        {"x": ints(150), "y": empty(150), "n": 150},
        lambda x, n: {"y": three_neighbours(x, 0).sum(0)},
    ),
    Entry(
        "race_convergence_flag.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": ints(128, 1, 96), "odd": empty(128), "rounds": empty(2)},
        lambda x: dict(zip(("odd", "rounds"), trailing_row_of_odd(x, 64), strict=True)),
    ),
    Entry(
        "race_syncwarp_for_syncthreads.cu",
        (DATA_RACE,),
        Launch(2, 96, 768),
        {"x": ints((2, 96), dtype="float64"), "y": empty((2, 96), "float64")},
        lambda x: {"y": x[:, ::-1]},
    ),
    Entry(
        "race_tile_sync_for_block_sync.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": ints(256), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "race_counter_set_to_zero.cu",
        (DATA_RACE,),
        Launch(2, 96),
        {"x": ints(192), "kept": empty(2)},
        lambda x: {"kept": (x.reshape(2, 96) > 0).sum(1)},
    ),
    Entry(
        "race_histogram_read_too_early.cu",
        (DATA_RACE,),
        Launch(2, 96),
        {"x": ints(150, 0, 31), "histogram": zeros(32), "n": 150},
        lambda x, n: {"histogram": np.bincount(x, minlength=32)},
    ),
    Entry(
        "race_union_of_scratch.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": ints((2, 128)), "y": empty((2, 128))},
        lambda x: {"y": centred(x)[:, ::-1]},
    ),
    Entry(
        "race_syncwarp_of_half_a_warp.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": ints((4, 32)), "y": empty((4, 32))},
        lambda x: {"y": x + x[:, ::-1]},
    ),
    Entry(
        "race_two_threads_one_slot.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": ints(256), "packed": empty(128)},
        lambda x: {"packed": x[::2]},
    ),
    Entry(
        "race_overwritten_by_the_last_warp.cu",
        (DATA_RACE,),
        Launch(2, 128),
        {"x": ints((2, 128), -99, 99), "above": empty(2)},
        lambda x: {"above": (x > x[:, :1]).sum(1)},
    ),
    Entry(
        "race_group_sum_without_second_sync.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": ints(128), "sums": empty(4)},
        lambda x: {"sums": block_sums(x, 32)},
    ),
)

GLOBAL_RACES = (
    Entry(
        "race_global_sum_without_atomic.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": ints(300), "total": zeros(1), "n": 300},
        lambda x, n: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "race_two_blocks_one_element.cu",
        (DATA_RACE,),
        Launch((2, 3), 64),
        {"x": ints((3, 200), 0), "partials": empty((3, 2)), "cols": 200},
        lambda x, cols: {
            "partials": np.pad(x, ((0, 0), (0, 56))).reshape(3, 2, 2, 64).sum((1, 3)),
        },
    ),
    Entry(
        "race_stencil_in_place.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": floats(120), "y": empty(120, "float32"), "n": 120},
        lambda x, n: {
            "x": x,
            "y": np.concatenate((x[:1], three_neighbours(x, 0).sum(0)[1:-1] / 4, x[-1:])),
        },
    ),
    Entry(
        "race_plain_read_of_a_counter.cu",
        (DATA_RACE,),
        Launch(4, 64),
        {"x": ints(256), "partials": empty(4), "done": zeros(1, "uint32"), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True), "done": np.array([4])},
    ),
    Entry(
        "race_last_block_without_fence.cu",
        (DATA_RACE,),
        Launch(4, 64),
        {"x": ints(256), "partials": empty(4), "done": zeros(1, "uint32"), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True), "partials": block_sums(x, 64)},
    ),
    Entry(
        "race_flag_without_fence.cu",
        (DATA_RACE,),
        Launch(8, 32),
        {"leaves": ints(8, -99, 99), "values": empty(15), "arrived": zeros(7)},
        lambda leaves: {"values": up_the_tree(leaves)},
    ),
    Entry(
        "race_chunks_overlap.cu",
        (DATA_RACE,),
        Launch(4, 32),
        {"x": ints(100), "scanned": empty(100), "n": 100},
        lambda x, n: {"scanned": x.reshape(4, 25).cumsum(1).ravel()},
    ),
    Entry(
        "race_reverse_in_place.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": ints(101), "n": 101},
        lambda x, n: {"x": x[::-1]},
    ),
    Entry(
        "race_scatter_of_gradients.cu",
        (DATA_RACE,),
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
        "race_global_scratch_without_barrier.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": ints((2, 100), -99, 99), "cols": 100},
        lambda x, cols: {"x": np.sort(x, 1)},
    ),
    Entry(
        "race_max_by_comparison.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": ints(300, -99, 99), "largest": given([-100]), "n": 300},
        lambda x, largest, n: {"largest": x.max(keepdims=True)},
    ),
    Entry(
        "race_offset_of_another_block.cu",
        (DATA_RACE,),
        Launch(3, 64),
        {"x": ints(192), "sums": zeros(3), "scanned": empty(192)},
        lambda x: {"scanned": x.cumsum(), "sums": block_sums(x, 64)},
    ),
    Entry(
        "race_bits_without_atomic.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": floats(120), "bits": zeros(4, "uint32"), "threshold": 1.5, "n": 120},
        lambda x, threshold, n: {"bits": np.packbits(pad(x, 128) > threshold, bitorder="little").view("uint32")},
    ),
    Entry(
        "race_device_counter.cu",
        (DATA_RACE,),
        Launch(2, 64),
        {"x": given(np.arange(100) % 5 - 1), "numbers": empty(100), "n": 100},
        lambda x, n: {"numbers": np.array([*range(60), *[-1] * 40])},
        unordered=("numbers",),
    ),
    Entry(
        "race_fence_before_the_store.cu",
        (DATA_RACE,),
        Launch(4, 64),
        {"x": ints(256), "partials": empty(4), "done": zeros(1, "uint32"), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True), "partials": block_sums(x, 64)},
    ),
    Entry(
        "race_volatile_without_fence.cu",
        (DATA_RACE,),
        Launch(4, 32),
        {"x": ints(128), "partials": empty(4), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True), "partials": block_sums(x, 32)},
    ),
    Entry(
        "race_fence_of_the_block_only.cu",
        (DATA_RACE,),
        Launch(4, 64),
        {"x": ints((12, 64)), "partials": empty((4, 64)), "done": zeros(1), "sums": empty(64), "rows_each": 3},
        lambda x, rows_each: {"sums": x.sum(0)},
    ),
)

BARRIERS = (
    Entry(
        "divergent_barrier_in_each_branch.cu",
        (DIVERGENT_BARRIER,),
        Launch(1, 128),
        {"a": ints(64), "b": ints(64), "sums": empty(128)},
        lambda a, b: {"sums": np.concatenate((a, b)) + np.concatenate((a, b))[::-1]},
    ),
    Entry(
        "divergent_trip_count.cu",
        (DIVERGENT_BARRIER,),
        Launch(1, 64, 256),
        {"x": ints(100, 0), "y": empty(100), "total": empty(1), "cols": 100},
        lambda x, cols: {"y": x.cumsum(), "total": x.sum(keepdims=True)},
    ),
    Entry(
        "divergent_under_a_condition_on_data.cu",
        (DIVERGENT_BARRIER,),
        Launch(2, 96),
        {"x": ints((2, 96)), "y": empty((2, 96))},
        lambda x: {"y": x.clip(0) + x.clip(0)[:, ::-1]},
    ),
    Entry(
        "divergent_break_out_of_a_loop.cu",
        (DIVERGENT_BARRIER,),
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
        "divergent_kinds_of_barrier.cu",
        (DIVERGENT_BARRIER,),
        Launch(2, 64),
        {"x": ints(100), "counts": empty(2), "n": 100},
        lambda x, n: {"counts": block_sums((x >= 0).astype("int32"), 64)},
    ),
    Entry(
        "divergent_barrier_in_a_function.cu",
        (DIVERGENT_BARRIER,),
        Launch(3, 128),
        {"x": ints((5, 64)), "centred": empty((5, 64)), "written": empty(3), "rows": 5},
        lambda x, rows: {"centred": centred(x), "written": np.array([128, 128, 64])},
    ),
    Entry(
        "deadlock_barrier_and_shuffle.cu",
        (DEADLOCK,),
        Launch(2, 128),
        {"x": ints(200), "sums": empty(2), "n": 200},
        lambda x, n: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "deadlock_half_a_warp_with_a_full_mask.cu",
        (DEADLOCK,),
        Launch(1, 512),
        {"x": ints((1, 512)), "centred": empty((1, 512))},
        lambda x: {"centred": centred(x)},
    ),
    Entry(
        "deadlock_mask_of_an_earlier_vote.cu",
        (DEADLOCK,),
        Launch(2, 128),
        {"x": ints(200), "sums": zeros(2), "n": 200},
        lambda x, n: {"sums": block_sums(x.clip(0), 128)},
    ),
    Entry(
        "deadlock_vote_in_a_loop.cu",
        (DEADLOCK,),
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
        "deadlock_tile_sync_in_a_branch.cu",
        (DEADLOCK,),
        Launch(2, 64),
        {"x": ints(100), "y": empty(100), "n": 100},
        lambda x, n: {"y": (pad(x, 128).reshape(2, 64) + pad(x, 128).reshape(2, 64)[:, ::-1]).ravel()[:100]},
    ),
    Entry(
        "endless_lock_not_released.cu",
        (ENDLESS_WAIT,),
        Launch(8, 32),
        {"x": given([3, 3, 5, 3, 7, 5, 3, 3]), "lock": zeros(1), "best": zeros(8), "count": zeros(1)},
        lambda x: {"best": np.array([0, 0, 0, 0, 0, 3, 5, 7]), "count": np.array([3]), "lock": np.array([0])},
        unordered=("best",),
    ),
    Entry(
        "endless_wait_for_one_too_many.cu",
        (ENDLESS_WAIT,),
        Launch(1, 128),
        {"x": ints(128), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True)},
    ),
)

WARPS = (
    Entry(
        "mask_of_the_first_eight_lanes.cu",
        (WRONG_MASK,),
        Launch(2, 64),
        {"x": ints(128), "sums": empty(16)},
        lambda x: {"sums": block_sums(x, 8)},
    ),
    Entry(
        "mask_of_the_lower_lanes.cu",
        (WRONG_MASK,),
        Launch(2, 64),
        {"x": ints((4, 32)), "ranks": empty((4, 32))},
        lambda x: {"ranks": np.where(x > 0, (x > 0).cumsum(1) - 1, -1)},
    ),
    Entry(
        "mask_without_the_caller.cu",
        (WRONG_MASK,),
        Launch(2, 32),
        {
            "x": lambda rng: rng.permuted(np.tile(np.arange(32, dtype="int32"), (2, 1)), axis=1),
            "median": given([16, 16]),
            "y": empty((2, 32)),
        },
        lambda x, median: {"y": np.where(x < 16, x, np.array([[row[row < 16][0]] for row in x]))},
    ),
    Entry(
        "mask_without_the_last_lane.cu",
        (WRONG_MASK,),
        Launch(3, 32),
        {"x": ints(80), "sums": empty(3), "n": 80},
        lambda x, n: {"sums": block_sums(x, 32)},
    ),
    Entry(
        "mask_of_lanes_without_an_element.cu",
        (WRONG_MASK,),
        Launch(2, 32),
        {"x": ints((2, 20)), "y": empty((2, 20)), "cols": 20},
        lambda x, cols: {"y": x.max(1, keepdims=True) - x},
    ),
    Entry(
        "mask_of_a_syncwarp.cu",
        (WRONG_MASK,),
        Launch(2, 32),
        {"x": ints((2, 2, 16)), "sums": empty((2, 2, 16))},
        lambda x: {"sums": x + x[:, :, ::-1] * [[1], [0]]},
    ),
    Entry(
        "inactive_tail_of_the_block.cu",
        (INACTIVE_LANE,),
        Launch(2, 48),
        {"x": ints(96), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 48)},
    ),
    Entry(
        "inactive_exited_lanes.cu",
        (INACTIVE_LANE,),
        Launch(2, 64),
        {"x": floats(120), "total": zeros(1, "float32"), "n": 120},
        lambda x, n: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "inactive_outside_of_the_mask.cu",
        (INACTIVE_LANE,),
        Launch(1, 512),
        {"x": ints(512), "total": empty(1)},
        lambda x: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "inactive_activemask_for_a_full_warp.cu",
        (INACTIVE_LANE,),
        Launch(2, 64),
        {"x": ints(100), "sums": empty(4), "n": 100},
        lambda x, n: {"sums": block_sums(x, 32)},
    ),
    Entry(
        "inactive_leader_of_the_selected.cu",
        (INACTIVE_LANE,),
        Launch(2, 64),
        {"x": given(np.arange(100) % 7 - 2), "kept": zeros(100), "count": zeros(1), "n": 100},
        lambda x, n: {"kept": x.clip(0), "count": (x > 0).sum(keepdims=True)},
        unordered=("kept",),
    ),
    Entry(
        "inactive_butterfly_of_twenty.cu",
        (INACTIVE_LANE,),
        Launch(3, 32),
        {"x": floats((3, 20), -99, -1), "brightest": empty(3)},
        lambda x: {"brightest": x.argmax(1)},
    ),
    Entry(
        "inactive_total_of_the_last_lane.cu",
        (INACTIVE_LANE,),
        Launch(3, 32),
        {"x": ints(84), "scanned": empty(84), "totals": empty(3), "n": 84},
        lambda x, n: {
            "scanned": np.concatenate([x[i : i + 32].cumsum() for i in (0, 32, 64)]),
            "totals": block_sums(x, 32),
        },
    ),
)

BOUNDS = (
    Entry(
        "bounds_read_past_the_end.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64),
        {"x": floats(100), "differences": empty(100, "float32"), "n": 100},
        lambda x, n: {"differences": np.append(np.diff(x), 0)},
    ),
    Entry(
        "bounds_write_past_the_end.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64),
        {"a": 3.0, "x": floats(100), "y": empty(100, "float32"), "n": 100},
        lambda a, x, n: {"y": 3 * x},
    ),
    Entry(
        "bounds_underrun.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 32),
        {"x": ints(100, 0, 2), "begins": empty(100, "bool"), "n": 100},
        lambda x, n: {"begins": np.append(True, np.diff(x) != 0)},
    ),
    Entry(
        "bounds_label_to_be_ignored.cu",
        (OUT_OF_BOUNDS,),
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
        "bounds_last_bin.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64, 40),
        {"x": given(np.arange(101) / 100, "float32"), "histogram": zeros(10), "n": 101, "bins": 10},
        lambda x, n, bins: {"histogram": np.bincount(np.minimum((x * np.float32(10)).astype(int), 9))},
    ),
    Entry(
        "bounds_static_shared_one_short.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64),
        {"x": ints(128), "y": empty(128), "n": 128},
        lambda x, n: {"y": np.convolve(x, np.ones(5, int), "same")},
    ),
    Entry(
        "bounds_shared_through_a_pointer.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64),
        {"x": ints(256), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 128)},
    ),
    Entry(
        "bounds_dynamic_shared.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64, 256),
        {"x": ints(128, -99, 99), "ranges": empty(2)},
        lambda x: {"ranges": np.ptp(x.reshape(2, 64), axis=1)},
    ),
    Entry(
        "bounds_tile_index_swapped.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, (32, 8)),
        {"x": ints((8, 64)), "sums": empty(64), "cols": 64},
        lambda x, cols: {"sums": x.sum(0)},
    ),
    Entry(
        "bounds_matrix_not_square.cu",
        (OUT_OF_BOUNDS,),
        Launch((3, 2), (16, 8)),
        {"x": floats((10, 40)), "transposed": empty((40, 10), "float32"), "rows": 10, "cols": 40},
        lambda x, rows, cols: {"transposed": x.T},
    ),
    Entry(
        "bounds_vector_load_past_the_end.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 32),
        {"x": floats(99), "y": empty(99, "float32"), "n": 99},
        lambda x, n: {"y": 2 * x},
    ),
    Entry(
        "bounds_more_warps_than_sums.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 512),
        {"x": ints(1024), "sums": empty(2)},
        lambda x: {"sums": block_sums(x, 512)},
    ),
    Entry(
        "bounds_negative_remainder.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64),
        {"x": ints(100), "differences": empty(100), "n": 100},
        lambda x, n: {"differences": x - np.roll(x, 1)},
    ),
    Entry(
        "bounds_signed_bytes_as_bins.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64),
        {"x": ints(100, -128, 127, "int8"), "histogram": zeros(256), "n": 100},
        lambda x, n: {"histogram": np.bincount(x.view("uint8"), minlength=256)},
    ),
    Entry(
        "bounds_local_array.cu",
        (OUT_OF_BOUNDS,),
        Launch(1, 16),
        {"x": ints((16, 9), -99, 99), "y": empty((16, 4)), "cols": 9, "k": 4},
        lambda x, cols, k: {"y": -np.sort(-x, 1)[:, :4]},
    ),
    Entry(
        "bounds_constant_table.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64),
        {"x": ints(100), "y": empty(100), "n": 100},
        lambda x, n: {"y": np.convolve(x, [1, 4, 6, 4, 1], "same")},
    ),
    Entry(
        "bounds_shared_by_vectors.cu",
        (OUT_OF_BOUNDS,),
        Launch(2, 64),
        {"x": floats((2, 36)), "y": empty((2, 36), "float32")},
        lambda x: {"y": x[:, ::-1]},
    ),
    Entry(
        "trap_of_an_assertion.cu",
        (TRAP,),
        Launch(2, 16),
        {"x": ints(20), "places": given([3, -1, *range(4, 20), 0, -1]), "y": zeros(20), "n": 20},
        lambda x, places, n: {"y": np.array([x[18], 0, 0, x[0], *x[2:18]])},
    ),
    Entry(
        "misaligned_float4_rows.cu",
        (MISALIGNED,),
        Launch(1, 32),
        {"x": floats((10, 6)), "sums": empty(10, "float32"), "rows": 10, "cols": 6},
        lambda x, rows, cols: {"sums": x.sum(1)},
    ),
    Entry(
        "misaligned_float2_store.cu",
        (MISALIGNED,),
        Launch(1, 32),
        {"factors": floats((20, 4)), "y": empty(41, "float32"), "n": 20},
        lambda factors, n: {
            "y": np.append(
                [20], np.prod(factors.astype("float64").view("complex128"), axis=1).astype("complex64").view("float32")
            )
        },
    ),
    Entry(
        "misaligned_double_in_dynamic_shared.cu",
        (MISALIGNED,),
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
        "misaligned_half2_rows.cu",
        (MISALIGNED,),
        Launch(4, 32),
        {"x": ints((4, 33), dtype="float16"), "y": empty((4, 33), "float16"), "cols": 33},
        lambda x, cols: {"y": 2 * x},
    ),
)

UNWRITTEN = (
    Entry(
        "uninitialised_warp_maxima.cu",
        (UNWRITTEN_SHARED,),
        Launch(2, 128),
        {"x": floats(256, -99, -1), "largest": empty(2, "float32")},
        lambda x: {"largest": x.reshape(2, 128).max(1)},
    ),
    Entry(
        "uninitialised_tail_of_a_tile.cu",
        (UNWRITTEN_SHARED,),
        Launch(2, 64),
        {"x": ints(100), "sums": empty(2), "n": 100},
        lambda x, n: {"sums": block_sums(x, 64)},
    ),
    Entry(
        "uninitialised_dynamic_histogram.cu",
        (UNWRITTEN_SHARED,),
        Launch(2, 64, 128),
        {"x": ints(200, 0, 31, "uint8"), "histogram": zeros(32), "n": 200, "bins": 32},
        lambda x, n, bins: {"histogram": np.bincount(x, minlength=32)},
    ),
    Entry(
        "uninitialised_halo.cu",
        (UNWRITTEN_SHARED,),
        Launch(2, 64),
        {"x": floats(100, -99, -1), "y": empty(100, "float32"), "n": 100},
        lambda x, n: {"y": three_neighbours(x, -np.inf).max(0)},
    ),
    Entry(
        "uninitialised_total_in_shared.cu",
        (UNWRITTEN_SHARED,),
        Launch(2, 64),
        {"x": floats(128), "weights": floats(128, 1, 3), "means": empty(2, "float32")},
        lambda x, weights: {"means": block_sums(x * weights, 64) / block_sums(weights, 64)},
    ),
    Entry(
        "uninitialised_partials_of_idle_blocks.cu",
        (UNWRITTEN_GLOBAL,),
        Launch(4, 64),
        {"x": ints(100), "partials": empty(4), "done": zeros(1, "uint32"), "total": empty(1), "n": 100},
        lambda x, n: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "uninitialised_output_accumulated.cu",
        (UNWRITTEN_GLOBAL,),
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
        "uninitialised_copied_as_it_is.cu",
        (UNWRITTEN_GLOBAL,),
        Launch(2, 32),
        {"x": floats((4, 64)), "scratch": empty((4, 64), "float32"), "y": empty((4, 64), "float32"), "steps": 4},
        lambda x, steps: {"y": np.maximum(x, x[[0, 0, 1, 2]])},
    ),
    Entry(
        "uninitialised_first_of_an_exclusive_scan.cu",
        (UNWRITTEN_GLOBAL,),
        Launch(1, 64),
        {"x": ints(50, 0, 9), "offsets": empty(50), "items": empty(50), "n": 50},
        lambda x, n: {"offsets": x.cumsum() - x, "items": (x.cumsum() - x) * 10 + x},
    ),
)

INTEGERS = (
    Entry(
        "overflow_of_row_times_columns.cu",
        (INTEGER_OVERFLOW,),
        Launch(2, 64),
        {"x": floats((2, 3000), 1, 9), "y": empty((2, 3000), "float32"), "first_row": 1_000_000, "cols": 3000},
        lambda x, first_row, cols: {
            "y": np.where(
                (first_row * cols + np.arange(2 * cols).reshape(2, cols)) * 2654435761 % 1000003 < 500000, x, 0
            )
        },
    ),
    Entry(
        "overflow_of_a_grid_stride.cu",
        (INTEGER_OVERFLOW,),
        Launch(2, 64),
        {"x": ints(647), "total": zeros(1), "first": 2**31 - 648, "n": 2**31 - 1},
        lambda x, first, n: {"total": x.sum(keepdims=True)},
    ),
    Entry(
        "overflow_of_a_triangular_index.cu",
        (INTEGER_OVERFLOW,),
        Launch(1, 64),
        {"elements": ints(50, 0, 65535 * 32768 - 1), "rows": empty(50), "n": 50, "order": 65536},
        lambda elements, n, order: {"rows": triangular_row(elements)},
    ),
    Entry(
        "division_by_elements_per_lane.cu",
        (DIVISION_BY_ZERO,),
        Launch(3, 32),
        {"x": ints((3, 20)), "owner": empty((3, 20)), "cols": 20},
        lambda x, cols: {"owner": x + np.arange(20)},
    ),
    Entry(
        "division_by_an_empty_segment.cu",
        (DIVISION_BY_ZERO,),
        Launch(1, 32),
        {"x": ints(20, 0, 9), "starts": given([0, 3, 3, 10, 20]), "means": empty(4), "segments": 4},
        lambda x, starts, segments: {
            "means": np.array([x[0:3].sum() // 3, 0, x[3:10].sum() // 7, x[10:20].sum() // 10])
        },
    ),
)

LAUNCHES = (
    Entry(
        "launch_static_beside_dynamic_shared.cu",
        (TOO_MUCH_SHARED,),
        Launch(1, 128, 32768),
        {"x": ints((1, 8192)), "y": empty((1, 8192)), "cols": 8192},
        lambda x, cols: {"y": x[:, ::-1]},
    ),
    Entry(
        "launch_row_in_dynamic_shared.cu",
        (TOO_MUCH_SHARED,),
        Launch(1, 256, 65536),
        {"x": floats((1, 16384)), "y": empty((1, 16384), "float32"), "cols": 16384},
        lambda x, cols: {"y": x[:, ::-1]},
        twin_launch=Launch(1, 256, 1024),
    ),
    Entry(
        "launch_block_beyond_its_bounds.cu",
        (BLOCK_TOO_LARGE,),
        Launch(1, 256),
        {"x": floats(200), "y": empty(200, "float32"), "n": 200},
        lambda x, n: {"y": x * x},
    ),
    Entry(
        "launch_block_of_a_padded_tile.cu",
        (BLOCK_TOO_LARGE,),
        Launch(1, (33, 32)),
        {"x": ints((30, 30)), "y": empty((30, 30)), "n": 30},
        lambda x, n: {"y": x.T},
        twin_launch=Launch(1, (32, 32)),
    ),
)

BUGS = (*SHARED_RACES, *GLOBAL_RACES, *BARRIERS, *WARPS, *BOUNDS, *UNWRITTEN, *INTEGERS, *LAUNCHES)

LAYOUT = np.dtype([("dims", "int32"), ("reversed", "bool"), ("sizes", "int64", 4), ("strides", "int64", 4)], align=True)


def correct(
    file: str,
    launch: Launch,
    arguments: Mapping[str, Argument],
    expected: Callable[..., Mapping[str, np.ndarray]],
    **more: float | tuple[str, ...],
) -> Entry:
    return Entry(file, (), launch, arguments, expected, **more)


CORRECT = (
    correct(
        "correct_last_block_done.cu",
        Launch(5, 64),
        {"x": ints(300), "partials": empty(5), "total": empty(1), "n": 300},
        lambda x, n: {"total": x.sum(keepdims=True), "partials": block_sums(x, 64)},
    ),
    correct(
        "correct_sum_and_count_in_one_atomic.cu",
        Launch(3, 64),
        {"x": ints(300, 0, 9), "sum_and_count": zeros(1, "uint64"), "total": empty(1, "int64"), "n": 300},
        lambda x, n: {"total": x.sum(keepdims=True), "sum_and_count": x.sum(keepdims=True) + (6 << 48)},
    ),
    correct(
        "correct_same_value_stored.cu",
        Launch(3, 64),
        {"x": ints(150), "any": zeros(1), "n": 150},
        lambda x, n: {"any": np.array([1])},
    ),
    correct(
        "correct_early_return_of_warps.cu",
        Launch(3, 128),
        {"x": ints(290), "sums": empty(3), "n": 290},
        lambda x, n: {"sums": block_sums(x, 128)},
    ),
    correct(
        "correct_early_return_of_lanes.cu",
        Launch(2, 64),
        {"x": ints(104), "y": empty(104), "n": 104},
        lambda x, n: {"y": np.concatenate((x[:64][::-1], x[64:][::-1]))},
    ),
    correct(
        "correct_atomics_of_the_active.cu",
        Launch(2, 64),
        {"x": ints(300), "kept": zeros(300), "count": zeros(1), "n": 300},
        lambda x, n: {"kept": x.clip(0), "count": (x > 0).sum(keepdims=True)},
        unordered=("kept",),
    ),
    correct(
        "correct_shuffles_in_two_branches.cu",
        Launch(2, 64),
        {"a": ints(128), "b": ints(128), "y": empty((4, 16, 2))},
        lambda a, b: {
            "y": np.stack([a.reshape(4, 16, 2)[:, :, 0].sum(1), b.reshape(4, 16, 2)[:, :, 1].max(1)], 1)[:, None]
            * np.ones((1, 16, 1), int)
        },
    ),
    correct(
        "correct_block_of_any_size.cu",
        Launch(3, 100),
        {"x": ints(300), "sums": empty(3)},
        lambda x: {"sums": block_sums(x, 100)},
    ),
    correct(
        "correct_block_of_any_size_whole_mask.cu",
        Launch(1, 48),
        {"x": ints(48), "first_of_warp": empty(48), "any_negative": empty(48, "bool")},
        lambda x: {
            "first_of_warp": x[[0] * 32 + [32] * 16],
            "any_negative": np.repeat([(x[:32] < 0).any(), (x[32:] < 0).any()], [32, 16]),
        },
    ),
    correct(
        "correct_grid_stride_and_atomic_max.cu",
        Launch(3, 64),
        {"x": floats(500, 0, 99), "largest": zeros(1, "float32"), "n": 500},
        lambda x, n: {"largest": x.max(keepdims=True)},
    ),
    correct(
        "correct_scan_in_two_buffers.cu",
        Launch(2, 96, 768),
        {"x": ints(150), "scanned": empty(150), "n": 150},
        lambda x, n: {"scanned": np.concatenate((x[:96].cumsum(), x[96:].cumsum()))},
    ),
    correct(
        "correct_tiles_of_sixteen.cu",
        Launch(2, 64),
        {"x": floats((7, 11)), "y": empty((7, 11), "float32"), "rows": 7, "cols": 11},
        lambda x, rows, cols: {"y": softmax(x)},
        relative=softmax_error(4),
    ),
    correct(
        "correct_half2_dot.cu",
        Launch(1, 64),
        {"a": ints(101, dtype="float16"), "b": ints(101, dtype="float16"), "total": zeros(1, "float32"), "n": 101},
        lambda a, b, n: {"total": (a * b).astype("float32").sum(keepdims=True)},
    ),
    correct(
        "correct_tickets.cu",
        Launch(3, 64),
        {"x": ints((10, 90)), "sums": empty(10), "next": zeros(1), "rows": 10, "cols": 90},
        lambda x, rows, cols: {"sums": x.sum(1), "next": np.array([13])},
    ),
    correct(
        "correct_volatile_last_warp.cu",
        Launch(2, 128),
        {"x": floats((2, 128), -99, 99), "largest": empty(2, "float32")},
        lambda x: {"largest": x.max(1)},
    ),
    correct(
        "correct_match_any_histogram.cu",
        Launch(2, 64),
        {"x": ints(100, 0, 9), "histogram": zeros(10), "n": 100},
        lambda x, n: {"histogram": np.bincount(x, minlength=10)},
    ),
    correct(
        "correct_scratch_used_twice.cu",
        Launch(1, 64),
        {"x": ints(64), "y": empty(64)},
        lambda x: {
            "y": (lambda bytes_: 100 * np.roll(bytes_, -1) + bytes_)((x * np.tile(x[:32] + x[32:], 2))[::-1] & 63)
        },
    ),
    correct(
        "correct_struct_by_value.cu",
        Launch(1, 64),
        {
            "x": floats((5, 3, 4)),
            "y": empty(60, "float32"),
            "layout": np.array((3, True, [4, 5, 3, 1], [1, 12, 4, 0]), LAYOUT)[()],
            "n": 60,
        },
        lambda x, layout, n: {"y": x.transpose(2, 0, 1).ravel()[::-1]},
    ),
    correct(
        "correct_dynamic_shared_in_two_parts.cu",
        Launch(3, 64, 512),
        {"x": floats((3, 100), -20, 20), "largest": empty(3, "float32"), "where": empty(3), "cols": 100},
        lambda x, cols: {"largest": x.max(1), "where": x.argmax(1)},
    ),
    correct(
        "correct_constant_and_device_variables.cu",
        Launch(2, 64),
        {"x": floats((2, 64)), "y": empty((2, 64), "float32")},
        lambda x: {"y": (1 - 2 * x + 0.5 * x**2 + 4 * x**3)[:, ::-1]},
    ),
    correct(
        "correct_single_warp_transpose.cu",
        Launch(1, 64),
        {"x": ints((2, 32, 32)), "y": empty((2, 32, 32))},
        lambda x: {"y": x.transpose(0, 2, 1)},
    ),
    correct(
        "correct_lock.cu",
        Launch(3, 64),
        {"x": ints(300), "lock": zeros(1), "sum": zeros(1, "int64"), "count": zeros(1), "n": 300},
        lambda x, n: {"sum": x.sum(keepdims=True), "count": np.array([300]), "lock": np.array([0])},
    ),
    correct(
        "correct_neighbours_of_the_tail.cu",
        Launch(2, 64),
        {"x": ints(90), "y": empty(90), "n": 90},
        lambda x, n: {"y": np.append(np.diff(x), 0)},
    ),
    correct(
        "correct_bitonic_sort.cu",
        Launch(2, 128),
        {"x": ints((2, 128), -99, 99), "y": empty((2, 128))},
        lambda x: {"y": np.sort(x, 1)},
    ),
    correct(
        "correct_work_efficient_scan.cu",
        Launch(2, 64),
        {"x": ints((2, 128)), "scanned": empty((2, 128))},
        lambda x: {"scanned": x.cumsum(1) - x},
    ),
    correct(
        "correct_matrix_product.cu",
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
    correct(
        "correct_online_softmax.cu",
        Launch(2, (32, 4)),
        {"x": lambda rng: masked(floats((7, 50))(rng)), "y": empty((7, 50), "float32"), "rows": 7, "cols": 50},
        lambda x, rows, cols: {"y": np.append(softmax(x[:-1]), np.zeros((1, 50)), axis=0)},
        # 7 states are merged on the way to a sum: expf (2 ulp of 2**-23), a product, an addition. Then as softmax_error
        relative=(7 * 6 + 5) * 2.0**-24,
    ),
    correct(
        "correct_reads_of_what_is_not_used.cu",
        Launch(2, 64),
        {"x": floats(100), "y": empty(100, "float32"), "n": 100},
        lambda x, n: {"y": np.where((np.arange(100) % 64 < 63) & (np.arange(100) < 99), x + np.roll(x, -1), x)},
    ),
    correct(
        "correct_float_atomics.cu",
        Launch(3, 64),
        {"x": lambda rng: rng.random(700).astype("float32"), "total": zeros(1, "float32"), "n": 700},
        lambda x, n: {"total": x.astype("float64").sum(keepdims=True)},
        relative=(4 + 5 + 6) * 2.0**-24,  # additions of positive numbers, one after another in the worst path
    ),
    correct(
        "correct_unsigned_wraps.cu",
        Launch(2, 32),
        {"seeds": ints(100), "y": empty(100, "uint32"), "n": 100},
        lambda seeds, n: {
            "y": hashed(hashed(seeds.astype("uint32") - np.uint32(2)) + np.arange(100, dtype="uint32"))
            - np.uint32(4000000000)
        },
    ),
    correct(
        "correct_pointer_before_the_array.cu",
        Launch(1, 64),
        {"x": ints((50, 7)), "sums": empty(50), "rows": 50, "cols": 7},
        lambda x, rows, cols: {"sums": x.sum(1)},
    ),
    correct(
        "correct_negative_stride.cu",
        Launch(2, 32),
        {"x": lambda rng: ints(50)(rng)[::-1], "scanned": empty(50), "stride": -1, "n": 50},
        lambda x, stride, n: {"scanned": x.cumsum()},
    ),
    correct(
        "correct_in_place.cu",
        Launch(2, 32),
        {"x": floats(100), "y": Same("x"), "n": 100},
        lambda x, n: {"x": 2 * x + 1},
    ),
    correct(
        "correct_barriers_under_uniform_conditions.cu",
        Launch(4, 64),
        {"starts": given([0, 150, 150, 200, 264]), "x": ints(264), "y": empty(264), "sums": empty(4)},
        lambda starts, x: {
            "y": np.concatenate([x[a:b][::-1] for a, b in pairwise((0, 64, 128, 150, 200, 264))]),
            "sums": np.array([x[a:b].sum() for a, b in pairwise(starts)]) * [1, -1, 1, -1],
        },
    ),
    correct(
        "correct_neighbouring_bytes.cu",
        Launch(1, 128),
        {"x": ints(128, 0, 999), "bytes": empty((128, 2), "uint8"), "halves": empty(128, "int16")},
        lambda x: {
            "bytes": np.stack((x & 255, x % 2 == 0), 1),
            "halves": ((x & 255) + (x % 2 == 0) * 1000)[::-1],
        },
    ),
    correct(
        "correct_struct_in_shared.cu",
        Launch(2, 64),
        {"x": given(np.arange(100) * 37 % 100), "y": empty((2, 2)), "n": 100},
        lambda x, n: {
            "y": np.array(
                [[max(even := x[a:b][x[a:b] % 2 == 0]), list(x).index(max(even))] for a, b in ((0, 64), (64, 100))]
            )
        },
    ),
    correct(
        "correct_spin_in_a_block.cu",
        Launch(2, 64),
        {"x": ints((2, 32)), "y": empty((2, 32))},
        lambda x: {"y": 3 * x[:, ::-1]},
    ),
    correct(
        "correct_compare_and_swap_loop.cu",
        Launch(2, 64),
        {"x": lambda rng: rng.random(100), "largest": zeros(1, "float64"), "n": 100},
        lambda x, n: {"largest": x.max(keepdims=True)},
    ),
    correct(
        "correct_local_arrays.cu",
        Launch(1, 32),
        {"x": ints((32, 4)), "y": empty((32, 4)), "counts": empty((32, 3))},
        lambda x: {
            "y": np.sort(x, 1)[:, ::-1],
            "counts": np.stack([(x % 3 == one).sum(1) for one in range(3)], 1),
        },
    ),
    correct(
        "correct_bfloat16_rows.cu",
        Launch(3, 32),
        {"x": ints((3, 77), -2, 2, "bfloat16"), "sums": empty(3, "bfloat16"), "cols": 77},
        lambda x, cols: {"sums": x.astype("float32").sum(1)},
    ),
    correct(
        "correct_last_block_as_in_the_guide.cu",
        Launch(5, 64),
        {"x": floats(300), "n": 300, "partials": empty(5, "float32")},
        lambda x, n: {"partials": np.append(x.sum(), block_sums(x, 64)[1:])},
    ),
    correct(
        "correct_fence_by_one_thread.cu",
        Launch(4, 64),
        {"x": ints((12, 64)), "partials": empty((4, 64)), "done": zeros(1), "sums": empty(64), "rows_each": 3},
        lambda x, rows_each: {"sums": x.sum(0)},
    ),
    correct(
        "correct_fence_by_every_lane.cu",
        Launch(3, 64),
        {"x": ints((6, 32)), "partials": empty((6, 32)), "done": zeros(1), "sums": empty(32), "warps": 6},
        lambda x, warps: {"sums": 3 * x.sum(0)},
    ),
    correct(
        "correct_lock_by_every_thread.cu",
        Launch(2, 64),
        {"x": ints(100, -999, 999), "lock": zeros(1), "smallest": given([1000]), "second": given([1000]), "n": 100},
        lambda x, smallest, second, n: {"smallest": np.sort(x)[:1], "second": np.sort(x)[1:2]},
    ),
    correct(
        "correct_coalesced_group.cu",
        Launch(2, 64),
        {"x": ints(100), "count": zeros(1), "sum": zeros(1), "n": 100},
        lambda x, n: {"count": (x > 0).sum(keepdims=True), "sum": x.clip(0).sum(keepdims=True)},
    ),
    correct(
        "correct_block_of_three_dimensions.cu",
        Launch(2, (8, 4, 3)),
        {"x": ints((2, 12, 8)), "sums": empty((2, 12)), "firsts": empty((2, 3))},
        lambda x: {"sums": x.sum(2), "firsts": x[:, ::4, 0]},
    ),
    correct(
        "correct_half_maximum.cu",
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
    correct(
        "correct_division_of_floats.cu",
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
    correct(
        "correct_signed_bits.cu",
        Launch(2, 64),
        {"x": ints((4, 32)), "ranks": empty((4, 32))},
        lambda x: {"ranks": np.where(x > 0, (x > 0).cumsum(1) - 1, -1)},
    ),
)

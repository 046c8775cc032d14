"""What a planted bug or a correct kernel is to the test: a launch, its arguments, and what is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

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
    name: str
    """Of the file, without `.cu`."""
    kind: str | None
    """The kind of fault that `planted` has; None where the file has no such kernel."""
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
    def file(self) -> str:
        return f"{self.name}.cu"


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

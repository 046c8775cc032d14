"""The memory of the CPU device: arrays between guard zones, what was not written, and what differs between two runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

GUARD = 512
"""Bytes before and after each array that no kernel may touch."""
ALIGNMENT = 256
"""Of the first element of an array, as cudaMalloc has it."""
_REFILL = 0x3F9D9D9D3F9D9D9D
"""Another value for what was not written; 1.23 as float32: whatever it is added to changes, and so does it."""

# the bits of an element that was not written, a quiet NaN where it is a floating number
_UNWRITTEN = {"float64": 0x7FFE5A5A5A5A5A5A, "float32": 0x7FE5A5A5, "float16": 0x7FA5, "bfloat16": 0x7FE5}
_BYTE = 0xA5


class CpuArray:
    """An array of the CPU device: a view of elements, with any strides, in an allocation with guard zones."""

    def __init__(self, memory: np.ndarray, view: np.ndarray) -> None:
        self.memory = memory
        self.view = view

    @property
    def shape(self) -> tuple[int, ...]:
        return self.view.shape

    @property
    def strides(self) -> tuple[int, ...]:
        """In bytes, of any sign."""
        return self.view.strides

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.view.dtype

    @property
    def ndim(self) -> int:
        return self.view.ndim

    @property
    def size(self) -> int:
        return self.view.size

    @property
    def nbytes(self) -> int:
        return self.view.nbytes

    @property
    def inside(self) -> np.ndarray:
        """The bytes between the guard zones."""
        return self.memory[GUARD : len(self.memory) - GUARD]

    @property
    def words(self) -> np.ndarray:
        """The elements' bits, in the order in which they lie."""
        return self.inside.view(np.dtype(f"u{self.dtype.itemsize}"))

    @property
    def unwritten(self) -> int:
        """The bits of an element that was not written."""
        size = self.dtype.itemsize
        return _UNWRITTEN.get(self.dtype.name) or int.from_bytes(bytes([_BYTE]) * size, "little")


def from_host(array: np.ndarray) -> CpuArray:
    """A copy on the device with the same strides, 0 and negative ones too."""
    made = _allocated(array.shape, array.strides, array.dtype)
    if array.size:
        made.view[...] = array
    return made


def to_host(array: CpuArray) -> np.ndarray:
    """The elements, as a view of the device's memory."""
    return array.view


def unwritten(shape: tuple[int, ...], kind: np.dtype[Any]) -> CpuArray:
    """A C-contiguous array that nothing has written."""
    steps = [kind.itemsize * math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    made = _allocated(shape, tuple(steps), kind)
    made.words[...] = made.unwritten
    return made


def _allocated(shape: tuple[int, ...], strides: tuple[int, ...], kind: np.dtype[Any]) -> CpuArray:
    reach = [(size - 1) * step for size, step in zip(shape, strides, strict=True)] if math.prod(shape) else []
    low, high = sum(one for one in reach if one < 0), sum(one for one in reach if one > 0)
    extent = high - low + kind.itemsize if math.prod(shape) else 0
    memory = np.empty(extent + 2 * GUARD + ALIGNMENT, np.uint8)
    # the allocation starts at an address that cudaMalloc would give, whatever malloc gave
    start = -(memory.ctypes.data + GUARD) % ALIGNMENT + GUARD
    memory = memory[start - GUARD : start + extent + GUARD]
    memory[:GUARD] = memory[GUARD + extent :] = _BYTE
    return CpuArray(memory, np.ndarray(shape, kind, memory, GUARD - low, strides))


def refill(array: CpuArray, word: int) -> None:
    """Give what was not written another value: whoever depends on it comes to another result."""
    words = array.words
    words[words == array.unwritten] = _cut(word, array)


def refill_of(number: int) -> int:
    """Each array of a launch has a value of its own, so that a copy of what was not written does not look unwritten."""
    return _REFILL ^ number * 0x0001000100010001


def touched_guard(array: CpuArray) -> str:
    """What was written outside the array, as text; "" if nothing was."""
    low, high = (np.flatnonzero(zone != _BYTE) for zone in (array.memory[:GUARD], array.memory[-GUARD:]))
    if len(high):
        return f"the byte {high[0]} past its end of {len(array.inside)} bytes was written"
    return f"the byte {GUARD - low[-1]} before its start was written" if len(low) else ""


def difference(array: CpuArray, memory: np.ndarray, *, refilled: int | None = None) -> str:
    """Where an array differs from its memory after another run, as text; "" where it does not.

    A NaN is a NaN, whatever its bits: CUDA does not say which one an operation makes. `refilled`: what was not written
    has this value now, and that alone is no difference.
    """
    here, there = array.words, memory[GUARD : len(memory) - GUARD].view(array.words.dtype)
    differs = here != there
    if refilled is not None:
        differs &= ~((there == array.unwritten) & (here == _cut(refilled, array)))
    if not np.any(differs):
        return ""
    new, old = here.view(array.dtype), there.view(array.dtype)
    if array.dtype.kind != "V" and array.dtype.names is None:
        differs &= ~((new != new) & (old != old))
        if not np.any(differs):
            return ""
    at = int(np.flatnonzero(differs)[0])
    return f"element {at} is {old[at]!s} and {new[at]!s}"


def _cut(word: int, array: CpuArray) -> int:
    return word >> (64 - 8 * array.dtype.itemsize)

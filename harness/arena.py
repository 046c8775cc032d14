"""Shared memory between supervisor and one worker: inputs in every layout, poisoned slots for answers, guard zones."""

from __future__ import annotations

import fcntl
import mmap
import os
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.wire import GUARD, POPULATE, Placed

PAGE = 1 << 20
MARGIN = 0xFF
"""Guard zones and gaps around inputs are NaN in every floating format: reading them shows in the answer."""
POISON = 0xA5


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """A stretch of the arena that the worker must leave as it is; `written` is what the supervisor wrote there."""

    start: int
    stop: int
    placed: Placed
    written: np.ndarray

    def own(self) -> np.ndarray:
        """The array as the supervisor wrote it: a view of `written`, which the worker does not reach."""
        return replace(self.placed, offset=self.placed.offset - self.start).view(self.written)


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of the arena for one answer, guard zones on either side not included."""

    start: int
    stop: int


def extent(shape: Sequence[int], itemsize: int, layout: str) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    """(shape of the block of memory, strides in bytes, offset of the first element, bytes of lead) for a layout."""
    shape = tuple(shape)
    rank = len(shape)
    lead = first = 0
    block = shape
    if layout == "strided" and rank:
        block = (*shape[:-1], 2 * shape[-1])
    if layout == "expanded" and rank:
        block = (1, *shape[1:])
    strides = [itemsize] * rank
    order = range(rank) if layout == "transposed" else reversed(range(rank))
    step = itemsize
    for axis in order:
        strides[axis] = step
        step *= max(1, block[axis])
    if layout == "strided" and rank:
        strides[-1] *= 2
    if layout == "expanded" and rank:
        strides[0] = 0
    if layout == "reversed" and rank:
        first = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True) if size)
        strides = [-stride for stride in strides]
    if layout == "offset":
        lead = itemsize
    return block, tuple(strides), first, lead


class Arena:
    """A growing block of shared memory. `descriptor` is handed to the worker, which maps the same bytes."""

    def __init__(self) -> None:
        self.descriptor = _anonymous_file()
        self.memory = np.empty(0, np.uint8)
        self._used = 0
        self._regions: list[Region] = []
        self._slots: list[Slot] = []

    @property
    def bytes(self) -> int:
        return self.memory.size

    def clear(self) -> None:
        """Forget what was placed; the same sequence of placements gets the same addresses again."""
        self._used = GUARD
        self._regions.clear()
        self._slots.clear()

    def reserve(self, count: int) -> None:
        """Make room for at least `count` bytes in all; must come before the first placement."""
        if count > self.memory.size:
            size = -(-count // PAGE) * PAGE
            # a worker may have made it longer, which costs nothing and cannot be undone
            if os.fstat(self.descriptor).st_size < size:
                os.ftruncate(self.descriptor, size)
            mapped = mmap.mmap(self.descriptor, size, flags=mmap.MAP_SHARED | POPULATE)
            self.memory = np.frombuffer(mapped, np.uint8)

    def place(self, array: np.ndarray, layout: str = "contiguous") -> Region:
        """Write an array in a layout, with guard zones of NaN around it and NaN in its gaps."""
        block, strides, first, lead = extent(array.shape, array.itemsize, layout)
        count = int(np.prod(block)) * array.itemsize + lead
        start = self._take(count + 2 * GUARD)
        offset = start + GUARD + lead
        stop = start + count + 2 * GUARD
        if layout == "strided":  # gaps between all elements
            self.memory[start:stop] = MARGIN
        else:
            self.memory[start:offset] = self.memory[stop - GUARD : stop] = MARGIN
        placed = Placed(offset + first, array.shape, strides, array.dtype.name)
        if array.size:
            target = placed.view(self.memory)
            (target[:1] if layout == "expanded" and array.ndim else target)[...] = (
                array[:1] if layout == "expanded" and array.ndim else array
            )
        region = Region(start, stop, placed, self.memory[start:stop].copy())
        self._regions.append(region)
        return region

    def shared(self, region: Region) -> np.ndarray:
        """The array where the worker sees it."""
        return region.placed.view(self.memory)

    def slot(self, count: int) -> Slot:
        """Room for an answer of `count` bytes, poisoned, with poisoned guard zones."""
        start = self._take(count + 2 * GUARD)
        self.memory[start : start + count + 2 * GUARD] = POISON
        slot = Slot(start + GUARD, start + GUARD + count)
        self._slots.append(slot)
        return slot

    def read(self, offset: int, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """A private copy of an answer."""
        count = int(np.prod(shape)) * dtype.itemsize
        return self.memory[offset : offset + count].copy().view(dtype).reshape(tuple(shape))

    def damage(self, regions: Collection[Region] | None = None) -> str:
        """What the worker changed that was not its to change, or an empty string; looked at are `regions` (None: all)
        and the room for answers."""
        for number, region in enumerate(self._regions):
            if regions is not None and region not in regions:
                continue
            now = self.memory[region.start : region.stop]
            if _same(now, region.written):
                continue
            places = np.flatnonzero(now != region.written)
            if bool(np.all((places < GUARD) | (places >= region.written.size - GUARD))):
                return f"wrote outside of input {number}: the guard zone is damaged"
            return f"modified its input {number}: {places.size} bytes changed"
        for slot in self._slots:
            low = self.memory[slot.start - GUARD : slot.start]
            high = self.memory[slot.stop : slot.stop + GUARD]
            if bool(np.any(low != POISON)) or bool(np.any(high != POISON)):
                return "wrote outside of its output: the guard zone is damaged"
        return ""

    def close(self) -> None:
        os.close(self.descriptor)

    def _take(self, count: int) -> int:
        start = self._used
        self._used += count + (-count) % GUARD
        if self._used > self.memory.size:
            raise MemoryError(f"the arena holds {self.memory.size} bytes and {self._used} were asked for")
        return start


def elements(array: np.ndarray) -> Any:
    """The elements of an array one after the other, to read and write by index: memory itself, where its order allows
    that, since numpy.flatiter takes ten times as long."""
    return array.reshape(-1) if array.flags.c_contiguous else array.flat


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two stretches of aligned bytes are equal; eight at a time, which needs an eighth of the memory."""
    whole = left.size // 8 * 8
    return np.array_equal(left[:whole].view(np.uint64), right[:whole].view(np.uint64)) and np.array_equal(
        left[whole:], right[whole:]
    )


def placed_bytes(array: np.ndarray, layout: str = "contiguous") -> int:
    """How many bytes of arena `place` takes for this array."""
    block, _, _, lead = extent(array.shape, array.itemsize, layout)
    return slot_bytes(int(np.prod(block)) * array.itemsize + lead)


def slot_bytes(count: int) -> int:
    """How many bytes of arena `slot` takes for an answer of `count` bytes."""
    total = count + 2 * GUARD
    return total + (-total) % GUARD


def _anonymous_file() -> int:
    """A file without a name, in memory where the platform has that."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("harness-arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        # a worker that shrinks it would kill the supervisor, which has it mapped; one that seals it stops its growth
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
        return descriptor
    folder = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryFile(dir=folder) as file:
        return os.dup(file.fileno())

"""The fastest that this machine copies memory, measured in the same run, for working sets of each size; and how fast it
computes (harness.timing.reference)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from harness.machine import usable_cores
from harness.timing import reference

ROTATION = 3
"""Buffers that are copied in turn, as inputs rotate while a kernel is timed."""
SMALLEST = 1 << 12
PASS_S = 0.03


def size_class(count: int) -> int:
    """The power of two, at least 4 KiB, that stands for a working set of `count` bytes."""
    return max(SMALLEST, 1 << max(0, int(count - 1).bit_length()))


class Ceilings:
    """Copy rates in bytes per second (read and written bytes both counted), measured once per size class."""

    def __init__(self) -> None:
        self._rates: dict[int, float] = {}
        self._references: list[dict[str, float]] = []

    def rate(self, count: int) -> float:
        """The best copy rate for a working set of `count` bytes, over one thread and over all cores."""
        size = size_class(count)
        if size not in self._rates:
            self._rates[size] = max(_copy_rate(size, threads) for threads in {1, len(usable_cores())})
        return self._rates[size]

    def refer(self) -> None:
        """Measure how fast the machine computes now: before times are taken, and after."""
        self._references.append(reference.measure(len(usable_cores())))

    def as_data(self) -> dict[str, float]:
        """Measured rates in GB/s by the working set's size in bytes, and those of the references by their keys."""
        copies = {str(size): rate / 1e9 for size, rate in sorted(self._rates.items())}
        return {**copies, **reference.over(self._references)}


def _copy_rate(size: int, threads: int) -> float:
    half = size // 2
    pairs = [(np.ones(half, np.uint8), np.ones(half, np.uint8)) for _ in range(ROTATION)]
    repeats = max(1, (1 << 16) // size)
    best = float("inf")
    with ThreadPoolExecutor(threads) as pool:

        def copy(number: int) -> None:
            target, source = pairs[number % ROTATION]
            if threads == 1:
                for _ in range(repeats):
                    np.copyto(target, source)
                return
            cuts = [half * part // threads for part in range(threads + 1)]
            list(
                pool.map(
                    lambda part: np.copyto(target[cuts[part] : cuts[part + 1]], source[cuts[part] : cuts[part + 1]]),
                    range(threads),
                )
            )

        end = time.perf_counter() + PASS_S
        number = 0
        while number < 2 * ROTATION or time.perf_counter() < end:
            start = time.perf_counter_ns()
            copy(number)
            best = min(best, time.perf_counter_ns() - start)
            number += 1
    return 2 * half * (repeats if threads == 1 else 1) / (best / 1e9)

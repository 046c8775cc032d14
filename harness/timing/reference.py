"""How fast this machine computes, by work that never changes: what a machine that got slower as a whole is known by.

It is done by the supervisor, while no worker runs, and takes a tenth of a second. The integer work is that of the
system's SHA-256 in registers, the other is numpy's multiply and add, and its exp, in the first level of the cache: no
code of a plugin or of this harness is in it, and the libraries in it are part of the machine's id.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

PASS_S = 0.015
"""Of each of the five measurements; the best call of it counts, since what disturbs only ever adds."""
LEAST_CALLS = 3
ROUNDS = 1000
"""Of SHA-256 in one call, which is some hundred microseconds."""
LENGTH = 1024
REPEATS = 128
"""A call goes over 8 KiB so many times: its own cost does not count."""
ONE, ALL = "1_thread", "all_threads"
UNITS = {
    f"integer_{ONE}": "M SHA-256 rounds/s",
    f"integer_{ALL}": "M SHA-256 rounds/s",
    f"multiply_add_{ONE}": "GFLOP/s",
    f"multiply_add_{ALL}": "GFLOP/s",
    f"exp_{ONE}": "M exp/s",
}
"""The keys of a run's ceiling that are no size of a copy, and what each counts."""


def is_reference(key: str) -> bool:
    """Whether a key of a run's ceiling is one of these, and not the bytes of a copy."""
    return not key.isdecimal()


def copies_of(ceiling: Mapping[str, float] | None) -> dict[int, float]:
    """The copy rates in GB/s by bytes of working set."""
    return {int(key): rate for key, rate in (ceiling or {}).items() if not is_reference(key)}


def references_of(ceiling: Mapping[str, float] | None) -> dict[str, float]:
    """The rates of computing, by the keys of UNITS; empty for runs that were made before there were any."""
    return {key: rate for key, rate in (ceiling or {}).items() if is_reference(key)}


def measure(threads: int) -> dict[str, float]:
    """One measurement of all: rates in UNITS, with one thread and with so many."""
    ones = np.linspace(0.5, 1.5, LENGTH)
    seen = np.broadcast_to(ones, (REPEATS, LENGTH))
    out = np.empty_like(ones)

    def integer() -> None:
        hashlib.pbkdf2_hmac("sha256", b"reference", b"work", ROUNDS)

    def multiply_add() -> None:
        np.einsum("ij,ij->", seen, seen)

    def exp() -> None:
        for _ in range(16):
            np.exp(ones, out=out)

    flops = 2.0 * REPEATS * LENGTH
    with ThreadPoolExecutor(max(1, threads)) as pool:

        def all_threads(work: Callable[[], None]) -> Callable[[], None]:
            def work_together() -> None:
                for one in [pool.submit(work) for _ in range(threads)]:
                    one.result()

            return work_together

        all_threads(integer)()  # starts the threads
        return {
            f"integer_{ONE}": ROUNDS / _best_ns(integer) * 1e3,
            f"integer_{ALL}": threads * ROUNDS / _best_ns(all_threads(integer)) * 1e3,
            f"multiply_add_{ONE}": flops / _best_ns(multiply_add),
            f"multiply_add_{ALL}": threads * flops / _best_ns(all_threads(multiply_add)),
            f"exp_{ONE}": 16 * LENGTH / _best_ns(exp) * 1e3,
        }


def over(taken: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Several measurements of a run as one: their geometric means."""
    keys = taken[0] if taken else ()
    return {key: math.exp(sum(math.log(one[key]) for one in taken) / len(taken)) for key in keys}


def _best_ns(work: Callable[[], None]) -> float:
    best, calls, end = math.inf, 0, time.perf_counter() + PASS_S
    while calls < LEAST_CALLS or time.perf_counter() < end:
        start = time.perf_counter_ns()
        work()
        best = min(best, time.perf_counter_ns() - start)
        calls += 1
    return max(1.0, best)

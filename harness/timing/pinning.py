"""On which core a worker runs. Two workers on two cores differ by percents: by neighbours on the same hardware, by what
their caches hold, by frequency; one after the other on the same core, that cancels in the pairs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

SEVERAL_THREADS = 1.1
"""CPU time over wall time from which a call runs on several threads, which one core must not be forced upon."""
_placed: dict[int, set[int]] = {}
"""By process: the cores that it was given last."""


def pin(pids: Iterable[int], number: int) -> None:
    """Have the first thread of each process run on one core, the same for all: that of `number`, counted around."""
    cores = _cores()
    if len(cores) > 1:
        _place(pids, {cores[number % len(cores)]})


def unpin(pids: Iterable[int]) -> None:
    """Give the first thread of each process all cores that we have; threads that it starts then have them too."""
    cores = _cores()
    if cores:
        _place(pids, set(cores))


def is_where_placed(pid: int) -> bool:
    """Whether a process still has the cores that it was given last, as far as that can be told."""
    given = _placed.get(pid)
    try:
        return given is None or os.sched_getaffinity(pid) == given
    except OSError:
        return True  # it has ended


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _place(pids: Iterable[int], cores: set[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):  # the process has ended, or a container forbids it
            os.sched_setaffinity(pid, cores)
            _placed[pid] = cores

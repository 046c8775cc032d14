"""Around plugin code in a worker's process: its limits, its global state, what the system counts, what errors say."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import traceback
from typing import Any

import numpy as np

from harness import wire
from harness.cuda.faults import KernelFault
from harness.implement import Backend, Unsupported

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


SHIFTED = 100_000
"""Bytes that come from the end of the heap, not from a gap in it, nor from pages of their own."""


class Raised:
    """An exception in place of an answer."""

    def __init__(self, error: BaseException) -> None:
        # a kernel that is wrong has not raised what bad input must raise
        is_wrong = isinstance(error, KernelFault)
        refuses = "unsupported" if isinstance(error, Unsupported) else "error"
        self.kind = "failed" if is_wrong else "out_of_memory" if is_out_of_memory(error) else refuses
        last = traceback.extract_tb(error.__traceback__)[-1:]
        place = f" ({os.path.basename(last[0].filename)}:{last[0].lineno})" if last else ""
        said = _said(error)[: wire.LONGEST_TEXT]
        named = f"{type(error).__name__}: {said}{place}" if said else f"{type(error).__name__}{place}"
        self.text = said if is_wrong or refuses == "unsupported" else named


def _said(error: BaseException) -> str:
    """The message of an exception, whose own code may fail."""
    try:
        return str(error)
    except Exception:
        return "its message cannot be shown"


def is_out_of_memory(error: BaseException) -> bool:
    text = _said(error).lower()
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text


def usage_so_far() -> tuple[int, int, int, int] | None:
    """Page faults (minor, major) and switches (voluntary, involuntary) of this process, where they are counted."""
    if resource is None:
        return None
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_minflt, used.ru_majflt, used.ru_nvcsw, used.ru_nivcsw


def process_state() -> tuple[tuple[str, Any], ...]:
    """Global state that outlives a call and that an implementation has no business to change."""
    smallest = np.float64(2.0**-1022)
    return (
        ("flush-to-zero mode", bool(smallest * np.float64(0.5) == 0.0)),
        ("rounding mode", tuple(float(np.float64(1.0) + np.float64(part * 2.0**-53)) for part in (0.5, 1.5))),
        ("NumPy error state", str(np.geterr())),
        ("current directory", os.getcwd()),
    )


def works(backend: Backend) -> bool:
    """Whether the device still answers: after some errors no call of the process does (a CUDA context is lost)."""
    try:
        backend.wait()
        return True
    except Exception:
        return False


def changes(before: tuple[tuple[str, Any], ...], after: tuple[tuple[str, Any], ...]) -> str:
    return ", ".join(name for (name, was), (_, now) in zip(before, after, strict=True) if was != now)


_kept: list[bytearray] = []


def shift_memory() -> None:
    """Have what is allocated from now on begin at another multiple of 16 bytes in each process. The system draws the
    pages anew for each, and no place within them: whether an array lies at a multiple of 64 bytes, which makes percents
    of the time, would be the same in all workers of a version, and another for the next version (Mytkowicz et al.,
    Producing Wrong Data Without Doing Anything Obviously Wrong!, 2009)."""
    _kept.append(bytearray(SHIFTED + 16 * os.urandom(1)[0]))


def trim_memory() -> None:
    """Hand freed memory back to the kernel, where the C library can: what a call then needs shows in the peak."""
    import ctypes

    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def limit_memory(limit: int) -> None:
    if resource is None:
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def die_with_parent() -> None:
    """Ask Linux to kill this process when the supervisor is gone, even from inside an endless loop."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL

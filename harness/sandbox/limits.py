"""Limits of a process, and rights of the superuser that it gives away; all of it is inherited by what it starts."""

from __future__ import annotations

import contextlib
import os
import resource
import struct

from harness.sandbox import kernel

LARGEST_FILE = 2 << 30
"""Bytes of one file; how many of them there are is limited where the scratch folder is in memory alone."""
DESCRIPTORS = 4096
LOCKED_BYTES = 64 << 20
PROCESSES = 4096
"""Processes and threads beyond those that run now: the kernel counts all of a user. Pools of threads need fewer."""
VICTIM = "500"
"""Where memory runs out, the kernel ends processes with a high number here first."""
_CAPABILITIES = 64


def limit(*, devices: bool) -> None:
    """`devices`: drivers of GPUs lock memory. Raises OSError or ValueError."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, LARGEST_FILE)
    _lower(resource.RLIMIT_NOFILE, DESCRIPTORS)
    _lower(resource.RLIMIT_NPROC, running() + PROCESSES)
    _lower(resource.RLIMIT_RTPRIO, 0)
    _lower(resource.RLIMIT_MSGQUEUE, 0)
    if not devices:
        _lower(resource.RLIMIT_MEMLOCK, LOCKED_BYTES)


def _lower(which: int, to: int) -> None:
    _, hard = resource.getrlimit(which)
    most = to if hard == resource.RLIM_INFINITY else min(to, hard)
    resource.setrlimit(which, (most, most))


def running() -> int:
    """Threads on this machine now."""
    with open("/proc/loadavg", encoding="ascii") as file:
        return int(file.read().split()[3].partition("/")[2])


def be_the_victim() -> None:
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write(VICTIM)


def drop_capabilities() -> None:
    """Give away what the superuser may, now and after an exec. Raises OSError."""
    effective = capabilities()
    if effective:
        for number in range(_CAPABILITIES):
            try:
                kernel.prctl(kernel.PR_CAPBSET_DROP, number)
            except OSError:  # there are no more of them
                break
        # version 3 of the structure: two times effective, permitted and inheritable
        kernel.capset(struct.pack("=Ii", 0x20080522, 0), struct.pack("=6I", *[0] * 6))
    if capabilities():
        raise OSError("capabilities are left")


def capabilities() -> int:
    """Those in effect, as bits."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        line = next(line for line in file if line.startswith("CapEff"))
    return int(line.split()[1], 16)


def watched_threads() -> int:
    """Threads of this process: what landlock says holds for the one that asked, and for those that it starts."""
    return len(os.listdir("/proc/self/task"))

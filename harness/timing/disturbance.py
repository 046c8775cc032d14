"""How much of the machine others used while times were taken: wide intervals should say where they come from."""

from __future__ import annotations

import os
import resource
import time

import psutil


class Disturbance:
    """Starts to count when it is made."""

    def __init__(self) -> None:
        self._since = _now()

    def share(self) -> float | None:
        """Share (0 to 1) of the cores' time since then that went to processes other than this one and the workers that
        have ended; None where too little time has passed to tell."""
        wall, busy, own = (now - before for now, before in zip(_now(), self._since, strict=True))
        if wall < 1.0:
            return None
        return min(1.0, max(0.0, busy - own) / (wall * (os.cpu_count() or 1)))


def _now() -> tuple[float, float, float]:
    """Wall seconds; CPU seconds of the whole machine; CPU seconds of this process and of its ended children."""
    times = psutil.cpu_times()
    busy = times.user + times.system + getattr(times, "irq", 0.0) + getattr(times, "softirq", 0.0)
    busy += getattr(times, "nice", 0.0) + getattr(times, "steal", 0.0)
    own = sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )
    return time.monotonic(), busy, own

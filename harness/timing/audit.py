"""The second clock: what a worker says of its own time, held against the supervisor's clock and against physics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.process import Elapsed

IMPOSSIBLE = 4.0
"""Times the copy ceiling at which a rate cannot be true: reading alone beats a copy by up to about two."""
GRACE_NS = 10_000.0
REQUEST_GRACE_NS = 400_000.0
"""Nanoseconds per call, and per request, that stay unexplained without suspicion."""
CALLS_SHARE = 0.1
COPYING_SHARE = 0.25
"""Shares of the claimed time that may stay unexplained, while calls run and while answers are copied out (which is
slower on a busy machine). The audit cannot see a smaller lie."""
QUANTILE = 0.1


@dataclass(frozen=True, slots=True)
class Cost:
    """What the harness itself adds to a phase of a request of n calls: `request_ns` + n * `call_ns`."""

    request_ns: float
    call_ns: float

    def per_call_ns(self, calls: int) -> float:
        return self.request_ns / calls + self.call_ns


@dataclass(frozen=True, slots=True)
class Overhead:
    """The harness's own cost up to the end of the calls, and from there on (copying answers out). Measured with calls
    that do nothing, in the same worker, before any plugin was imported there."""

    calls: Cost
    copying: Cost


@dataclass(frozen=True, slots=True)
class _Request:
    """One request by both clocks, per call."""

    unexplained_ns: float
    copying_ns: float
    claimed_ns: float


@dataclass(slots=True)
class Audit:
    """Time that the supervisor saw pass and the worker did not claim, per call, over the requests of one task."""

    overhead: Overhead
    calls: int = 1
    _requests: list[_Request] = field(default_factory=list)

    def add(self, elapsed: Elapsed, claimed_ns: int, calls: int) -> None:
        """One request of `calls` calls: what the supervisor saw, and the sum of the worker's readings."""
        request = _Request((elapsed.calls_ns - claimed_ns) / calls, elapsed.copying_ns / calls, claimed_ns / calls)
        if calls != self.calls:
            self._requests.clear()
            self.calls = calls
        self._requests.append(request)

    def contradiction(self) -> str:
        """Why the claimed times cannot be believed, or an empty string."""
        if not self._requests:
            return ""
        claimed = float(np.median([one.claimed_ns for one in self._requests]))
        unexplained = [one.unexplained_ns for one in self._requests]
        copying = [one.copying_ns for one in self._requests]
        hidden = max(
            self._hidden(unexplained, self.overhead.calls, CALLS_SHARE * claimed),
            self._hidden(copying, self.overhead.copying, COPYING_SHARE * claimed),
        )
        if not hidden <= 0.0:
            return (
                f"it claims {claimed / 1e3:.1f} us per call, but by the supervisor's clock {hidden / 1e3:.1f} us per "
                "call more went by: work is hidden from the worker's clock"
            )
        return ""

    def _hidden(self, seen_ns: Sequence[float], cost: Cost, share_ns: float) -> float:
        """What went by beyond the harness's own cost, in ns per call; 0 where that is within what may be.

        A low quantile over requests: other load on the machine only ever adds to some of them, a lie to all.
        """
        allowed = cost.per_call_ns(self.calls)
        hidden = float(np.quantile(seen_ns, QUANTILE)) - allowed
        excused = GRACE_NS + REQUEST_GRACE_NS / self.calls + 0.5 * allowed + share_ns
        return 0.0 if hidden <= excused else hidden


def impossible(bytes_moved: int, median_ns: float, ceiling_bytes_per_s: float) -> str:
    """Why a time is beyond physics, or an empty string."""
    rate = bytes_moved / (median_ns / 1e9)
    if rate > IMPOSSIBLE * ceiling_bytes_per_s:
        return (
            f"{rate / 1e9:.3g} GB/s is {rate / ceiling_bytes_per_s:.2g} times the copy rate measured on this machine "
            f"({ceiling_bytes_per_s / 1e9:.3g} GB/s): the work cannot have been done"
        )
    return ""

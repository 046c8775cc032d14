"""The second clock: what a worker says of its own time, held against the supervisor's clock and against physics."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

IMPOSSIBLE = 4.0
"""Times the copy ceiling at which a rate cannot be true: reading alone beats a copy by up to about two."""
REQUEST_GRACE_NS = 400_000.0
GRACE_NS = 10_000.0
"""Nanoseconds per call that stay unexplained without suspicion; the audit cannot see a lie smaller than this."""


QUANTILE = 0.1


@dataclass(frozen=True, slots=True)
class Overhead:
    """What the harness itself adds to a request of n calls: `request_ns` + n * `call_ns` (messages; poisoning, copying
    answers out). Measured with calls that do nothing, in the same worker, before any plugin was imported there."""

    request_ns: float
    call_ns: float

    def per_call_ns(self, calls: int) -> float:
        return self.request_ns / calls + self.call_ns


@dataclass(slots=True)
class Audit:
    """Time that the supervisor saw pass and the worker did not claim, per call, over the requests of one task."""

    overhead: Overhead
    allowed_ns: list[float] = field(default_factory=list)
    unexplained_ns: list[float] = field(default_factory=list)
    claimed_ns: list[float] = field(default_factory=list)
    calls: int = 1

    def add(self, elapsed_ns: int, claimed_ns: int, calls: int) -> None:
        """One request of `calls` calls: the supervisor's elapsed time, and the sum of the worker's readings."""
        self.unexplained_ns.append((elapsed_ns - claimed_ns) / calls)
        self.allowed_ns.append(self.overhead.per_call_ns(calls))
        self.claimed_ns.append(claimed_ns / calls)
        self.calls = calls

    def contradiction(self) -> str:
        """Why the claimed times cannot be believed, or an empty string.

        A low quantile over requests: other load on the machine only ever adds to some of them, a lie to all. What is
        hidden must exceed what is claimed: copying an answer out is slower on a busy machine too.
        """
        if not self.unexplained_ns:
            return ""
        allowed = float(np.median(self.allowed_ns))
        hidden = float(np.quantile(self.unexplained_ns, QUANTILE)) - allowed
        claimed = float(np.median(self.claimed_ns))
        if not hidden <= GRACE_NS + REQUEST_GRACE_NS / self.calls + 0.5 * allowed + 0.25 * claimed:
            return (
                f"it claims {claimed / 1e3:.1f} us per call, but by the supervisor's clock {hidden / 1e3:.1f} us per "
                "call more went by: work is hidden from the worker's clock"
            )
        return ""


def impossible(bytes_moved: int, median_ns: float, ceiling_bytes_per_s: float) -> str:
    """Why a time is beyond physics, or an empty string."""
    rate = bytes_moved / (median_ns / 1e9)
    if rate > IMPOSSIBLE * ceiling_bytes_per_s:
        return (
            f"{rate / 1e9:.3g} GB/s is {rate / ceiling_bytes_per_s:.2g} times the copy rate measured on this machine "
            f"({ceiling_bytes_per_s / 1e9:.3g} GB/s): the work cannot have been done"
        )
    return ""

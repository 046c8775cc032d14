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
BESIDE_NS = 3_000_000.0
"""Nanoseconds per call that the wall clock may show beside the device's, and beside what a call that does nothing shows
there (flushes, holds, waits). Launching is in them, and the hold that a long launch asks for, half as long again: calls
that take 2 ms to launch cannot be told from a lie."""
BESIDE_SHARE, BESIDE_GRACE_NS = 0.05, 1_000_000.0
"""Of what runs on one thread, the share of its time, and nanoseconds, for which other threads of a shared worker may
run. All requests are added up: to work ahead in some of them would be enough to move a median."""
QUANTILE = 0.1
WAITED = 0.05
"""Share of a phase spent waiting for a core up to which the wall clock is believed."""
ENOUGH = 4
NOT_AT_ALL = Elapsed(0, 0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What the harness itself adds to a phase of a request of n calls: `request_ns` + n * `call_ns`; `call_ns` may be
    `unsure_ns` too small."""

    request_ns: float
    call_ns: float
    unsure_ns: float = 0.0

    def of(self, calls: int) -> float:
        return self.request_ns + calls * self.call_ns


@dataclass(frozen=True, slots=True)
class Overhead:
    """The harness's own cost up to the end of the calls, and from there on (copying answers out). Measured with calls
    that do nothing, in the same worker, before any plugin was imported there."""

    calls: Cost
    copying: Cost
    beside: Cost = Cost(0.0, 0.0)
    """Of a device with a clock of its own: the wall's time less the device's."""
    opening: Cost = Cost(0.0, 0.0)
    """Setting the calls of a request out, where that is done before its first step."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The sums of a worker's own readings over a request, in nanoseconds; by the device's clock where it has one."""

    wall_ns: int
    cpu_ns: int = 0
    device_ns: int | None = None

    @property
    def time_ns(self) -> int:
        """What counts as the time of the calls."""
        return self.wall_ns if self.device_ns is None else self.device_ns


@dataclass(frozen=True, slots=True)
class _Request:
    """What one request leaves unexplained, per call; `copying_ns` per answer that was copied."""

    claimed_ns: float
    elapsed_ns: float | None
    main_ns: float | None
    threads_ns: float | None
    copying_ns: float | None
    beside_ns: float


@dataclass(slots=True)
class Audit:
    """Time that the supervisor saw pass and the worker did not claim, over the requests of one task."""

    overhead: Overhead
    calls: int = 1
    _requests: list[_Request] = field(default_factory=list)
    _openings: list[tuple[float, int]] = field(default_factory=list)
    """Nanoseconds per call that are unexplained, and the number of calls."""
    _beside_ns: int = 0
    _claimed_ns: int = 0

    def add_beside(self, ran_ns: int, claimed_ns: int) -> None:
        """For how long other threads ran than the one that calls, in a worker that a rival shares, while so much was
        claimed."""
        self._beside_ns += ran_ns
        self._claimed_ns += claimed_ns

    def add_opening(self, elapsed_ns: int, waited_ns: int, run_ns: int | None, calls: int) -> None:
        """What setting so many calls out took by the supervisor's clock, for how long it and the worker waited for a
        core meanwhile, and for how long all of the worker's threads ran."""
        if _is_clean(elapsed_ns, waited_ns):
            taken = max(elapsed_ns, run_ns or 0)
            self._openings.append(((taken - self.overhead.opening.of(calls)) / calls, calls))

    def add(
        self,
        elapsed: Elapsed,
        claimed: Claimed,
        calls: int,
        on_core_ns: tuple[int | None, int | None] = (None, None),
        copied: int = 0,
        waited: Elapsed = NOT_AT_ALL,
    ) -> None:
        """One request of `calls` calls, as the supervisor and as the worker saw it. `on_core_ns` is for how long its
        first thread, and all of them, ran by the kernel's books, where it keeps them: one thread cannot run for longer
        than the wall clock, however busy the machine is. So many answers were `copied` out afterwards. A phase in which
        either process `waited` for a core says nothing by the wall clock: the claims hold such waits too, or not."""
        own = self.overhead.calls.of(calls)
        first, threads = on_core_ns
        request = _Request(
            claimed.wall_ns / calls,
            (elapsed.calls_ns - claimed.wall_ns - own) / calls
            if _is_clean(elapsed.calls_ns, waited.calls_ns)
            else None,
            None if first is None else (first - claimed.wall_ns - own) / calls,
            None if threads is None else (threads - claimed.cpu_ns - own) / calls,
            (elapsed.copying_ns - self.overhead.copying.of(copied)) / copied
            if copied and _is_clean(elapsed.copying_ns, waited.copying_ns)
            else None,
            (claimed.wall_ns - claimed.time_ns) / calls,
        )
        if calls != self.calls:
            self._requests.clear()
            self.calls = calls
        self._requests.append(request)

    @property
    def is_conclusive(self) -> bool:
        """Whether enough requests were seen by the wall clock that nothing else got in the way of."""
        return sum(one.elapsed_ns is not None for one in self._requests) >= ENOUGH

    def contradiction(self) -> str:
        """Why the claimed times cannot be believed, or an empty string."""
        if not self._requests:
            return ""
        if not self._beside_ns <= BESIDE_SHARE * self._claimed_ns + BESIDE_GRACE_NS:
            return (
                f"other threads of the worker that it shares with its rival ran for {self._beside_ns / 1e6:.1f} ms, "
                f"while its calls took {self._claimed_ns / 1e6:.1f} ms: one of the two works when it is not its turn"
            )
        claimed = float(np.median([one.claimed_ns for one in self._requests]))
        own, seen = self.overhead.calls.of(self.calls) / self.calls, self._requests
        copying = self.overhead.copying.of(1)
        checks = (
            ("by the supervisor's clock", [one.elapsed_ns for one in seen], self.calls, own, CALLS_SHARE),
            ("by the kernel's books for its first thread", [one.main_ns for one in seen], self.calls, own, CALLS_SHARE),
            ("by the kernel's books for all threads", [one.threads_ns for one in seen], self.calls, own, CALLS_SHARE),
            ("while its answers were copied", [one.copying_ns for one in seen], 1, copying, COPYING_SHARE),
        )
        for what, unexplained, calls, cost, share in checks:
            hidden = _hidden(unexplained, calls, cost, share * claimed)
            if not hidden <= 0.0:
                return (
                    f"it claims {claimed / 1e3:.1f} us per call, but {what} {hidden / 1e3:.1f} us per call more went "
                    "by: work is hidden from the worker's clock"
                )
        fewest = min((calls for _, calls in self._openings), default=1)
        opening = self.overhead.opening.of(fewest) / fewest
        hidden = _hidden([one for one, _ in self._openings], fewest, opening, CALLS_SHARE * claimed)
        if not hidden <= 0.0:
            return (
                f"it claims {claimed / 1e3:.1f} us per call, but {hidden / 1e3:.1f} us per call more went by while its "
                "inputs were set out: work is hidden from the worker's clock"
            )
        return self._contradiction_of_clocks()

    def _contradiction_of_clocks(self) -> str:
        """Why the device's clock cannot be believed beside the wall's, which was held against the supervisor's.

        The device's time is within the wall's. What is left of that are flushes, holds and waits, which a call that
        does nothing needs too, and launching, which only the worker knows: so a device's time that is too small by less
        than BESIDE_NS per call is not seen here. It takes a plugin that changes the timer in its worker: work on a
        stream that the events do not see is found by the readings themselves (harness.timing.device.readings)."""
        device_ns = float(np.median([one.claimed_ns - one.beside_ns for one in self._requests]))
        beside, own = [one.beside_ns for one in self._requests], self.overhead.beside.of(self.calls) / self.calls
        if not float(np.median(beside)) >= -GRACE_NS:
            return f"it claims {device_ns / 1e3:.1f} us per call on the device, more than went by"
        unexplained = float(np.quantile(beside, QUANTILE)) - own
        if not unexplained <= BESIDE_NS + 0.5 * own:
            return (
                f"it claims {device_ns / 1e3:.1f} us per call on the device, but {unexplained / 1e3:.1f} us per call "
                "more went by than flushing and waiting take: no launch is that slow"
            )
        return ""


def _is_clean(elapsed_ns: int, waited_ns: int) -> bool:
    return waited_ns <= WAITED * elapsed_ns


def _hidden(seen_ns: Sequence[float | None], calls: int, cost_ns: float, share_ns: float) -> float:
    """What went by beyond the harness's own cost, in ns per call; 0 where that is within what may be.

    A low quantile over requests: other load on the machine only ever adds to some of them, a lie to all.
    """
    known = [value for value in seen_ns if value is not None]
    if len(known) < ENOUGH:
        return 0.0
    hidden = float(np.quantile(known, QUANTILE))
    return 0.0 if hidden <= GRACE_NS + REQUEST_GRACE_NS / calls + 0.5 * cost_ns + share_ns else hidden


def impossible(bytes_moved: int, median_ns: float, ceiling_bytes_per_s: float) -> str:
    """Why a time is beyond physics, or an empty string."""
    rate = bytes_moved / (median_ns / 1e9)
    if rate > IMPOSSIBLE * ceiling_bytes_per_s:
        return (
            f"{rate / 1e9:.3g} GB/s is {rate / ceiling_bytes_per_s:.2g} times the copy rate measured on this machine "
            f"({ceiling_bytes_per_s / 1e9:.3g} GB/s): the work cannot have been done"
        )
    return ""

"""The audit's own time of a call: requests with few and with many fresh inputs, the supervisor's clock around each.

A request of K calls takes, by the supervisor's clock, E(K) = A + K * (h + t): A and h are the harness's own (messages,
arrays made of shared memory), measured by calls that do nothing but copy their inputs (harness.timing.overhead; h is 30
us more after megabytes that leave no cache warm), and t is what is asked for.
The slope over K is h + t, whatever A is. The many calls are the bursts themselves, four readings of c calls, so that a
worker that lies in bursts lies here; the few are requests of one reading, woven between them. With E = C + U, where C
is what the worker claims, all readings together, and U is what it leaves unclaimed, the slope has two parts:

    t = spent + hidden
    spent  = (C of a burst - C of a short request) / 3c; what is published is a median of counted readings, so that
             work is shifted into other readings if that is less
    hidden = (U of a burst - U of a short request) / 3c - h: time that was never claimed

They are differences of lower quartiles over many requests, since what disturbs a request only adds to it: the median
of four readings in a row holds waits that the median reading does not. (Noise of 3 % in a reading moves C by 0.7 %, for
a quartile of four lies nearer to their mean.) U does not vary with the calls themselves: where the cores are taken
twice over and a call's time varies by half, it is still known to tens of microseconds per call. What the supervisor
waited for a core with the message there is taken off U, and what the worker waited while answers were copied is taken
off that. Like is compared with like: in both kinds of request all inputs were written just before, and all answers live
until the end.

What cannot be seen, per call: (1) `hidden` up to half of h, GRACE_NS, SHARE, and how far h was unsure, since the
harness's own cost varies;
(2) a 3c-th of CONSTANT_NS, and a third of CONSTANT_SHARE, by a worker that is slow on purpose after short requests, so
that A seems larger; (3) work while answers are copied, up to half of what copying takes calls that do nothing, how far
that was unsure, and COPYING_SHARE (all answers of a judged burst are copied, so that nobody knows which are judged);
(4) work shifted between readings, up to SHIFTED_SHARE, and what the worker waits for cores, which is taken off before
it is called a lie. Each limit must be passed by the lower end of a 98 % interval.

On a device with its own clock the claims compared here are those of the wall: flushes and holds are in both. A
challenge of the device's own time needs device memory that the supervisor writes and reads by a handle, so that its own
events stand around the copies. There is none yet, nothing here has run on a GPU, and no audited time is shown for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.timing.statistics import Interval

GRACE_NS = 10_000.0
CONSTANT_NS = 400_000.0
CONSTANT_SHARE = 0.1
"""Nanoseconds per request that may pass beyond what a request of calls that do nothing takes, and how much of the time
of its calls: after work on 16 MB the next message took an honest worker 0.6 ms more."""
SHARE = 0.02
COPYING_SHARE = 0.05
SHIFTED_SHARE = 0.1
QUARTILE = 0.25
FEWEST = 3
"""Requests of either kind below which nothing is said."""
ENOUGH = 6
"""Short requests that are waited for, for a while, on a busy machine."""
MOST = 400
"""Requests of a kind that are looked at, the newest."""
RESAMPLES = 200
SHOWN, CERTAIN = 0.05, 0.02
"""Shares of intervals that may miss: of the one that is shown, and of the one that a verdict needs."""


@dataclass(frozen=True, slots=True)
class Response:
    """One request as both clocks saw it, in nanoseconds: a burst of several readings, or a short request of one.

    `claimed_ns` are the readings of `count` calls each. `unclaimed_ns` is what else went by until the calls were over,
    the supervisor's own waiting for a core and what calls that do nothing take subtracted. `waited_ns` is for how long
    the worker waited for a core meanwhile. `copying_ns` went by from there on, where all answers were copied, less what
    either process waited and what it takes calls that do nothing. `call_cost_ns` and `copy_cost_ns` are what those take
    per call and per answer, and may be too small by what `call_unsure_ns` and `copy_unsure_ns` say.
    """

    count: int
    claimed_ns: tuple[int, ...]
    unclaimed_ns: float
    waited_ns: float = 0.0
    copying_ns: float | None = None
    call_cost_ns: float = 0.0
    copy_cost_ns: float = 0.0
    call_unsure_ns: float = 0.0
    copy_unsure_ns: float = 0.0

    @property
    def readings(self) -> int:
        return len(self.claimed_ns)

    @property
    def spent_ns(self) -> float:
        """All that is claimed, waiting for a core left out."""
        return max(0.0, sum(self.claimed_ns) - self.waited_ns)


Responses = Sequence[Response]


def audited_ns(responses: Responses) -> Interval | None:
    """The time of a call by the supervisor's clock, in ns, with its 95 % interval; None where too few were asked."""
    drawn = _drawn(responses)
    if drawn is None:
        return None
    return _interval(drawn.slope(lambda one: sum(one.claimed_ns) + one.unclaimed_ns), SHOWN)


def claimed_ns(responses: Responses) -> float | None:
    """The same slope by the worker's own clock alone, over the same requests."""
    drawn = _drawn(responses)
    return None if drawn is None else float(drawn.claimed()[0])


def contradiction(responses: Responses) -> str:
    """Why the claimed times cannot be believed, or an empty string."""
    # each number of calls per reading by itself: else the most frequent one would speak for what the others hide
    for count in dict.fromkeys(one.count for one in responses):
        alike = [one for one in responses if one.count == count]
        # most are not even suspicious: the interval is not worth its time then
        found = _contradiction(alike, 0) and _contradiction(alike, RESAMPLES)
        if found:
            return found
    return ""


def _contradiction(responses: Responses, times: int) -> str:
    drawn = _drawn(responses, times)
    if drawn is None:
        return ""
    bursts = drawn.bursts
    counted = float(drawn.counted()[0])
    own, copying, grace, copying_grace = (float(np.median(costs)) for costs in zip(*map(_costs, bursts), strict=True))
    hidden = _interval(drawn.slope(_unclaimed), CERTAIN).low
    if not hidden <= grace + 0.5 * own + SHARE * counted:
        return _told(counted, hidden, "more than its readings tell")
    shifted = _interval(drawn.slope(_spent) - drawn.counted(), CERTAIN).low
    if not shifted <= GRACE_NS + SHIFTED_SHARE * counted:
        return _told(counted, shifted, "more in other readings than those that are shown")
    constant = float(np.quantile([one.unclaimed_ns - one.waited_ns for one in drawn.short], QUARTILE))
    if not constant <= CONSTANT_NS + own + CONSTANT_SHARE * counted * drawn.short[0].count:
        return _told(counted, constant, "more around a short request than messages take")
    # who lies in some of the requests only has honest quartiles of each part, and not of their sum
    over = _interval(drawn.slope(_whole), CERTAIN).low - counted
    if not over <= grace + 0.5 * own + SHIFTED_SHARE * counted:
        return _told(counted, over, "more over whole requests than the readings that are shown tell")
    copied = _drawn([one for one in (*drawn.short, *bursts) if one.copying_ns is not None], times)
    late = 0.0 if copied is None else _interval(copied.slope(_copying), CERTAIN).low
    if not late <= copying_grace + 0.5 * copying + COPYING_SHARE * counted:
        return _told(counted, late, "more than copying takes while each answer was copied")
    return ""


def is_conclusive(responses: Responses, enough: int) -> bool:
    """Whether there are enough short requests for a contradiction to show."""
    return len(_of_one_kind(responses)[0]) >= enough


def _told(counted_ns: float, more_ns: float, text: str) -> str:
    return (
        f"it claims {counted_ns / 1e3:.1f} us per call, but by the audit {more_ns / 1e3:.1f} us {text} went by: "
        "work is hidden from the worker's clock"
    )


def _costs(one: Response) -> tuple[float, float, float, float]:
    """What a call and an answer cost the harness, and what more may pass of each."""
    return one.call_cost_ns, one.copy_cost_ns, GRACE_NS + one.call_unsure_ns, GRACE_NS + one.copy_unsure_ns


def _unclaimed(one: Response) -> float:
    return one.unclaimed_ns


def _spent(one: Response) -> float:
    return one.spent_ns


def _whole(one: Response) -> float:
    return one.spent_ns + one.unclaimed_ns


def _copying(one: Response) -> float:
    return one.copying_ns or 0.0


def _of_one_kind(responses: Responses) -> tuple[list[Response], list[Response]]:
    """Short requests and bursts of the number of calls per reading that most short requests had."""
    counts = Counter(one.count for one in responses if one.readings == 1)
    if not counts:
        return [], []
    ((count, _),) = counts.most_common(1)
    chosen = [one for one in responses if one.count == count]
    return [one for one in chosen if one.readings == 1][-MOST:], [one for one in chosen if one.readings > 1][-MOST:]


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Requests of both kinds, and which of them are drawn each time they are drawn again: int[times, requests], where
    the first row has each once. Estimates are float[times], in nanoseconds per call."""

    short: Responses
    bursts: Responses
    few: np.ndarray
    many: np.ndarray

    def slope(self, value: Callable[[Response], float]) -> np.ndarray:
        """What a call adds to the lower quartile over requests."""
        few, many = (
            np.quantile(np.array([value(one) for one in kind], np.float64)[drawn], QUARTILE, axis=1)
            for kind, drawn in ((self.short, self.few), (self.bursts, self.many))
        )
        first = self.bursts[0]
        slope: np.ndarray = (many - few) / (first.readings * first.count - self.short[0].count)
        return slope

    def claimed(self) -> np.ndarray:
        return self.slope(lambda one: sum(one.claimed_ns))

    def counted(self) -> np.ndarray:
        """The median reading of those that are shown."""
        readings = np.array([one.claimed_ns[1:] for one in self.bursts], np.float64)[self.many]
        median: np.ndarray = np.median(readings.reshape(len(readings), -1), axis=1) / self.bursts[0].count
        return median


def _drawn(responses: Responses, times: int = RESAMPLES) -> _Drawn | None:
    """Requests drawn again so many times; None where there are too few to say anything."""
    short, bursts = _of_one_kind(responses)
    if min(len(short), len(bursts)) < FEWEST:
        return None
    rng = np.random.default_rng(0)
    few, many = (
        np.vstack([np.arange(len(kind)), rng.integers(0, len(kind), (times, len(kind)))]) for kind in (short, bursts)
    )
    return _Drawn(short, bursts, few, many)


def _interval(found: np.ndarray, level: float) -> Interval:
    """The estimate, and how far it strays when requests are drawn again."""
    low, high = np.quantile(found[1:] if len(found) > 1 else found, [level / 2, 1 - level / 2])
    value = float(found[0])
    return Interval(estimate=value, low=min(float(low), value), high=max(float(high), value))

"""Short kernels: what one call costs the device when nothing is launched one by one, and what launching costs.

Calls are captured in graphs of two sizes, and the time per call is the slope between them: what starting a graph costs
cancels. To leave each call a cold cache, a flush is captured before it, and what the flushes alone cost (the slope of
two graphs of them) is taken away.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.timing.device.timer import Call, CaptureFailed, DeviceTimer, Graph

SHORT_NS = 20_000
"""Calls that take the device no longer than this are worth a graph."""
SIZES = (16, 64)
REPLAYS = 9
CLEAR = 3.0
"""A time is told only where it is so many times the spread of the replays."""
LAUNCHES = 5
HELD_NS = 200_000
"""The stream is busy for so long before a graph, while the host hands it over."""
WAITED_NS = 1_000_000
WAITED = 4.0
"""A call is held for so long, and so many times its launch, to see whether it comes back before the hold is over."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One call on an idle device by the host's clock, in nanoseconds: until it returned, and until its answer was
    there. `waits`: the call itself waits for the device, so the first of them is no launch cost."""

    launch_ns: float
    done_ns: float
    waits: bool


@dataclass(frozen=True, slots=True)
class Replayed:
    """Nanoseconds of a call in a graph: the median over replays, and half the range of their middle half. Without a
    graph both are None and `reason` says why."""

    call_ns: float | None = None
    spread_ns: float | None = None
    reason: str = ""


def launch(timer: DeviceTimer, call: Call) -> Launch:
    """What a call costs the host: medians of five, each on an idle device. Raises what the call raises."""
    returned, done = [], []
    for _ in range(LAUNCHES):
        timer.flush()
        timer.wait()
        start = timer.host_ns()
        answer = call()
        returned.append(timer.host_ns() - start)
        timer.wait()
        done.append(timer.host_ns() - start)
        del answer
    launch_ns = statistics.median(returned)
    # twice: the host may have lost its core for as long
    waits = all(_waits(timer, call, launch_ns) for _ in range(2))
    return Launch(launch_ns, statistics.median(done), waits)


def _waits(timer: DeviceTimer, call: Call, launch_ns: float) -> bool:
    """Whether a call comes back only when the device has done what was queued before it."""
    held = timer.event()
    timer.hold(max(WAITED_NS, WAITED * launch_ns))
    timer.record(held)
    answer = call()
    waited = timer.is_done(held)
    timer.wait()
    del answer
    return waited


def replayed(timer: DeviceTimer, call: Call, cold: bool = True) -> Replayed:
    """The time of a call in a graph, its inputs cold or warm in the cache. Raises what the device raises."""
    try:
        costs = _slopes(timer, [timer.flush, call] if cold else [call])
        flushes = _slopes(timer, [timer.flush]) if cold else [0.0]
    except CaptureFailed as failed:
        return Replayed(reason=str(failed) or "the calls could not be captured")
    flush_ns = statistics.median(flushes)
    low, middle, high = (one - flush_ns for one in statistics.quantiles(costs, n=4, method="inclusive"))
    spread = (high - low) / 2
    if cold:
        low, _, high = statistics.quantiles(flushes, n=4, method="inclusive")
        spread += (high - low) / 2
    if not middle > CLEAR * spread:
        return Replayed(reason=f"the replays vary by {spread / 1e3:.3g} us per call: too much for so short a call")
    return Replayed(middle, spread)


def _slopes(timer: DeviceTimer, calls: Sequence[Call]) -> list[float]:
    """Nanoseconds of the calls, once each: the slope over two sizes of graph, for each of some replays."""
    few, many = (_captured(timer, list(calls) * size) for size in SIZES)
    times = []
    for number in range(REPLAYS + 1):
        one = (_replay_ns(timer, many) - _replay_ns(timer, few)) / (SIZES[1] - SIZES[0])
        if number:  # the first replay of a graph uploads it
            times.append(one)
    return times


def _captured(timer: DeviceTimer, calls: Sequence[Call]) -> Graph:
    """A graph that was seen to write its answers. Raises CaptureFailed for one that does not: what a call puts on a
    stream of its own is no part of it."""
    graph = timer.capture(calls)
    for answer in (_first(graph.answers[0]), _first(graph.answers[-1])):
        if answer is not None:
            timer.scrub(answer)
            timer.wait()
            graph.replay()
            timer.wait()
            if timer.is_scrubbed(answer):
                raise CaptureFailed("the graph does not write the answer: the call works on a stream of its own")
    return graph


def _first(answer: Any) -> Any:
    return answer[0] if isinstance(answer, tuple) and answer else answer


def _replay_ns(timer: DeviceTimer, graph: Graph) -> float:
    start, end = timer.event(), timer.event()
    timer.wait()
    timer.hold(HELD_NS)
    timer.record(start)
    graph.replay()
    timer.record(end)
    timer.wait_for(end)
    return timer.elapsed_ns(start, end)

"""Readings of a device's time: cold, with the host ahead, and with nothing hidden from the events.

held     the caches are flushed and the stream is kept busy while the host queues the calls, so that launching is in no
         time between the events. Work on another stream would run meanwhile, unseen.
natural  the caches are flushed, the device is idle, and then the calls come as the host brings them. The end is where
         all streams are idle. Nothing can hide, but a launch is within the time.

So most readings are held, and a natural one now and then, at random, says whether the held ones can be believed: it
may take longer by the launches, not by more.
"""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.timing.device.timer import Call, DeviceTimer

_cpu_ns = time.process_time_ns

AHEAD = 1.5
"""A hold lasts so many times as long as queueing took before, and LEAD_NS more."""
LEAD_NS = 20_000
GRACE_NS = 20_000
"""Nanoseconds in a reading that stay unexplained without suspicion: what it takes to see that a device is idle."""
GRACE = 0.1
"""The same, as a share of the reading."""
NATURAL_CHANCE = 1 / 16
SUSPICIONS = 3
"""So many in a row, each with a natural reading of its own, before a function is believed to be what it looks like: a
first call loads its kernels, and clocks rise."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Some calls in a row. `device_ns` is their time on the device, all of them together; `launch_ns` the host's time
    until the last call had returned. `leftover_ns` is what the host still waited for after the last event: work on
    other streams, where it is more than a few microseconds. `flushes` of the L2 cache were needed; the other calls
    found it cold because more than it holds had passed since their inputs were used. `starved`: the device had reached
    the first event before the host had queued the last call, as it does where a call waits for the device."""

    device_ns: int
    launch_ns: int
    leftover_ns: int
    held: bool
    starved: bool
    flushes: int


@dataclass(slots=True)
class Known:
    """What earlier readings taught about a function, in nanoseconds per call. `natural_why` says why its readings are
    all natural, where they are."""

    launch_ns: float | None = None
    suspicions: int = 0
    natural_why: str = ""
    beyond_launch: tuple[float, int] | None = None
    """Of the newest natural reading: nanoseconds on the device per call less those of launching, and in a row of how
    many calls. None asks for another one."""


class Reader:
    """Takes readings with one timer. `seed` makes the choice of natural readings repeatable, for tests."""

    def __init__(self, timer: DeviceTimer, seed: int | None = None) -> None:
        self.timer = timer
        self._random = random.Random(seed)
        self._known: weakref.WeakKeyDictionary[Any, Known] = weakref.WeakKeyDictionary()

    def known(self, function: Any) -> Known:
        """What is known of a function; of one that cannot be remembered, nothing, each time."""
        try:
            return self._known.setdefault(function, Known())
        except TypeError:
            return Known()

    def read(
        self,
        function: Any,
        calls: Sequence[Call],
        inputs: Sequence[Sequence[Any]],
        keep: Callable[[Any], None],
        natural: bool = False,
    ) -> Reading:
        """One reading of calls of a function, each with its input arrays. `keep` gets every answer at once. The first
        reading of a function is natural; ask for that with `natural`. Raises what the calls or the device raise."""
        known = self.known(function)
        natural = natural or bool(known.natural_why) or known.beyond_launch is None
        held = not natural and self._random.random() >= NATURAL_CHANCE
        device_ns = launch_ns = leftover_ns = 0.0
        starved, parts = False, segments(inputs, 2 * self.timer.l2_bytes)
        for part in parts:
            hold_ns = LEAD_NS + AHEAD * len(part) * (known.launch_ns or 0.0) if held else 0.0
            one = self._segment([calls[number] for number in part], keep, held, hold_ns)
            device_ns += one.device_ns
            launch_ns += one.launch_ns
            leftover_ns = max(leftover_ns, one.leftover_ns)
            starved = starved or one.starved
            self._learn(known, one, len(part), hold_ns)
        return Reading(round(device_ns), round(launch_ns), round(leftover_ns), held, starved, len(parts))

    def _segment(self, calls: Sequence[Call], keep: Callable[[Any], None], held: bool, hold_ns: float) -> Reading:
        """Calls between two events, after one flush."""
        timer = self.timer
        start, end = timer.event(), timer.event()
        timer.flush()
        if held:
            timer.hold(hold_ns)
        else:
            timer.wait()
        timer.record(start)
        first = timer.host_ns()
        for call in calls:
            keep(call())
        returned = timer.host_ns()
        timer.record(end)
        starved = timer.is_done(start)
        timer.wait_for(end)
        reached = timer.host_ns()
        timer.wait()
        leftover = timer.host_ns() - reached
        device_ns = max(1.0, timer.elapsed_ns(start, end))
        if leftover > GRACE_NS:
            device_ns += leftover
        return Reading(round(device_ns), returned - first, leftover, held, starved, 1)

    def _learn(self, known: Known, one: Reading, count: int, hold_ns: float) -> None:
        if not one.held:
            known.launch_ns = one.launch_ns / count
            known.beyond_launch = (one.device_ns - one.launch_ns) / count, count
        else:
            # a call that waits for the device has waited for the hold too
            known.launch_ns = max(0.0, one.launch_ns - (hold_ns if one.starved else 0.0)) / count
            self._compare(known, one, count)

    def _compare(self, known: Known, one: Reading, count: int) -> None:
        """Whether a held reading is explained by the natural one before it: on the device, per call."""
        if known.beyond_launch is None:
            return
        natural_ns, natural_count = known.beyond_launch
        held_ns = one.device_ns / count
        explained = natural_ns <= (1 + GRACE) * held_ns + GRACE_NS / natural_count
        if explained and one.leftover_ns <= GRACE_NS:
            known.suspicions = 0
            return
        known.suspicions += 1
        known.beyond_launch = None
        if known.suspicions >= SUSPICIONS:
            between_ns = held_ns - (one.leftover_ns / count if one.leftover_ns > GRACE_NS else 0.0)
            known.natural_why = (
                f"work is hidden from the events: {natural_ns / 1e3:.1f} us per call beside the launch went by until "
                f"the device was idle, {between_ns / 1e3:.1f} us between the events"
            )


def segments(inputs: Sequence[Sequence[Any]], enough: int) -> list[list[int]]:
    """Runs of calls, by number, in which one flush at the start leaves every input cold when its call comes: none is
    used again before `enough` bytes of others have passed."""
    parts: list[list[int]] = []
    touched: dict[int, int] = {}
    passed = 0
    for number, arrays in enumerate(inputs):
        if not parts or any(passed - touched.get(id(one), passed - enough) < enough for one in arrays):
            parts.append([])
            touched.clear()
        parts[-1].append(number)
        for one in arrays:
            passed += int(getattr(one, "nbytes", 0))
            touched[id(one)] = passed
    return parts


Chosen = Sequence[tuple[Callable[..., Any], Sequence[Any], dict[str, Any]]]


def device_clocked(
    reader: Reader, chosen: Chosen, wait: Callable[[], None], raised: Callable[[BaseException], Any]
) -> tuple[list[Any], int, int, int | None]:
    """Call in a row; (answers, wall ns, CPU ns of all threads, ns on the device or None after an exception).

    The wall time is all that went by: flushes, what keeps the stream busy, launches and work on every stream. It is
    what an audit needs; the time of the calls is the device's. `raised(error)` stands in for each answer that an
    exception prevented; `wait` is the backend's own, which may know which kernel has failed.
    """
    timer = reader.timer
    results: list[Any] = []
    device_ns: int | None = None

    def bound(function: Callable[..., Any], arrays: Sequence[Any], parameters: dict[str, Any]) -> Call:
        return lambda: function(*arrays, **parameters)

    calls = [bound(*one) for one in chosen]
    inputs = [arrays for _, arrays, _ in chosen]
    function = chosen[0][0] if chosen else None
    cpu, start = _cpu_ns(), timer.host_ns()
    try:
        device_ns = reader.read(function, calls, inputs, results.append).device_ns
        wait()
        wall = timer.host_ns() - start
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        wall = timer.host_ns() - start
        device_ns = None
        if len(results) == len(chosen):
            # the device failed after the last call returned: whose fault it is, nobody knows
            results.clear()
            results.extend(raised(_named(error, wait)) for _ in chosen)
        else:
            results.extend(raised(error) for _ in range(len(chosen) - len(results)))
    return results, wall, _cpu_ns() - cpu, device_ns


def _named(error: BaseException, wait: Callable[[], None]) -> BaseException:
    """What the backend itself says of a device that has failed: it may name the kernel."""
    try:
        wait()
    except Exception as known:
        return known
    return error

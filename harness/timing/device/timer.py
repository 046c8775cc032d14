"""What a library has to offer so that its work on a device can be timed. Nothing here knows a library.

A timer belongs to the stream that its library used when the timer was made: events are recorded there, whatever stream
the measured code makes the current one. `wait` is for all streams of the device.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.timing.device.state import State, read_state

Event = Any
Call = Callable[[], Any]

# read once, before any plugin is imported
_wall_ns = time.perf_counter_ns

EVICTS = 4
"""A flush reads so many times the L2 cache. Twice would do for a cache that forgets in order, which none promises."""
UNKNOWN_L2_BYTES = 128 << 20
"""Of a device that does not say: more than any GPU so far has."""
SCRUB = 7
PROBE_CYCLES = 1_000_000
LONGEST_HOLD_NS = 50_000_000


class CaptureFailed(Exception):
    """Calls that cannot become a graph; the message says why."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Captured calls: `replay()` queues all of them at once; `answers` are what they write, and `memory` is what else
    has to live as long as this."""

    replay: Callable[[], None]
    answers: Sequence[Any]
    memory: Any = None


class DeviceTimer(ABC):
    """A stream of a device with its event clock. Everything returns before the device has done it, but for `wait`,
    `wait_for` and `elapsed_ns`; each of these raises what the device failed with."""

    name: str
    l2_bytes: int = UNKNOWN_L2_BYTES
    _cycles_per_ns: float | None = None

    @abstractmethod
    def event(self) -> Event:
        """A new event that takes the time."""

    @abstractmethod
    def record(self, event: Event) -> None:
        """Queue the event on the timer's stream."""

    @abstractmethod
    def is_done(self, event: Event) -> bool:
        """Whether the device has reached an event that was recorded."""

    @abstractmethod
    def wait_for(self, event: Event) -> None:
        """Return when the device has reached the event."""

    @abstractmethod
    def elapsed_ns(self, start: Event, end: Event) -> float:
        """Nanoseconds between two events of one stream that were waited for."""

    @abstractmethod
    def wait(self) -> None:
        """Return when every stream of the device is idle."""

    @abstractmethod
    def flush(self) -> None:
        """Queue a read of so much memory that the L2 cache holds nothing else afterwards. A write would leave lines
        behind that go back to memory while the next call runs. While calls are captured it becomes one of them."""

    @abstractmethod
    def spin(self, cycles: int) -> None:
        """Queue a kernel that does nothing for so many cycles of the device's clock."""

    @abstractmethod
    def capture(self, calls: Sequence[Call]) -> Graph:
        """The calls as a graph, in order. Raises CaptureFailed, and leaves the device usable."""

    @abstractmethod
    def scrub(self, answer: Any) -> None:
        """Overwrite every element of an answer with SCRUB."""

    @abstractmethod
    def is_scrubbed(self, answer: Any) -> bool:
        """Whether every element is SCRUB; waits for the device."""

    def host_ns(self) -> int:
        """The host's clock."""
        return _wall_ns()

    def state(self) -> State:
        """Clocks, temperature, power and reasons to slow down, as the driver tells them."""
        return read_state()

    def hold(self, duration_ns: float) -> None:
        """Keep the stream busy for about so long (50 ms at most), so that the host gets ahead of it. The first time
        waits for the device, to learn how quick its clock is."""
        if duration_ns <= 0:
            return
        if self._cycles_per_ns is None:
            start, end = self.event(), self.event()
            self.spin(PROBE_CYCLES)  # compiled, and the clock risen, before it counts
            self.record(start)
            self.spin(PROBE_CYCLES)
            self.record(end)
            self.wait_for(end)
            self._cycles_per_ns = PROBE_CYCLES / max(1.0, self.elapsed_ns(start, end))
        self.spin(int(min(duration_ns, LONGEST_HOLD_NS) * self._cycles_per_ns))

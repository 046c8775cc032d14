"""A GPU whose every duration is in a script: streams, a queue, a cache, clocks that fall, captures that fail.

Host and device share one clock, in nanoseconds, which moves only when something takes time. Nothing here runs longer
than its own code.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.timing.device.state import State
from harness.timing.device.timer import SCRUB, Call, CaptureFailed, DeviceTimer, Graph

QUICKEST_MHZ = 2000.0


@dataclass(eq=False)
class Array:
    """An input: where it is, is in the cache or not."""

    nbytes: int


@dataclass(eq=False)
class Answer:
    value: int = 0


@dataclass(eq=False)
class Event:
    at_ns: float = float("nan")


@dataclass(frozen=True)
class Episode:
    """While the clock is between the two times the GPU runs at `mhz`, for `reasons` (NVML's bits)."""

    from_ns: float
    to_ns: float
    mhz: float
    reasons: int


@dataclass(eq=False)
class ScriptedDevice(DeviceTimer):
    """`launch_ns` is what the host needs for a launch, `wait_ns` to notice that the device is idle, and `gap_ns` what
    the device needs between two kernels."""

    name: str = "scripted"
    l2_bytes: int = 1000
    launch_ns: float = 5000.0
    wait_ns: float = 2000.0
    gap_ns: float = 0.0
    flush_ns: float = 40_000.0
    cycles_per_ns: float = 1.5
    episodes: Sequence[Episode] = ()
    refuses_capture: str = ""
    now: float = 0.0
    free: dict[str, float] = field(default_factory=lambda: {"main": 0.0})
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cache: OrderedDict[int, int] = OrderedDict()
        self._captured: list[Callable[[], None]] | None = None
        self._failure: BaseException | None = None

    # ---- what measured code does

    def kernel(
        self,
        arrays: Sequence[Array],
        cold_ns: float,
        warm_ns: float | None = None,
        stream: str = "main",
        launch_ns: float | None = None,
        waits: bool = False,
        refuses: BaseException | None = None,
        breaks: BaseException | None = None,
    ) -> Callable[..., Answer]:
        """A function that launches one kernel, and returns what it writes.

        `waits`: and then waits for it. `refuses` is raised by the launch, `breaks` by the next wait.
        """
        warm = cold_ns if warm_ns is None else warm_ns

        def call(*_: Any, **__: Any) -> Answer:
            self.now += self.launch_ns if launch_ns is None else launch_ns
            if refuses is not None:
                raise refuses
            answer = Answer()

            def work() -> None:
                is_warm = all(id(one) in self._cache for one in arrays)
                self.busy(warm if is_warm else cold_ns, stream)
                for one in arrays:
                    self._touch(one)
                answer.value = 1
                self._failure = self._failure or breaks

            self.do(work, stream)
            if waits:
                self._wait_like_a_call(stream)
            return answer

        return call

    def do(self, work: Callable[[], None], stream: str) -> None:
        """Queue work: now, or with the graph, if it is on the stream that is captured."""
        if self._captured is not None and stream == "main":
            self._captured.append(work)
        else:
            work()

    def busy(self, duration_ns: float, stream: str = "main") -> None:
        start = max(self.now, self.free.get(stream, 0.0)) + self.gap_ns
        self.free[stream] = start + duration_ns * QUICKEST_MHZ / self._episode(start).mhz

    def _wait_like_a_call(self, stream: str) -> None:
        if self._captured is not None:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.now = max(self.now, self.free[stream]) + self.wait_ns

    def _touch(self, array: Array) -> None:
        self._cache[id(array)] = array.nbytes
        self._cache.move_to_end(id(array))
        while sum(self._cache.values()) > self.l2_bytes:
            self._cache.popitem(last=False)

    def _episode(self, at_ns: float) -> Episode:
        found = (one for one in self.episodes if one.from_ns <= at_ns < one.to_ns)
        return next(found, Episode(0, 0, QUICKEST_MHZ, 0))

    # ---- the timer

    def event(self) -> Event:
        return Event()

    def record(self, event: Event) -> None:
        event.at_ns = max(self.now, self.free["main"])

    def is_done(self, event: Event) -> bool:
        return event.at_ns <= self.now

    def wait_for(self, event: Event) -> None:
        self.now = max(self.now, event.at_ns) + self.wait_ns
        self._raise()

    def elapsed_ns(self, start: Event, end: Event) -> float:
        return end.at_ns - start.at_ns

    def wait(self) -> None:
        self.now = max(self.now, *self.free.values()) + self.wait_ns
        self._raise()

    def _raise(self) -> None:
        # as CUDA does: a context that has failed stays so
        if self._failure is not None:
            raise self._failure

    def flush(self) -> None:
        def work() -> None:
            self.log.append("flush")
            self.busy(self.flush_ns)
            self._cache.clear()

        self.do(work, "main")

    def spin(self, cycles: int) -> None:
        self.busy(cycles / self.cycles_per_ns)

    def capture(self, calls: Sequence[Call]) -> Graph:
        if self.refuses_capture:
            raise CaptureFailed(self.refuses_capture)
        self._captured = []
        try:
            answers = [call() for call in calls]
        except RuntimeError as error:
            raise CaptureFailed(str(error)) from error
        finally:
            work, self._captured = self._captured, None

        def replay() -> None:
            self.now += 2 * self.launch_ns
            for one in work:
                one()

        return Graph(replay, answers)

    def scrub(self, answer: Answer) -> None:
        answer.value = SCRUB

    def is_scrubbed(self, answer: Answer) -> bool:
        self.wait()
        return answer.value == SCRUB

    def host_ns(self) -> int:
        return int(self.now)

    def state(self) -> State:
        episode = self._episode(self.now)
        return State(sm_mhz=episode.mhz, max_sm_mhz=QUICKEST_MHZ, reasons=episode.reasons)

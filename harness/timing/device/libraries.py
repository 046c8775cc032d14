"""The timers of PyTorch (which is Triton's too) and of CuPy. This module imports without either.

What takes the time is looked up in a library when its timer is made, before any plugin is imported: a plugin that
replaces it later does not reach the timer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from harness.timing.device.timer import EVICTS, SCRUB, UNKNOWN_L2_BYTES, Call, CaptureFailed, DeviceTimer, Graph

LONGEST_REASON = 200

SPIN = """
extern "C" __global__ void harness_spin(long long cycles) {
    long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


class TorchTimer(DeviceTimer):
    """PyTorch's current stream on its current device."""

    name = "torch"

    def __init__(self) -> None:
        import torch

        cuda: Any = torch.cuda
        self._torch: Any = torch
        self._new_event, self._synchronize, self._sleep = cuda.Event, cuda.synchronize, cuda._sleep
        self._record, self._query = cuda.Event.record, cuda.Event.query
        self._wait_for, self._elapsed_ms = cuda.Event.synchronize, cuda.Event.elapsed_time
        self._stream = self._target = cuda.current_stream()
        properties = cuda.get_device_properties(self._stream.device)
        self.l2_bytes = int(getattr(properties, "L2_cache_size", 0)) or UNKNOWN_L2_BYTES
        self._read = torch.ones(EVICTS * self.l2_bytes // 4, dtype=torch.float32, device=self._stream.device)
        self._sum = torch.zeros((), dtype=torch.float32, device=self._stream.device)

    def event(self) -> Any:
        return self._new_event(enable_timing=True)

    def record(self, event: Any) -> None:
        self._record(event, self._stream)

    def is_done(self, event: Any) -> bool:
        return bool(self._query(event))

    def wait_for(self, event: Any) -> None:
        self._wait_for(event)

    def elapsed_ns(self, start: Any, end: Any) -> float:
        return 1e6 * float(self._elapsed_ms(start, end))

    def wait(self) -> None:
        self._synchronize()

    def flush(self) -> None:
        with self._torch.cuda.stream(self._target):
            self._torch.sum(self._read, 0, out=self._sum)

    def spin(self, cycles: int) -> None:
        with self._torch.cuda.stream(self._target):
            self._sleep(cycles)

    def capture(self, calls: Sequence[Call]) -> Graph:
        cuda = self._torch.cuda
        graph, side = cuda.CUDAGraph(), cuda.Stream()
        answers: list[Any] = []
        # a capture that fails leaves its stream the current one: the outer context puts that right
        with _captures(self, side), cuda.stream(side):
            side.wait_stream(self._stream)
            _run_each(calls)
            with cuda.graph(graph, stream=side):
                answers.extend(call() for call in calls)

        def replay() -> None:
            with cuda.stream(self._stream):
                graph.replay()

        return Graph(replay, answers)

    def scrub(self, answer: Any) -> None:
        answer.detach().fill_(SCRUB)

    def is_scrubbed(self, answer: Any) -> bool:
        return bool((answer.detach() == SCRUB).all())


class CupyTimer(DeviceTimer):
    """CuPy's current stream. `launchers` put their work on a stream of their own attribute `stream`, which is another
    one while calls are captured."""

    name = "cupy"

    def __init__(self, launchers: Sequence[Any] = ()) -> None:
        import cupy

        self._cupy, self._launchers = cupy, launchers
        self._new_event, self._elapsed_ms = cupy.cuda.Event, cupy.cuda.get_elapsed_time
        self._record, self._wait_for = cupy.cuda.Event.record, cupy.cuda.Event.synchronize
        self._synchronize = cupy.cuda.runtime.deviceSynchronize
        self._stream = self._target = cupy.cuda.get_current_stream()
        said = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
        self.l2_bytes = int(said.get("l2CacheSize", 0)) or UNKNOWN_L2_BYTES
        self._read = cupy.ones(EVICTS * self.l2_bytes // 4, cupy.float32)
        self._sum = cupy.zeros((), cupy.float32)
        self._spin = cupy.RawKernel(SPIN, "harness_spin")

    def event(self) -> Any:
        return self._new_event()

    def record(self, event: Any) -> None:
        self._record(event, self._stream)

    def is_done(self, event: Any) -> bool:
        return bool(event.done)

    def wait_for(self, event: Any) -> None:
        self._wait_for(event)

    def elapsed_ns(self, start: Any, end: Any) -> float:
        return 1e6 * float(self._elapsed_ms(start, end))

    def wait(self) -> None:
        self._synchronize()

    def flush(self) -> None:
        with self._target:
            self._cupy.sum(self._read, out=self._sum)

    def spin(self, cycles: int) -> None:
        with self._target:
            self._spin((1,), (1,), (self._cupy.int64(cycles),))

    def capture(self, calls: Sequence[Call]) -> Graph:
        side = self._cupy.cuda.Stream(non_blocking=True)
        # what calls free must not be handed to anybody else as long as the graph writes there
        pool = self._cupy.cuda.MemoryPool()
        answers: list[Any] = []
        with _captures(self, side), _lent(self._launchers, side), self._cupy.cuda.using_allocator(pool.malloc), side:
            _run_each(calls)
            self.wait()
            side.begin_capture()
            try:
                answers.extend(call() for call in calls)
            except BaseException:
                with contextlib.suppress(Exception):
                    side.end_capture()
                raise
            graph = side.end_capture()

        def replay() -> None:
            graph.launch(self._stream)

        return Graph(replay, answers, pool)

    def scrub(self, answer: Any) -> None:
        answer.fill(SCRUB)

    def is_scrubbed(self, answer: Any) -> bool:
        return bool((answer == SCRUB).all())


def _run_each(calls: Sequence[Call]) -> None:
    """Each once on the stream of the capture: whatever a first call sets up there cannot be captured."""
    for call in dict.fromkeys(calls):
        call()


@contextlib.contextmanager
def _captures(timer: Any, side: Any) -> Iterator[None]:
    """Flushes go to the side stream; what goes wrong there is a CaptureFailed, unless the device itself has failed."""
    timer._target = side
    try:
        yield
    except Exception as error:
        timer.wait()
        said = str(error).strip().splitlines()
        raise CaptureFailed(f"{type(error).__name__}: {said[0] if said else ''}"[:LONGEST_REASON]) from error
    finally:
        timer._target = timer._stream


@contextlib.contextmanager
def _lent(launchers: Sequence[Any], side: Any) -> Iterator[None]:
    was = [one.stream for one in launchers]
    for one in launchers:
        one.stream = side
    try:
        yield
    finally:
        for one, stream in zip(launchers, was, strict=True):
            one.stream = stream

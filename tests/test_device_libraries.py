"""The timers of PyTorch and CuPy, against stand-ins for both: what they ask for, on which stream, and what is left
behind when it fails.

No GPU is at hand where this is written: whether the libraries do with it what their documentation says is not tested.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness.timing.device.graphs import replayed
from harness.timing.device.libraries import CupyTimer, TorchTimer
from harness.timing.device.timer import EVICTS, UNKNOWN_L2_BYTES, CaptureFailed


class Stream:
    """A stream of either library."""

    def __init__(self, gpu: Gpu, name: str) -> None:
        self.gpu, self.name, self.device, self.capturing = gpu, name, "cuda:0", False

    def __enter__(self) -> Stream:
        self.gpu.streams.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.gpu.streams.pop()

    def wait_stream(self, other: Stream) -> None:
        self.gpu.log.append(f"{self.name} waits for {other.name}")

    def begin_capture(self) -> None:
        self.gpu.log.append(f"capture {self.name}")
        self.capturing = True

    def end_capture(self) -> Any:
        self.gpu.log.append(f"end {self.name}")
        self.capturing = False
        if self.gpu.invalid:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return types.SimpleNamespace(launch=lambda stream: self.gpu.log.append(f"replay on {stream.name}"))


class Event:
    def __init__(self, enable_timing: bool = True) -> None:
        assert enable_timing
        self.done, self.ms = False, 0.0

    def record(self, stream: Stream) -> None:
        stream.gpu.ms += 0.25
        self.ms = stream.gpu.ms
        stream.gpu.log.append(f"event on {stream.name}")

    def query(self) -> bool:
        return self.done

    def synchronize(self) -> None:
        self.done = True

    def elapsed_time(self, end: Event) -> float:
        return end.ms - self.ms


class Tensor:
    """Of one element: a buffer, or an answer."""

    def __init__(self, count: int = 1) -> None:
        self.count, self.value = count, 0

    def detach(self) -> Tensor:
        return self

    def fill_(self, value: int) -> None:
        self.value = value

    fill = fill_

    def __eq__(self, other: object) -> Any:
        return types.SimpleNamespace(all=lambda: self.value == other)

    __hash__ = object.__hash__


class Gpu:
    """What both stand-ins share: a log of what was asked, on the stream that was the current one."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.ms = 0.0
        self.invalid = self.lost = False
        self.buffers: list[Tensor] = []
        self.main = Stream(self, "main")
        self.streams = [self.main]

    def here(self, what: str) -> None:
        self.log.append(f"{what} on {self.streams[-1].name}")

    def stream(self, **_: Any) -> Stream:
        return Stream(self, "side")

    def wait(self) -> None:
        self.log.append("wait for all")
        if self.lost:
            raise RuntimeError("cudaErrorIllegalAddress")

    def buffer(self, count: int, *_: Any, **__: Any) -> Tensor:
        self.buffers.append(Tensor(count))
        return self.buffers[-1]

    def kernel(self) -> Tensor:
        self.here("kernel")
        return Tensor()


def fake_torch(gpu: Gpu) -> types.ModuleType:
    torch: Any = types.ModuleType("torch")

    class CUDAGraph:
        def replay(self) -> None:
            gpu.here("replay")

    @contextmanager
    def graph(_: CUDAGraph, stream: Stream) -> Iterator[None]:
        # as PyTorch does: where the end of a capture raises, the stream stays the current one
        gpu.streams.append(stream)
        stream.begin_capture()
        try:
            yield
        finally:
            stream.end_capture()
            gpu.streams.pop()

    @contextmanager
    def stream(wanted: Stream) -> Iterator[None]:
        before = list(gpu.streams)
        gpu.streams.append(wanted)
        try:
            yield
        finally:
            gpu.streams[:] = before

    torch.float32 = "float32"
    torch.ones = torch.zeros = gpu.buffer
    torch.sum = lambda buffer, dim, out: gpu.here("flush")
    torch.cuda = types.SimpleNamespace(
        Event=Event,
        Stream=gpu.stream,
        CUDAGraph=CUDAGraph,
        graph=graph,
        stream=stream,
        synchronize=gpu.wait,
        current_stream=lambda: gpu.streams[-1],
        get_device_properties=lambda device: types.SimpleNamespace(L2_cache_size=1000),
        _sleep=lambda cycles: gpu.here(f"spin {cycles}"),
    )
    return torch


def fake_cupy(gpu: Gpu) -> types.ModuleType:
    cupy: Any = types.ModuleType("cupy")

    @contextmanager
    def allocator(malloc: str) -> Iterator[None]:
        gpu.log.append(f"memory of {malloc}")
        yield
        gpu.log.append("memory as before")

    runtime = types.SimpleNamespace(
        deviceSynchronize=gpu.wait, getDevice=lambda: 0, getDeviceProperties=lambda number: {"l2CacheSize": 1000}
    )
    cupy.float32, cupy.int64 = "float32", int
    cupy.ones = cupy.zeros = gpu.buffer
    cupy.sum = lambda buffer, out: gpu.here("flush")
    cupy.RawKernel = lambda code, name: lambda grid, block, arguments: gpu.here(f"spin {arguments[0]}")
    cupy.cuda = types.SimpleNamespace(
        Event=Event,
        Stream=gpu.stream,
        MemoryPool=lambda: types.SimpleNamespace(malloc="a pool of its own"),
        using_allocator=allocator,
        get_current_stream=lambda: gpu.streams[-1],
        get_elapsed_time=lambda start, end: end.ms - start.ms,
        runtime=runtime,
    )
    return cupy


@pytest.fixture
def gpu() -> Gpu:
    return Gpu()


@pytest.fixture(params=["torch", "cupy"])
def timer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, gpu: Gpu) -> Any:
    fake = fake_torch(gpu) if request.param == "torch" else fake_cupy(gpu)
    monkeypatch.setitem(sys.modules, request.param, fake)
    return TorchTimer() if request.param == "torch" else CupyTimer()


def test_events_are_recorded_on_the_stream_of_the_timer_whatever_the_current_one_is(timer: Any, gpu: Gpu) -> None:
    start, end = timer.event(), timer.event()
    gpu.streams.append(Stream(gpu, "another"))
    timer.record(start)
    timer.flush()
    timer.spin(7)
    timer.record(end)
    assert gpu.log == ["event on main", "flush on main", "spin 7 on main", "event on main"]
    assert not timer.is_done(end)
    timer.wait_for(end)
    assert timer.is_done(end) and timer.elapsed_ns(start, end) == 0.25e6
    timer.wait()
    assert gpu.log[-1] == "wait for all"


def test_a_flush_reads_a_multiple_of_the_cache(timer: Any, gpu: Gpu) -> None:
    assert timer.l2_bytes == 1000 and EVICTS >= 2
    assert 4 * gpu.buffers[0].count == EVICTS * 1000


def test_a_cache_of_unknown_size_is_taken_for_a_large_one(monkeypatch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    torch = fake_torch(gpu)
    torch.cuda.get_device_properties = lambda device: types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert TorchTimer().l2_bytes == UNKNOWN_L2_BYTES
    cupy = fake_cupy(gpu)
    cupy.cuda.runtime.getDeviceProperties = lambda number: {}
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert CupyTimer().l2_bytes == UNKNOWN_L2_BYTES


def test_a_graph_holds_calls_and_flushes_of_the_side_stream_and_runs_on_the_timers(timer: Any, gpu: Gpu) -> None:
    graph = timer.capture([timer.flush, gpu.kernel, timer.flush, gpu.kernel])
    begin, end = gpu.log.index("capture side"), gpu.log.index("end side")
    assert gpu.log[begin + 1 : end] == ["flush on side", "kernel on side"] * 2
    # what a first call sets up is not captured: each has run before, once
    assert gpu.log[:begin].count("kernel on side") == 1
    assert len(graph.answers) == 4 and gpu.streams == [gpu.main]
    graph.replay()
    assert gpu.log[-1] == "replay on main"
    timer.flush()
    assert gpu.log[-1] == "flush on main"


def test_a_capture_that_fails_says_why_and_leaves_no_trace(timer: Any, gpu: Gpu) -> None:
    def waits() -> None:
        if any(one.capturing for one in gpu.streams):
            gpu.invalid = True
            raise RuntimeError("operation not permitted when stream is capturing\nCompile with TORCH_USE_CUDA_DSA")

    with pytest.raises(CaptureFailed, match="RuntimeError: ") as failure:
        timer.capture([waits])
    assert "\n" not in str(failure.value)
    assert gpu.streams == [gpu.main] and "end side" in gpu.log
    timer.flush()
    assert gpu.log[-1] == "flush on main"
    assert replayed(timer, waits).call_ns is None


def test_a_capture_that_loses_the_device_is_no_failed_capture(timer: Any, gpu: Gpu) -> None:
    def breaks() -> None:
        gpu.lost = True
        raise RuntimeError("cudaErrorIllegalAddress")

    with pytest.raises(RuntimeError, match="cudaErrorIllegalAddress"):
        timer.capture([breaks])


def test_answers_are_overwritten_and_looked_at(timer: Any) -> None:
    answer = Tensor()
    assert not timer.is_scrubbed(answer)
    timer.scrub(answer)
    assert timer.is_scrubbed(answer)


def test_a_device_with_a_stream_of_its_own_works_on_the_one_that_is_captured(
    monkeypatch: pytest.MonkeyPatch, gpu: Gpu
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(gpu))
    device = types.SimpleNamespace(stream=gpu.main)
    timer, seen = CupyTimer(launchers=(device,)), []

    def launches() -> None:
        seen.append(device.stream.name)

    timer.capture([launches])
    assert seen == ["side", "side"] and device.stream is gpu.main
    # memory that a graph writes to is its own
    assert gpu.log.index("memory of a pool of its own") < gpu.log.index("capture side")
    with pytest.raises(CaptureFailed):
        timer.capture([launches, lambda: 1 / 0])
    assert device.stream is gpu.main


@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_a_library_that_is_patched_later_does_not_reach_the_clock(
    library: str, monkeypatch: pytest.MonkeyPatch, gpu: Gpu
) -> None:
    fake: Any = fake_torch(gpu) if library == "torch" else fake_cupy(gpu)
    monkeypatch.setitem(sys.modules, library, fake)
    timer = TorchTimer() if library == "torch" else CupyTimer()
    start, end = timer.event(), timer.event()
    monkeypatch.setattr(Event, "elapsed_time", lambda self, end: 0.0)
    monkeypatch.setattr(Event, "record", lambda self, stream: None)
    monkeypatch.setattr(Event, "synchronize", lambda self: None)
    fake.cuda.synchronize = fake.cuda.get_elapsed_time = lambda *_: 0.0
    timer.record(start)
    timer.record(end)
    timer.wait_for(end)
    timer.wait()
    assert timer.elapsed_ns(start, end) == 0.25e6 and end.done and "wait for all" in gpu.log

"""What only a GPU can show of its timing: run where there is one, with `pytest tests/test_device_gpu.py`.

A kernel that spins for a number of the device's cycles stands for one of a known duration.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
from harness.implementations.torch_cuda import no_driver, no_gpu

from harness.timing.device.graphs import launch, replayed
from harness.timing.device.libraries import CupyTimer, TorchTimer
from harness.timing.device.readings import Reader, Reading
from harness.timing.device.state import read_state
from harness.timing.device.timer import DeviceTimer

WHY_NOT = {
    "torch": no_gpu(),
    "cupy": no_driver() or (None if importlib.util.find_spec("cupy") else "CuPy is not installed"),
}


@pytest.fixture(params=["torch", "cupy"], scope="module")
def timer(request: pytest.FixtureRequest) -> DeviceTimer:
    if WHY_NOT[request.param]:
        pytest.skip(WHY_NOT[request.param])
    return TorchTimer() if request.param == "torch" else CupyTimer()


def array(timer: DeviceTimer, elements: int) -> Any:
    if timer.name == "torch":
        import torch

        return torch.ones(elements, device="cuda")
    import cupy

    return cupy.ones(elements, cupy.float32)


def on_another_stream(timer: DeviceTimer, work: Callable[[], Any]) -> Callable[[], Any]:
    if timer.name == "torch":
        import torch

        side, use = torch.cuda.Stream(), torch.cuda.stream
    else:
        import cupy

        side, use = cupy.cuda.Stream(non_blocking=True), lambda stream: stream

    def call() -> Any:
        with use(side):
            return work()

    return call


def median_ns(timer: DeviceTimer, call: Callable[[], Any], count: int = 41) -> tuple[float, list[Reading], Reader]:
    reader = Reader(timer, seed=1)
    readings = [reader.read(call, [call], [[]], lambda _: None) for _ in range(count)]
    counted = sorted(one.device_ns for one in readings if one.held) or sorted(one.device_ns for one in readings)
    return counted[len(counted) // 2], readings, reader


def spins(timer: DeviceTimer, duration_ns: float) -> Callable[[], Any]:
    return lambda: timer.hold(duration_ns)


def test_a_known_duration_is_found(timer: DeviceTimer) -> None:
    for duration_ns in (50_000.0, 200_000.0, 1_000_000.0):
        call = spins(timer, duration_ns)
        found, readings, reader = median_ns(timer, call)
        assert found == pytest.approx(duration_ns, rel=0.15, abs=5000)
        assert sum(one.held for one in readings) > 20 and reader.known(call).natural_why == ""


def test_inputs_are_cold(timer: DeviceTimer) -> None:
    x = array(timer, timer.l2_bytes // 4 // 8)
    call = lambda: x * 2  # noqa: E731
    cold, _, _ = median_ns(timer, call)
    start, end = timer.event(), timer.event()
    kept = [call() for _ in range(20)]
    timer.hold(2_000_000)
    timer.record(start)
    kept += [call() for _ in range(20)]
    timer.record(end)
    timer.wait_for(end)
    assert cold > timer.elapsed_ns(start, end) / 20


def test_a_graph_of_a_short_kernel(timer: DeviceTimer) -> None:
    x = array(timer, 1024)
    call = lambda: x * 2  # noqa: E731
    found = replayed(timer, call)
    assert found.reason == "" and found.call_ns is not None and 200 < found.call_ns < 20_000
    warm = replayed(timer, call, cold=False)
    assert warm.call_ns is not None and warm.call_ns <= found.call_ns + 2 * (found.spread_ns or 0.0)
    assert found.call_ns < launch(timer, call).done_ns


def test_a_call_that_waits_is_known_to_and_makes_no_graph(timer: DeviceTimer) -> None:
    x = array(timer, 1024)
    call = lambda: float(x.sum())  # noqa: E731
    assert launch(timer, call).waits and not launch(timer, lambda: x * 2).waits
    assert replayed(timer, call).call_ns is None
    # and the device is as good as before
    assert replayed(timer, lambda: x * 2).call_ns is not None
    assert float((x * 2).sum()) == 2048


def test_work_on_another_stream_is_seen(timer: DeviceTimer) -> None:
    x = array(timer, 1 << 26)
    hides = on_another_stream(timer, lambda: x * 2)
    honest, _, _ = median_ns(timer, lambda: x * 2)
    _, readings, reader = median_ns(timer, hides)
    assert "hidden" in reader.known(hides).natural_why
    assert readings[-1].device_ns > 0.8 * honest
    assert replayed(timer, on_another_stream(timer, lambda: array(timer, 16))).call_ns is None


def test_the_clocks_are_read(timer: DeviceTimer) -> None:
    state = read_state()
    assert state.problem == "" and state.sm_mhz and state.max_sm_mhz and state.reasons is not None

"""Time on a device, against a device whose every duration is known."""

from __future__ import annotations

import random
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from fake_device import Answer, Array, Episode, ScriptedDevice

import harness
from harness.confinement import Raised
from harness.cuda.faults import CRASH, Finding, KernelFault, Place
from harness.execute import Options
from harness.implement import Unsupported
from harness.process import Elapsed
from harness.record import Record, Sample
from harness.timing.audit import Audit, Claimed, Cost, Overhead
from harness.timing.device import state
from harness.timing.device.graphs import launch, replayed
from harness.timing.device.readings import Reader, Reading, device_clocked, segments
from harness.timing.device.state import State, Watch, contamination
from harness.timing.device.timer import CaptureFailed
from harness.timing.groups import Settings


def rows(device: ScriptedDevice, function: Any, arrays: list[Array], count: int, calls: int = 1) -> list[Reading]:
    """Readings of a function on the same arrays, one call in each or several."""
    reader = Reader(device, seed=1)
    return [reader.read(function, [function] * calls, [arrays] * calls, lambda _: None) for _ in range(count)]


def held(readings: list[Reading]) -> list[Reading]:
    return [one for one in readings if one.held]


# ---- readings


@pytest.mark.parametrize("kernel_ns", [300.0, 3000.0, 50_000.0, 5e6])
@pytest.mark.parametrize("launch_ns", [2000.0, 5000.0, 400_000.0])
def test_a_known_duration_is_found_behind_any_launch(kernel_ns: float, launch_ns: float) -> None:
    device = ScriptedDevice(launch_ns=launch_ns)
    readings = rows(device, device.kernel([Array(10)], kernel_ns), [Array(10)], 40)
    assert not readings[0].held and len(held(readings)) >= 30
    assert {one.device_ns for one in held(readings)} == {kernel_ns}
    assert not any(one.starved for one in held(readings))
    assert {one.launch_ns for one in readings} == {launch_ns}
    # a natural reading holds the first launch as well, and says so
    assert all(one.device_ns == kernel_ns + launch_ns for one in readings if not one.held)


def test_calls_in_a_row_do_not_starve() -> None:
    device = ScriptedDevice(launch_ns=5000.0)
    inputs = [Array(5000) for _ in range(50)]
    function = device.kernel(inputs, 3000.0)
    readings = [
        Reader(device, seed=1).read(function, [function] * 50, [[one] for one in inputs], lambda _: None, natural=True)
    ]
    reader = Reader(device, seed=1)
    for _ in range(10):
        readings.append(reader.read(function, [function] * 50, [[one] for one in inputs], lambda _: None))
    # one after the other they take as long as the host needs to bring them
    assert readings[0].device_ns == 50 * 5000 + 3000
    assert {one.device_ns for one in held(readings)} == {50 * 3000}


def test_a_warm_time_is_not_reported_where_a_cold_one_is_asked_for() -> None:
    device, small = ScriptedDevice(l2_bytes=1000), Array(100)
    function = device.kernel([small], cold_ns=9000.0, warm_ns=1000.0)
    found = held(rows(device, function, [small], 20, calls=3))
    # the same input three times: three flushes, each outside the time
    assert {(one.device_ns, one.flushes) for one in found} == {(3 * 9000, 3)}


def test_inputs_that_rotate_beyond_the_cache_need_one_flush() -> None:
    device = ScriptedDevice(l2_bytes=1000)
    arrays = [Array(700) for _ in range(4)]
    functions = [device.kernel([one], cold_ns=9000.0, warm_ns=1000.0) for one in arrays]
    order = [0, 1, 2, 3, 0, 1, 2, 3]
    reader, found = Reader(device, seed=1), []
    for _ in range(12):
        calls, inputs = [functions[one] for one in order], [[arrays[one]] for one in order]
        found.append(reader.read(functions[0], calls, inputs, lambda _: None))
    assert {(one.device_ns, one.flushes) for one in held(found)} == {(8 * 9000, 1)}


@pytest.mark.parametrize(
    ("order", "parts"),
    [
        ([0, 1, 2, 3], [[0, 1, 2, 3]]),
        ([0, 0, 0], [[0], [1], [2]]),
        ([0, 1, 0], [[0, 1], [2]]),
        ([0, 1, 2, 3, 0], [[0, 1, 2, 3, 4]]),
        ([], []),
    ],
)
def test_where_a_flush_is_needed(order: list[int], parts: list[list[int]]) -> None:
    arrays = [Array(700) for _ in range(4)]
    assert segments([[arrays[one]] for one in order], 2000) == parts


def test_a_call_that_waits_for_the_device_has_that_in_its_time_and_no_hold() -> None:
    device = ScriptedDevice(launch_ns=5000.0, wait_ns=2000.0)
    readings = rows(device, device.kernel([Array(10)], 30_000.0, waits=True), [Array(10)], 60)
    # the kernel and noticing its end; in a natural reading the launch too
    assert {(one.device_ns, one.starved) for one in held(readings)} == {(30_000 + 2000, True)}
    assert {one.device_ns for one in readings if not one.held} == {5000 + 30_000 + 2000}
    assert device.now < 60 * 1e6  # holds do not grow


# ---- work on another stream


@pytest.mark.parametrize("hidden_ns", [100_000.0, 5e6])
def test_work_on_another_stream_is_seen(hidden_ns: float) -> None:
    device = ScriptedDevice()
    hides = device.kernel([Array(10)], hidden_ns, stream="side")
    reader = Reader(device, seed=1)
    readings = [reader.read(hides, [hides], [[]], lambda _: None) for _ in range(30)]
    assert "hidden from the events" in reader.known(hides).natural_why
    assert all(one.device_ns >= hidden_ns and not one.held for one in readings[10:])
    assert readings[-1].leftover_ns > 0.9 * hidden_ns - device.launch_ns


def test_work_on_another_stream_that_outlasts_a_hold_is_added() -> None:
    device = ScriptedDevice()
    hides = device.kernel([], 1e6, stream="side")
    first, second = rows(device, hides, [], 2)
    assert not first.held and second.held
    assert first.device_ns >= 1e6 and second.device_ns >= 0.9e6


def test_an_honest_kernel_is_never_suspected() -> None:
    for duration in (1000.0, 30_000.0, 1e6):
        device = ScriptedDevice(launch_ns=20_000.0, wait_ns=15_000.0, gap_ns=1500.0)
        function, reader = device.kernel([], duration), Reader(device, seed=2)
        for _ in range(100):
            reader.read(function, [function], [[]], lambda _: None)
        assert reader.known(function).natural_why == ""


def test_a_first_call_that_is_slow_is_no_suspicion() -> None:
    device = ScriptedDevice()
    slow, quick = device.kernel([], 5e6), device.kernel([], 10_000.0)
    left = [slow, slow]

    def loads_first() -> Answer:
        return (left.pop() if left else quick)()

    reader = Reader(device, seed=1)
    found = [reader.read(loads_first, [loads_first], [[]], lambda _: None) for _ in range(40)]
    assert reader.known(loads_first).natural_why == ""
    assert held(found)[-1].device_ns == 10_000


# ---- graphs and launches


@pytest.mark.parametrize("cold", [True, False])
def test_a_graph_finds_a_kernel_of_3_us_behind_a_launch_of_5(cold: bool) -> None:
    device, array = ScriptedDevice(launch_ns=5000.0), Array(100)
    call = device.kernel([array], cold_ns=3000.0, warm_ns=1000.0)
    found = replayed(device, call, cold)
    assert found.reason == "" and found.call_ns == pytest.approx(3000.0 if cold else 1000.0, abs=1e-3)
    assert found.spread_ns == pytest.approx(0.0, abs=1e-3)


def test_where_no_graph_can_be_made_the_reason_is_said() -> None:
    device = ScriptedDevice()
    found = replayed(device, device.kernel([], 3000.0, waits=True))
    assert found.call_ns is None and "not permitted when stream is capturing" in found.reason
    assert replayed(ScriptedDevice(refuses_capture="no graphs here"), lambda: None).reason == "no graphs here"


def test_a_graph_that_does_not_hold_the_work_is_no_graph() -> None:
    device = ScriptedDevice()
    found = replayed(device, device.kernel([], 3000.0, stream="side"))
    assert found.call_ns is None and "does not write the answer" in found.reason


def test_flushes_that_vary_more_than_a_call_takes_give_no_time() -> None:
    lengths = random.Random(1)

    class Uneven(ScriptedDevice):
        def busy(self, duration_ns: float, stream: str = "main") -> None:
            super().busy(duration_ns * (lengths.uniform(0.8, 1.2) if duration_ns > 1000 else 1), stream)

    device = Uneven()
    found = replayed(device, device.kernel([], 300.0))
    assert found.call_ns is None and "vary by" in found.reason


def test_a_launch_is_told_from_the_time_until_the_answer() -> None:
    device = ScriptedDevice(launch_ns=5000.0, wait_ns=2000.0)
    found = launch(device, device.kernel([], 30_000.0))
    assert (found.launch_ns, found.done_ns, found.waits) == (5000, 5000 + 30_000 + 2000, False)
    waits = launch(device, device.kernel([], 30_000.0, waits=True))
    assert waits.waits and waits.launch_ns == 5000 + 30_000 + 2000


# ---- as the worker calls it


def said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def test_a_reading_as_the_worker_takes_it() -> None:
    device = ScriptedDevice()
    arrays = [Array(3000), Array(3000)]
    function = device.kernel(arrays, 50_000.0)
    chosen = [(function, [one], {"dim": 1}) for one in arrays]
    reader, waited = Reader(device, seed=1), []
    for _ in range(5):
        start = device.now
        answers, wall, cpu, device_ns = device_clocked(reader, chosen, lambda: waited.append(1), said)
        assert [one.value for one in answers] == [1, 1] and cpu >= 0
        # everything that went by is in the wall time: an audit finds nothing unexplained
        assert wall == int(device.now) - int(start) and wall > device_ns
    assert device_ns == 100_000 and len(waited) == 5


def test_an_exception_stands_for_every_answer_from_there_on() -> None:
    device = ScriptedDevice()
    good, bad = device.kernel([], 1000.0), device.kernel([], 1000.0, refuses=ValueError("bad dim"))
    answers, _, _, device_ns = device_clocked(
        Reader(device), [(good, [], {}), (bad, [], {}), (good, [], {})], lambda: None, said
    )
    assert device_ns is None
    assert answers[0].value == 1 and answers[1:] == ["ValueError: bad dim"] * 2


def test_a_kernel_that_breaks_the_device_takes_all_answers_and_the_backend_names_it() -> None:
    def knows() -> None:
        raise LookupError("crash in softmax (softmax.cu:7)")

    lost = "an illegal memory access was encountered"
    for wait, words in (
        (lambda: None, f"RuntimeError: {lost}"),
        (knows, "LookupError: crash in softmax (softmax.cu:7)"),
    ):
        device = ScriptedDevice()
        breaks = device.kernel([], 1000.0, breaks=RuntimeError(lost))
        found = device_clocked(Reader(device), [(breaks, [], {}), (breaks, [], {})], wait, said)
        assert found[0] == [words] * 2 and found[3] is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RuntimeError("CUDA error: out of memory"), "out_of_memory"),
        (Unsupported("no such layout"), "unsupported"),
        (
            KernelFault(Finding(CRASH, "softmax", Place("softmax.cu", 7, (0, 0, 0), (0, 0, 0)), "illegal access")),
            "failed",
        ),
        (ValueError("bad dim"), "error"),
        (SystemExit(3), "error"),
    ],
)
def test_an_exception_in_a_kernel_becomes_the_failure_that_it_is(error: BaseException, kind: str) -> None:
    for how in ("refuses", "breaks"):
        device = ScriptedDevice()
        function = device.kernel([], 1000.0, **{how: error})
        (answer,), _, _, device_ns = device_clocked(Reader(device), [(function, [], {})], lambda: None, Raised)
        assert answer.kind == kind and device_ns is None


def test_nothing_to_call_is_no_error() -> None:
    answers, _, _, device_ns = device_clocked(Reader(ScriptedDevice()), [], lambda: None, said)
    assert answers == [] and device_ns is not None


# ---- what the GPU says of itself


def test_a_throttled_sample_is_marked_with_the_reason() -> None:
    device = ScriptedDevice(episodes=[Episode(1e6, 2e6, 1500.0, 0x4)])
    function, reader = device.kernel([], 50_000.0), Reader(device, seed=1)
    seen = []
    for _ in range(40):
        before = device.state()
        one = reader.read(function, [function], [[]], lambda _: None)
        seen.append((one, contamination(before, device.state())))
    slow = [(one, why) for one, why in seen if one.held and one.device_ns > 60_000]
    assert slow and all("power cap" in why for _, why in slow)
    assert any("fell from 2000 to 1500 MHz" in why for _, why in seen)
    assert any(why == "" for _, why in seen) and len(seen) == 40


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({}, {}, ""),
        ({"sm_mhz": 1980}, {"sm_mhz": 1975}, ""),
        ({"sm_mhz": 1980}, {"sm_mhz": 1700}, "fell from 1980 to 1700 MHz"),
        ({"sm_mhz": 1980}, {"sm_mhz": 345, "reasons": 0x1}, ""),
        ({"sm_mhz": 1980}, {"sm_mhz": float("nan")}, "fell"),
        ({}, {"sm_mhz": 1000, "max_sm_mhz": 1980}, "stood at 1000 of 1980 MHz"),
        ({"reasons": 0x40}, {}, "heat"),
        ({}, {"reasons": 0x8 | 0x80}, "hardware slowdown, power brake"),
        ({"reasons": 0x2}, {"reasons": 0x10}, ""),
    ],
)
def test_what_contaminates(before: dict[str, Any], after: dict[str, Any], words: str) -> None:
    found = contamination(State(**before), State(**after))
    assert words in found if words else found == ""


def tool(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Let this be the nvidia-smi, without NVML."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(state, "has_nvml", lambda: False)


LINE = "1980, 2619, 1980, 2619, 41, 118.75, 700.00, 0x0000000000000004, 580.65.06, Enabled"


def test_the_state_is_what_nvidia_smi_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool(monkeypatch, tmp_path, f"echo '{LINE}'; echo \"$@\" > {tmp_path}/asked")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,1")
    found = state.read_state()
    assert (found.sm_mhz, found.power_w, found.reasons) == (1980.0, 118.75, 4)
    assert found.slowed_by == ("power cap",) and found.driver == "580.65.06" and found.problem == ""
    asked = (tmp_path / "asked").read_text()
    assert "--id=3" in asked and all(one not in asked for one in ("-lgc", "-pm", "-pl", "--lock", "--persistence"))


def test_what_the_driver_does_not_say_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool(monkeypatch, tmp_path, "echo '[N/A], [Not Supported], 1980, , 41, [N/A], 700, Not Active, 580, Enabled'")
    found = state.read_state()
    assert found.sm_mhz is None and found.reasons is None and found.max_sm_mhz == 1980.0
    assert contamination(found, found) == ""


def test_an_old_driver_is_asked_by_the_old_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool(monkeypatch, tmp_path, f"case \"$1\" in *event_reasons*) exit 2;; esac; echo '{LINE}'")
    assert state.read_state().reasons == 4


def test_without_an_answer_the_problem_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool(monkeypatch, tmp_path, "exit 9")
    assert "did not answer" in state.read_state().problem
    tool(monkeypatch, tmp_path, "true")
    assert state.read_state() == State()


def test_nvml_is_asked_where_it_is_there_and_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = types.ModuleType("pynvml")
    asked: list[str] = []
    answers = {
        "nvmlDeviceGetClockInfo": 1980,
        "nvmlDeviceGetMaxClockInfo": 2000,
        "nvmlDeviceGetPowerUsage": 350_000,
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0x40,
        "nvmlSystemGetDriverVersion": b"580.1",
        "nvmlDeviceGetHandleByIndex": "gpu",
        "nvmlInit": None,
    }
    for name, answer in answers.items():

        def function(*_: Any, name: str = name, answer: Any = answer) -> Any:
            asked.append(name)
            return answer

        setattr(nvml, name, function)
    for number, name in enumerate(("NVML_CLOCK_SM", "NVML_CLOCK_MEM", "NVML_TEMPERATURE_GPU")):
        setattr(nvml, name, number)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(state, "has_nvml", lambda: True)
    state._nvml.cache_clear()
    found = state.read_state()
    state._nvml.cache_clear()
    assert (found.sm_mhz, found.max_sm_mhz, found.power_w, found.driver) == (1980, 2000, 350.0, "580.1")
    assert found.slowed_by == ("heat (hardware)",) and found.temperature_c is None
    assert not any("Set" in name for name in asked)


def test_a_watch_asks_no_more_often_than_it_may() -> None:
    states = [State(sm_mhz=float(number)) for number in range(3)]
    watch = Watch(lambda: states.pop(0), every_s=1000.0)
    assert [watch.state().sm_mhz, watch.state().sm_mhz, watch.state(fresh=True).sm_mhz] == [0.0, 0.0, 1.0]


def test_a_hold_is_as_long_as_it_was_asked_to_be() -> None:
    device = ScriptedDevice(cycles_per_ns=1.7)
    for asked in (0.0, 1000.0, 250_000.0):
        start, end = device.event(), device.event()
        device.hold(asked)  # learns the clock
        device.wait()
        device.record(start)
        device.hold(asked)
        device.record(end)
        assert device.elapsed_ns(start, end) == pytest.approx(asked, abs=1.0)


def test_capture_failures_are_their_own_kind() -> None:
    with pytest.raises(CaptureFailed, match="never"):
        ScriptedDevice(refuses_capture="never").capture([])


# ---- a backend with a clock of its own, from the worker to the record


PLUGIN = str(Path(__file__).parent / "sabotage" / "plugins" / "pretend_device.py")
BENCHMARK = "float32[1024x1024]dim=1"


def pretended(name: str, store: Path) -> tuple[Record, list[Sample]]:
    options = Options(budget_s=0.5, settings=Settings(processes=1))
    task = f"max/pretend/{name}/{BENCHMARK}"
    done = harness.bench(task, plugins=[PLUGIN], store=str(store), options=options)
    (row,) = [one for one in done.timed if one.id == task]
    return row, list(done.raw_samples)


@pytest.mark.timed
def test_the_time_of_a_backend_with_a_clock_is_by_that_clock(monkeypatch: pytest.MonkeyPatch, store_path: Path) -> None:
    """The pretended flush of 0.5 ms is within the wall's time of every reading, and in no time that is shown."""
    states = iter([State(sm_mhz=1980.0), *[State(sm_mhz=1980.0, reasons=0x4)] * 100_000])
    monkeypatch.setattr(state, "has_nvml", lambda: True)
    monkeypatch.setattr(state, "read_state", lambda: next(states))
    row, samples = pretended("builtin", store_path)
    assert row.status == "passed", row.reason
    assert samples and all(0 < one.device_ns <= one.wall_ns - 500_000 for one in samples if one.device_ns is not None)
    assert not any(one.device_ns is None for one in samples)
    per_call = [one.device_ns / one.calls for one in samples if one.device_ns]
    assert row.median_ns is not None and min(per_call) <= row.median_ns <= max(per_call)
    assert row.min_ns == round(min(per_call))
    assert row.gb_per_s == pytest.approx(row.bytes / row.median_ns, rel=1e-3) if row.bytes else False
    assert row.device == "gpu"
    assert row.percent_of_limit is None, "the copy rate of this machine says nothing about a device"
    assert {"slowed by power cap" in (one.contaminated or "") for one in samples} == {True}


def test_the_state_of_a_gpu_is_not_asked_for_where_none_is_timed(
    monkeypatch: pytest.MonkeyPatch, store_path: Path
) -> None:
    monkeypatch.setattr(state, "read_state", lambda: pytest.fail("there is no device to ask"))
    options = Options(budget_s=0.2, settings=Settings(processes=1))
    done = harness.bench(f"max/numpy/builtin/{BENCHMARK}", store=str(store_path), options=options)
    samples = done.raw_samples
    assert samples and all(one.device_ns is None for one in samples)


@pytest.mark.timed
def test_a_device_whose_clock_is_forged_has_no_time(store_path: Path) -> None:
    row, _ = pretended("forges_the_clock_of_its_device", store_path)
    assert row.status == "untrusted" and "us per call on the device, but" in row.reason
    assert row.median_ns is None


def clocks(wall_ns: int, device_ns: int, calls: int = 4) -> str:
    """What an audit says of two clocks, where a call that does nothing needs 100 us beside the device's time."""
    audit = Audit(Overhead(Cost(0.0, 10_000.0), Cost(0.0, 0.0), Cost(0.0, 100_000.0)))
    for _ in range(10):
        claimed = Claimed(calls * wall_ns, 0, calls * device_ns)
        audit.add(Elapsed(calls * (wall_ns + 10_000), 0), claimed, calls)
    return audit.contradiction()


@pytest.mark.parametrize(
    ("wall_ns", "device_ns", "words"),
    [
        (110_000, 10_000, ""),
        (2_000_000, 10_000, ""),  # a launch of 1.2 ms, and the hold for it
        (60_000_000, 59_000_000, ""),
        (10_000_000, 1, "no launch is that slow"),
        (100_000_000, 90_000_000, "no launch is that slow"),
        (100_000, 1_000_000, "more than went by"),
    ],
)
def test_two_clocks_that_contradict_each_other(wall_ns: int, device_ns: int, words: str) -> None:
    found = clocks(wall_ns, device_ns)
    assert words in found if words else found == ""

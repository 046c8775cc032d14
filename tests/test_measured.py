"""The one command for a machine with a GPU, on a machine without one: every line of its way but CuPy's own calls."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import needs_torch
from harness.implementations import cupy as cupy_backend
from harness.implementations.numpy import backend as NUMPY
from harness.reports import arrays, measured, measuring
from harness.reports.agreement import Checked, differences
from harness.reports.arrays import GpuArrays, HostTimer, StandInArrays
from harness.reports.job import Job, Row, job_of
from harness.reports.measured_table import Outcome, markdown, write
from harness.reports.questions import ask

from harness.cuda import building, gpu
from harness.declare import Case
from harness.implement import Declaration
from harness.judge.verdict import Verdict
from harness.plan import Task
from harness.registry import load
from harness.timing.device import timer
from harness.timing.device.state import State

needs_compiler = pytest.mark.skipif(building.compiler() is None, reason=building.HINT)

VECTOR = ("sum", Case("float32", ((512,),), (("dim", 0),)))
MATRIX = ("softmax", Case("float32", ((16, 64),), (("dim", 1),)))


def quiet(text: str) -> None:
    return None


def job(**changes: Any) -> Job:
    """What numpy can do in a moment, in the place of kernels."""
    made = Job(
        device="cuda_cpu",
        backends=("numpy",),
        left_out=("array_api", "interleaved_grid_reduced", "interleaved_host_round_trip"),
        cases=(VECTOR,),
        until=time.monotonic() + 60,
        whole=128,
        rounds=2,
        seed=1,
    )
    return dataclasses.replace(made, **changes)


def heard(wanted: Job) -> measured.Gathered:
    """What the measuring code says when it runs here and not in a process of its own."""
    found = measured.Gathered()
    measuring.measure(job_of(json.loads(json.dumps(wanted.as_data()))), found.hear)
    return found


@needs_compiler
def test_the_whole_way_without_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measured.main(["--device", "cuda_cpu", "--out", str(tmp_path / "new"), "--seed", "3"]) == 0
    shown = capsys.readouterr()
    paths = [Path(line) for line in shown.out.splitlines()]
    assert [path.suffix for path in paths] == [".md", ".csv", ".json"]
    assert all(path.stem.endswith("-cuda_cpu") for path in paths)
    text = paths[0].read_text()
    assert "no timings of a GPU" in text and "no timings of a GPU" in shown.err
    assert "python -m harness.reports.measured --device cuda_cpu --minutes 8 --out" in text
    rows = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert {row["status"] for row in rows} == {"passed"}
    kernels = {(row["implementation"], row["case"]): row for row in rows if row["backend"] == "cuda_cpu"}
    assert len(kernels) >= 20
    for row in kernels.values():
        assert float(row["ci_low_ns"]) <= float(row["median_ns"]) <= float(row["ci_high_ns"])
        assert float(row["percent_of_limit"]) > 0 and row["checked"]
    vector = "float32[1024]dim=0"
    assert kernels[("host_round_trip", vector)]["host_round_trips"] == "2"
    assert kernels[("online", vector)]["host_round_trips"] == "0"
    assert "not -inf" in kernels[("online", vector)]["checked"]
    assert "rows" in kernels[("online", "float32[32x64]dim=1")]["checked"]
    whole = json.loads(paths[2].read_text())
    assert whole["seed"] == 3 and whole["not_reached"] == [] and whole["problems"] == []
    assert whole["on_both"] > 0 and whole["differ"] == []
    assert whole["conformance"]["cuda_cpu"]["passed"] > 0
    assert all(len(row["samples_ns"]) == row["samples"] for row in whole["rows"])
    for row in whole["rows"]:
        assert row["contaminated"] == 0 and row["samples_contaminated"] == [""] * row["samples"]
        # no cache is flushed here, no clock of a GPU is read, and nothing is captured
        assert (row["flushed_bytes"], row["sm_mhz_after"], row["graph_ns"]) == (None, None, None)
        if row["backend"] != "copy":
            assert row["waits"] and row["host_ns"] >= row["launch_ns"] > 0 and "waits" in row["graph_reason"]


PLUGIN = """
import os, time
import numpy as np
from harness import implementation

@implementation("sum", backend="numpy")
def forgets_the_last(x, *, dim): return np.asarray(np.sum(x[:-1]), x.dtype)

@implementation("sum", backend="numpy")
def raises(x, *, dim): raise MemoryError("out of memory: 12 GB are wanted")

@implementation("sum", backend="numpy", supports=lambda case: "only at night")
def picky(x, *, dim): return x.sum()

@implementation("sum", backend="numpy")
def wrong_shape(x, *, dim): return np.asarray([np.sum(x)])
"""


def test_one_bad_row_keeps_its_reason_and_no_time_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(PLUGIN)
    found = heard(job(plugins=(str(tmp_path / "bad.py"),), cases=(VECTOR, MATRIX)))
    by_name = {row.implementation: row for row in found.rows.values() if row.operator == "sum"}
    assert by_name["forgets_the_last"].status == "failed" and "is right" in by_name["forgets_the_last"].reason
    assert by_name["raises"].status == "out_of_memory" and "12 GB" in by_name["raises"].reason
    assert (by_name["picky"].status, by_name["picky"].reason) == ("unsupported", "only at night")
    assert "shape" in by_name["wrong_shape"].reason
    assert all(row.median_ns is None and row.host_ns is None for row in by_name.values() if row.status != "passed")
    assert by_name["builtin"].median_ns and by_name["builtin"].percent_of_limit
    assert found.ended and any(row.operator == "softmax" and row.median_ns for row in found.rows.values())


def lost(tmp_path: Path, body: str) -> measured.Gathered:
    """A run in a process of its own, with an implementation whose body is given, named so that it comes in between."""
    (tmp_path / "bad.py").write_text(
        f"import os, time\nfrom harness import implementation\n"
        f"@implementation('sum', backend='numpy')\ndef harmful(x, *, dim):\n    {body}\n"
    )
    return measured.measure(job(plugins=(str(tmp_path / "bad.py"),), cases=(VECTOR, MATRIX)), quiet)


def test_a_lost_process_costs_the_row_that_lost_it(tmp_path: Path) -> None:
    found = lost(tmp_path, "os._exit(7)")
    harmful = next(row for row in found.rows.values() if row.implementation == "harmful")
    assert harmful.status == "crashed" and "code 7" in harmful.reason
    assert found.ended and len(found.problems) == 1
    assert {row.operator for row in found.rows.values() if row.median_ns} == {"sum", "softmax"}


def test_a_process_that_says_nothing_any_more_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "SILENCE_S", 4.0)
    found = lost(tmp_path, "time.sleep(600)")
    harmful = next(row for row in found.rows.values() if row.implementation == "harmful")
    assert harmful.status == "timeout" and "said nothing" in harmful.reason
    assert found.ended


def test_a_process_that_does_not_even_start_is_not_started_for_ever() -> None:
    found = measured.measure(job(), quiet, (sys.executable, "-c", "raise SystemExit('no such thing')"))
    assert not found.ended and found.rows == {}
    assert len(found.problems) == 1 and "no such thing" in found.problems[0]


DIES = """
import json, sys
operator, case = json.load(sys.stdin)["cases"][0]
print(json.dumps({"begin": f"{operator}/{case['dtype']}[4]"}), flush=True)
sys.exit(9)
"""


def test_a_case_that_takes_the_process_with_it_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    both = tuple(("sum", Case(dtype, ((4,),))) for dtype in ("float32", "float64"))
    found = measured.measure(job(cases=both), quiet, (sys.executable, str(tmp_path / "dies.py")))
    assert set(found.states) == {"sum/float32[4]", "sum/float64[4]"} and not found.ended
    assert len(found.problems) == 2 and "code 9" in found.problems[0]


def test_a_case_that_cannot_be_set_up_is_a_row_for_each_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any, shape: Any) -> Any:
        raise MemoryError("no such memory")

    monkeypatch.setattr(StandInArrays, "normal", fails)
    found = heard(job())
    assert found.ended and found.rows
    assert all(row.status == "error" and "no such memory" in row.reason for row in found.rows.values())


def test_without_time_nothing_is_begun_and_what_was_not_reached_is_known() -> None:
    assert measured.measure(job(until=time.monotonic() - 1), quiet).rows == {}
    found = heard(job(until=time.monotonic() - 1))
    assert found.ended and found.rows == {}


class Lost(StandInArrays):
    """A device that answers no more after the first answer that is wrong."""

    is_lost = False

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.timer = HostTimer(self._wait)

    def _wait(self) -> None:
        if self.is_lost:
            raise RuntimeError("an illegal memory access was encountered")

    def seen_by(self, array: Any, backend: str) -> Any:
        self.is_lost = True
        return super().seen_by(array, backend)


def test_a_device_that_answers_no_more_ends_the_process_after_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(measuring.PLACES, "cuda_cpu", Lost)
    found = measured.Gathered()
    with pytest.raises(measuring.DeviceLost):
        measuring.measure(job(), found.hear)
    (row,) = (row for row in found.rows.values() if row.backend == "numpy")
    assert row.status == "error" and "illegal memory access" in row.reason


def test_a_clock_that_cannot_be_made_is_the_reason_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> Any:
        raise MemoryError("240 MB are wanted")

    monkeypatch.setattr(measuring.CaseRun, "_backend", lambda self, declared: dataclasses.replace(NUMPY, timer=fails))
    found = heard(job())
    rows = [row for row in found.rows.values() if row.backend == "numpy"]
    assert rows and all(row.status == "error" and "240 MB are wanted" in row.reason for row in rows)
    assert all(row.median_ns for row in found.rows.values() if row.backend == "copy")


def test_a_case_that_does_not_fit_is_not_run_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StandInArrays, "free_bytes", lambda self: 100)
    found = heard(job())
    assert found.rows and all(row.status == "unsupported" for row in found.rows.values())
    assert all("GB are free" in row.reason for row in found.rows.values())


def test_large_inputs_are_measured_one_library_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "LARGE", 1)
    released: list[int] = []
    monkeypatch.setattr(StandInArrays, "release", lambda self: released.append(1))
    backends = ("numpy", "cuda_cpu") if building.compiler() else ("numpy",)
    found = heard(job(backends=backends, left_out=("array_api",), cases=(MATRIX,)))
    assert {row.backend for row in found.rows.values() if row.median_ns} == {*backends, "copy"}
    assert len(released) == 1 + len(backends)


@pytest.mark.parametrize(
    ("operator", "shape", "dim", "said"),
    [
        ("softmax", (64,), 0, "every element"),
        ("softmax", (64, 8), 1, "rows"),
        ("softmax", (4096,), 0, "not -inf"),
        ("sum", (64,), 0, "every element"),
        ("sum", (64, 8), 1, "rows"),
        ("sum", (4096,), 0, "not 0"),
    ],
)
def test_questions_know_right_answers_and_wrong_ones(
    operator: str, shape: tuple[int, ...], dim: int, said: str
) -> None:
    declared = load().operators[operator]
    clock, rng = StandInArrays(1), np.random.default_rng(1)
    case = Case("float32", (shape,), (("dim", dim),))
    question = ask(clock, declared, case, clock.normal(shape), rng, 128)
    assert said in question.said
    x = clock.pick(question.x, None)
    right = np.asarray(declared.oracle(x, dim=dim), np.float32)
    assert question.judge(right, NUMPY, None).reason == ""
    for wrong in (np.zeros_like(right), np.full_like(right, np.nan), right.astype(np.float64), right[None], 2 * right):
        assert question.judge(wrong, NUMPY, None).reason
    if operator == "softmax" and "inf" in said:
        one = right.copy()
        one[np.flatnonzero(np.isneginf(x))[7]] = 1e-30
        assert "0 is right" in question.judge(one, NUMPY, None).reason


def verdicts(**by_backend: Verdict) -> Checked:
    case = Case("float32", ((3,),))
    found = [(Task(Declaration("sum", backend, "streaming"), case), one) for backend, one in by_backend.items()]
    return Checked(tuple(found), dict.fromkeys(by_backend, 3))


def test_verdicts_that_differ_are_listed_with_both_reasons() -> None:
    wrong, right = Verdict("failed", "element 3 is 4"), Verdict("passed")
    assert differences(verdicts(cupy=right, cuda_cpu=right), "cupy", "cuda_cpu") == (1, [])
    assert differences(verdicts(cupy=wrong, cuda_cpu=wrong), "cupy", "cuda_cpu") == (1, [])
    count, (one,) = differences(verdicts(cupy=wrong, cuda_cpu=right), "cupy", "cuda_cpu")
    assert count == 1 and one["task"] == "sum/*/streaming/float32[3]"
    assert (one["cupy"], one["cuda_cpu"]) == ("failed element 3 is 4", "passed")
    # what one device cannot run is no difference
    assert differences(verdicts(cupy=Verdict("unsupported", "no"), cuda_cpu=wrong), "cupy", "cuda_cpu") == (0, [])
    checked = verdicts(cupy=wrong, cuda_cpu=right)
    assert checked.counts()["cupy"] == {"failed": 1, "not reached": 2}
    assert [one["id"] for one in checked.wrong()] == ["sum/cupy/streaming/float32[3]"]


def row(**changes: Any) -> Row:
    made = Row(operator="sum", backend="cupy", implementation="streaming", case="float32[1024]dim=0", status="passed")
    return dataclasses.replace(made, **changes)


def timed(**changes: Any) -> Row:
    times = {"median_ns": 2e3, "ci_low_ns": 1.9e3, "ci_high_ns": 2.1e3, "min_ns": 1.8e3, "samples": 3}
    return row(**{**times, "percent_of_limit": 91.0, "percent_low": 90.0, "percent_high": 92.0, **changes})


def outcome(**changes: Any) -> Outcome:
    made = Outcome(
        device="cupy",
        other="cuda_cpu",
        command="python -m harness.reports.measured",
        started_at="2026-01-02T03:04:05+00:00",
        seconds=1.0,
        commit=None,
        dirty=None,
        seed=1,
        machine={},
        gpu={"gpu": "A GPU", "state": {"driver": "580.1", "sm_mhz": 1980.0}},
        states={},
        missing={"triton": "not installed"},
        conformance={"cupy": {"passed": 3, "not reached": 0}, "triton": {"missing": 2, "not reached": 0}},
        known=1,
        wrong=[{"id": "sum/cupy/streaming/x", "status": "failed", "reason": "so | `wrong`"}],
        on_both=4,
        differ=[{"task": "sum/*/streaming/x", "cupy": "failed because", "cuda_cpu": "passed"}],
        rows=(timed(), timed(backend="torch_cuda", implementation="builtin", median_ns=4e3, launches=None)),
        not_reached=("sum/float32[2]dim=0",),
        problems=("the measuring process ended",),
    )
    return dataclasses.replace(made, **changes)


def test_the_table_says_what_is_wrong_what_differs_and_what_was_not_reached() -> None:
    failed = row(implementation="sequential_grid_reduced", status="failed", reason="element 0 is 3")
    text = markdown(outcome(rows=(timed(launches=1, host_round_trips=0), *outcome().rows[1:], failed)))
    for words in ("A GPU", "not installed", "so / 'wrong'", "failed because", "sum/float32[2]dim=0", "ended", "2^10"):
        assert words in text
    (line,) = (one for one in text.splitlines() if one.startswith("| `cupy/streaming` | 2.0"))
    assert "| 0.50 | 1 | 0 |" in line  # half of torch's time, one launch, no round trip
    assert "- `cupy/sequential_grid_reduced` failed: `element 0 is 3`" in text


def seen(**after: Any) -> dict[str, Any]:
    """What the device said around a case."""
    return {"before": dataclasses.asdict(State()), "after": dataclasses.asdict(State(**after))}


@pytest.mark.parametrize(("reasons", "said"), [(0x1, "no reason to slow down"), (0x4, "after 1 of 3 the driver")])
def test_clocks_that_were_slowed_are_said_to_be(reasons: int, said: str) -> None:
    quick, slow = seen(sm_mhz=1980.0, reasons=0), seen(sm_mhz=345.0, reasons=reasons)
    text = markdown(outcome(states={"a": quick, "b": slow, "c": seen(problem="no answer"), "d": {}}))
    assert "345 MHz to 1980 MHz" in text and said in text and "Driver 580.1" in text


def test_samples_that_are_not_clean_are_counted_and_work_that_hides_is_named() -> None:
    rows = (timed(contaminated=2), timed(implementation="sly", timing="work is hidden from the events: 90 us"))
    text = markdown(outcome(rows=rows))
    assert "| 2 of 3 |" in text
    assert "- `cupy/sly` is timed until the device was idle: `work is hidden from the events: 90 us`" in text


def test_a_row_cannot_hold_a_time_beside_a_failure() -> None:
    with pytest.raises(ValueError, match="only what passed has one"):
        timed(status="failed")


def test_files_are_named_by_day_and_device_and_hold_no_nan(tmp_path: Path) -> None:
    paths = write(
        outcome(rows=(timed(error_over_bound=float("inf")), timed(case="x", host_ns=float("nan")))[:1]), tmp_path
    )
    assert [path.name for path in paths] == [f"2026-01-02-cupy{suffix}" for suffix in (".md", ".csv", ".json")]
    assert json.loads(paths[2].read_text(), parse_constant=pytest.fail)["rows"][0]["error_over_bound"] == "inf"


def test_a_missing_device_is_exit_5_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = load()
    gone = dataclasses.replace(registry.backends["cupy"], missing="there is no GPU here")
    changed = dataclasses.replace(registry, backends={**registry.backends, "cupy": gone})
    monkeypatch.setattr(measured, "load", lambda: changed)
    assert measured.main(["--device", "cupy", "--out", str(tmp_path / "none")]) == 5
    assert "there is no GPU here" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_the_plan_for_a_gpu_names_what_was_asked_for() -> None:
    plan = measured.PLANS["cupy"]
    ids = {f"{operator}/{case.id}" for operator, case in plan.cases}
    for operator in ("softmax", "sum"):
        assert {f"{operator}/float32[{1 << power}]dim=0" for power in range(10, 29, 2)} <= ids
    assert {f"softmax/float32[32768x{width}]dim=1" for width in (256, 1024, 4096, 16384, 65536, 262144)} <= ids
    registry = load()
    names = {
        one.id
        for operator in ("softmax", "sum")
        for one in job(backends=plan.compared, left_out=plan.left_out).chosen(registry, operator)
    }
    for wanted in ("cupy/host_round_trip", "cupy/grid_reduced", "cupy/online", "torch_cuda/builtin", "triton/online"):
        assert f"softmax/{wanted}" in names
    assert {"sum/cupy/streaming", "sum/cupy/builtin", "sum/triton/builtin"} <= names


# ---- a GPU's arrays, with NumPy in the place of CuPy


class FakePointer:
    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def copy_from_device_async(self, source: FakePointer, count: int) -> None:
        self.array.reshape(-1)[: count // 4] = source.array.reshape(-1)[: count // 4]


class FakeArray(np.ndarray):
    @property
    def data(self) -> Any:  # type: ignore[override]
        return FakePointer(np.asarray(self))


class FakeEvent:
    done = True

    def record(self, stream: Any) -> None:
        self.ms = time.perf_counter() * 1e3

    def synchronize(self) -> None:
        return None


def fake_cupy() -> Any:
    """As much of CuPy as the clock uses, on the host."""
    cupy: Any = types.ModuleType("cupy")
    cupy.__version__ = "14.2"
    cupy.float32 = np.float32
    cupy.empty = lambda shape, kind: np.empty(shape, kind).view(FakeArray)
    cupy.ones = lambda count, kind: np.ones(8, kind)
    cupy.zeros = np.zeros
    cupy.sum = lambda array, out: np.sum(array, out=out)
    cupy.negative = np.negative
    cupy.asarray = np.asarray
    cupy.asnumpy = np.asarray

    def kernel(inputs: str, outputs: str, code: str, name: str) -> Any:
        assert (inputs, outputs) == ("uint64 seed", "float32 y") and "y = " in code

        def draw(seed: np.uint64, out: np.ndarray) -> None:
            out[...] = np.random.default_rng(int(seed)).standard_normal(out.shape)

        return draw

    cupy.ElementwiseKernel = kernel
    freed: list[int] = []
    cupy.get_default_memory_pool = lambda: types.SimpleNamespace(free_all_blocks=lambda: freed.append(1))
    runtime = types.SimpleNamespace(
        deviceSynchronize=lambda: None,
        memGetInfo=lambda: (5, 9),
        getDevice=lambda: 0,
        getDeviceProperties=lambda number: {"name": b"A GPU", "major": 9, "minor": 0, "l2CacheSize": 50 << 20},
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
    )
    cupy.int64 = np.int64
    cupy.RawKernel = lambda code, name: lambda grid, block, arguments: None
    cupy.cuda = types.SimpleNamespace(
        runtime=runtime,
        Event=FakeEvent,
        get_elapsed_time=lambda start, end: end.ms - start.ms,
        get_current_stream=contextlib.nullcontext,
    )
    cupy.freed = freed
    return cupy


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", made)
    for once in (cupy_backend.timer, gpu.device):
        once.cache_clear()
    yield made
    for once in (cupy_backend.timer, gpu.device):
        once.cache_clear()


def test_a_gpu_asks_cupy_for_what_it_says(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "DRAWN_AT_ONCE", 1000)
    clock = GpuArrays(1)
    x = clock.normal((50, 70))
    assert abs(float(x.mean())) < 0.1 and abs(float(x.std()) - 1) < 0.1
    assert len(np.unique(x)) > 3000  # each part has a seed of its own
    assert np.array_equal(clock.pick(x, [0, 49]), x[[0, 49]]) and np.array_equal(clock.pick(x, None), x)
    assert np.array_equal(clock.upload(x), x) and clock.empty(5).shape == (5,)
    target = clock.empty(100)
    clock.copies["elementwise"](target, x, 100)
    assert np.array_equal(target, -x.reshape(-1)[:100])
    clock.copies["memcpy"](target, x, 100)
    assert np.array_equal(target, x.reshape(-1)[:100])
    assert clock.timer.l2_bytes == 50 << 20
    assert clock.free_bytes() == 5
    clock.release()
    assert cupy.freed
    assert clock.seen_by(x, "cupy") is x
    described = clock.describe()
    assert (described["gpu"], described["capability"], described["versions"]) == ("A GPU", "9.0", {"cupy": "14.2"})


@needs_torch
def test_cupy_and_torch_see_the_same_memory(cupy: Any) -> None:
    clock = GpuArrays(1)
    x = clock.normal((3, 4))
    seen = clock.seen_by(x, "torch_cuda")
    x[1, 2] = 7
    assert type(seen).__name__ == "Tensor" and float(seen[1, 2]) == 7


def test_the_way_of_a_gpu_with_copies_alone(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cupy.cuda.runtime.memGetInfo = lambda: (10**9, 10**9)
    monkeypatch.setattr(timer, "read_state", lambda: State(sm_mhz=1500.0, max_sm_mhz=2000.0, reasons=0x4))
    found = heard(job(device="cupy", backends=(), cases=(VECTOR, MATRIX)))
    assert found.ended and found.device["gpu"] == "A GPU" and found.device["state"]["sm_mhz"] == 1500.0
    assert set(found.states) == {f"{operator}/{case.id}" for operator, case in (VECTOR, MATRIX)}
    assert all(one["after"]["reasons"] == 0x4 for one in found.states.values())
    assert all(row.backend == "copy" and row.median_ns and row.percent_of_limit for row in found.rows.values())
    assert len(found.rows) == 4
    for row in found.rows.values():
        # every sample is there, and marked
        assert row.contaminated == row.samples == len(row.samples_ns) == len(row.samples_contaminated) == 2
        assert all("power cap" in why for why in row.samples_contaminated)
        assert row.flushed_bytes == 4 * (50 << 20) and row.sm_mhz_after == 1500.0

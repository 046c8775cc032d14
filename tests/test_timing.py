"""Medians, intervals, pairs, the audit and the stopping rule, on times that are made up: no test depends on a clock."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import readings

from harness.declare import Case
from harness.judge.truth import Truth
from harness.plan import plan
from harness.precision import numpy_dtype
from harness.process import Elapsed, WorkerProcess
from harness.registry import load
from harness.stage import Stage
from harness.timing.alone import NoLock, alone
from harness.timing.audit import Audit, Claimed, Cost, Overhead, impossible
from harness.timing.ceiling import Ceilings, size_class
from harness.timing.device import visible
from harness.timing.device.visible import Gpu
from harness.timing.groups import Settings, group_tasks
from harness.timing.rotation import Draws, deal, each_once
from harness.timing.statistics import block_medians, median_interval, paired_ratio
from harness.timing.workers import Workers

Times = dict[tuple[int, int], float]


def made_up(
    rng: np.random.Generator, *, factor: float = 1.0, processes: int = 3, blocks: int = 40
) -> tuple[Times, Times]:
    """Two implementations, the second slower by `factor`, under drift that hits both, and luck of each process."""
    first, second = {}, {}
    for process in range(processes):
        luck = np.exp(0.002 * rng.standard_normal())
        drift = np.exp(np.cumsum(0.05 * rng.standard_normal(blocks)))
        for block in range(blocks):
            noise = np.exp(0.01 * rng.standard_normal(2))
            first[process, block] = 1e6 * drift[block] * noise[0]
            second[process, block] = 1e6 * drift[block] * noise[1] * factor * luck
    return first, second


def test_the_ratio_of_the_same_is_one() -> None:
    times = {(0, block): float(block + 1) for block in range(10)}
    ratio = paired_ratio(times, times)
    assert (ratio.low, ratio.estimate, ratio.high) == (1.0, 1.0, 1.0)


def test_pairs_see_two_percent_under_drift_that_hides_it_from_medians() -> None:
    seen = 0
    for seed in range(20):
        first, second = made_up(np.random.default_rng(seed), factor=1.02)
        ratio = paired_ratio(second, first)
        seen += ratio.low > 1.0
        apart = median_interval(second)
        assert apart.low < median_interval(first).high, "unpaired, the intervals overlap"
    assert seen >= 18


def test_equal_code_is_called_different_about_as_rarely_as_stated() -> None:
    """200 runs of A against A, each process with its own luck; 5 % is stated, few processes cost some of that."""
    alarms = 0
    for seed in range(200):
        first, second = made_up(np.random.default_rng(1000 + seed))
        ratio = paired_ratio(second, first)
        alarms += not ratio.low <= 1.0 <= ratio.high
    assert alarms <= 30


def test_an_interval_is_wider_where_processes_differ() -> None:
    rng = np.random.default_rng(0)
    alike = {(process, block): float(100 + rng.normal()) for process in range(3) for block in range(30)}
    differ = {(process, block): value + 10 * process for (process, block), value in alike.items()}
    assert median_interval(differ).relative_half_width > 5 * median_interval(alike).relative_half_width


def test_an_interval_holds_its_estimate_and_is_the_same_again() -> None:
    first, _ = made_up(np.random.default_rng(3))
    interval = median_interval(first)
    assert interval.low <= interval.estimate <= interval.high
    assert interval == median_interval(dict(reversed(first.items())))


def test_without_common_blocks_there_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="no blocks"):
        paired_ratio({(0, 0): 1.0}, {(1, 0): 1.0})


def test_a_block_is_the_median_of_its_readings_per_call() -> None:
    samples = [*readings("a", [100, 300, 500], process=0, block=0, calls=10), *readings("a", [7], process=1, block=2)]
    assert block_medians(samples) == {(0, 0): 30.0, (1, 2): 7.0}


# ---- the audit


def audited(
    hidden_ns: float, claimed_ns: float = 1e6, noise: float = 0.0, requests: int = 40, *, while_copying: bool = False
) -> str:
    """What the audit says where time is hidden per call, in the calls or while answers are copied out."""
    rng = np.random.default_rng(0)
    audit = Audit(Overhead(Cost(200_000, 10_000), Cost(100_000, 500_000)))
    hidden_in_calls, hidden_in_copying = (0.0, hidden_ns) if while_copying else (hidden_ns, 0.0)
    for _ in range(requests):
        disturbed = 5e6 * (rng.random() < noise)
        calls = 200_000 + 4 * (10_000 + claimed_ns + hidden_in_calls) + disturbed
        copying = 100_000 + 4 * (500_000 + hidden_in_copying) + disturbed
        audit.add(Elapsed(int(calls), int(copying)), Claimed(int(4 * claimed_ns)), 4, copied=4)
    return audit.contradiction()


def test_an_honest_worker_is_believed_also_on_a_busy_machine() -> None:
    assert audited(0.0) == ""
    assert audited(0.0, noise=0.8) == ""


@pytest.mark.parametrize("hidden_ns", [1e6, 5e6, 1e9])
def test_time_that_a_worker_hides_contradicts_it(hidden_ns: float) -> None:
    for while_copying in (False, True):
        assert "hidden from the worker's clock" in audited(hidden_ns, while_copying=while_copying)
        assert audited(hidden_ns, claimed_ns=0.0, while_copying=while_copying) != ""


def test_a_fifth_that_is_hidden_while_calls_run_is_seen_however_slowly_answers_are_copied() -> None:
    """The end of the calls has a message of its own: what copying costs excuses nothing before it."""
    assert audited(0.2 * 5e6, claimed_ns=5e6) != ""
    assert audited(0.05 * 5e6, claimed_ns=5e6) == ""


def test_what_cannot_be_measured_contradicts() -> None:
    assert audited(1e12) != ""


def test_a_rate_beyond_physics_is_impossible() -> None:
    assert impossible(2**20, 2**20 / 40.0, 40e9) == ""
    assert "cannot have been done" in impossible(2**20, 100.0, 40e9)


def test_copy_rates_are_measured_once_per_size() -> None:
    ceilings = Ceilings()
    assert ceilings.rate(5000) == ceilings.rate(8192) > 0
    assert size_class(1) == 4096 and size_class(4097) == 8192
    assert list(ceilings.as_data()) == ["8192"]


def test_what_others_use_is_a_share_or_not_known() -> None:
    from harness.timing.disturbance import Disturbance

    disturbance = Disturbance()
    assert disturbance.share() is None, "no time has passed"
    wall, busy, own = disturbance._since
    disturbance._since = (wall - 100.0, busy - 1e9, own)
    assert disturbance.share() == 1.0
    disturbance._since = (wall - 100.0, busy, own - 1e9)
    assert disturbance.share() == 0.0


# ---- what is timed together, and until when


def test_tasks_of_one_case_are_one_group() -> None:
    registry = load()
    tasks = plan(registry, ["dot", "max"], "benchmarks")
    groups = group_tasks(tasks, registry.operators)
    assert len(groups) == len({(task.declaration.operator, task.case.id) for task in tasks})
    assert sum(len(group.timings) for group in groups) == len(tasks)


def test_a_group_waits_for_the_processes_that_have_not_timed_it_and_stops_when_precise() -> None:
    registry = load()
    (group,) = group_tasks(
        plan(registry, ["max/numpy/builtin/float32[1024x1024]dim=1"], "benchmarks"), registry.operators
    )
    (timing,) = group.timings.values()
    settings = Settings(processes=3, precision=0.01)
    assert group.waiting_for(settings) == [0, 1, 2]
    timing.blocks = {(0, block): 100.0 + 20 * (block % 2) for block in range(10)}
    assert group.waiting_for(settings) == [1, 2]
    timing.blocks = {(process, block): 100.0 for process in range(2) for block in range(10)}
    assert group.waiting_for(settings) == []
    timing.failure = "failed", "x"
    assert group.waiting_for(settings) == []


def test_a_burst_never_uses_an_input_twice() -> None:
    samples = each_once(64, 16, np.random.default_rng(0))
    flat = [index for reading in samples for index in reading]
    assert len(flat) == len(set(flat)) == 64


def test_bursts_that_lie_ready_share_no_input() -> None:
    dealt = deal(64, [1, 4], 2, np.random.default_rng(0))
    flat = [[index for burst in one for reading in burst for index in reading] for one in dealt]
    assert [len(one) for one in flat] == [8, 32]
    assert len({*flat[0], *flat[1]}) == 40
    assert [[len(reading) for reading in burst] for burst in dealt[1]] == 2 * [4 * [4]]


def test_inputs_are_kept_for_the_next_round_while_there_is_room() -> None:
    registry = load()
    small, large = (
        group_tasks(plan(registry, [f"sum/numpy/builtin/{case}"], "benchmarks"), registry.operators)[0]
        for case in ("float32[1024x1024]dim=1", "float32[2097152]dim=0,values=integers")
    )
    draws = Draws(1 << 24)
    kept = draws.calls(small, 1, 0)
    assert draws.calls(small, 1, 1) is kept
    assert draws.calls(large, 1, 0) is not draws.calls(large, 1, 1), "too large to be kept"
    assert Draws().calls(small, 1, 0) is not kept


def test_memory_begins_at_another_place_in_each_worker() -> None:
    """Else an array is aligned in all workers of a version as luck has it in one, and otherwise in the next version."""
    code = "import numpy, harness.confinement as c; c.shift_memory(); print(numpy.empty(9999).ctypes.data % 64)"
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TOP_PAD_": str(1 << 25)}

    command = [sys.executable, "-c", code]
    places = {subprocess.check_output(command, env=environment, text=True) for _ in range(12)}
    assert len(places) >= 3, "of four multiples of 16 bytes; without it there are one or two"


def staged(shape: tuple[int, ...], dtype: str = "float32") -> tuple[WorkerProcess, Stage]:
    """Four calls on arrays of a shape, in a worker that is not asked anything."""
    rng = np.random.default_rng(0)
    case = Case(dtype, (shape,), (("dim", -1),))
    nothing = np.zeros(shape)
    drawn = [4 * rng.standard_normal(shape, dtype=np.float32) for _ in range(4)]
    calls = [Truth(case, (one.astype(numpy_dtype(dtype)),), nothing, nothing, dtype) for one in drawn]
    worker = WorkerProcess()
    return worker, Stage(worker, calls, slots=1)


def test_between_bursts_hardly_a_row_stays_as_it_was() -> None:
    """Else one that remembers answers would have to work out a few rows only."""
    worker, stage = staged((64, 1024))
    try:
        before = [call.inputs[0].copy() for call in stage.calls]
        stage.touch(np.random.default_rng(1), [0, 2])
        same = [np.all(call.inputs[0] == old, axis=1).mean() for call, old in zip(stage.calls, before, strict=True)]
        assert max(same[0], same[2]) < 0.1
        assert same[1] == same[3] == 1.0, "only what is used next is written"
        for call, regions in zip(stage.calls, stage.regions, strict=True):
            assert np.array_equal(regions[0].placed.view(worker.arena.memory), call.inputs[0]), "as the worker sees it"
        assert not worker.arena.damage()
    finally:
        worker.close()


def test_values_above_all_others_do_not_pile_up() -> None:
    """They make a maximum change; a distribution that moves with every burst would be another case in the end."""
    worker, stage = staged((32, 256))
    try:
        rng = np.random.default_rng(1)
        before = np.sort(stage.calls[0].inputs[0], axis=None)
        for _ in range(500):
            stage.touch(rng, [0])
            raised = stage.calls[0].inputs[0] > before[-1]
            assert 1 <= raised.sum() <= 16
            assert stage.calls[0].inputs[0].max() <= before[-1] + 24
        assert np.isin(stage.calls[0].inputs[0][~raised], before).all()
        assert len(np.unique(stage.calls[0].inputs[0])) == before.size, "none was lost"
    finally:
        worker.close()


@pytest.mark.parametrize("shape", [(1,), (33,), (25, 40), (1000, 1000)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64", "bool"])
def test_inputs_of_any_size_and_dtype_change_before_each_burst(shape: tuple[int, ...], dtype: str) -> None:
    """Also what does not depend on the order of the elements: the answer to the burst before is wrong for this one."""
    worker, stage = staged(shape, dtype)
    try:
        rng = np.random.default_rng(1)
        tops, sums = [], []
        for _ in range(60):
            stage.touch(rng, [0])
            tops.append(float(stage.calls[0].inputs[0].max()))
            sums.append(float(stage.calls[0].inputs[0].astype(np.float64).sum()))
        again = [np.mean(np.equal(told[1:], told[:-1])) for told in (tops, sums)]
        assert dtype == "bool" or max(again) < 0.1
        assert again[1] < 0.5
        assert not worker.arena.damage()
    finally:
        worker.close()


def test_workers_started_ahead_are_the_next_rounds_and_the_others_are_closed() -> None:
    registry, settings = load(), Settings()
    numpy, torch = ("numpy", "", ""), ("torch", "", "")
    first = Workers(registry, settings, {})
    ahead = first.started_ahead({numpy: None, torch: None})
    second = Workers(registry, settings, ahead)
    try:
        if not ahead:  # one core
            return
        assert second.get(numpy, None) is ahead[numpy]
        assert second.pids() == [ahead[numpy].pid]
    finally:
        first.close()
        second.close()
    assert not any(psutil.pid_exists(one.pid) for one in ahead.values())


def test_a_lock_can_be_read_by_all_whatever_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_LOCKS", str(tmp_path))
    before = os.umask(0o077)
    try:
        with alone(["GPU-1"]):
            modes = {one.name: one.stat().st_mode & 0o777 for one in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {f"kernel-harness-{name}.lock": 0o444 for name in ("turn", "cpu", "GPU-1")}


def test_where_there_can_be_no_lock_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernel-harness-cpu.lock").symlink_to("elsewhere")
    monkeypatch.delenv("HARNESS_LOCKS", raising=False)
    monkeypatch.setattr("harness.timing.alone.SHARED_MEMORY", tmp_path)
    heard: list[str] = []
    with alone(waiting=heard.append):
        pass
    assert [words for words in heard if "cpu.lock cannot be locked (" in words] == heard and len(heard) == 1
    monkeypatch.setenv("HARNESS_LOCKS", str(tmp_path))
    with pytest.raises(NoLock, match=r"^HARNESS_LOCKS: \S+cpu\.lock cannot be locked \(.+\); name a folder"), alone():
        pass


def test_a_lock_whose_file_was_removed_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_LOCKS", str(tmp_path))
    lock, path = fcntl.flock, tmp_path / "kernel-harness-cpu.lock"
    removed: list[int] = []

    def removed_before(descriptor: int, kind: int) -> None:
        if not removed and path.exists():
            path.unlink()
            removed.append(descriptor)
        lock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    with alone(), path.open() as another, pytest.raises(BlockingIOError):
        assert removed
        lock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_who_wants_the_cpu_waits_for_no_gpu_run_that_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_LOCKS", str(tmp_path))
    order: list[str] = []
    waits = threading.Event()

    def measure() -> None:
        with alone(waiting=lambda words: waits.set()):
            order.append("cpu")

    with contextlib.ExitStack() as first:
        first.enter_context(alone(["GPU-1"]))
        other = threading.Thread(target=measure)
        other.start()
        waits.wait()
        with alone(["GPU-2"], lambda words: first.close()):
            order.append("gpu")
    other.join()
    assert order == ["cpu", "gpu"]


@pytest.mark.parametrize(
    ("models", "order", "wanted", "locked"),
    [
        ("AB", None, None, "12"),
        ("AB", None, "1", "12"),
        ("AB", None, "GPU-2", "2"),
        ("AB", None, "", ""),
        ("AB", None, "-1", ""),
        ("AB", "FASTEST_FIRST", "0", "12"),
        ("AB", "PCI_BUS_ID", None, "1"),
        ("AB", "PCI_BUS_ID", "1", "2"),
        ("AA", None, None, "1"),
        ("AA", None, "1,0", "2"),
        ("AA", None, "²", ""),
    ],
)
def test_the_card_that_is_measured_on_is_locked_whichever_comes_first(
    models: str, order: str | None, wanted: str | None, locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA has the fastest card first where nothing else is said, the driver's tools the first one of the bus."""
    for name, value in (("CUDA_DEVICE_ORDER", order), ("CUDA_VISIBLE_DEVICES", wanted)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(visible, "DRIVER", os.devnull)
    monkeypatch.setattr(visible, "_all", lambda: tuple(Gpu(f"GPU-{1 + at}", name) for at, name in enumerate(models)))
    visible.visible_gpus.cache_clear()
    try:
        assert visible.measured_alone([True]) == [f"GPU-{one}" for one in locked]
    finally:
        visible.visible_gpus.cache_clear()

"""Medians, intervals, pairs, the audit and the stopping rule, on times that are made up: no test depends on a clock."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import readings

from harness.plan import plan
from harness.process import Elapsed
from harness.registry import load
from harness.timing.audit import Audit, Claimed, Cost, Overhead, impossible
from harness.timing.ceiling import Ceilings, size_class
from harness.timing.groups import Settings, group_tasks
from harness.timing.rotation import each_once
from harness.timing.statistics import block_medians, median_interval, paired_ratio

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

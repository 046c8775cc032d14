"""From pairs to verdicts, on made-up times: intervals, the gate, the clock that decides, and where the rounds go."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from harness.comparing import live, pairs
from harness.comparing.contest import BASE, Contest, contest
from harness.comparing.deciding import Ratio, holm, level_of, percent, ratio_of, verdict_of
from harness.comparing.live import Effort, compare_pairs
from harness.comparing.pairs import deciding_clock, gathered, main_ratio
from harness.comparing.verdicts import Compared, Comparison
from harness.plan import plan
from harness.record import Sample
from harness.registry import Registry, load
from harness.timing.groups import Group, Side
from harness.timing.statistics import student_quantile, student_two_sided


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


def sample(wall_ns: float, cpu_ns: float | None = None, *, process: int = 0, block: int = 0, **more: Any) -> Sample:
    return Sample(
        operator="softmax",
        backend="numpy",
        implementation="builtin",
        case="float32[8]dim=0",
        process=process,
        block=block,
        position=0,
        calls=1,
        wall_ns=round(wall_ns),
        cpu_ns=round(wall_ns if cpu_ns is None else cpu_ns),
        checked=False,
        **more,
    )


# ---- statistics


def test_students_t_agrees_with_the_tables() -> None:
    """Abramowitz and Stegun, table 26.10."""
    for freedom, quantile in ((1, 12.706), (2, 4.303), (3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042)):
        assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=6e-4)
        assert student_two_sided(quantile, freedom) == pytest.approx(0.05, abs=1e-4)
    assert student_two_sided(0.0, 4) == 1.0


def test_holm_is_stepwise_and_monotone() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([float("nan"), 0.01]) == pytest.approx([1.0, 0.02])
    assert holm([]) == []


def test_all_looks_together_spend_no_more_than_the_level() -> None:
    assert sum(level_of(look) for look in range(50)) <= 0.05


def test_one_round_says_nothing() -> None:
    alone = ratio_of([0.5])
    assert (alone.interval.low, alone.interval.high, alone.p_value) == (0.0, math.inf, 1.0)
    assert verdict_of(alone, 0.0, 0.01) == "UNCLEAR"


@pytest.mark.parametrize(
    ("log", "error", "rounds", "adjusted", "verdict"),
    [
        (0.03, 0.001, 5, 1e-4, "SLOWER"),
        (-0.03, 0.001, 5, 1e-4, "FASTER"),
        (0.03, 0.001, 5, 0.2, "UNCLEAR"),  # not certain enough for the gate
        (0.005, 0.0001, 5, 1e-9, "SAME"),  # certain, and too small to matter
        (0.0, 0.001, 5, 1.0, "SAME"),
        (0.0, 0.02, 5, 1.0, "UNCLEAR"),  # a change of 1 % could hide in the noise
        (0.03, 0.001, 2, 1e-9, "UNCLEAR"),  # too few rounds for anything
        (math.nan, math.nan, 5, math.nan, "UNCLEAR"),
    ],
)
def test_a_verdict_needs_evidence_and_size(
    log: float, error: float, rounds: int, adjusted: float, verdict: str
) -> None:
    assert verdict_of(Ratio(log, error, rounds), adjusted, 0.01) == verdict


def test_percentages_have_few_digits() -> None:
    assert [percent(one) for one in (1.031, 0.98, 1.0042, 3.0, 1.0)] == [
        "+3.1 %",
        "-2.0 %",
        "+0.42 %",
        "+200 %",
        "+0.00 %",
    ]


# ---- the clock that decides


def test_the_cpu_clock_decides_for_one_thread_also_when_others_take_the_cores() -> None:
    quiet = [sample(1e6, 1e6, block=block) for block in range(10)]
    waiting_for_a_core = [sample(3e6, 1e6, block=block, run_delay_ns=2_000_000) for block in range(10)]
    assert deciding_clock(quiet, quiet)[0] == "cpu"
    assert deciding_clock(waiting_for_a_core, quiet)[0] == "cpu"


def test_the_wall_clock_decides_for_several_threads_and_for_what_waits() -> None:
    one = [sample(1e6, 1e6, block=block) for block in range(10)]
    two = [sample(1e6, 1.9e6, block=block) for block in range(10)]
    sleeps = [sample(2e6, 1e6, block=block, run_delay_ns=0) for block in range(10)]
    assert deciding_clock(one, two) == ("wall", "it runs on several threads")
    assert deciding_clock(one, sleeps) == ("wall", "it waits")
    assert deciding_clock([], [])[0] == "wall"


def test_one_that_waits_in_every_second_call_is_judged_by_the_wall_clock() -> None:
    """Where switches are counted, being preempted is told from waiting."""
    steady = [sample(1e6, 1e6, block=block, voluntary_switches=0) for block in range(10)]
    lazy = [sample(1e6 + (block % 2) * 6e5, 1e6, block=block, voluntary_switches=block % 2) for block in range(10)]
    preempted = [sample(1e6 + (block % 2) * 6e5, 1e6, block=block, voluntary_switches=0) for block in range(10)]
    assert deciding_clock(steady, lazy) == ("wall", "it waits")
    assert deciding_clock(steady, preempted)[0] == "cpu"


def test_slower_by_the_wall_alone_is_unclear_if_nothing_disturbed_it_and_contention_if_something_did(
    registry: Registry,
) -> None:
    for contaminated, verdict in (("", "UNCLEAR"), ("others used 50% of the cores", "SAME")):
        (one,) = contests(registry, 1)
        for process in range(4):
            for block in range(5):
                same = {"process": process, "block": block, "contaminated": contaminated, "voluntary_switches": 0}
                one.base.samples.append(sample(1e6 + process, 1e6 + process, **same))
                one.head.samples.append(sample(1.04e6, 1e6 - process, **same))
        row = pairs.compared(one, gathered(one.base.samples, one.head.samples), 1.0, 0.05)
        assert row.verdict == verdict, row.reason
        assert "wall clock" in row.reason


@pytest.mark.parametrize(
    ("base", "head", "verdict"),
    [
        (None, ("untrusted", "it lies"), "FAILED"),
        (("timeout", "slow"), ("untrusted", "it lies"), "FAILED"),
        (None, ("unsupported", "no"), "MISSING"),
        (("timeout", "slow"), None, "UNCLEAR"),
    ],
)
def test_what_fails_while_it_is_timed_has_no_time(
    registry: Registry, base: tuple[str, str] | None, head: tuple[str, str] | None, verdict: str
) -> None:
    (one,) = contests(registry, 1)
    for process in range(3):
        one.base.samples.append(sample(1e6, process=process))
        one.head.samples.append(sample(2e6, process=process))
    one.base.failure, one.head.failure = base, head
    row = pairs.compared(one, gathered(one.base.samples, one.head.samples), 0.0, 0.05)
    assert row.verdict == verdict
    assert (row.ratio, row.base_ns, row.head_ns, row.wall_ratio) == (None, None, None, None)


def test_a_devices_clock_decides_where_every_sample_has_one() -> None:
    timed = [sample(1e6, block=block, device_ns=5000) for block in range(4)]
    assert deciding_clock(timed, timed)[0] == "device"
    assert deciding_clock(timed, [sample(1e6)])[0] != "device"


def test_only_blocks_of_both_sides_make_pairs() -> None:
    base = [sample(100.0, process=0, block=0), sample(100.0, process=0, block=1), sample(100.0, process=1, block=0)]
    head = [sample(110.0, process=0, block=0), sample(130.0, process=2, block=0)]
    data = gathered(base, head)
    assert data.rounds["cpu"] == pytest.approx([math.log(1.1)])
    assert main_ratio(data) is not None


# ---- rounds, with sessions that are made up


class Simulated:
    """In place of a Session: each round has luck of its own, each block noise, each task its own true ratio."""

    ratio: Callable[[str], float] = staticmethod(lambda task: 1.0)  # type: ignore[assignment]
    luck = 0.003
    noise = 0.01
    seed = 0

    def __init__(self, registry: Registry, seed: int, settings: Any, process: int, overheads: Any) -> None:
        self._rng = np.random.default_rng((self.seed, process))
        self._process = process

    def measure_overheads(self, groups: Sequence[Group]) -> None:
        return None

    def time_group(self, group: Group, seconds: float, precision: float, *, answers: int, patience_s: float) -> None:
        base, head = group.timings[BASE], group.timings["head"]
        ratio = self.ratio(head.task.id) * math.exp(self.luck * self._rng.standard_normal())
        for block in range(9):
            drift = math.exp(0.1 * self._rng.standard_normal())
            for timing, factor in ((base, 1.0), (head, ratio)):
                time = 1e6 * drift * factor * math.exp(self.noise * self._rng.standard_normal())
                timing.samples.append(sample(time, process=self._process, block=block))

    def close(self) -> None:
        return None


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> type[Simulated]:
    class Fresh(Simulated):
        pass

    monkeypatch.setattr(live, "Session", Fresh)
    return Fresh


def contests(registry: Registry, count: int) -> list[Contest]:
    tasks = plan(registry, ["*/numpy"], "benchmarks")
    side = Side("here", registry)
    return [contest(task, task, (side, side)) for task in (tasks * count)[:count]]


def compared(registry: Registry, count: int, effort: Effort, seed: int = 0) -> list[Compared]:
    return compare_pairs(contests(registry, count), registry, seed, effort, lambda *_: None)


def test_what_is_the_same_is_called_the_same(registry: Registry, simulated: type[Simulated]) -> None:
    simulated.luck, simulated.noise = 0.001, 0.002
    (row,) = compared(registry, 1, Effort(100.0))
    assert (row.verdict, row.rounds, row.clock) == ("SAME", 3, "cpu")
    assert row.ratio_low is not None and row.ratio_high is not None and row.ratio_low < row.ratio_high
    assert "no change" in row.reason


def test_a_slowdown_is_found_and_a_speedup_too(registry: Registry, simulated: type[Simulated]) -> None:
    for factor, verdict in ((1.03, "SLOWER"), (1 / 1.03, "FASTER")):
        simulated.ratio = staticmethod(lambda task, factor=factor: factor)  # type: ignore[assignment]
        (row,) = compared(registry, 1, Effort(100.0))
        assert row.verdict == verdict
        assert "beyond the threshold of +1.0 %" in row.reason


def test_a_budget_that_is_spent_leaves_it_unclear(registry: Registry, simulated: type[Simulated]) -> None:
    simulated.luck = 0.2
    (row,) = compared(registry, 1, Effort(0.0))
    assert (row.verdict, row.rounds) == ("UNCLEAR", 3)
    assert "raise --budget" in row.reason


def test_what_is_in_doubt_gets_more_rounds(registry: Registry, simulated: type[Simulated]) -> None:
    simulated.ratio = staticmethod(lambda task: 1.02 if task.startswith("dot") else 1.0)  # type: ignore[assignment]
    rows = compared(registry, 60, Effort(100.0))
    rounds = {verdict: [row.rounds for row in rows if row.verdict == verdict] for verdict in ("SAME", "SLOWER")}
    assert np.mean(rounds["SLOWER"]) > np.mean(rounds["SAME"])
    assert max(rounds["SLOWER"]) <= live.MOST_ROUNDS


def test_intervals_of_equal_code_miss_as_often_as_they_say(registry: Registry, simulated: type[Simulated]) -> None:
    """400 simulated comparisons of a task with itself; 5 % is stated."""
    missed = 0
    for seed in range(4):
        simulated.seed = seed
        rows = compared(registry, 100, Effort(100.0, most_rounds=4, adaptive=False), seed)
        missed += sum(not row.ratio_low <= 1.0 <= row.ratio_high for row in rows)  # type: ignore[operator]
    assert 0.02 <= missed / 400 <= 0.09


def test_a_gate_of_two_hundred_is_quiet_and_names_the_one_that_is_slower(
    registry: Registry, simulated: type[Simulated]
) -> None:
    """Ten simulated gates without a change, and ten in which one task of 200 is 3 % slower."""
    slow = contests(registry, 200)[117].head.task.id
    quiet, named = 0, 0
    for seed in range(10):
        simulated.seed = seed
        simulated.ratio = staticmethod(lambda task: 1.0)  # type: ignore[assignment]
        rows = compared(registry, 200, Effort(100.0), seed)
        quiet += not any(row.verdict in ("SLOWER", "FASTER") for row in rows)
        simulated.ratio = staticmethod(lambda task: 1.03 if task == slow else 1.0)  # type: ignore[assignment]
        rows = compared(registry, 200, Effort(100.0), seed)
        named += [row.id for row in rows if row.verdict == "SLOWER"] == [slow]
    assert quiet >= 9
    assert named >= 9


# ---- the whole


def row(verdict: str, **more: Any) -> Compared:
    return Compared(operator="o", backend="b", implementation="i", case="c", verdict=verdict, reason="because", **more)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["SAME", "FASTER"], 0),
        (["SAME", "NEW"], 0),
        (["SAME", "UNCLEAR"], 4),
        (["SAME", "UNCLEAR", "MISSING"], 5),
        (["SAME", "MISSING", "SLOWER"], 1),
        (["SLOWER", "FAILED"], 3),
        (["NEW"], 5),
        ([], 5),
    ],
)
def test_exit_codes(verdicts: list[str], code: int) -> None:
    rows = tuple(row(verdict) for verdict in verdicts)
    assert Comparison(base="a", head="b", machine_id="m", rows=rows).exit_code == code


def test_a_row_needs_a_known_verdict_and_a_reason() -> None:
    with pytest.raises(ValueError, match="none of SAME"):
        row("FINE")
    with pytest.raises(ValueError, match="without a reason"):
        Compared(operator="o", backend="b", implementation="i", case="c", verdict="SAME", reason="")

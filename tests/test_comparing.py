"""From pairs to verdicts, on made-up times: intervals, the gate, the clock that decides, and where the rounds go."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.comparing import live, pairs
from harness.comparing.deciding import ALPHA, Ratio, holm, percent, ratio_of, verdict_of
from harness.comparing.live import Effort, compare_pairs
from harness.comparing.looking import STUDENT, Looks, alpha_by
from harness.comparing.pairs import deciding_clock, gathered, main_ratio
from harness.comparing.pooling import Prior, digamma, inverse_trigamma, prior_of, trigamma
from harness.comparing.verdicts import Compared, Comparison
from harness.record import Sample
from harness.registry import Registry, load
from harness.timing.groups import Settings
from harness.timing.statistics import student_quantile, student_two_sided
from harness.trials.saving import Simulated, contests, sample, tried


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


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


def test_looks_spend_the_level_late_and_never_more_than_all_of_it() -> None:
    assert alpha_by(0.0) == 0.0
    assert alpha_by(0.5) <= 0.05 / 30
    assert alpha_by(1.0) == alpha_by(1.7) == 0.05


def test_a_single_look_may_spend_all_and_a_second_one_at_the_same_rounds_takes_its_place() -> None:
    assert Looks(1).level(7, 1.0) == pytest.approx(STUDENT * ALPHA)
    assert Looks(200).level(7, 1.0) == pytest.approx(STUDENT * ALPHA)
    looks, other = Looks(3), Looks(3)
    early, again = looks.level(3, 0.4), looks.level(3, 0.4)
    assert 0.0 < early == again < 0.01
    assert looks.level(6, 0.9) < looks.level(6, 1.0)
    other.level(3, 0.4)
    assert other.level(6, 1.0) == looks.level(6, 1.0)
    assert looks.level(7, 1.0) == 0.0, "all was spent, on the look before"
    assert Looks(1).level(0, 1.0) == 0.0


@pytest.mark.parametrize("tasks", [1, 24])
@pytest.mark.parametrize("looks", [(3, 4, 5, 6), (3, 4, 5, 7, 9), (3, 6), (3, 4, 5, 7, 9, 12)])
def test_all_looks_together_raise_as_many_alarms_as_they_may(looks: tuple[int, ...], tasks: int) -> None:
    """One of so many unchanged tasks, by Student's t after each look; the last one has most of the chance left."""
    gate = Looks(tasks)
    levels = [gate.level(rounds, rounds / looks[-1]) for rounds in looks]
    logs = np.random.default_rng(0).standard_normal((200_000, looks[-1]))
    called = np.zeros(len(logs), bool)
    for rounds, level in zip(looks, levels, strict=True):
        seen = logs[:, :rounds]
        error = seen.std(axis=1, ddof=1) / math.sqrt(rounds)
        called |= np.abs(seen.mean(axis=1)) > error * student_quantile(1 - level / tasks / 2, rounds - 1)
    share = tasks * float(called.mean())
    unsure = 3 * math.sqrt(tasks * ALPHA / len(logs))
    assert 0.85 * ALPHA - unsure <= share <= ALPHA + unsure
    assert levels == sorted(levels) and levels[-1] >= 0.03


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
    assert verdict_of(Ratio(log, error, rounds, rounds - 1), adjusted, 0.01) == verdict


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


def test_a_burst_counts_by_its_shortest_reading() -> None:
    """Disturbances only add. Positions 0 to 2 are the readings of one burst, 3 to 5 those of the next."""

    def burst(first: int, *times: float) -> list[Sample]:
        return [replace(sample(time), position=first + number) for number, time in enumerate(times)]

    base = burst(0, 100.0, 900.0, 101.0) + burst(3, 102.0, 100.0, 500.0)
    head = burst(0, 700.0, 103.0, 103.0) + burst(3, 103.0, 105.0, 104.0)
    assert gathered(base, head).rounds["cpu"] == pytest.approx([math.log(1.03)])


def test_a_clock_that_counts_in_coarse_steps_is_not_certain() -> None:
    """Events of a device count in half microseconds: that two times round to the same number is no evidence."""
    rounds = [(process, block) for process in range(4) for block in range(4)]
    coarse = [
        [sample(5_000 + 500 * (block == 0), process=process, block=block) for process, block in rounds] for _ in (0, 1)
    ]
    ratio = gathered(*coarse).ratio("wall")
    assert ratio is not None and ratio.log == 0.0
    assert ratio.error == pytest.approx(500 / 5_250 / math.sqrt(6))
    assert verdict_of(ratio, ratio.p_value, 0.01) == "UNCLEAR"


# ---- what the tasks of a gate tell about each other's noise


def test_digamma_and_trigamma_have_their_known_values() -> None:
    """Abramowitz and Stegun 6.3.2, 6.3.3, 6.4.2 and 6.4.4."""
    euler = 0.5772156649015329
    for half, first, second in ((0.5, -euler - 2 * math.log(2), math.pi**2 / 2), (1.0, -euler, math.pi**2 / 6)):
        assert digamma(half) == pytest.approx(first, abs=1e-10)
        assert trigamma(half) == pytest.approx(second, abs=1e-10)
        assert inverse_trigamma(second) == pytest.approx(half)
    assert digamma(7.5) - digamma(6.5) == pytest.approx(1 / 6.5)


@pytest.mark.parametrize(
    ("freedom", "low", "high"), [(4.0, 2.5, 8.0), (20.0, 9.0, math.inf), (math.inf, 30.0, math.inf)]
)
def test_the_prior_has_the_weight_that_the_tasks_resemblance_gives_it(freedom: float, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    common = np.full(500, 4.0) if math.isinf(freedom) else 4.0 * freedom / rng.chisquare(freedom, 500)
    prior = prior_of((np.sqrt(common)[:, None] * rng.standard_normal((500, 6))).tolist())
    assert prior is not None
    assert low <= prior.freedom <= high
    assert prior.variance == pytest.approx(4.0, rel=0.15)


def test_too_few_tasks_tell_nothing_and_no_task_is_taken_for_quieter_than_it_looked() -> None:
    assert prior_of([(0.0, 1.0, 2.0)] * 7 + [(0.0, 0.0, 0.0)] * 100 + [(1.0,)] * 100) is None
    prior = Prior(1.0, 6.0, 600)
    assert prior.moderate(4.0, 3) == (4.0, 9)
    assert prior.moderate(0.1, 3) == (pytest.approx(0.7), 9)
    assert Prior(1.0, math.inf, 20).moderate(0.5, 3) == (1.0, 20)


def gate_p_values(
    rng: np.random.Generator, deviations: np.ndarray, rounds: int, shift: float, luck: float = 0.0
) -> list[float]:
    """Adjusted p-values of a gate whose first task changed by `shift`; a share of the variance is a round's `luck`."""
    logs = rng.standard_normal((len(deviations), rounds)) * math.sqrt(1.0 - luck)
    logs = (logs + rng.standard_normal(rounds) * math.sqrt(luck)) * deviations[:, None]
    logs[0] += shift
    prior = prior_of(logs.tolist())
    return holm([ratio_of(one.tolist(), 0.0, prior).p_value for one in logs])


@pytest.mark.parametrize(("noisy", "most_alarms", "fewest_found"), [(0.0, 9, 75), (0.05, 18, 50)])
def test_a_gate_in_four_rounds_finds_one_change_and_raises_few_alarms(
    noisy: float, most_alarms: int, fewest_found: int
) -> None:
    """100 gates of 200 tasks; some tasks are four times as noisy as the others. Without what the tasks tell about each
    other, 6 in 100 find the change."""
    rng = np.random.default_rng(1)
    deviations = np.ones(200)
    deviations[200 - round(noisy * 200) :] = 4.0
    alarms = found = 0
    for _ in range(100):
        adjusted = gate_p_values(rng, deviations, 4, 3.5)
        found += adjusted[0] <= 0.05
        alarms += min(adjusted[1:]) <= 0.05
    assert alarms <= most_alarms
    assert found >= fewest_found


@pytest.mark.parametrize("luck", [0.5, 0.8, 0.95])
def test_tasks_that_share_the_luck_of_their_rounds_raise_no_more_alarms(luck: float) -> None:
    rng = np.random.default_rng(2)
    alarms = sum(min(gate_p_values(rng, np.ones(40), 3, 0.0, luck)) <= 0.05 for _ in range(200))
    assert alarms <= 16


# ---- rounds, with sessions that are made up


@pytest.fixture
def simulated() -> Simulated:
    return Simulated()


def compared(simulated: Simulated, registry: Registry, count: int, effort: Effort, seed: int = 0) -> list[Compared]:
    return compare_pairs(contests(registry, count), registry, seed, effort, lambda *_: None, simulated.machine)


def test_what_is_the_same_is_called_the_same(registry: Registry, simulated: Simulated) -> None:
    simulated.luck, simulated.noise = 0.001, 0.002
    (row,) = compared(simulated, registry, 1, Effort(100.0))
    assert (row.verdict, row.rounds, row.clock) == ("SAME", 3, "cpu")
    assert row.ratio_low is not None and row.ratio_high is not None and row.ratio_low < row.ratio_high
    assert "no change" in row.reason


def test_a_slowdown_is_found_and_a_speedup_too(registry: Registry, simulated: Simulated) -> None:
    for factor, verdict in ((1.03, "SLOWER"), (1 / 1.03, "FASTER")):
        simulated.ratio = lambda task, factor=factor: factor
        (row,) = compared(simulated, registry, 1, Effort(100.0))
        assert row.verdict == verdict
        assert "beyond the threshold of +1.0 %" in row.reason


def test_a_budget_that_is_spent_leaves_it_unclear(registry: Registry, simulated: Simulated) -> None:
    simulated.luck, simulated.round_s = 0.2, 1.0
    (row,) = compared(simulated, registry, 1, Effort(0.0))
    assert (row.verdict, row.rounds) == ("UNCLEAR", 3)
    assert "raise --budget" in row.reason


def test_a_budget_is_used_to_its_end(registry: Registry) -> None:
    rounds = live._Rounds(registry, 0, Effort(), Settings(), 0.5, done=live.FEWEST_ROUNDS)
    assert rounds._spare_s(2.3, 0.5) == pytest.approx(2.3 / 4 - 0.5), "four rounds share what no fifth fits into"
    assert rounds._spare_s(0.99, 0.5) == 0.25, "no round is stretched by more than a half"
    assert rounds._spare_s(0.4, 0.5) == 0.0
    rounds.done = 0
    assert rounds._spare_s(2.3, 0.5) == 0.0, "what a round takes is not known yet"


def test_what_is_in_doubt_gets_more_rounds(registry: Registry, simulated: Simulated) -> None:
    simulated.ratio = lambda task: 1.01 if task.startswith("dot") else 1.03
    rows = compared(simulated, registry, 60, Effort(100.0))
    doubtful = [row.rounds for row in rows if row.operator == "dot"]
    plain = [row.rounds for row in rows if row.operator != "dot"]
    assert {row.verdict for row in rows if row.operator != "dot"} == {"SLOWER"}
    assert np.mean(doubtful) > 3 * np.mean(plain)
    assert max(doubtful) == live.MOST_ROUNDS


def test_what_looks_changed_comes_first(registry: Registry, simulated: Simulated) -> None:
    """A clock that makes each task take a quarter of its budget in a round. What is no suspect after two rounds of all
    waits."""
    simulated.luck, simulated.round_s = 0.02, 0.6
    simulated.ratio = lambda task: 1.04 if task.startswith("dot") else 1.0
    rows = compared(simulated, registry, 60, Effort(240.0 * 0.6))
    changed = [row for row in rows if row.operator == "dot"]
    others = [row.rounds for row in rows if row.operator != "dot" and row.verdict == "UNCLEAR"]
    assert 2 <= np.median(others) <= 4
    assert changed and max(row.rounds for row in changed) >= 8
    assert sum(row.verdict == "SLOWER" for row in changed) > len(changed) / 2
    assert {row.verdict for row in rows if row.operator != "dot"} <= {"SAME", "UNCLEAR"}


def test_intervals_of_equal_code_miss_as_often_as_they_say(registry: Registry, simulated: Simulated) -> None:
    """400 simulated comparisons of a task with itself; 5 % is stated."""
    missed = 0
    for seed in range(4):
        simulated.seed = seed
        rows = compared(simulated, registry, 100, Effort(100.0, most_rounds=4, adaptive=False), seed)
        missed += sum(not row.ratio_low <= 1.0 <= row.ratio_high for row in rows)  # type: ignore[operator]
    assert 0.02 <= missed / 400 <= 0.09


def test_a_gate_of_two_hundred_is_quiet_and_names_the_one_that_is_slower(
    registry: Registry, simulated: Simulated
) -> None:
    """Ten simulated gates without a change, and ten in which one task of 200 is 3 % slower."""
    slow = contests(registry, 200)[117].head.task.id
    quiet, named = 0, 0
    for seed in range(10):
        simulated.seed = seed
        simulated.ratio = lambda task: 1.0
        rows = compared(simulated, registry, 200, Effort(100.0), seed)
        quiet += not any(row.verdict in ("SLOWER", "FASTER") for row in rows)
        simulated.ratio = lambda task: 1.03 if task == slow else 1.0
        rows = compared(simulated, registry, 200, Effort(100.0), seed)
        named += [row.id for row in rows if row.verdict == "SLOWER"] == [slow]
    assert quiet >= 9
    assert named >= 9


def test_a_gate_that_goes_where_the_doubt_is_finds_as_much_in_less_time(registry: Registry) -> None:
    """Forty gates of 24 tasks, one of them 3 % slower; a round of a task and starting its workers take made-up time.
    With six rounds for every task as many are found as in little more than half of that time."""
    slower = contests(registry, 24)[12].head.task.id
    made = Simulated(lambda task: 1.03 if task == slower else 1.0, luck=0.015, round_s=1.0, end_s=0.4)
    fixed = tried(registry, made, 24, 40, Effort(math.inf, 6, adaptive=False))
    adaptive = tried(registry, made, 24, 40, Effort(3.6 * 24))
    assert fixed.named >= 20
    assert adaptive.named >= fixed.named
    assert adaptive.rounds < 0.6 * fixed.rounds


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

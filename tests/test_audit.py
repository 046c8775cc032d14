"""The audit's own time and its verdicts, on requests that are made up: no test depends on a clock."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from conftest import readings
from harness.reports.text import audit_text

from harness.plan import plan
from harness.record import Record, Sample
from harness.registry import load
from harness.timing import bursts, challenge, overhead
from harness.timing.audit import Audit, Cost
from harness.timing.challenge import Response, audited_ns, claimed_ns, contradiction, is_conclusive
from harness.timing.groups import Group, Settings, Timing, group_tasks
from harness.timing.overhead import Overheads
from harness.timing.session import NO_OVERHEAD, Session, time_groups
from harness.timing.turn import Turn

MS = 1e6
COPY_NS = 200_000.0


@dataclasses.dataclass(frozen=True)
class Worker:
    """What a made-up worker does with calls that take `call_ns`: which share of it it claims, moves to the first
    reading of a burst or leaves for the copying, and for how long it sleeps after a short request."""

    call_ns: float = 5 * MS
    claims: float = 1.0
    ahead: float = 0.0
    copying: float = 0.0
    sleeps_ns: float = 0.0
    count: int = 1

    def responses(self, few: int = 12, many: int = 30, noise: float = 0.03, load: float = 0.0) -> list[Response]:
        """`noise` of each reading, and the chance of a wait for a core that is as long as three calls."""
        rng = np.random.default_rng(7)
        return [self._response(1, rng, noise, load) for _ in range(few)] + [
            self._response(4, rng, noise, load) for _ in range(many)
        ]

    def _response(self, readings: int, rng: np.random.Generator, noise: float, load: float) -> Response:
        calls = readings * self.count
        spent = self.count * self.call_ns * (1.0 - self.copying) * np.exp(noise * rng.standard_normal(readings))
        waited = 3 * self.call_ns * (rng.random(readings) < load)
        if readings > 1:
            moved = self.ahead * spent[1:]
            spent[1:] -= moved
            spent[0] += moved.sum()
        claimed = self.claims * (spent + waited)
        unclaimed = float(np.sum(spent + waited - claimed)) + 100_000.0 + 50_000.0 * rng.exponential()
        unclaimed += self.sleeps_ns if readings == 1 else 0.0
        return Response(
            self.count,
            tuple(int(one) for one in claimed),
            unclaimed + 5 * MS * (rng.random() < load),
            float(waited.sum()),
            calls * self.copying * self.call_ns + 50_000.0 * rng.exponential(),
            5_000.0,
            COPY_NS,
        )


@pytest.mark.parametrize("count", [1, 16])
@pytest.mark.parametrize("load", [0.0, 0.3])
@pytest.mark.parametrize("call_ns", [3_000.0, MS, 20 * MS])
def test_an_honest_worker_is_believed_and_agrees(call_ns: float, load: float, count: int) -> None:
    responses = Worker(call_ns, count=count).responses(load=load)
    assert contradiction(responses) == ""
    audit, claimed = audited_ns(responses), claimed_ns(responses)
    assert audit is not None and claimed is not None
    assert audit.low <= audit.estimate <= audit.high
    assert abs(audit.estimate - claimed) <= 0.05 * call_ns + 30_000.0
    if load == 0.0:
        assert audit.low <= call_ns <= audit.high


def test_a_long_call_is_known_to_a_percent() -> None:
    audit = audited_ns(Worker(5 * MS).responses())
    assert audit is not None
    assert audit.estimate == pytest.approx(5 * MS, rel=0.01)


@pytest.mark.parametrize(("share", "load"), [(0.05, 0.0), (0.1, 0.0), (0.5, 0.0), (0.2, 0.3), (0.5, 0.3)])
def test_a_share_that_is_not_claimed_is_found_and_the_audit_tells_the_truth(share: float, load: float) -> None:
    responses = Worker(claims=1.0 - share).responses(load=load)
    assert "more than its readings tell" in contradiction(responses)
    audit = audited_ns(Worker(claims=1.0 - share).responses())
    assert audit is not None
    assert audit.estimate == pytest.approx(5 * MS, rel=0.02)


def test_work_in_readings_that_do_not_count_is_found() -> None:
    assert "in other readings" in contradiction(Worker(ahead=0.5).responses())
    assert "in other readings" in contradiction(Worker(ahead=1.0).responses())
    assert contradiction(Worker(ahead=0.02).responses()) == ""
    audit = audited_ns(Worker(ahead=1.0).responses())
    assert audit is not None
    assert audit.estimate == pytest.approx(5 * MS, rel=0.02)


def test_work_while_answers_are_copied_is_found_beyond_half_of_what_copying_takes() -> None:
    assert "each answer was copied" in contradiction(Worker(copying=0.2).responses())
    assert contradiction(Worker(copying=0.02).responses()) == ""
    alone = [dataclasses.replace(one, copying_ns=None) for one in Worker(copying=0.2).responses()]
    assert contradiction(alone) == "", "nothing was copied that could be late"


def test_who_sleeps_after_short_requests_hides_no_more_than_the_limit() -> None:
    """It makes the slope level: what three more calls leave unclaimed passes after the short request too."""
    share = 0.1
    asleep = Worker(claims=1.0 - share, sleeps_ns=3 * share * 5 * MS).responses()
    assert "around a short request" in contradiction(asleep)
    assert "more than its readings tell" not in contradiction(asleep)


@pytest.mark.parametrize("share", [0.52, 0.6, 0.7, 0.9])
def test_who_lies_in_some_requests_only_is_found_as_soon_as_that_moves_the_median(share: float) -> None:
    rng = np.random.default_rng(3)
    pairs = zip(Worker().responses(40, 110), Worker(claims=0.1).responses(40, 110), strict=True)
    responses = [lie if rng.random() < share else honest for honest, lie in pairs]
    assert contradiction(responses) != ""
    audit = audited_ns(responses)
    assert audit is not None
    assert audit.estimate == pytest.approx(5 * MS, rel=0.03)


def test_honest_requests_of_one_size_do_not_excuse_those_of_another() -> None:
    honest, lie = Worker(count=1).responses(20, 60), Worker(claims=0.1, count=4).responses(10, 30)
    assert contradiction(honest) == "" and contradiction(honest + lie) != ""


def test_too_few_requests_say_nothing() -> None:
    liar = Worker(claims=0.5)
    for responses in ([], liar.responses(few=2), liar.responses(many=2)):
        assert contradiction(responses) == ""
        assert audited_ns(responses) is None and claimed_ns(responses) is None
    assert contradiction(liar.responses(few=challenge.FEWEST)) != ""
    assert not is_conclusive(liar.responses(few=5), 6)
    assert is_conclusive(liar.responses(few=6), 6)


def test_an_absurd_claim_contradicts() -> None:
    """Whatever cannot be compared is no honest time."""
    nothing = [dataclasses.replace(one, claimed_ns=(0,) * one.readings) for one in Worker().responses()]
    lost = [dataclasses.replace(one, unclaimed_ns=float("nan")) for one in Worker().responses()]
    assert contradiction([dataclasses.replace(one, unclaimed_ns=5 * MS * one.readings) for one in nothing]) != ""
    assert contradiction(lost) != ""


def test_only_requests_of_one_kind_are_compared() -> None:
    """A process that put more calls into a reading is left out."""
    mixed = [*Worker(count=1).responses(), *Worker(call_ns=MS, count=4).responses(few=2)]
    assert audited_ns(mixed) == audited_ns(Worker(count=1).responses())


def turn_of(timing: Timing, process: int, responses: list[Response]) -> Turn:
    """A process that has made these requests, and a reading for each."""
    turn = Turn(timing, None, process, Audit(NO_OVERHEAD), "numpy.ndarray")  # type: ignore[arg-type]
    timing.responses.extend(responses)
    timing.samples.extend(made_up_sample(process, block=block) for block in range(3))
    timing.blocks.update({(process, block): 5 * MS for block in range(3)})
    return turn


def made_up_sample(process: int, block: int) -> Sample:
    return dataclasses.replace(readings("builtin", [1])[0], process=process, block=block)


def timing_of_nothing() -> Timing:
    registry = load()
    return Timing(plan(registry, ["sum/numpy/builtin/float32[1024x1024]dim=1"], "benchmarks")[0])


def test_what_one_process_alone_says_is_taken_back_and_counts_when_another_repeats_it() -> None:
    timing = timing_of_nothing()
    honest, lies = Worker().responses(), Worker(claims=0.5).responses()
    assert turn_of(timing, 0, honest).contradiction() == ""
    accused = turn_of(timing, 1, lies)
    assert accused.contradiction()
    accused.accuse("it lies", others=True)
    assert timing.responses == honest and {one.process for one in timing.samples} == {0}
    assert {process for process, _ in timing.blocks} == {0}
    assert (timing.accused, timing.failure) == ("it lies", None)
    again = turn_of(timing, 2, lies)
    assert again.contradiction()
    again.accuse("it lies again", others=True)
    assert timing.failure == ("untrusted", "it lies again")


def test_an_only_process_is_believed_at_once() -> None:
    timing = timing_of_nothing()
    turn_of(timing, 0, Worker(claims=0.5).responses()).accuse("it lies", others=False)
    assert timing.failure == ("untrusted", "it lies")


def test_a_lie_that_only_all_processes_together_show_is_no_chance() -> None:
    timing = timing_of_nothing()
    small = Worker(claims=0.94)
    turns = [turn_of(timing, process, small.responses(few=1, many=3)) for process in range(12)]
    assert contradiction(small.responses(few=1, many=3)) == ""
    assert turns[-1].contradiction()
    turns[-1].accuse("it lies a little", others=True)
    assert timing.failure == ("untrusted", "it lies a little")


@pytest.mark.parametrize(("clean", "is_shown"), [(0, False), (1, False), (2, True)])
def test_who_was_accused_needs_two_other_processes(clean: int, is_shown: bool) -> None:
    timing = timing_of_nothing()
    turn_of(timing, 0, Worker(claims=0.5).responses()).accuse("it lies", others=True)
    for process in range(1, 1 + clean):
        turn_of(timing, process, [])
    group = Group(load().operators["sum"], timing.task.case, {"sum": timing})
    if clean:  # two processes have timed its rival: that is not enough for this one
        group.timings["rival"] = Timing(timing.task, blocks={(process, 0): 1.0 for process in range(1 + clean)})
        assert group.settle(Settings(processes=5, precision=1e9), last=False) is is_shown
    assert group.settle(Settings(), last=True)
    assert timing.failure == (None if is_shown else ("untrusted", "it lies"))


@pytest.fixture(scope="module")
def timed_alone() -> Timing:
    registry = load()
    chosen = plan(registry, ["sum/numpy/builtin/float32[1024x1024]dim=1"], "benchmarks")
    (group,) = group_tasks(chosen, registry.operators)
    settings = Settings(budget_s=0.6, processes=1, precision=1e-9, deadline_s=30)
    time_groups([group], registry, 3, settings, lambda _: None, lambda *_: None)
    (timing,) = group.timings.values()
    return timing


@pytest.mark.timed
def test_a_run_asks_for_short_requests_and_bursts_and_copies_all_answers(timed_alone: Timing) -> None:
    assert timed_alone.failure is None
    short = [one for one in timed_alone.responses if one.readings == 1]
    assert len(short) >= challenge.FEWEST
    assert all(one.copying_ns is not None for one in short)
    assert any(one.copying_ns is not None for one in timed_alone.responses if one.readings > 1)
    audit = audited_ns(timed_alone.responses)
    assert audit is not None and audit.low <= audit.estimate <= audit.high


def test_the_terminal_says_what_the_second_clock_says() -> None:
    def row(median_ns: int, audit_ns: int | None) -> Record:
        return Record(run_id="r", started_at="", status="passed", median_ns=median_ns, audit_ns=audit_ns)

    assert audit_text([row(100, None)]) == ""
    assert "takes 1.02 times" in audit_text([row(100, 102)])
    assert "1.00 times" in audit_text([row(100, 90), row(100, 100), row(100, 130), row(100, None)])
    assert "of 3; from 0.90 to 1.30" in audit_text([row(100, 90), row(100, 100), row(100, 130), row(100, None)])


@pytest.mark.parametrize("seed", range(20))
def test_what_a_call_costs_the_harness_is_known_as_well_as_it_says(seed: int) -> None:
    """Few requests on a machine where others work: what they add is no cost, and what is unknown is said."""
    rng = np.random.default_rng(seed)
    seen = {
        calls: [(300_000.0 + calls * 35_000.0 + rng.exponential(20_000.0), 0.0, 0.0) for _ in range(12)]
        for calls in (1, 4)
    }
    cost = overhead._cost(seen, 0, 1, 4)
    assert 35_000.0 - cost.unsure_ns - challenge.GRACE_NS <= cost.call_ns <= 35_000.0 + challenge.GRACE_NS
    assert 0.0 < cost.unsure_ns < 20_000.0
    assert overhead._cost({1: seen[4], 4: seen[1]}, 0, 1, 4).unsure_ns > 35_000.0, "a cost below nothing is no cost"
    still = {calls: [(300_000.0 + calls * 35_000.0, 0.0, 0.0)] * 12 for calls in (1, 4)}
    assert overhead._cost(still, 0, 1, 4) == Cost(pytest.approx(300_000.0), pytest.approx(35_000.0), 0.0)


def test_copying_may_take_what_it_took_in_the_slowest_spell() -> None:
    """Four answers and one of them again: 120 us each, while memory is fast, and 260 us later."""
    fast, slow = [(0.0, 240_000.0, 0.0, 0.0)] * 6, [(0.0, 600_000.0, 0.0, 0.0)] * 6
    assert overhead._copying_cost({1: fast, 4: slow}, 1, 4) == Cost(0.0, pytest.approx(120_000.0), pytest.approx(0.0))
    slow[-2:] = [(0.0, 1_300_000.0, 0.0, 0.0)] * 2
    cost = overhead._copying_cost({1: fast, 4: slow}, 1, 4)
    assert cost.call_ns == pytest.approx(120_000.0), "the slow ones add nothing to what is taken off"
    assert cost.call_ns + cost.unsure_ns >= 259_000.0


def test_who_is_accused_by_chance_is_not_judged_by_the_same_measurement_again(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = load([], [])
    tasks = plan(registry, ["softmax/numpy/builtin/float32[3x33]dim=1"], "conformance")
    groups = group_tasks(tasks[:1], registry.operators)
    overheads: Overheads = {}

    def accuse(exchange: Any, turn: Turn, *_: Any, **__: Any) -> None:
        turn.timing.accused = "it lies"

    for says, left in ((lambda *_, **__: None, 1), (accuse, 0)):
        monkeypatch.setattr(bursts, "close_turn", says)
        session = Session(registry, 0, Settings(processes=2, overhead_s=0.0), 0, overheads)
        try:
            session.measure_overheads(groups)
            assert len(overheads) == 1
            session.time_group(groups[0], 0.0)
        finally:
            session.close()
        assert len(overheads) == left


def test_what_is_unknown_of_the_harness_s_own_cost_is_no_accusation() -> None:
    honest = Worker(0.1 * MS).responses()
    late = [dataclasses.replace(one, unclaimed_ns=one.unclaimed_ns + 60_000.0 * one.readings) for one in honest]
    assert "more than its readings tell" in contradiction(late)
    unsure = [dataclasses.replace(one, call_unsure_ns=60_000.0) for one in late]
    assert contradiction(unsure) == ""

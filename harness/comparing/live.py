"""RUN: two versions of each task against each other, until the evidence is enough or the budget is spent.

A round is a set of fresh worker processes in which every task that is still open is measured: bursts of both versions
in turn, in random order, so that the pairs cancel drift. Each round gives one ratio per task and clock. After some
rounds what is clear is decided and measured no more, and the time goes where the doubt is: first to those tasks that
look changed and are not certain yet, and what they leave to the others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from harness.comparing.contest import Contest
from harness.comparing.deciding import FEWEST_ROUNDS, holm_of_part
from harness.comparing.looking import Looks
from harness.comparing.pairs import Gathered, compared, gathered, main_ratio, priors_of
from harness.comparing.pooling import FEWEST_TASKS
from harness.comparing.verdicts import Compared
from harness.process import WorkerProcess
from harness.registry import Registry
from harness.supervisor import trust_of
from harness.timing.alone import alone
from harness.timing.device.visible import measured_alone
from harness.timing.groups import Settings
from harness.timing.overhead import Overheads
from harness.timing.rotation import Draws
from harness.timing.session import Session
from harness.timing.workers import Trust

ONE_WORKER = {"MALLOC_MMAP_THRESHOLD_": str(2 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
"""Where both versions run in one worker, glibc keeps the memory of arrays up to 2 MiB that they free: both get the same
pages, and the faults of fresh ones, most of the noise of a small kernel, are gone. Larger arrays are always mapped anew
(left to itself, glibc changes its mind while it runs). Two workers that keep their memory would keep their luck with
it, percents of it (which pages share a set of a cache), so there glibc is left alone."""
BUDGET_PER_TASK_S = 4.0
MOST_ROUNDS = 40
SHORTEST_ROUND_S = 0.1
LONGEST_ROUND_S = 1.0
ROUNDS_IN_BUDGET = 7
"""So many rounds of all tasks are to fit into the budget: with fewer, Student's t is large, and a process's luck is
drawn too seldom; with more, most of the time goes into what a round takes beside its times, and there are few bursts,
whose noise is most of it."""
OVERHEAD_S = 0.15
ONCE_S, FIXED_S, START_S = 0.3, 0.15, 0.05
"""What a task takes once (the harness's own cost is measured), what it takes in each round beside its times (inputs are
drawn, both versions warmed up), and what starting the workers of a round takes; about."""
MOST_DRAWN_BYTES = 1 << 28
"""Input sets of so many bytes are kept from one round to the next."""
LOOK_AGAIN = 1.3
"""Decisions are made when the rounds have grown by this factor: each look at data that grow costs certainty."""
SCREENED = 2
"""After so many rounds it is already told what looks changed, where there are enough tasks for a common noise. Nothing
is decided by that, so that it costs no certainty."""
SUSPECT_P = 0.2
"""A task whose change is beyond the threshold, and by chance not oftener than this if it were the only one, comes
before all others: to be certain of it over the whole gate takes more rounds than to suspect it."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Machine:
    """What measures a round, and the clock that a budget is held against; a simulation brings its own."""

    session: Callable[..., Session] = Session
    now_s: Callable[[], float] = time.monotonic


THIS_MACHINE = Machine()


@dataclass(frozen=True, slots=True)
class Effort:
    """How much may be spent: `budget_s` for all tasks together, timing and starting workers (None: so much for each),
    rounds at most, and the seconds of one task in one round (None: from the budget). With `adaptive` off every task
    gets `most_rounds`. `gate_tasks` are those of the whole gate, where others compare the rest of them."""

    budget_s: float | None = None
    most_rounds: int = MOST_ROUNDS
    round_s: float | None = None
    adaptive: bool = True
    deadline_s: float = 60.0
    memory_limit: int = 0
    gate_tasks: int = 0

    def budget(self, tasks: int) -> float:
        return BUDGET_PER_TASK_S * tasks if self.budget_s is None else self.budget_s

    def seconds(self, tasks: int) -> float:
        if self.round_s is not None:
            return self.round_s
        each = (self.budget(tasks) / tasks - ONCE_S) / ROUNDS_IN_BUDGET - FIXED_S - START_S / tasks
        return float(np.clip(each, SHORTEST_ROUND_S, LONGEST_ROUND_S))


def compare_pairs(
    contests: Sequence[Contest],
    registry: Registry,
    seed: int,
    effort: Effort,
    progress: Progress,
    machine: Machine = THIS_MACHINE,
) -> list[Compared]:
    """Measure and decide; one row per contest, in their order. A verdict that the budget did not reach is UNCLEAR.
    Nobody else measures on this machine meanwhile."""
    backends = {one.head.task.declaration.backend for one in contests}
    gpus = measured_alone(registry.backends[backend].reserves for backend in backends)
    with alone(gpus, lambda words: progress(words, 0, 0)):
        return _compared(contests, registry, seed, effort, progress, machine)


def _compared(
    contests: Sequence[Contest], registry: Registry, seed: int, effort: Effort, progress: Progress, machine: Machine
) -> list[Compared]:
    gate = _Gate(contests, effort, machine)
    seconds = effort.seconds(max(1, len(contests)))
    rounds = _Rounds(registry, seed, effort, _settings(contests, effort), seconds, machine)
    try:
        while wanted := gate.wanted():
            expected_s = sum(one.spent_s / one.rounds for one in wanted if one.rounds)
            if rounds.done >= FEWEST_ROUNDS and machine.now_s() + 0.9 * expected_s > gate.end:
                break
            rounds.measure(wanted, gate, expected_s, progress)
            if effort.adaptive:
                gate.look()
    finally:
        rounds.close()
    gate.look_once_more()
    return [one.row for one in contests if one.row is not None]


def _settings(contests: Sequence[Contest], effort: Effort) -> Settings:
    together = all(
        one.base.side == one.head.side and trust_of(one.base.task) == trust_of(one.head.task) for one in contests
    )
    return Settings(
        deadline_s=effort.deadline_s,
        memory_limit=effort.memory_limit,
        variables=ONE_WORKER if together else {},
        pinned=True,
        warm_up_s=0.0,
        abreast=True,
        overhead_s=OVERHEAD_S,
    )


@dataclass
class _Rounds:
    """Rounds of measuring, each in fresh workers, of which those of the next one start while this one is measured."""

    registry: Registry
    seed: int
    effort: Effort
    settings: Settings
    seconds: float
    """For one task in one round."""
    machine: Machine = THIS_MACHINE
    done: int = 0
    _overheads: Overheads = field(default_factory=dict)
    _draws: Draws = field(default_factory=lambda: Draws(MOST_DRAWN_BYTES))
    _ahead: dict[Trust, WorkerProcess] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._order = np.random.default_rng(self.seed)

    def measure(self, wanted: Sequence[Contest], gate: _Gate, expected_s: float, progress: Progress) -> None:
        """One round of the tasks that are wanted, in random order, as far as the budget goes."""
        started = self.machine.now_s()
        seconds = self.seconds + self._spare_s(gate.end - started, expected_s) / len(wanted)
        is_free = self.done >= FEWEST_ROUNDS  # to end, when the time is over
        kept = self._overheads, self._draws, self._ahead
        session = self.machine.session(self.registry, self.seed, self.settings, self.done, *kept)
        groups = [one.group for one in wanted]
        is_ahead, self._ahead = bool(self._ahead), {}
        measured = []
        try:
            if not is_ahead:
                session.start(groups)
            session.measure_overheads(groups)
            for place, number in enumerate(self._order.permutation(len(wanted))):
                one = wanted[number]
                goes_on = self.done + 1 < FEWEST_ROUNDS or started + 1.9 * expected_s < gate.end
                if place == len(wanted) - 1 and goes_on:
                    self._ahead = session.start_ahead(groups)
                if is_free and self.machine.now_s() > gate.end:
                    break
                decided = len(gate.contests) - len(gate.open)
                progress(f"round {self.done + 1}: {one.head.task.id}", decided, len(gate.contests))
                begun = self.machine.now_s()
                session.time_group(one.group, seconds, 0.0, answers=1 if self.done == 0 else 0, patience_s=0.0)
                one.spent_s += self.machine.now_s() - begun
                one.rounds += 1
                measured.append(one)
        finally:
            session.close()
        if self.done == 0:  # what the first start of all workers took
            shared = max(0.0, self.machine.now_s() - started - sum(one.spent_s for one in measured))
            for one in measured:
                one.spent_s += shared / len(measured)
        self.done += 1

    def _spare_s(self, left_s: float, expected_s: float) -> float:
        """What would be left of the time when as many rounds as fit into it were measured: each gets its part, but none
        is stretched by more than a half."""
        if not self.effort.adaptive or self.done < FEWEST_ROUNDS or not 0.0 < expected_s <= left_s:
            return 0.0
        return min(left_s / math.floor(left_s / expected_s) - expected_s, 0.5 * expected_s)

    def close(self) -> None:
        for worker in self._ahead.values():
            worker.close()


@dataclass
class _Gate:
    """What is known of all contests, and how much certainty was spent on looking."""

    contests: Sequence[Contest]
    effort: Effort
    machine: Machine
    _data: dict[int, Gathered] = field(default_factory=dict)
    _begin: float = 0.0

    def __post_init__(self) -> None:
        self._begin = self.machine.now_s()
        tasks = max(len(self.contests), self.effort.gate_tasks)
        self._looks = [Looks(tasks) for _ in self.contests]
        self._next_look = [FEWEST_ROUNDS for _ in self.contests]

    @property
    def open(self) -> list[int]:
        """The numbers of the contests that have no row yet."""
        return [number for number, one in enumerate(self.contests) if one.row is None]

    @property
    def end(self) -> float:
        return self._begin + self.effort.budget(len(self.contests))

    @property
    def _share(self) -> float:
        """How much of the budget is over."""
        return (self.machine.now_s() - self._begin) / max(self.end - self._begin, 1e-9)

    def wanted(self) -> list[Contest]:
        """What to measure next: what looks changed, if there is any, else all that is open."""
        left = [number for number in self.open if self.contests[number].rounds < self.effort.most_rounds]
        suspects = [number for number in left if self._is_suspect(number)] if self.effort.adaptive else []
        return [self.contests[number] for number in suspects or left]

    def _is_suspect(self, number: int) -> bool:
        data = self._data.get(number)
        ratio = None if data is None else main_ratio(data)
        if data is None or ratio is None or not ratio.p_value <= SUSPECT_P:
            return False
        return abs(ratio.log) >= math.log1p(self.contests[number].threshold(data.clock))

    def look(self) -> None:
        """Decide what has enough new rounds, and what has failed."""
        due = [number for number in self.open if self._is_due(number)]
        self._decide(due, self._share, final=False)
        for number in due:
            rounds = self.contests[number].rounds
            self._next_look[number] = max(rounds + 1, int(rounds * LOOK_AGAIN + 0.5))
        if len(self.contests) >= FEWEST_TASKS:
            self._gather([number for number in self.open if self.contests[number].rounds == SCREENED])

    def _is_due(self, number: int) -> bool:
        one = self.contests[number]
        return one.rounds >= self._next_look[number] or one.failure is not None

    def look_once_more(self) -> None:
        """Give every contest a row, with all the certainty that is left."""
        self._decide(self.open, 1.0, final=True)

    def _gather(self, chosen: Sequence[int]) -> None:
        """Put together what was measured of the chosen contests, with what all of them tell of the noise."""
        for number in chosen:
            one, known = self.contests[number], self._data.get(number)
            # what waits while suspects are measured has nothing new
            if known is None or known.samples != len(one.base.samples) + len(one.head.samples):
                self._data[number] = gathered(one.base.samples, one.head.samples)
        priors = priors_of(list(self._data.values()))
        for number in chosen:
            self._data[number] = replace(self._data[number], priors=priors)

    def _decide(self, chosen: Sequence[int], share: float, final: bool) -> None:
        """Give rows to those of the chosen contests that are clear, when a share of the budget is over; at the end to
        all. The correction is over the whole gate, and so is what is known of the noise, those included that were
        decided before."""
        self._gather(chosen)
        for number in chosen:
            ratio = main_ratio(self._data[number])
            self.contests[number].p_value = 1.0 if ratio is None else ratio.p_value
        adjusted = holm_of_part([one.p_value for one in self.contests], self.effort.gate_tasks)
        for number in chosen:
            one = self.contests[number]
            level = self._looks[number].level(one.rounds, max(share, one.rounds / self.effort.most_rounds))
            row = compared(one, self._data[number], adjusted[number], level)
            if final or row.verdict != "UNCLEAR" or one.failure is not None:
                one.row = replace(row, spent_s=one.spent_s)

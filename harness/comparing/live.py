"""RUN: two versions of each task against each other, until the evidence is enough or the budget is spent.

A round is a set of fresh worker processes in which every task that is still open is measured: bursts of both versions
in turn, in random order, so that the pairs cancel drift. Each round gives one ratio per task and clock. After some
rounds what is clear is decided and measured no more; the time goes where the doubt is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.comparing.contest import Contest
from harness.comparing.deciding import FEWEST_ROUNDS, holm, level_of
from harness.comparing.pairs import Gathered, compared, gathered, main_ratio
from harness.comparing.verdicts import Compared
from harness.registry import Registry
from harness.supervisor import trust_of
from harness.timing.groups import Settings
from harness.timing.session import Overheads, Session

ONE_WORKER = {"MALLOC_MMAP_THRESHOLD_": str(2 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 32)}
"""Where both versions run in one worker, glibc keeps the memory of arrays up to 2 MiB that they free: both get the same
pages, and the faults of fresh ones, most of the noise of a small kernel, are gone. Larger arrays are always mapped anew
(left to itself, glibc changes its mind while it runs). Two workers that keep their memory would keep their luck with
it, percents of it (which pages share a set of a cache), so there glibc is left alone."""
BUDGET_PER_TASK_S = 4.0
MOST_ROUNDS = 40
SHORTEST_ROUND_S = 0.1
LONGEST_ROUND_S = 1.0
ROUNDS_IN_BUDGET = 6
"""So many rounds of all tasks are to fit into the budget: with fewer, Student's t is large; with more, starting workers
takes most of the time."""
START_S = 0.3
"""What starting the workers of a round takes, about."""
LOOK_AGAIN = 1.3
"""Decisions are made when the rounds have grown by this factor: each look at data that grow costs certainty."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much may be spent: `budget_s` for all tasks together, timing and starting workers (None: so much for each),
    rounds at most, and the seconds of one task in one round (None: from the budget). With `adaptive` off every task
    gets `most_rounds`."""

    budget_s: float | None = None
    most_rounds: int = MOST_ROUNDS
    round_s: float | None = None
    adaptive: bool = True
    deadline_s: float = 60.0
    memory_limit: int = 0

    def budget(self, tasks: int) -> float:
        return BUDGET_PER_TASK_S * tasks if self.budget_s is None else self.budget_s

    def seconds(self, tasks: int) -> float:
        if self.round_s is not None:
            return self.round_s
        return float(
            np.clip((self.budget(tasks) / ROUNDS_IN_BUDGET - START_S) / tasks, SHORTEST_ROUND_S, LONGEST_ROUND_S)
        )


def compare_pairs(
    contests: Sequence[Contest], registry: Registry, seed: int, effort: Effort, progress: Progress
) -> list[Compared]:
    """Measure and decide; one row per contest, in their order. A verdict that the budget did not reach is UNCLEAR."""
    overheads: Overheads = {}
    order = np.random.default_rng(seed)
    together = all(
        one.base.side == one.head.side and trust_of(one.base.task) == trust_of(one.head.task) for one in contests
    )
    settings = Settings(
        deadline_s=effort.deadline_s,
        memory_limit=effort.memory_limit,
        variables=ONE_WORKER if together else {},
        pinned=True,
    )
    seconds = effort.seconds(max(1, len(contests)))
    end = time.monotonic() + effort.budget(len(contests))
    rounds, look, next_look = 0, 0, FEWEST_ROUNDS
    while rounds < effort.most_rounds and (open_ := [one for one in contests if one.row is None]):
        started = time.monotonic()
        if rounds >= FEWEST_ROUNDS and started + 0.7 * _cost(open_, rounds) > end:
            break
        session = Session(registry, seed, settings, rounds, overheads)
        try:
            session.measure_overheads([one.group for one in open_])
            for number in order.permutation(len(open_)):
                one = open_[number]
                if rounds >= FEWEST_ROUNDS and time.monotonic() > end:
                    break
                progress(f"round {rounds + 1}: {one.head.task.id}", len(contests) - len(open_), len(contests))
                begun = time.monotonic()
                session.time_group(one.group, seconds, 0.0, answers=1 if rounds == 0 else 0, patience_s=0.0)
                one.spent_s += time.monotonic() - begun
        finally:
            session.close()
        shared = (time.monotonic() - started - sum(one.spent_s for one in open_)) if rounds == 0 else 0.0
        for one in open_:
            one.spent_s += max(0.0, shared) / len(open_)
        rounds += 1
        if rounds >= next_look and effort.adaptive:
            _decide(contests, level_of(look), final=False)
            look, next_look = look + 1, max(rounds + 1, int(rounds * LOOK_AGAIN + 0.5))
    # the looks so far have spent all but as much as the last of them: this is the last one
    _decide(contests, level_of(look - 1), final=True)
    return [one.row for one in contests if one.row is not None]


def _cost(contests: Sequence[Contest], rounds: int) -> float:
    """Seconds that one more round of these will take, as far as the past tells."""
    return sum(one.spent_s for one in contests) / rounds


def _decide(contests: Sequence[Contest], level: float, final: bool) -> None:
    """Give rows to the contests that are clear; at the end to all. The correction is over the whole gate, those
    included that were decided before."""
    open_ = {number: gathered(one.base.samples, one.head.samples) for number, one in enumerate(contests) if not one.row}
    for number, data in open_.items():
        contests[number].p_value = _p_value(data)
    adjusted = holm([one.p_value for one in contests])
    for number, data in open_.items():
        one = contests[number]
        row = compared(one, data, adjusted[number], level)
        if final or row.verdict != "UNCLEAR" or one.failure is not None:
            one.row = replace(row, spent_s=one.spent_s)


def _p_value(data: Gathered) -> float:
    ratio = main_ratio(data)
    return 1.0 if ratio is None else ratio.p_value

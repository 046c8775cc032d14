"""RUN: bursts of readings, one of an implementation after the other or several of each abreast; and its last ones."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import numpy as np

from harness.timing.exchange import Begun, Exchange, Step, trust_of_timing
from harness.timing.pinning import SEVERAL_THREADS
from harness.timing.rotation import Samples, deal, each_once
from harness.timing.turn import JUDGING_CHANCE, READINGS, Chosen, Turn, choose
from harness.timing.workers import Trust

MOST_ABREAST = 4
"""So many bursts of an implementation lie ready at a time, at most."""
MORE_EVIDENCE = 40
"""Bursts that a suspicion is followed by before it becomes a verdict."""
PATIENCE_S = 1.0
"""How long bursts that nothing got in the way of are waited for, on a busy machine."""


def burst(exchange: Exchange, turn: Turn, block: int, position: int, rng: np.random.Generator, *, poison: bool) -> None:
    """One burst: change an input set, run, take the times, and judge an answer now and then."""
    samples = each_once(exchange.sets, turn.calls_per_reading, rng)
    chosen = _now_and_then(samples, rng, certain=poison)
    ran = _run(exchange, turn, samples, chosen, rng, poison=poison)
    if ran is not None:
        begun, step = ran
        judged = _look(begun, 0, step, chosen, None if poison else rng)
        if not poison:  # what is not audited has no time; its answers are judged
            turn.add_burst(step.received, block, position, judged, step.evidence)


def abreast(exchange: Exchange, turns: Sequence[Turn]) -> int:
    """How many bursts of each turn can lie ready at a time, while those of all alternate; 0 where they do not."""
    if len(turns) < 2 or any(turn.threads > SEVERAL_THREADS or exchange.has_timer(turn) for turn in turns):
        return 0  # threads fall asleep between steps; a device is looked at around whole requests
    needed: Counter[Trust] = Counter()  # what shares a worker shares its input sets
    for turn in turns:
        needed[trust_of_timing(turn.timing)] += (READINGS + 1) * turn.calls_per_reading
    return min(MOST_ABREAST, exchange.sets // max(needed.values())) // 2 * 2


def steps(
    exchange: Exchange, turns: Sequence[Turn], count: int, block: int, rng: np.random.Generator, *, kept: bool
) -> None:
    """So many bursts of each turn lie ready, and run in turn, there and back again, half as many blocks: what drifts
    within milliseconds cancels in the pairs, too. The first ones are not `kept`: a process has no memory yet for so
    many answers, and what faulting it in takes is more than many a kernel."""
    begun: list[Begun] = []
    for trust in dict.fromkeys(trust_of_timing(turn.timing) for turn in turns):
        sharing = [turn for turn in turns if trust_of_timing(turn.timing) == trust]
        dealt = deal(exchange.sets, [turn.calls_per_reading for turn in sharing], count, rng)
        first_slot = 0
        for turn, samples in zip(sharing, dealt, strict=True):
            one = exchange.begin(turn, samples, rng, first_slot=first_slot)
            first_slot += (READINGS + 1) * turn.calls_per_reading + 1
            if one is not None:
                begun.append(one)
    order: list[int] = []
    for number in range(count):
        back = number % 2
        order = order[::-1] if back else [int(index) for index in rng.permutation(len(begun))]
        for place, index in enumerate(order):
            one, turn = begun[index], begun[index].turn
            if turn.timing.failure is not None:
                continue
            chosen = _now_and_then(one.steps[number], rng) if kept else []
            step = exchange.step(one, number, chosen)
            if step is not None and kept:
                judged = _look(one, number, step, chosen, rng)
                # once there and back is a block for the pairs
                turn.add_burst(step.received, block + number // 2, back * len(order) + place, judged, step.evidence)


def challenge(exchange: Exchange, turn: Turn, rng: np.random.Generator) -> bool:
    """A short request, for the slope over the number of calls; whether it ran. All of its answers are read back,
    and now and then one is looked at."""
    samples = each_once(exchange.sets, turn.calls_per_reading, rng)[:1]
    chosen = choose(samples, rng, 1)
    ran = _run(exchange, turn, samples, chosen, rng)
    if ran is None:
        return False
    if rng.random() < JUDGING_CHANCE:
        _look(ran[0], 0, ran[1], chosen, rng)
    return turn.timing.failure is None


def close_turn(
    exchange: Exchange,
    turn: Turn,
    block: int,
    rng: np.random.Generator,
    *,
    answers: int,
    patience_s: float,
    others: bool,
) -> None:
    """One more burst, of which half of so many answers are judged for certain, and of those that were put by as
    many; then the audit. A contradiction is looked at again with more requests: load on the machine passes, a lie
    stays. So is too little evidence, for a while; `others`: whether further processes are to come."""
    contradiction = ""
    patience = time.monotonic() + patience_s
    for extra in range(1 + MORE_EVIDENCE):
        samples = each_once(exchange.sets, turn.calls_per_reading, rng)
        # the last and the first: an answer that a later call wrote over is then seen for certain
        chosen = choose(samples, rng, -(-answers // 2) if extra == 0 else 1, last=True)
        ran = _run(exchange, turn, samples, chosen, rng)
        if ran is None:
            return
        if extra == 0:
            begun, step = ran
            judged = _look(begun, 0, step, chosen, None)
            turn.add_burst(step.received, block, 0, judged, step.evidence)
            turn.judge_kept(answers)
        contradiction = turn.contradiction()
        if not contradiction and (not patience_s or turn.is_conclusive(late=time.monotonic() > patience)):
            return
        if not challenge(exchange, turn, rng):
            return
    if contradiction:
        turn.accuse(contradiction, others=others)


def _run(
    exchange: Exchange,
    turn: Turn,
    samples: Samples,
    chosen: Sequence[Chosen],
    rng: np.random.Generator,
    *,
    poison: bool = False,
) -> tuple[Begun, Step] | None:
    """A request of one step; None if the task is lost."""
    begun = exchange.begin(turn, [samples], rng, poison=poison)
    step = None if begun is None else exchange.step(begun, 0, chosen)
    return None if begun is None or step is None else (begun, step)


def _now_and_then(samples: Samples, rng: np.random.Generator, *, certain: bool = False) -> list[Chosen]:
    """An answer of a burst that is to be looked at, or none."""
    return choose(samples, rng, 1) if certain or rng.random() < JUDGING_CHANCE else []


def _look(
    begun: Begun, number: int, step: Step, chosen: Sequence[Chosen], put_by: np.random.Generator | None
) -> set[int]:
    """Look at the chosen answers of a step; the readings of which one was judged."""
    samples, turn = begun.steps[number], begun.turn
    return {one.reading for one in chosen if turn.look(begun.stage, step.received, samples, one, put_by)}

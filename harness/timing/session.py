"""RUN: time the implementations of one case against each other, in short interleaved bursts over several processes.

One worker per backend (and plugin file) and process; while one runs, the others wait. A block is a random order of
the implementations and then the same order backwards, so that slow drift cancels in the pairs. The supervisor draws
the inputs, changes them between bursts, judges answers of timed calls at random, and audits the claimed times with its
own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from harness.implement import Declaration
from harness.judge.truth import Truth
from harness.plan import Task
from harness.process import WorkerFailure, WorkerProcess
from harness.registry import Registry
from harness.stage import Refused, Stage
from harness.timing import bursts
from harness.timing.audit import Audit, Cost, Overhead
from harness.timing.exchange import Exchange, is_ready, trust_of_timing
from harness.timing.groups import Group, Settings, Timing
from harness.timing.overhead import Overheads, overhead_of, peak_of_call, place_of
from harness.timing.pinning import SEVERAL_THREADS, is_where_placed, pin, unpin
from harness.timing.rotation import Draws, input_sets
from harness.timing.turn import FEWEST_BLOCKS, READINGS, Turn
from harness.timing.workers import Trust, Workers

SHORTEST_READING_NS = 50_000
"""Short calls are repeated inside a reading until it lasts this long, so that the clocks cost under 1 %."""
MOST_BLOCKS = 400
FEWEST_TIMED = 2
"""Blocks of a process that are run and timed, whatever they take."""
POISONED, POISONED_ABREAST = 0.1, 0.04
"""Share of blocks (of comparisons, whose blocks are shorter) before whose bursts freed memory is overwritten. That
costs as much as a kernel, in time that the audit cannot tell from hidden work; so their answers are judged, and their
times are left out."""
NO_OVERHEAD = Overhead(Cost(0.0, 0.0), Cost(0.0, 0.0))


def time_groups(
    groups: Sequence[Group],
    registry: Registry,
    seed: int,
    settings: Settings,
    progress: Callable[[str], None],
    gathered: Callable[[Group, int, bool], None],
) -> None:
    """Gather samples into the groups: process after process, each with fresh workers and all groups in random order.

    `gathered(group, process, final)` is called as soon as a process has added its samples to a group; `final` when no
    further process will. A group that already holds samples of a process (a resumed run) is not timed in it again.
    """
    order = np.random.default_rng(seed)
    for process in range(settings.processes):
        last = process == settings.processes - 1
        waiting = [group for group in groups if process in group.waiting_for(settings)]
        if not waiting:
            continue
        session = Session(registry, seed, settings, process)
        try:
            session.measure_overheads(waiting)
            for index in order.permutation(len(waiting)):
                group = waiting[index]
                progress(
                    f"timing {group.operator.name}/{group.case.id} (process {process + 1} of {settings.processes})"
                )
                session.time_group(group)
                gathered(group, process, group.settle(settings, last))
        finally:
            session.close()


class Session:
    """The workers of one process round, and what they have on stage."""

    def __init__(
        self,
        registry: Registry,
        seed: int,
        settings: Settings,
        process: int,
        overheads: Overheads | None = None,
        draws: Draws | None = None,
        ahead: Mapping[Trust, WorkerProcess] | None = None,
    ) -> None:
        """`overheads` are those that an earlier session has measured, and `draws` its inputs; new ones are added.
        `ahead` are workers that it has started for this one."""
        self._registry = registry
        self._seed = seed
        self._settings = settings
        self._process = process
        self.workers = Workers(registry, settings, ahead or {})
        self._exchange = Exchange(registry, settings, self.workers)
        self._overheads = {} if overheads is None else overheads
        self._draws = Draws() if draws is None else draws

    def start(self, groups: Sequence[Group]) -> None:
        """Start all workers of these groups side by side, as far as there are cores for it."""
        self.workers.take(self.start_ahead(groups))

    def start_ahead(self, groups: Sequence[Group]) -> dict[Trust, WorkerProcess]:
        """Workers for a next session that times these groups."""
        sides = [(trust_of_timing(one), one.side) for group in groups for one in group.running]
        # neither version always gets the pages that the last worker has left
        order = np.random.default_rng().permutation(len(sides))
        return self.workers.started_ahead(dict(sides[index] for index in order))

    def measure_overheads(self, groups: Sequence[Group]) -> None:
        """What a call that does nothing costs outside its own reading, before plugins enter the workers."""
        for group in groups:
            sides = {trust_of_timing(timing): timing.side for timing in group.running}
            for trust in sorted(sides):
                place = place_of(group, trust[0], sides[trust])
                if place in self._overheads:
                    continue
                calls = [group.blank] * input_sets(group)
                nothing = Task(Declaration(group.operator.name, trust[0], "nothing"), group.case)
                try:
                    stage = self._exchange.new_stage(trust, sides[trust], calls)
                    watch, declared = self.workers.watch(trust), self._exchange.declared(sides[trust])
                    ready = is_ready(self._settings, has_timer=declared.backends[trust[0]].has_timer)
                    overhead = overhead_of(stage, nothing, declared, self._settings, watch, ready=ready)
                except (WorkerFailure, Refused) as failure:
                    for timing in group.running:
                        if trust_of_timing(timing) == trust:
                            self._exchange.lose(timing, failure)
                    continue
                self._overheads[place] = overhead

    def time_group(
        self,
        group: Group,
        seconds: float | None = None,
        precision: float | None = None,
        *,
        answers: int = READINGS,
        patience_s: float = bursts.PATIENCE_S,
    ) -> None:
        """Blocks of bursts for `seconds`, or until the medians of this process stand still to `precision`; default: its
        share of the settings' budget, and their precision. At the end so many `answers` are judged for
        certain, each of another reading, and on a busy machine the audit waits for clean bursts for `patience_s`."""
        precision = self._settings.precision if precision is None else precision
        calls = self._draws.calls(group, self._seed, self._process)
        exchange = self._exchange
        exchange.set_out(group.running, calls)
        unpin(self.workers.pids())
        # not of the seed, which a command line or the store may give away; and neither version is always the first
        rng = np.random.default_rng()
        running = [group.running[index] for index in rng.permutation(len(group.running))]
        turns = [turn for timing in running if (turn := self._open(group, timing, calls)) is not None]
        if self._settings.pinned and all(turn.threads <= SEVERAL_THREADS for turn in turns):
            pin(self.workers.pids(), self._seed + self._process)
        end = time.monotonic() + (self._settings.budget_s / self._settings.processes if seconds is None else seconds)
        block, is_warm = 0, False
        while block < MOST_BLOCKS:
            alive = [turn for turn in turns if turn.timing.failure is None]
            enough = block >= FEWEST_BLOCKS and all(turn.steady(precision) for turn in alive)
            if not alive or enough or (block >= FEWEST_TIMED and time.monotonic() > end):
                break
            forward = [alive[index] for index in rng.permutation(len(alive))]
            # for a whole block: what it does to the allocator cancels in the pairs
            chance = POISONED_ABREAST if self._settings.abreast else POISONED
            poison = block >= FEWEST_TIMED and bool(rng.random() < chance)
            if not poison and self._settings.abreast and (count := bursts.abreast(exchange, forward)):
                bursts.steps(exchange, forward, count, block, rng, kept=is_warm)
                block += count // 2 if is_warm else 0
                is_warm = True
            else:
                for position, turn in enumerate(forward if poison else [*forward, *reversed(forward)]):
                    if turn.timing.failure is None:
                        bursts.burst(exchange, turn, block, position, rng, poison=poison)
                block += 1
            due = [turn for turn in alive if turn.may_challenge()]
            for index in rng.permutation(len(due)):
                if due[index].timing.failure is None:
                    bursts.challenge(exchange, due[index], rng)
        for turn in turns:
            pid = self.workers.pid(trust_of_timing(turn.timing))
            if pid is not None and not is_where_placed(pid):
                turn.timing.failure = "untrusted", "while it was timed it moved to cores that it was not given"
            if turn.timing.failure is None:
                others, accused = self._settings.processes > 1, turn.timing.accused
                bursts.close_turn(exchange, turn, block, rng, answers=answers, patience_s=patience_s, others=others)
                if turn.timing.accused != accused:  # who judges the next process is not to err in the same way
                    place = place_of(group, turn.timing.task.declaration.backend, turn.timing.side)
                    self._overheads.pop(place, None)

    def _open(self, group: Group, timing: Timing, calls: list[Truth]) -> Turn | None:
        """Warm an implementation up, and find how many of its calls make up a reading."""
        declared = timing.task.declaration
        overhead = self._overheads.get(place_of(group, declared.backend, timing.side), NO_OVERHEAD)
        array_type = self._exchange.declared(timing.side).backends[declared.backend].array_type
        turn = Turn(timing, group, self._process, Audit(overhead), array_type)
        received = self._exchange.warm(turn, [[0], [1], [2], [3]])
        if received is None:
            return None
        stage = self._exchange.stage(turn)
        if timing.peak_bytes is None:
            timing.peak_bytes = self._peak(turn, stage)
        if timing.prepare_ns is None:
            timing.prepare_ns = received.reply.prepare_ns
        turn.threads = sum(received.reply.cpu_ns) / max(1, sum(received.reply.wall_ns))
        times = zip(received.reply.device_ns, received.reply.wall_ns, strict=True)
        fastest = max(1, min(wall if device is None else device for device, wall in times))
        turn.calls_per_reading = max(1, min(SHORTEST_READING_NS // fastest, stage.calls_at_once))
        # from then on there is memory for as many answers as a burst keeps alive: the page faults of first touches take
        # longer than many a kernel
        count = turn.calls_per_reading
        whole = np.arange(len(calls) // count * count).reshape(-1, count).tolist()
        end = time.monotonic() + self._settings.warm_up_s
        for first in range(0, len(whole), READINGS + 1):
            if first and time.monotonic() > end:
                break
            if self._exchange.warm(turn, whole[first : first + READINGS + 1], poison=False) is None:
                return None
        return turn

    def _peak(self, turn: Turn, stage: Stage) -> int | None:
        """By how many bytes one call made the worker's memory grow at most, where the system tells."""
        try:
            declared = self._exchange.declared(turn.timing.side)
            return peak_of_call(turn.timing.task, stage, declared, self._settings.deadline_s)
        except (WorkerFailure, Refused) as failure:
            self._exchange.lose(turn.timing, failure)
            return None

    def close(self) -> None:
        self.workers.close()

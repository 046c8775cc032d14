"""RUN: time the implementations of one case against each other, in short interleaved bursts over several processes.

One worker per backend (and plugin file) and process; while one runs, the others wait. A block is a random order of
the implementations and then the same order backwards, so that slow drift cancels in the pairs. The supervisor draws
the inputs, changes them between bursts, judges answers of timed calls at random, and audits the claimed times with its
own clock.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.implement import Declaration
from harness.judge.truth import Truth
from harness.plan import Task
from harness.process import WorkerFailure, WorkerProcess
from harness.registry import Registry
from harness.stage import Received, Refused, Stage, heavy_of, timed_inputs
from harness.supervisor import PREPARE_S, trust_of
from harness.timing.audit import Audit, Cost, Overhead
from harness.timing.device import state as gpu
from harness.timing.evidence import Evidence
from harness.timing.groups import Group, Settings, Side, Timing
from harness.timing.overhead import SETTLE_S, Overheads, overhead_of, peak_of_call, place_of
from harness.timing.pinning import SEVERAL_THREADS, is_where_placed, pin, unpin
from harness.timing.rotation import draw_calls, each_once, input_sets
from harness.timing.turn import FEWEST_BLOCKS, JUDGING_CHANCE, READINGS, Chosen, Turn, choose
from harness.timing.workers import Trust, Workers

SHORTEST_READING_NS = 50_000
"""Short calls are repeated inside a reading until it lasts this long, so that the clocks cost under 1 %."""
MOST_BYTES = 1 << 20
"""Answers of one reading that may be alive at a time, in bytes."""
MOST_BLOCKS = 400
FEWEST_TIMED = 2
"""Blocks of a process that are run and timed, whatever they take."""
POISONED = 0.1
"""Share of blocks before whose bursts freed memory is overwritten. That costs as much as a kernel, in time that the
audit cannot tell from hidden work; so their answers are judged, and their times are left out."""
NO_OVERHEAD = Overhead(Cost(0.0, 0.0), Cost(0.0, 0.0))
MORE_EVIDENCE = 40
"""Bursts that a suspicion is followed by before it becomes a verdict."""
PATIENCE_S = 1.0
"""How long bursts that nothing got in the way of are waited for, on a busy machine."""


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
        ahead: Mapping[Trust, WorkerProcess] | None = None,
    ) -> None:
        """`overheads` are those that an earlier session has measured; new ones are added. `ahead` are workers that it
        has started for this one."""
        self._registry = registry
        self._seed = seed
        self._settings = settings
        self._process = process
        self.workers = Workers(registry, settings, ahead or {})
        self._stages: dict[Trust, Stage] = {}
        self._overheads = {} if overheads is None else overheads
        self._last: Trust | None = None
        self._gpu = gpu.Watch()
        """Asked only while a backend with a clock of its own is timed."""

    def start(self, groups: Sequence[Group]) -> None:
        """Start all workers of these groups side by side, as far as there are cores for it."""
        self.workers.take(self.start_ahead(groups))

    def start_ahead(self, groups: Sequence[Group]) -> dict[Trust, WorkerProcess]:
        """Workers for a next session that times these groups."""
        return self.workers.started_ahead({_trust(one): one.side for group in groups for one in group.running})

    def measure_overheads(self, groups: Sequence[Group]) -> None:
        """What a call that does nothing costs outside its own reading, before plugins enter the workers."""
        for group in groups:
            sides = {_trust(timing): timing.side for timing in group.running}
            for trust in sorted(sides):
                place = place_of(group, trust[0], sides[trust])
                if place in self._overheads:
                    continue
                calls = [group.blank] * input_sets(group)
                nothing = Task(Declaration(group.operator.name, trust[0], "nothing"), group.case)
                try:
                    stage = self._stage(trust, sides[trust], calls)
                    watch = self.workers.watch(trust)
                    overhead = overhead_of(stage, nothing, self._declared(sides[trust]), self._settings, watch)
                except (WorkerFailure, Refused) as failure:
                    self._drop(trust, failure)
                    for timing in group.running:
                        if _trust(timing) == trust:
                            timing.failure = failure.status, failure.reason
                    continue
                self._overheads[place] = overhead

    def _declared(self, side: Side | None) -> Registry:
        return self._registry if side is None else side.registry

    def time_group(
        self,
        group: Group,
        seconds: float | None = None,
        precision: float | None = None,
        *,
        answers: int = READINGS,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Blocks of bursts for `seconds`, or until the medians of this process stand still to `precision`; default: its
        share of the settings' budget, and their precision. At the end so many `answers` are judged for
        certain, each of another reading, and on a busy machine the audit waits for clean bursts for `patience_s`."""
        precision = self._settings.precision if precision is None else precision
        calls = draw_calls(group, self._seed, self._process)
        self._stages.clear()
        unpin(self.workers.pids())
        # not of the seed, which a command line or the store may give away; and neither version is always the first
        rng = np.random.default_rng()
        running = [group.running[index] for index in rng.permutation(len(group.running))]
        turns = [turn for timing in running if (turn := self._open(group, timing, calls)) is not None]
        if self._settings.pinned and all(turn.threads <= SEVERAL_THREADS for turn in turns):
            pin(self.workers.pids(), self._seed + self._process)
        end = time.monotonic() + (self._settings.budget_s / self._settings.processes if seconds is None else seconds)
        block = 0
        for block in range(MOST_BLOCKS):
            alive = [turn for turn in turns if turn.timing.failure is None]
            enough = block >= FEWEST_BLOCKS and all(turn.steady(precision) for turn in alive)
            if not alive or enough or (block >= FEWEST_TIMED and time.monotonic() > end):
                break
            forward = [alive[index] for index in rng.permutation(len(alive))]
            # for a whole block: what it does to the allocator cancels in the pairs
            poison = block >= FEWEST_TIMED and bool(rng.random() < POISONED)
            for position, turn in enumerate(forward if poison else [*forward, *reversed(forward)]):
                if turn.timing.failure is None:
                    self._burst(turn, calls, block, position, rng, poison=poison)
            due = [turn for turn in alive if turn.may_challenge()]
            for index in rng.permutation(len(due)):
                if due[index].timing.failure is None:
                    self._challenge(due[index], calls, rng)
        for turn in turns:
            pid = self.workers.pid(_trust(turn.timing))
            if pid is not None and not is_where_placed(pid):
                turn.timing.failure = "untrusted", "while it was timed it moved to cores that it was not given"
            if turn.timing.failure is None:
                self._close_turn(turn, calls, block, rng, answers, patience_s)

    def _open(self, group: Group, timing: Timing, calls: list[Truth]) -> Turn | None:
        """Warm an implementation up, and find how many of its calls make up a reading."""
        declared = timing.task.declaration
        overhead = self._overheads.get(place_of(group, declared.backend, timing.side), NO_OVERHEAD)
        array_type = self._declared(timing.side).backends[declared.backend].array_type
        turn = Turn(timing, group, self._process, Audit(overhead), array_type)
        stage, received, _ = self._ask(turn, calls, [[0], [1], [2], [3]])
        if received is None:
            return None
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
            if self._ask(turn, calls, whole[first : first + READINGS + 1], poison=False)[1] is None:
                return None
        return turn

    def _burst(
        self, turn: Turn, calls: list[Truth], block: int, position: int, rng: np.random.Generator, *, poison: bool
    ) -> None:
        """One burst: change an input set, run, take the times, and judge an answer now and then."""
        samples = each_once(len(calls), turn.calls_per_reading, rng)
        chosen = choose(samples, rng, 1) if poison or rng.random() < JUDGING_CHANCE else []
        self._judged(turn, calls, samples, chosen, block, position, rng, poison=poison)

    def _challenge(self, turn: Turn, calls: list[Truth], rng: np.random.Generator) -> bool:
        """A short request, for the slope over the number of calls; whether it ran. All of its answers are read back,
        and now and then one is looked at."""
        samples = each_once(len(calls), turn.calls_per_reading, rng)[:1]
        chosen = choose(samples, rng, 1)
        stage, received, _ = self._ask(turn, calls, samples, rng, chosen, poison=False)
        if received is not None and rng.random() < JUDGING_CHANCE:
            turn.look(stage, received, samples, chosen[0], rng)
        return received is not None and turn.timing.failure is None

    def _judged(
        self,
        turn: Turn,
        calls: list[Truth],
        samples: list[list[int]],
        chosen: Sequence[Chosen],
        block: int,
        position: int,
        rng: np.random.Generator,
        *,
        poison: bool,
        kept: bool = True,
        certain: bool = False,
    ) -> bool:
        """Run a burst, look at the chosen answers (`certain`: judge them now) and keep the times (or only its audit);
        whether it ran."""
        stage, received, evidence = self._ask(turn, calls, samples, rng, chosen, poison=poison)
        if received is None:
            return False
        put_by = None if certain or poison else rng
        judged = {one.reading for one in chosen if kept and turn.look(stage, received, samples, one, put_by)}
        if not kept or poison:  # what is not audited has no time; its answers are judged
            return True
        turn.add_burst(received, block, position, judged, evidence)
        return True

    def _close_turn(
        self, turn: Turn, calls: list[Truth], block: int, rng: np.random.Generator, answers: int, patience_s: float
    ) -> None:
        """One more burst, of which half of so many answers are judged for certain, and of those that were put by as
        many; then the audit. A contradiction is looked at again with more requests: load on the machine passes, a lie
        stays. So is too little evidence, for a while."""
        contradiction = ""
        patience = time.monotonic() + patience_s
        for extra in range(1 + MORE_EVIDENCE):
            samples = each_once(len(calls), turn.calls_per_reading, rng)
            # the last and the first: an answer that a later call wrote over is then seen for certain
            chosen = choose(samples, rng, -(-answers // 2) if extra == 0 else 1, last=True)
            if not self._judged(
                turn, calls, samples, chosen, block, 0, rng, poison=False, kept=extra == 0, certain=True
            ):
                return
            if extra == 0:
                turn.judge_kept(answers)
            contradiction = turn.contradiction()
            if not contradiction and (not patience_s or turn.is_conclusive(late=time.monotonic() > patience)):
                return
            if not self._challenge(turn, calls, rng):
                return
        if contradiction:
            turn.accuse(contradiction, others=self._settings.processes > 1)

    def _ask(
        self,
        turn: Turn,
        calls: list[Truth],
        samples: list[list[int]],
        rng: np.random.Generator | None = None,
        chosen: Sequence[Chosen] = (),
        *,
        poison: bool = True,
    ) -> tuple[Stage, Received | None, Evidence | None]:
        """Have a burst run; None for the answer if the task is lost. With `rng` an input set changes before, and the
        supervisor's clocks run along."""
        task, side = turn.timing.task, turn.timing.side
        trust = _trust(turn.timing)
        if trust not in self._stages:  # the first of its kind, or the first after the worker was lost
            self._stages[trust] = self._stage(trust, side, calls)
        stage = self._stages[trust]
        gpu_before = None
        if rng is not None:
            if self._declared(side).backends[task.declaration.backend].has_timer:
                gpu_before = self._gpu.state()
            fresh = timed_inputs(turn.group.operator, turn.group.case, rng) if turn.group.operator.redraw else None
            if trust != self._last:
                time.sleep(SETTLE_S)
                self._last = trust
            # after the pause: a thread of the plugin's has no time to work ahead on the new values
            heavy = heavy_of(turn.group.operator, turn.group.case)
            stage.touch(rng, {index for sample in samples for index in sample}, fresh, heavy)
        watch = self.workers.watch(trust)
        executed = sum(len(sample) for sample in samples)
        readings = [(watch.read(), self.workers.own.read())]
        # compilers run in the first request of a fresh process
        prepare_s = PREPARE_S if rng is None and task.declaration.has_prepare else 0.0
        try:
            received = stage.ask(
                task,
                self._declared(side),
                samples,
                self._settings.deadline_s + prepare_s,
                poison=poison,
                called=lambda: readings.append((watch.read(), self.workers.own.read())),
                # where any is looked at all are copied: nobody knows which, and what copying takes is audited
                wanted=None if chosen else [],
            )
            if received.reply.state_changes:
                changed = received.reply.state_changes
                raise WorkerFailure("failed", f"while it was timed it changed the state of the process: {changed}")
        except (WorkerFailure, Refused) as failure:
            turn.timing.failure = failure.status, failure.reason
            self._drop(trust, failure)
            return stage, None, None
        readings.append((watch.read(), self.workers.own.read()))
        phases = [
            (after[0].minus(before[0]), after[1].minus(before[1])) for before, after in itertools.pairwise(readings)
        ]
        if rng is not None and not poison:
            turn.audit_request(received, phases, executed)
        evidence = phases[0][0]
        if gpu_before is not None:
            evidence = replace(evidence, device=gpu.contamination(gpu_before, self._gpu.state()))
        return stage, received, evidence

    def _peak(self, turn: Turn, stage: Stage) -> int | None:
        """By how many bytes one call made the worker's memory grow at most, where the system tells."""
        try:
            return peak_of_call(turn.timing.task, stage, self._declared(turn.timing.side), self._settings.deadline_s)
        except (WorkerFailure, Refused) as failure:
            turn.timing.failure = failure.status, failure.reason
            self._drop(_trust(turn.timing), failure)
            return None

    def _stage(self, trust: Trust, side: Side | None, calls: list[Truth]) -> Stage:
        """The calls set out in a worker, with room for as many answers as one burst may give."""
        at_once = max(1, min(len(calls) // (READINGS + 1), MOST_BYTES // max(1, calls[0].expected.nbytes)))
        return Stage(self.workers.get(trust, side), calls, slots=(READINGS + 1) * at_once, calls_at_once=at_once)

    def _drop(self, trust: Trust, failure: WorkerFailure | Refused) -> None:
        """If the worker is lost, so is what was on stage there; the next burst of its kind starts both anew."""
        if isinstance(failure, WorkerFailure):
            self._stages.pop(trust, None)
            self.workers.lose(trust)

    def close(self) -> None:
        self.workers.close()


def _trust(timing: Timing) -> Trust:
    return *trust_of(timing.task), "" if timing.side is None else timing.side.label

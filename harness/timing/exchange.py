"""RUN: requests to the workers of one process round, with all clocks around them.

The supervisor's clock runs along with every request that counts, and so do the kernel's books of the worker and of the
supervisor itself; all other workers stand still meanwhile.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from harness.heavy import heavy_of, timed_inputs
from harness.judge.truth import Truth
from harness.process import WorkerFailure
from harness.registry import Registry
from harness.stage import Asked, Received, Refused, Stage
from harness.supervisor import PREPARE_S, trust_of
from harness.timing.device import state as gpu
from harness.timing.evidence import Evidence, Reading
from harness.timing.groups import Settings, Side, Timing
from harness.timing.overhead import SETTLE_S
from harness.timing.pinning import SEVERAL_THREADS
from harness.timing.rotation import Samples
from harness.timing.turn import READINGS, Books, Chosen, Turn
from harness.timing.workers import Trust, Workers

Given = TypeVar("Given")
MOST_BYTES = 1 << 20
"""Answers of one reading that may be alive at a time, in bytes."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A request whose inputs have changed, and of which nothing has run yet; step by step, if there are several."""

    turn: Turn
    stage: Stage
    asked: Asked
    steps: Sequence[Samples]
    poison: bool
    gpu_before: gpu.State | None


@dataclass(frozen=True, slots=True)
class Step:
    """What came back from a step, and what happened on the machine meanwhile."""

    received: Received
    evidence: Evidence


class Exchange:
    """Between a session and its workers: what they have on stage, and how their clocks stood last."""

    def __init__(self, registry: Registry, settings: Settings, workers: Workers) -> None:
        self._registry = registry
        self._settings = settings
        self._workers = workers
        self._stages: dict[Trust, Stage] = {}
        self._calls: Sequence[Truth] = ()
        self._sharing: Counter[Trust] = Counter()
        """How many implementations have their requests open in each worker."""
        self._readings: dict[Trust, tuple[Reading, int]] = {}
        """The newest of each worker, and for how long the supervisor had waited for a core by then."""
        self._last: Trust | None = None
        self._gpu = gpu.Watch()
        """Asked only while a backend with a clock of its own is timed."""

    def set_out(self, timings: Sequence[Timing], calls: Sequence[Truth]) -> None:
        """Take everything off stage. What comes next are these calls, for each of these tasks."""
        self._stages.clear()
        self._calls = calls
        self._sharing = Counter(trust_of_timing(one) for one in timings)

    @property
    def sets(self) -> int:
        """How many input sets there are."""
        return len(self._calls)

    def declared(self, side: Side | None) -> Registry:
        return self._registry if side is None else side.registry

    def has_timer(self, turn: Turn) -> bool:
        """Whether its backend has a clock of its own."""
        declared = self.declared(turn.timing.side)
        return declared.backends[turn.timing.task.declaration.backend].has_timer

    def stage(self, turn: Turn) -> Stage:
        """Where the calls are set out for this turn: once for all that share its worker."""
        trust = trust_of_timing(turn.timing)
        if trust not in self._stages:  # the first of its kind, or the first after the worker was lost
            self._stages[trust] = self.new_stage(trust, turn.timing.side, self._calls)
        return self._stages[trust]

    def new_stage(self, trust: Trust, side: Side | None, calls: Sequence[Truth]) -> Stage:
        """The calls set out in a worker, with room for as many answers as one burst of each that shares it may give,
        and one more, which is held to its end."""
        at_once = max(1, min(len(calls) // (READINGS + 1), MOST_BYTES // max(1, calls[0].expected.nbytes)))
        sharing = self._sharing[trust] if self._settings.abreast else 1
        slots = max(1, sharing) * ((READINGS + 1) * at_once + 1)
        return Stage(self._workers.get(trust, side), calls, slots=slots, calls_at_once=at_once)

    def warm(self, turn: Turn, samples: Samples, *, poison: bool = True) -> Received | None:
        """Have samples run that do not count; None if the task is lost."""
        stage, declared = self.stage(turn), self.declared(turn.timing.side)
        task = turn.timing.task
        # compilers run in the first request of a fresh process
        deadline_s = self._settings.deadline_s + (PREPARE_S if task.declaration.has_prepare else 0.0)
        self._workers.turn_to(trust_of_timing(turn.timing))
        return self._guarded(turn, lambda: _unchanged(stage.ask(task, declared, samples, deadline_s, poison=poison)))

    def begin(
        self,
        turn: Turn,
        steps: Sequence[Samples],
        rng: np.random.Generator,
        *,
        poison: bool = False,
        first_slot: int = 0,
    ) -> Begun | None:
        """Change the input sets of a request, and set its calls out if it has several steps (or where steps alternate);
        None if the task is lost."""
        timing, group = turn.timing, turn.group
        stage, trust, has_timer = self.stage(turn), trust_of_timing(timing), self.has_timer(turn)
        gpu_before = self._gpu.state() if has_timer else None
        fresh = timed_inputs(group.operator, group.case, rng) if group.operator.redraw else None
        if trust != self._last:
            if not self._settings.abreast or turn.threads > SEVERAL_THREADS:
                time.sleep(SETTLE_S)
            self._last = trust
        # after the pause: a thread of the plugin's has no time to work ahead on the new values
        used = [index for samples in steps for sample in samples for index in sample]
        stage.touch(rng, used, fresh, heavy_of(group.operator, group.case))
        ready = is_ready(self._settings, has_timer=has_timer)
        before = self._read(trust)
        asked = self._guarded(
            turn,
            lambda: Asked(
                stage,
                timing.task,
                self.declared(timing.side),
                steps,
                self._settings.deadline_s,
                poison=poison,
                ready=ready,
                first_slot=first_slot,
            ),
        )
        if asked is None:
            return None
        if ready and not poison:
            after = self._read(trust)
            during = after[0].minus(before[0])
            waited_ns = (during.main_delay_ns or 0) + after[1] - before[1]
            # the threads of a pool spin for a while after a call
            run_ns = during.run_ns if turn.threads <= SEVERAL_THREADS else None
            turn.audit.add_opening(asked.opening_ns, waited_ns, run_ns, len(used))
            if len(steps) > 1:
                self._add_beside(turn, during, 0)
        return Begun(turn, stage, asked, steps, poison, gpu_before)

    def step(self, begun: Begun, number: int, chosen: Sequence[Chosen]) -> Step | None:
        """Run a step (they come in order) and have all answers copied if any is `chosen`: nobody knows which, and what
        copying takes is audited. None if the task is lost, or if another one has lost the worker in which it lay ready.
        """
        turn = begun.turn
        trust = trust_of_timing(turn.timing)
        if self._stages.get(trust) is not begun.stage:
            return None
        self._workers.turn_to(trust)
        readings = [self._readings[trust]]
        received = self._guarded(
            turn,
            lambda: _unchanged(begun.asked.step(lambda: readings.append(self._read(trust)), None if chosen else [])),
        )
        if received is None:
            return None
        readings.append(self._read(trust))
        before, called, done = readings
        calls, copying = called[0].minus(before[0]), done[0].minus(called[0])
        if not begun.poison:
            books = Books(
                (calls.main_run_ns, calls.run_ns),
                calls.main_delay_ns or 0,
                copying.main_delay_ns or 0,
                called[1] - before[1],
                done[1] - called[1],
            )
            turn.audit_request(received, books, sum(len(sample) for sample in begun.steps[number]))
            if len(begun.steps) > 1:
                self._add_beside(turn, calls, sum(received.reply.wall_ns))
        if begun.gpu_before is not None:
            calls = replace(calls, device=gpu.contamination(begun.gpu_before, self._gpu.state()))
        return Step(received, calls)

    def _add_beside(self, turn: Turn, during: Evidence, claimed_ns: int) -> None:
        """Inputs lie ready while a rival has its turn: in the same worker one could work ahead on them."""
        known = during.run_ns is not None and during.main_run_ns is not None
        if known and self._sharing[trust_of_timing(turn.timing)] > 1:
            turn.audit.add_beside(max(0, (during.run_ns or 0) - (during.main_run_ns or 0)), claimed_ns)

    def _read(self, trust: Trust) -> tuple[Reading, int]:
        """How the clocks of a worker, whose turn it is, and our own stand."""
        reading = self._workers.watch(trust).read(), self._workers.own.main_delay_ns() or 0
        self._readings[trust] = reading
        return reading

    def _guarded(self, turn: Turn, request: Callable[[], Given]) -> Given | None:
        """What a request gives, or None if the task is lost by it."""
        try:
            return request()
        except (WorkerFailure, Refused) as failure:
            self.lose(turn.timing, failure)
            return None

    def lose(self, timing: Timing, failure: WorkerFailure | Refused) -> None:
        """The task has failed; if the worker is lost too, so is what was on stage there. The next burst of its kind
        starts both anew."""
        timing.failure = failure.status, failure.reason
        if isinstance(failure, WorkerFailure):
            trust = trust_of_timing(timing)
            self._stages.pop(trust, None)
            self._workers.lose(trust)


def is_ready(settings: Settings, *, has_timer: bool) -> bool:
    """Whether the calls of a request are set out before its first step. Not on a device: copying there would still go
    on when the first step begins."""
    return settings.abreast and not has_timer


def _unchanged(received: Received) -> Received:
    if changed := received.reply.state_changes:
        raise WorkerFailure("failed", f"while it was timed it changed the state of the process: {changed}")
    return received


def trust_of_timing(timing: Timing) -> Trust:
    return *trust_of(timing.task), "" if timing.side is None else timing.side.label

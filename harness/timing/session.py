"""RUN: time the implementations of one case against each other, in short interleaved bursts over several processes.

One worker per backend and process; while one runs, the others wait. A block is a random order of the implementations
and then the same order backwards, so that slow drift cancels in the pairs. The supervisor draws the inputs, changes
them between bursts, judges answers of timed calls at random, and audits the claimed times with its own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from harness.declare import Case, Declaration, Operator
from harness.judge.truth import Truth, draw_inputs, generator, truth
from harness.judge.verdict import judge_answer
from harness.plan import Task
from harness.process import WorkerFailure, WorkerProcess
from harness.record import Sample
from harness.registry import Registry
from harness.stage import Received, Refused, Stage
from harness.timing.audit import Audit, Overhead
from harness.timing.statistics import Interval, median_interval, per_call_ns

ROTATION = 3
"""Input sets that the calls of a burst rotate over."""
READINGS = 3
"""Timed readings per burst; one more before them is not counted, since the other side has just used the caches."""
SHORTEST_READING_NS = 50_000
"""Short calls are repeated inside a reading until it lasts this long, so that the clocks cost under 1 %."""
MOST_CALLS = 64
MOST_BYTES = 1 << 20
"""Answers of one reading that may be alive at a time, in bytes."""
FEWEST_BLOCKS = 6
FEWEST_PROCESSES = 2
MOST_BLOCKS = 400
JUDGING_SHARE = 0.15
"""Share of the time that may go into judging answers of timed calls, beyond the one per process that must be."""
TOUCHED = 16
"""Elements of an input set that change between bursts: no answer of an earlier call is right."""
SETTLE_S = 0.001
"""Pause when the turn passes to another worker, for its thread pool to stop spinning."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how precisely: `budget_s` per case over all processes, `precision` the relative half-width of every
    interval at which timing stops early."""

    budget_s: float = 4.0
    processes: int = 3
    precision: float = 0.01
    deadline_s: float = 60.0
    memory_limit: int = 0


@dataclass(slots=True)
class Timing:
    """What was gathered for one task. `failure` is (status, reason) once it cannot have a time any more."""

    task: Task
    samples: list[Sample] = field(default_factory=list)
    blocks: dict[tuple[int, int], float] = field(default_factory=dict)
    checked: int = 0
    prepare_ns: int | None = None
    failure: tuple[str, str] | None = None

    def interval(self) -> Interval | None:
        return median_interval(self.blocks) if self.blocks else None


@dataclass(slots=True)
class Group:
    """The tasks of one case that are compared with each other."""

    operator: Operator
    case: Case
    timings: dict[str, Timing]

    @property
    def running(self) -> list[Timing]:
        return [timing for timing in self.timings.values() if timing.failure is None]

    def waiting_for(self, settings: Settings) -> list[int]:
        """The processes that are still to time this group; none once every interval is narrow enough."""
        if not self.running:
            return []
        done = {process for timing in self.running for process, _ in timing.blocks}
        intervals = [timing.interval() for timing in self.running]
        if len(done) >= FEWEST_PROCESSES and all(
            one is not None and one.relative_half_width <= settings.precision for one in intervals
        ):
            return []
        return [process for process in range(settings.processes) if process not in done]


def group_tasks(tasks: Iterable[Task], operators: Mapping[str, Operator]) -> list[Group]:
    """Tasks by operator and case, in the order in which cases first appear."""
    groups: dict[tuple[str, str], Group] = {}
    for task in tasks:
        key = task.declaration.operator, task.case.id
        group = groups.setdefault(key, Group(operators[task.declaration.operator], task.case, {}))
        group.timings[task.declaration.id] = Timing(task)
    return list(groups.values())


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
                gathered(group, process, last or not group.waiting_for(settings))
        finally:
            session.close()


class Session:
    """The workers of one process round, one per backend, and what they have on stage."""

    def __init__(self, registry: Registry, seed: int, settings: Settings, process: int) -> None:
        self._registry = registry
        self._seed = seed
        self._settings = settings
        self._process = process
        self._workers: dict[str, WorkerProcess] = {}
        self._overheads: dict[tuple[str, str, str], Overhead] = {}

    def measure_overheads(self, groups: Sequence[Group]) -> None:
        """What a call that does nothing costs outside its own reading, before plugins enter the workers."""
        for group in groups:
            calls = _draw_calls(group, self._seed, self._process)
            for backend in sorted({timing.task.declaration.backend for timing in group.running}):
                nothing = Task(Declaration(group.operator.name, backend, "nothing"), group.case)
                try:
                    stage = self._stage(backend, calls)
                    overhead = self._overhead(stage, nothing)
                except (WorkerFailure, Refused) as failure:
                    self._give_up(group, backend, failure)
                    continue
                self._overheads[(backend, group.operator.name, group.case.id)] = overhead

    def _overhead(self, stage: Stage, task: Task) -> Overhead:
        """The slope over the number of calls, and what is left: a request as such costs, and so does each call."""
        few, many = READINGS + 1, (READINGS + 1) * stage.calls_at_once
        costs = []
        for calls in (few, many):
            samples = [[0] * (calls // few)] * few
            seen = []
            for _ in range(3):
                start = time.perf_counter_ns()
                received = stage.ask(task, self._registry, samples, self._settings.deadline_s)
                seen.append(time.perf_counter_ns() - start - sum(received.reply.wall_ns))
            costs.append(float(np.median(seen)))
        per_call = max(0.0, (costs[1] - costs[0]) / (many - few)) if many > few else costs[0] / few
        return Overhead(max(0.0, costs[0] - few * per_call), per_call)

    def time_group(self, group: Group) -> None:
        """Blocks of bursts until this process's share of the budget is spent or its medians stand still."""
        calls = _draw_calls(group, self._seed, self._process)
        stages: dict[str, Stage] = {}
        turns: dict[str, Turn] = {}
        for timing in group.running:
            turn = self._open(group, timing, calls, stages)
            if turn is not None:
                turns[timing.task.declaration.id] = turn
        rng = generator(self._seed, f"{group.operator.name}/{group.case.id}/order", self._process)
        end = time.monotonic() + self._settings.budget_s / self._settings.processes
        for block in range(MOST_BLOCKS):
            alive = [key for key, turn in turns.items() if turn.timing.failure is None]
            enough = block >= FEWEST_BLOCKS and all(turns[key].steady(self._settings.precision) for key in alive)
            if not alive or enough or (block >= 2 and time.monotonic() > end):
                break
            forward = [alive[index] for index in rng.permutation(len(alive))]
            for position, key in enumerate([*forward, *reversed(forward)]):
                if turns[key].timing.failure is None:
                    self._burst(turns[key], block, position, rng)
        for turn in turns.values():
            self._close_turn(turn)

    def _open(self, group: Group, timing: Timing, calls: list[Truth], stages: dict[str, Stage]) -> Turn | None:
        """Set the inputs out in the task's worker, and find how many calls make up a reading."""
        backend = timing.task.declaration.backend
        overhead = self._overheads.get((backend, group.operator.name, group.case.id), Overhead(0.0, 0.0))
        try:
            if backend not in stages:
                calls = [replace(call, inputs=tuple(array.copy() for array in call.inputs)) for call in calls]
                stages[backend] = self._stage(backend, calls)
            turn = Turn(
                timing,
                group,
                stages[backend],
                self._process,
                Audit(overhead),
                self._registry.backends[backend].array_type,
            )
            received = stages[backend].ask(timing.task, self._registry, [[0], [1], [2], [0]], self._settings.deadline_s)
        except (WorkerFailure, Refused) as failure:
            self._fail(timing, failure, stages)
            return None
        if timing.prepare_ns is None:
            timing.prepare_ns = received.reply.prepare_ns
        fastest = max(1, min(received.reply.wall_ns))
        turn.calls_per_reading = max(1, min(SHORTEST_READING_NS // fastest, stages[backend].calls_at_once))
        return turn

    def _burst(self, turn: Turn, block: int, position: int, rng: np.random.Generator) -> None:
        """One burst: change an input set, run, take the times, and judge an answer now and then."""
        turn.touch(rng)
        time.sleep(SETTLE_S)
        count = turn.calls_per_reading
        samples = rng.integers(0, ROTATION, (READINGS + 1, count)).tolist()
        start = time.perf_counter_ns()
        try:
            received = turn.stage.ask(turn.timing.task, self._registry, samples, self._settings.deadline_s)
        except (WorkerFailure, Refused) as failure:
            self._fail(turn.timing, failure, {})
            return
        elapsed = time.perf_counter_ns() - start
        turn.audit.add(elapsed, sum(received.reply.wall_ns), (READINGS + 1) * count)
        chosen = turn.judge(received, samples, rng) if turn.may_judge(elapsed) else None
        for reading in range(1, READINGS + 1):
            turn.add(received, reading, block, position * READINGS + reading - 1, chosen)

    def _close_turn(self, turn: Turn) -> None:
        """At least one answer of each process is judged, and the claimed times are audited."""
        timing = turn.timing
        if timing.failure is not None:
            return
        if not turn.judged:
            rng = generator(self._seed, f"{timing.task.id}/last", self._process)
            turn.touch(rng)
            samples = [[0], [1], [2]]
            try:
                received = turn.stage.ask(timing.task, self._registry, samples, self._settings.deadline_s)
            except (WorkerFailure, Refused) as failure:
                self._fail(timing, failure, {})
                return
            turn.judge(received, samples, rng)
        contradiction = turn.audit.contradiction()
        if contradiction:
            timing.failure = "untrusted", contradiction

    def _stage(self, backend: str, calls: list[Truth]) -> Stage:
        """The calls set out for a backend, with room for as many answers as one burst may give."""
        at_once = int(min(MOST_CALLS, max(1, MOST_BYTES // max(1, calls[0].expected.nbytes))))
        return Stage(self._worker(backend), calls, slots=(READINGS + 1) * at_once, calls_at_once=at_once)

    def _worker(self, backend: str) -> WorkerProcess:
        if backend not in self._workers:
            self._workers[backend] = WorkerProcess(memory_limit=self._settings.memory_limit)
        return self._workers[backend]

    def _fail(self, timing: Timing, failure: WorkerFailure | Refused, stages: dict[str, Stage]) -> None:
        """One task is lost; if its worker is too, what was on stage there is gone with it."""
        timing.failure = failure.status, failure.reason
        if isinstance(failure, WorkerFailure):
            backend = timing.task.declaration.backend
            self._workers.pop(backend).close()
            stages.pop(backend, None)

    def _give_up(self, group: Group, backend: str, failure: WorkerFailure | Refused) -> None:
        for timing in group.running:
            if timing.task.declaration.backend == backend:
                self._fail(timing, failure, {}) if backend in self._workers else None
                timing.failure = failure.status, failure.reason

    def close(self) -> None:
        for worker in self._workers.values():
            worker.close()


class Turn:
    """One implementation in one process: its inputs as they are now, its readings, its audit."""

    def __init__(
        self,
        timing: Timing,
        group: Group,
        stage: Stage,
        process: int,
        audit: Audit,
        array_type: str,
    ) -> None:
        self.timing = timing
        self.stage = stage
        self.audit = audit
        self.calls_per_reading = 1
        self.judged = 0
        self._group = group
        self._process = process
        self._array_type = array_type
        self._elapsed_ns = 0
        self._judging_ns = 0
        self._by_block: dict[int, list[float]] = {}

    def touch(self, rng: np.random.Generator) -> None:
        """Change a few elements of one input set, here and in the worker's memory."""
        index = int(rng.integers(0, ROTATION))
        for array in self.stage.calls[index].inputs:
            if array.size:
                places = rng.integers(0, array.size, TOUCHED)
                array.reshape(-1)[places] = rng.permutation(array.reshape(-1)[rng.integers(0, array.size, TOUCHED)])
        self.stage.refresh(index, self.stage.calls[index].inputs)

    def may_judge(self, elapsed_ns: int) -> bool:
        self._elapsed_ns += elapsed_ns
        return not self.judged or self._judging_ns < JUDGING_SHARE * self._elapsed_ns

    def judge(self, received: Received, samples: Sequence[Sequence[int]], rng: np.random.Generator) -> int:
        """Judge one answer, chosen now that all are in; returns the number of its reading."""
        start = time.perf_counter_ns()
        flat = [(reading, index) for reading, sample in enumerate(samples) for index in sample]
        chosen = int(rng.integers(0, len(flat)))
        reading, index = flat[chosen]
        timing = self.timing
        inputs = self.stage.calls[index].inputs
        true = truth(self._group.operator, self._group.case, inputs, timing.task.declaration.accumulation)
        judged = judge_answer(received.reply.answers[chosen], received.read(chosen), true, self._array_type)
        if judged.status != "passed":
            timing.failure = judged.status, f"an answer of a timed call is wrong: {judged.comparison.reason}"
        elif damage := received.damage():
            timing.failure = "failed", f"during timed calls it {damage}"
        self.judged += 1
        timing.checked += 1
        self._judging_ns += time.perf_counter_ns() - start
        return reading

    def add(self, received: Received, reading: int, block: int, position: int, judged: int | None) -> None:
        """Keep one reading; the time of a block is the median over its readings."""
        count = self.calls_per_reading
        wall, cpu = received.reply.wall_ns[reading], received.reply.cpu_ns[reading]
        one = self.timing.task.declaration
        sample = Sample(
            operator=one.operator,
            backend=one.backend,
            implementation=one.implementation,
            case=self.timing.task.case.id,
            process=self._process,
            block=block,
            position=position,
            calls=count,
            wall_ns=wall,
            cpu_ns=cpu,
            checked=judged == reading,
        )
        self.timing.samples.append(sample)
        times = self._by_block.setdefault(block, [])
        times.append(per_call_ns(sample))
        self.timing.blocks[(self._process, block)] = float(np.median(times))

    def steady(self, precision: float) -> bool:
        """Whether the median over this process's blocks stands still: its notch (1.57 IQR / sqrt n) is narrow."""
        values = [value for (process, _), value in self.timing.blocks.items() if process == self._process]
        if len(values) < FEWEST_BLOCKS:
            return False
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        return bool(1.57 * (high - low) / np.sqrt(len(values)) <= precision * middle)


def _draw_calls(group: Group, seed: int, process: int) -> list[Truth]:
    """Fresh input sets of a process. Their truth is worked out only for the answers that are judged."""
    drawn = [
        draw_inputs(group.operator, group.case, generator(seed, f"{group.operator.name}/{group.case.id}/timed", number))
        for number in range(process * ROTATION, (process + 1) * ROTATION)
    ]
    shape = group.operator.oracle(*drawn[0], **dict(group.case.parameters)).shape
    nothing = np.broadcast_to(np.float64(0.0), shape)
    return [Truth(group.case, inputs, nothing, nothing) for inputs in drawn]

"""RUN: a plan becomes records, each stored as it happens. Conformance first; then only what was right is timed."""

from __future__ import annotations

import dataclasses
import itertools
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.judge.verdict import Verdict
from harness.outcome import Context as Context
from harness.outcome import Key, Outcomes, by_dtype, key_of, not_to_be_timed
from harness.plan import Planned, Task, planned
from harness.record import Record, Sample
from harness.registry import Problem, Registry
from harness.supervisor import DEADLINE_S, Supervisor, Trust, trust_of
from harness.timing.alone import alone
from harness.timing.device.visible import measured_alone
from harness.timing.disturbance import Disturbance
from harness.timing.groups import Group, Settings, Timing, group_tasks
from harness.timing.session import time_groups
from harness.timing.statistics import block_medians
from harness.timing.stopwatch import Stopwatch

if TYPE_CHECKING:
    from harness.store import Store

Progress = Callable[[str, int, int], None]
"""(what is going on, tasks done, tasks in all)."""

Right = tuple[Verdict, float]
"""What may be timed: its verdict, and the seconds that this took."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a run goes: seconds per benchmark case (None: the default), the longest request, bytes per worker, and how
    many workers check at a time (nothing else runs while times are taken)."""

    budget_s: float | None = None
    deadline_s: float = DEADLINE_S
    memory_limit_bytes: int | None = None
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    settings: Settings = field(default_factory=Settings)


def execute(
    command: str,
    selectors: Sequence[str],
    registry: Registry,
    store: Store,
    context: Context,
    options: Options,
    progress: Progress,
    part: Planned | None = None,
) -> None:
    """Run what is selected (or that `part` of it) and the store does not hold yet for this run; every record is stored
    when it is made."""
    chosen = planned(registry, selectors, command) if part is None else part
    with Supervisor(
        registry, context.seed, deadline_s=options.deadline_s, memory_limit_bytes=options.memory_limit_bytes
    ) as supervisor:
        run = Execution(registry, supervisor, store, context, options, progress)
        run.report_problems(registry.problems)
        run.check(chosen.checked)
        if chosen.timed:
            run.time(chosen.timed)
        run.remember_admissions()


def exit_code(command: str, checked: Sequence[Record], timed: Sequence[Record]) -> int:
    """0 all well; 3 something is wrong that is not known; 5 nothing ran, or nothing was timed that was to be."""
    if any(record.is_wrong for record in (*checked, *timed)):
        return 3
    ran = [record for record in (*checked, *timed) if record.status == "passed" or record.known]
    if not ran or (command == "bench" and not any(record.median_ns is not None for record in timed)):
        return 5
    return 0


class Execution:
    """One run in progress."""

    def __init__(
        self,
        registry: Registry,
        supervisor: Supervisor,
        store: Store,
        context: Context,
        options: Options,
        progress: Progress,
    ) -> None:
        self._registry = registry
        self._supervisor = supervisor
        self._store = store
        self._context = context
        self._options = options
        self._progress = progress
        self._outcomes = Outcomes(registry, context)
        self._used_by_others: float | None = None

    def report_problems(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._store.add(self._outcomes.of_problem(problem), "check")

    def check(self, checked: Sequence[Task]) -> None:
        """Conformance of every task that has no record yet; what shares a worker one after another, workers side by
        side."""
        done = self._store.done(self._context.run_id, "check")
        by_worker: dict[Trust, list[Task]] = defaultdict(list)
        for task in checked:
            if key_of(task) not in done:
                by_worker[trust_of(task)].append(task)
        finished = itertools.count(len(checked) - sum(map(len, by_worker.values())))
        stop = threading.Event()

        def check_all(tasks: Sequence[Task]) -> None:
            for task in tasks:
                if stop.is_set():
                    return
                self._progress(f"checking {task.id}", next(finished), len(checked))
                begun_s = time.monotonic()
                verdict = self._supervisor.check(task)
                if not stop.is_set():  # else its worker was taken from it
                    duration_s = time.monotonic() - begun_s
                    self._store.add(self._outcomes.of_check(task, verdict, duration_s=duration_s), "check")

        # the longest first, so that none is left over at the end
        queues = sorted(by_worker.values(), key=len, reverse=True)
        with ThreadPoolExecutor(max(1, min(len(queues), self._options.jobs))) as pool:
            try:
                for one in [pool.submit(check_all, tasks) for tasks in queues]:
                    one.result()
            except BaseException:
                stop.set()
                self._supervisor.abandon()
                raise
        # a worker dies with the thread that started it
        self._supervisor.close()

    def time(self, timed: Sequence[Task]) -> None:
        """Benchmark tasks: those whose conformance holds are checked on their own case, then timed side by side."""
        done = self._store.done(self._context.run_id, "bench")
        conformance = self._conformance()
        right: dict[str, Right] = {}
        for number, task in enumerate(timed):
            if key_of(task) in done:
                continue
            self._progress(f"checking {task.id}", number, len(timed))
            begun_s = time.monotonic()
            verdict = self._may_be_timed(task, conformance)
            duration_s = time.monotonic() - begun_s
            if verdict.status == "passed":
                right[task.id] = verdict, duration_s
            else:
                self._store.add(self._outcomes.of_check(task, verdict, duration_s=duration_s), "bench")
        groups = group_tasks([task for task in timed if task.id in right], self._registry.operators)
        # workers of the conformance phase would only take memory and cores from those that are timed
        self._supervisor.close()
        self._resume_samples(groups)
        if groups:
            backends = (self._registry.backends[task.declaration.backend] for task in timed if task.id in right)
            gpus = measured_alone(backend.reserves for backend in backends)
            with alone(gpus, lambda words: self._progress(words, 0, 0)):
                self._time(groups, right)

    def _time(self, groups: Sequence[Group], right: Mapping[str, Right]) -> None:
        settings = self._options.settings
        if self._options.budget_s is not None:
            settings = dataclasses.replace(settings, budget_s=self._options.budget_s / len(groups))
        settings = dataclasses.replace(
            settings, deadline_s=self._options.deadline_s, memory_limit=self._supervisor.memory_limit
        )
        steps = itertools.count()
        self._outcomes.ceilings.refer()
        disturbance = Disturbance()
        stopwatch = Stopwatch(groups)

        def begin(text: str) -> None:
            stopwatch.begin()
            self._progress(text, next(steps), len(groups) * settings.processes)

        def gathered(group: Group, process: int, final: bool) -> None:
            stopwatch.end(group, final)
            for timing in group.timings.values():
                new = [sample for sample in timing.samples if sample.process == process]
                if timing.failure is None:
                    self._store.add_samples(self._context.run_id, new)
                    if not final:
                        continue
                keep(timing, group, stopwatch.share_s(group))

        def keep(timing: Timing, group: Group, share_s: float | None) -> None:
            verdict, checked_s = right[timing.task.id]
            duration_s = None if share_s is None else checked_s + share_s
            record = self._outcomes.of_timing(timing, group, verdict, duration_s=duration_s)
            self._store.add(record, "bench")

        for group in groups:
            if not group.waiting_for(settings):  # interrupted between its last readings and its rows
                for timing in group.timings.values():
                    keep(timing, group, None)
        time_groups(groups, self._registry, self._context.seed, settings, begin, gathered)
        self._used_by_others = disturbance.share()
        self._outcomes.ceilings.refer()

    def remember_admissions(self) -> None:
        """Mutation scores, copy rates and references of this run; a resumed run keeps those of its first part."""
        before = self._store.run(self._context.run_id)
        self._store.note(
            self._context.run_id,
            admission={**(before.admission or {}), **self._supervisor.admissions},
            notes=self._outcomes.notes(before.notes),
            ceiling={**(before.ceiling or {}), **self._outcomes.ceilings.as_data()},
            used_by_others=before.used_by_others if self._used_by_others is None else self._used_by_others,
        )

    def _conformance(self) -> Mapping[tuple[str, str], list[Record]]:
        """The conformance records of this run by implementation and dtype."""
        return by_dtype(self._store.records(self._context.run_id, "check"))

    def _may_be_timed(self, task: Task, conformance: Mapping[tuple[str, str], list[Record]]) -> Verdict:
        """What hinders the timing of a task, or its check on its own case."""
        records = conformance.get((task.declaration.id, task.case.dtype), [])
        hindered = not_to_be_timed(records, task, missing=bool(self._registry.missing(task.declaration)))
        return self._supervisor.check(task) if hindered is None else hindered

    def _resume_samples(self, groups: Sequence[Group]) -> None:
        """Samples that an interrupted run has left, so that its finished processes are not timed again."""
        stored: dict[Key, list[Sample]] = defaultdict(list)
        for sample in self._store.samples(self._context.run_id):
            stored[(sample.operator, sample.backend, sample.implementation, sample.case)].append(sample)
        for group in groups:
            for timing in group.timings.values():
                timing.samples.extend(stored.get(key_of(timing.task), ()))
                timing.blocks.update(block_medians(timing.samples))
                timing.checked = sum(sample.checked for sample in timing.samples)

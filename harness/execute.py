"""RUN: a plan becomes records, each stored as it happens. Conformance first; then only what was right is timed."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import math
import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.judge import trees
from harness.judge.verdict import Verdict
from harness.plan import Task, plan, tasks
from harness.record import WRONG, Record, Sample
from harness.registry import Problem, Registry
from harness.supervisor import DEADLINE_S, Supervisor, Trust, trust_of
from harness.timing.audit import impossible
from harness.timing.ceiling import Ceilings
from harness.timing.disturbance import Disturbance
from harness.timing.groups import Group, Settings, Timing, group_tasks
from harness.timing.rotation import rotating_bytes
from harness.timing.session import time_groups
from harness.timing.statistics import block_medians, median_interval, per_call_ns

if TYPE_CHECKING:
    from harness.store import Store

Progress = Callable[[str, int, int], None]
"""(what is going on, tasks done, tasks in all)."""

NOTES = (
    "A call makes a new array for its answer: the allocation, and the first touch of its pages, are inside the time. "
    "The calls of a burst run back to back, and their answers live until its end.",
    "Inputs lie in memory shared with the judging process (4 KiB pages); they rotate and change between bursts.",
    "percent_of_limit compares with the copy rate measured in the same run for the same working set; an operator that "
    "mostly reads can exceed 100 %.",
    "On a GPU whose library has an event clock, times are by that clock: with a cold cache, and without what the host "
    "needs to launch. They have no percent_of_limit.",
)

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Context:
    """What all records of a run share."""

    run_id: str
    machine_id: str
    commit: str | None
    dirty: bool | None
    seed: int


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
) -> None:
    """Run what is selected that the store does not hold yet for this run; every record is stored when it is made."""
    with Supervisor(
        registry, context.seed, deadline_s=options.deadline_s, memory_limit_bytes=options.memory_limit_bytes
    ) as supervisor:
        run = Execution(registry, supervisor, store, context, options, progress)
        timed = plan(registry, selectors, "benchmarks") if command == "bench" else []
        checked = plan(registry, selectors, "conformance")
        if command == "check" and not checked:
            checked = plan(registry, selectors, "benchmarks")
        if command == "bench":
            # what is never timed has nothing to gain from a bench
            checked = [task for task in checked if registry.is_timed(task.declaration)]
        if timed:
            checked = _with_conformance_of(timed, checked, registry)
        run.report_problems(registry.problems)
        run.check(checked)
        if timed:
            run.time(timed)
        run.remember_admissions()


def _with_conformance_of(timed: Sequence[Task], checked: list[Task], registry: Registry) -> list[Task]:
    """What is to be timed must first be right on all conformance cases of its dtype, selected or not."""
    needed = {(task.declaration.id, task.case.dtype) for task in timed}
    selected = {task.id for task in checked}
    return [
        task
        for task in tasks(registry, "conformance")
        if task.id in selected or (task.declaration.id, task.case.dtype) in needed
    ]


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
        self._ceilings = Ceilings()
        self._used_by_others: float | None = None

    def report_problems(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            declared = Record(
                **self._shared(),
                operator="declaration",
                implementation=problem.where,
                status="error",
                reason=problem.message,
            )
            self._store.add(declared, "check")

    def check(self, checked: Sequence[Task]) -> None:
        """Conformance of every task that has no record yet; what shares a worker one after another, workers side by
        side."""
        done = self._store.done(self._context.run_id, "check")
        by_worker: dict[Trust, list[Task]] = defaultdict(list)
        for task in checked:
            if _key(task) not in done:
                by_worker[trust_of(task)].append(task)
        finished = itertools.count(len(checked) - sum(map(len, by_worker.values())))
        stop = threading.Event()

        def check_all(tasks: Sequence[Task]) -> None:
            for task in tasks:
                if stop.is_set():
                    return
                self._progress(f"checking {task.id}", next(finished), len(checked))
                self._store.add(self._record(task, self._supervisor.check(task)), "check")

        # the longest first, so that none is left over at the end
        queues = sorted(by_worker.values(), key=len, reverse=True)
        with ThreadPoolExecutor(max(1, min(len(queues), self._options.jobs))) as pool:
            try:
                for one in [pool.submit(check_all, tasks) for tasks in queues]:
                    one.result()
            finally:
                stop.set()
        # a worker dies with the thread that started it
        self._supervisor.close()

    def time(self, timed: Sequence[Task]) -> None:
        """Benchmark tasks: those whose conformance holds are checked on their own case, then timed side by side."""
        done = self._store.done(self._context.run_id, "bench")
        conformance = self._conformance()
        right: dict[str, Verdict] = {}
        for number, task in enumerate(timed):
            if _key(task) in done:
                continue
            self._progress(f"checking {task.id}", number, len(timed))
            verdict = self._may_be_timed(task, conformance)
            if verdict.status == "passed":
                right[task.id] = verdict
            else:
                self._store.add(self._record(task, verdict), "bench")
        groups = group_tasks([task for task in timed if task.id in right], self._registry.operators)
        # workers of the conformance phase would only take memory and cores from those that are timed
        self._supervisor.close()
        self._resume_samples(groups)
        self._time(groups, right)

    def _time(self, groups: Sequence[Group], right: Mapping[str, Verdict]) -> None:
        settings = self._options.settings
        if self._options.budget_s is not None and groups:
            settings = dataclasses.replace(settings, budget_s=self._options.budget_s / len(groups))
        settings = dataclasses.replace(
            settings, deadline_s=self._options.deadline_s, memory_limit=self._supervisor.memory_limit
        )
        finished = 0
        disturbance = Disturbance()

        def gathered(group: Group, process: int, final: bool) -> None:
            nonlocal finished
            for timing in group.timings.values():
                new = [sample for sample in timing.samples if sample.process == process]
                if timing.failure is None:
                    self._store.add_samples(self._context.run_id, new)
                    if not final:
                        continue
                self._store.add(self._timed_record(timing, group, right[timing.task.id]), "bench")
            finished += final

        time_groups(
            groups,
            self._registry,
            self._context.seed,
            settings,
            lambda text: self._progress(text, finished, len(groups)),
            gathered,
        )
        self._used_by_others = disturbance.share() if groups else None

    def remember_admissions(self) -> None:
        """Mutation scores and copy rates of this run; a resumed run keeps those of its first part."""
        before = self._store.run(self._context.run_id)
        self._store.note(
            self._context.run_id,
            admission={**(before.admission or {}), **self._supervisor.admissions},
            notes=NOTES,
            ceiling={**(before.ceiling or {}), **self._ceilings.as_data()},
            used_by_others=before.used_by_others if self._used_by_others is None else self._used_by_others,
        )

    def _conformance(self) -> Mapping[tuple[str, str], list[Record]]:
        """The conformance records of this run by implementation and dtype."""
        found: dict[tuple[str, str], list[Record]] = defaultdict(list)
        for record in self._store.records(self._context.run_id, "check"):
            if record.dtype:
                found[(f"{record.operator}/{record.backend}/{record.implementation}", record.dtype)].append(record)
        return found

    def _may_be_timed(self, task: Task, conformance: Mapping[tuple[str, str], list[Record]]) -> Verdict:
        """Only what was right on all conformance cases that it ran, and ran at least one of them, and is right here."""
        records = conformance.get((task.declaration.id, task.case.dtype), [])
        # a known acceptance of bad input is no wrong answer to good input
        wrong = [one for one in records if one.status in WRONG and not (one.known and one.case.endswith("raises"))]
        if not self._registry.missing(task.declaration) and not any(one.status == "passed" for one in records + wrong):
            reason = f"not timed: no conformance case in {task.case.dtype} shows that it is right"
            return Verdict("unsupported" if not wrong else "failed", reason)
        if wrong:
            first = wrong[0]
            return Verdict(
                "failed",
                f"not timed: {len(wrong)} conformance cases in {task.case.dtype} are wrong, the first {first.case}: "
                f"{first.reason}",
                known=first.known if all(one.known for one in wrong) else None,
            )
        return self._supervisor.check(task)

    def _resume_samples(self, groups: Sequence[Group]) -> None:
        """Samples that an interrupted run has left, so that its finished processes are not timed again."""
        stored: dict[Key, list[Sample]] = defaultdict(list)
        for sample in self._store.samples(self._context.run_id):
            stored[(sample.operator, sample.backend, sample.implementation, sample.case)].append(sample)
        for group in groups:
            for timing in group.timings.values():
                timing.samples.extend(stored.get(_key(timing.task), ()))
                timing.blocks.update(block_medians(timing.samples))
                timing.checked = sum(sample.checked for sample in timing.samples)

    def _shared(self) -> dict[str, Any]:
        context = self._context
        return {
            "run_id": context.run_id,
            "started_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "commit": context.commit,
            "dirty": context.dirty,
            "machine_id": context.machine_id,
            "seed": context.seed,
        }

    def _record(self, task: Task, verdict: Verdict, **more: Any) -> Record:
        declared, case = task.declaration, task.case
        status, reason = more.pop("failure", None) or (verdict.status, verdict.reason)
        known = verdict.known
        return Record(
            **self._shared(),
            operator=declared.operator,
            backend=declared.backend,
            implementation=declared.implementation,
            case=case.id,
            dtype=case.dtype,
            parameters=json.dumps(dict(case.parameters)),
            status=status,
            reason=reason,
            error_over_bound=verdict.worst.error_over_bound,
            max_abs_error=verdict.worst.max_abs_error,
            max_rel_error=verdict.worst.max_rel_error,
            max_ulp=verdict.worst.max_ulp,
            tree_height=self._tree_height(task),
            run_to_run_bitwise=verdict.run_to_run_bitwise,
            batch_invariant=verdict.batch_invariant,
            gradient_status=verdict.gradient_status,
            known=known,
            **({} if verdict.device is None else dataclasses.asdict(verdict.device)),
            **more,
        )

    def _tree_height(self, task: Task) -> int | None:
        """The height of the declared tree over the terms of one output; None where none is declared or added up."""
        terms = self._registry.operators[task.declaration.operator].terms
        if task.declaration.accumulation is None or terms is None or task.case.raises:
            return None
        try:
            return trees.height(task.declaration.accumulation.tree, terms(task.case))
        except Exception:  # an operator that cannot count the terms of a strange shape must not end the run
            return None

    def _timed_record(self, timing: Timing, group: Group, verdict: Verdict) -> Record:
        """The row of a timed task; without times if anything was wrong with them."""
        cost = group.operator.cost(group.case)
        failure = timing.failure
        if failure is None and not timing.blocks:
            failure = "error", "no time was taken"
        if failure is not None:
            return self._record(timing.task, verdict, failure=failure, bytes=cost.bytes, flops=cost.flops)
        interval = median_interval(timing.blocks)
        # what a device has of its own, memory included, this machine's copy rate says nothing about
        by_host = any(sample.device_ns is None for sample in timing.samples)
        ceiling = self._ceilings.rate(max(1, rotating_bytes(group, cost.bytes))) if by_host else None
        beyond = "" if ceiling is None else impossible(cost.bytes, interval.estimate, ceiling)
        if beyond:
            return self._record(timing.task, verdict, failure=("untrusted", beyond), bytes=cost.bytes, flops=cost.flops)
        rate = cost.bytes / interval.estimate
        return self._record(
            timing.task,
            verdict,
            device="cpu" if by_host else "gpu",
            samples=len(timing.samples),
            median_ns=round(interval.estimate),
            ci_low_ns=math.floor(interval.low),
            ci_high_ns=math.ceil(interval.high),
            min_ns=round(min(map(per_call_ns, timing.samples))),
            cpu_median_ns=round(float(np.median([sample.cpu_ns / sample.calls for sample in timing.samples]))),
            prepare_ns=timing.prepare_ns,
            bytes=cost.bytes,
            flops=cost.flops,
            gb_per_s=rate,
            percent_of_limit=None if ceiling is None else 100.0 * rate * 1e9 / ceiling,
            peak_bytes=timing.peak_bytes,
        )


def _key(task: Task) -> Key:
    declared = task.declaration
    return declared.operator, declared.backend, declared.implementation, task.case.id

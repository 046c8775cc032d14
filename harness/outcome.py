"""RUN: from verdicts and readings to the records of a run."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.judge import trees
from harness.judge.verdict import Verdict
from harness.plan import Task
from harness.record import WRONG, Record
from harness.registry import Problem, Registry
from harness.timing.audit import impossible
from harness.timing.ceiling import Ceilings
from harness.timing.challenge import audited_ns
from harness.timing.groups import Group, Timing
from harness.timing.rotation import rotating_bytes
from harness.timing.statistics import median_interval, per_call_ns

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


class Outcomes:
    """Makes the records of one run, or of this machine's part of it; `ceilings` are its copy rates, and `left_out`
    says what of the timings is not in them."""

    def __init__(self, registry: Registry, context: Context) -> None:
        self._registry = registry
        self._context = context
        self.ceilings = Ceilings()
        self.left_out: list[str] = []

    def notes(self, before: Iterable[str]) -> tuple[str, ...]:
        """What is to be known of all times of the run, and what was left out, in an earlier part of it too."""
        return tuple(dict.fromkeys((*NOTES, *before, *self.left_out)))

    def shared(self) -> dict[str, Any]:
        """The columns that all records of the run share."""
        context = self._context
        return {
            "run_id": context.run_id,
            "started_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "commit": context.commit,
            "dirty": context.dirty,
            "machine_id": context.machine_id,
            "seed": context.seed,
        }

    def of_problem(self, problem: Problem) -> Record:
        """The row of something that was declared and cannot be used."""
        where, message = problem.where, problem.message
        return Record(**self.shared(), operator="declaration", implementation=where, status="error", reason=message)

    def of_check(self, task: Task, verdict: Verdict, **more: Any) -> Record:
        """The row of a checked task, with further columns; `failure` (status, reason) overrules the verdict."""
        declared, case = task.declaration, task.case
        status, reason = more.pop("failure", None) or (verdict.status, verdict.reason)
        known = verdict.known
        return Record(
            **self.shared(),
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

    def of_timing(self, timing: Timing, group: Group, verdict: Verdict, **more: Any) -> Record:
        """The row of a timed task; without times if anything was wrong with them. With further columns."""
        cost = group.operator.cost(group.case)
        more |= {"bytes": cost.bytes, "flops": cost.flops}
        failure = timing.failure
        if failure is None and not timing.blocks:
            failure = "error", "no time was taken"
        if failure is not None:
            return self.of_check(timing.task, verdict, failure=failure, **more)
        if timing.left_out:
            self.left_out.append(f"{timing.task.id}: {timing.left_out}")
        interval = median_interval(timing.blocks)
        # what a device has of its own, memory included, this machine's copy rate says nothing about
        by_host = any(sample.device_ns is None for sample in timing.samples)
        ceiling = self.ceilings.rate(max(1, rotating_bytes(group, cost.bytes))) if by_host else None
        beyond = "" if ceiling is None else impossible(cost.bytes, interval.estimate, ceiling)
        if beyond:
            return self.of_check(timing.task, verdict, failure=("untrusted", beyond), **more)
        rate = cost.bytes / interval.estimate
        audit = audited_ns(timing.responses) if by_host else None
        return self.of_check(
            timing.task,
            verdict,
            device="cpu" if by_host else "gpu",
            samples=len(timing.samples),
            median_ns=round(interval.estimate),
            ci_low_ns=math.floor(interval.low),
            ci_high_ns=math.ceil(interval.high),
            min_ns=round(min(map(per_call_ns, timing.samples))),
            cpu_median_ns=round(float(np.median([(one.cpu_ns or 0) / one.calls for one in timing.samples]))),
            audit_ns=None if audit is None else round(audit.estimate),
            audit_low_ns=None if audit is None else math.floor(audit.low),
            audit_high_ns=None if audit is None else math.ceil(audit.high),
            prepare_ns=timing.prepare_ns,
            gb_per_s=rate,
            percent_of_limit=None if ceiling is None else 100.0 * rate * 1e9 / ceiling,
            peak_bytes=timing.peak_bytes,
            **more,
        )


def by_dtype(records: Iterable[Record]) -> Mapping[tuple[str, str], list[Record]]:
    """Conformance records by implementation and dtype."""
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.dtype:
            found[(f"{record.operator}/{record.backend}/{record.implementation}", record.dtype)].append(record)
    return found


def not_to_be_timed(records: Sequence[Record], task: Task, *, missing: bool) -> Verdict | None:
    """Only what was right on all conformance cases that it ran, and ran at least one of them; None where
    nothing hinders its timing. `missing`: its backend is not there, which its own check says better."""
    # a known acceptance of bad input is no wrong answer to good input
    wrong = [one for one in records if one.status in WRONG and not (one.known and one.case.endswith("raises"))]
    if not missing and not any(one.status == "passed" for one in (*records, *wrong)):
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
    return None


def key_of(task: Task) -> Key:
    declared = task.declaration
    return declared.operator, declared.backend, declared.implementation, task.case.id

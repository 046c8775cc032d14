"""Over the runs of one machine: when all of its tasks changed together, and whether the machine did. Pure but for the
library of the change points."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.drift import SEGMENT, find, noise_of
from harness.shift import (
    LEAST,
    LEAST_TASKS,
    MACHINE,
    SURE,
    Change,
    Moved,
    Shift,
    amount,
    judge,
    percent,
    references_words,
    tasks_words,
)
from harness.timing.reference import ONE, copies_of, references_of

NEAR = 20
"""Runs on each side of a step that its size is taken from."""
REFERENCE_FLOOR = 0.003
"""No reference is surer than that: what is measured in a hundredth of a second depends on where its memory lies."""
ROUNDS = 6
P_DRIFT = 0.01
WEEK_S = 7 * 86400.0
STEP, DRIFT = "step", "drift"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a machine: when, of what, and the rates that it measured beside the tasks' times."""

    run_id: str
    started_at: datetime.datetime
    commit: str | None = None
    dirty: bool | None = None
    ceiling: Mapping[str, float] = field(default_factory=dict)

    @property
    def commit_words(self) -> str:
        """As harness.series.Point has it."""
        return (self.commit or "none")[:8] + ("+" if self.dirty else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineChange:
    """What all tasks share from the run `after` on: `shift` against the runs up to `before`. A `drift` goes on from
    `before` to `after` by `per_week` in log time, of which `taken_per_week` is the machine's. `changed` says what else
    changed between the two runs, in words."""

    kind: str
    before: Run
    after: Run
    shift: Shift
    per_week: float | None = None
    taken_per_week: float = 0.0
    changed: tuple[str, ...] = ()

    @property
    def is_machine(self) -> bool:
        return self.shift.cause == MACHINE

    def taken_at(self, moment: datetime.datetime) -> float:
        """What of a time's logarithm at that moment is the machine's."""
        if not self.is_machine:
            return 0.0
        if self.kind == STEP:
            return self.shift.taken if moment >= self.after.started_at else 0.0
        return self.taken_per_week * (moment - self.before.started_at).total_seconds() / WEEK_S

    def as_data(self) -> dict[str, Any]:
        """JSON-able; percentages are changes of time."""
        shift, moved = self.shift, self.shift.moved

        def relative(log: float | None) -> float | None:
            return None if log is None else 100.0 * math.expm1(log)

        return {
            "kind": self.kind,
            "cause": shift.cause,
            "reason": shift.reason,
            "run_id_before": self.before.run_id,
            "run_id": self.after.run_id,
            "started_at": self.after.started_at.isoformat(timespec="seconds"),
            "commit_before": self.before.commit,
            "commit": self.after.commit,
            "percent": relative(shift.log),
            "taken_percent": relative(shift.taken),
            "percent_per_week": relative(self.per_week),
            "cpu_reference_percent": relative(moved.cpu),
            "copy_percent": relative(moved.copy),
            "tasks": shift.tasks,
            "tasks_inside": shift.inside,
            "percent_low": relative(shift.low),
            "percent_high": relative(shift.high),
            "changed": list(self.changed),
        }


def words(change: MachineChange, machine_id: str) -> str:
    """What was found, in one sentence or two; `machine_id` may be cut short."""
    shift = change.shift
    since = f"from run {change.after.run_id} of {change.after.started_at:%Y-%m-%d} on"
    evidence = f"{references_words(shift.moved)}; {tasks_words(shift)}"
    else_changed = "; ".join(change.changed) or "nothing that is known"
    if change.kind == DRIFT:
        how = f"by {percent(change.per_week or 0.0)} a week"
        since = f"over the runs since {change.before.started_at:%Y-%m-%d}"
    else:
        how = f"by {amount(shift.log).split(' %')[0]} %"
    pace = "slower" if shift.log > 0.0 else "faster"
    if change.is_machine:
        taken = "taken out of what is said of the tasks"
        if shift.taken != shift.log:
            taken = f"of that {percent(shift.taken)} is {taken}, as much as the references show"
        else:
            taken = f"that is {taken}"
        return f"machine {machine_id} got {pace} {how} {since} ({evidence}): {taken}"
    found = f"{shift.sharing} of {shift.tasks} tasks got {pace} {how} {since} ({evidence}), which is not taken out"
    return f"{found}: {shift.reason}; changed between the two runs: {else_changed}"


@dataclass(frozen=True, slots=True)
class Slowness:
    """The references over the runs, in log time against their own middle; NaN where a run has none."""

    cpu: np.ndarray
    copy: np.ndarray

    def moved(self, before: Sequence[int], after: Sequence[int]) -> Moved:
        """From some runs to others; None for what was measured in fewer than two of either."""
        cpu, cpu_error = _between(self.cpu, before, after)
        copy, copy_error = _between(self.copy, before, after)
        return Moved(cpu, copy, cpu_error, copy_error)


def slowness(ceilings: Sequence[Mapping[str, float] | None]) -> Slowness:
    """Of what each run measured of its machine the middle of the references with one thread, and of the copy rates."""
    one_thread = [{key: rate for key, rate in references_of(one).items() if key.endswith(ONE)} for one in ceilings]
    return Slowness(_middle(one_thread), _middle([copies_of(one) for one in ceilings]))


def _middle(rates: Sequence[Mapping[Any, float]]) -> np.ndarray:
    """The median over the keys of what the same work took, each key against its own median over the runs."""
    keys = sorted({key for one in rates for key in one}, key=str)
    if not keys:
        return np.full(len(rates), math.nan)
    return common(np.array([[-math.log(one[key]) if key in one else math.nan for key in keys] for one in rates]))


def _between(values: np.ndarray, before: Sequence[int], after: Sequence[int]) -> tuple[float | None, float]:
    first, second = (one[~np.isnan(one)] for one in (values[list(before)], values[list(after)]))
    if min(len(first), len(second)) < 2:
        return None, math.inf
    known = values[~np.isnan(values)]
    noise = noise_of(known)
    spread = max(noise.spread * math.sqrt(noise.repetition), REFERENCE_FLOOR)
    error = spread * math.sqrt(1.0 / len(first) + 1.0 / len(second))
    return float(np.median(second) - np.median(first)), max(error, REFERENCE_FLOOR)


def common(logs: np.ndarray) -> np.ndarray:
    """What the columns share, run by run, about its own median: by medians in turn over rows and columns, since runs
    need not hold all tasks. NaN for a run that holds nothing."""
    shared = np.zeros(len(logs))
    with np.errstate(all="ignore"):
        for _ in range(ROUNDS):
            level = _nanmedian(logs - shared[:, None], 0)
            shared = _nanmedian(logs - level, 1)
            shared = shared - (np.nanmedian(shared) if not np.isnan(shared).all() else 0.0)
            shared = np.where(np.isnan(shared), 0.0, shared)
    return np.where(np.isnan(logs).all(axis=1), math.nan, shared)


def _nanmedian(values: np.ndarray, axis: int) -> np.ndarray:
    empty = np.isnan(values).all(axis=axis)
    filled = np.where(np.expand_dims(empty, axis), 0.0, values)
    found: np.ndarray = np.nanmedian(filled, axis=axis)
    return np.where(empty, math.nan, found)


def changes(runs: Sequence[Run], tasks: Sequence[tuple[str, str]], logs: np.ndarray) -> tuple[MachineChange, ...]:
    """What all tasks share over the runs of a machine, the oldest first.

    `runs` are in the order of time, `tasks` are (operator, library), and `logs[run, task]` is the task's log time, NaN
    where it has none. Raises ImportError without the library for change points.
    """
    kept = np.flatnonzero((~np.isnan(logs)).sum(axis=1) >= LEAST_TASKS)
    if logs.shape[1] < LEAST_TASKS or len(kept) < 2 * SEGMENT:
        return ()
    runs, logs = [runs[int(one)] for one in kept], logs[kept]
    slow = slowness([run.ceiling for run in runs])
    weeks = np.array([(one.started_at - runs[0].started_at).total_seconds() / WEEK_S for one in runs])
    found = find([float(one) for one in 1e6 * np.exp(common(logs))], [float(one) + 1e-6 for one in weeks])
    cuts = [step.index for step in found.steps]
    seen: list[MachineChange] = []
    for at, first, last in zip(cuts, [0, *cuts], [*cuts[1:], len(runs)], strict=False):
        before, after = range(max(first, at - NEAR), at), range(at, min(last, at + NEAR))
        shift = judge(_changes(tasks, logs, before, after), slow.moved(before, after))
        if shift is not None:
            seen.append(MachineChange(kind=STEP, before=runs[at - 1], after=runs[at], shift=shift))
    drift = found.drift
    if drift is not None and drift.p_value < P_DRIFT and abs(drift.per_week.estimate) * weeks[-1] >= LEAST:
        gone = np.array([[one.shift.log * (run.started_at >= one.after.started_at) for one in seen] for run in runs])
        more = _drift(runs, tasks, logs - gone.sum(axis=1)[:, None], _without_steps(slow, runs, seen), weeks)
        seen += [] if more is None else [more]
    return tuple(seen)


def _changes(
    tasks: Sequence[tuple[str, str]], logs: np.ndarray, before: Sequence[int], after: Sequence[int]
) -> list[Change]:
    """By how much each task changed that has two runs at least on both sides."""
    first, second = logs[list(before)], logs[list(after)]
    enough = ((~np.isnan(first)).sum(axis=0) >= 2) & ((~np.isnan(second)).sum(axis=0) >= 2)
    sizes = _nanmedian(second, 0) - _nanmedian(first, 0)
    return [Change(*task, float(size)) for task, size, is_known in zip(tasks, sizes, enough, strict=True) if is_known]


def _without_steps(slow: Slowness, runs: Sequence[Run], steps: Sequence[MachineChange]) -> Slowness:
    """The references without the steps that they made themselves. One that stood still where the tasks changed has none
    to lose: without the tasks' step it would show a change that never was."""
    cpu, copy = slow.cpu.copy(), slow.copy.copy()
    for one in steps:
        late, moved = [run.started_at >= one.after.started_at for run in runs], one.shift.moved
        for values, log, error in ((cpu, moved.cpu, moved.cpu_error), (copy, moved.copy, moved.copy_error)):
            if log is not None and abs(log) >= SURE * error:
                values[late] -= log
    return Slowness(cpu, copy)


def _drift(
    runs: Sequence[Run],
    tasks: Sequence[tuple[str, str]],
    logs: np.ndarray,
    slow: Slowness,
    weeks: np.ndarray,
) -> MachineChange | None:
    """What goes on over all runs, from their first third to their last; `logs` and `slow` are without their steps."""
    third = max(2, len(runs) // 3)
    first, last = range(third), range(len(runs) - third, len(runs))
    apart = float(np.mean(weeks[list(last)]) - np.mean(weeks[list(first)]))
    shift = judge(_changes(tasks, logs, first, last), slow.moved(first, last))
    if shift is None or apart <= 0.0:
        return None
    return MachineChange(
        kind=DRIFT,
        before=runs[0],
        after=runs[-1],
        shift=shift,
        per_week=shift.log / apart,
        taken_per_week=shift.taken / apart,
    )

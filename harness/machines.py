"""The machines of a store: what each is, what it measured of itself from run to run, and what else changed on it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.likeness import Difference, changes_of, changes_since, continued, observed, state_at
from harness.record import Noise
from harness.series import Point, Read, Series, grouped, moment
from harness.shifts import MachineChange, Run, changes

if TYPE_CHECKING:
    from harness.store import RunInfo, Store

ENOUGH_TASKS = 40
"""Tasks that tell what a machine's tasks share; where fewer are selected, the others are looked at too."""
MOST_ROWS = 300_000
"""Rows of a machine that are read for that at most."""


def remember(
    store: Store, info: RunInfo, described: Mapping[str, Any], *, machine_id: str | None = None, at: str | None = None
) -> None:
    """Keep with the machine of a run what changed on it since it was described last, and is no part of its id:
    settings, kernel, libraries around the kernels.

    `machine_id` is one of several machines of the run; `at` is when it was described, if that was not as the run began:
    what a run that goes on finds changed is no news of runs that began in between.
    """
    machine_id = machine_id or info.machine_id
    known = store.machine(machine_id)
    at = at or info.started_at
    if not known or not changes_since(state_at(known, at), described, info.run_id, at):
        return
    took_part = {one.run_id for one in store.all_members() if one.machine_id == machine_id}
    runs = [one for one in store.runs() if one.machine_id == machine_id or one.run_id in took_part]
    others = [(one.started_at, one.run_id) for one in runs]
    store.describe_machine(machine_id, observed(known, described, info.run_id, at, others))


def noise_of(store: Store, machine_id: str) -> list[Noise]:
    """What A/A comparisons on a machine showed, under its id of before the rule of ids changed too."""
    older = [one for one, name in continued(store.machines()).items() if name == machine_id]
    return list(noise_under(store, (*older, machine_id)))


def noise_under(store: Store, names: Sequence[str]) -> tuple[Noise, ...]:
    """What A/A comparisons showed under several ids of a machine, the present one last, as if all had been under that;
    the newest of a task and clock counts."""
    newest: dict[tuple[str, ...], Noise] = {}
    for name in names:
        for one in store.noise(name):
            key = one.operator, one.backend, one.implementation, one.case, one.clock
            newest[key] = replace(one, machine_id=names[-1])
    return tuple(newest.values())


def machine_changes(store: Store, found: Read) -> tuple[MachineChange, ...]:
    """What all tasks of a machine share over the runs that were read, and whether it was the machine.

    Raises ImportError where the library for change points is missing.
    """
    newer = continued(store.machines())
    ids = {found.machine_id, *(older for older, name in newer.items() if name == found.machine_id)}
    series = found.series
    rows = sum(count for name, count in store.rows_by_machine().items() if name in ids)
    if len(series) < ENOUGH_TASKS and rows <= MOST_ROWS:
        series = _all_series(store, found, newer, ids)
    runs, logs = _table(series, _ceilings(store, ids))
    seen = changes(runs, [(one.operator, one.backend) for one in series], logs)
    return tuple(replace(one, changed=_changed(store, found.machine_id, one)) for one in seen)


def _all_series(store: Store, found: Read, newer: Mapping[str, str], ids: Collection[str]) -> tuple[Series, ...]:
    """The series of all tasks of the machine, from the first to the last run that was read."""
    moments = [point.started_at for one in found.series for point in one.points]
    first, last = min(moments), max(moments)
    kept = []
    for one in grouped(store.series(lambda task: True, ids), newer):
        points = tuple(point for point in one.points if first <= point.started_at <= last)
        if points:
            kept.append(replace(one, points=points))
    return tuple(kept)


def _ceilings(store: Store, machine_ids: Collection[str]) -> dict[str, Mapping[str, float]]:
    """What the runs of a machine measured of it, by run; those that had several machines included."""
    found = {info.run_id: info.ceiling for info in store.runs() if info.machine_id in machine_ids and info.ceiling}
    several = {one.run_id: one.ceiling for one in store.all_members() if one.machine_id in machine_ids and one.ceiling}
    return {**found, **several}


def _table(series: Collection[Series], ceilings: Mapping[str, Mapping[str, float]]) -> tuple[list[Run], np.ndarray]:
    """The runs in the order of time, and the log time of each task in each of them."""
    points: dict[str, Point] = {}
    for one in series:
        for point in one.timed:
            earliest = points.get(point.run_id)
            if earliest is None or point.started_at < earliest.started_at:
                points[point.run_id] = point
    ordered = sorted(points.values(), key=lambda point: (point.started_at, point.run_id))
    runs = [
        Run(
            run_id=point.run_id,
            started_at=point.started_at,
            commit=point.commit,
            dirty=point.dirty,
            ceiling=ceilings.get(point.run_id, {}),
        )
        for point in ordered
    ]
    rows = {run.run_id: number for number, run in enumerate(runs)}
    logs = np.full((len(runs), len(series)), math.nan)
    for column, one in enumerate(series):
        for point in one.timed:
            logs[rows[point.run_id], column] = math.log(one.time_ns(point))
    return runs, logs


def _changed(store: Store, machine_id: str, change: MachineChange) -> tuple[str, ...]:
    """What else changed between the two runs around a change: the commit, and what the machine's description says."""
    before, after = change.before, change.after
    is_one = before.commit == after.commit and before.dirty is False and after.dirty is False
    found = [] if is_one else [f"commit {before.commit_words}..{after.commit_words}"]
    for row in changes_of(store.machine(machine_id)):
        if before.started_at < moment(row["started_at"]) <= after.started_at:
            found.append(Difference(row["field"], row["name"], row["before"], row["after"]).words("->"))
    return tuple(found)

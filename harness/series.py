"""The times of one task on one machine over all runs: what a history is found in."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.likeness import continued
from harness.nearest import nearest
from harness.plan import Selection
from harness.record import TIMED

if TYPE_CHECKING:
    from harness.store import Store

SINGLE_THREADED = 1.05
"""CPU time over wall time up to which one core does the work of a task."""
MOSTLY_WAITING = 0.5
"""The same ratio below which a task waits more than it works, which the CPU clock cannot see."""
LEAST_RUNS = 3
"""Runs with a time that a report takes to show a task's history."""
MOST_RUNS = 100
"""Runs, the newest, that a report looks at; `harness history` looks at all."""
WEEK_S = 7 * 86400.0


class NoSeries(LookupError):
    """Nothing in the store answers the question; the message says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run of a task; times are ns per call, and None where `status` is not passed: `reason` then says why."""

    run_id: str
    started_at: datetime.datetime
    commit: str | None
    dirty: bool | None
    status: str
    reason: str
    samples: int | None
    median_ns: int | None
    ci_low_ns: int | None
    ci_high_ns: int | None
    cpu_median_ns: int | None

    @property
    def is_timed(self) -> bool:
        return self.status in TIMED and self.median_ns is not None and self.median_ns > 0

    @property
    def commit_words(self) -> str:
        """The commit's first 8 characters, and a + where files had changed since; `none` outside a repository."""
        return (self.commit or "none")[:8] + ("+" if self.dirty else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All runs of a task on one machine in the order of time, and the clock that they are judged by and why."""

    operator: str
    backend: str
    implementation: str
    case: str
    machine_id: str
    clock: str
    clock_reason: str
    points: tuple[Point, ...]

    @property
    def id(self) -> str:
        return f"{self.operator}/{self.backend}/{self.implementation}/{self.case}"

    @property
    def timed(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point.is_timed)

    @property
    def gaps(self) -> tuple[Point, ...]:
        """The runs in which the task has no time."""
        return tuple(point for point in self.points if not point.is_timed)

    def time_ns(self, point: Point) -> int:
        """The median time of a timed run by the clock of this series, in ns per call."""
        found = point.cpu_median_ns if self.clock == "cpu" else point.median_ns
        assert found is not None
        return found

    def weeks(self) -> list[float]:
        """When the timed runs were made, in weeks since the midnight (UTC) before the first of them."""
        timed = self.timed
        midnight = timed[0].started_at.replace(hour=0, minute=0, second=0, microsecond=0)
        return [(point.started_at - midnight).total_seconds() / WEEK_S for point in timed]


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that holds runs of the selected tasks."""

    machine_id: str
    runs: int
    newest_at: str


@dataclass(frozen=True, slots=True)
class Read:
    """Series of one machine; `machines` are all that hold runs of the selected tasks, the newest first."""

    machine_id: str
    series: tuple[Series, ...]
    machines: tuple[Machine, ...]


def read(
    store: Store,
    selectors: Sequence[str],
    *,
    machine: str | None = None,
    last: int | None = None,
    since: datetime.datetime | None = None,
) -> Read:
    """The series of the selected tasks on one machine: that of the newest run, or the one whose id `machine` begins.

    Of each series the newest `last` runs, and those after `since`. Raises NoSeries.
    """
    selection = Selection(selectors)
    newer = continued(store.machines())
    rows = [_under_newer(row, newer) for row in store.series(selection.__contains__)]
    tasks = {_task(row) for row in rows}
    for selector in selectors or ["*"]:
        alone = Selection([selector])
        if not any("/".join(task) in alone for task in tasks):
            raise NoSeries(_nothing(store, selector))
    machines = _machines(rows)
    chosen = _choose(machines, _newer_of(machine, newer))
    series = []
    for whole in _grouped(row for row in rows if row["machine_id"] == chosen):
        kept = [point for point in whole.points if since is None or point.started_at >= since]
        kept = kept[-last:] if last else kept
        if kept:
            series.append(replace(whole, points=tuple(kept)))
    if not series:
        newest = next(one.newest_at for one in machines if one.machine_id == chosen)
        raise NoSeries(f"--since {since:%Y-%m-%d}: no run is that new; the newest is of {newest[:10]}")
    return Read(chosen, tuple(series), machines)


def read_run(store: Store, run_id: str, machine_id: str, tasks: Collection[str]) -> Read:
    """The series of a run's tasks on its machine over the MOST_RUNS runs up to that run, those with at least LEAST_RUNS
    times."""
    newer = continued(store.machines())
    machine_id = newer.get(machine_id, machine_id)
    names = [machine_id, *(older for older, name in newer.items() if name == machine_id)]
    found = store.series(tasks.__contains__, names, until=store.run(run_id), last=MOST_RUNS)
    rows = [_under_newer(row, newer) for row in found]
    series = []
    for whole in _grouped(rows):
        last = max((number for number, point in enumerate(whole.points) if point.run_id == run_id), default=-1)
        kept = replace(whole, points=whole.points[: last + 1])
        if len(kept.timed) >= LEAST_RUNS:
            series.append(kept)
    return Read(machine_id, tuple(series), _machines(rows))


def _under_newer(row: dict[str, Any], newer: Mapping[str, str]) -> dict[str, Any]:
    """The row with its machine's present id, where it was measured under one of before the rule of ids changed."""
    name = row["machine_id"]
    return {**row, "machine_id": newer[name]} if name in newer else row


def _newer_of(wanted: str | None, newer: Mapping[str, str]) -> str | None:
    """What is asked for, by its present id; an id of before means the same machine."""
    found = {to for older, to in newer.items() if wanted and older.startswith(wanted)}
    return found.pop() if len(found) == 1 else wanted


def grouped(rows: Iterable[dict[str, Any]], newer: Mapping[str, str]) -> list[Series]:
    """The series of rows of one machine, under its present id; `newer` is of harness.likeness.continued."""
    return _grouped(_under_newer(row, newer) for row in rows)


def _grouped(rows: Iterable[dict[str, Any]]) -> list[Series]:
    """One series per task, by the task's name."""
    grouped: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(_task(row), []).append(row)
    return [_series(members) for _, members in sorted(grouped.items())]


def _machines(rows: Sequence[dict[str, Any]]) -> tuple[Machine, ...]:
    runs: dict[str, set[str]] = {}
    newest: dict[str, str] = {}
    for row in rows:
        runs.setdefault(row["machine_id"], set()).add(row["run_id"])
        newest[row["machine_id"]] = max(newest.get(row["machine_id"], ""), row["started_at"])
    found = [Machine(name, len(runs[name]), newest[name]) for name in runs]
    return tuple(sorted(found, key=lambda one: one.newest_at, reverse=True))


def machine_of(store: Store, wanted: str) -> str:
    """The machine whose id begins so. Raises NoSeries where there is none, or several."""
    runs = {info.run_id: info for info in store.runs()}
    pairs = {(info.run_id, info.machine_id) for info in runs.values()}
    pairs |= {(one.run_id, one.machine_id) for one in store.all_members() if one.run_id in runs}
    rows = [{"run_id": run_id, "machine_id": name, "started_at": runs[run_id].started_at} for run_id, name in pairs]
    return _choose(_machines(rows), wanted)


def _choose(machines: Sequence[Machine], wanted: str | None) -> str:
    if wanted is None:
        return machines[0].machine_id
    found = [one for one in machines if one.machine_id.startswith(wanted)]
    exact = [one for one in found if one.machine_id == wanted] or found
    if len(exact) != 1:
        what = "is the beginning of several machines" if found else "has no time of these tasks"
        raise NoSeries(f"--machine {wanted}: {what}; those that have: {machine_words(found or machines)}")
    return exact[0].machine_id


def machine_words(machines: Sequence[Machine]) -> str:
    """`a1b2 (31 runs, the newest of 2026-03-01), ...`"""
    return ", ".join(
        f"{one.machine_id} ({one.runs} {'run' if one.runs == 1 else 'runs'}, the newest of {one.newest_at[:10]})"
        for one in machines
    )


def _nothing(store: Store, selector: str) -> str:
    tasks = {_task(row) for row in store.series(lambda identity: True)}
    if not tasks:
        return "the store holds no times yet; type `harness bench` first"
    known = {"/".join(task[:parts]) for task in tasks for parts in (1, 3, 4)}
    close = nearest(selector, sorted(known))
    hint = (
        f"the nearest are: {', '.join(close)}"
        if close
        else f"timed are: {', '.join(sorted({one[0] for one in tasks}))}"
    )
    return f"no timed task in the store matches {selector!r}; {hint}"


def _task(row: dict[str, Any]) -> tuple[str, ...]:
    return row["operator"], row["backend"], row["implementation"], row["case"]


def _series(rows: Sequence[dict[str, Any]]) -> Series:
    points = tuple(
        Point(
            **{name: row[name] for name in Point.__dataclass_fields__ if name != "started_at"},
            started_at=moment(row["started_at"]),
        )
        for row in rows
    )
    points = tuple(sorted(points, key=lambda point: point.started_at))
    clock, reason = _clock(points, {row["device"] for row in rows})
    identity = {name: rows[0][name] for name in ("operator", "backend", "implementation", "case", "machine_id")}
    return Series(**identity, clock=clock, clock_reason=reason, points=points)


def moment(text: str) -> datetime.datetime:
    """A stored time, in UTC."""
    found = datetime.datetime.fromisoformat(text)
    return found.replace(tzinfo=datetime.UTC) if found.tzinfo is None else found.astimezone(datetime.UTC)


def _clock(points: Sequence[Point], devices: set[str]) -> tuple[str, str]:
    """The CPU clock where one core does the work, since what else runs there hardly moves it; else the wall clock."""
    timed = [point for point in points if point.is_timed]
    if devices - {"cpu"}:
        return "wall", "it runs on a device"
    if not timed or not all(point.cpu_median_ns for point in timed):
        return "wall", "not all runs have a CPU time"
    ratio = statistics.median((point.cpu_median_ns or 0) / (point.median_ns or 1) for point in timed)
    if ratio > SINGLE_THREADED:
        return "wall", f"several threads work: {ratio:.2f} s of CPU time in each s"
    if ratio < MOSTLY_WAITING:
        return "wall", f"it mostly waits: {ratio:.2f} s of CPU time in each s"
    return "cpu", "one thread works"

"""How the times of tasks changed from run to run on one machine: drift, change points, and the commits around them."""

from __future__ import annotations

import datetime
import math
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.comparing.deciding import holm
from harness.drift import Findings, find
from harness.machines import machine_changes
from harness.series import Machine, Point, Read, Series, read, read_run
from harness.shifts import MachineChange
from harness.timing.statistics import Interval

if TYPE_CHECKING:
    import pandas as pd

    from harness.store import Store

ALPHA = 0.05
LEAST_DRIFT = 0.01
"""Relative change over all runs below which a drift is not called one, however sure it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """From the run `before` to the run `after` the time changed by `percent` (above 0 is slower), 95 % interval."""

    before: Point
    after: Point
    percent: float
    percent_low: float
    percent_high: float

    def as_data(self) -> dict[str, Any]:
        return {
            "run_id": self.after.run_id,
            "started_at": stamp(self.after.started_at),
            "commit": self.after.commit,
            "dirty": self.after.dirty,
            "run_id_before": self.before.run_id,
            "commit_before": self.before.commit,
            "dirty_before": self.before.dirty,
            "percent": self.percent,
            "percent_low": self.percent_low,
            "percent_high": self.percent_high,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One task's series and what it shows. `p_value` of no drift is adjusted over all tasks looked at (Holm).

    `verdict` is `slower` or `faster` where it drifts, `changed` where it only steps, `steady`, or `unknown` where the
    runs are too few. `trend` is the drift per week in percent with its 95 % interval, steps taken out. `taken` are the
    changes of the machine as a whole that were taken out of the times before anything was looked for in them.
    """

    series: Series
    findings: Findings
    changes: tuple[ChangePoint, ...]
    trend: Interval | None
    p_value: float | None
    verdict: str
    taken: tuple[MachineChange, ...] = ()

    @property
    def newest(self) -> Point | None:
        """The newest run with a time."""
        return self.series.timed[-1] if self.series.timed else None

    def as_data(self) -> dict[str, Any]:
        """One row; JSON-able. Times are ns per call by `clock`, percentages are relative to the time before."""
        series, newest = self.series, self.newest
        timed = series.timed
        trend = self.trend
        return {
            "operator": series.operator,
            "backend": series.backend,
            "implementation": series.implementation,
            "case": series.case,
            "machine_id": series.machine_id,
            "verdict": self.verdict,
            "clock": series.clock,
            "clock_reason": series.clock_reason,
            "runs": len(timed),
            "gaps": len(series.gaps),
            "first_at": stamp(timed[0].started_at) if timed else None,
            "newest_at": stamp(newest.started_at) if newest else None,
            "newest_run_id": newest.run_id if newest else None,
            "newest_commit": newest.commit if newest else None,
            "newest_dirty": newest.dirty if newest else None,
            "newest_ns": series.time_ns(newest) if newest else None,
            "noise_percent": None if math.isnan(self.findings.noise) else 100.0 * self.findings.noise,
            "trend_percent_per_week": trend.estimate if trend else None,
            "trend_low_percent_per_week": trend.low if trend else None,
            "trend_high_percent_per_week": trend.high if trend else None,
            "trend_p_value": self.p_value,
            "trend_reason": self.findings.too_short,
            "machine_changes": [change.as_data() for change in self.taken],
            "change_points": [change.as_data() for change in self.changes],
            "gap_reasons": [f"{point.run_id}: {point.status}: {point.reason}" for point in series.gaps],
        }


@dataclass(frozen=True, slots=True, repr=False)
class Histories:
    """The histories of the selected tasks on one machine; `machines` are all that hold runs of them. `machine_changes`
    are what all tasks of this machine share, be it the machine's or not."""

    machine_id: str
    rows: tuple[History, ...]
    machines: tuple[Machine, ...]
    machine_changes: tuple[MachineChange, ...] = ()

    def frame(self) -> pd.DataFrame:
        """One row per task, columns as the keys of `History.as_data`; instead of its lists, the number of change points
        and the newest of them, and the newest reason of a gap."""
        from harness.reports.history import histories_frame

        frame: pd.DataFrame = histories_frame(self)
        return frame

    def points(self) -> pd.DataFrame:
        """One row per run and task: times in ns, commits, and status and reason where there is no time."""
        from harness.reports.history import points_frame

        frame: pd.DataFrame = points_frame(self)
        return frame

    def changes(self) -> pd.DataFrame:
        """One row per task and change point: sizes in percent with 95 % intervals, and the commits around it."""
        from harness.reports.history import changes_frame

        frame: pd.DataFrame = changes_frame(self)
        return frame

    def __repr__(self) -> str:
        from harness.reports.display import as_text, of_histories

        return str(as_text(of_histories(self)))

    def _repr_html_(self) -> str:
        from harness.reports.display import as_html, of_histories

        return str(as_html(of_histories(self)))

    def _repr_markdown_(self) -> str:
        from harness.reports.display import as_markdown, of_histories

        return str(as_markdown(of_histories(self)))


def histories(
    store: Store,
    selectors: Sequence[str],
    *,
    machine: str | None = None,
    last: int | None = None,
    since: datetime.datetime | None = None,
) -> Histories:
    """What the runs of a store show of the selected tasks. Raises harness.series.NoSeries where there are none, and
    ImportError with a hint where the library for change points is missing."""
    found = read(store, selectors, machine=machine, last=last, since=since)
    return _whole(store, found)


def run_histories(store: Store, run_id: str, machine_id: str, tasks: Collection[str]) -> Histories:
    """What a run's tasks showed on its machine up to that run; of those with enough runs. Raises as `histories`."""
    return _whole(store, read_run(store, run_id, machine_id, tasks))


def _whole(store: Store, found: Read) -> Histories:
    """The tasks' findings; where any of them changed, after what all tasks share with the machine is taken out."""
    rows = explain(found.series)
    if all(row.verdict in ("steady", "unknown") for row in rows):
        return Histories(found.machine_id, rows, found.machines)
    changes = machine_changes(store, found)
    if any(change.is_machine for change in changes):
        rows = explain(found.series, changes)
    return Histories(found.machine_id, rows, found.machines, changes)


def explain(series: Sequence[Series], changes: Sequence[MachineChange] = ()) -> tuple[History, ...]:
    """Each series with its findings, what of `changes` is the machine's taken out; the trends are tested together."""
    machines = tuple(change for change in changes if change.is_machine)
    findings = [find(_times(one, machines), one.weeks()) if one.timed else _nothing() for one in series]
    adjusted = iter(holm([one.drift.p_value for one in findings if one.drift]))
    return tuple(
        _history(one, found, next(adjusted) if found.drift else None, machines)
        for one, found in zip(series, findings, strict=True)
    )


def _times(series: Series, machines: Sequence[MachineChange]) -> list[float]:
    """The times of a series in ns, as they had been on a machine that did not change."""
    return [
        series.time_ns(point) * math.exp(-sum(one.taken_at(point.started_at) for one in machines))
        for point in series.timed
    ]


def _nothing() -> Findings:
    return Findings(math.nan, (), None, "no run has a time")


def _history(
    series: Series, findings: Findings, p_value: float | None, machines: Sequence[MachineChange] = ()
) -> History:
    timed = series.timed
    taken = tuple(one for one in machines if timed and timed[0].started_at < one.after.started_at)
    changes = tuple(
        ChangePoint(
            before=timed[step.index - 1],
            after=timed[step.index],
            percent=percent(step.size.estimate),
            percent_low=percent(step.size.low),
            percent_high=percent(step.size.high),
        )
        for step in findings.steps
    )
    drift = findings.drift
    trend = None
    if drift is not None:
        low, middle, high = drift.per_week.low, drift.per_week.estimate, drift.per_week.high
        trend = Interval(percent(middle), percent(low), percent(high))
    verdict = "changed" if changes else "unknown" if trend is None else "steady"
    if drift is not None and p_value is not None and p_value < ALPHA and trend is not None:
        weeks = series.weeks()
        far = abs(drift.per_week.estimate) * (weeks[-1] - weeks[0]) >= LEAST_DRIFT
        if far and trend.low > 0.0:
            verdict = "slower"
        elif far and trend.high < 0.0:
            verdict = "faster"
    return History(
        series=series, findings=findings, changes=changes, trend=trend, p_value=p_value, verdict=verdict, taken=taken
    )


def percent(logarithm: float) -> float:
    """A change in log time as a percentage."""
    return 100.0 * math.expm1(logarithm)


def stamp(moment: datetime.datetime) -> str:
    """A time as ISO 8601, in UTC."""
    return moment.isoformat(timespec="seconds")


def point_data(series: Series, point: Point) -> dict[str, Any]:
    """One run of a task as a row."""
    data = asdict(point)
    names = ("operator", "backend", "implementation", "case", "machine_id", "clock")
    return {**{name: getattr(series, name) for name in names}, **data}

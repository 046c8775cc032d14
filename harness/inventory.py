"""All machines of a store as `harness machines` lists them: what each is, its noise, and its ceilings over time."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.drift import Findings, find
from harness.likeness import (
    CHANGES,
    Description,
    Difference,
    changes_of,
    continued,
    differences,
    is_same_box,
    machine_words,
)
from harness.machines import noise_under
from harness.record import Noise
from harness.series import moment
from harness.shifts import slowness
from harness.timing.reference import UNITS, is_reference

if TYPE_CHECKING:
    from harness.store import Store

WEEK_S = 7 * 86400.0
P_TREND = 0.05
FEWEST = 5
"""Runs from which a ceiling is looked at over time."""


class NoMachine(LookupError):
    """No machine of the store is meant; the message names those that it holds."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run measured of the machine: copy rates in GB/s by bytes, and references by name."""

    run_id: str
    started_at: str
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """One ceiling over the runs: `findings` are of the time that the same work takes, None where runs are too few."""

    key: str
    readings: tuple[tuple[Reading, float], ...]
    findings: Findings | None

    @property
    def newest(self) -> float:
        return self.readings[-1][1]

    @property
    def median(self) -> float:
        return statistics.median(rate for _, rate in self.readings)

    @property
    def unit(self) -> str:
        return UNITS.get(self.key, "") if is_reference(self.key) else "GB/s"

    @property
    def trend_percent(self) -> float | None:
        """By how much the rate grows a week, in percent; None where nothing of the kind can be told."""
        drift = self.findings.drift if self.findings else None
        return None if drift is None or drift.p_value >= P_TREND else 100.0 * math.expm1(-drift.per_week.estimate)

    def steps(self) -> list[tuple[Reading, float]]:
        """The runs at which the rate changed, and by how many percent."""
        found = self.findings.steps if self.findings else ()
        return [(self.readings[one.index][0], 100.0 * math.expm1(-one.size.estimate)) for one in found]

    def as_data(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "unit": self.unit,
            "runs": len(self.readings),
            "newest": self.newest,
            "median": self.median,
            "trend_percent_per_week": self.trend_percent,
            "change_points": [
                {"run_id": reading.run_id, "started_at": reading.started_at, "percent": percent}
                for reading, percent in self.steps()
            ],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine. `older_ids` are those that it had before the rule of ids changed; `alike` are other ids of what is
    probably the same box, with what differs; `changes` is what changed when, (moment, words), the oldest first."""

    machine_id: str
    description: Description
    older_ids: tuple[str, ...]
    first_at: str
    newest_at: str
    runs: int
    rows: int
    noise: tuple[Noise, ...]
    readings: tuple[Reading, ...]
    alike: tuple[tuple[str, tuple[str, ...]], ...] = ()
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> str:
        """What it is, in one line."""
        return machine_words(self.description)

    def noise_by_clock(self) -> dict[str, dict[str, float]]:
        """How far A/A comparisons strayed, over the tasks: median and worst (relative), by clock."""
        by_clock: dict[str, list[float]] = defaultdict(list)
        for one in self.noise:
            if math.isfinite(one.spread):
                by_clock[one.clock].append(one.spread)
        return {
            clock: {"median": statistics.median(found), "worst": max(found), "tasks": len(found)}
            for clock, found in sorted(by_clock.items())
        }

    def ceilings(self) -> tuple[Ceiling, ...]:
        """Each ceiling over the runs: references first, then copies by size. Raises ImportError without ruptures."""
        keys = {key for reading in self.readings for key in reading.rates}
        ordered = sorted(keys, key=lambda key: (not is_reference(key), int(key) if key.isdecimal() else 0, key))
        return tuple(self._ceiling(key) for key in ordered)

    def _ceiling(self, key: str) -> Ceiling:
        found = tuple((one, one.rates[key]) for one in self.readings if key in one.rates)
        return Ceiling(key=key, readings=found, findings=_findings(found))

    def speed(self) -> tuple[list[float | None], list[float | None]]:
        """How fast the machine computed and copied at each reading, relative to its own middle."""
        slow = slowness([one.rates for one in self.readings])
        cpu, copy = (
            [None if math.isnan(one) else math.exp(-one) for one in values] for values in (slow.cpu, slow.copy)
        )
        return cpu, copy

    def as_data(self) -> dict[str, Any]:
        """JSON-able. Raises ImportError without ruptures."""
        return {
            "machine_id": self.machine_id,
            "words": self.words,
            "older_ids": list(self.older_ids),
            "first_at": self.first_at,
            "newest_at": self.newest_at,
            "runs": self.runs,
            "rows": self.rows,
            "noise": self.noise_by_clock(),
            "ceilings": [one.as_data() for one in self.ceilings()],
            "alike": [{"machine_id": name, "differs": list(words)} for name, words in self.alike],
            "changes": [{"at": at, "what": words} for at, words in self.changes],
            "description": {name: value for name, value in self.description.items() if name != CHANGES},
        }


def _findings(readings: Sequence[tuple[Reading, float]]) -> Findings | None:
    if len(readings) < FEWEST:
        return None
    at = [moment(one.started_at) for one, _ in readings]
    midnight = at[0].replace(hour=0, minute=0, second=0, microsecond=0)
    weeks = [(one - midnight).total_seconds() / WEEK_S for one in at]
    return find([1e6 / rate for _, rate in readings], weeks)


def inventory(store: Store) -> tuple[Machine, ...]:
    """All machines that the store describes or that a run of it names, the one of the newest run first."""
    described = {name: (seen, said) for name, seen, said in store.machines()}
    newer = continued([(name, seen, said) for name, (seen, said) in described.items()])
    readings: dict[str, list[Reading]] = defaultdict(list)
    runs: dict[str, dict[str, str]] = defaultdict(dict)
    started = {}
    parts = store.joined_parts()
    for info in store.runs():
        if info.run_id in parts:
            continue
        started[info.run_id] = info.started_at
        runs[newer.get(info.machine_id, info.machine_id)][info.run_id] = info.started_at
        if info.ceiling:
            own = newer.get(info.machine_id, info.machine_id)
            readings[own].append(Reading(info.run_id, info.started_at, info.ceiling))
    for one in store.all_members():
        own = newer.get(one.machine_id, one.machine_id)
        if one.run_id in started:
            runs[own][one.run_id] = started[one.run_id]
            if one.ceiling and all(reading.run_id != one.run_id for reading in readings[own]):
                readings[own].append(Reading(one.run_id, started[one.run_id], one.ceiling))
    rows = store.rows_by_machine()
    found = []
    for name in {newer.get(one, one) for one in described.keys() | runs.keys()}:
        older = tuple(sorted(one for one, to in newer.items() if to == name))
        seen, said = described.get(name, ("", {}))
        moments = sorted(runs[name].values()) or [seen]
        found.append(
            Machine(
                machine_id=name,
                description=said,
                older_ids=older,
                first_at=moments[0],
                newest_at=moments[-1],
                runs=len(runs[name]),
                rows=sum(rows.get(one, 0) for one in (name, *older)),
                noise=noise_under(store, (*older, name)),
                readings=tuple(sorted(readings[name], key=lambda one: (one.started_at, one.run_id))),
            )
        )
    found.sort(key=lambda one: (one.newest_at, one.machine_id), reverse=True)
    return tuple(_related(one, found) for one in found)


def chosen(machines: Sequence[Machine], wanted: str) -> Machine:
    """The machine whose id, or one of whose older ids, begins so. Raises NoMachine."""
    found = [one for one in machines if any(name.startswith(wanted) for name in (one.machine_id, *one.older_ids))]
    exact = [one for one in found if wanted in (one.machine_id, *one.older_ids)] or found
    if len(exact) == 1:
        return exact[0]
    what = "is the beginning of several machines" if found else "is no machine of this store"
    names = ", ".join(one.machine_id for one in (found or machines)[:8])
    raise NoMachine(f"{wanted!r} {what}; it holds: {names or 'none yet; type `harness bench`'}")


def _related(machine: Machine, machines: Sequence[Machine]) -> Machine:
    """The same with what is probably the same box under other ids, and with what changed on it when."""
    same = [
        one
        for one in machines
        if one.machine_id != machine.machine_id and is_same_box(machine.description, one.description)
    ]
    alike = tuple((one.machine_id, _instead(machine, one)) for one in same)
    changes = [
        (str(row["started_at"]), Difference(row["field"], row["name"], row["before"], row["after"]).words("->"))
        for row in changes_of(machine.description)
    ]
    before = [one for one in same if one.first_at < machine.first_at]
    if before:
        last = max(before, key=lambda one: one.first_at)
        deciding = [one.words("->") for one in differences(last.description, machine.description) if one.matters]
        changes += [
            (machine.first_at, f"{words} (since then under this id, before as {last.machine_id})") for words in deciding
        ]
    return replace(machine, alike=alike, changes=tuple(sorted(changes)))


def _instead(machine: Machine, other: Machine) -> tuple[str, ...]:
    """What this one has where the other id has something else."""
    found = differences(machine.description, other.description)
    return tuple(one.words("instead of") for one in found if one.matters) or ("nothing that is described",)

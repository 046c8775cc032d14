"""PLAN: what tasks take, learnt from earlier runs. Pure: the same rows teach the same, on every machine.

What a run pays for once lies in the row that came first: a worker imports its framework, an operator's cases show that
they can tell right from wrong, a kernel is compiled. Who deals tasks pays that anew in each shard, so it is told apart:
the first row of a worker, of an operator and of an implementation counts as the others of its implementation, and what
it took beyond them is the price of that first time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low
from typing import Any

Queue = tuple[str, str]
"""(backend, file): what is checked one after another, in one worker (harness.supervisor.Trust)."""
Need = tuple[str, Hashable]
"""What is paid for once in each run: `worker` and its queue, `operator` and its name, `implementation` and its id."""
Name = tuple[str, str, str, str]
"""Operator, backend, implementation, case."""
Rows = Sequence[Mapping[str, Any]]
"""Rows of one run, in their order, with the keys of harness.store.Store.durations."""

CHECK_US = 10_000
GROUP_US = 4_000_000
FIRST_US = {"worker": 1_000_000, "operator": 100_000, "implementation": 0}
"""Where nothing at all is known: about what they take on a common machine."""
FEWEST = 3
"""Rows of which a median says what is common."""


@dataclass(frozen=True, slots=True)
class Durations:
    """Microseconds: of the check of a task, of the timing of a benchmark case (operator, case) with all that take part,
    and of what comes first. What is not known is estimated from what is like it."""

    checks: Mapping[Name, int] = field(default_factory=dict)
    groups: Mapping[tuple[str, str], int] = field(default_factory=dict)
    firsts: Mapping[Need, int] = field(default_factory=dict)
    _common: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def check_us(self, name: Name) -> int:
        """Of a task that is not known: the median of its implementation, or of the operator on its backend, of the
        operator, of the backend, or of all."""
        if name in self.checks:
            return self.checks[name]
        operator, backend, implementation, _ = name
        scopes = (
            (operator, backend, implementation), (operator, backend), (operator,), ("", backend), (),
        )  # fmt: skip
        return next((self._common[scope] for scope in scopes if scope in self._common), CHECK_US)

    def group_us(self, operator: str, case: str) -> int:
        """Of one that is not known: the median of its operator's, or of all."""
        if (operator, case) in self.groups:
            return self.groups[operator, case]
        own = [cost for (one, _), cost in self.groups.items() if one == operator]
        known = own or list(self.groups.values())
        return median_low(known) if known else GROUP_US

    def first_us(self, need: Need) -> int:
        """Of a worker that is not known: the median of those of its backend."""
        if need in self.firsts:
            return self.firsts[need]
        kind, which = need
        alike = [
            cost
            for (one, other), cost in self.firsts.items()
            if one == kind == "worker"
            and isinstance(which, tuple)
            and isinstance(other, tuple)
            and other[0] == which[0]
        ]
        return median_low(alike) if alike else FIRST_US[kind]


def learn(
    runs: Iterable[Rows],
    queues: Mapping[str, Queue],
    wanted: Collection[Name] = (),
    wanted_groups: Collection[tuple[str, str]] = (),
) -> Durations:
    """From runs, the newest first, until all of the `wanted` checks and benchmark cases are known: what is newer holds.
    `queues` says which implementations share a worker. A row of a backend that was missing there counts where no other
    is known."""
    checks: dict[Name, int] = {}
    absent: dict[Name, int] = {}
    groups: dict[tuple[str, str], int] = {}
    firsts: dict[Need, int] = {}
    for rows in runs:
        for session in _sessions(rows):
            found = _Session(session, queues)
            checks = {**found.checks, **checks}
            absent = {**found.absent, **absent}
            groups = {**found.groups, **groups}
            firsts = {**found.firsts, **firsts}
        is_known = all(name in checks or name in absent for name in wanted) and groups.keys() >= {*wanted_groups}
        if is_known and (wanted or wanted_groups):
            break
    known = {**absent, **checks}
    return Durations(known, groups, firsts, _common(known))


class _Session:
    """What one process did of a run: its rows, with what came first told apart."""

    def __init__(self, rows: Rows, queues: Mapping[str, Queue]) -> None:
        self.checks: dict[Name, int] = {}
        self.absent: dict[Name, int] = {}
        self.groups: dict[tuple[str, str], int] = defaultdict(int)
        self.firsts: dict[Need, int] = {}
        own = [row for row in rows if row["status"] != "missing"]
        checked = [(_name(row), _microseconds(row)) for row in own if row["phase"] == "check" and row["backend"]]
        common = _common(dict(checked), FEWEST)
        for name, took in checked:
            operator, backend, implementation, _ = name
            who = f"{operator}/{backend}/{implementation}"
            needs: tuple[Need, ...] = (
                ("worker", queues.get(who, (backend, ""))),
                ("operator", operator),
                ("implementation", who),
            )
            usual = common.get((operator, backend, implementation), common.get(("", backend), common.get((), took)))
            cost, excess = took, max(0, took - usual)
            for need in needs:
                if need not in self.firsts:
                    self.firsts[need] = excess
                    cost, excess = min(took, usual), 0
            self.checks[name] = cost
        for row in own:
            if row["phase"] == "bench":
                self.groups[row["operator"], row["case"]] += _microseconds(row)
        for row in rows:
            if row["status"] == "missing" and row["phase"] == "check":
                self.absent[_name(row)] = _microseconds(row)


def _sessions(rows: Rows) -> list[list[Mapping[str, Any]]]:
    """Rows by the process that made them: parts of a joined run have other seeds, or ran on other machines."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["seed"], row["machine_id"]), []).append(row)
    return list(found.values())


def _common(checks: Mapping[Name, int], fewest: int = 1) -> dict[tuple[str, ...], int]:
    """The median by implementation, by operator and backend, by operator, by backend (after ""), and of all."""
    scopes: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for (operator, backend, implementation, _), cost in checks.items():
        for scope in ((operator, backend, implementation), (operator, backend), (operator,), ("", backend), ()):
            scopes[scope].append(cost)
    return {scope: median_low(costs) for scope, costs in scopes.items() if len(costs) >= fewest}


def _name(row: Mapping[str, Any]) -> Name:
    return row["operator"], row["backend"], row["implementation"], row["case"]


def _microseconds(row: Mapping[str, Any]) -> int:
    """A week at most, and no NaN: the rows may be anybody's."""
    seconds = row["duration_s"]
    return round(1e6 * seconds) if 0.0 <= seconds <= 7 * 24 * 3600.0 else 0

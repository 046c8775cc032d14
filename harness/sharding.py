"""PLAN: a plan is dealt to several jobs (`--shard 2/5`), so that each takes about as long. Pure: the same tasks and the
same durations are dealt alike on every machine.

What belongs together stays together. The implementations of one benchmark case are timed against each other, so a case
goes to one shard as a whole, and that shard checks all that has to be right before. Conformance tasks of an
implementation are dealt in pieces.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import harness
from harness.balance import Load, Price, Unit, deal
from harness.durations import Durations, Name, Need, Queue
from harness.plan import Planned, Task

MOST_SHARDS = 256
"""As many jobs as a matrix of GitHub has at most."""
LARGEST_PIECE = 64
PIECES = 8
"""Conformance tasks are dealt in about so many pieces for each shard, of LARGEST_PIECE tasks at most: in larger ones
they would not come out even, and smaller ones scatter what shares a compiler's or a framework's start."""
MOST_NAMED = 3

Deal = Mapping[str, Any]
"""What all parts of a dealt run share, JSON-able: `id` (of plan, command, version of the harness and number of shards),
`of`, `digest` (of the whole assignment), `check` and `bench` (tasks of all parts together), and `parts`, one for each
shard: `check` and `bench`; `checked`, the places of its conformance tasks among those that are dealt of an
implementation; `timed`, its benchmark cases by operator."""


class ShardError(ValueError):
    """A shard that cannot be; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `number` (from 1) of `of`."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @staticmethod
    def parse(text: str) -> Shard:
        """`2/5` is the second of five. Raises ShardError."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
        if found is None:
            raise ShardError(f"--shard {text!r} is no part of a whole; write for example 2/5, the second of five")
        number, of = int(found[1]), int(found[2])
        if not 1 <= of <= MOST_SHARDS:
            raise ShardError(f"--shard {text}: there are 1 to {MOST_SHARDS} shards; write for example 2/5")
        if not 1 <= number <= of:
            raise ShardError(f"--shard {text}: {of} shards are numbered from 1/{of} to {of}/{of}")
        return Shard(number, of)


def units_of(planned: Planned, durations: Durations, shards: int) -> tuple[list[Unit], dict[Need, Price]]:
    """What a plan is dealt by, and what its needs cost."""
    prices: dict[Need, Price] = {}
    units: list[Unit] = []
    dealt = _by_implementation(_places(planned))
    piece = min(LARGEST_PIECE, max(1, sum(map(len, dealt.values())) // (PIECES * shards)))
    for name, tasks in dealt.items():
        needs = _needs(tasks[0], durations, prices)
        for first in range(0, len(tasks), piece):
            part = tasks[first : first + piece]
            cost = sum(durations.check_us(name_of(task)) for task in part)
            units.append(Unit((name, first, first + len(part) - 1), _queue(tasks[0]), cost, needs))
    conformance: Counter[tuple[str, str]] = Counter()
    for task in planned.checked:
        conformance[_kind(task)] += durations.check_us(name_of(task))
    groups: dict[tuple[str, str], set[Need]] = defaultdict(set)
    queues: dict[tuple[str, str], Queue] = {}
    for task in planned.timed:
        queues.setdefault(group_of(task), _queue(task))
        need = "conformance", _kind(task)
        prices[need] = Price(_queue(task), conformance[_kind(task)])
        groups[group_of(task)] |= {*_needs(task, durations, prices), need}
    for group, needed in groups.items():
        units.append(Unit(group, queues[group], durations.group_us(*group), frozenset(needed), alone=True))
    return units, prices


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds that each shard is expected to take, and of how many tasks and benchmark cases it was known."""

    seconds: tuple[float, ...]
    known: int


def deal_of(command: str, planned: Planned, durations: Durations, shards: int) -> tuple[Deal, Forecast]:
    """The deal of a plan, as it is stored with each of its parts."""
    units, prices = units_of(planned, durations, shards)
    loads = deal(units, prices, shards)
    counts = _Counts.of(planned)
    parts = [_part(counts, load) for load in loads]
    known = sum(name_of(task) in durations.checks for task in planned.checked)
    known += sum(group in durations.groups for group in counts.timed)
    found = {
        "id": plan_id(command, planned, shards),
        "of": shards,
        "digest": _digest([[part["checked"], part["timed"]] for part in parts]),
        "check": len(planned.checked),
        "bench": len(planned.timed),
        "parts": parts,
    }
    return found, Forecast(tuple(load.time_us({}) / 1e6 for load in loads), known)


@dataclass(frozen=True, slots=True)
class _Counts:
    """What a plan has, counted once for all of its parts: timed tasks by benchmark case, with what has to be right
    before, and the conformance tasks of that."""

    timed: Mapping[tuple[str, str], int]
    required: Mapping[tuple[str, str], Collection[tuple[str, str]]]
    checked: Mapping[tuple[str, str], int]

    @staticmethod
    def of(planned: Planned) -> _Counts:
        required: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
        for task in planned.timed:
            required[group_of(task)].add(_kind(task))
        checked = Counter(_kind(task) for task in planned.checked)
        return _Counts(Counter(group_of(task) for task in planned.timed), required, checked)


def _part(counts: _Counts, load: Load) -> dict[str, Any]:
    pieces: dict[str, list[tuple[int, int]]] = defaultdict(list)
    timed: dict[str, list[str]] = defaultdict(list)
    for unit in load.units:
        if len(unit.place) == 2:
            timed[unit.place[0]].append(unit.place[1])
        else:
            pieces[unit.place[0]].append(unit.place[1:])
    part: dict[str, Any] = {
        "checked": {name: _as_text(found) for name, found in sorted(pieces.items())},
        "timed": {operator: sorted(cases) for operator, cases in sorted(timed.items())},
    }
    groups = [(operator, case) for operator, cases in timed.items() for case in cases]
    required = {kind for group in groups for kind in counts.required[group]}
    check = sum(counts.checked[kind] for kind in required)
    check += sum(last - first + 1 for found in pieces.values() for first, last in found)
    return {"check": check, "bench": sum(counts.timed[group] for group in groups), **part}


def part_of(command: str, planned: Planned, found: Deal, shard: Shard) -> Planned:
    """What a shard has of a plan. Raises ShardError where the plan is another one than that which was dealt."""
    if plan_id(command, planned, shard.of) != found["id"]:
        raise ShardError(
            f"shard {shard} was dealt out of other tasks than there are now (the implementations, the cases or the "
            "harness have changed since); begin all shards anew"
        )
    return _own(planned, found["parts"][shard.number - 1])


def _own(planned: Planned, part: Mapping[str, Any]) -> Planned:
    timed = [task for task in planned.timed if task.case.id in part["timed"].get(task.declaration.operator, ())]
    required = {_kind(task) for task in timed}
    places = {name: set(_numbers(text)) for name, text in part["checked"].items()}
    checked = [
        task
        for task, place in _places(planned)
        if (_kind(task) in required if place is None else place in places.get(task.declaration.id, ()))
    ]
    return Planned(checked, timed)


def plan_id(command: str, planned: Planned, shards: int) -> str:
    """16 hex digits over what is dealt, and to how many; not over the machine, the seed or durations."""
    tasks = sorted([f"check {task.id}" for task in planned.checked] + [f"bench {task.id}" for task in planned.timed])
    return _digest([harness.__version__, command, shards, *tasks])


def shard_words(found: Deal, forecast: Forecast, shard: Shard) -> str:
    """One line for the beginning of a part: how much of all it has, and how long that is expected to take."""
    part = found["parts"][shard.number - 1]
    counts = [
        f"{part[phase]:,} of {found[phase]:,} {words}"
        for phase, words in (("bench", "timed tasks"), ("check", "tasks" if not found["bench"] else "checks"))
        if found[phase]
    ]
    said = f"shard {shard}: {', '.join(counts)}"
    if not part["check"] and not part["bench"]:
        return f"{said}: there is less to deal than there are shards"
    if not forecast.known:
        return f"{said}; no earlier run says how long they take, so all count alike"
    return f"{said}, about {forecast.seconds[shard.number - 1]:,.0f} s of {sum(forecast.seconds):,.0f} s"


def lacking(found: Deal, present: Collection[int]) -> str:
    """The shards (numbers from 1) that are not there, with what they have; empty if none is missing."""
    absent = []
    for number, part in enumerate(found["parts"], 1):
        if number not in present:
            what = Counter({name: sum(1 for _ in _numbers(text)) for name, text in part["checked"].items()})
            what.update({f"{operator} timed": len(cases) for operator, cases in part["timed"].items()})
            named = [f"{name} {count}" for name, count in sorted(what.items(), key=lambda one: (-one[1], one[0]))]
            rest = [f"and {len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
            count = part["check"] + part["bench"]
            holds = f": {', '.join([*named[:MOST_NAMED], *rest])}" if named else ""
            absent.append(f"shard {number}/{found['of']} ({count} tasks{holds})")
    return "; ".join(absent)


def contradiction(deals: Sequence[Deal]) -> str:
    """Why parts with these deals are not parts of one whole; empty if they are."""
    first = deals[0]
    for other in deals[1:]:
        if other["of"] != first["of"]:
            return f"they are parts of {first['of']} and of {other['of']} shards"
        if other["id"] != first["id"]:
            return "they were dealt out of other tasks, or by another version of the harness"
        if other["digest"] != first["digest"]:
            return (
                "the same tasks were dealt otherwise, since other durations were known: some are in two parts, some in "
                "none; give all shards the same --durations"
            )
    return ""


def _places(planned: Planned) -> Iterator[tuple[Task, int | None]]:
    """Each conformance task with its place among those of its implementation that are dealt by themselves; None for one
    that goes along with what is timed."""
    required = {_kind(task) for task in planned.timed}
    counts: Counter[str] = Counter()
    for task in planned.checked:
        if _kind(task) in required:
            yield task, None
        else:
            yield task, counts[task.declaration.id]
            counts[task.declaration.id] += 1


def _by_implementation(places: Iterable[tuple[Task, int | None]]) -> dict[str, list[Task]]:
    found: dict[str, list[Task]] = defaultdict(list)
    for task, place in places:
        if place is not None:
            found[task.declaration.id].append(task)
    return found


def _needs(task: Task, durations: Durations, prices: dict[Need, Price]) -> frozenset[Need]:
    """What comes before the first task of an implementation; adds what that costs."""
    queue = _queue(task)
    needs: tuple[Need, ...] = (
        ("worker", queue),
        ("operator", task.declaration.operator),
        ("implementation", task.declaration.id),
    )
    for need in needs:
        # an operator is judged once, by whoever comes first
        prices.setdefault(need, Price(None if need[0] == "operator" else queue, durations.first_us(need)))
    return frozenset(needs)


def name_of(task: Task) -> Name:
    declared = task.declaration
    return declared.operator, declared.backend, declared.implementation, task.case.id


def _kind(task: Task) -> tuple[str, str]:
    """What has to be right together before any of it is timed."""
    return task.declaration.id, task.case.dtype


def group_of(task: Task) -> tuple[str, str]:
    return task.declaration.operator, task.case.id


def _queue(task: Task) -> Queue:
    return task.declaration.backend, task.declaration.path


def _as_text(pieces: Iterable[tuple[int, int]]) -> str:
    """`0-31,64-64`: first and last places, neighbours joined."""
    joined: list[list[int]] = []
    for first, last in sorted(pieces):
        if joined and joined[-1][1] == first - 1:
            joined[-1][1] = last
        else:
            joined.append([first, last])
    return ",".join(f"{first}-{last}" for first, last in joined)


def _numbers(text: str) -> Iterator[int]:
    for piece in text.split(","):
        first, last = map(int, piece.split("-"))
        yield from range(first, last + 1)


def _digest(what: Any) -> str:
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:16]

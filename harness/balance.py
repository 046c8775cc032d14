"""PLAN: pieces of work are dealt so that each shard takes about as long. Pure, and the same on every machine: time is
in whole microseconds, so that no order of adding up changes anything.

Each shard pays anew for what its pieces need first: a worker that imports its framework, an operator whose cases have
to show that they can tell right from wrong, the conformance of what is timed. That is part of the bargain.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.durations import Need, Queue

WIDTH = 2
"""Workers that check side by side in the job that is reckoned with: the fewest cores that CI systems lend."""
LIMITS = (100, 105, 110, 120, 130, 150)
"""Percent of what a shard would take if nothing were paid twice: up to there what shares a beginning stays together."""
MOST_TRIED = 50_000
"""Units times shards beyond which one deal takes a good part of a second, and has to do."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What is dealt as one. `place` is where it is: (implementation, first, last) of conformance tasks, or (operator,
    case) of what is timed, which runs `alone` after all else."""

    place: tuple[str, int, int] | tuple[str, str]
    queue: Queue
    cost_us: int
    needs: frozenset[Need]
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """What a need costs, and in which queue; None is that of the unit which comes first."""

    queue: Queue | None
    cost_us: int


@dataclass(slots=True)
class Load:
    """What one shard has so far."""

    units: list[Unit] = field(default_factory=list)
    needs: set[Need] = field(default_factory=set)
    queues: Counter[Queue] = field(default_factory=Counter)
    alone_us: int = 0

    def more(self, unit: Unit, prices: Mapping[Need, Price]) -> Counter[Queue]:
        """By queue, what the shard would have to check beside that; what is timed is not in it."""
        added: Counter[Queue] = Counter()
        for need in unit.needs - self.needs:
            added[prices[need].queue or unit.queue] += prices[need].cost_us
        if not unit.alone:
            added[unit.queue] += unit.cost_us
        return added

    def add(self, unit: Unit, prices: Mapping[Need, Price]) -> None:
        self.queues.update(self.more(unit, prices))
        self.needs |= unit.needs
        self.units.append(unit)
        if unit.alone:
            self.alone_us += unit.cost_us

    def time_us(self, added: Mapping[Queue, int], alone_us: int = 0) -> int:
        """What the shard takes with so much more: queues side by side, then what runs alone."""
        queues = {queue: cost + added.get(queue, 0) for queue, cost in self.queues.items()}
        queues.update((queue, cost) for queue, cost in added.items() if queue not in queues)
        return side_by_side(queues.values()) + self.alone_us + alone_us


def side_by_side(queues: Iterable[int], width: int = WIDTH) -> int:
    """How long so many workers take for the queues, the longest begun first."""
    ends = [0] * width
    for cost in sorted(queues, reverse=True):
        heapq.heapreplace(ends, ends[0] + cost)
    return max(ends)


def deal(units: Sequence[Unit], prices: Mapping[Need, Price], shards: int) -> list[Load]:
    """Units to shards, so that the longest shard is short: the best of several deals, each with another of LIMITS."""
    whole = Load()
    for unit in units:
        whole.add(unit, prices)
    fair_us = -(-whole.time_us({}) // shards)

    def alone(unit: Unit) -> int:
        return unit.cost_us + sum(prices[need].cost_us for need in unit.needs)

    ordered = sorted(units, key=lambda unit: (-alone(unit), tuple(map(str, unit.place))))
    limits = LIMITS if len(units) * shards <= MOST_TRIED else LIMITS[:1]
    deals = [_deal(ordered, prices, shards, fair_us * percent // 100) for percent in limits]
    return min(deals, key=lambda loads: sorted((load.time_us({}) for load in loads), reverse=True))


def _deal(units: Iterable[Unit], prices: Mapping[Need, Price], shards: int, limit_us: int) -> list[Load]:
    """Each unit to a shard that it does not make longer than the limit, and among those to the one where it costs least
    beside itself; ties by number."""
    loads = [Load() for _ in range(shards)]
    for unit in units:
        loads[_cheapest(unit, loads, prices, limit_us)].add(unit, prices)
    return loads


def _cheapest(unit: Unit, loads: Sequence[Load], prices: Mapping[Need, Price], limit_us: int) -> int:
    best: tuple[int, ...] | None = None
    for number, load in enumerate(loads):
        added = load.more(unit, prices)
        time_us = load.time_us(added, unit.cost_us if unit.alone else 0)
        key = max(0, time_us - limit_us), sum(added.values()), time_us, number
        if best is None or key < best:
            best = key
    assert best is not None
    return best[-1]

"""What the trials ask of a live comparison, and the one that does it; a scripted one can stand in for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import harness.machine as machine
from harness.comparing.contest import Contest, contest
from harness.comparing.live import Effort, compare_pairs
from harness.comparing.verdicts import Comparison
from harness.declare import Case
from harness.execute import Progress
from harness.plan import Task
from harness.registry import Registry
from harness.supervisor import fresh_seed
from harness.timing.groups import Side
from harness.trials import slowed


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tasks of one case that are compared with each other."""

    base: Task
    head: Task


class Comparer(Protocol):
    def __call__(self, pairs: Sequence[Pair], budget_s: float, rounds: int | None = None) -> Comparison:
        """Compare live, in about so many seconds for all pairs together: one row for each pair, in their order, with
        the identity of its head. With `rounds`, every pair gets so many, whatever they show."""


@dataclass(frozen=True, slots=True)
class Live:
    """The harness's own comparison. Both sides run in one worker (`together`, as `compare --ab`), or each in its own
    (as `compare BASE HEAD`)."""

    registry: Registry
    together: bool
    progress: Progress

    def __call__(self, pairs: Sequence[Pair], budget_s: float, rounds: int | None = None) -> Comparison:
        start = time.perf_counter()
        base = Side("base", self.registry)
        sides = base, base if self.together else Side("head", self.registry)
        contests: list[Contest] = [contest(pair.base, pair.head, sides) for pair in pairs]
        effort = Effort(budget_s)
        if rounds is not None:
            effort = Effort(FOREVER_S, rounds, effort.seconds(len(pairs)), adaptive=False)
        rows = compare_pairs(contests, self.registry, fresh_seed(), effort, self.progress)
        identity = machine.machine_id(machine.describe())
        return Comparison(
            base="the plain one",
            head="the other one",
            machine_id=identity,
            rows=tuple(rows),
            spent_s=time.perf_counter() - start,
        )


FOREVER_S = 1e9


def plugin_path() -> str:
    """The file of the slowed softmaxes, as --plugin wants it."""
    return str(slowed.__file__)


def softmax_pair(registry: Registry, percent: int, shape: tuple[int, int] = slowed.SHAPE) -> Pair:
    """The plain softmax and one that is slower by so many percent (its twin for 0), from the plugin in `registry`."""
    case = Case("float32", (shape,), (("dim", 1),))
    declared = {one.implementation: one for one in registry.declarations if one.path == plugin_path()}
    return Pair(Task(declared[slowed.PLAIN], case), Task(declared[slowed.name_of(percent)], case))

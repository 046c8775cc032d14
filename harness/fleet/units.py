"""How the tasks of a run are cut into units: what one node runs in one go. Pure."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.plan import Task
from harness.supervisor import Trust, trust_of

UNIT_S = 1.0
"""A unit takes about so long: what sending it costs is small beside that, and so is what is lost with a node."""
LIMIT_S = 2.0
"""After so long a node gives back what is left of a unit."""
UNKNOWN_S = 0.05
"""A task of which nothing is known yet."""
MOST_TASKS = 200
START_S = 2.0
"""What a node needs to get warm for another library: for less work than that no further node is asked."""
MOST_DEATHS = 4
"""After so many nodes died over a task it is not tried again."""


@dataclass
class Unit:
    """What one node runs in one go: `request` is what it is asked, `deaths` are the nodes that were lost over it."""

    number: int
    tasks: tuple[Task, ...]
    request: Mapping[str, Any]
    wanted: str
    deaths: list[str] = field(default_factory=list)


class Waiting:
    """The tasks that wait for a node, by trust, with what is known of how long they take."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._queues: dict[Trust, deque[Task]] = defaultdict(deque)
        self._alone: deque[tuple[Task, list[str]]] = deque()
        self._spent: dict[tuple[str, str], tuple[int, float]] = {}
        for task in tasks:
            self._queues[trust_of(task)].append(task)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values())) + len(self._alone)

    def __iter__(self) -> Iterator[Task]:
        yield from itertools.chain(*self._queues.values(), (task for task, _ in self._alone))

    def trusts(self) -> list[Trust]:
        """Those that wait, the one with most work first."""
        found = {trust for trust, queue in self._queues.items() if queue} | {trust_of(task) for task, _ in self._alone}
        return sorted(found, key=lambda trust: (-self.seconds(trust), trust))

    def seconds(self, trust: Trust) -> float:
        """What the tasks of a trust are expected to take, one after another."""
        return sum(map(self._expected_s, self._queues[trust]))

    def took(self, task: Task, seconds: float) -> None:
        """A task was run."""
        kind = task.declaration.operator, task.declaration.backend
        count, spent = self._spent.get(kind, (0, 0.0))
        self._spent[kind] = count + 1, spent + seconds

    def give_back(self, tasks: Sequence[Task]) -> None:
        """They were not run after all: they are the next."""
        for task in reversed(tasks):
            self._queues[trust_of(task)].appendleft(task)

    def suspect(self, tasks: Sequence[Task], deaths: Sequence[str]) -> None:
        """A node died over one of them: each is tried by itself from now on."""
        self._alone.extend((task, list(deaths)) for task in tasks)

    def withdraw(self, trust: Trust) -> list[Task]:
        """All that waits of a trust, which nobody can run."""
        queue = self._queues.pop(trust, deque())
        alone = [task for task, _ in self._alone if trust_of(task) == trust]
        self._alone = deque(one for one in self._alone if trust_of(one[0]) != trust)
        return [*queue, *alone]

    def take(
        self, trust: Trust, lanes: int, is_ready: Callable[[Task], bool] = lambda task: True
    ) -> tuple[list[Task], list[str]]:
        """The next tasks of a trust for one node, and the nodes that were lost over them, where `lanes` could run it
        side by side: at the end of the queue there is something for each of them. Nothing from the first on that is
        not ready."""
        for suspect in self._alone:
            if trust_of(suspect[0]) == trust:
                self._alone.remove(suspect)
                return [suspect[0]], suspect[1]
        queue = self._queues[trust]
        most_s = min(UNIT_S, self.seconds(trust) / (2 * lanes))
        most = min(MOST_TASKS, math.ceil(len(queue) / (2 * lanes)))
        taken: list[Task] = []
        spent_s = 0.0
        while (
            queue
            and len(taken) < most
            and is_ready(queue[0])
            and (not taken or spent_s + self._expected_s(queue[0]) <= most_s)
        ):
            spent_s += self._expected_s(queue[0])
            taken.append(queue.popleft())
        return taken, []

    def _expected_s(self, task: Task) -> float:
        count, spent = self._spent.get((task.declaration.operator, task.declaration.backend), (0, 0.0))
        return (spent + UNKNOWN_S) / (count + 1)


def spread(seconds: float, nodes: int) -> int:
    """How many of so many nodes are to have a part in work of so many seconds."""
    return max(1, min(nodes, math.ceil(seconds / START_S)))

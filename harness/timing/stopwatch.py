"""What timing takes the harness, by the wall clock: each group's own part, and its share of what was for all."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from harness.timing.groups import Group


class Stopwatch:
    """Told when a group comes on stage and when it leaves, process after process. What lies between (workers start,
    overheads are measured) is shared among the groups that were not finished then."""

    def __init__(self, groups: Sequence[Group], clock: Callable[[], float] = time.monotonic) -> None:
        """Started now. Processes that an interrupted run has timed count as long as those that are still to come."""
        self._open = {id(group) for group in groups}
        self._before = {
            id(group): len({process for one in group.timings.values() for process, _ in one.blocks}) for group in groups
        }
        self._spent_s: dict[int, float] = defaultdict(float)
        self._processes: Counter[int] = Counter()
        self._clock = clock
        self._mark_s = clock()

    def begin(self) -> None:
        """A group comes on stage."""
        shared_s = self._lap_s()
        for one in self._open:
            self._spent_s[one] += shared_s / len(self._open)

    def end(self, group: Group, final: bool) -> None:
        """It leaves; `final` says for good."""
        self._spent_s[id(group)] += self._lap_s()
        self._processes[id(group)] += 1
        if final:
            self._open.discard(id(group))

    def share_s(self, group: Group) -> float:
        """Seconds until now of one implementation of a group that was on stage: they had it in turn."""
        processes = self._processes[id(group)]
        return self._spent_s[id(group)] * (self._before[id(group)] + processes) / processes / len(group.timings)

    def _lap_s(self) -> float:
        now_s = self._clock()
        lap_s, self._mark_s = now_s - self._mark_s, now_s
        return lap_s

"""Conformance of the same tasks on two devices, side by side, and where the verdicts differ."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from harness.cuda.declaring import DEVICES
from harness.judge.verdict import Verdict
from harness.plan import Task, tasks
from harness.record import STATUSES, WRONG
from harness.registry import Registry
from harness.supervisor import Supervisor

DEADLINE_S = 60.0
SLOW_TO_PREPARE = ("compiled",)
"""Implementations that take seconds to prepare for each case: they come last."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Tasks with their verdicts, and how many of each backend were wanted; what is missing found no time."""

    verdicts: tuple[tuple[Task, Verdict], ...]
    wanted: dict[str, int]

    def counts(self) -> dict[str, dict[str, int]]:
        """By backend: how many tasks ended how, and how many were not reached."""
        found: dict[str, Counter[str]] = {name: Counter() for name in self.wanted}
        for task, verdict in self.verdicts:
            found[task.declaration.backend][verdict.status] += 1
        return {
            name: {
                **{status: counted[status] for status in STATUSES if counted[status]},
                "not reached": self.wanted[name] - counted.total(),
            }
            for name, counted in found.items()
        }

    def wrong(self) -> list[dict[str, str]]:
        """The tasks that are wrong and not known to be."""
        return [
            {"id": task.id, "status": verdict.status, "reason": verdict.reason}
            for task, verdict in self.verdicts
            if verdict.status in WRONG and not verdict.known
        ]

    def known(self) -> int:
        return sum(bool(verdict.known) for _, verdict in self.verdicts)


def check_all(
    registry: Registry,
    backends: Sequence[str],
    operators: Sequence[str] | None,
    most_cases: int | None,
    until: float,
    seed: int,
    progress: Callable[[str], None],
) -> Checked:
    """Conformance of all implementations of some backends, as far as there is time (`until`, by time.monotonic()).

    Operators without kernels come last. Every queue takes its cases in the same order, which looks random: where time
    runs out, what was not reached is of all kinds, and what was reached on one device was reached on the other.
    """
    queues = _queues(registry, backends, operators, most_cases)
    wanted = Counter(task.declaration.backend for queue in queues for task in queue)
    found: list[tuple[Task, Verdict]] = []

    def work(queue: Sequence[Task]) -> None:
        # CUDA reserves more addresses than the machine has memory: no cap on them
        with Supervisor(registry, seed, deadline_s=DEADLINE_S, memory_limit_bytes=0) as supervisor:
            for task in queue:
                if time.monotonic() >= until:
                    return
                found.append((task, supervisor.check(task)))
        progress(f"conformance: {queue[0].declaration.operator} on {queue[0].declaration.backend} is done")

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for queue, one in [(queue, pool.submit(work, queue)) for queue in queues]:
            error = one.exception()
            if error is not None:
                # what is left of the queue counts as not reached; the others go on
                progress(f"conformance: {queue[0].declaration.id} and what follows: {type(error).__name__}: {error}")
    return Checked(tuple(found), {name: wanted[name] for name in backends})


def _queues(
    registry: Registry, backends: Sequence[str], operators: Sequence[str] | None, most_cases: int | None
) -> list[list[Task]]:
    """What one worker checks, the most important first: all tasks of one operator on one backend."""
    with_kernels = {one.operator for one in registry.declarations if one.backend in DEVICES and _is_kernel(one.module)}
    found: dict[tuple[bool, bool, str, str], list[Task]] = defaultdict(list)
    for task in _in_order(registry, most_cases):
        one = task.declaration
        if one.backend in backends and one.operator in (operators or registry.operators):
            last, later = one.implementation in SLOW_TO_PREPARE, one.operator not in with_kernels
            found[(last, later, one.operator, one.backend)].append(task)
    return [found[key] for key in sorted(found)]


def _is_kernel(module: str) -> bool:
    return ".cuda." in module


def _in_order(registry: Registry, most_cases: int | None) -> Iterator[Task]:
    by_case: dict[tuple[str, str], list[Task]] = defaultdict(list)
    for task in tasks(registry, "conformance"):
        by_case[(task.declaration.operator, task.case.id)].append(task)
    ordered = sorted(by_case, key=lambda key: hashlib.sha256("/".join(key).encode()).digest())
    taken: Counter[str] = Counter()
    for key in ordered:
        taken[key[0]] += 1
        if most_cases is None or taken[key[0]] <= most_cases:
            yield from by_case[key]


def differences(checked: Checked, device: str, other: str) -> tuple[int, list[dict[str, str]]]:
    """How many tasks ran on both devices, and those that are right on one of them and wrong on the other."""
    verdicts: dict[tuple[str, str, str], dict[str, Verdict]] = defaultdict(dict)
    for task, verdict in checked.verdicts:
        if verdict.status == "passed" or verdict.status in WRONG:
            one = task.declaration
            verdicts[(one.operator, one.implementation, task.case.id)][one.backend] = verdict
    both = {key: by for key, by in verdicts.items() if device in by and other in by}
    found: list[dict[str, Any]] = [
        {
            "task": f"{operator}/*/{implementation}/{case}",
            **{name: " ".join(filter(None, (by[name].status, by[name].reason))) for name in (device, other)},
        }
        for (operator, implementation, case), by in sorted(both.items())
        if (by[device].status == "passed") != (by[other].status == "passed")
    ]
    return len(both), found

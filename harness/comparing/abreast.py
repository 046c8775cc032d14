"""A against B: two implementations of this installation, live, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.comparing.eligible import standings
from harness.comparing.revisions import Asked, measured
from harness.comparing.verdicts import Compared
from harness.execute import Progress
from harness.plan import NothingSelected, Task, plan, require_match
from harness.registry import Registry
from harness.timing.groups import Side


def compare_abreast(
    first: str, second: str, registry: Registry, asked: Asked, progress: Progress
) -> tuple[list[Compared], list[str]]:
    """One row for each case that both selectors have, under B's identity. Raises NothingSelected where nothing pairs,
    or where a selector leaves open which implementation of a case is meant."""
    a, b = (_by_case(registry, selector) for selector in (first, second))
    shared = [key for key in a if key in b]
    if not shared:
        raise NothingSelected(
            f"{first} and {second} have no benchmark case in common; `harness list` shows what there is, and both have "
            "to be implementations of one operator"
        )
    side = Side("here", registry)
    wanted = {task.id: task for key in shared for task in (a[key], b[key])}
    found = standings(side, wanted.values(), asked.seed, asked.effort.deadline_s, progress)
    rows, notes = measured(
        [(a[key], b[key]) for key in shared],
        (side, side),
        (found, found),
        lambda one, other: one.id == other.id,
        asked,
        progress,
    )
    return [replace(one, renamed_from=None, notes=(*one.notes, f"against {first}")) for one in rows], notes


def _by_case(registry: Registry, selector: str) -> dict[tuple[str, str], Task]:
    """The benchmark tasks of a selector by operator and case."""
    require_match(registry, [selector])
    found: dict[tuple[str, str], Task] = {}
    for task in _runnable(registry, plan(registry, [selector], "benchmarks")):
        key = task.declaration.operator, task.case.id
        if key in found:
            raise NothingSelected(
                f"--ab: {selector} names both {found[key].declaration.id} and {task.declaration.id}; "
                "write out operator/backend/implementation"
            )
        found[key] = task
    return found


def _runnable(registry: Registry, chosen: Sequence[Task]) -> list[Task]:
    return [task for task in chosen if registry.is_timed(task.declaration) and not registry.missing(task.declaration)]

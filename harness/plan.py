"""PLAN: a selection becomes tasks. Pure: nothing is imported, run or measured here."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.declare import Case, Operator
from harness.implement import Declaration
from harness.nearest import nearest
from harness.registry import Registry

Kind = Literal["conformance", "benchmarks"]
KINDS: tuple[Kind, ...] = ("conformance", "benchmarks")


class NothingSelected(Exception):
    """No task matches the selectors; the message names the nearest that exist."""


@dataclass(frozen=True, slots=True)
class Task:
    """One implementation on one case. `id` is the identity everywhere."""

    declaration: Declaration
    case: Case

    @property
    def id(self) -> str:
        return f"{self.declaration.id}/{self.case.id}"


@dataclass(frozen=True, slots=True)
class Planned:
    """What a command is to do: conformance tasks, and those that are timed where they were right."""

    checked: Sequence[Task]
    timed: Sequence[Task] = ()


class Selection:
    """Selectors, compiled. A selector is a glob over the id in which `*` crosses slashes and `?` is one character;
    every other character stands for itself (an id holds brackets). A plain prefix selects all beneath it."""

    def __init__(self, selectors: Sequence[str]) -> None:
        self.selectors = tuple(selectors)
        patterns = [_pattern(selector.strip("/")) for selector in selectors if selector.strip("/")]
        self._match = re.compile("|".join(patterns) or ".*", re.DOTALL).fullmatch
        # what stands before the first wildcard; nothing at all selects everything
        self._heads = [re.split(r"[*?]", one.strip("/"))[0] for one in selectors if one.strip("/")] or [""]

    def __contains__(self, identity: str) -> bool:
        return self._match(identity) is not None

    def may_reach(self, identity: str) -> bool:
        """Whether this or something beneath it may be selected: no, where the selectors begin otherwise. There are
        tens of thousands of tasks, and their ids need not be made to see that."""
        return any(head.startswith(identity) or identity.startswith(head) for head in self._heads)


def selects(selection: Selection, declaration: Declaration, operator: Operator) -> bool:
    """Whether an implementation is selected: by its own id, or by that of any of its cases."""
    cases = (*operator.conformance, *operator.benchmarks) if selection.may_reach(declaration.id) else ()
    return declaration.id in selection or any(f"{declaration.id}/{case.id}" in selection for case in cases)


def _pattern(selector: str) -> str:
    """Every `*` but the last takes the shortest part that lets the next text follow, for good: without that, a few of
    them would take longer than anybody waits."""
    first, *parts = ["".join("." if char == "?" else re.escape(char) for char in part) for part in selector.split("*")]
    *middle, last = parts or [""]
    glob = first + "".join(f"(?>.*?{part})" for part in middle if part) + (".*" if parts else "") + last
    return f"(?:{glob}(?:/.*)?)"


def plan(registry: Registry, selectors: Sequence[str], kind: Kind) -> list[Task]:
    """The selected tasks, operator by operator and case by case, implementations of one case side by side.

    Tasks of a missing backend are included: each becomes a row.
    """
    selection = Selection(selectors)
    return list(_selected(registry, selection, kind))


def require_match(registry: Registry, selectors: Sequence[str]) -> None:
    """Raise NothingSelected if any selector matches no task of either kind: a misspelt one must not narrow a run."""
    for selector in selectors or ["*"]:
        selection = Selection([selector])
        if not any(True for kind in KINDS for _ in _selected(registry, selection, kind)):
            raise NothingSelected(_nothing(registry, selection))


def _selected(registry: Registry, selection: Selection, kind: Kind) -> Iterator[Task]:
    near = [one for one in registry.declarations if selection.may_reach(one.id)]
    few = dataclasses.replace(registry, declarations=tuple(near))
    return (task for task in tasks(few, kind) if task.id in selection)


def tasks(registry: Registry, kind: Kind) -> Iterator[Task]:
    """All tasks of a kind, in the order of the plan. A backend that is not timed has no benchmarks."""
    untimed = {name for name, backend in registry.backends.items() if not backend.timed and kind == "benchmarks"}
    for name, operator in registry.operators.items():
        declared = [one for one in registry.declarations if one.operator == name and one.backend not in untimed]
        for case in operator.conformance if kind == "conformance" else operator.benchmarks:
            for one in declared:
                yield Task(one, case)


def planned(registry: Registry, selectors: Sequence[str], command: str) -> Planned:
    """What `check` or `bench` do with the selected tasks; a check of what has no conformance task is one of its
    benchmark cases."""
    checked = plan(registry, selectors, "conformance")
    if command == "check":
        return Planned(checked or plan(registry, selectors, "benchmarks"))
    timed = plan(registry, selectors, "benchmarks")
    # what is never timed has nothing to gain from a bench
    checked = [task for task in checked if registry.is_timed(task.declaration)]
    return Planned(_with_conformance_of(timed, checked, registry) if timed else checked, timed)


def _with_conformance_of(timed: Sequence[Task], checked: list[Task], registry: Registry) -> list[Task]:
    """What is to be timed must first be right on all conformance cases of its dtype, selected or not."""
    needed = {(task.declaration.id, task.case.dtype) for task in timed}
    selected = {task.id for task in checked}
    return [
        task
        for task in tasks(registry, "conformance")
        if task.id in selected or (task.declaration.id, task.case.dtype) in needed
    ]


def _nothing(registry: Registry, selection: Selection) -> str:
    wanted = " ".join(selection.selectors)
    known = [*registry.operators, *(one.id for one in registry.declarations)]
    close = [name for selector in selection.selectors for name in nearest(selector, known)]
    if not close:
        # the implementation may be right and only the case misspelt
        heads = ["/".join(selector.split("/")[:3]) for selector in selection.selectors]
        close = [head for head in heads if head in known]
        if close:
            cases = [task.id for task in tasks(registry, "conformance") if task.declaration.id in close]
            close = [name for selector in selection.selectors for name in nearest(selector, cases)] or close
    hint = f"the nearest are: {', '.join(dict.fromkeys(close))}" if close else "type `harness list` to see what exists"
    return f"nothing matches {wanted!r}; {hint}"

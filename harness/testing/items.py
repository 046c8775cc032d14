"""What a task is in pytest: an item, an outcome with the reason, and a report that reads like pytest's own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.declare import Case
from harness.implement import Declaration
from harness.judge.compare import Comparison
from harness.judge.verdict import Verdict
from harness.plan import Task
from harness.testing import message

if TYPE_CHECKING:
    from harness.testing.shared import Shared

ID = "harness.id"
"""The property of a report that says which task it is about."""
NOT_TIMED = "not timed: "
"""So begins the reason of a benchmark whose conformance cases are wrong (harness.execute)."""


class TaskFailure(Exception):
    """A task that is wrong; its text is the whole report. `brief` is the line for pytest's summary."""

    def __init__(self, lines: Iterable[str], brief: str) -> None:
        super().__init__("\n".join(lines))
        self.brief = brief


class TaskItem(pytest.Item):
    """One implementation on one conformance case."""

    def __init__(self, *, task: Task, shared: Shared, **node: Any) -> None:
        super().__init__(**node)
        self.task = task
        self._shared = shared

    def runtest(self) -> None:
        verdict = self._shared.supervisor.check(self.task)
        settle(self, self._shared, self.task, verdict)

    def reportinfo(self) -> tuple[Path, int, str]:
        return reportinfo(self._shared, self.task)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, TaskFailure):
            return shown(excinfo, self._shared, self.task.declaration)
        return super().repr_failure(excinfo)


def is_task(item: pytest.Item) -> bool:
    return ID in dict(item.user_properties)


def reportinfo(shared: Shared, task: Task) -> tuple[Path, int, str]:
    path, line = shared.place(task.declaration)
    return path, line - 1, task.id


def settle(item: pytest.Item, shared: Shared, task: Task, verdict: Verdict) -> None:
    """A verdict as pytest has it: nothing, a skip or an expected failure with the reason, or TaskFailure."""
    item.user_properties.append(("harness.status", verdict.status))
    if verdict.worst.error_over_bound is not None:
        item.user_properties.append(("harness.error_over_bound", verdict.worst.error_over_bound))
    if verdict.status == "passed":
        return
    if verdict.status in ("missing", "unsupported"):
        pytest.skip(verdict.reason)
    if verdict.known:
        pytest.xfail(verdict.known)  # returns under --runxfail
    raise TaskFailure(*report(shared, task, verdict.status, verdict.reason, verdict.worst))


def report(shared: Shared, task: Task, status: str, reason: str, worst: Comparison) -> tuple[list[str], str]:
    """The lines of a failure as pytest writes them (source, then `E`), and its summary."""
    declared, case = task.declaration, task.case
    operator = shared.registry.operators[declared.operator]
    summary, explained = message.rows(status, reason, worst)
    again = task.id
    if reason.startswith(NOT_TIMED):  # what is wrong are other cases: those to look at
        summary, explained, again = reason, [], f"{declared.id}/{case.dtype}*"
    made = message.call(declared.implementation, operator, case)
    found = [f"{declared.id} is no right {operator.name}: {summary}", *message.table(explained)]
    if declared.accumulation is not None:
        found += message.table([("declared", f"accumulation {declared.accumulation}")])
    found += message.table([("again", shared.command(again))])
    lines = [*_source(operator.specification, case, message.inputs(operator, case)), f">   {made}", ""]
    return [*lines, *(f"E   {line}" for line in found)], summary


def _source(specification: str, case: Case, given: str) -> list[str]:
    edge = f" (edge cases as in {specification})" if specification else ""
    expected = (
        f"bad input, which must raise: {case.raises}" if case.raises else f"the operator's oracle and bound{edge}"
    )
    return [f"    # {given}", f"    # judged by {expected}"]


def shown(excinfo: pytest.ExceptionInfo[BaseException], shared: Shared, declaration: Declaration) -> Any:
    """A failure as pytest shows one of its own, without the harness's own calls.

    pytest makes the parts (and sends them from process to process); here they get other lines and another place.
    """
    failure = excinfo.value
    assert isinstance(failure, TaskFailure)
    path, line = shared.place(declaration)
    made: Any = excinfo.getrepr(style="value")
    (entry,) = made.reprtraceback.reprentries[-1:]
    made.reprtraceback.reprentries = [entry]
    made.reprtraceback.extraline = None
    made.reprcrash.path, made.reprcrash.lineno, made.reprcrash.message = _near(path, shared), line, failure.brief
    entry.lines, entry.style, entry.reprfileloc = str(failure).split("\n"), "long", made.reprcrash
    return made


def _near(path: Path, shared: Shared) -> str:
    """A path as it is reached from where pytest was started, if it lies below."""
    start = shared.config.invocation_params.dir
    return str(path.relative_to(start)) if path.is_relative_to(start) else str(path)

"""Which tasks of a side may be timed at all: only what is right, on all cases of its dtype and on its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.execute import Progress
from harness.plan import Task, tasks
from harness.record import WRONG
from harness.supervisor import Supervisor
from harness.timing.groups import Side


@dataclass(frozen=True, slots=True)
class Standing:
    """What a task is worth on a side: the status of a record, its reason, and why it is known if it is."""

    status: str
    reason: str = ""
    known: str | None = None

    @property
    def in_words(self) -> str:
        return f"{self.status}: {self.reason}"


RIGHT = Standing("passed")


def standings(
    side: Side, chosen: Iterable[Task], seed: int, deadline_s: float, progress: Progress
) -> dict[str, Standing]:
    """By task id, for tasks of benchmark cases. Conformance cases of an implementation and dtype are judged once; the
    first that is wrong ends it."""
    wanted = list(chosen)
    cases: Mapping[tuple[str, str], list[Task]] = defaultdict(list)
    for task in tasks(side.registry, "conformance"):
        cases[(task.declaration.id, task.case.dtype)].append(task)
    judged: dict[tuple[str, str], Standing] = {}
    found = {}
    with Supervisor(side.registry, seed, deadline_s=deadline_s, checkout=side.checkout) as supervisor:
        for number, task in enumerate(wanted):
            key = task.declaration.id, task.case.dtype
            progress(f"checking {task.id} in {side.label.upper()}", number, len(wanted))
            if key not in judged:
                judged[key] = _conformance(supervisor, cases[key])
            found[task.id] = judged[key]
            if judged[key].status == "passed":
                verdict = supervisor.check(task)
                found[task.id] = Standing(verdict.status, verdict.reason, verdict.known)
    return found


def _conformance(supervisor: Supervisor, cases: Iterable[Task]) -> Standing:
    """RIGHT if at least one case passed and none is wrong; a known acceptance of bad input is no wrong answer."""
    passed = False
    for task in cases:
        verdict = supervisor.check(task)
        if verdict.status == "missing":
            return Standing("missing", verdict.reason)
        if verdict.status in WRONG and not (verdict.known and task.case.id.endswith("raises")):
            return Standing(verdict.status, f"{task.case.id}: {verdict.reason}", verdict.known)
        passed = passed or verdict.status == "passed"
    return RIGHT if passed else Standing("unsupported", "no conformance case of this dtype shows that it is right")

"""Conformance on a cluster: tasks become units, which run wherever there is room."""

from __future__ import annotations

from collections.abc import Sequence

from harness.fleet.admitting import Admitting
from harness.fleet.crew import Node, with_cores
from harness.fleet.flights import Fell, Landed
from harness.fleet.ledger import PATIENCE_S, QUEUED, Ledger, condemned
from harness.fleet.receiving import Lie, left_of, records_of
from harness.fleet.units import LIMIT_S, MOST_DEATHS, Unit, Waiting, spread
from harness.judge.verdict import Verdict
from harness.outcome import key_of
from harness.plan import Task
from harness.record import Record


class Checking:
    """The conformance phase of a run."""

    def __init__(self, run: Ledger) -> None:
        self._run = run

    def check(self, tasks: Sequence[Task]) -> None:
        """Conformance of every task that has no record yet."""
        done = self._run.store.done(self._run.context.run_id, "check")
        waiting = Waiting(task for task in tasks if key_of(task) not in done)
        self._run.total, self._run.done = len(tasks), len(tasks) - len(waiting)
        operators = dict.fromkeys(task.declaration.operator for task in waiting)
        seed = self._run.context.seed
        with Admitting(self._run.registry, seed, operators, self._run.flights.wake) as admitting:
            while waiting or self._run.flights:
                self._run.crew.look()
                self._withdraw_impossible(waiting)
                while self._send_next(waiting, admitting):
                    pass
                for one in self._run.flights.heard(PATIENCE_S if self._run.flights or waiting else 0.0):
                    self._checked(one, waiting)

    def _send_next(self, waiting: Waiting, admitting: Admitting) -> bool:
        """Send one more unit, if there is room for one and its operators are known to be judged rightly, or not."""

        def is_known(task: Task) -> bool:
            return admitting.is_known(task.declaration.operator)

        working = with_cores(self._run.crew.ready())
        for trust in waiting.trusts():
            able = self._run.crew.having(trust[0])
            useful = [node for node in working if node in able] or with_cores(able)
            warm_first = sorted(useful, key=lambda node: (trust not in node.warm, len(node.warm), node.address))
            nodes = warm_first[: spread(waiting.seconds(trust), len(useful))]
            free = [node for node in nodes if self._run.flights.of(_words(trust)) < _room(nodes)]
            if not free or len(self._run.flights) >= _room(self._run.crew.ready()):
                continue
            tasks, deaths = waiting.take(trust, sum(node.lanes for node in nodes), is_known)
            if not tasks:
                continue
            # what a node died over is better tried on another
            others = [node for node in able if not any(death.startswith(node.name) for death in deaths)]
            nodes = (others or nodes) if deaths else nodes
            tasks = self._admitted(tasks, admitting)
            if tasks:
                ids = [task.id for task in tasks]
                admitted = sorted({task.declaration.operator for task in tasks})
                request = {"do": "check", "tasks": ids, "seconds": LIMIT_S, "admitted": admitted}
                unit = Unit(next(self._run.numbers), tuple(tasks), request, _words(trust), deaths)
                self._run.flights.send(unit, nodes)
                for node in nodes:
                    node.warm.add(trust)
            return True
        return False

    def _admitted(self, tasks: Sequence[Task], admitting: Admitting) -> list[Task]:
        """Those whose operator's cases count; the others have their row. That is judged here, once."""
        refused: list[Record] = []
        admitted: list[Task] = []
        for task in tasks:
            refusal = self._refusal(task.declaration.operator, admitting)
            if refusal:
                refused.append(self._run.outcomes.of_check(task, Verdict("error", refusal)))
            else:
                admitted.append(task)
        self._keep(refused)
        return admitted

    def _refusal(self, operator: str, admitting: Admitting) -> str:
        """Why the cases of an operator do not count, or an empty string."""
        found = admitting.of(operator)
        if isinstance(found, str):
            return found
        self._run.admissions[operator] = found
        return found.refusal

    def _checked(self, one: Landed | Fell, waiting: Waiting) -> None:
        unit = one.unit
        if isinstance(one, Fell):
            self._fell(unit, one.died, waiting)
            return
        try:
            left = left_of(one.answer, unit.tasks)
            records = records_of(one.answer, unit.tasks, left, self._run.context, one.node.machine_id)
        except Lie as lie:
            self._run.crew.refuse(one.node.address, f"it sent {lie}")
            waiting.give_back(unit.tasks)
            return
        self._run.joined(one.node)
        self._keep(records)
        by_id = {task.id: task for task in unit.tasks}
        for record in records:
            waiting.took(by_id[record.id], record.duration_s or 0.0)
        waiting.give_back([by_id[name] for name in left])

    def _fell(self, unit: Unit, died: bool, waiting: Waiting) -> None:
        """A unit was not run: again, elsewhere; task by task, where a node died over it, and not for ever."""
        if not died and not unit.deaths:
            waiting.give_back(unit.tasks)
        elif died and len(unit.deaths) >= MOST_DEATHS and len(unit.tasks) == 1:
            self._keep([self._run.outcomes.of_check(task, condemned(unit)) for task in unit.tasks])
        else:
            waiting.suspect(unit.tasks, unit.deaths)

    def _withdraw_impossible(self, waiting: Waiting) -> None:
        """Rows for what no node can run, once all of them have said so."""
        if self._run.crew.is_waiting():
            return
        for trust in waiting.trusts():
            verdict = self._run.impossible(trust[0])
            if verdict is not None:
                self._keep([self._run.outcomes.of_check(task, verdict) for task in waiting.withdraw(trust)])

    def _keep(self, records: Sequence[Record]) -> None:
        if records:
            self._run.keep("check", records)
            self._run.done += len(records)
            self._run.say(f"checking {records[-1].id}")


def _words(trust: tuple[str, str]) -> str:
    return " ".join(trust)


def _room(nodes: Sequence[Node]) -> int:
    """How many units these nodes may have at a time, those that wait included."""
    return sum(node.lanes + QUEUED for node in nodes)

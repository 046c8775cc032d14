"""Times on a cluster: a case with all of its implementations on one node, and on each machine one case at a time."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.fleet.commission import settings_as_data
from harness.fleet.crew import Node
from harness.fleet.flights import Fell, Landed
from harness.fleet.ledger import PATIENCE_S, QUEUED, Ledger, condemned
from harness.fleet.node import MEASURE
from harness.fleet.receiving import Lie, left_out_of, rates_of, records_of, samples_of
from harness.fleet.units import MOST_DEATHS, Unit
from harness.judge.verdict import Verdict
from harness.outcome import by_dtype, not_to_be_timed
from harness.plan import Task
from harness.record import Record
from harness.timing.groups import Settings

if TYPE_CHECKING:
    from harness.execute import Options

REST_S = 10.0
"""For all nodes to close the workers that were kept warm."""


class Measuring:
    """The timing phase of a run."""

    def __init__(self, run: Ledger, options: Options) -> None:
        self._run = run
        self._options = options

    def time(self, tasks: Sequence[Task]) -> None:
        """Benchmark tasks whose conformance holds, case by case; nothing else of this run runs any more."""
        self._rest()
        waiting = self._groups(tasks)
        self._run.total, self._run.done = len(waiting), 0
        settings = self._options.settings
        if self._options.budget_s is not None and waiting:
            settings = dataclasses.replace(settings, budget_s=self._options.budget_s / len(waiting))
        units = [self._unit(group, settings) for group in waiting]
        while units or self._run.flights:
            self._run.crew.look()
            units = [unit for unit in units if not self._placed(unit)]
            for one in self._run.flights.heard(PATIENCE_S):
                again = self._timed(one)
                if again is not None:
                    units.insert(0, again)
            if self._run.flights.words:
                self._run.say(self._run.flights.words)
            elif self._run.flights:
                self._run.say(self._waiting())

    def _waiting(self) -> str:
        names = self._run.flights.awaited()
        return f"waiting for {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"

    def _rest(self) -> None:
        """What the conformance phase kept warm would only take memory from what is timed. A node that does not hear of
        it stands still, and so takes no times: it is not waited for."""
        self._run.crew.look()
        for node in self._run.crew.ready():
            self._run.flights.send(Unit(next(self._run.numbers), (), {"do": "rest"}, "rest"), [node])
        end_s = time.monotonic() + REST_S
        while self._run.flights and time.monotonic() < end_s:
            self._run.crew.look()
            self._run.flights.heard(PATIENCE_S)
            if self._run.flights:
                self._run.say(self._waiting())
        self._run.flights.abandon()

    def _groups(self, tasks: Sequence[Task]) -> list[list[Task]]:
        """What is still to be timed, by operator and case. A case of which a part was stored is timed as a whole: its
        pairs are never of two machines."""
        stored = {record.id: record for record in self._run.store.records(self._run.context.run_id, "bench")}
        conformance = by_dtype(self._run.store.records(self._run.context.run_id, "check"))
        groups: dict[tuple[str, str], list[Task]] = defaultdict(list)
        rows: list[Record] = []
        for task in tasks:
            known = stored.get(task.id)
            if known is not None and known.median_ns is None:
                continue
            records = conformance.get((task.declaration.id, task.case.dtype), [])
            is_missing = any(record.status == "missing" for record in records)
            hindered = not_to_be_timed(records, task, missing=is_missing)
            if hindered is None:
                groups[task.declaration.operator, task.case.id].append(task)
            else:
                rows.append(self._run.outcomes.of_check(task, hindered))
        self._run.keep("bench", rows)
        return [group for group in groups.values() if any(task.id not in stored for task in group)]

    def _unit(self, group: Sequence[Task], settings: Settings) -> Unit:
        names = [task.id for task in group]
        admitted = sorted({task.declaration.operator for task in group})
        request = {"do": "time", "tasks": names, "admitted": admitted, "settings": settings_as_data(settings)}
        return Unit(next(self._run.numbers), tuple(group), request, "time")

    def _placed(self, unit: Unit) -> bool:
        """Send a case to the nodes that have most of its backends, if there is room; or give it up."""
        backends = sorted({task.declaration.backend for task in unit.tasks})
        had: dict[str, frozenset[str]] = {
            node.address: frozenset(one for one in backends if node.missing(one) is None)
            for node in self._run.crew.ready()
        }
        best = max(had.values(), key=lambda one: (len(one), sorted(one)), default=frozenset())
        if len(best) < len(backends) and self._run.crew.is_waiting():
            return False
        if not best:
            return self._given_up(unit, backends)
        able = _steady([node for node in self._run.crew.ready() if had[node.address] >= best], unit)
        is_gpu = all(self._run.registry.backends[one].reserves for one in best)
        elected = _elected(able, is_gpu)
        if self._run.flights.among(elected) >= len(elected) * (1 + QUEUED):
            return False
        timed = tuple(task for task in unit.tasks if task.declaration.backend in best)
        left_out = [task for task in unit.tasks if task.declaration.backend not in best]
        self._run.keep("bench", [self._left_out(task, able) for task in left_out])
        unit.tasks = timed
        unit.request = {**unit.request, "tasks": [task.id for task in timed]}
        for node in elected:
            node.times = True
        self._run.flights.send(unit, elected, {MEASURE: 1})
        return True

    def _left_out(self, task: Task, nodes: Sequence[Node]) -> Record:
        """The row of a task whose case is timed on nodes that lack its backend."""
        backend = task.declaration.backend
        elsewhere = [node.name for node in self._run.crew.having(backend)]
        names = ", ".join(node.name for node in nodes[:3])
        reason = f"its case was timed where most of its backends are ({names}): {nodes[0].missing(backend)}"
        if elsewhere:
            reason += f"; {', '.join(elsewhere[:3])} has it, and times of two machines are not compared"
        return self._run.outcomes.of_check(task, Verdict("missing", reason))

    def _given_up(self, unit: Unit, backends: Sequence[str]) -> bool:
        verdicts = {backend: self._run.impossible(backend) for backend in backends}
        if not all(verdicts.values()):
            return False
        rows = [self._run.outcomes.of_check(task, _some(verdicts[task.declaration.backend])) for task in unit.tasks]
        self._run.keep("bench", rows)
        self._run.done += 1
        return True

    def _timed(self, one: Landed | Fell) -> Unit | None:
        """Store what a case gave; or the unit, where it has to be sent again."""
        unit = one.unit
        if isinstance(one, Fell):
            if not one.died or len(unit.deaths) < MOST_DEATHS:
                return unit
            rows = [self._run.outcomes.of_check(task, condemned(unit)) for task in unit.tasks]
            self._run.keep("bench", rows)
            self._run.done += 1
            return None
        try:
            records = records_of(one.answer, unit.tasks, (), self._run.context, one.node.machine_id)
            samples, rates = samples_of(one.answer, records), rates_of(one.answer)
            left_out = left_out_of(one.answer, unit.tasks)
        except Lie as lie:
            self._run.crew.refuse(one.node.address, f"it sent {lie}")
            return unit
        member = self._run.joined(one.node)
        member.ceiling.update(rates)
        share = one.answer.get("used_by_others")
        if isinstance(share, float) and 0.0 <= share <= 1.0:
            member.shares.append(share)
        self._run.outcomes.left_out.extend(left_out)
        self._run.keep("bench", records, samples)
        self._run.remember_member(one.node)
        self._run.done += 1
        self._run.say(f"timing {unit.tasks[0].declaration.operator}/{unit.tasks[0].case.id}")
        return None


def _steady(nodes: Sequence[Node], unit: Unit) -> list[Node]:
    """Those of one kind of machine, the same in every run that has it: times of later runs are compared with these."""
    case = f"{unit.tasks[0].declaration.operator}/{unit.tasks[0].case.id}"

    def place(machine_id: str) -> bytes:
        return hashlib.sha256(f"{machine_id} {case}".encode()).digest()

    chosen = max({node.machine_id for node in nodes}, key=place)
    return [node for node in nodes if node.machine_id == chosen]


def _elected(nodes: Sequence[Node], is_gpu: bool) -> list[Node]:
    """One for each machine, or for what is timed on GPUs alone, one for each first GPU: the others there stay idle."""
    chosen: dict[tuple[str, str], Node] = {}
    for node in sorted(nodes, key=lambda one: (not one.times, one.address)):
        assert node.facts is not None
        gpu = str(node.facts["gpus"][0]) if is_gpu and node.facts["gpus"] else ""
        chosen.setdefault((node.host, gpu), node)
    return list(chosen.values())


def _some(verdict: Verdict | None) -> Verdict:
    assert verdict is not None
    return verdict

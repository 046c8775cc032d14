"""What a run on a cluster holds: its rows, its machines, how far it is. This process alone writes, and here alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.fleet.crew import Crew, Node
from harness.fleet.flights import Flights
from harness.fleet.units import Unit
from harness.judge.admission import Admission
from harness.judge.verdict import Verdict
from harness.machines import remember
from harness.outcome import Context, Outcomes
from harness.record import Record, Sample, stamp_now
from harness.registry import Registry

if TYPE_CHECKING:
    from harness.store import Store

Progress = Callable[[str, int, int], None]
PATIENCE_S = 0.5
"""For something to happen, before the nodes are looked at again."""
QUEUED = 1
"""Units that wait at a node beside those that run, so that it is never idle."""


@dataclass
class Member:
    """What a machine has said of itself while it took times."""

    ceiling: dict[str, float] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)

    @property
    def used_by_others(self) -> float | None:
        return sum(self.shares) / len(self.shares) if self.shares else None


class Ledger:
    """One run in progress; `done` of `total` are what progress shows of its phase."""

    def __init__(
        self, registry: Registry, store: Store, context: Context, progress: Progress, crew: Crew, flights: Flights
    ) -> None:
        self.registry = registry
        self.store = store
        self.context = context
        self.crew = crew
        self.flights = flights
        self.outcomes = Outcomes(registry, context)
        self.numbers = itertools.count(1)
        self.admissions: dict[str, Admission] = {}
        self.done = self.total = 0
        self._progress = progress
        self._members: dict[str, Member] = {}

    def report_problems(self) -> None:
        """Rows of what was declared and cannot be used."""
        problems = [self.outcomes.of_problem(problem) for problem in self.registry.problems]
        self.store.add_all(self.context.run_id, "check", problems)

    def keep(self, phase: str, records: Sequence[Record], samples: Sequence[Sample] | None = None) -> None:
        """Store rows, and the readings behind them, in one piece."""
        if records:
            self.store.add_all(self.context.run_id, phase, records, samples)

    def say(self, text: str) -> None:
        """Progress: the first word of the text is the phase."""
        kind, _, rest = text.partition(" ")
        count = max(1, self.flights.busy) if kind != "checking" else len(self.crew.ready())
        on = f" on {count} node{'' if count == 1 else 's'}"
        self._progress(f"{kind}{on}: {rest}", self.done, self.total)

    def impossible(self, backend: str) -> Verdict | None:
        """Why no node runs a backend, or None."""
        if self.crew.having(backend) or not self.crew.ready():
            return None
        gone = self.crew.lost_with(backend)
        if gone is None:
            return None  # nodes that were lost a moment ago may come back
        if gone:
            return Verdict("error", f"no node is left that has {backend}: {', '.join(gone)} died")
        nodes = self.crew.ready()
        reasons = sorted({str(node.missing(backend)) for node in nodes})
        where = nodes[0].name if len(nodes) == 1 else f"each of {len(nodes)} nodes"
        return Verdict("missing", f"{'; or '.join(reasons)} (said by {where})")

    def joined(self, node: Node) -> Member:
        """The machine of a node that has given a row."""
        if node.machine_id not in self._members:
            assert node.facts is not None
            self._members[node.machine_id] = Member()
            info = self.store.run(self.context.run_id)
            took_part = node.machine_id in self.store.members(info.run_id)
            self.remember_member(node)
            # of a run that goes on, what changed meanwhile is no news of runs that began in between
            at = stamp_now() if took_part else None
            remember(self.store, info, node.facts["machine"], machine_id=node.machine_id, at=at)
        return self._members[node.machine_id]

    def remember_member(self, node: Node) -> None:
        """Keep what is known of a node's machine now."""
        member = self._members[node.machine_id]
        assert node.facts is not None
        self.store.add_member(
            self.context.run_id,
            node.machine_id,
            node.facts["machine"],
            ceiling=member.ceiling or None,
            used_by_others=member.used_by_others,
        )

    def remember(self) -> None:
        """Mutation scores of this run; and of its client's machine, if that was a node too, what all runs hold."""
        before = self.store.run(self.context.run_id)
        own = self._members.get(self.context.machine_id, Member())
        share = before.used_by_others if own.used_by_others is None else own.used_by_others
        admissions: Mapping[str, Any] = {name: one.as_data() for name, one in sorted(self.admissions.items())}
        self.store.note(
            self.context.run_id,
            admission={**(before.admission or {}), **admissions},
            notes=self.outcomes.notes(before.notes),
            ceiling={**(before.ceiling or {}), **own.ceiling},
            used_by_others=share,
        )


def condemned(unit: Unit) -> Verdict:
    """Of tasks over which too many nodes died."""
    return Verdict(
        "error", f"{len(unit.deaths)} nodes died while this ran there: {', '.join(unit.deaths)}; it was not tried again"
    )

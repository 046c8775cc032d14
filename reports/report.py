"""A stored run as reports want it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import next_step
from harness.histories import Histories
from harness.record import STATUSES, Record, Sample

if TYPE_CHECKING:
    from harness.revealing import Found

NOTICEABLE = 0.1


@dataclass(frozen=True, slots=True)
class Report:
    """`run` and `machine` as the store describes them, the records of both phases, every raw sample, and what the run's
    tasks showed up to it where that was looked at; `trees` are those that were revealed for the report."""

    run: Mapping[str, Any]
    machine: Mapping[str, Any]
    checked: tuple[Record, ...]
    timed: tuple[Record, ...]
    samples: tuple[Sample, ...]
    histories: Histories | None = None
    trees: tuple[Found, ...] = ()

    @property
    def records(self) -> tuple[Record, ...]:
        """One record per task: where a case was checked and timed, the timed one."""
        timed = {record.id for record in self.timed}
        return (*(record for record in self.checked if record.id not in timed), *self.timed)

    @property
    def wrong(self) -> list[Record]:
        """The records that make a run end in a conformance failure, in the order in which they were made."""
        return [record for record in self.records if record.is_wrong]

    @property
    def known(self) -> list[Record]:
        """Failures that their implementation marks as known, with a reason."""
        return [record for record in self.records if record.known]

    @property
    def disturbance(self) -> str:
        """A sentence where other processes used so much of the machine that times suffered; else empty."""
        share = self.run.get("used_by_others")
        if share is None or share < NOTICEABLE:
            return ""
        return (
            f"Other processes used {100 * share:.0f} % of the cores while times were taken: that widens intervals, and "
            "multi-threaded implementations suffer most. Run again when the machine is quiet."
        )

    @property
    def runs_again(self) -> bool:
        """Whether the commands beside the tasks run them again: what another tool measured is shown only."""
        return bool(self.run["command"] != "import")

    @property
    def counts(self) -> dict[str, int]:
        """How many tasks ended how, in the order of the statuses."""
        counted = Counter(record.status for record in self.records)
        return {status: counted[status] for status in STATUSES if counted[status]}


def again(record: Record, report: Report) -> str:
    """The command that runs a record's task again, on the same inputs."""
    return next_step.again(report.run, "bench" if record in report.timed else "check", record.id, record.seed)

"""One task in BASE and in HEAD: what is measured in turn, and what must be known to judge it."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.comparing.deciding import FLOOR
from harness.comparing.verdicts import Compared
from harness.plan import Task
from harness.timing.groups import Group, Side, Timing

BASE, HEAD = "base", "head"


@dataclass
class Contest:
    """One task in two versions. `identical` says that their code and environment are equal, `floors` the relative
    change below which nothing is called, by clock (the user's, and this machine's own spread)."""

    group: Group
    identical: bool = False
    floors: dict[str, float] = field(default_factory=dict)
    renamed_from: str | None = None
    notes: tuple[str, ...] = ()
    spent_s: float = 0.0
    rounds: int = 0
    p_value: float = 1.0
    """Of no change, as the evidence stood when it was last looked at."""
    row: Compared | None = None
    """The verdict, once there is one that more rounds need not change."""

    @property
    def base(self) -> Timing:
        return self.group.timings[BASE]

    @property
    def head(self) -> Timing:
        return self.group.timings[HEAD]

    @property
    def left_out(self) -> list[str]:
        """What one process alone was accused of, and is not among the readings."""
        return [
            f"{label}: {timing.left_out}"
            for label, timing in self.group.timings.items()
            if timing.left_out and timing.failure is None
        ]

    def threshold(self, clock: str) -> float:
        return max(self.floors.get(clock, 0.0), self.floors.get("", FLOOR))

    @property
    def failure(self) -> tuple[str, tuple[str, str]] | None:
        """The side that lost its right to a time, with (status, reason); HEAD, if both did."""
        for label in (HEAD, BASE):
            failure = self.group.timings[label].failure
            if failure is not None:
                return label, failure
        return None


def contest(base: Task, head: Task, sides: tuple[Side, Side], **about: object) -> Contest:
    """A contest of one task in BASE and in HEAD; its inputs, oracle and cost are those that HEAD's registry has."""
    operator = sides[1].registry.operators[head.declaration.operator]
    timings = {BASE: Timing(base, sides[0]), HEAD: Timing(head, sides[1])}
    return Contest(Group(operator, head.case, timings), **about)  # type: ignore[arg-type]

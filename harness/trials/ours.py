"""This harness as one of the tools that look for a known slowdown."""

from __future__ import annotations

from dataclasses import dataclass

from harness.comparing.verdicts import Compared
from harness.registry import Registry
from harness.trials.comparer import Comparer, softmax_pair
from harness.trials.rivals import Outcome


@dataclass(frozen=True, slots=True)
class Ours:
    """One live comparison, judged by each clock: the verdict itself for the clock that it is by; for the other, whether
    the interval is above 1 and the estimate beyond the threshold."""

    name: str
    comparer: Comparer
    registry: Registry

    def missing(self) -> str | None:
        return None

    def compare(self, percent: int, seconds: float) -> list[Outcome]:
        (row,) = self.comparer([softmax_pair(self.registry, percent)], seconds).rows
        timeless = row.verdict == "UNCLEAR" and row.wall_ratio is None and row.cpu_ratio is None
        if row.verdict == "FAILED" or timeless:
            raise RuntimeError(row.reason)
        return [
            Outcome(f"{self.name}, CPU clock", _slower(row, "cpu"), row.cpu_ratio),
            Outcome(f"{self.name}, wall clock", _slower(row, "wall"), row.wall_ratio),
        ]


def _slower(row: Compared, clock: str) -> bool:
    if row.clock == clock:
        return row.verdict == "SLOWER"
    ratio, low = (row.cpu_ratio, row.cpu_low) if clock == "cpu" else (row.wall_ratio, row.wall_low)
    return ratio is not None and low is not None and low > 1.0 and ratio >= 1.0 + (row.threshold or 0.0)

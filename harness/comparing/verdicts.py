"""What a comparison says: one row per task, and what the whole comes to. Data only: deciding is done elsewhere."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = ("SAME", "FASTER", "SLOWER", "UNCLEAR", "NEW", "MISSING", "FAILED")
CLOCKS = ("cpu", "wall", "device")

REGRESSION, CONFORMANCE, UNCLEAR, NOTHING = 1, 3, 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One task in BASE and in HEAD. What does not apply is None, never 0.

    `ratio` is HEAD over BASE by `clock` (above 1 is slower) with its 95 % interval. `detectable` is the smallest
    relative slowdown that this comparison could have told from none, `threshold` the one below which nothing is
    called; `p_value` is adjusted over all tasks of the gate. Times are nanoseconds per call. `identical` says that
    sources and environment are equal on both sides. `renamed_from` is the id in BASE where the same source has
    another name in HEAD. `machine_ratio` is what of the times' ratio is the machine's as a whole, and taken out of
    `ratio`. `contaminated` counts samples during which something else disturbed the measurement.
    """

    operator: str
    backend: str
    implementation: str
    case: str
    verdict: str
    reason: str
    renamed_from: str | None = None
    identical: bool = False
    clock: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    detectable: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    wall_ratio: float | None = None
    wall_low: float | None = None
    wall_high: float | None = None
    cpu_ratio: float | None = None
    cpu_low: float | None = None
    cpu_high: float | None = None
    base_ns: int | None = None
    head_ns: int | None = None
    base_cpu_ns: int | None = None
    head_cpu_ns: int | None = None
    instructions_ratio: float | None = None
    code_path: str | None = None
    page_faults_ratio: float | None = None
    base_peak_bytes: int | None = None
    head_peak_bytes: int | None = None
    machine_ratio: float | None = None
    samples: int = 0
    contaminated: int = 0
    rounds: int = 0
    spent_s: float = 0.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict {self.verdict!r} is none of {', '.join(VERDICTS)}")
        if not self.reason:
            raise ValueError(f"{self.id}: verdict {self.verdict} without a reason")

    @property
    def id(self) -> str:
        """`operator/backend/implementation/case`, as in HEAD."""
        return f"{self.operator}/{self.backend}/{self.implementation}/{self.case}"

    def as_data(self) -> dict[str, Any]:
        """Keys are the field names; JSON-able."""
        return {**dataclasses.asdict(self), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Comparison:
    """All tasks of a comparison; `base` and `head` say in words what was compared, and `machine` what its machine as a
    whole did in between, where that was taken out of the tasks. Where it is a part of a gate, `elsewhere` are the tasks
    that other parts compare."""

    base: str
    head: str
    machine_id: str
    rows: tuple[Compared, ...]
    notes: tuple[str, ...] = ()
    spent_s: float = 0.0
    machine: str = ""
    elsewhere: int = 0

    def count(self, verdict: str) -> int:
        return Counter(row.verdict for row in self.rows)[verdict]

    @property
    def exit_code(self) -> int:
        """3 something is wrong in HEAD; 1 slower; 5 tasks are missing or nothing was compared; 4 unclear; else 0."""
        if self.count("FAILED"):
            return CONFORMANCE
        if self.count("SLOWER"):
            return REGRESSION
        compared = sum(self.count(verdict) for verdict in ("SAME", "FASTER", "UNCLEAR"))
        if self.count("MISSING") or not compared + self.elsewhere:
            return NOTHING
        return UNCLEAR if self.count("UNCLEAR") else 0

    def frame(self) -> pd.DataFrame:
        """One row per task, columns as the fields of `Compared`."""
        from harness.reports import compared_frame

        frame: pd.DataFrame = compared_frame(self)
        return frame

    def __repr__(self) -> str:
        from harness.reports.display import as_text, of_comparison

        return str(as_text(of_comparison(self)))

    def _repr_html_(self) -> str:
        from harness.reports.display import as_html, of_comparison

        return str(as_html(of_comparison(self)))

    def _repr_markdown_(self) -> str:
        from harness.reports.display import as_markdown, of_comparison

        return str(as_markdown(of_comparison(self)))

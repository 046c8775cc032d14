"""What is thought of a candidate: the verdict of the source's own rule beside ours."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from harness.judge.verdict import Verdict
from harness.problems.candidates import REFERENCE
from harness.record import WRONG


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One candidate on one workload. `source_accepts` is the verdict of the source's own rule, `accepts` ours; None
    where there is none. `status` and `reason` are those of a record; `truth` says what ours was judged by."""

    source: str
    problem: str
    candidate: str
    workload: str
    case: str
    source_rule: str = ""
    source_accepts: bool | None = None
    source_reason: str = ""
    source_note: str = ""
    status: str
    reason: str = ""
    error_over_bound: float | None = None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    max_ulp: float | None = None
    truth: str
    mutants_killed: int | None = None
    mutants: int | None = None
    mutants_alive: str = ""
    cases: int | None = None
    cases_refused: int | None = None

    @property
    def accepts(self) -> bool | None:
        return True if self.status == "passed" else False if self.status in WRONG else None

    @property
    def disagrees(self) -> bool:
        return None not in (self.accepts, self.source_accepts) and self.accepts != self.source_accepts

    def as_data(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "accepts": self.accepts, "disagrees": self.disagrees}


@dataclass(frozen=True, slots=True)
class Judged:
    """All opinions on a problem; what disagrees comes first. `recognised` says how the operator was found out."""

    source: str
    problem: str
    recognised: str
    seed: int
    opinions: tuple[Opinion, ...]

    @property
    def exit_code(self) -> int:
        """3 where a candidate is wrong by our judgement, 5 where none could be judged, else 0."""
        theirs = [one for one in self.opinions if one.candidate != REFERENCE]
        if any(one.status in WRONG for one in theirs):
            return 3
        return 0 if any(one.status == "passed" for one in theirs or self.opinions) else 5


def columns(verdict: Verdict) -> dict[str, Any]:
    """What a verdict gives to an opinion."""
    worst = verdict.worst
    return {
        "status": verdict.status,
        "reason": verdict.reason,
        "error_over_bound": worst.error_over_bound,
        "max_abs_error": worst.max_abs_error,
        "max_rel_error": worst.max_rel_error,
        "max_ulp": worst.max_ulp,
    }

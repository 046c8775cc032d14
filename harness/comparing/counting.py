"""Instruction counts beside the times of what is not the same: whether the code path has changed, if that is told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from harness.comparing.contest import Contest
from harness.comparing.deciding import percent
from harness.comparing.verdicts import Compared
from harness.judge.truth import draw_inputs, generator
from harness.timing.groups import Timing
from harness.timing.instructions import Counted, code_path, count, ratio, target_of

IN_QUESTION = ("SLOWER", "FASTER", "UNCLEAR")
"""The verdicts that a count says more of, the most important first."""
LONGEST_S = 60.0
ENOUGH = 2
"""Tasks that could not be counted, after which no other is tried."""


def with_counts(contests: Sequence[Contest], rows: Sequence[Compared], seed: int) -> tuple[list[Compared], list[str]]:
    """The rows with `instructions_ratio` and `code_path` where a verdict is not SAME, and a note if this machine does
    not count. It is evidence: a count is no time, and changes no verdict."""
    found = list(rows)
    numbers = [number for number, row in enumerate(rows) if row.verdict in IN_QUESTION and row.clock != "device"]
    numbers.sort(key=lambda number: IN_QUESTION.index(rows[number].verdict))
    end = time.monotonic() + LONGEST_S
    reasons: list[str] = []
    for done, number in enumerate(numbers):
        if time.monotonic() > end:
            return found, [f"instructions of {len(numbers) - done} tasks were not counted: it takes too long"]
        contest, row = contests[number], rows[number]
        base, head = (_counted(contest, timing, seed) for timing in (contest.base, contest.head))
        path = code_path(base, head)
        if path is None:
            reasons.append(base.reason or head.reason)
            if len(reasons) == ENOUGH:
                break
            continue
        found[number] = replace(
            row, instructions_ratio=ratio(base, head), code_path=path, reason=_reason(row, path, ratio(base, head))
        )
    return found, [f"instructions were not counted: {reasons[0]}"] if reasons else []


def _counted(contest: Contest, timing: Timing, seed: int) -> Counted:
    if timing.side is None:
        return Counted(None, reason="it has no side")
    inputs = draw_inputs(contest.group.operator, contest.group.case, generator(seed, contest.group.case.id, 0))
    return count(target_of(timing.task, timing.side.registry, timing.side.checkout), inputs)


def _reason(row: Compared, path: str, instructions: float | None) -> str:
    if path == "unchanged":
        meaning = ": contention, or memory" if row.verdict == "UNCLEAR" else ""
        return f"{row.reason}; instructions equal, the code path is unchanged{meaning}"
    change = "" if instructions is None else f" ({percent(instructions)} instructions)"
    return f"{row.reason}; the code path has changed{change}"

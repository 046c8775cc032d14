"""Two stored runs of one machine: whether it got slower as a whole between them, so that no task is blamed for it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from harness.comparing.measured import Measured
from harness.shift import MACHINE, REFERENCE_NOISE, Change, Moved, Shift, amount, judge, percent, references_words
from harness.shift import tasks_words as tasks_words
from harness.timing.reference import ONE

MODES = ("excuse", "count", "refuse")
"""What a machine that changed does to a comparison: it is taken out of the tasks, left in, or ends it."""
LEAST_ERROR = 0.005


def shared(base: Measured, head: Measured, changes: Sequence[Change]) -> Shift | None:
    """What all tasks share from BASE to HEAD, and whether the machine's references say that it was the machine."""
    return judge(changes, _moved(base, head))


def _moved(base: Measured, head: Measured) -> Moved:
    noise = max(one.reference_noise or 0.0 for one in (base, head)) or REFERENCE_NOISE
    error = max(LEAST_ERROR, math.sqrt(2.0) * noise)
    one_thread = [{key: rate for key, rate in one.references.items() if key.endswith(ONE)} for one in (base, head)]
    return Moved(_slower(*one_thread), _slower(base.ceilings, head.ceilings), error, error)


def _slower(base: Mapping[Any, float], head: Mapping[Any, float]) -> float | None:
    """The middle over what both have of how much longer the same work took, in log time."""
    both = [math.log(base[key] / head[key]) for key in base.keys() & head.keys()]
    return statistics.median(both) if both else None


def words(shift: Shift, machine_id: str) -> str:
    """What was found, in a sentence or two."""
    evidence = f"{references_words(shift.moved)}; {tasks_words(shift)}"
    if shift.cause == MACHINE:
        taken = "that is taken out of every task"
        if shift.taken != shift.log:
            taken = f"of that {percent(shift.taken)} is taken out of every task, as much as the references show"
        return f"machine {machine_id} was {amount(shift.log)} in HEAD than in BASE ({evidence}): {taken}"
    return (
        f"{shift.sharing} of {shift.tasks} tasks are {amount(shift.log)} together ({evidence}): {shift.reason}; "
        "nothing is taken out"
    )

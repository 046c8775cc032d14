"""Why is an answer wrong? It is held against the operator's built-in wrong implementations, on the very same inputs."""

from __future__ import annotations

import numpy as np

from harness.declare import Mutant, Operator
from harness.judge.admission import exposes
from harness.judge.truth import Truth

ALIKE = 1e-3
"""Relative difference up to which two wrong answers count as the same mistake."""


def diagnose(operator: Operator, true: Truth, answer: np.ndarray) -> str:
    """The name and the lesson of the mutant that gives this wrong answer too, or an empty string; a mutant without a
    lesson has nothing to say."""
    if not np.all(np.isfinite(true.bound) | ~np.isfinite(true.expected)):
        return ""  # the claim is at fault, not the answer
    for mutant in operator.mutants:
        if (
            mutant.lesson
            and mutant.gradient == true.gradient
            and _gives(mutant, true, answer)
            and exposes(true, mutant)
        ):
            return f"it errs as {mutant.name} does: {mutant.lesson}"
    return ""


def _gives(mutant: Mutant, true: Truth, answer: np.ndarray) -> bool:
    try:
        with np.errstate(all="ignore"):
            other = np.asarray(mutant.function(*(array.copy() for array in true.inputs), **true.parameters))
    except Exception:
        return False
    if other.shape != answer.shape or other.dtype != answer.dtype:
        return False
    left, right = answer.astype(true.expected.dtype), other.astype(true.expected.dtype)
    with np.errstate(all="ignore"):
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        apart, off = np.abs(left - right), np.abs(left - true.expected)
        # where the answer is wrong the mutant must explain it: much nearer to the answer than the truth is
        explained = apart <= np.where(off <= true.bound, ALIKE * np.abs(right) + true.bound, 0.1 * off)
    return bool(np.all(same | (explained & np.isfinite(off))))

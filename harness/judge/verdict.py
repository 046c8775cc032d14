"""Judge the answers of one task: structure, bound and exactness of each, then the laws between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from harness.declare import Probe
from harness.judge.compare import Comparison
from harness.judge.truth import Truth
from harness.wire import Answer, DeviceWork, Output


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer after judgement; `array` is None where there was none of the right shape and dtype."""

    comparison: Comparison
    array: np.ndarray | None = None
    status: str = "passed"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge says of a task: status and reason as in a record, and the worst errors that were seen.

    `tainted` says that the worker's process was tampered with and must not run anything else. `device` is
    what the kernels of one call did, where the backend counts it.
    """

    status: str
    reason: str = ""
    worst: Comparison = field(default_factory=Comparison)
    run_to_run_bitwise: bool | None = None
    batch_invariant: bool | None = None
    tainted: bool = False
    gradient_status: str | None = None
    known: str | None = None
    device: DeviceWork | None = None


def judge_answer(answer: Answer, read: np.ndarray | None, truth: Truth, array_type: str) -> Judged:
    """Structure first, then the values. `read` holds the answer's bytes as an array, None where none were stored."""
    if answer.error:
        said = answer.error if answer.error_kind == "failed" else f"raised {answer.error}"
        return Judged(Comparison(said), None, answer.error_kind)
    if len(answer.outputs) != 1:
        return _failed(f"returned {len(answer.outputs)} arrays where one is right")
    (output,) = answer.outputs
    wrong = wrong_structure(output, truth, array_type)
    if wrong:
        return _failed(wrong)
    if read is None:
        return Judged(Comparison("the worker stored no answer"), None, "untrusted")
    comparison = truth.compare(read)
    return Judged(comparison, read, "failed" if comparison.reason else "passed")


def wrong_structure(output: Output, truth: Truth, array_type: str) -> str:
    """What is wrong with an answer before its values are looked at, or an empty string."""
    if output.kind != array_type:
        return f"returned a {output.kind} where exactly a {array_type} is right"
    if output.shape != truth.expected.shape:
        return f"shape {output.shape} where {truth.expected.shape} is right"
    if output.dtype != truth.answer_dtype:
        return f"dtype {output.dtype} where {truth.answer_dtype} is right"
    # a gradient may be a view of the cotangent: automatic differentiation makes such
    if output.aliases_input and np.prod(output.shape) and truth.gradient is None:
        return "its output shares memory with an input, where a new array is right"
    return ""


def _failed(reason: str) -> Judged:
    return Judged(Comparison(reason), None, "failed")


def broken_law(
    name: str, probe: Probe, answer: Judged, other: Judged | None, first: Truth, second: Truth | None
) -> str:
    """What a property has to say of two right answers, or an empty string."""
    if answer.array is None or (second is not None and (other is None or other.array is None)):
        return ""
    with np.errstate(all="ignore"):
        left, right, allowed = probe.relate(
            answer.array, None if other is None else other.array, first.bound, None if second is None else second.bound
        )
        left, right, allowed = (np.asarray(part) for part in (left, right, allowed))
        wide = np.longdouble if first.case.dtype == "float64" else np.float64
        error = np.abs(np.asarray(left.astype(wide) - right.astype(wide)))
        same = (left == right) | (np.isnan(left) & np.isnan(right))
        right_everywhere = bool(np.all(same | (error <= allowed)))
    if left.shape == right.shape and right_everywhere:
        return ""
    return f"breaks the law {name}: two answers that must agree do not, by up to {float(np.max(error, initial=0)):.3g}"


def worst_of(comparisons: Iterable[Comparison]) -> Comparison:
    """The largest of each error over several answers."""

    def largest(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return max(known) if known else None

    seen = list(comparisons)
    return Comparison(
        next((one.reason for one in seen if one.reason), ""),
        largest(one.error_over_bound for one in seen),
        largest(one.max_abs_error for one in seen),
        largest(one.max_rel_error for one in seen),
        largest(one.max_ulp for one in seen),
    )


def same_bits(left: np.ndarray | None, right: np.ndarray | None) -> bool | None:
    """Whether two answers are bit for bit the same; None where one is missing."""
    if left is None or right is None or left.shape != right.shape:
        return None
    return left.tobytes() == right.tobytes()

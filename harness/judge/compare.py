"""Compare one answer with the truth, element by element. Wrong unless shown right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.precision import format_of, is_float, round_to, ulp


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far an answer is off. `reason` is empty only for an answer that is right.

    `error_over_bound` is the worst |error| / bound (0 where the answer is the correctly rounded truth, infinite where
    the bound is 0 and the answer is not); the errors are absolute, relative to the truth, and in units in the last
    place of the output dtype; None where nothing finite was compared.
    """

    reason: str = ""
    error_over_bound: float | None = None
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    max_ulp: float | None = None


def compare(actual: np.ndarray, expected: np.ndarray, bound: np.ndarray, dtype: str) -> Comparison:
    """Judge `actual` (an array of `dtype`) against `expected` and `bound` in the oracle's precision.

    An element is right if |actual - expected| <= bound, or if it is the correctly rounded truth. NaN must stand where
    the truth is NaN, and infinities must equal the truth's (a finite truth beyond the format's range rounds to one).
    Shapes and dtype must agree exactly: nothing is broadcast. Signs of zeros and payloads of NaN are not compared.
    """
    actual, expected, bound = np.asarray(actual), np.asarray(expected), np.asarray(bound)
    if actual.shape != expected.shape:
        return Comparison(f"shape {actual.shape} where {expected.shape} is right")
    if actual.dtype.name != dtype:
        return Comparison(f"dtype {actual.dtype.name} where {dtype} is right")
    if bound.shape != expected.shape:
        raise ValueError(f"a bound of shape {bound.shape} for a truth of shape {expected.shape}: the operator is wrong")
    if not is_float(dtype):
        return _compare_exactly(actual, expected)
    return _compare_floats(actual, expected, bound, dtype)


def _compare_exactly(actual: np.ndarray, expected: np.ndarray) -> Comparison:
    equal = actual == expected
    if bool(np.all(equal)):
        return Comparison(error_over_bound=0.0, max_abs_error=0.0)
    where = _first(~equal)
    return Comparison(f"element {where} is {actual[where]} where {expected[where]} is right", error_over_bound=np.inf)


def _compare_floats(actual: np.ndarray, expected: np.ndarray, bound: np.ndarray, dtype: str) -> Comparison:
    rounded = round_to(expected, dtype)
    with np.errstate(all="ignore"):
        wide = actual.astype(expected.dtype)
        correct = (actual == rounded) | (np.isnan(actual) & np.isnan(expected))
        error = np.abs(wide - expected)
        finite = np.isfinite(expected) & np.isfinite(wide)
        # an infinite bound would accept any answer: it means that nothing can be shown right
        right = correct | (finite & np.isfinite(bound) & (error <= bound))
        ratio = np.where(correct, 0.0, np.where(finite, error / bound, np.inf))
    if actual.size == 0:
        return Comparison()
    measured = _sizes(error, expected, ratio, finite, dtype)
    if bool(np.all(right)):
        return Comparison("", *measured)
    return Comparison(_explain(actual, expected, bound, ratio, right, dtype), *measured)


def _sizes(
    error: np.ndarray, expected: np.ndarray, ratio: np.ndarray, finite: np.ndarray, dtype: str
) -> tuple[float | None, float | None, float | None, float | None]:
    """(error over bound, absolute, relative, ulp), each the worst over the elements that can be measured."""
    worst = float(np.max(ratio))
    if not finite.any():
        return worst, None, None, None
    error, expected = error[finite], expected[finite]
    nonzero = expected != 0
    relative = float(np.max(error[nonzero] / np.abs(expected[nonzero]))) if nonzero.any() else None
    return worst, float(np.max(error)), relative, float(np.max(error / ulp(expected, dtype)))


def _explain(
    actual: np.ndarray, expected: np.ndarray, bound: np.ndarray, ratio: np.ndarray, right: np.ndarray, dtype: str
) -> str:
    """One sentence: how many, where the worst is, what was found, what is right, and what was allowed."""
    wrong = ~right
    where = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.where(wrong, ratio, -1.0))), ratio.shape))
    found, truth, allowed = actual[where], expected[where], bound[where]
    count = f"{int(wrong.sum())} of {wrong.size} elements are wrong"
    place = f"worst at {list(where)}: {float(found):.9g} where {float(truth):.9g} is right"
    if not np.isfinite(found) or not np.isfinite(truth):
        return f"{count}; {place}"
    off = f"off by {float(abs(float(found) - truth)):.3g}"
    if allowed == 0:
        return f"{count}; {place} ({off}; here every correct order of operations is exact)"
    if not np.isfinite(allowed) or np.isnan(allowed):
        return (
            f"{count}; {place} (accumulated as declared, not a single digit is guaranteed at this size: "
            "declare what it really does with accumulation=, e.g. a float32 accumulator)"
        )
    units = float(abs(float(found) - truth) / allowed)
    return f"{count}; {place} ({off}, {units:.3g} times the bound {float(allowed):.3g} for {format_of(dtype).name})"


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))

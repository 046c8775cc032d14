"""A bound that is measured, for problems that are no operator of ours: how far a right answer may be off.

Let y be the reference in float64 and u the unit roundoff of an output's dtype. What rounding does to *these* inputs is
measured: every floating input is changed by a relative u, up or down at random, several times, and the root mean square
of what that does to an element of y is its response d. The scale of an element is then s = u |y| + d. Over several
fresh inputs, with one thread and with all, the reference's own error in the problem's dtype is measured in that scale;
r is the largest (at least 1). The bound is

    FACTOR * r * s + the smallest normal number

FACTOR stands for what was not measured: other orders of the additions, other formulas. It is a choice and no theorem,
so a row that is judged by it says so; and it counts only if it tells wrong answers from right ones (`mutants`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness.precision import format_of, is_float

FACTOR = 16.0
INPUTS = 3
"""Fresh inputs on which the reference's own error is measured."""
CHANGES = 6
"""Random changes of the inputs that make up a response."""

Wide = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""The reference in float64, from floating inputs in float64."""


def widened(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [array.astype(np.float64) if is_float(array.dtype.name) else array for array in arrays]


def scales(
    run: Wide, arrays: Sequence[np.ndarray], dtypes: Sequence[str], rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Of every output: the truth in float64, and the scale s (0 where an output is not floating)."""
    wide = widened(arrays)
    true = run(wide)
    units = [format_of(dtype).unit if is_float(dtype) else 0.0 for dtype in dtypes]
    unit = max(units, default=0.0)
    squares = [np.zeros(np.shape(y)) for y in true]
    if unit:
        for _ in range(CHANGES):
            changed = [
                array * (1.0 + unit * rng.choice((-1.0, 1.0), array.shape)) if array.dtype.kind == "f" else array
                for array in wide
            ]
            with np.errstate(all="ignore"):
                for number, (new, y) in enumerate(zip(run(changed), true, strict=True)):
                    squares[number] += np.where(np.isfinite(y), (new.astype(np.float64) - y) ** 2, 0.0)
    with np.errstate(all="ignore"):
        found = [
            own * np.abs(y.astype(np.float64)) + np.sqrt(total / CHANGES) if own else np.zeros(np.shape(y))
            for own, total, y in zip(units, squares, true, strict=True)
        ]
    return true, found


def own_error(answer: np.ndarray, true: np.ndarray, scale: np.ndarray, dtype: str) -> float:
    """The largest error of the reference itself in the scale s; infinite where it is not finite and the truth is."""
    if not is_float(dtype) or not answer.size:
        return 0.0
    with np.errstate(all="ignore"):
        wide = answer.astype(np.float64)
        finite = np.isfinite(true)
        error = np.where(finite, np.abs(wide - true), 0.0)
        # below the smallest normal number nothing is asked of a store
        error = np.maximum(0.0, error - format_of(dtype).underflow)
        ratio = np.where(error <= 0, 0.0, error / scale)
    return float(np.max(np.where(np.isnan(ratio), np.inf, ratio)))


def bounds(true: np.ndarray, scale: np.ndarray, own: float, dtype: str) -> np.ndarray:
    """The bound of every element; 0 where the output is not floating."""
    if not is_float(dtype):
        return np.zeros(true.shape)
    with np.errstate(all="ignore"):
        allowed = FACTOR * max(1.0, own) * scale + format_of(dtype).underflow
    return np.where(np.isfinite(true), allowed, 0.0)

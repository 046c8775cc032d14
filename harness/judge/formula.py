"""From one formula in Tracked operations to an operator's oracle, its bound and its gradients; reductions of losses."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.declare import Case, Gradient
from harness.judge.arithmetic import Arithmetic
from harness.judge.tracked import Rounding, Tracked
from harness.precision import format_of, is_float, widen

ALTERNATIVES = 2.0
"""An implementation may evaluate an algebraically equivalent formula: one with twice the rounding errors is right."""


def reduced(losses: Tracked, reduction: str, count: Any = None) -> Tracked:
    """Elementwise losses by PyTorch's `reduction`; `count` is what a mean divides by (default: how many there are)."""
    match reduction:
        case "none":
            return losses
        case "sum":
            return losses.sum()
        case "mean":
            return losses.sum() / (float(losses.size) if count is None else count)
    raise ValueError(f"reduction {reduction!r} is none of none, mean, sum")


def spread(cotangent: Tracked, losses: Tracked, reduction: str, count: Any = None) -> Tracked:
    """The gradient of `reduced` with respect to each loss: the cotangent of the answer, divided where it is a mean."""
    if reduction == "mean":
        cotangent = cotangent / (float(losses.size) if count is None else count)
    return cotangent.broadcast_to(losses.shape)


Formula = Callable[..., Any]
_WORKING = {2.0**-53: "float64", 2.0**-24: "float32", 2.0**-11: "float16", 2.0**-8: "bfloat16"}


def _wrap(arrays: tuple[np.ndarray, ...], rounding: Rounding | None) -> list[Any]:
    return [Tracked(widen(x), 0.0, rounding) if is_float(x.dtype.name) else x for x in map(np.asarray, arrays)]


def evaluated(formula: Formula, arrays: tuple[np.ndarray, ...], parameters: dict[str, Any]) -> Any:
    """A formula in the oracle's precision, without errors; a Tracked, or a tuple of them."""
    return formula(*_wrap(arrays, None), **parameters)


def bounded(
    formula: Formula, arrays: tuple[np.ndarray, ...], parameters: dict[str, Any], arithmetic: Arithmetic
) -> Any:
    """A formula with the error of every step, in the precision that `arithmetic` claims."""
    rounding = Rounding(arithmetic, format_of(_WORKING[arithmetic.unit_between]))
    return formula(*_wrap(arrays, rounding), **parameters)


def allowed(tracked: Tracked, arithmetic: Arithmetic) -> np.ndarray:
    """The bound on a stored answer: the error of the steps, and the rounding to the output's format."""
    form = arithmetic.output
    error = ALTERNATIVES * np.asarray(tracked.error)
    stored = Rounding(arithmetic, form).of(tracked.value, error, tiny=True)
    # an answer beyond the format rounds to infinity, or to the largest number if the error reaches back there
    return np.where(np.abs(tracked.value) > form.largest, error, stored)


def derived_from(formula: Formula) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """(oracle, bound) of an operator whose answer is what `formula` returns."""

    @functools.wraps(formula)
    def oracle(*arrays: np.ndarray, **parameters: Any) -> np.ndarray:
        return np.asarray(evaluated(formula, arrays, parameters).value)

    def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        return allowed(bounded(formula, inputs, dict(case.parameters), arithmetic), arithmetic)

    return oracle, bound


def gradients_of(formula: Formula, *inputs: int) -> tuple[Gradient, ...]:
    """The gradients with respect to the inputs of these numbers.

    `formula(cotangent, *inputs, **parameters)` returns one Tracked for each of them, in their order: the closed form of
    the vector-Jacobian product, of the shape of that input.
    """

    def one(number: int, wanted: int) -> Gradient:
        def pick(*arrays: Any, **parameters: Any) -> Tracked:
            found = formula(arrays[-1], *arrays[:-1], **parameters)
            chosen: Tracked = found[number] if isinstance(found, tuple) else found
            return chosen

        return Gradient(wanted, *derived_from(pick))

    return tuple(one(number, wanted) for number, wanted in enumerate(inputs))

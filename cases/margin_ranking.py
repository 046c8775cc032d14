"""margin_ranking(input1, input2, target, *, margin=0.0, reduction): max(0, -y (x1 - x2) + margin), targets y of +-1.

Shapes: all three the same; none -> that shape, mean and sum -> (). The mean of nothing is NaN, its sum 0. Gradients:
-y g for input1, y g for input2 and -(x1 - x2) g for the target where -y (x1 - x2) + margin >= 0 (PyTorch's clamp lets
the gradient pass at 0), else 0; divided by the count for a mean. A target of 0 costs the margin; any other number
multiplies. inf - inf is NaN, and max(0, NaN) is NaN.

Oracle and bound: running error analysis (harness.judge.tracked): 3 u (|x1| + |x2| + |margin|) per loss; where the sign
of what is clamped is not certain, the gradient is either. Specification: PyTorch; shapes that differ are an error here
(PyTorch broadcasts those of one rank).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, maximum, positive
from harness.precision import numpy_dtype, widen

from .bce import triples
from .losses import (
    BENCHMARK,
    elementwise_cases,
    loss_cost,
    loss_terms,
    reduction_mutants,
    signs,
    unchanged_by,
)
from .losses import reduce as _reduce
from .wrong import always, from_formula, general


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    kind = numpy_dtype(case.dtype)
    family = {"zero_targets": "normal", "free_targets": "normal"}.get(case.values, case.values)
    terms = 4 * max(1, int(np.prod(case.shapes[0])))
    first, second = (draw(family, shape, case.dtype, rng, terms=terms) for shape in case.shapes[:2])
    target = signs(case.shapes[2], case.dtype, rng)
    if case.values == "zero_targets":
        target = np.asarray(rng.choice([-1.0, 0.0, 1.0], case.shapes[2])).astype(kind)
    if case.values == "free_targets":
        target = draw("normal", case.shapes[2], case.dtype, rng)
    return first, second, target


def _same_shape(*arrays: Tracked) -> None:
    if len({one.shape for one in arrays}) > 1:
        raise ValueError(f"margin_ranking needs arrays of one shape, not {[one.shape for one in arrays]}")


def formula(first: Tracked, second: Tracked, target: Tracked, *, margin: float = 0.0, reduction: str) -> Tracked:
    _same_shape(first, second, target)
    return reduced(maximum(-target * (first - second) + margin, 0.0), reduction)


def not_negative(x: Tracked) -> Tracked:
    """The derivative of PyTorch's clamp at 0 from below: 1 where x >= 0, else 0; either where its sign is hidden."""
    return 1.0 - positive(-x)


def gradient(
    g: Tracked, first: Tracked, second: Tracked, target: Tracked, *, margin: float = 0.0, reduction: str
) -> tuple[Tracked, Tracked, Tracked]:
    difference = first - second
    down = not_negative(-target * difference + margin) * spread(g, first, reduction)
    return -target * down, target * down, -difference * down


def of_both_orders(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Without a margin one order costs what the other does not: f(y) + f(-y) = |x1 - x2|."""
    if case["reduction"] != "none" or case["margin"] != 0 or case.layout != "contiguous":
        return None
    if case.values not in ("normal", "wide", "grid", "cancelling"):
        return None
    first, second, target = inputs

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        return widen(answer) + widen(other), np.abs(widen(first) - widen(second)), one + two

    return Probe((first, second, -target), relate)


def _moved(first: np.ndarray, second: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
    two = first.dtype.type(2)
    return first + two, second + two, target


def _of_margin(x: np.ndarray, margin: float) -> Any:
    return x.dtype.type(margin)


def _clamped(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _wrong(name: str, losses: Any, lesson: str = "") -> Any:
    """A mutant from wrong losses (x1 - x2, y, margin)."""

    def function(a: Any, b: Any, y: Any, *, margin: float, reduction: str) -> Any:
        return _reduce(losses(a - b, y, _of_margin(a, margin)), reduction)

    return from_formula(name, function, lesson)


oracle, bound = derived_from(formula)
VALUES = ["wide", "integers", "grid", "bits", "cancelling", "infinities", "nan", "zero_targets", "free_targets"]

margin_ranking = Operator(
    name="margin_ranking",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1, 2),
    gradient_values=("normal", "uniform", "wide", "grid", "integers", "cancelling", "zero_targets", "free_targets"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=float,
    redraw=True,
    free=(0, 1),
    specification="PyTorch",
    properties=(
        unchanged_by("exchanged", lambda a, b, y: (b, a, -y)),
        unchanged_by("translation", _moved, "grid"),
        Property("of_both_orders", of_both_orders),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "margin_ignored", "the margin is added before the clamp", margin=0.0),
        _wrong("sign_of_the_target", lambda d, y, m: _clamped(y * d + m), "y = 1 wants the first input ranked higher"),
        _wrong("margin_subtracted", lambda d, y, m: _clamped(-y * d - m), "the margin is added"),
        _wrong("margin_after_the_clamp", lambda d, y, m: _clamped(-y * d) + m, "the margin belongs inside the clamp"),
        _wrong("margin_times_target", lambda d, y, m: _clamped(-y * (d - m))),
        _wrong("not_clamped", lambda d, y, m: -y * d + m, "a pair in order costs nothing"),
        _wrong("squared", lambda d, y, m: _clamped(-y * d + m) ** 2),
        _wrong("smooth", lambda d, y, m: np.log1p(np.exp(-y * d + m))),
        _wrong("target_ignored", lambda d, y, m: _clamped(-d + m)),
        _wrong("target_of_0_costs_nothing", lambda d, y, m: np.where(y == 0, 0, _clamped(-y * d + m))),
        _wrong("only_the_sign_of_the_target", lambda d, y, m: _clamped(-np.sign(y) * d + m)),
        _wrong("clamp_drops_nan", lambda d, y, m: np.fmax(-y * d + m, 0), "max(NaN, 0) is NaN here"),
        from_formula(
            "mean_over_the_violated",
            lambda a, b, y, *, margin, reduction: (
                _reduce(_clamped(-y * (a - b) + _of_margin(a, margin)), "sum")
                / a.dtype.type(np.sum(-y * (a - b) + _of_margin(a, margin) > 0))
                if reduction == "mean"
                else _reduce(_clamped(-y * (a - b) + _of_margin(a, margin)), reduction)
            ),
            "a mean counts every pair",
        ),
    ),
    conformance=(
        *elementwise_cases(values=VALUES, shapes_of=triples, margin=[0.5, 0.0]),
        *grid(
            dtype="float32",
            shape=triples((3, 301)),
            values=["normal", "grid", "cancelling"],
            margin=[0.0, 0.1, -0.5, 2.0],
            reduction=["none", "mean"],
        ),
        *grid(
            dtype="float32",
            shape=[((3, 4), (3, 4), (4, 3)), ((3,), (4,), (3,)), ((3, 4), (4,), (3, 4))],
            margin=0.0,
            reduction="mean",
            raises="different shapes",
        ),
    ),
    benchmarks=grid(dtype="float32", shape=triples(BENCHMARK), margin=0.5, reduction=["mean", "none"]),
)

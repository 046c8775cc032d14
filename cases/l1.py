"""l1(input, target, *, reduction): |x - t|, as it is, averaged or summed.

Shapes: both the same; none -> that shape, mean and sum -> (). The mean of nothing is NaN, its sum 0; inf - inf is NaN.
Gradient with respect to the input: sign(x - t) g, divided by the count for a mean, with sign(0) = 0; the target's is
its negative. Oracle and bound: running error analysis of the formula (harness.judge.tracked): u |x - t| per loss,
nothing where the difference is exact (Sterbenz), and the tree's for the sum. Specification: PyTorch; two shapes that
differ are an error here (PyTorch warns and broadcasts).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, sign

from .losses import (
    BENCHMARK,
    elementwise_cases,
    loss_cost,
    loss_terms,
    pairs,
    reduction_mutants,
    scaled_by,
    two_alike,
    unchanged_by,
)
from .losses import reduce as _reduce
from .wrong import from_formula, general


def formula(x: Tracked, target: Tracked, *, reduction: str) -> Tracked:
    if x.shape != target.shape:
        raise ValueError(f"l1 needs two arrays of one shape, not {x.shape} and {target.shape}")
    return reduced(abs(x - target), reduction)


def gradient(g: Tracked, x: Tracked, target: Tracked, *, reduction: str) -> tuple[Tracked, Tracked]:
    down = sign(x - target) * spread(g, x, reduction)
    return down, -down


def triangle(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """|x - t| <= |x - z| + |z - t| with z = 0 on one side: l1(x, t) <= l1(x, 0) + the mean or sum of |t|."""
    if case.values not in ("normal", "wide", "cancelling") or case.layout != "contiguous":
        return None
    x, target = inputs
    rest = formula(
        *(Tracked(v.astype(np.float64), 0.0, None) for v in (target, 0 * target)), reduction=case["reduction"]
    )

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        return np.maximum(answer.astype(np.float64), other + rest.value), other + rest.value, one + two

    return Probe((x, np.zeros_like(target)), relate)


def _moved(x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
    return x + x.dtype.type(2), target + target.dtype.type(2)


oracle, bound = derived_from(formula)

l1 = Operator(
    name="l1",
    inputs=two_alike,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=float,
    specification="PyTorch",
    properties=(
        unchanged_by("symmetry", lambda x, t: (t, x)),
        unchanged_by("translation", _moved, "grid"),
        scaled_by(4, 4, 0, 1),
        Property("triangle_inequality", triangle),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        from_formula(
            "squared", lambda x, t, *, reduction: _reduce((x - t) ** 2, reduction), "that is the mean squared error"
        ),
        from_formula(
            "signed",
            lambda x, t, *, reduction: _reduce(x - t, reduction),
            "the absolute value is missing: differences of both signs cancel",
        ),
        from_formula(
            "absolute_value_of_the_answer",
            lambda x, t, *, reduction: abs(_reduce(x - t, reduction)),
            "take absolute values before adding up",
        ),
        from_formula("difference_of_magnitudes", lambda x, t, *, reduction: _reduce(abs(abs(x) - abs(t)), reduction)),
        from_formula(
            "root_of_the_square",
            lambda x, t, *, reduction: _reduce(np.sqrt((x - t) * (x - t)), reduction),
            "the square overflows and underflows where the difference does not",
        ),
        from_formula(
            "smooth",
            lambda x, t, *, reduction: _reduce(
                np.where(abs(x - t) < 1, (x - t) ** 2 / 2, abs(x - t) - x.dtype.type(0.5)), reduction
            ),
            "that is smooth_l1",
        ),
        from_formula("relative", lambda x, t, *, reduction: _reduce(abs(x - t) / abs(t), reduction)),
        from_formula("positive_part", lambda x, t, *, reduction: _reduce(np.maximum(x - t, 0), reduction)),
        from_formula("sum_of_magnitudes", lambda x, t, *, reduction: _reduce(abs(x) + abs(t), reduction)),
        from_formula("target_ignored", lambda x, t, *, reduction: _reduce(abs(x), reduction)),
        from_formula(
            "nan_dropped",
            lambda x, t, *, reduction: _reduce(np.nan_to_num(abs(x - t), posinf=np.inf), reduction),
            "NaN in, NaN out",
        ),
        from_formula(
            "mean_over_the_first_axis",
            lambda x, t, *, reduction: (
                _reduce(abs(x - t), "sum") / x.dtype.type(x.shape[0] if x.ndim else 1)
                if reduction == "mean" and x.size
                else _reduce(abs(x - t), reduction)
            ),
            "PyTorch's mean divides by the number of elements, not of rows",
        ),
    ),
    conformance=(
        *elementwise_cases(
            values=["wide", "integers", "grid", "bits", "cancelling", "infinities", "nan", "equal", "subnormal"]
        ),
        *grid(dtype="float32", shape=[((3, 4), (4, 3)), ((3,), (4,))], reduction="mean", raises="two different shapes"),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), reduction=["mean", "none"]),
)

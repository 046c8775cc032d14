"""mse(input, target, *, reduction): (x - t)^2, as it is, averaged or summed.

Shapes: both the same; none -> that shape, mean and sum -> (). The mean of nothing is NaN, its sum 0. Gradient with
respect to the input: 2 (x - t) g, divided by the count for a mean; the target's is its negative. Oracle and bound:
running error analysis of the formula (harness.judge.tracked): 3 u per loss to first order, and the tree's for the sum.
Specification: PyTorch; two shapes that differ are an error here (PyTorch warns and broadcasts).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, square

from .losses import BENCHMARK, elementwise_cases, loss_cost, loss_terms, pairs, reduction_mutants, two_alike
from .losses import reduce as _reduce
from .wrong import from_formula, general


def formula(x: Tracked, target: Tracked, *, reduction: str) -> Tracked:
    if x.shape != target.shape:
        raise ValueError(f"mse needs two arrays of one shape, not {x.shape} and {target.shape}")
    return reduced(square(x - target), reduction)


def gradient(g: Tracked, x: Tracked, target: Tracked, *, reduction: str) -> tuple[Tracked, Tracked]:
    down = (x - target) * 2.0 * spread(g, x, reduction)
    return down, -down


def swapped(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """mse(x, t) = mse(t, x), bit for bit: x - t and t - x differ in sign only."""

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, answer, np.zeros_like(answer)

    return Probe((inputs[1], inputs[0]), relate) if case.layout == "contiguous" else None


def scaled(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """mse(4x, 4t) = 16 mse(x, t), bit for bit, where nothing overflows or underflows."""
    if case.layout != "contiguous" or case.values != "normal" or case.dtype == "float16":
        return None

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, 16 * answer, np.zeros_like(answer)

    return Probe(tuple(x * x.dtype.type(4) for x in inputs), relate)


oracle, bound = derived_from(formula)

mse = Operator(
    name="mse",
    inputs=two_alike,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=lambda terms: 2.0 * terms**0.5,
    specification="PyTorch",
    properties=(Property("symmetry", swapped), Property("power_of_two_scaling", scaled)),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        from_formula(
            "absolute_error", lambda x, t, *, reduction: _reduce(abs(x - t), reduction), "that is the l1 loss"
        ),
        from_formula("half_the_square", lambda x, t, *, reduction: _reduce((x - t) ** 2 / 2, reduction)),
        from_formula("square_of_the_sum", lambda x, t, *, reduction: _reduce((x + t) ** 2, reduction)),
        from_formula(
            "expanded_square",
            lambda x, t, *, reduction: _reduce(x * x - 2 * x * t + t * t, reduction),
            "x^2 - 2xt + t^2 cancels where x is near t; subtract first",
        ),
        from_formula("difference_of_squares", lambda x, t, *, reduction: _reduce(x * x - t * t, reduction)),
        from_formula("target_ignored", lambda x, t, *, reduction: _reduce(x * x, reduction)),
        from_formula(
            "mean_over_the_first_axis",
            lambda x, t, *, reduction: (
                _reduce((x - t) ** 2, reduction) * (x.size / (x.shape[0] if x.ndim else 1))
                if reduction == "mean" and x.size
                else _reduce((x - t) ** 2, reduction)
            ),
            "PyTorch's mean divides by the number of elements, not of rows",
        ),
        from_formula(
            "root",
            lambda x, t, *, reduction: np.sqrt(_reduce((x - t) ** 2, reduction)),
            "that is the root of the mean square",
        ),
    ),
    conformance=(
        *elementwise_cases(
            values=["uniform", "wide", "integers", "bits", "cancelling", "infinities", "nan", "equal", "subnormal"]
        ),
        *grid(dtype="float32", shape=[((3, 4), (4, 3)), ((3,), (4,))], reduction="mean", raises="two different shapes"),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), reduction=["mean", "none"]),
)

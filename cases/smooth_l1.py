"""smooth_l1(input, target, *, reduction, beta=1.0): d^2 / (2 beta) where |d| < beta, else |d| - beta / 2; d = x - t.

Shapes: both the same; none -> that shape, mean and sum -> (). The mean of nothing is NaN, its sum 0. beta = 0 is l1;
both branches agree at |d| = beta, in value and in slope, so that a rounding there decides nothing. Gradient with
respect to the input: d / beta where |d| < beta, else sign(d), times g, divided by the count for a mean; the target's is
its negative. Oracle and bound: running error analysis (harness.judge.tracked): up to 5 u per loss, and the tree's for
the sum. Specification: PyTorch; bad inputs: beta < 0, and two shapes that differ (PyTorch warns and broadcasts).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, sign, square, where
from harness.precision import numpy_dtype, widen

from .losses import (
    BENCHMARK,
    elementwise_cases,
    in_order,
    loss_cost,
    loss_terms,
    pairs,
    reduction_mutants,
    two_alike,
    unchanged_by,
)
from .losses import reduce as _reduce
from .wrong import always, from_formula, general

LINE = np.linspace(-10, 10, 5000)
"""The published comparison: smooth_l1 against l1 of these inputs, with targets of 0."""


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    if case.values == "line":
        x = LINE.astype(numpy_dtype(case.dtype))
        return x, np.zeros_like(x)
    return two_alike(case, rng)


def formula(x: Tracked, target: Tracked, *, reduction: str, beta: float = 1.0) -> Tracked:
    if x.shape != target.shape or beta < 0:
        raise ValueError(f"smooth_l1 needs one shape and beta >= 0, not {x.shape}, {target.shape} and {beta}")
    distance = abs(x - target)
    if beta == 0:
        return reduced(distance, reduction)
    return reduced(
        where(distance.value < beta, square(distance) * 0.5 / beta, distance - 0.5 * beta),
        reduction,
    )


def gradient(g: Tracked, x: Tracked, target: Tracked, *, reduction: str, beta: float = 1.0) -> tuple[Tracked, Tracked]:
    d = x - target
    slope = where(np.abs(d.value) < beta, d / beta, sign(d)) if beta else sign(d)
    down = slope * spread(g, x, reduction)
    return down, -down


def against_l1(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """0 <= l1 - smooth_l1 <= beta / 2 for every loss, and smooth_l1 with beta = 0 is l1."""
    if case["reduction"] != "none" or case.layout != "contiguous" or case.values in ("infinities", "nan"):
        return None

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        gap = widen(other) - widen(answer)
        return gap, np.clip(gap, 0.0, case["beta"] / 2), one + two

    return Probe(inputs, relate, {"beta": 0.0})


def on_the_line(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On the published line: exactly beta / 2 below l1 from |x| = beta on, and x^2 / (2 beta) inside."""
    if case.values != "line" or case["reduction"] != "none":
        return None
    x, beta = widen(inputs[0]), case["beta"]
    right = np.where(np.abs(x) < beta, x * x / (2 * beta), np.abs(x) - beta / 2)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), right, bound

    return Probe(None, relate)


oracle, bound = derived_from(formula)


def _smooth(d: np.ndarray, beta: float, half: float = 0.5) -> np.ndarray:
    b = d.dtype.type(beta)
    inside = d.dtype.type(0.5) * d * d / (b or d.dtype.type(1))
    return np.where(abs(d) < b, inside, abs(d) - d.dtype.type(half) * b)


VALUES = ["wide", "integers", "grid", "bits", "cancelling", "infinities", "nan", "equal"]

smooth_l1 = Operator(
    name="smooth_l1",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    gradient_values=("normal", "uniform", "wide", "grid", "integers", "cancelling", "line"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=float,
    specification="PyTorch",
    properties=(
        unchanged_by("symmetry", lambda x, t: (t, x)),
        Property("against_l1", against_l1),
        Property("published_line", on_the_line),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "beta_ignored", "beta is 1 whatever was asked for", beta=1.0),
        always(oracle, "always_l1", beta=0.0),
        from_formula(
            "huber",
            lambda x, t, *, reduction, beta: _reduce(
                _smooth(x - t, beta) * x.dtype.type(beta) if beta else abs(x - t), reduction
            ),
            "that is the Huber loss: beta times smooth_l1",
        ),
        from_formula(
            "not_divided_by_beta",
            lambda x, t, *, reduction, beta: _reduce(
                np.where(abs(x - t) < beta, (x - t) ** 2 / 2, abs(x - t) - x.dtype.type(beta / 2)), reduction
            ),
            "inside, the square is divided by beta: without that the two branches do not meet",
        ),
        from_formula(
            "nothing_subtracted_outside",
            lambda x, t, *, reduction, beta: _reduce(_smooth(x - t, beta, half=0.0), reduction),
            "outside it is |d| - beta / 2",
        ),
        from_formula(
            "beta_subtracted_outside",
            lambda x, t, *, reduction, beta: _reduce(_smooth(x - t, beta, half=1.0), reduction),
        ),
        from_formula(
            "no_half_inside",
            lambda x, t, *, reduction, beta: _reduce(
                np.where(abs(x - t) < beta, 2 * _smooth(x - t, beta), _smooth(x - t, beta)), reduction
            ),
        ),
        from_formula(
            "branch_by_the_sign",
            lambda x, t, *, reduction, beta: _reduce(
                np.where(
                    x - t < beta,
                    (x - t) ** 2 * x.dtype.type(0.5 / (beta or 1)),
                    abs(x - t) - x.dtype.type(beta / 2),
                ),
                reduction,
            ),
            "the branch is chosen by d, not |d|: large negative differences are squared",
        ),
        from_formula(
            "always_quadratic",
            lambda x, t, *, reduction, beta: _reduce((x - t) ** 2 * x.dtype.type(0.5 / (beta or 1)), reduction),
        ),
        from_formula(
            "beta_is_one_over_sigma_squared",
            lambda x, t, *, reduction, beta: _reduce(_smooth(x - t, 1 / beta**2 if beta else 0.0), reduction),
            "beta is the threshold itself (detectors have sigma, and beta = 1 / sigma^2)",
        ),
        from_formula(
            "pseudo_huber",
            lambda x, t, *, reduction, beta: _reduce(np.sqrt((x - t) ** 2 + beta**2) - x.dtype.type(beta), reduction),
        ),
        from_formula(
            "nan_becomes_zero",
            lambda x, t, *, reduction, beta: _reduce(np.nan_to_num(_smooth(x - t, beta), posinf=np.inf), reduction),
        ),
    ),
    conformance=(
        *in_order(elementwise_cases(values=VALUES, beta=[1.0, 0.5, 0.0]), "reduction", "beta"),
        *grid(dtype=["float64", "float32"], shape=pairs((5000,)), values="line", reduction="none", beta=[1.0, 2.0]),
        *grid(dtype="float32", shape=pairs((3, 301)), values=["grid", "wide"], reduction="none", beta=[0.1, 0.5, 5.0]),
        *grid(
            dtype="float32",
            shape=[((3, 4), (4, 3)), ((3,), (4,))],
            reduction="mean",
            beta=1.0,
            raises="two different shapes",
        ),
        *grid(
            dtype="float32",
            shape=pairs((3, 4)),
            reduction=["mean", "none"],
            beta=[-1.0, -0.5],
            raises="beta below zero",
        ),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), reduction=["mean", "none"], beta=1.0),
)

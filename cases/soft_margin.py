"""soft_margin(input, target, *, reduction): ln(1 + exp(-y x)), targets y of -1 and 1.

Shapes: both the same; none -> that shape, mean and sum -> (). The mean of nothing is NaN, its sum 0. Gradient with
respect to the input: -y sigmoid(-y x) g, divided by the count for a mean; PyTorch has none for the target. Other
targets are taken as they are.

Edge semantics: those of softplus(-y x) = max(-y x, 0) + log1p(exp(-|y x|)), which does not overflow: y x = -1000 costs
1000, y x = inf nothing, y x = -inf inf. PyTorch's exp overflows there and gives inf (its known failure). Oracle and
bound: running error analysis (harness.judge.tracked), about u (c softplus + |y x|). Specification: the stable softplus;
two shapes that differ are an error here (PyTorch broadcasts).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, sigmoid, softplus
from harness.precision import numpy_dtype, widen

from .losses import (
    BENCHMARK,
    elementwise_cases,
    loss_cost,
    loss_terms,
    pairs,
    reduction_mutants,
    reproduces,
    signs,
    unchanged_by,
)
from .losses import reduce as _reduce
from .wrong import from_formula, general

GOLDEN = ([[0.3, 0.7], [0.5, 0.5]], [[-1.0, 1.0], [1.0, -1.0]])
"""The published inputs."""


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    kind, (shape, other) = numpy_dtype(case.dtype), case.shapes
    target = signs(other, case.dtype, rng)
    match case.values:
        case "golden":
            return tuple(np.array(one).astype(kind) for one in GOLDEN)  # type: ignore[return-value]
        case "free_targets":
            x, target = draw("normal", shape, case.dtype, rng), draw("normal", other, case.dtype, rng)
            if case.dtype == "float16" and shape == other:
                # beyond, target exp(-target x) overflows in it: one draw in many, which no mark of a known failure fits
                reach = 8 / np.maximum(np.abs(target.astype(float)), 1e-3)
                x = np.clip(x.astype(float), -reach, reach)
        case "moderate":  # as far as exp does not overflow in half precision
            x = rng.uniform(-10, 10, shape)
        case "large":
            x = rng.choice([-1000.0, 1000.0, 100.0, -100.0, 40.0, -40.0], shape)
        case "certain":  # y x > 0 and large: a tiny loss
            x = np.asarray(target).astype(float) * rng.uniform(8, 40 if case.dtype != "float16" else 9, shape)
        case "sure":  # hardly any loss
            x = np.asarray(target).astype(float) * rng.uniform(20, 60, shape)
        case _:
            x = draw(case.values, shape, case.dtype, rng)
    return np.asarray(x).astype(kind), np.asarray(target).astype(kind)


def formula(x: Tracked, target: Tracked, *, reduction: str) -> Tracked:
    if x.shape != target.shape:
        raise ValueError(f"soft_margin needs two arrays of one shape, not {x.shape} and {target.shape}")
    return reduced(softplus(-(target * x)), reduction)


def gradient(g: Tracked, x: Tracked, target: Tracked, *, reduction: str) -> Tracked:
    return -target * sigmoid(-(target * x)) * spread(g, x, reduction)


def both_signs(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """softplus(z) - softplus(-z) = z: the loss at -y less that at y is y x."""
    if case["reduction"] != "none" or case.layout != "contiguous":
        return None
    if case.values not in ("normal", "uniform", "moderate", "grid"):
        return None
    x, target = inputs

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        return widen(other) - widen(answer), widen(x) * widen(target), one + two

    return Probe((x, -target), relate)


def above_hinge(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """max(-y x, 0) <= loss <= max(-y x, 0) + ln 2."""
    if case["reduction"] != "none" or case.values in ("nan", "infinities") or case.layout != "contiguous":
        return None
    hinge = np.maximum(-widen(inputs[0]) * widen(inputs[1]), 0)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), np.clip(widen(answer), hinge, hinge + np.log(2)), bound

    return Probe(None, relate)


def _softplus(z: np.ndarray) -> np.ndarray:
    return np.maximum(z, 0) + np.log1p(np.exp(-abs(z)))


def _wrong(name: str, losses: Any, lesson: str = "") -> Any:
    """A mutant from a wrong loss of the margin y x."""
    return from_formula(name, lambda x, y, *, reduction: _reduce(losses(x * y), reduction), lesson)


oracle, bound = derived_from(formula)

soft_margin = Operator(
    name="soft_margin",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=("normal", "uniform", "moderate", "grid", "certain", "golden", "free_targets"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=lambda terms: 0.5,
    light="sure",
    redraw=True,
    free=(0,),
    specification="the stable softplus(-y x)",
    properties=(
        unchanged_by("both_negated", lambda x, y: (-x, -y)),
        Property("difference_of_both_signs", both_signs),
        Property("between_hinge_and_hinge_plus_ln_2", above_hinge),
        reproduces(
            {
                "none": [[0.854355, 0.403186], [0.474077, 0.974077]],
                "mean": 0.676424,
                "sum": 2.705695,
            },
            0.5e-6,
        ),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        _wrong(
            "exp_overflows", lambda z: np.log1p(np.exp(-z)), "exp(-y x) overflows: max(-y x, 0) + log1p(exp(-|y x|))"
        ),
        _wrong(
            "log_of_one_plus_exp",
            lambda z: np.maximum(-z, 0) + np.log(1 + np.exp(-abs(z))),
            "1 + exp rounds where the loss is small: log1p",
        ),
        _wrong("linear_from_20_on", lambda z: np.where(z > 20, 0, _softplus(-z)), "a small loss is not 0"),
        _wrong("margin_cut_off", lambda z: _softplus(-np.clip(z, -50, 50))),
        _wrong("sign", _softplus, "the loss is large where y and x differ in sign"),
        _wrong("hinge", lambda z: np.maximum(1 - z, 0), "that is the hinge loss"),
        _wrong("negative_log_sigmoid_squared", lambda z: _softplus(-z) ** 2),
        _wrong("base_two", lambda z: _softplus(-z) / np.log(z.dtype.type(2)), "logarithms are natural"),
        _wrong("nan_dropped", lambda z: np.nan_to_num(_softplus(-z), posinf=np.inf), "NaN in, NaN out"),
        from_formula(
            "targets_of_0_and_1",
            lambda x, y, *, reduction: _reduce(_softplus(-(2 * y - 1) * x), reduction),
            "targets are -1 and 1",
        ),
        from_formula("target_ignored", lambda x, y, *, reduction: _reduce(_softplus(-x), reduction)),
        from_formula(
            "only_the_sign_of_the_target",
            lambda x, y, *, reduction: _reduce(_softplus(-np.sign(y) * x), reduction),
            "the target multiplies, whatever it is",
        ),
    ),
    conformance=(
        *elementwise_cases(
            values=["uniform", "wide", "moderate", "large", "certain", "infinities", "nan", "grid", "free_targets"]
        ),
        *grid(
            dtype=["float64", "float32", "float16", "bfloat16"],
            shape=pairs((2, 2)),
            values="golden",
            reduction=["none", "mean", "sum"],
        ),
        *grid(dtype="float32", shape=[((3, 4), (4, 3)), ((3,), (4,))], reduction="mean", raises="two different shapes"),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), reduction=["mean", "none"]),
)

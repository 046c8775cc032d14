"""hinge_embedding(input, target, *, margin=1.0, reduction): x where y = 1, max(0, margin - x) where y = -1.

Any other target costs the sum of both, which is what PyTorch's two masks (y != -1 and y != 1) make of it: x = 0.3, y =
0 and a margin of 1 cost 1.0. Shapes: both the same; none -> that shape, mean and sum -> (). The mean of nothing is NaN,
its sum 0. Gradient with respect to the input: g where y != -1, less g where y != 1 and margin - x >= 0 (PyTorch's clamp
lets the gradient pass at 0), divided by the count for a mean; the target has none.

x = -inf with y = 1 gives -inf, with y = -1 inf; NaN stays NaN. Oracle and bound: running error analysis
(harness.judge.tracked): exact where y = 1, u |margin - x| where y = -1. Specification: PyTorch; two shapes that differ
are an error here (PyTorch broadcasts).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, maximum, where
from harness.precision import numpy_dtype, widen

from .losses import BENCHMARK, elementwise_cases, loss_cost, loss_terms, pairs, reduction_mutants, signs
from .losses import reduce as _reduce
from .margin_ranking import not_negative
from .wrong import always, from_formula, general


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    shape, other = case.shapes
    family = "grid" if case.values == "other_targets" else case.values
    x = draw(family, shape, case.dtype, rng, terms=2 * max(1, int(np.prod(shape))))
    target = signs(other, case.dtype, rng)
    if case.values == "other_targets":
        target = np.asarray(rng.choice([-1.0, 0.0, 0.5, 1.0, 2.0], other)).astype(numpy_dtype(case.dtype))
    return x, target


def formula(x: Tracked, target: Tracked, *, margin: float = 1.0, reduction: str) -> Tracked:
    if x.shape != target.shape:
        raise ValueError(f"hinge_embedding needs two arrays of one shape, not {x.shape} and {target.shape}")
    far = where(target.value != 1, maximum(margin - x, 0.0), 0.0)
    near = where(target.value != -1, x, 0.0)
    return reduced(far + near, reduction)


def gradient(g: Tracked, x: Tracked, target: Tracked, *, margin: float = 1.0, reduction: str) -> Tracked:
    slope = where(target.value != -1, 1.0, x * 0.0) - where(target.value != 1, not_negative(margin - x), 0.0)
    return slope * spread(g, x, reduction)


def near_is_the_input(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Where y = 1 a loss is the input, bit for bit (but for subnormal numbers, which may be flushed)."""
    if case["reduction"] != "none" or case.values == "bits":
        return None
    x, target = inputs
    near = target == 1

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        left, right = np.where(near, widen(answer), 0.0), np.where(near, widen(x), 0.0)
        return left, right, np.zeros_like(left)

    return Probe(None, relate)


def larger_margin(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """A margin that is larger by 1 costs between 0 and 1 more."""
    if case["reduction"] != "none" or case.layout != "contiguous" or case.values in ("infinities", "nan", "bits"):
        return None

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        more = widen(other) - widen(answer)
        return more, np.clip(more, 0.0, 1.0), one + two

    return Probe(inputs, relate, {"margin": case["margin"] + 1.0})


def _clamped(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def _wrong(name: str, losses: Any, lesson: str = "") -> Any:
    """A mutant from wrong losses (x, y, margin)."""

    def function(x: Any, y: Any, *, margin: float, reduction: str) -> Any:
        return _reduce(np.asarray(losses(x, y, x.dtype.type(margin)), dtype=x.dtype), reduction)

    return from_formula(name, function, lesson)


oracle, bound = derived_from(formula)
VALUES = ["wide", "integers", "grid", "bits", "cancelling", "infinities", "nan", "other_targets"]

hinge_embedding = Operator(
    name="hinge_embedding",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=("normal", "uniform", "wide", "grid", "integers", "cancelling", "other_targets"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=float,
    redraw=True,
    free=(0,),
    specification="PyTorch",
    properties=(Property("near_is_the_input", near_is_the_input), Property("larger_margin", larger_margin)),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "default_margin", "the margin is 1 whatever was asked for", margin=1.0),
        _wrong("targets_mirrored", lambda x, y, m: np.where(y == -1, x, _clamped(m - x)), "y = 1 costs x"),
        _wrong("not_clamped", lambda x, y, m: np.where(y == 1, x, m - x), "a distance beyond the margin costs nothing"),
        _wrong(
            "near_clamped",
            lambda x, y, m: np.where(y == 1, _clamped(x), _clamped(m - x)),
            "only the far side is clamped: x below zero stays",
        ),
        _wrong("hinge", lambda x, y, m: _clamped(m - y * x), "that is the hinge loss"),
        _wrong("sign_of_the_margin", lambda x, y, m: np.where(y == 1, x, _clamped(x - m))),
        _wrong("far_costs_nothing", lambda x, y, m: np.where(y == 1, x, 0)),
        _wrong("near_costs_nothing", lambda x, y, m: np.where(y == -1, _clamped(m - x), 0)),
        _wrong("squared", lambda x, y, m: np.where(y == 1, x, _clamped(m - x)) ** 2),
        _wrong("absolute_input", lambda x, y, m: np.where(y == 1, abs(x), _clamped(m - abs(x)))),
        _wrong(
            "other_targets_count_as_far",
            lambda x, y, m: np.where(y == 1, x, _clamped(m - x)),
            "a target other than -1 and 1 costs the sum of both",
        ),
        _wrong("other_targets_count_as_near", lambda x, y, m: np.where(y == -1, _clamped(m - x), x)),
        _wrong("clamp_drops_nan", lambda x, y, m: np.where(y == 1, x, np.fmax(m - x, 0)), "max(NaN, 0) is NaN here"),
    ),
    conformance=(
        *elementwise_cases(values=VALUES, margin=[1.0, 0.5]),
        *grid(
            dtype="float32",
            shape=pairs((3, 301)),
            values=["normal", "grid", "other_targets"],
            margin=[0.0, 0.1, -0.5, 2.0],
            reduction=["none", "mean"],
        ),
        *grid(
            dtype="float32",
            shape=[((3, 4), (4, 3)), ((3,), (4,))],
            margin=1.0,
            reduction="mean",
            raises="two different shapes",
        ),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), margin=1.0, reduction=["mean", "none"]),
)

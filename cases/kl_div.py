"""kl_div(input, target, *, reduction, log_target=False): t (ln t - x), where x is the logarithm of a probability.

With log_target the target is a logarithm too: exp(t) (t - x). Shapes: both the same; none -> that shape, mean, sum and
batchmean -> (). batchmean divides the sum by the length of the first axis (by 1 for rank 0), mean by the number of
elements. The mean of nothing is NaN, its sum 0. Gradients: for the input -t g, for the target (ln t + 1 - x) g; with
log_target -exp(t) g and exp(t) (t - x + 1) g. They are judged where t > 0.

Edge semantics (those of t ln t - t x as it stands, with 0 ln 0 = 0): t = 0 -> 0, but t = 0 with x = -inf is NaN; t < 0
is NaN; with log_target t = -inf is NaN. Nothing is checked for being a probability. Oracle and bound: running error
analysis (harness.judge.tracked): u t ((c_l + 2) |ln t| + 2 |x|) per loss, which permits t (ln t - x) as well.
Specification: PyTorch; two shapes that differ are an error here (PyTorch broadcasts).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, exp, log, where
from harness.precision import format_of, numpy_dtype, widen

from .losses import (
    BENCHMARK,
    elementwise_cases,
    in_order,
    loss_cost,
    loss_terms,
    pairs,
    reduction_mutants,
    reproduces,
)
from .losses import reduce as _reduce
from .wrong import always, from_formula, general

GOLDEN = ([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]], [[0.9, 0.05, 0.05], [0.1, 0.7, 0.2]])
"""The published inputs; the first is read as logarithms, so its divergence is below zero."""


def rows_of_chances(shape: tuple[int, ...], scale: float, rng: np.random.Generator) -> np.ndarray:
    """Logarithms of probabilities: the last axis of their exponentials adds up to 1."""
    x = scale * rng.standard_normal(shape or (1,))
    if x.size:
        x = x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True))
    return x.reshape(shape)


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    kind, (shape, other) = numpy_dtype(case.dtype), case.shapes
    x, target = (rows_of_chances(one, 1.0, rng) for one in (shape, other))
    match case.values:
        case "golden":
            x, target = (np.array(one) for one in GOLDEN)
            target = np.log(target) if case["log_target"] else target
            return x.astype(kind), target.astype(kind)
        case "wide":
            x, target = (rows_of_chances(one, 3.0, rng) for one in (shape, other))
        case "equal_rows":  # the divergence of nearly the same distributions
            target = x + 2.0**-7 * rng.standard_normal(shape)
        case "none":  # targets of 0, and inputs of -inf, also at the same place
            x = np.where(rng.random(shape) < 0.3, -np.inf, x)
            target = np.where(rng.random(other) < 0.3, -np.inf, target)
        case "grid":
            x, target = draw("grid", shape, case.dtype, rng), np.log(rng.integers(1, 9, other) / 8)
        case "negative_targets":
            raw = draw("normal", other, case.dtype, rng)
            return x.astype(kind), raw.astype(kind)
        case "nan" | "infinities":
            x = draw(case.values, shape, case.dtype, rng)
    if case.dtype == "float16" and case.values != "none":
        target = np.maximum(target, -9.0)  # above underflow, to which the gradient's ln t is sensitive
    target = target if case["log_target"] else np.exp(target)
    return np.asarray(x).astype(kind), np.asarray(target).astype(kind)


def batch(reduction: str, shape: tuple[int, ...]) -> tuple[str, float | None]:
    """The reduction in PyTorch's three words, and what a mean divides by: batchmean counts the first axis only."""
    return ("mean", float(shape[0] if shape else 1)) if reduction == "batchmean" else (reduction, None)


def formula(x: Tracked, target: Tracked, *, reduction: str, log_target: bool = False) -> Tracked:
    if x.shape != target.shape:
        raise ValueError(f"kl_div needs two arrays of one shape, not {x.shape} and {target.shape}")
    if log_target:
        losses = exp(target) * (target - x)
    else:
        losses = where(target.value == 0, 0.0, target * log(target)) - target * x
    return reduced(losses, *batch(reduction, x.shape))


def gradient(
    g: Tracked, x: Tracked, target: Tracked, *, reduction: str, log_target: bool = False
) -> tuple[Tracked, Tracked]:
    kind, count = batch(reduction, x.shape)
    down = spread(g, x, kind, count)
    if log_target:
        chance = exp(target)
        # step by step: exp(t) (t - x) and exp(t), which cancel where t - x is near -1
        return -chance * down, ((target - x + 1.0) * chance).widened(chance * 8.0) * down
    # t / t is 1, but in half precision t g may underflow: step by step, as the derivatives of t ln t and t x
    return -target * down, log(target) * down + target * down / target - x * down


def of_itself(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """A distribution does not diverge from itself: 0, but for the rounding of its logarithms."""
    x, target = inputs
    if case.values not in ("normal", "wide") or case.layout != "contiguous" or x.size == 0:
        return None
    form = format_of(case.dtype)
    same = target if case["log_target"] else np.log(widen(target)).astype(target.dtype)
    off = 0.0 if case["log_target"] else form.unit * np.max(np.abs(widen(target) * widen(same)))
    count = x.size if case["reduction"] in ("sum", "batchmean") else 1

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        return other, np.zeros_like(other), two + 1.01 * count * off

    return Probe((same, target), relate)


def not_below_zero(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The sum is at least T ln(T / X), of the totals T of t and X of exp(x): 0 if both are distributions."""
    if case["reduction"] != "sum" or case.values not in ("normal", "wide", "equal_rows") or 0 in case.shapes[0]:
        return None
    x, target = (widen(one) for one in inputs)
    total, other = np.sum(np.exp(target) if case["log_target"] else target), np.sum(np.exp(x))
    least = total * np.log(total / other) - 1e-12 * np.sum(np.abs(target) + np.abs(x))  # for the float64 of this

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return np.maximum(widen(answer), least), widen(answer), bound

    return Probe(None, relate)


def mean_of_batches(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """batchmean is the sum over the length of the first axis."""
    if case["reduction"] != "batchmean" or case.layout != "contiguous" or inputs[0].size == 0:
        return None
    length = inputs[0].shape[0] if inputs[0].ndim else 1

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        return widen(answer), widen(other) / length, one + two / length

    return Probe(inputs, relate, {"reduction": "sum"})


def reduce_batch(losses: np.ndarray, reduction: str) -> Any:
    """As `_reduce`, with batchmean, for wrong formulas."""
    if reduction != "batchmean":
        return _reduce(losses, reduction)
    return _reduce(losses, "sum") / losses.dtype.type(losses.shape[0] if losses.ndim else 1)


def _losses(x: np.ndarray, t: np.ndarray, log_target: bool) -> np.ndarray:
    return np.exp(t) * (t - x) if log_target else np.where(t == 0, 0, t * np.log(t)).astype(t.dtype) - t * x


def _wrong(name: str, losses: Any, lesson: str = "") -> Any:
    """A mutant from wrong losses (x, t, log_target)."""
    return from_formula(
        name, lambda x, t, *, reduction, log_target: reduce_batch(losses(x, t, log_target), reduction), lesson
    )


def _batchmean_as(reduction: str) -> Any:
    return lambda x, t, *, reduction_=reduction, log_target, **named: reduce_batch(
        _losses(x, t, log_target), reduction_ if named["reduction"] == "batchmean" else named["reduction"]
    )


oracle, bound = derived_from(formula)
FLOATS = ["float64", "float32", "float16", "bfloat16"]

kl_div = Operator(
    name="kl_div",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    gradient_values=("normal", "wide", "equal_rows", "grid", "golden"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=lambda terms: 64.0 * terms,
    redraw=True,
    free=(0,),
    specification="PyTorch",
    properties=(
        Property("of_itself", of_itself),
        Property("not_below_zero", not_below_zero),
        Property("batchmean_is_sum_over_batch", mean_of_batches),
        reproduces({"sum": -2.00122, "mean": -0.33354, "batchmean": -1.00061}, 0.5e-5),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "batchmean_is_mean", "mean divides by every element, batchmean by rows", reduction="batchmean"),
        from_formula("batchmean_divides_by_all", _batchmean_as("mean"), "batchmean divides by the first axis only"),
        from_formula("batchmean_is_sum", _batchmean_as("sum")),
        always(oracle, "target_never_logarithmic", "log_target=True: the target is a logarithm", log_target=False),
        always(oracle, "target_always_logarithmic", log_target=True),
        _wrong(
            "input_taken_for_a_probability",
            lambda x, t, log_target: _losses(np.log(x), t, log_target),
            "the input is a logarithm already",
        ),
        _wrong(
            "nothing_times_its_logarithm",
            lambda x, t, log_target: _losses(x, t, True) if log_target else t * (np.log(t) - x),
            "0 ln 0 is 0",
        ),
        _wrong(
            "epsilon_inside_the_logarithm",
            lambda x, t, log_target: _losses(x, t, True) if log_target else t * (np.log(t + t.dtype.type(1e-8)) - x),
        ),
        _wrong(
            "nothing_where_the_target_is_nothing",
            lambda x, t, log_target: (
                np.where(np.isneginf(t), 0, _losses(x, t, True))
                if log_target
                else np.where(t == 0, 0, _losses(x, t, False))
            ),
            "0 * -inf is NaN, as in PyTorch",
        ),
        _wrong("reversed", lambda x, t, log_target: _losses(t, x, True) if log_target else np.exp(x) * (x - np.log(t))),
        _wrong("cross_entropy", lambda x, t, log_target: -(np.exp(t) if log_target else t) * x, "ln t is missing"),
        _wrong(
            "sign",
            lambda x, t, log_target: _losses(-x, t, log_target),
        ),
        _wrong("base_two", lambda x, t, log_target: _losses(x, t, log_target) / np.log(x.dtype.type(2))),
        _wrong(
            "input_and_target_normalised",
            lambda x, t, log_target: (
                _losses(x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True)), t, log_target) if x.ndim else x
            ),
            "the input is taken as it is",
        ),
        _wrong(
            "never_below_zero",
            lambda x, t, log_target: np.maximum(_losses(x, t, log_target), 0),
            "single elements may be below zero",
        ),
    ),
    conformance=(
        *in_order(
            elementwise_cases(
                values=["wide", "equal_rows", "none", "grid", "nan", "negative_targets"], log_target=False
            ),
            "reduction",
            "log_target",
        ),
        *grid(dtype=FLOATS, shape=pairs((7, 33)), reduction=["none", "mean", "batchmean"], log_target=True),
        *grid(dtype=FLOATS, shape=pairs((7, 33)), reduction="batchmean", log_target=False),
        *grid(
            dtype="float32",
            shape=pairs((), (1025,), (0, 3), (2, 3, 2, 3, 2)),
            reduction="batchmean",
            log_target=[False, True],
        ),
        *grid(
            dtype="float32",
            shape=pairs((3, 301)),
            values=["wide", "equal_rows", "none", "infinities"],
            reduction=["none", "sum"],
            log_target=True,
        ),
        *grid(
            dtype=["float64", "float32"],
            shape=pairs((2, 3)),
            values="golden",
            reduction=["none", "sum", "mean", "batchmean"],
            log_target=[False, True],
        ),
        *grid(
            dtype="float32",
            shape=[((3, 4), (4, 3)), ((3,), (4,))],
            reduction="mean",
            log_target=False,
            raises="two different shapes",
        ),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), reduction=["batchmean", "none"], log_target=False),
)

"""bce_with_logits(input, target[, weight][, pos_weight], *, weighted, positive_weighted, reduction).

bce(sigmoid(x), t) = w ((1 - t) x + (1 + (q - 1) t) softplus(-x)), with softplus(-x) = max(-x, 0) + log1p(exp(-|x|)),
weight w and weight of the positives q. Shapes: input and target the same; each weight broadcasts to theirs; none ->
that shape, mean and sum -> (). A mean divides by the number of losses. The mean of nothing is NaN, its sum 0. Targets
are any numbers.

Gradients: for the input ((1 - t) - (1 + (q - 1) t) sigmoid(-x)) w g, for the target (-x + (q - 1) softplus(-x)) w g,
divided by the count for a mean; the weights have none. Edge semantics (PyTorch's, those of the formula as it stands): x
= 1000, t = 0 -> 1000; x = inf, t = 0 -> inf; x = +-inf, t = 1 -> NaN from 0 * inf, though the limit for inf is 0; x =
-inf, t = 0 -> NaN.

Oracle and bound: running error analysis (harness.judge.tracked), about u ((1 - t) |x| + |x| + (c_l + c_e) log1p(..)):
(1 - t) x and max(-x, 0) cancel for negative x, so the bound is absolute there, and max(x, 0) - x t + log1p(..), which
does not cancel, is within it. The gradient is bounded as a difference of numbers near 1, in absolute terms: sigmoid(x)
- t and (1 - t) - sigmoid(-x) cancel at opposite ends, and both are right. Specification: PyTorch. Bad inputs: two
shapes that differ, weights that do not broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, sigmoid, softplus
from harness.precision import numpy_dtype, widen

from .bce import triples
from .losses import BENCHMARK, elementwise_cases, loss_cost, loss_terms, pairs, reduction_mutants
from .losses import reduce as _reduce
from .wrong import always, from_formula, general


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    kind, (shape, other) = numpy_dtype(case.dtype), case.shapes[:2]
    weights = [(2 * draw("uniform", one, case.dtype, rng)).astype(kind) for one in case.shapes[2:]]
    if case.values == "edges":
        x = rng.choice([1000.0, -1000.0, np.inf, -np.inf, 40.0, -40.0, 0.0, 100.0, -100.0], shape)
        target = rng.choice([0.0, 1.0, 0.5], other)
    elif case.values in ("grid", "integers"):
        x, target = draw(case.values, shape, case.dtype, rng), rng.integers(0, 9, other) / 8
    elif case.values == "free_targets":
        x, target = (draw("normal", one, case.dtype, rng) for one in (shape, other))
    else:
        x = draw(case.values, shape, case.dtype, rng)
        hard = case.values in ("wide", "overflow")
        target = rng.integers(0, 2, other).astype(float) if hard else rng.random(other)
    return np.asarray(x).astype(kind), np.asarray(target).astype(kind), *weights


def _named(weights: tuple[Any, ...], weighted: bool, positive_weighted: bool) -> tuple[Any, Any]:
    """(weight, pos_weight) of the arrays that follow the target, None for each that is not there."""
    rest = list(weights)
    weight = rest.pop(0) if weighted else None
    return weight, rest.pop(0) if positive_weighted else None


def formula(
    x: Tracked, target: Tracked, *weights: Tracked, weighted: bool, positive_weighted: bool, reduction: str
) -> Tracked:
    if x.shape != target.shape:
        raise ValueError(f"bce_with_logits needs two arrays of one shape, not {x.shape} and {target.shape}")
    weight, positive = _named(weights, weighted, positive_weighted)
    soft = softplus(-x)
    if positive is not None:
        soft = ((positive - 1.0) * target + 1.0) * soft
    losses = (1.0 - target) * x + soft
    return reduced(losses if weight is None else losses * weight, reduction)


def gradient(
    g: Tracked,
    x: Tracked,
    target: Tracked,
    *weights: Tracked,
    weighted: bool,
    positive_weighted: bool,
    reduction: str,
) -> tuple[Tracked, Tracked]:
    weight, positive = _named(weights, weighted, positive_weighted)
    down = spread(g, x, reduction)
    if weight is not None:
        down = down * weight
    if positive is None:
        return _slope(x, target, x.constant(1.0)) * down, -x * down
    # automatic differentiation adds -x - softplus(-x) and q softplus(-x), which cancel near q = 1
    slope = (-x + (positive - 1.0) * softplus(-x)).widened(abs(x) + (positive + 1.0) * softplus(-x))
    return _slope(x, target, positive) * down, slope * down


def _slope(x: Tracked, target: Tracked, positive: Tracked) -> Tracked:
    """(1 - t) - (1 + (q - 1) t) sigmoid(-x); other forms round sigmoid(x), t q + 1 and t, the large ones."""
    factor = (positive - 1.0) * target + 1.0
    terms = abs(target * positive) + abs(target) + 1.0 + abs(factor) * 4.0
    return ((1.0 - target) - factor * sigmoid(-x)).widened(terms)


def mirrored(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """f(x, t) = f(-x, 1 - t) within both bounds, where 1 - t is exact."""
    if case.layout != "contiguous" or case.values != "grid" or case["positive_weighted"]:
        return None

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        return other, answer, one + two

    x, target, *rest = inputs
    return Probe((-x, target.dtype.type(1) - target, *rest), relate)


def linear_in_positive_weight(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """With all weights of positives 1 the answer is that without them."""
    if not case["positive_weighted"] or case.layout != "contiguous" or case.values == "edges":
        return None

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        plain = oracle(*inputs[:-1], weighted=case["weighted"], positive_weighted=False, reduction=case["reduction"])
        return widen(other), plain, two

    return Probe((*inputs[:-1], np.ones_like(inputs[-1])), relate)


def two_classes(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """It is the cross-entropy of the two logits x and 0 with the probabilities t and 1 - t."""
    if case["weighted"] or case["positive_weighted"] or case["reduction"] != "none" or case.layout != "contiguous":
        return None
    if case.values not in ("normal", "wide", "uniform", "grid"):
        return None
    x, target = (widen(one) for one in inputs)
    # x - logsumexp(x, 0) and -logsumexp(x, 0) without cancellation
    right = target * np.logaddexp(-x, 0) + (1 - target) * np.logaddexp(x, 0)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), right, bound * (1 + 1e-3)

    return Probe(None, relate)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


def _losses(x: np.ndarray, t: np.ndarray, positive: Any = None) -> np.ndarray:
    return (1 - t) * x + (_softplus(-x) if positive is None else (1 + (positive - 1) * t) * _softplus(-x))


def _wrong(name: str, losses: Any, lesson: str = "") -> Any:
    """A mutant from a wrong loss of x, t and the weight of positives; the rest is right."""

    def function(x: Any, t: Any, *weights: Any, weighted: bool, positive_weighted: bool, reduction: str) -> Any:
        weight, positive = _named(weights, weighted, positive_weighted)
        found = losses(x, t, x.dtype.type(1) if positive is None else positive)
        return _reduce(found if weight is None else found * weight, reduction)

    return from_formula(name, function, lesson)


def _naive(x: np.ndarray, t: np.ndarray, q: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-x))
    return -(q * t * np.maximum(np.log(p), -100) + (1 - t) * np.maximum(np.log(1 - p), -100))


oracle, bound = derived_from(formula)
FLOATS = ["float64", "float32", "float16", "bfloat16"]
PLAIN = {"weighted": False, "positive_weighted": False}
BROADCAST = [((7, 33), (7, 33), (33,)), ((7, 33), (7, 33), (7, 1)), ((7, 33), (7, 33), ())]
QUADRUPLE = [((7, 33), (7, 33), (7, 33), (33,))]

bce_with_logits = Operator(
    name="bce_with_logits",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    gradient_values=("normal", "uniform", "wide", "negative", "grid", "cancelling", "free_targets"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=float,
    specification="PyTorch",
    properties=(
        Property("mirrored", mirrored),
        Property("positive_weights_of_one", linear_in_positive_weight),
        Property("cross_entropy_of_two_classes", two_classes),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        _wrong("naive", _naive, "sigmoid rounds to 0 and 1: write it with softplus"),
        _wrong(
            "exp_overflows",
            lambda x, t, q: (1 - t) * x + (1 + (q - 1) * t) * np.log1p(np.exp(-x)),
            "exp(-x) overflows for large negative x: log1p(exp(-|x|)) + max(-x, 0)",
        ),
        _wrong(
            "log_of_one_plus_exp",
            lambda x, t, q: (1 - t) * x + (1 + (q - 1) * t) * (np.maximum(-x, 0) + np.log(1 + np.exp(-abs(x)))),
            "1 + exp(-|x|) rounds: log1p",
        ),
        _wrong("targets_mirrored", lambda x, t, q: _losses(x, 1 - t, q)),
        _wrong("sign_of_the_input", lambda x, t, q: _losses(-x, t, q)),
        _wrong("linear_term_dropped", lambda x, t, q: (1 + (q - 1) * t) * _softplus(-x)),
        _wrong("input_taken_for_a_probability", lambda x, t, q: -(t * np.log(x) + (1 - t) * np.log1p(-x))),
        _wrong("limit_at_infinity", lambda x, t, q: np.nan_to_num(_losses(x, t, q), posinf=np.inf)),
        _wrong("logits_clipped", lambda x, t, q: _losses(np.clip(x, -30, 30), t, q), "nothing is clipped"),
        _wrong("positive_weight_of_all", lambda x, t, q: _losses(x, t) * q, "pos_weight scales the positives only"),
        _wrong("positive_weight_of_negatives", lambda x, t, q: _losses(x, t) * (q * (1 - t) + t)),
        _wrong("targets_rounded", lambda x, t, q: _losses(x, np.rint(t), q)),
        _wrong("targets_clipped", lambda x, t, q: _losses(x, np.clip(t, 0, 1), q), "targets are taken as they are"),
        always(oracle, "weights_ignored", "neither weight enters", **PLAIN),
    ),
    conformance=(
        *elementwise_cases(
            values=["uniform", "wide", "overflow", "edges", "nan", "grid", "cancelling", "free_targets"], **PLAIN
        ),
        *(
            case
            for weighted, positive in ((True, False), (False, True))
            for case in grid(
                dtype=FLOATS,
                shape=triples((7, 33)),
                weighted=weighted,
                positive_weighted=positive,
                reduction=["none", "mean"],
            )
        ),
        *grid(dtype=FLOATS, shape=QUADRUPLE, weighted=True, positive_weighted=True, reduction=["none", "mean", "sum"]),
        *grid(dtype="float32", shape=BROADCAST, weighted=True, positive_weighted=False, reduction=["none", "mean"]),
        *grid(dtype="float32", shape=BROADCAST, weighted=False, positive_weighted=True, reduction=["none", "mean"]),
        *grid(
            dtype="float32",
            shape=triples((3, 301)),
            values=["wide", "edges", "overflow"],
            weighted=False,
            positive_weighted=True,
            reduction="none",
        ),
        *grid(
            dtype="float32",
            shape=[((3, 4), (4, 3)), ((3,), (3, 1)), ((3,), (4,))],
            **PLAIN,
            reduction="mean",
            raises="two different shapes",
        ),
        *grid(
            dtype="float32",
            shape=[((3, 4), (3, 4), (3,)), ((3, 4), (3, 4), (5,))],
            weighted=True,
            positive_weighted=False,
            reduction="mean",
            raises="a weight that does not broadcast",
        ),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), **PLAIN, reduction=["mean", "none"]),
)

"""component_score_before_sigmoid(scores, attention) and component_score_after_sigmoid(scores, attention).

An edge of a disentangled knowledge graph has a score s_k per component and a logit of attention a_k for each; with
p = softmax(a) over the K components, two models differ in where the attention is applied:

    before the sigmoid: sigmoid(sum_k p_k s_k)            after the sigmoid: sum_k p_k sigmoid(s_k)

Shapes: both (..., K) -> (...). They agree for K = 1, for equal scores, and where one component has all the attention.
Gradients, with z = sum_k p_k s_k, y the answer and d(x) = sigmoid(x) sigmoid(-x):

    before: ds_k = g d(z) p_k,   da_k = g d(z) p_k (s_k - z)
    after:  ds_k = g p_k d(s_k), da_k = g p_k (sigmoid(s_k) - y)

Oracle and bound: running error analysis of the formulas (harness.judge.tracked). In the gradients d(x) is allowed the
error of sigmoid(x) (1 - sigmoid(x)), which is what automatic differentiation computes: 4 u, absolute, in the second
factor. Specification: PyTorch's softmax and sigmoid: logits of -inf alone, or with +inf, make NaN; a component with the
logit -inf has the weight 0 (and 0 times an infinite score is NaN, before the sigmoid); infinite scores give 0 or 1.
K = 0 sums nothing: 1/2 before, 0 after. Errors: two shapes that differ, arrays without axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked, exp, sigmoid
from harness.precision import FLOATS, numpy_dtype, widen

from .losses import LAYOUTS
from .wrong import Oracle, from_formula, general, of_changed_inputs


def check(scores: Any, attention: Any) -> None:
    if scores.ndim == 0 or scores.shape != attention.shape:
        raise ValueError(f"two arrays of one shape (..., K) are needed, not {scores.shape} and {attention.shape}")


def weights(attention: Tracked) -> Tracked:
    """softmax over the last axis."""
    e = exp(attention - attention.max(-1, keepdims=True))
    return e / e.sum(-1).reshape(*e.shape[:-1], 1)


def row(x: Tracked) -> Tracked:
    """One number per row, as a column beside the components."""
    return x.reshape(*x.shape, 1)


def slope(x: Tracked) -> Tracked:
    """The derivative of the sigmoid, with the error of sigmoid(x) (1 - sigmoid(x))."""
    up = sigmoid(x)
    return up * sigmoid(-x).widened(4.0 * up.value)


def through_softmax(p: Tracked, down: Tracked) -> Tracked:
    """The gradient of the logits from that of the weights."""
    return p * (down - row((p * down).sum(-1)))


def before(scores: Tracked, attention: Tracked) -> Tracked:
    check(scores, attention)
    return sigmoid((weights(attention) * scores).sum(-1))


def before_gradient(g: Tracked, scores: Tracked, attention: Tracked) -> tuple[Tracked, Tracked]:
    p = weights(attention)
    down = row(g * slope((p * scores).sum(-1)))
    return down * p, through_softmax(p, down * scores)


def after(scores: Tracked, attention: Tracked) -> Tracked:
    check(scores, attention)
    return (weights(attention) * sigmoid(scores)).sum(-1)


def after_gradient(g: Tracked, scores: Tracked, attention: Tracked) -> tuple[Tracked, Tracked]:
    p = weights(attention)
    return row(g) * p * slope(scores), through_softmax(p, row(g) * sigmoid(scores))


ATTENTION_ONLY = ("masked", "masked_out", "overflow", "one_huge")
"""Families that only the attention is drawn from: with infinite scores they would ask how a weight underflows."""
SCORES_ONLY = ("infinities", "saturated")


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    first, second = case.shapes
    scores_from = "normal" if case.values in ATTENTION_ONLY else case.values
    attention_from = "normal" if case.values in SCORES_ONLY else case.values
    if case.values == "saturated":
        scores = (60.0 * rng.standard_normal(first)).astype(numpy_dtype(case.dtype))
    else:
        scores = draw(scores_from, first, case.dtype, rng)
    return scores, draw(attention_from, second, case.dtype, rng)


# ---- laws


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Reordering the components keeps the answer, within both bounds."""
    if case.layout == "expanded" or inputs[0].size == 0:
        return None
    order = rng.permutation(inputs[0].shape[-1])

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound

    return Probe(tuple(x[..., order] for x in inputs), relate)


def complement(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The scores' opposites give the answer's complement to 1, within both bounds."""
    if case.layout != "contiguous":
        return None
    scores, attention = inputs

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        total = widen(answer) + widen(other)
        # a row that is NaN is judged by the pattern of NaN, not by its sum
        return np.where(np.isnan(total), 1.0, total), np.ones_like(total), bound + other_bound + 1e-18

    return Probe((-scores, attention), relate) if scores.shape[-1] else None


def shifted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On a grid, the same constant added to all logits changes not one bit: a - max is exact in both."""
    if case.values != "grid" or case.layout != "contiguous":
        return None
    scores, attention = inputs
    shift = {"bfloat16": 8.0, "float16": 64.0}.get(case.dtype, 200.0)

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, answer, np.zeros_like(answer)

    return Probe((scores, attention + attention.dtype.type(shift)), relate)


def equal_scores(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Where a row has one score only, attention does not matter: the same for equal logits, within both bounds."""
    scores, attention = inputs
    if case.layout != "contiguous" or case.values != "normal" or 0 in scores.shape:
        return None
    same = np.broadcast_to(scores[..., :1], scores.shape).copy()
    score = same[..., 0].astype(np.float64)

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, 1.0 / (1.0 + np.exp(-score)), other_bound + 1e-15

    return Probe((same, attention), relate)


# ---- wrong versions, in NumPy's own arithmetic


def _softmax(a: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(a - np.max(a, axis=axis, keepdims=True, initial=-np.inf))
    return np.asarray(e / np.sum(e, axis=axis, keepdims=True))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + e), e / (1 + e)))


def _unshifted(a: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(a) / np.sum(np.exp(a), axis=-1, keepdims=True))


def mutants(oracle: Oracle, other: Oracle, name: str, blend: Any) -> tuple[Mutant, ...]:
    """`blend(weights, scores)` combines as the operator does; `other` is the operator that it must not be."""

    def of_weights(weigh: Any) -> Any:
        return lambda s, a: blend(weigh(a), s)

    return (
        *general(oracle),
        from_formula(
            f"attention_{name}_the_sigmoid",
            lambda s, a: np.asarray(other(s, a)).astype(s.dtype),
            "a sigmoid of a mean is not the mean of sigmoids; this is the other model",
        ),
        from_formula("attention_ignored", of_weights(lambda a: np.full_like(a, 1.0 / max(1, a.shape[-1])))),
        from_formula("logits_not_normalised", of_weights(lambda a: a), "the logits are to go through a softmax"),
        from_formula("exponentials_not_normalised", of_weights(np.exp), "divide by the sum of the exponentials"),
        from_formula(
            "no_max_subtraction",
            of_weights(_unshifted),
            "exp overflows above 88 in float32; subtract the largest logit of each row before exp",
        ),
        from_formula("sigmoid_attention", of_weights(_sigmoid)),
        from_formula("softmax_over_the_batch", of_weights(lambda a: _softmax(a, 0)), "the softmax is over components"),
        from_formula("largest_attention_only", of_weights(lambda a: 1.0 * (a == a.max(-1, keepdims=True, initial=0)))),
        from_formula("no_sigmoid", lambda s, a: np.sum(_softmax(a) * s, axis=-1)),
        from_formula("sum_not_weighted_mean", lambda s, a: blend(_softmax(a) * max(1, a.shape[-1]), s)),
        from_formula("tanh_for_sigmoid", lambda s, a: blend(_softmax(a), 2 * s)),
        from_formula("arguments_swapped", lambda s, a: blend(_softmax(s), a)),
        of_changed_inputs(oracle, "last_component_dropped", lambda s, a: (s[..., :-1], a[..., :-1])),
        of_changed_inputs(oracle, "scores_negated", lambda s, a: (-s, a)),
    )


def cost(case: Case) -> Cost:
    """Read both arrays once, write one number per row; about eight operations per component."""
    count = int(np.prod(case.shapes[0]))
    outputs = count // max(1, case.shapes[0][-1])
    return Cost(bytes=(2 * count + outputs) * numpy_dtype(case.dtype).itemsize, flops=8 * count)


def _pairs(*shapes: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(shape, shape) for shape in shapes]


VALUES = [
    "uniform", "wide", "negative", "grid", "equal", "saturated", "masked", "masked_out", "overflow", "infinities",
    "nan", "one_huge",
]  # fmt: skip
CONFORMANCE = (
    *grid(dtype="float32", shape=_pairs((5, 1), (5, 2), (5, 4), (257, 4), (3, 31), (3, 33), (3, 257), (2, 1025))),
    *grid(dtype=["float64", "float16", "bfloat16"], shape=_pairs((5, 1), (257, 4), (3, 257))),
    *grid(dtype=FLOATS, shape=_pairs((19, 8)), values=["normal", *VALUES]),
    *grid(dtype="float32", shape=_pairs((8,), (2, 3, 8), (2, 3, 2, 3, 4))),
    *grid(dtype="float32", shape=_pairs((0, 4), (3, 0), (0,))),
    *grid(dtype="float32", shape=_pairs((37, 53)), layout=LAYOUTS),
    *grid(dtype=["float64", "bfloat16"], shape=_pairs((37, 53)), layout=["transposed", "strided"]),
    *grid(dtype="float32", shape=[((5, 4), (5, 3)), ((5, 4), (4,)), ((5, 1), (5, 4))], raises="two different shapes"),
    *grid(dtype="float32", shape=[((), ())], raises="arrays without axes"),
)
BENCHMARKS = (
    *grid(dtype="float32", shape=_pairs((65536, 8))),
    *grid(dtype="float32", shape=_pairs((4096, 64))),
)
PROPERTIES = (
    Property("permutation", permuted),
    Property("complement", complement),
    Property("shift_invariance", shifted),
    Property("equal_scores", equal_scores),
)
GRADIENT_VALUES = (
    "normal", "uniform", "wide", "negative", "grid", "equal", "saturated", "overflow", "one_huge",
)  # fmt: skip

before_oracle, before_bound = derived_from(before)
after_oracle, after_bound = derived_from(after)


def operator(name: str, oracle: Oracle, bound: Any, gradient: Any, wrong: tuple[Mutant, ...]) -> Operator:
    return Operator(
        name=name,
        inputs=inputs,
        oracle=oracle,
        bound=bound,
        gradients=gradients_of(gradient, 0, 1),
        gradient_values=GRADIENT_VALUES,
        cost=cost,
        terms=lambda case: case.shapes[0][-1],
        specification="PyTorch's softmax and sigmoid",
        properties=PROPERTIES,
        mutants=wrong,
        conformance=CONFORMANCE,
        benchmarks=BENCHMARKS,
    )


component_score_before_sigmoid = operator(
    "component_score_before_sigmoid",
    before_oracle,
    before_bound,
    before_gradient,
    mutants(before_oracle, after_oracle, "after", lambda p, s: _sigmoid(np.sum(p * s, axis=-1))),
)
component_score_after_sigmoid = operator(
    "component_score_after_sigmoid",
    after_oracle,
    after_bound,
    after_gradient,
    mutants(after_oracle, before_oracle, "before", lambda p, s: np.sum(p * _sigmoid(s), axis=-1)),
)

"""bce(input, target[, weight], *, weighted, reduction): -w (t max(ln p, -100) + (1 - t) max(ln(1 - p), -100)).

Shapes: input and target the same; a weight (weighted=True) of a shape that broadcasts to theirs; none -> that shape,
mean and sum -> (). A mean divides by the number of losses, not by the weights. The mean of nothing is NaN, its sum 0.
Logarithms are cut off at -100: bce(0, 1) = bce(1, 0) = 100. Gradients: for the input ((1 - t) / (1 - p) - t / p) w g,
for the target (ln(1 - p) - ln p) w g, divided by the count for a mean. They are judged where p is in (0, 1): at 0 and 1
PyTorch has 1e-12 for p (1 - p), and no limit on the logarithms.

Oracle and bound: running error analysis of the formula with log1p (harness.judge.tracked): (c_l + 2) u (t |ln p| +
(1 - t) |ln(1 - p)|) per loss. 1 - p that is rounded before the logarithm is not allowed for: at p = 1e-6 it costs 3
digits in float32. The gradient is bounded as a difference of two quotients, which is what automatic differentiation
computes; (p - t) / (p (1 - p)) errs less. Specification: PyTorch. Bad inputs: p or t outside [0, 1] or NaN, two shapes
that differ, a weight that does not broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, log, log1p, maximum
from harness.precision import format_of, numpy_dtype

from .losses import BENCHMARK, elementwise_cases, loss_cost, loss_terms, pairs, reduction_mutants, unchanged_by
from .losses import reduce as _reduce
from .wrong import always, from_formula, general

LOWEST_LOG = -100.0


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    kind = numpy_dtype(case.dtype)
    p, target = (np.asarray(one).astype(kind) for one in _drawn(case, rng))
    weights = [draw("uniform", shape, case.dtype, rng) for shape in case.shapes[2:]]
    return p, target, *weights


def _drawn(case: Case, rng: np.random.Generator) -> tuple[Any, Any]:
    """Probabilities and targets; away from 0 and 1 unless the family is about them."""
    shape, other = case.shapes[:2]
    form = format_of(case.dtype)
    p = np.clip(rng.random(shape), 2 * form.unit, 1 - 2 * form.unit)
    target = rng.random(other)
    match case.values:
        case "normal":  # a sigmoid of logits, and hard targets
            p = np.clip(1 / (1 + np.exp(-2 * rng.standard_normal(shape))), 2 * form.unit, 1 - 2 * form.unit)
            target = rng.integers(0, 2, other).astype(float)
        case "grid":
            p, target = rng.integers(1, 8, shape) / 8, rng.integers(0, 9, other) / 8
        case "rare":  # p small, where 1 - p loses what ln(1 - p) needs
            p = np.maximum(10.0 ** rng.uniform(-8, -2, shape), 2.0**-14 if case.dtype == "float16" else 0.0)
            target = np.round(rng.random(other))
        case "certain":  # p of 0 and 1, and their neighbours: the logarithms are cut off
            least = {"float64": 1e-300, "float16": 2.0**-24}.get(case.dtype, 2.0**-126)
            p = rng.choice([0.0, 1.0, least, 1 - form.unit], shape)
            target = rng.choice([0.0, 1.0, 0.5], other)
        case "sure":  # hard targets, and p so near to them that hardly anything is lost
            target = rng.integers(0, 2, other).astype(float)
            p = np.abs(np.broadcast_to(target, shape) - 10.0 ** rng.uniform(-9, -7, shape))
        case "even":
            p = np.full(shape, 0.5)
        case "nan_probability" | "probability_above_one" | "probability_below_zero":
            bad = {"nan_probability": np.nan, "probability_above_one": 1.5, "probability_below_zero": -0.25}
            p.flat[-1] = bad[case.values]
        case "target_above_one" | "target_below_zero":
            target.flat[0] = 1.5 if case.values == "target_above_one" else -0.25
    return p, target


def formula(p: Tracked, target: Tracked, *weight: Tracked, weighted: bool, reduction: str) -> Tracked:
    if p.shape != target.shape:
        raise ValueError(f"bce needs two arrays of one shape, not {p.shape} and {target.shape}")
    losses = -(target * maximum(log(p), LOWEST_LOG) + (1.0 - target) * maximum(log1p(-p), LOWEST_LOG))
    return reduced(losses * weight[0] if weighted else losses, reduction)


def gradient(
    g: Tracked, p: Tracked, target: Tracked, *weight: Tracked, weighted: bool, reduction: str
) -> tuple[Tracked, Tracked]:
    down = spread(g, p, reduction)
    if weighted:
        down = down * weight[0]
    no, yes = (1.0 - target) / (1.0 - p), target / p
    # each quotient may be multiplied by g before they are subtracted, with two roundings of its own
    return (no - yes).widened((no + yes) * 2.0) * down, (log1p(-p) - log(p)) * down


def _mirrored(p: np.ndarray, target: np.ndarray, *weight: np.ndarray) -> tuple[np.ndarray, ...]:
    one = p.dtype.type(1)
    return one - p, one - target, *weight


def doubled_weights(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Twice the weights give twice the loss, bit for bit: a mean does not divide by them."""
    if not case["weighted"] or case.layout != "contiguous" or case.values == "certain" or case.dtype == "float16":
        return None  # the last two for losses near underflow

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, answer + answer, np.zeros_like(answer)

    return Probe((*inputs[:2], inputs[2] + inputs[2]), relate)


def even_odds(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """At p = 1/2 every target costs ln 2."""
    if case.values != "even" or case["weighted"] or case["reduction"] == "sum":
        return None

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return answer, np.full(answer.shape, np.log(np.longdouble(2))), bound

    return Probe(None, relate)


def _logs(p: np.ndarray, lowest: float = LOWEST_LOG) -> tuple[np.ndarray, np.ndarray]:
    floor = p.dtype.type(lowest)
    return np.maximum(np.log(p), floor), np.maximum(np.log1p(-p), floor)


def _losses(p: np.ndarray, t: np.ndarray, yes: np.ndarray, no: np.ndarray) -> np.ndarray:
    return -(t * yes + (1 - t) * no)


def _weighed(losses: np.ndarray, weight: tuple[np.ndarray, ...]) -> np.ndarray:
    return losses * weight[0] if weight else losses


def _wrong(name: str, losses: Any, lesson: str = "") -> Any:
    """A mutant from a wrong loss of p and t; weights and reduction are right."""
    return from_formula(
        name, lambda p, t, *w, weighted, reduction: _reduce(_weighed(losses(p, t), w), reduction), lesson
    )


def _by_the_weights(p: np.ndarray, t: np.ndarray, *weight: np.ndarray, weighted: bool, reduction: str) -> Any:
    losses = _weighed(_losses(p, t, *_logs(p)), weight)
    if weighted and reduction == "mean":
        return np.sum(losses) / np.sum(np.broadcast_to(weight[0], p.shape))
    return _reduce(losses, reduction)


def _of_positives(p: np.ndarray, t: np.ndarray, *weight: np.ndarray, weighted: bool, reduction: str) -> Any:
    yes, no = _logs(p)
    return _reduce(-(_weighed(t * yes, weight) + (1 - t) * no), reduction)


def triples(*shapes: tuple[int, ...]) -> list[tuple[tuple[int, ...], ...]]:
    return [(shape, shape, shape) for shape in shapes]


oracle, bound = derived_from(formula)
BROADCAST = [((7, 33), (7, 33), (33,)), ((7, 33), (7, 33), (7, 1)), ((7, 33), (7, 33), ())]
BAD = ["nan_probability", "probability_above_one", "probability_below_zero", "target_above_one", "target_below_zero"]

bce = Operator(
    name="bce",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    gradient_values=("normal", "uniform", "grid", "even"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=lambda terms: 0.45,
    light="sure",
    redraw=True,
    specification="PyTorch",
    properties=(
        unchanged_by("mirrored", _mirrored, "grid", exact=False),
        Property("power_of_two_weights", doubled_weights),
        Property("even_odds", even_odds),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        _wrong(
            "not_cut_off",
            lambda p, t: _losses(p, t, np.log(p), np.log1p(-p)),
            "0 * ln 0 is NaN: logarithms are cut off at -100",
        ),
        _wrong(
            "p_clipped_by_1e-7",
            lambda p, t: _losses(p, t, *_logs(np.clip(p, p.dtype.type(1e-7), 1 - p.dtype.type(1e-7)))),
            "not p is cut off but its logarithm, at -100",
        ),
        _wrong(
            "epsilon_inside_the_logarithm",
            lambda p, t: _losses(p, t, np.log(p + p.dtype.type(1e-8)), np.log(1 - p + p.dtype.type(1e-8))),
        ),
        _wrong(
            "one_minus_p_is_rounded",
            lambda p, t: _losses(p, t, _logs(p)[0], np.maximum(np.log(1 - p), p.dtype.type(LOWEST_LOG))),
            "1 - p rounds: take log1p(-p)",
        ),
        _wrong("targets_mirrored", lambda p, t: _losses(p, 1 - t, *_logs(p)), "classes 0 and 1 are exchanged"),
        _wrong("input_and_target_exchanged", lambda p, t: _losses(t, p, *_logs(t))),
        _wrong("positives_only", lambda p, t: -(t * _logs(p)[0]), "the term (1 - t) ln(1 - p) is missing"),
        _wrong("base_two", lambda p, t: _losses(p, t, *_logs(p)) / np.log(p.dtype.type(2)), "logarithms are natural"),
        _wrong(
            "targets_rounded",
            lambda p, t: _losses(p, np.rint(t), *_logs(p)),
            "targets may be anything between 0 and 1",
        ),
        _wrong(
            "input_taken_for_logits",
            lambda p, t: np.maximum(p, 0) - p * t + np.log1p(np.exp(-abs(p))),
            "that is bce_with_logits",
        ),
        _wrong("relative_entropy", lambda p, t: _losses(p, t, *_logs(p)) - _losses(t, t, *_logs(t))),
        always(oracle, "weight_ignored", "the weight does not enter", weighted=False),
        from_formula("mean_by_the_weights", _by_the_weights, "a mean divides by the number of losses"),
        from_formula("weight_of_positives_only", _of_positives, "that is pos_weight; a weight scales the whole loss"),
    ),
    conformance=(
        *elementwise_cases(values=["uniform", "grid", "rare", "certain", "even"], weighted=False),
        *grid(
            dtype=["float64", "float32", "float16", "bfloat16"],
            shape=triples((7, 33)),
            weighted=True,
            reduction=["none", "mean", "sum"],
        ),
        *grid(dtype="float32", shape=BROADCAST, values="uniform", weighted=True, reduction=["none", "mean"]),
        *grid(dtype="float32", shape=triples((3, 301)), values=["rare", "certain"], weighted=True, reduction="none"),
        *grid(
            dtype="float32",
            shape=triples((37, 53)),
            layout=["transposed", "strided"],
            weighted=True,
            reduction=["none", "mean"],
        ),
        *grid(
            dtype=["float64", "float32"],
            shape=pairs((3, 4)),
            values=BAD,
            weighted=False,
            reduction="mean",
            raises="not a probability",
        ),
        *grid(
            dtype="float32",
            shape=[((3, 4), (4, 3)), ((3,), (3, 1)), ((3,), (4,))],
            values="uniform",
            weighted=False,
            reduction="mean",
            raises="two different shapes",
        ),
        *grid(
            dtype="float32",
            shape=[((3, 4), (3, 4), (3,)), ((3, 4), (3, 4), (5,))],
            values="uniform",
            weighted=True,
            reduction="mean",
            raises="a weight that does not broadcast",
        ),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), weighted=False, reduction=["mean", "none"]),
)

"""js_div(p, q, *, reduction): p ln(p / m) / 2 + q ln(q / m) / 2 with m = (p + q) / 2, of probabilities.

The Jensen-Shannon divergence, element by element, with 0 ln 0 = 0. Shapes: both the same; none -> that shape, mean, sum
and batchmean -> (); batchmean divides the sum by the length of the first axis (by 1 for rank 0). The mean of nothing is
NaN, its sum 0. Gradient with respect to p: ln(p / m) / 2 g, likewise for q; judged where both are above 0.

Edge semantics: p = 0 -> q ln(2) / 2; p = q = 0 -> 0; p = q -> 0. Oracle and bound: running error analysis
(harness.judge.tracked) of the two Kullback-Leibler divergences with the logarithms of p, q and m apart, so that it may
be composed of two kl_div: (c_l + 2) u (p |ln p| + q |ln q| + 2 m |ln m|) / 2 per element, and u (p + q) / 2
for quotients, which round once but go into one logarithm each. The gradient's bound has 4 u more: differentiated step
by step it adds and takes away 1.

Specification: the formula; PyTorch has no such loss. Bad inputs: anything that is no probability (outside [0, 1] or
NaN), two shapes that differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, log, where
from harness.precision import format_of, numpy_dtype, widen

from .kl_div import batch, reduce_batch, rows_of_chances
from .losses import BENCHMARK, elementwise_cases, loss_cost, loss_terms, pairs, reduction_mutants, unchanged_by
from .wrong import always, from_formula, general

NO_CHANCES = ("not_a_number", "above_one", "below_zero")


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    shape, other = case.shapes
    spreads = {"wide": 3.0}.get(case.values, 1.0)
    p, q = (np.exp(rows_of_chances(one, spreads, rng)) for one in (shape, other))
    match case.values:
        case "uniform":
            p, q = (np.maximum(rng.random(one), format_of(case.dtype).unit) for one in (shape, other))
        case "grid":
            p, q = (rng.integers(1, 9, one) / 8 for one in (shape, other))
        case "close":
            q = np.minimum(p * (1 + 2.0**-8 * rng.standard_normal(shape)), 1.0)
        case "same":
            q = p
        case "none":  # 0 on one side or both, and 1
            p, q = (np.where(rng.random(one) < 0.4, 0.0, rng.choice([0.25, 0.3, 1.0], one)) for one in (shape, other))
        case "not_a_number" | "above_one" | "below_zero":
            q.flat[-1] = {"not_a_number": np.nan, "above_one": 1.5, "below_zero": -0.25}[case.values]
    if case.dtype == "float16" and case.values not in ("none", *NO_CHANCES):
        # above underflow, to which the gradient's ln p is sensitive
        p, q = np.maximum(p, 2.0**-12), np.maximum(q, 2.0**-12)
    kind = numpy_dtype(case.dtype)
    return np.asarray(p).astype(kind), np.asarray(q).astype(kind)


def _part(p: Tracked, middle: Tracked) -> Tracked:
    # a quotient p / m rounds, which counts where both logarithms are small
    return where(p.value == 0, 0.0, (p * log(p) - p * log(middle)).widened(p))


def formula(p: Tracked, q: Tracked, *, reduction: str) -> Tracked:
    if p.shape != q.shape:
        raise ValueError(f"js_div needs two arrays of one shape, not {p.shape} and {q.shape}")
    middle = (p + q) * 0.5
    return reduced((_part(p, middle) + _part(q, middle)) * 0.5, *batch(reduction, p.shape))


def gradient(g: Tracked, p: Tracked, q: Tracked, *, reduction: str) -> tuple[Tracked, Tracked]:
    down, middle = spread(g, p, *batch(reduction, p.shape)), (p + q) * 0.5
    return tuple(((log(one) - log(middle)) * 0.5).widened(4.0) * down for one in (p, q))  # type: ignore[return-value]


def between(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Every element is between 0 and m ln 2."""
    if case["reduction"] != "none" or case.layout != "contiguous":
        return None
    most = (widen(inputs[0]) + widen(inputs[1])) / 2 * np.log(2)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), np.clip(widen(answer), 0.0, most), bound

    return Probe(None, relate)


def of_itself(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """A distribution does not diverge from itself."""
    if case.layout != "contiguous" or inputs[0].size == 0:
        return None

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        return other, np.zeros_like(other), two

    return Probe((inputs[0], inputs[0]), relate)


def halved(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """js(p / 2, q / 2) = js(p, q) / 2 within both bounds: only the quotient enters a logarithm."""
    if case.values not in ("normal", "uniform") or case.dtype == "float16" or case.layout != "contiguous":
        return None

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        return 2 * widen(other), widen(answer), one + 2 * two

    return Probe(tuple(one * one.dtype.type(0.5) for one in inputs), relate)


def _kl(p: np.ndarray, m: np.ndarray) -> np.ndarray:
    return np.where(p == 0, 0, p * np.log(p / m)).astype(p.dtype)


def _js(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (_kl(p, (p + q) / 2) + _kl(q, (p + q) / 2)) / 2


def _wrong(name: str, losses: Any, lesson: str = "") -> Any:
    return from_formula(name, lambda p, q, *, reduction: reduce_batch(losses(p, q), reduction), lesson)


oracle, bound = derived_from(formula)
FLOATS = ["float64", "float32", "float16", "bfloat16"]

js_div = Operator(
    name="js_div",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    gradient_values=("normal", "uniform", "wide", "grid", "close"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=lambda terms: 0.9,
    light="close",
    redraw=True,
    specification="0.5 KL(p || m) + 0.5 KL(q || m)",
    properties=(
        unchanged_by("symmetry", lambda p, q: (q, p), exact=False),
        Property("between_0_and_ln_2", between),
        Property("of_itself", of_itself),
        Property("scaling", halved),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "batchmean_instead_of_mean", reduction="batchmean"),
        from_formula(
            "batchmean_divides_by_all",
            lambda p, q, *, reduction: reduce_batch(_js(p, q), "mean" if reduction == "batchmean" else reduction),
            "batchmean divides by the first axis only",
        ),
        _wrong("kl_of_p_and_q", _kl, "each side is compared with the middle, not with the other"),
        _wrong("jeffreys", lambda p, q: _kl(p, q) + _kl(q, p), "that is Jeffreys' divergence"),
        _wrong("one_side_only", lambda p, q: _kl(p, (p + q) / 2)),
        _wrong("not_halved", lambda p, q: 2 * _js(p, q), "each side counts one half"),
        _wrong("middle_not_halved", lambda p, q: (_kl(p, p + q) + _kl(q, p + q)) / 2, "m = (p + q) / 2"),
        _wrong("geometric_middle", lambda p, q: (_kl(p, np.sqrt(p * q)) + _kl(q, np.sqrt(p * q))) / 2),
        _wrong("reversed", lambda p, q: (_kl((p + q) / 2, p) + _kl((p + q) / 2, q)) / 2, "KL(p || m), not KL(m || p)"),
        _wrong("base_two", lambda p, q: _js(p, q) / np.log(p.dtype.type(2)), "logarithms are natural"),
        _wrong("distance", lambda p, q: np.sqrt(np.maximum(_js(p, q), 0)), "that is its root, a metric"),
        _wrong(
            "nothing_times_its_logarithm",
            lambda p, q: (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2,
            "0 ln 0 is 0",
        ),
        _wrong(
            "logarithms_cut_off",
            lambda p, q: _js(np.maximum(p, p.dtype.type(1e-3)), np.maximum(q, q.dtype.type(1e-3))),
        ),
        _wrong("squared_difference", lambda p, q: (p - q) ** 2 / (4 * (p + q)), "that is its quadratic approximation"),
    ),
    conformance=(
        *elementwise_cases(values=["uniform", "wide", "grid", "close", "same", "none"]),
        *grid(dtype=FLOATS, shape=pairs((7, 33)), reduction="batchmean"),
        *grid(dtype="float32", shape=pairs((), (1025,), (0, 3), (2, 3, 2, 3, 2)), reduction="batchmean"),
        *grid(
            dtype="float32",
            shape=pairs((3, 4)),
            values=NO_CHANCES,
            reduction=["mean", "none"],
            raises="not a probability",
        ),
        *grid(dtype="float32", shape=[((3, 4), (4, 3)), ((3,), (4,))], reduction="mean", raises="two different shapes"),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), reduction=["batchmean", "none"]),
)

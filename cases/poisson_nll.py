"""poisson_nll(input, target, *, log_input=True, full=False, eps=1e-8, reduction): of a count t at the rate x or exp(x).

log_input: exp(x) - t x; else x - t ln(x + eps); full adds Stirling's t ln t - t + ln(2 pi t) / 2 where t > 1. Shapes:
both the same; none -> that shape, mean and sum -> (). The mean of nothing is NaN, its sum 0. Gradients: for the input
(exp(x) - t) g or (1 - t / (x + eps)) g, for the target -x g or -ln(x + eps) g, with full and t > 1 also (ln t + 1 / (2
t)) g, divided by the count for a mean.

Edge semantics (those of the formula as it stands): x = 100 -> inf in float32; a rate of 0 with a count of 1 costs
-ln(eps) = 18.42; rates below -eps are NaN; full with t = 0, 1, 2 at x = 0 gives 1, 1, 1.6518; with full a NaN or
infinite count is NaN. Oracle and bound: running error analysis (harness.judge.tracked): u ((c_e + 1) exp(x) + 2 |t x| +
|loss|) with log_input. Specification: PyTorch; two shapes that differ are an error here (PyTorch broadcasts).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, exp, log, where
from harness.precision import numpy_dtype, widen

from .losses import BENCHMARK, elementwise_cases, loss_cost, loss_terms, pairs, reduction_mutants, reproduces
from .losses import reduce as _reduce
from .wrong import always, from_formula, general

TWO_PI = np.longdouble("6.283185307179586476925286766559")


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    kind, (shape, other) = numpy_dtype(case.dtype), case.shapes
    target = rng.poisson(2.0, other).astype(float)
    match case.values:
        case "golden":
            x, target = np.zeros(shape), np.array([0.0, 1.0, 2.0])
        case "rates":  # of about the counts
            x = np.minimum(rng.gamma(2.0, 1.0, shape) + 1 / 16, 8.0)  # exp(8) is in the range of float16
            target = rng.poisson(x).astype(float) if shape == other else target
        case "no_rate":  # 0 and next to it, at counts of 0 and more
            x = rng.choice([0.0, 2.0**-14, 1.0], shape)
        case "negative_rate":
            x = -rng.choice([1e-9, 0.5, 3.0], shape)
        case "fractions":  # targets that are no counts, on both sides of 1
            x, target = draw("normal", shape, case.dtype, rng), 3 * rng.random(other)
        case "edges":
            x = rng.choice([0.0, 1.0, 100.0, -100.0, np.inf, -np.inf], shape)
            target = rng.choice([0.0, 1.0, 2.0, -1.0, np.nan], other)
        case "infinite_counts":
            x, target = rng.choice([0.0, 2.0, 0.5], shape), rng.choice([1.0, np.inf], other)
        case "many":  # large counts: Stirling's terms cancel against t x
            x, target = rng.uniform(4, 6, shape), rng.integers(50, 400, other).astype(float)
        case _:
            x = draw(case.values, shape, case.dtype, rng)
    return np.asarray(x).astype(kind), np.asarray(target).astype(kind)


def formula(x: Tracked, target: Tracked, *, log_input: bool, full: bool, eps: float, reduction: str) -> Tracked:
    if x.shape != target.shape:
        raise ValueError(f"poisson_nll needs two arrays of one shape, not {x.shape} and {target.shape}")
    losses = exp(x) - target * x if log_input else x - target * log(x + eps)
    if full:
        stirling = target * log(target) - target + log(target * TWO_PI) * 0.5
        losses = losses + where(target.value <= 1, 0.0, stirling)
    return reduced(losses, reduction)


def gradient(
    g: Tracked, x: Tracked, target: Tracked, *, log_input: bool, full: bool, eps: float, reduction: str
) -> tuple[Tracked, Tracked]:
    down = spread(g, x, reduction)
    # both terms may be multiplied by g before they are subtracted
    rate, count = (exp(x), target) if log_input else (x * 0.0 + 1.0, target / (x + eps))
    of_input = (rate - count).widened((rate + count) * 2.0)
    of_target = -x if log_input else -log(x + eps)
    if full:
        # differentiating step by step adds t / t and takes 1 away, and rounds 2 pi t twice
        more = (log(target) + 0.5 / target).widened(2.0 + np.abs(of_target.value))
        of_target = of_target + where(target.value <= 1, 0.0, more)
    return of_input * down, of_target * down


def one_more(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """One count more lowers the loss by x, or by ln(x + eps)."""
    if case["full"] or case["reduction"] != "none" or case.layout != "contiguous":
        return None
    if case.values not in ("normal", "rates", "uniform", "grid"):
        return None
    x, target = inputs
    wide = widen(x)
    step = wide if case["log_input"] else np.log(np.where(wide > 0, wide, np.nan) + case["eps"])

    def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
        known = np.isfinite(step)
        return np.where(known, widen(answer) - widen(other), 0.0), np.where(known, step, 0.0), one + two

    return Probe((x, target + target.dtype.type(1)), relate)


def lowest_at_the_count(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """No rate costs less than that of the count itself: exp(x) - t x >= t - t ln t."""
    if not case["log_input"] or case["full"] or case["reduction"] != "none" or case.values not in ("normal", "wide"):
        return None
    t = widen(inputs[1])
    least = t - np.where(t > 0, t * np.log(np.where(t > 0, t, 1)), 0)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return np.maximum(widen(answer), least), widen(answer), bound

    return Probe(None, relate)


def _losses(x: np.ndarray, t: np.ndarray, log_input: bool, eps: float) -> np.ndarray:
    return np.exp(x) - t * x if log_input else x - t * np.log(x + x.dtype.type(eps))


def _stirling(t: np.ndarray, constant: float = 2 * np.pi, above: float = 1.0) -> np.ndarray:
    found = t * np.log(t) - t + np.log(t.dtype.type(constant) * t) / 2
    return np.where(t <= above, 0, found).astype(t.dtype)


def _wrong(name: str, losses: Any, stirling: Any = _stirling, lesson: str = "") -> Any:
    """A mutant from wrong losses (x, t, log_input, eps) or a wrong Stirling term of t."""

    def function(x: Any, t: Any, *, log_input: bool, full: bool, eps: float, reduction: str) -> Any:
        found = losses(x, t, log_input, eps)
        return _reduce(found + stirling(t) if full else found, reduction)

    return from_formula(name, function, lesson)


oracle, bound = derived_from(formula)
FLOATS = ["float64", "float32", "float16", "bfloat16"]
LOG = {"log_input": True, "full": False, "eps": 1e-8}
RATE = {"log_input": False, "full": False, "eps": 1e-8}
BOTH: dict[str, Any] = {"log_input": [True, False], "full": [True, False], "eps": 1e-8}

poisson_nll = Operator(
    name="poisson_nll",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    gradient_values=("normal", "uniform", "grid", "rates", "fractions", "many"),
    cost=loss_cost,
    terms=loss_terms,
    outweighs=lambda terms: float(np.log(terms)) + 1.0,
    redraw=True,
    free=(0,),
    specification="PyTorch",
    properties=(
        Property("one_count_more", one_more),
        Property("lowest_at_the_count", lowest_at_the_count),
        reproduces({"none": [1.0, 1.0, 1.6518]}, 0.5e-4),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "always_logarithmic", "log_input=False: the input is the rate itself", log_input=True),
        always(oracle, "never_logarithmic", log_input=False),
        always(oracle, "stirling_always", "full=False leaves Stirling's term away", full=True),
        always(oracle, "stirling_never", "full=True adds Stirling's term", full=False),
        always(oracle, "default_eps", "eps is 1e-8 whatever was asked for", eps=1e-8),
        _wrong(
            "no_eps", lambda x, t, log_input, eps: _losses(x, t, log_input, 0.0), lesson="a rate of 0 is shifted by eps"
        ),
        _wrong(
            "rate_cut_off_at_eps",
            lambda x, t, log_input, eps: _losses(x if log_input else np.maximum(x, eps), t, log_input, 0.0),
            lesson="eps is added to the rate, not a lower limit",
        ),
        _wrong("sign_of_the_count", lambda x, t, log_input, eps: _losses(x, -t, log_input, eps)),
        _wrong("rate_dropped", lambda x, t, log_input, eps: _losses(x, t, log_input, eps) - np.exp(x)),
        _wrong("exponent_cut_off", lambda x, t, log_input, eps: _losses(np.minimum(x, 20), t, log_input, eps)),
        _wrong(
            "negative_rates_cut_off",
            lambda x, t, log_input, eps: _losses(x if log_input else np.maximum(x, 0), t, log_input, eps),
        ),
        _wrong("stirling_without_pi", _losses, lambda t: _stirling(t, 1.0)),
        _wrong("stirling_with_pi_for_two_pi", _losses, lambda t: _stirling(t, np.pi)),
        _wrong(
            "stirling_of_every_count",
            _losses,
            lambda t: _stirling(t, above=0.0),
            "Stirling's term is for counts above 1: below it is left away",
        ),
        _wrong("stirling_from_two_on", _losses, lambda t: _stirling(t, above=2.0), "a count of 2 is above 1"),
        _wrong("stirling_subtracted", _losses, lambda t: -_stirling(t)),
    ),
    conformance=(
        *elementwise_cases(values=["uniform", "wide", "fractions", "nan", "edges", "infinite_counts", "many"], **LOG),
        *grid(dtype=FLOATS, shape=pairs((7, 33)), values="rates", **BOTH, reduction=["none", "mean"]),
        *grid(
            dtype=FLOATS,
            shape=pairs((7, 33)),
            values=["fractions", "many"],
            log_input=True,
            full=True,
            eps=1e-8,
            reduction="none",
        ),
        *grid(dtype="float32", shape=pairs((7, 33)), values=["edges", "infinite_counts"], **BOTH, reduction="none"),
        *grid(dtype=FLOATS, shape=pairs((7, 33)), values="no_rate", **RATE, reduction="none"),
        *grid(
            dtype="float32",
            shape=pairs((7, 33)),
            values=["no_rate", "rates"],
            log_input=False,
            full=[False, True],
            eps=[1e-3, 0.5],
            reduction="none",
        ),
        *grid(dtype=["float64", "float32"], shape=pairs((7, 33)), values="negative_rate", **RATE, reduction="none"),
        *grid(
            dtype=["float64", "float32", "float16"],
            shape=pairs((3,)),
            values="golden",
            log_input=True,
            full=True,
            eps=1e-8,
            reduction="none",
        ),
        *grid(
            dtype="float32", shape=[((3, 4), (4, 3)), ((3,), (4,))], **LOG, reduction="mean", raises="different shapes"
        ),
    ),
    benchmarks=grid(dtype="float32", shape=pairs(BENCHMARK), **LOG, reduction=["mean", "none"]),
)

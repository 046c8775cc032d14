"""log_sigmoid(x): log(1 / (1 + exp(-x))) = min(x, 0) - log1p(exp(-|x|)), elementwise.

Shapes: any -> the same. log_sigmoid(-inf) = -inf, log_sigmoid(inf) = 0 (of either sign), NaN stays NaN. Gradient:
sigmoid(-x) g, from e = exp(-|x|) as the forward pass has stored it. Oracle and bound: running error analysis
(harness.judge.tracked). Both terms have one sign, so nothing cancels: at most some 27 u |y|, most of which is what the
errors of exp and log are allowed to be, and the smallest normal number. The logarithm of a sigmoid breaks this: it is
-inf below -104 in float32, and 0 above 17. Half types are judged on every one of their bit patterns. Specification:
PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked, exp, softplus, where
from harness.precision import round_to, widen

from .log_softmax import oracle as log_softmax_oracle
from .reductions import as_stored, elementwise_cost
from .sigmoid import GRADIENT_VALUES, elementwise, inputs, monotone, of_x
from .sigmoid import oracle as sigmoid_oracle
from .wrong import from_formula, general, narrowed


def formula(x: Tracked) -> Tracked:
    return -softplus(-x)


def gradient(g: Tracked, x: Tracked) -> Tracked:
    e = as_stored(exp(-abs(x)))
    return where(x.value < 0, 1.0 / (e + 1.0), e / (e + 1.0)) * g


oracle, bound = derived_from(formula)


def reflected(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """log_sigmoid(x) - log_sigmoid(-x) = x, within both bounds."""

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        x = widen(inputs[0])
        return widen(answer) - widen(other), x, bound + other_bound + 1e-15 * np.where(np.isfinite(x), np.abs(x), 0.0)

    return Probe((-inputs[0],), relate) if case.layout == "contiguous" else None


def of_sigmoid(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """exp(log_sigmoid(x)) = sigmoid(x), within the bound."""

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        p = sigmoid_oracle(inputs[0])
        with np.errstate(all="ignore"):
            return np.exp(widen(answer)), p, p * np.expm1(np.minimum(bound, 700.0)) + 1e-12

    return Probe(None, relate)


def two_classes(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """log_sigmoid(x) is the log_softmax of x beside a 0, within the bound."""
    x = inputs[0]
    if not np.all(np.isfinite(widen(x))):
        return None

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        expected = log_softmax_oracle(np.stack([x, np.zeros_like(x)], axis=-1), dim=-1)[..., 0]
        # log(1 + e) with e next to 0 has the oracle's absolute precision only
        return widen(answer), expected, bound * (1 + 1e-6) + 1e-12 * np.abs(expected) + 1e-15

    return Probe(None, relate)


def _threshold(x: np.ndarray) -> np.ndarray:
    """Linear on the one side and 0 on the other, beyond 20: torch's softplus does so by default."""
    wide = widen(x)
    return np.where(np.abs(wide) > 20, np.minimum(wide, 0.0), oracle(x))


def _beyond_a_block(x: np.ndarray) -> np.ndarray:
    out = oracle(x).copy()
    out.reshape(-1)[256:] = -np.log(2.0)
    return out


def _narrow_exp(x: np.ndarray) -> np.ndarray:
    wide = widen(x)
    e = round_to(np.exp(-np.abs(wide)), "bfloat16").astype(np.float64)
    return np.minimum(wide, 0.0) - np.log1p(e)


log_sigmoid = Operator(
    name="log_sigmoid",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=GRADIENT_VALUES,
    cost=elementwise_cost,
    specification="PyTorch",
    properties=(
        Property("reflection", reflected),
        Property("monotone", monotone),
        Property("exp_is_sigmoid", of_sigmoid),
        Property("log_softmax_of_two_classes", two_classes),
    ),
    mutants=(
        *general(oracle),
        from_formula(
            "log_of_sigmoid",
            lambda x: np.log(1 / (1 + np.exp(-x))),
            "the sigmoid underflows below -88 and rounds to 1 above 17; use min(x, 0) - log1p(exp(-|x|))",
        ),
        from_formula(
            "exp_overflows",
            lambda x: -np.log1p(np.exp(-x)),
            "exp(-x) overflows below -88 in float32, and the answer is -inf where x is right; use exp of -|x|",
        ),
        from_formula(
            "log_in_place_of_log1p",
            lambda x: np.minimum(x, 0) - np.log(1 + np.exp(-np.abs(x))),
            "1 + e rounds to 1 for small e: log1p keeps it",
        ),
        from_formula("softplus", lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))), "the sign is turned"),
        from_formula("of_minus_x", lambda x: np.minimum(-x, 0) - np.log1p(np.exp(-np.abs(x)))),
        from_formula("only_min(x,0)", lambda x: np.minimum(x, 0) + 0 * x),
        from_formula("base_2", lambda x: np.minimum(x, 0) - np.log2(1 + np.exp(-np.abs(x)))),
        from_formula(
            "log1p_added", lambda x: np.minimum(x, 0) + np.log1p(np.exp(-np.abs(x))), "the logarithm is subtracted"
        ),
        of_x("clamped_at_-100", lambda x: np.maximum(oracle(x), -100.0), "binary cross-entropy clamps, this does not"),
        of_x("linear_beyond_20", _threshold, "log_sigmoid(30) is -9e-14, not 0"),
        of_x("without_log", sigmoid_oracle, "that is the sigmoid"),
        of_x("of_the_absolute_value", lambda x: oracle(np.abs(x))),
        of_x("exp_in_bfloat16", _narrow_exp, "8 bits of exp are not enough for the type of the answer"),
        of_x("first_value_beyond_a_block", _beyond_a_block),
        of_x("nan_is_zero", lambda x: np.where(np.isnan(widen(x)), 0.0, oracle(x))),
        Mutant("through_bfloat16", lambda x: narrowed(round_to(oracle(x), x.dtype.name))),
    ),
    conformance=elementwise(),
    benchmarks=grid(dtype="float32", shape=[(1024, 1024), (2**21,)]),
)

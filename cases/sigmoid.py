"""sigmoid(x): 1 / (1 + exp(-x)), elementwise.

Shapes: any -> the same. sigmoid(-inf) = 0, sigmoid(inf) = 1, NaN stays NaN. Gradient: y (1 - y) g, from the stored
answer y as frameworks have it. Oracle and bound: running error analysis (harness.judge.tracked) of the form that does
not overflow: 1 / (1 + e) or e / (1 + e) with e = exp(-|x|): at most some 18 u |y|, most of which is what the error of
exp is allowed to be, and the smallest normal number, since hardware flushes subnormal answers to 0 and the plain
formula does it from x = -88.7 on in float32. Half types are judged on every one of their 2^16 bit patterns.
Specification: PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.declare import SMOOTH
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked
from harness.judge.tracked import sigmoid as formula
from harness.precision import FLOATS, numpy_dtype, round_to, widen

from .reductions import as_stored, elementwise_cost
from .softmax import oracle as softmax_oracle
from .wrong import from_formula, general, narrowed

VALUES = [
    "uniform", "wide", "lognormal", "bits", "negative", "overflow", "infinities", "nan", "subnormal", "one_huge",
    "grid", "equal",
]  # fmt: skip
LAYOUTS = ["transposed", "strided", "reversed", "offset", "expanded"]
GRADIENT_VALUES = (*SMOOTH, "overflow", "equal")


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """One array; `all_patterns` are all values of a half type, `every_second_pattern` those with an even pattern."""
    (shape,) = case.shapes
    if case.values in ("all_patterns", "every_second_pattern"):
        step = 1 if case.values == "all_patterns" else 2
        return (np.arange(0, 1 << 16, step, dtype=np.uint16).view(numpy_dtype(case.dtype)).reshape(shape),)
    return (draw(case.values, shape, case.dtype, rng),)


def elementwise() -> tuple[Case, ...]:
    """The cases of a function of one element: sizes, ranks, dtypes, layouts, values, and all values of half types."""
    return (
        *grid(dtype="float32", shape=[(n,) for n in (0, 1, 2, 31, 33, 256, 257, 1023, 1025, 4097, 65537)]),
        *grid(dtype=FLOATS, shape=[(7, 33)]),
        *grid(dtype=FLOATS, shape=[(3, 301)], values=VALUES),
        *grid(dtype="float32", shape=[(), (0, 3), (5, 7, 9), (2, 3, 2, 3, 2)], values=["normal", "wide"]),
        *grid(dtype=FLOATS, shape=[(37, 53)], layout=LAYOUTS),
        *grid(dtype=["float16", "bfloat16"], shape=[(1 << 16,)], values="all_patterns"),
        *grid(dtype=["float16", "bfloat16"], shape=[(1 << 15,)], values="every_second_pattern"),
        *grid(dtype=["float64", "float32"], shape=[(4097,)], values=["wide", "overflow"]),
    )


def gradient(g: Tracked, x: Tracked) -> Tracked:
    y = as_stored(formula(x))
    return y * (1.0 - y) * g


oracle, bound = derived_from(formula)


def reflected(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """sigmoid(x) + sigmoid(-x) = 1, within both bounds."""

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        total = widen(answer) + widen(other)
        return np.where(np.isnan(total), 1.0, total), np.ones_like(total), bound + other_bound

    return Probe((-inputs[0],), relate) if case.layout == "contiguous" else None


def monotone(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The answers to sorted inputs are sorted, within the bounds of both neighbours."""
    if case.layout != "contiguous" or inputs[0].ndim == 0:
        return None

    def relate(_: np.ndarray, other: np.ndarray, __: np.ndarray, bound: np.ndarray) -> tuple[Any, ...]:
        flat, allowed = widen(other).reshape(-1), bound.reshape(-1)
        fall = np.where(flat[1:] < flat[:-1], flat[:-1] - flat[1:], 0.0)
        return fall, np.zeros_like(fall), allowed[1:] + allowed[:-1]

    # NaN come last, and are neither above nor below anything
    flat = inputs[0].reshape(-1)
    return Probe((flat[np.argsort(widen(flat))].reshape(inputs[0].shape),), relate)


def two_classes(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """sigmoid(x) is the softmax of x beside a 0, within the bound."""
    x = inputs[0]
    if not np.all(np.isfinite(widen(x))):
        return None

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        expected = softmax_oracle(np.stack([x, np.zeros_like(x)], axis=-1), dim=-1)[..., 0]
        return widen(answer), expected, bound * (1 + 1e-6) + 1e-12 * expected

    return Probe(None, relate)


def _narrow_exp(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        e = round_to(np.exp(-np.abs(widen(x))), "bfloat16").astype(np.float64)
        return round_to(
            np.where(widen(x) >= 0, 1 / (1 + e), np.where(np.isnan(widen(x)), np.nan, e / (1 + e))), x.dtype.name
        )


def _cut(x: np.ndarray, most: float) -> np.ndarray:
    return oracle(np.clip(x, -most, most))


def _half(x: np.ndarray) -> np.ndarray:
    """0.5 beyond the first 256 elements."""
    out = oracle(x).copy()
    out.reshape(-1)[256:] = 0.5
    return out


def of_x(name: str, function: Any, lesson: str = "") -> Mutant:
    """A wrong version that is evaluated in the oracle's precision and rounded once."""

    def wrong(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return round_to(np.asarray(function(x)), x.dtype.name)

    return Mutant(name, wrong, lesson)


sigmoid = Operator(
    name="sigmoid",
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
        Property("softmax_of_two_classes", two_classes),
    ),
    mutants=(
        *general(oracle),
        from_formula(
            "half_of_1+tanh(x/2)",
            lambda x: (1 + np.tanh(x / 2)) / 2,
            "for negative x this cancels: it has the absolute precision of 1, not that of a small probability",
        ),
        from_formula(
            "exp(x)/(1+exp(x))",
            lambda x: np.exp(x) / (1 + np.exp(x)),
            "exp(x) overflows above 88 in float32, and inf/inf is NaN; use exp of -|x|",
        ),
        from_formula(
            "1-1/(1+exp(x))", lambda x: 1 - 1 / (1 + np.exp(x)), "for negative x this cancels: 1 - (1 - tiny)"
        ),
        from_formula("of_minus_x", lambda x: 1 / (1 + np.exp(x)), "the sign of x is turned"),
        from_formula("base_2", lambda x: 1 / (1 + np.exp2(-x))),
        from_formula("hard_sigmoid", lambda x: np.clip(x / 6 + x.dtype.type(0.5), 0, 1), "that is hard_sigmoid"),
        from_formula("softsign", lambda x: (x / (1 + np.abs(x)) + 1) / 2),
        from_formula("tanh", np.tanh),
        from_formula("derivative", lambda x: np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))) ** 2),
        of_x("of_the_absolute_value", lambda x: oracle(np.abs(x))),
        of_x("cut_at_20", lambda x: _cut(x, 20.0), "sigmoid(-30) is 9e-14 and not sigmoid(-20)"),
        of_x("zero_below_-15", lambda x: np.where(widen(x) < -15, 0.0, oracle(x))),
        of_x("exp_in_bfloat16", _narrow_exp, "8 bits of exp are not enough for the type of the answer"),
        of_x("half_beyond_a_block", _half),
        of_x("nan_is_one_half", lambda x: np.where(np.isnan(widen(x)), 0.5, oracle(x))),
        of_x("twice", lambda x: oracle(round_to(oracle(x), x.dtype.name))),
        Mutant("through_bfloat16", lambda x: narrowed(round_to(oracle(x), x.dtype.name))),
    ),
    conformance=elementwise(),
    benchmarks=grid(dtype="float32", shape=[(1024, 1024), (2**21,)]),
)

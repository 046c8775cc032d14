"""exp(x) and log(x), element by element: the functions whose errors every bound of the softmax family is made of.

Shapes: any -> the same. Oracle: NumPy's in float64 (extended precision for float64 inputs). Bound: the constants that
all other bounds assume (harness.judge.arithmetic: EXP_ERROR and LOG_ERROR, in unit roundoffs of the working type), and
the rounding of the store; so a library that breaks them fails here first, on all 65536 values of a half type and on
samples of every binade of float32. `harness doctor --constants` measures what a device really does. Gradients: g exp(x)
and g / x. Specification: IEEE 754 and PyTorch: exp(-inf) is 0, log(0) is -inf, log of less than 0 is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge import tracked
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked
from harness.precision import FLOATS, numpy_dtype

from .reductions import elementwise_cost
from .wrong import from_formula, general

PATTERNS = 1 << 16
BINADES = ("float32", "float64")


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """`all_patterns`: every value of a half type, in random order. `binades`: uniform over exponents and mantissas."""
    (shape,) = case.shapes
    kind = numpy_dtype(case.dtype)
    if case.values == "all_patterns":
        return (rng.permutation(PATTERNS).astype(np.uint16).view(kind).reshape(shape),)
    if case.values == "binades":
        raw = rng.integers(0, 256, (*shape, kind.itemsize), dtype=np.uint8)
        return (raw.view(kind).reshape(shape),)
    if case.values == "positive":
        return (np.abs(draw("wide", shape, case.dtype, rng)) + kind.type(0.125),)
    return (draw(case.values, shape, case.dtype, rng),)


def exp_formula(x: Tracked) -> Tracked:
    return tracked.exp(x)


def exp_gradient(g: Tracked, x: Tracked) -> Tracked:
    return g * tracked.exp(x)


def log_formula(x: Tracked) -> Tracked:
    return tracked.log(x)


def log_gradient(g: Tracked, x: Tracked) -> Tracked:
    return g / x


def reciprocal(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """exp(x) exp(-x) = 1, within the bounds of both."""
    if case.values not in ("normal", "uniform"):
        return None

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        a, b = answer.astype(bound.dtype), other.astype(bound.dtype)
        return a * b, np.ones_like(a), np.abs(a) * other_bound + np.abs(b) * bound + bound * other_bound

    return Probe((-inputs[0],), relate)


def halving(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """log(4x) = log(x) + log 4, within the bounds of both."""
    if case.values != "positive":
        return None

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other.astype(bound.dtype) - np.log(bound.dtype.type(4)), answer.astype(bound.dtype), bound + other_bound

    return Probe((inputs[0] * inputs[0].dtype.type(4),), relate)


def _taylor(x: np.ndarray) -> np.ndarray:
    return 1 + x + x**2 / 2 + x**3 / 6 + x**4 / 24


def _schraudolph(x: np.ndarray) -> np.ndarray:
    """exp by writing x into the exponent bits (Schraudolph 1999): 4 % off."""
    y = np.clip(x.astype(np.float64) * (2**20 / np.log(2)) + 1072632447, 0, 2146435071)
    return (y.astype(np.int64) << 32).view(np.float64).astype(x.dtype)


exp_oracle, exp_bound = derived_from(exp_formula)
log_oracle, log_bound = derived_from(log_formula)

SHAPES = [(1,), (3, 33), (2, 3, 2, 3, 2)]


def _cases(usual: list[str]) -> tuple[Case, ...]:
    return (
        *grid(dtype=["float16", "bfloat16"], shape=[(PATTERNS,)], values="all_patterns"),
        *grid(dtype=BINADES, shape=[(PATTERNS,)], values="binades"),
        *grid(dtype=FLOATS, shape=[(37, 53)], values=[*usual, "infinities", "nan", "subnormal", "integers"]),
        *grid(dtype="float32", shape=[(), (0,), *SHAPES], values=usual),
        *grid(
            dtype="float32",
            shape=[(37, 53)],
            values=usual[:1],
            layout=["transposed", "strided", "reversed", "offset", "expanded"],
        ),
    )


exp = Operator(
    name="exp",
    inputs=inputs,
    oracle=exp_oracle,
    bound=exp_bound,
    gradients=gradients_of(exp_gradient, 0),
    gradient_values=("normal", "uniform"),
    cost=elementwise_cost,
    specification="IEEE 754",
    properties=(Property("reciprocal", reciprocal),),
    mutants=(
        *general(exp_oracle),
        from_formula("taylor_of_degree_4", _taylor, "a series at 0 is wrong away from 0: reduce the argument first"),
        from_formula("base_2", np.exp2),
        from_formula("expm1", np.expm1),
        from_formula("clipped_at_88", lambda x: np.exp(np.clip(x, -88, 88))),
        from_formula("overflow_to_the_largest", lambda x: np.minimum(np.exp(x), np.finfo(x.dtype).max)),
        from_formula("nan_swallowed", lambda x: np.nan_to_num(np.exp(x), nan=0.0, posinf=np.inf)),
        from_formula("small_arguments_are_1", lambda x: np.where(np.abs(x) < 1e-3, 1, np.exp(x))),
        from_formula("bits_of_the_exponent", _schraudolph, "writing x into the exponent bits is 4 % off"),
        from_formula("power_with_a_rounded_e", lambda x: np.power(np.asarray(2.7182817, x.dtype), x)),
        Mutant("absolute_argument", lambda x: np.asarray(exp_oracle(np.abs(x))).astype(x.dtype)),
    ),
    conformance=_cases(["normal", "uniform", "wide", "overflow"]),
    benchmarks=grid(dtype="float32", shape=[(1024, 1024)]),
)

log = Operator(
    name="log",
    inputs=inputs,
    oracle=log_oracle,
    bound=log_bound,
    gradients=gradients_of(log_gradient, 0),
    gradient_values=("positive",),
    redraw=True,
    free=(0,),
    cost=elementwise_cost,
    specification="IEEE 754",
    properties=(Property("power_of_two", halving),),
    mutants=(
        *general(log_oracle),
        from_formula("base_2", np.log2),
        from_formula("base_10", np.log10),
        from_formula("log1p", np.log1p),
        from_formula("clamped_at_-100", lambda x: np.maximum(np.log(x), -100)),
        from_formula("with_an_epsilon", lambda x: np.log(x + x.dtype.type(1e-3)), "log(x + eps) is not log(x)"),
        from_formula("of_the_absolute_value", lambda x: np.log(np.abs(x)), "the log of less than 0 is NaN"),
        from_formula("zero_for_zero", lambda x: np.where(x == 0, 0, np.log(x))),
        from_formula("series_near_1", lambda x: np.where(np.abs(x - 1) < 0.5, x - 1, np.log(x))),
        from_formula("nan_swallowed", lambda x: np.nan_to_num(np.log(x), nan=0.0, neginf=-np.inf, posinf=np.inf)),
    ),
    conformance=_cases(["positive", "normal", "uniform", "lognormal"]),
    benchmarks=grid(dtype="float32", shape=[(1024, 1024)], values="positive"),
)

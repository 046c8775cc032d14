"""log_softmax(x, *, dim): x_j - m - ln sum_i exp(x_i - m) along `dim`, with m the largest element.

Shapes: (..., n, ...) -> the same. Oracle: the formula in float64 (extended precision for float64 inputs). With
t_j = m - x_j, s the sum and rho its relative error (see softmax):

    |error_j| <= t_j u + rho + c_l u |ln s| + (u + u_out) |y_j| + underflow

which an implementation by log(softmax(x)) breaks wherever the probability is small. Specification: PyTorch: a row of
-inf, or with +inf, is NaN.

Gradient: g - exp(y) sum_i g_i, from the stored answer y; oracle and bound by running error analysis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.judge.arithmetic import Arithmetic
from harness.judge.formula import gradients_of
from harness.judge.tracked import Tracked, exp, log
from harness.precision import round_to, widen

from . import reduction_mutants
from .golden import LOG_SOFTMAX, reproduces
from .reductions import (
    PERMUTED,
    TRANSPOSED,
    as_stored,
    axis,
    check_dim,
    elementwise_cost,
    exp_cases,
    last,
    mutants,
    of_rows,
    one_input,
    rows_of,
    terms,
)
from .softmax import FINITE, _max_of_first, _no_max, denominator_error, restore, shifted, shifted_exp, weights
from .softmax import oracle as softmax_oracle


def oracle(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    check_dim(x, dim)
    _, t, w = shifted_exp(last(x, dim))
    with np.errstate(all="ignore"):
        return restore(-t - np.log(np.sum(w, axis=-1, keepdims=True)), x, dim)


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    x = inputs[0]
    _, t, w = shifted_exp(last(x, axis(case)))
    y = last(expected, axis(case))
    u, form = arithmetic.unit_between, arithmetic.output
    with np.errstate(all="ignore"):
        rho = denominator_error(t, w, arithmetic)
        log_s = np.abs(np.log(np.sum(w, axis=-1, keepdims=True)))
        allowed = t * u + rho + arithmetic.log_error * u * log_s + (u + form.unit) * np.abs(y) + form.underflow
        # one finite entry: its log-probability is exactly 0
        single = np.sum(t == 0, axis=-1, keepdims=True) == 1
        alone = single & np.all((t == 0) | np.isposinf(t), axis=-1, keepdims=True)
        allowed = np.where(alone, 0.0, allowed)
    return restore(np.broadcast_to(allowed, t.shape), x, axis(case))


def gradient(g: Tracked, x: Tracked, *, dim: int) -> Tracked:
    t, _, total = weights(rows_of(x, dim))
    y, g = as_stored(t - log(total)), rows_of(g, dim)
    return of_rows(g - exp(y) * g.sum(-1)[..., None], x, dim)


def log_of(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """log_softmax(x) = log(softmax(x)), within the bound, where the probability is a number of its own."""
    p = softmax_oracle(inputs[0], dim=case["dim"])
    shown = p > np.finfo(np.float64).tiny

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        with np.errstate(all="ignore"):
            expected = np.log(np.where(shown, p, 1.0))
        return np.where(shown, widen(answer), 0.0), expected, bound + 1e-12

    return Probe(None, relate)


def total_is_one(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """sum exp(log_softmax(x)) = 1, within the bounds."""
    if inputs[0].size == 0:
        return None
    along = axis(case) if inputs[0].ndim else None

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        with np.errstate(all="ignore"):
            p = np.exp(widen(answer))
            total = np.sum(p, axis=along)
            slack = np.sum(np.where(p > 0, p * np.expm1(np.minimum(bound, 700.0)), 0.0), axis=along)
        return np.where(np.isnan(total), 1.0, total), np.ones_like(total), slack + 1e-12

    return Probe(None, relate)


def _log_of_softmax(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    """log(softmax(x)) in the working precision: -inf where the probability underflows."""
    work = last(x if x.dtype == np.float64 else x.astype(np.float32), dim)
    with np.errstate(all="ignore"):
        e = np.exp(work - work.max(axis=-1, keepdims=True, initial=-np.inf))
        return restore(np.log(e / e.sum(axis=-1, keepdims=True)), x, dim).astype(x.dtype)


def _log(mutant: Any) -> Any:
    def function(x: np.ndarray, *, dim: int | None) -> np.ndarray:
        with np.errstate(all="ignore"):
            return round_to(np.log(widen(mutant(x, dim=dim))), x.dtype.name)

    return function


def _without_log_sum(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    _, t, _ = shifted_exp(last(x, dim))
    return round_to(restore(-t, x, dim), x.dtype.name)


log_softmax = Operator(
    name="log_softmax",
    inputs=one_input,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=FINITE,
    cost=elementwise_cost,
    specification="PyTorch",
    terms=terms,
    properties=(
        reproduces(LOG_SOFTMAX),
        PERMUTED,
        TRANSPOSED,
        Property("shift_invariance", shifted),
        Property("exp_sums_to_one", total_is_one),
        Property("log_of_softmax", log_of),
    ),
    mutants=(
        *mutants(oracle),
        *reduction_mutants.LOG_SOFTMAX,
        Mutant(
            "log_of_softmax",
            _log_of_softmax,
            "a probability below the smallest float has the logarithm -inf, and one near 1 loses its digits; use "
            "x - max - log(sum(exp(x - max)))",
        ),
        Mutant(
            "no_max_subtraction",
            _log(_no_max),
            "exp(x) overflows above 88 in float32; subtract the largest element of each row before exp",
        ),
        Mutant("max_of_first_256", _log(_max_of_first)),
        Mutant("without_the_log_of_the_sum", _without_log_sum),
    ),
    conformance=(
        *grid(dtype=["float64", "float32"], shape=[(3,)], values="golden", dim=0),
        *exp_cases(long=((65537,),)),
        # sum exp(x - max) exceeds float16's range, the answer does not
        *grid(dtype=["float16", "bfloat16"], shape=[(131073,)], values="uniform", dim=0),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[(1024, 1000)], dim=1),
        *grid(dtype="float32", shape=[(64, 128, 64)], dim=1),
    ),
)

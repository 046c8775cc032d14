"""logsumexp(x, *, dim): m + ln sum_i exp(x_i - m) along `dim`, with m the largest element.

Shapes: (..., n, ...) -> (..., ...). Oracle: the formula in float64 (extended precision for float64 inputs). With s
the sum and rho its relative error (see softmax):

    |error| <= rho + c_l u |ln s| + (u + u_out) |y|

Specification: PyTorch: nothing or only -inf gives -inf; any +inf gives +inf; NaN wins.

Gradient: g exp(x - y), from the stored answer y; oracle and bound by running error analysis. Where all entries are -inf
there is none (PyTorch gives NaN), and it is not judged.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.judge.arithmetic import Arithmetic
from harness.judge.formula import gradients_of
from harness.judge.tracked import Tracked, exp, log
from harness.precision import widen

from . import reduction_mutants
from .golden import LOGSUMEXP, reproduces
from .reductions import (
    PERMUTED,
    TRANSPOSED,
    as_stored,
    axis,
    check_dim,
    exp_cases,
    last,
    mutants,
    of_rows,
    one_input,
    reduction_cost,
    rows_of,
    terms,
)
from .revealing import OF_LOGSUMEXP
from .softmax import FINITE, denominator_error, shifted_exp, weights


def oracle(x: np.ndarray, *, dim: int) -> np.ndarray:
    check_dim(x, dim)
    m, _, w = shifted_exp(last(x, dim))
    with np.errstate(all="ignore"):
        y = m[..., 0] + np.log(np.sum(w, axis=-1))
    return np.asarray(np.where(np.isinf(m[..., 0]), m[..., 0], y))


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    row = last(inputs[0], axis(case))
    if row.shape[-1] == 0:
        return np.zeros(expected.shape)
    _, t, w = shifted_exp(row)
    u, form = arithmetic.unit_between, arithmetic.output
    with np.errstate(all="ignore"):
        rho = denominator_error(t, w, arithmetic)[..., 0]
        log_s = np.abs(np.log(np.sum(w, axis=-1)))
        allowed = rho + arithmetic.log_error * u * log_s + (u + form.unit) * np.abs(expected) + form.underflow
    # one finite entry: the answer is that entry
    alone = (np.sum(t == 0, axis=-1) == 1) & np.all((t == 0) | np.isposinf(t), axis=-1)
    return np.where(alone, 0.0, allowed)


def gradient(g: Tracked, x: Tracked, *, dim: int) -> Tracked:
    rows = rows_of(x, dim)
    _, _, total = weights(rows)
    y = as_stored(log(total) + rows.max(-1, keepdims=True))
    return of_rows(exp(rows - y) * g[..., None], x, dim)


def shifted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On a grid, logsumexp(x + c) = logsumexp(x) + c, within both bounds."""
    if case.values != "grid" or case.layout != "contiguous":
        return None
    (x,) = inputs
    shift = {"bfloat16": 8.0, "float16": 64.0}.get(case.dtype, 200.0)

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return widen(other), widen(answer) + shift, bound + other_bound

    return Probe((x + x.dtype.type(shift),), relate)


def between(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """max(x) <= logsumexp(x) <= max(x) + ln n, within the bound."""
    row = last(widen(inputs[0]), axis(case))
    if row.size == 0 or not np.all(np.isfinite(row)):
        return None
    low = np.max(row, axis=-1)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        middle = low + np.log(row.shape[-1]) / 2
        return widen(answer), middle, np.log(row.shape[-1]) / 2 + bound + 1e-12 * np.abs(middle)

    return Probe(None, relate)


def _no_max(x: np.ndarray, *, dim: int) -> np.ndarray:
    """ln sum exp(x), in the working precision: overflows."""
    work = last(x if x.dtype == np.float64 else x.astype(np.float32), dim)
    with np.errstate(all="ignore"):
        return np.asarray(np.log(np.exp(work).sum(axis=-1))).astype(x.dtype)


def _max_only(x: np.ndarray, *, dim: int) -> np.ndarray:
    return np.asarray(np.max(last(x, dim), axis=-1, initial=-np.inf), dtype=x.dtype)


def _all_masked_is_nan(x: np.ndarray, *, dim: int) -> np.ndarray:
    """The shift -inf - -inf is not looked after."""
    work = last(x if x.dtype == np.float64 else x.astype(np.float32), dim)
    with np.errstate(all="ignore"):
        m = work.max(axis=-1, keepdims=True, initial=-np.inf)
        return np.asarray(m[..., 0] + np.log(np.exp(work - m).sum(axis=-1))).astype(x.dtype)


logsumexp = Operator(
    name="logsumexp",
    inputs=one_input,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=FINITE,
    cost=reduction_cost,
    revealing=OF_LOGSUMEXP,
    specification="PyTorch",
    terms=terms,
    properties=(
        reproduces(LOGSUMEXP),
        PERMUTED,
        TRANSPOSED,
        Property("shift", shifted),
        Property("between_max_and_max_plus_log_n", between),
    ),
    mutants=(
        *mutants(oracle),
        *reduction_mutants.LOGSUMEXP,
        Mutant(
            "no_max_subtraction",
            _no_max,
            "exp(x) overflows above 88 in float32; logsumexp(x) = m + logsumexp(x - m), with m the largest element",
        ),
        Mutant("max_only", _max_only),
        Mutant(
            "all_masked_is_nan",
            _all_masked_is_nan,
            "where the maximum is infinite, x - max is NaN; shift by 0 there",
        ),
    ),
    conformance=(
        *grid(dtype=["float64", "float32"], shape=[(3,)], values="golden", dim=0),
        *exp_cases(long=((65537,), (2**20 + 1,))),
        # sum exp(x - max) exceeds float16's range, the answer does not
        *grid(dtype=["float16", "bfloat16"], shape=[(131073,)], values="uniform", dim=0),
        *grid(dtype=["float32", "float16"], shape=[(4, 3)], values="infinities", dim=1),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[(1024, 1000)], dim=1),
        *grid(dtype="float32", shape=[(2**20,)], dim=0),
    ),
)

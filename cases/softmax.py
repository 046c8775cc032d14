"""softmax(x, *, dim): exp(x_j - m) / sum_i exp(x_i - m) along `dim`, with m the largest element.

Shapes: (..., n, ...) -> the same. Oracle: the formula in float64 (extended precision for float64 inputs). With
t_j = m - x_j, p the answer, tau = sum_i p_i t_i and rho = (tau + c_e + H) u the relative error of the denominator
(H from the declared tree):

    |error_j| <= p_j ((t_j + c_e + 2) u + rho + u_out) + underflow,    plus (c_e + 2) u per rescaling (online)

(refined from Blanchard, Higham and Higham, IMA J. Numer. Anal. 41(4), 2021: no term in max - min, since a tiny weight
pays for its own large t). Exact where all finite entries of a row are equal: 1/m and 0. Specification: PyTorch: a row
of -inf, or with +inf, is NaN.

Gradient: y (g - sum_i g_i y_i), from the stored answer y as frameworks have it; oracle and bound by running error
analysis (harness.judge.tracked).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.declare import SMOOTH
from harness.judge.arithmetic import Arithmetic
from harness.judge.formula import gradients_of
from harness.judge.tracked import Tracked, exp
from harness.judge.tracked import sigmoid as sigmoid_formula
from harness.precision import FLOATS, round_to, widen

from . import reduction_mutants
from .golden import SOFTMAX, reproduces
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
from .revealing import OF_SOFTMAX

FINITE = (*SMOOTH, "overflow", "masked")
"""Where gradients of an exp are judged: also beyond the range of a bare exp, and beside masked entries."""


def shifted_exp(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along the last axis, in the oracle's precision: m (kept as an axis), t = m - x, and w = exp(-t)."""
    wide = widen(x)
    with np.errstate(all="ignore"):
        m = np.max(wide, axis=-1, keepdims=True, initial=-np.inf)
        t = m - wide
        return m, t, np.exp(-t)


def restore(y: np.ndarray, x: np.ndarray, dim: int | None) -> np.ndarray:
    """Undo `last` for an elementwise answer."""
    return np.moveaxis(y, -1, dim) if x.ndim and dim is not None else y.reshape(x.shape)


def oracle(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    check_dim(x, dim)
    _, _, w = shifted_exp(last(x, dim))
    with np.errstate(all="ignore"):
        return restore(w / np.sum(w, axis=-1, keepdims=True), x, dim)


def denominator_error(t: np.ndarray, w: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """rho: the relative error of sum_i exp(-t_i) along the last axis, kept as an axis."""
    with np.errstate(all="ignore"):
        total = np.sum(w, axis=-1, keepdims=True)
        tau = np.sum(np.where(w > 0, w * t, 0.0), axis=-1, keepdims=True) / total
        summing = arithmetic.sum_error(w)[..., None] / total
        rescaling = (arithmetic.exp_error + 2) * arithmetic.rescales(t.shape[-1])
        return (tau + arithmetic.exp_error + rescaling) * arithmetic.unit_between + summing


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    x = inputs[0]
    row = last(x, axis(case))
    _, t, w = shifted_exp(row)
    p = last(expected, axis(case))
    form = arithmetic.output
    with np.errstate(all="ignore"):
        rho = denominator_error(t, w, arithmetic)
        relative = (t + arithmetic.exp_error + 2) * arithmetic.unit_between + rho + form.unit
        allowed = np.where(p > 0, p * relative + form.underflow, form.underflow)
        # equal entries beside masks: 1/m, by a division (exact for powers of two) or by a reciprocal (1 ulp more)
        equal = np.all((t == 0) | np.isposinf(t), axis=-1, keepdims=True)
        count = np.sum(t == 0, axis=-1, keepdims=True)
        power = (count & (count - 1)) == 0
        allowed = np.where(equal, np.where(power, 0.0, 2 * form.unit * p), allowed)
        allowed = np.where(np.isposinf(t), 0.0, allowed)
    return restore(np.broadcast_to(allowed, row.shape), x, axis(case))


def weights(rows: Tracked) -> tuple[Tracked, Tracked, Tracked]:
    """Along the last axis: x - m, w = exp(x - m), and the sum of w, kept as an axis."""
    t = rows - rows.max(-1, keepdims=True)
    w = exp(t)
    return t, w, w.sum(-1)[..., None]


def gradient(g: Tracked, x: Tracked, *, dim: int) -> Tracked:
    _, w, total = weights(rows_of(x, dim))
    y, g = as_stored(w / total), rows_of(g, dim)
    return of_rows(y * (g - (g * y).sum(-1)[..., None]), x, dim)


def shifted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On a grid, softmax(x + c) = softmax(x) bit for bit: x - max is exact in both."""
    if case.values != "grid" or case.layout != "contiguous":
        return None
    (x,) = inputs
    # half types have few digits: x + c must stay on the grid
    shift = {"bfloat16": 8.0, "float16": 64.0}.get(case.dtype, 200.0)

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, answer, np.zeros_like(answer)

    return Probe((x + x.dtype.type(shift),), relate)


def sums_to_one(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The elements along dim sum to 1, within the sum of their bounds."""
    if inputs[0].size == 0:
        return None
    along = axis(case) if inputs[0].ndim else None

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        total = np.sum(widen(answer), axis=along)
        # a NaN row is judged by the pattern of NaN, not by its sum
        return np.where(np.isnan(total), 1.0, total), np.ones_like(total), np.sum(bound, axis=along) + 1e-12

    return Probe(None, relate)


def two_classes(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """softmax([a, b]) = [sigmoid(a - b), sigmoid(b - a)], within the bound."""
    row = last(widen(inputs[0]), axis(case))
    if row.shape[-1] != 2 or not np.all(np.isfinite(row)):
        return None
    expected = sigmoid_formula(Tracked(row - row[..., ::-1], 0.0, None)).value

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return last(widen(answer), axis(case)), expected, last(bound, axis(case)) + 1e-12

    return Probe(None, relate)


def _no_max(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    """exp(x) / sum exp(x), in the working precision: overflows."""
    work = x if x.dtype == np.float64 else x.astype(np.float32)
    with np.errstate(all="ignore"):
        e = np.exp(last(work, dim))
        return restore(e / e.sum(axis=-1, keepdims=True), x, dim).astype(x.dtype)


def _max_of_first(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    """Only the first 256 elements are searched for the maximum."""
    work = last(x if x.dtype == np.float64 else x.astype(np.float32), dim)
    with np.errstate(all="ignore"):
        e = np.exp(work - work[..., :256].max(axis=-1, keepdims=True, initial=-np.inf))
        return restore(e / e.sum(axis=-1, keepdims=True), x, dim).astype(x.dtype)


def _narrow_exp(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    """exp rounded to 8 bits."""
    _, _, w = shifted_exp(last(x, dim))
    with np.errstate(all="ignore"):
        w = round_to(w, "bfloat16").astype(np.float64)
        return round_to(restore(w / w.sum(axis=-1, keepdims=True), x, dim), x.dtype.name)


def _uniform(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    return np.full_like(x, 1.0 / max(1, last(x, dim).shape[-1]))


softmax = Operator(
    name="softmax",
    inputs=one_input,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=FINITE,
    cost=elementwise_cost,
    revealing=OF_SOFTMAX,
    specification="PyTorch",
    terms=terms,
    properties=(
        reproduces(SOFTMAX),
        PERMUTED,
        TRANSPOSED,
        Property("shift_invariance", shifted),
        Property("sums_to_one", sums_to_one),
        Property("two_classes_are_a_sigmoid", two_classes),
    ),
    mutants=(
        *mutants(oracle),
        *reduction_mutants.SOFTMAX,
        Mutant(
            "no_max_subtraction",
            _no_max,
            "exp(x) overflows above 88 in float32 (709 in float64) and inf/inf is NaN; softmax(x) = softmax(x - c) for "
            "every c, so subtract the largest element of each row before exp",
        ),
        Mutant("max_of_first_256", _max_of_first, "the maximum is searched in the first block of a row only"),
        Mutant("exp_in_bfloat16", _narrow_exp, "8 bits of exp are not enough for the type of the answer"),
        Mutant("uniform_1/n", _uniform),
    ),
    conformance=(
        *grid(dtype=["float64", "float32"], shape=[(3,)], values="golden", dim=0),
        *grid(dtype=["float64", "float32"], shape=[(2, 3)], values="golden", dim=-1),
        *grid(dtype=["float64", "float32"], shape=[(2, 2)], values="golden", dim=[0, 1]),
        *grid(dtype=["float64", "float32"], shape=[(2, 2, 3)], values="golden", dim=[0, 1, 2]),
        *exp_cases(long=((65537,), (2**20 + 1,))),
        *grid(dtype=FLOATS, shape=[(9, 300)], values="ties", dim=1),
        *grid(dtype="float32", shape=[(2, 1500)], values=["overflow", "one_huge", "nan"], dim=1),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[(1024, 1000)], dim=1),
        *grid(dtype="float32", shape=[(2**20,)], dim=0),
        *grid(dtype="float32", shape=[(64, 128, 64)], dim=1),
    ),
)

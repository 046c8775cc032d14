"""max(x, *, dim=None): the largest element along `dim`, or of all of them (values only).

A selection: the answer is one of the inputs, bit for bit, so the bound is 0. NaN propagates; the sign of a zero is
free. The maximum of nothing is an error. Shapes: (..., n, ...) -> (..., ...); dim=None -> (). Specification: PyTorch
(ONNX would return -inf for an empty reduction).

Gradient: the cotangent at the largest element, 0 elsewhere, bit for bit. Where several are largest there is none, only
subgradients, and PyTorch has three conventions: torch.amax and torch.max(x) share the cotangent evenly, and
torch.max(x, dim) hands all of it to one. So gradients are judged on values without intended ties, and where a tie comes
up (half types, the expanded layout) each of the tied elements may have any share from nothing to all.
"""

from __future__ import annotations

import numpy as np

from harness import Case, Operator, grid
from harness.judge.arithmetic import Arithmetic
from harness.judge.formula import ALTERNATIVES, gradients_of
from harness.judge.tracked import Tracked
from harness.precision import FLOATS, widen

from . import reduction_mutants
from .reductions import (
    LARGE,
    PERMUTED,
    SCALED,
    SIZES,
    TRANSPOSED,
    along,
    check_dim,
    last,
    mutants,
    of_rows,
    one_input,
    out_of_range,
    reduction_cost,
    rows_of,
    shape_cases,
    terms,
)

WITHOUT_TIES = ("normal", "uniform", "wide", "negative", "cancelling")


def oracle(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    check_dim(x, dim)
    return np.asarray(np.max(last(widen(x), dim), axis=-1))


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    return np.zeros(expected.shape, dtype=expected.dtype)


def gradient(g: Tracked, x: Tracked, *, dim: int | None) -> Tracked:
    rows = rows_of(x, dim)
    hit = rows.value == rows.max(-1, keepdims=True).value
    count = np.maximum(1, np.sum(hit, axis=-1, keepdims=True))
    part = of_rows(Tracked(hit / count, 0.0, g.rounding), x, dim)
    cotangent = along(g, x, dim)
    value = cotangent.value * part.value
    if g.rounding is None:
        return Tracked(value, 0.0, None)
    # a share of 1 or 0 is exact; of a tie, any share between them, however far it is from the even one
    tied = (part.value > 0) & (part.value < 1)
    return Tracked(value, np.where(tied, np.abs(cotangent.value) * (1 - part.value) / ALTERNATIVES, 0.0), g.rounding)


max = Operator(
    name="max",
    inputs=one_input,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=WITHOUT_TIES,
    cost=reduction_cost,
    specification="PyTorch",
    terms=terms,
    properties=(PERMUTED, TRANSPOSED, SCALED),
    mutants=(*mutants(oracle), *reduction_mutants.MAX),
    conformance=(
        *grid(dtype="float32", shape=[(n,) for n in SIZES], dim=0),
        *grid(dtype=["float64", "float16", "bfloat16"], shape=[(1,), (33,), (1025,)], dim=0),
        *grid(dtype=["float32"], shape=LARGE, dim=0),
        *grid(dtype=FLOATS, shape=[(1025,)], values=["negative", "bits", "ties", "one_huge", "equal"], dim=0),
        *grid(dtype=FLOATS, shape=[(9, 300)], values=["infinities", "nan", "masked"], dim=1),
        *grid(dtype=["float64", "float32"], shape=[(300,)], values="subnormal", dim=0),
        *grid(dtype="float32", shape=[(300, 9)], values=["negative", "ties"], dim=[0, 1, None]),
        *shape_cases(full=True),
        *grid(dtype="float32", shape=[(0, 3)], dim=1),
        *grid(dtype="float32", shape=[(3, 0)], dim=0),
        *grid(dtype="float32", shape=[(0,)], dim=[0, None], raises="the maximum of nothing"),
        *grid(dtype="float32", shape=[(0, 3)], dim=[0, None], raises="the maximum of nothing"),
        *grid(dtype="float32", shape=[(0, 0)], dim=[0, 1, None], raises="the maximum of nothing"),
        *out_of_range(full=True),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[(2**21,)], dim=0),
        *grid(dtype="float32", shape=[(1024, 1024)], dim=1),
    ),
)

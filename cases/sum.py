"""sum(x, *, dim=None): the sum of the elements along `dim`, or of all of them.

y = x_1 + ... + x_n. Shapes: (..., n, ...) -> (..., ...) without `dim`; dim=None -> (). Empty sums are 0. Gradient: the
cotangent beside every element, bit for bit.
Oracle: double-double pairwise summation, correctly rounded at the end. Bound: |error| <= error of the declared tree +
u |y| for the store; 0 where the terms are integers (on a common grid) with sum |x| < 1/u, since then every partial
sum in every order is exact. Specification: PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.judge.arithmetic import Arithmetic
from harness.judge.exact import exact_sums
from harness.judge.formula import gradients_of
from harness.judge.tracked import Tracked
from harness.precision import FLOATS, exact_sum, widen

from . import reduction_mutants
from .reductions import (
    LARGE,
    NORMALS,
    PERMUTED,
    SCALED,
    SIZES,
    TRANSPOSED,
    along,
    axis,
    check_dim,
    last,
    mutants,
    one_input,
    out_of_range,
    reduction_cost,
    shape_cases,
    terms,
)
from .revealing import OF_SUM


def oracle(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    check_dim(x, dim)
    return exact_sum(last(widen(x), dim))


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    row = last(widen(inputs[0]), axis(case))
    exact = exact_sums(row, arithmetic.unit)
    if exact.all():
        return np.zeros(expected.shape)
    return np.where(exact, 0.0, arithmetic.sum_error(row) + arithmetic.output.unit * np.abs(expected))


def gradient(g: Tracked, x: Tracked, *, dim: int | None) -> Tracked:
    return along(g, x, dim)


def negated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """sum(-x) = -sum(x), bit for bit: rounding to nearest is symmetric."""

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, -answer, np.zeros_like(answer)

    return Probe((-inputs[0],), relate) if case.layout == "contiguous" else None


sum = Operator(
    name="sum",
    inputs=one_input,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    cost=reduction_cost,
    revealing=OF_SUM,
    specification="PyTorch",
    terms=terms,
    outweighs=float,
    properties=(
        PERMUTED,
        TRANSPOSED,
        Property("negation", negated),
        SCALED,
    ),
    mutants=(*mutants(oracle), *reduction_mutants.SUM),
    conformance=(
        *grid(dtype="float32", shape=[(n,) for n in SIZES], values="integers", dim=0),
        *grid(dtype=["float64", "float16", "bfloat16"], shape=[(1,), (33,), (1025,)], values="integers", dim=0),
        *grid(dtype="float32", shape=LARGE, values="integers", dim=0),
        *grid(dtype="float32", shape=[(65537,)], values="uniform", dim=0),
        # more than torch gives to one thread: a partial that is stored in a half type on the way is seen here
        *grid(dtype=["float16", "bfloat16"], shape=[(65537,)], values="uniform", dim=0),
        *grid(dtype=FLOATS, shape=[(1025,)], values=[*NORMALS, "wide", "cancelling", "one_huge"], dim=0),
        *grid(dtype=FLOATS, shape=[(9, 300)], values=["stagnation", "infinities", "nan"], dim=1),
        *grid(dtype=["float64", "float32"], shape=[(300,)], values="subnormal", dim=0),
        *grid(dtype="float32", shape=[(300, 9)], values=["integers", "normal"], dim=[0, 1, None]),
        *shape_cases(full=True),
        *grid(dtype="float32", shape=[(0,), (0, 3), (3, 0)], dim=[0, -1, None]),
        *out_of_range(full=True),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[(2**21,)], values="integers", dim=0),
        *grid(dtype="float32", shape=[(1024, 1024)], dim=[0, 1]),
    ),
)

"""max(x, *, dim=None): the largest element along `dim`, or of all of them (values only).

A selection: the answer is one of the inputs, bit for bit, so the bound is 0. NaN propagates; the sign of a zero is
free. The maximum of nothing is an error. Shapes: (..., n, ...) -> (..., ...); dim=None -> (). Specification: PyTorch
(ONNX would return -inf for an empty reduction).
"""

from __future__ import annotations

import numpy as np

from harness import Case, Operator, grid
from harness.judge.arithmetic import Arithmetic
from harness.precision import FLOATS, widen

from .reductions import (
    LARGE,
    PERMUTED,
    SCALED,
    SIZES,
    TRANSPOSED,
    check_dim,
    last,
    mutants,
    one_input,
    out_of_range,
    reduction_cost,
    shape_cases,
    terms,
)


def oracle(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    check_dim(x, dim)
    return np.asarray(np.max(last(widen(x), dim), axis=-1))


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    return np.zeros(expected.shape, dtype=expected.dtype)


max = Operator(
    name="max",
    inputs=one_input,
    oracle=oracle,
    bound=bound,
    cost=reduction_cost,
    specification="PyTorch",
    terms=terms,
    properties=(PERMUTED, TRANSPOSED, SCALED),
    mutants=mutants(oracle),
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

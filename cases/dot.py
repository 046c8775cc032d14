"""dot(a, b): the sum of the products of two vectors of one length.

y = a_1 b_1 + ... + a_n b_n. Shapes: (n), (n) -> (). The dot product of empty vectors is 0. Oracle: exact products,
double-double summation. Bound: |error| <= error of the declared tree over the products + u sum |a b| for their
rounding (0 for fused multiply-add, which may be better, not worse) + u |y| for the store; 0 where products and sums
are exact. Gradients: the cotangent times the other vector, with one rounding. Specification: PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.arithmetic import Arithmetic
from harness.judge.exact import exact_sums
from harness.judge.formula import gradients_of
from harness.judge.tracked import Tracked
from harness.precision import FLOATS, exact_dot, numpy_dtype, round_to, widen

from . import reduction_mutants
from .reductions import LARGE, SIZES
from .revealing import OF_DOT


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Two vectors; for the exact and the special families the second holds small integers."""
    first, second = case.shapes
    a = draw(case.values, first, case.dtype, rng, terms=max(1, *first, 1) * (4 if case.values == "integers" else 1))
    if case.values in ("integers", "infinities", "nan", "subnormal"):
        b = rng.choice([-4.0, -2.0, -1.0, 1.0, 2.0, 4.0], second).astype(numpy_dtype(case.dtype))
    elif case.values in ("bits", "lognormal", "uniform"):
        b = draw("uniform", second, case.dtype, rng)
    elif case.values == "stagnation":
        b = np.ones(second, numpy_dtype(case.dtype))
    else:
        b = draw("normal", second, case.dtype, rng)
    return a, b


def oracle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.ndim != 1 or b.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot needs two vectors of one length, not shapes {a.shape} and {b.shape}")
    return exact_dot(a, b)


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    a, b = inputs
    with np.errstate(all="ignore"):
        products = widen(a) * widen(b)
        narrow = "float64" if case.dtype == "float64" else "float32"
        if exact_sums(products, arithmetic.unit) and np.all(round_to(products, narrow) == products):
            return np.zeros(expected.shape)
        u = arithmetic.unit
        rounding = arithmetic.factor * u * np.sqrt(np.sum(products**2, axis=-1))
        rounding = np.minimum(rounding, u * np.sum(np.abs(products), axis=-1))
        underflow = a.size * arithmetic.output.underflow
        return arithmetic.sum_error(products) + rounding + arithmetic.output.unit * np.abs(expected) + underflow


def gradient(g: Tracked, a: Tracked, b: Tracked) -> tuple[Tracked, Tracked]:
    return b * g, a * g


def swapped(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """a . b = b . a, within both bounds."""

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound

    return Probe((inputs[1], inputs[0]), relate) if case.layout == "contiguous" else None


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The same reordering of both vectors keeps the answer, within both bounds."""
    if case.layout != "contiguous":
        return None
    order = rng.permutation(inputs[0].size)

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound

    return Probe((inputs[0][order], inputs[1][order]), relate)


def cost(case: Case) -> Cost:
    """Read both vectors once, write one number; a product and a sum per element."""
    n = case.shapes[0][0]
    return Cost(bytes=(2 * n + 1) * numpy_dtype(case.dtype).itemsize, flops=2 * n)


def _right(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return round_to(exact_dot(a, b), a.dtype.name)


def _narrow(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return _right(round_to(widen(a), "bfloat16").astype(a.dtype), b)


MUTANTS = (
    Mutant("zeros", lambda a, b: np.zeros_like(_right(a, b))),
    Mutant("nan", lambda a, b: np.full_like(_right(a, b), np.nan)),
    Mutant("constant", lambda a, b: np.full_like(_right(a, b), 0.25)),
    Mutant("input_copy", lambda a, b: a.copy()),
    Mutant("last_element_dropped", lambda a, b: _right(a[:-1], b[:-1])),
    Mutant(
        "tail_beyond_a_block_dropped",
        lambda a, b: _right(a[: a.size // 256 * 256 or None], b[: a.size // 256 * 256 or None]),
    ),
    Mutant("odd_elements_dropped", lambda a, b: _right(a[::2], b[::2])),
    Mutant("second_factor_reversed", lambda a, b: _right(a, b[::-1])),
    Mutant("second_factor_ignored", lambda a, b: _right(a, np.ones_like(b))),
    Mutant("square_of_the_first", lambda a, b: _right(a, a)),
    Mutant("inputs_rounded_to_bfloat16", _narrow),
    Mutant("off_by_1e-4", lambda a, b: (widen(_right(a, b)) * 1.0001).astype(a.dtype)),
    Mutant("wider_dtype", lambda a, b: np.asarray(exact_dot(a, b), dtype=np.float64)),
    Mutant("extra_axis", lambda a, b: _right(a, b)[None]),
)


def _pairs(*sizes: int) -> list[tuple[tuple[int], tuple[int]]]:
    return [((n,), (n,)) for n in sizes]


dot = Operator(
    name="dot",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    cost=cost,
    revealing=OF_DOT,
    specification="PyTorch",
    terms=lambda case: case.shapes[0][0],
    properties=(Property("symmetry", swapped), Property("permutation", permuted)),
    mutants=(*MUTANTS, *reduction_mutants.DOT),
    conformance=(
        *grid(dtype="float32", shape=_pairs(0, *SIZES), values="integers"),
        *grid(dtype=["float64", "float16", "bfloat16"], shape=_pairs(1, 33, 1025), values="integers"),
        *grid(dtype="float32", shape=_pairs(*(n for (n,) in LARGE)), values="integers"),
        *grid(dtype="float32", shape=_pairs(65537), values="uniform"),
        *grid(
            dtype=FLOATS,
            shape=_pairs(1025),
            values=["normal", "uniform", "lognormal", "bits", "wide", "cancelling", "one_huge"],
        ),
        *grid(dtype=FLOATS, shape=_pairs(300), values=["infinities", "nan", "stagnation"]),
        *grid(dtype=["float64", "float32"], shape=_pairs(300), values="subnormal"),
        *grid(dtype=FLOATS, shape=_pairs(257), layout=["strided", "reversed", "offset"]),
        *grid(dtype="float32", shape=_pairs(257), layout=["strided", "reversed"], values="integers"),
        *grid(dtype="float32", shape=[((3,), (4,)), ((1,), (4,)), ((4,), (0,))], raises="two different lengths"),
        *grid(dtype="float32", shape=[((3, 3), (3, 3)), ((2, 3), (3,))], raises="not vectors"),
    ),
    benchmarks=grid(dtype="float32", shape=_pairs(2**12, 2**21), values="integers"),
)

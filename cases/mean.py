"""mean(x, *, dim=None): the sum of the elements along `dim`, or of all of them, divided by how many they are.

y = (x_1 + ... + x_n) / n. Shapes: (..., n, ...) -> (..., ...) without `dim`; dim=None -> (). The mean of nothing is
NaN, that of one element the element. Gradient: the cotangent divided by n, beside every element. Oracle and bound:
running error analysis of the formula (harness.judge.tracked): |error| <= error of the declared tree / n + a division +
u |y| for the store. Where n is a power of two, integers (on a common grid) have an exact mean; else a division may be a
multiplication by 1/n, which is one rounding more. Specification: PyTorch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked
from harness.precision import FLOATS, round_to, widen

from .reductions import (
    LARGE,
    NORMALS,
    PERMUTED,
    SCALED,
    SIZES,
    TRANSPOSED,
    along,
    last,
    mutants,
    one_input,
    out_of_range,
    reduction_cost,
    rows_of,
    shape_cases,
    terms,
)
from .revealing import OF_MEAN


def by_count(total: Tracked, n: int) -> Tracked:
    """A division by n, or a multiplication by 1/n, which differ unless n is a power of two."""
    quotient = total / float(n)
    return quotient if n & (n - 1) == 0 else quotient.widened(quotient)


def formula(x: Tracked, *, dim: int | None) -> Tracked:
    rows = rows_of(x, dim)
    return by_count(rows.sum(-1), rows.shape[-1])


def gradient(g: Tracked, x: Tracked, *, dim: int | None) -> Tracked:
    return along(by_count(g, rows_of(x, dim).shape[-1]), x, dim)


oracle, bound = derived_from(formula)


def negated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """mean(-x) = -mean(x), bit for bit: rounding to nearest is symmetric."""

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, -answer, np.zeros_like(answer)

    return Probe((-inputs[0],), relate) if case.layout == "contiguous" else None


def between(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """min(x) <= mean(x) <= max(x), within the bound."""
    row = last(widen(inputs[0]), case["dim"])
    if row.size == 0 or not np.all(np.isfinite(row)):
        return None
    low, high = np.min(row, axis=-1), np.max(row, axis=-1)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        middle, half = low + (high - low) / 2, (high - low) / 2
        return widen(answer), middle, half + bound + 1e-12 * (np.abs(low) + np.abs(high))

    return Probe(None, relate)


def _working(x: np.ndarray) -> np.ndarray:
    return x if x.dtype == np.float64 else x.astype(np.float32)


def _scaled(name: str, count: Any, lesson: str = "") -> Mutant:
    """The sum divided by `count(x, n)` in place of n."""

    def function(x: np.ndarray, *, dim: int | None) -> np.ndarray:
        rows = last(widen(x), dim)
        with np.errstate(all="ignore"):
            return round_to(np.asarray(np.sum(rows, axis=-1) / np.float64(count(x, rows.shape[-1]))), x.dtype.name)

    return Mutant(name, function, lesson)


def _narrow_sum(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    """Partial sums are rounded to 11 bits, one by one."""
    rows = last(_working(x), dim)
    total = np.zeros(rows.shape[:-1], np.float16)
    with np.errstate(all="ignore"):
        for i in range(rows.shape[-1]):
            total = (total + rows[..., i].astype(np.float16)).astype(np.float16)
        return np.asarray(total / np.float32(rows.shape[-1])).astype(x.dtype)


def _of_blocks(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    """The mean of the means of blocks of 256, the last of which may be shorter."""
    rows = last(widen(x), dim)
    with np.errstate(all="ignore"):
        if rows.shape[-1] == 0:
            return round_to(np.full(rows.shape[:-1], np.nan), x.dtype.name)
        means = [np.mean(rows[..., i : i + 256], axis=-1) for i in range(0, rows.shape[-1], 256)]
        return round_to(np.asarray(np.mean(means, axis=0)), x.dtype.name)


def _without_nan(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    rows = last(widen(x), dim)
    with np.errstate(all="ignore"):
        total, count = np.nansum(rows, axis=-1), np.sum(~np.isnan(rows), axis=-1)
        return round_to(np.asarray(total / count), x.dtype.name)


def _nothing_is_zero(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    answer = round_to(oracle(x, dim=dim), x.dtype.name)
    return answer if last(x, dim).shape[-1] else np.zeros_like(answer)


def _running(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    """m += x / n in 8 bits of fraction: each term is rounded on its way in."""
    rows = last(widen(x), dim)
    with np.errstate(all="ignore"):
        parts = round_to(rows / rows.shape[-1], "bfloat16").astype(np.float64) if rows.shape[-1] else rows
        total = np.sum(parts, axis=-1) if rows.shape[-1] else np.full(rows.shape[:-1], np.nan)
        return round_to(np.asarray(total), x.dtype.name)


def _median(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    rows = last(widen(x), dim)
    middle = np.median(rows, axis=-1) if rows.shape[-1] else np.full(rows.shape[:-1], np.nan)
    return round_to(np.asarray(middle), x.dtype.name)


mean = Operator(
    name="mean",
    inputs=one_input,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    cost=reduction_cost,
    revealing=OF_MEAN,
    specification="PyTorch",
    terms=terms,
    outweighs=float,
    properties=(
        PERMUTED,
        TRANSPOSED,
        SCALED,
        Property("negation", negated),
        Property("between_min_and_max", between),
    ),
    mutants=(
        *mutants(oracle),
        _scaled("not_divided", lambda x, n: 1, "that is the sum"),
        _scaled("divided_by_n-1", lambda x, n: n - 1, "a mean divides by n; n - 1 belongs to a sample variance"),
        _scaled(
            "divided_by_the_size_of_the_array",
            lambda x, n: x.size,
            "it divides by the number of all elements, not of those along dim",
        ),
        _scaled(
            "divided_by_n_padded_to_a_block", lambda x, n: n + -n % 32, "padding does not count among the elements"
        ),
        Mutant("sum_in_float16", _narrow_sum, "an accumulator of 11 bits loses what is added to a large partial sum"),
        Mutant("mean_of_the_means_of_blocks", _of_blocks, "a shorter last block has less weight than the others"),
        Mutant("nan_left_out", _without_nan, "NaN is to propagate"),
        Mutant("nothing_is_zero", _nothing_is_zero, "the mean of nothing is 0/0, NaN"),
        Mutant("terms_in_bfloat16", _running),
        Mutant("median", _median),
    ),
    conformance=(
        *grid(dtype="float32", shape=[(n,) for n in SIZES], values="integers", dim=0),
        *grid(dtype=["float64", "float16", "bfloat16"], shape=[(1,), (32,), (33,), (1025,)], values="integers", dim=0),
        *grid(dtype="float32", shape=LARGE, values="uniform", dim=0),
        *grid(dtype=["float16", "bfloat16"], shape=[(65537,)], values="uniform", dim=0),
        *grid(dtype=FLOATS, shape=[(1025,)], values=[*NORMALS, "wide", "cancelling", "one_huge", "equal"], dim=0),
        *grid(dtype=FLOATS, shape=[(9, 300)], values=["stagnation", "infinities", "nan"], dim=1),
        *grid(dtype="float32", shape=[(300, 9)], values=["integers", "normal"], dim=[0, 1, None]),
        *shape_cases(full=True),
        *grid(dtype="float32", shape=[(0,), (0, 3), (3, 0)], dim=[0, -1, None]),
        *out_of_range(full=True),
    ),
    benchmarks=(
        # of a sign: where the terms cancel, a bound by heights alone leaves four digits unused
        *grid(dtype="float32", shape=[(2**21,)], values="uniform", dim=0),
        *grid(dtype="float32", shape=[(1024, 1024)], dim=[0, 1]),
    ),
)

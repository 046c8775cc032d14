"""argmax(x, *, dim=None): where the largest element stands along `dim`, or in the flattened array.

A selection: the answer is exact, so the bound is 0. Of equal elements the first one; the first NaN, where there is one
(a NaN counts as larger than all). The position in nothing is an error. Shapes: (..., n, ...) -> (..., ...) of int64;
dim=None -> (). There is no gradient. Specification: PyTorch, whose choice of the first of equal elements is measured
(its documentation leaves it open; NumPy and ONNX promise it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.judge.arithmetic import Arithmetic
from harness.precision import FLOATS, numpy_dtype, widen

from .reductions import (
    LARGE,
    SIZES,
    TRANSPOSED,
    axis,
    check_dim,
    last,
    one_input,
    out_of_range,
    shape_cases,
    terms,
)
from .wrong import narrowed


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """As of every reduction; but where all may be flushed to 0, the first one is not the largest."""
    (x,) = one_input(case, rng)
    if case.values == "subnormal":
        x[..., 0] = np.negative(np.abs(x[..., 0]))
    return (x,)


def oracle(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    check_dim(x, dim)
    rows = last(widen(x), dim)
    if rows.shape[-1] == 0:
        raise ValueError("the position of the largest element of nothing")
    return np.asarray(np.argmax(rows, axis=-1), dtype=np.int64)


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    return np.zeros(expected.shape)


def cost(case: Case) -> Cost:
    """Read every element once, write a 64-bit index per output, one comparison per element."""
    count = int(np.prod(case.shapes[0]))
    outputs = count // max(1, terms(case))
    return Cost(bytes=count * numpy_dtype(case.dtype).itemsize + 8 * outputs, flops=count)


def found_there(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """x[argmax(x)] = max(x), and nothing before it is as large."""
    rows = last(widen(inputs[0]), axis(case))

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        n = rows.shape[-1]
        place = np.clip(np.asarray(answer).astype(np.int64), 0, n - 1)
        there = np.take_along_axis(rows, place[..., None], axis=-1)
        before = np.arange(n) < place[..., None]
        as_large = np.any(before & ((rows >= there) | np.isnan(rows)), axis=-1)
        largest = np.max(rows, axis=-1, keepdims=True)
        right = (there == largest) | (np.isnan(there) & np.isnan(largest))
        return (~right[..., 0] | as_large).astype(float), np.zeros(as_large.shape), np.zeros(as_large.shape)

    return Probe(None, relate) if rows.size and inputs[0].ndim else None


def grown(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """argmax(4x) = argmax(x): an increasing function keeps every comparison."""
    if case.layout != "contiguous" or case.values not in ("normal", "uniform", "ties", "negative"):
        return None

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, answer, np.zeros(answer.shape)

    return Probe((inputs[0] * inputs[0].dtype.type(4),), relate)


def doubled(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """argmax of x followed by x is argmax(x): the first of equal elements."""
    (x,) = inputs
    along = axis(case)
    if x.ndim == 0 or along is None or case.layout != "contiguous":
        return None

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, answer, np.zeros(answer.shape)

    return Probe((np.concatenate([x, x], axis=along),), relate)


Rows = Callable[[np.ndarray], np.ndarray]


def _mutant(name: str, of_rows: Rows, lesson: str = "") -> Mutant:
    """A wrong version that works on rows (..., n) in the oracle's precision."""

    def function(x: np.ndarray, *, dim: int | None) -> np.ndarray:
        check_dim(x, dim)
        with np.errstate(all="ignore"):
            return np.asarray(of_rows(last(widen(x), dim)), dtype=np.int64)

    return Mutant(name, function, lesson)


def _right(rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.argmax(rows, axis=-1), dtype=np.int64)


def _last_of_equals(rows: np.ndarray) -> np.ndarray:
    return rows.shape[-1] - 1 - _right(rows[..., ::-1])


def _without_nan(rows: np.ndarray) -> np.ndarray:
    return _right(np.where(np.isnan(rows), -np.inf, rows))


def _initial_zero(rows: np.ndarray) -> np.ndarray:
    """The search starts from the value 0 at index 0, so that negative rows are never looked at."""
    return np.where(np.max(rows, axis=-1) > 0, _right(rows), 0)


def _full_blocks(rows: np.ndarray) -> np.ndarray:
    n = rows.shape[-1]
    return _right(rows[..., : n // 256 * 256] if n > 256 else rows)


def _in_its_block(rows: np.ndarray) -> np.ndarray:
    return _right(rows) % 256


def _last_block_wins(rows: np.ndarray) -> np.ndarray:
    """Blocks of 256 are searched for the first one, but their results compared with >=."""
    starts = range(0, rows.shape[-1], 256)
    places = np.stack([_right(rows[..., i : i + 256]) + i for i in starts], axis=-1)
    values = np.take_along_axis(rows, places, axis=-1)
    chosen = _last_of_equals(values)
    return np.take_along_axis(places, chosen[..., None], axis=-1)[..., 0]


def _other_dim(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    return oracle(x, dim=dim if dim is None or x.ndim < 2 else (dim + 1) % x.ndim)


def _flat(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    """Positions in the flattened array, whatever dim is."""
    local = oracle(x, dim=dim)
    if dim is None or x.ndim == 0:
        return local
    flat = np.arange(x.size).reshape(x.shape)
    return np.asarray(np.take_along_axis(last(flat, dim), local[..., None], axis=-1)[..., 0])


def _column_major(x: np.ndarray, *, dim: int | None) -> np.ndarray:
    return oracle(x.T, dim=None) if dim is None else oracle(x, dim=dim)


def _narrow_index(rows: np.ndarray) -> np.ndarray:
    """Indices that pass through float16: beyond 2048 they are rounded."""
    return _right(rows).astype(np.float16).astype(np.int64)


MUTANTS = (
    _mutant("zeros", lambda rows: np.zeros_like(_right(rows))),
    _mutant("last_place", lambda rows: np.full_like(_right(rows), rows.shape[-1] - 1)),
    _mutant("argmin", lambda rows: np.argmin(rows, axis=-1)),
    _mutant("last_of_equals", _last_of_equals, "of equal elements the first one counts: replace only by a larger one"),
    _mutant("of_absolute_values", lambda rows: _right(np.abs(rows))),
    _mutant("nan_left_out", _without_nan, "a NaN counts as the largest; a comparison x > best is false for it"),
    _mutant("search_starts_at_0", _initial_zero, "a row without positive elements: start from -inf or from x[0]"),
    _mutant("one_too_far", lambda rows: _right(rows) + 1, "positions count from 0"),
    _mutant("last_element_dropped", lambda rows: _right(rows[..., :-1]) if rows.shape[-1] > 1 else _right(rows)),
    _mutant("tail_beyond_a_block_dropped", _full_blocks, "what lies beyond the last full block of 256 is left out"),
    _mutant("index_in_its_block", _in_its_block, "the start of the block is to be added to the index in the block"),
    _mutant("last_block_of_equals", _last_block_wins, "partial results are compared with >= where > is right"),
    _mutant("index_in_float16", _narrow_index),
    Mutant("other_dim", _other_dim, "it works along another dim than the one that was asked for"),
    Mutant("flat_index", _flat, "with a dim, positions count along that dim"),
    Mutant("column_major", _column_major, "without a dim, positions count in row-major order"),
    Mutant("inputs_rounded_to_bfloat16", lambda x, *, dim: oracle(narrowed(x), dim=dim)),
    Mutant("int32", lambda x, *, dim: oracle(x, dim=dim).astype(np.int32), "indices are int64"),
    Mutant("index_as_float", lambda x, *, dim: oracle(x, dim=dim).astype(np.float64)),
    Mutant("extra_axis", lambda x, *, dim: oracle(x, dim=dim)[None]),
    Mutant("largest_value", lambda x, *, dim: np.asarray(np.max(last(x, dim), axis=-1))),
)

argmax = Operator(
    name="argmax",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    cost=cost,
    specification="PyTorch",
    output_dtype=lambda case: "int64",
    properties=(
        TRANSPOSED,
        Property("largest_and_first", found_there),
        Property("increasing_function", grown),
        Property("first_of_two_copies", doubled),
    ),
    mutants=MUTANTS,
    conformance=(
        *grid(dtype="float32", shape=[(n,) for n in SIZES], dim=0),
        *grid(dtype=["float64", "float16", "bfloat16"], shape=[(1,), (33,), (1025,)], dim=0),
        *grid(dtype="float32", shape=LARGE, values=["normal", "ties"], dim=0),
        *grid(dtype=FLOATS, shape=[(1025,)], values=["negative", "bits", "ties", "one_huge", "equal"], dim=0),
        *grid(dtype=FLOATS, shape=[(9, 300)], values=["infinities", "nan", "masked", "masked_out"], dim=1),
        *grid(dtype=["float64", "float32"], shape=[(300,)], values="subnormal", dim=0),
        *grid(dtype="float32", shape=[(300, 9)], values=["negative", "ties", "nan"], dim=[0, 1, None]),
        *grid(dtype=["int64", "int32"], shape=[(9, 300)], values="ties", dim=[0, 1, None]),
        *shape_cases(full=True),
        *grid(dtype="float32", shape=[(0, 3)], dim=1),
        *grid(dtype="float32", shape=[(3, 0)], dim=0),
        *grid(dtype="float32", shape=[(0,), (0, 3)], dim=[0, None], raises="the largest element of nothing"),
        *grid(dtype="float32", shape=[(3, 0)], dim=[1, None], raises="the largest element of nothing"),
        *out_of_range(full=True),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[(2**21,)], dim=0),
        *grid(dtype="float32", shape=[(1024, 1024)], dim=[0, 1]),
    ),
)

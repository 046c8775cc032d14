"""expand(x, *, size): x with its axes of length 1, and new axes in front, repeated to `size`, as a new array.

Shapes: (...) -> size, aligned at the last axis; an axis of length 1 takes any length (0 too), and any other keeps its
own; -1 keeps the length of an axis that x has. Pure movement: every element of the answer is an element of x, bit for
bit, so the bound is 0. Gradient: the cotangent summed over the repeated axes, judged by the declared tree (here of the
sums of the backward pass). Specification: PyTorch, but for one thing: the answer is a new array here, not a view. Fewer
axes than x has, another length for an axis that is not 1, -1 for a new axis, and other negative lengths are errors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.arithmetic import Arithmetic
from harness.judge.formula import gradients_of
from harness.judge.tracked import Tracked
from harness.precision import FLOATS, numpy_dtype, widen

from .wrong import answer, general

VALUES = ["uniform", "wide", "integers", "bits", "infinities", "nan", "subnormal", "negative", "ties"]


def full_size(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, ...]:
    """The size with each -1 replaced by the length that it keeps; ValueError where x cannot take it."""
    new = len(size) - len(shape)
    if new < 0:
        raise ValueError(f"size {size} has fewer axes than the shape {shape}")
    full = []
    for axis, length in enumerate(size):
        own = shape[axis - new] if axis >= new else None
        if length < -1 or (length == -1 and own is None):
            raise ValueError(f"size {size}: -1 keeps the length of an axis that is there, and no other is negative")
        if own not in (None, 1, length) and length != -1:
            raise ValueError(f"size {size}: axis {axis} has {own} elements, which cannot become {length}")
        full.append(int(own) if length == -1 and own is not None else length)
    return tuple(full)


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    (shape,) = case.shapes
    return (draw(case.values, shape, case.dtype, rng),)


def oracle(x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(widen(x), full_size(x.shape, tuple(size)))


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    return np.zeros(expected.shape)


def summed_to(g: Tracked, shape: tuple[int, ...]) -> Tracked:
    """The sum over all axes along which an array of `shape` was repeated."""
    new = g.ndim - len(shape)
    repeated = [axis for axis in range(g.ndim) if axis < new or (shape[axis - new] == 1 and g.shape[axis] != 1)]
    if not repeated:
        return g.reshape(shape)
    for place, axis in enumerate(repeated):  # the repeated axes last, and in one
        g = g.moveaxis(axis - place, -1)
    kept = g.shape[: g.ndim - len(repeated)]
    return g.reshape(*kept, int(np.prod(g.shape[len(kept) :]))).sum(-1).reshape(shape)


def gradient(g: Tracked, x: Tracked, *, size: tuple[int, ...]) -> Tracked:
    return summed_to(g, x.shape)


def cost(case: Case) -> Cost:
    """Read every element once, write the repeated ones; no arithmetic but an address per element written."""
    itemsize, count = numpy_dtype(case.dtype).itemsize, int(np.prod(case.shapes[0]))
    outputs = int(np.prod(full_size(case.shapes[0], case["size"])))
    return Cost(bytes=(count + outputs) * itemsize, flops=outputs)


def negated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """expand(-x) = -expand(x), bit for bit."""

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, -answer, np.zeros(answer.shape)

    return Probe((-inputs[0],), relate) if case.layout == "contiguous" and case.dtype in FLOATS else None


def collapses(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Of every repeated axis one slice is as good as another, and together they are x."""
    (x,) = inputs

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        new = answer.ndim - x.ndim
        where = tuple(
            rng.integers(0, length) if axis < new else slice(None) if x.shape[axis - new] == length else slice(-1, None)
            for axis, length in enumerate(answer.shape)
        )
        return answer[where], x, np.zeros(x.shape)

    return Probe(None, relate) if 0 not in oracle(x, size=case["size"]).shape else None


def _resized(x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    """Elements in memory order, again and again: right only for new axes in front."""
    return np.resize(x, full_size(x.shape, size))


def _first_slice_only(x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    out = answer(oracle, x, size=size)
    new = out.ndim - x.ndim
    copy = np.zeros_like(out)
    first = tuple(slice(0, 1) if a < new or x.shape[a - new] == 1 else slice(None) for a in range(out.ndim))
    copy[first] = out[first]
    return copy


def _last_slice_unwritten(x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    out = answer(oracle, x, size=size)
    if out.ndim and x.shape != out.shape:
        out = out.copy()
        out.reshape(out.shape[0], -1)[-1] = 0
    return out


def _aligned_in_front(x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    """New axes behind those of x, where that fits."""
    full = full_size(x.shape, size)
    return np.broadcast_to(x.reshape(*x.shape, *[1] * (len(full) - x.ndim)), full).copy()


def _minus_one_is_one(x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    first = x[tuple(slice(0, 1) if length == -1 else slice(None) for length in size[len(size) - x.ndim :])]
    return answer(oracle, first, size=tuple(1 if length == -1 else length for length in size))


def _element_repeated(x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    """Each element n times in a row: right only for new axes behind."""
    full = full_size(x.shape, size)
    return np.repeat(x.reshape(-1), int(np.prod(full)) // max(1, x.size)).reshape(full)


def _through(name: str, change: Any, lesson: str = "") -> Mutant:
    return Mutant(name, lambda x, *, size: change(answer(oracle, x, size=size)).astype(x.dtype), lesson)


def _reversed(out: np.ndarray) -> np.ndarray:
    return out[..., ::-1] if out.ndim else -out


def _tail(out: np.ndarray) -> np.ndarray:
    flat = out.reshape(-1).copy()
    flat[flat.size // 256 * 256 :] = 0
    return flat.reshape(out.shape)


def _view_shape(x: np.ndarray, *, size: tuple[int, ...]) -> np.ndarray:
    return answer(oracle, x, size=size)[(None,) * (1 if len(size) == x.ndim else 0)]


conformance = (
    *grid(dtype="float32", shape=[(1,)], size=[(1,), (2,), (31,), (33,), (256,), (257,), (1025,), (65537,)]),
    *grid(dtype="float32", shape=[(257, 1)], size=[(257, 1), (257, 2), (-1, 33), (257, 1023)]),
    *grid(dtype="float32", shape=[(1, 257)], size=[(1, 257), (5, -1), (33, 257), (3, 2, 257)]),
    *grid(dtype=FLOATS, shape=[(7, 1)], size=[(7, 33), (-1, 5), (2, 7, 33), (7, 1), (-1, -1)]),
    *grid(dtype=FLOATS, shape=[(3, 1, 101)], values=VALUES, size=(3, 2, 101)),
    *grid(dtype="float32", shape=[()], size=[(), (1,), (5,), (2, 3)]),
    *grid(dtype="float32", shape=[(2, 1, 3, 1, 2)], size=[(2, 4, 3, 5, 2), (-1, 4, -1, 1, -1), (3, 2, 1, 3, 1, 2)]),
    *grid(dtype="float32", shape=[(1, 3, 1), (1, 3, 5)], size=[(4, 3, 5), (2, 4, 3, 5)]),
    *grid(dtype="float32", shape=[(4, 4)], size=[(4, 4), (4, 4, 4), (3, -1, -1)]),
    *grid(dtype="float32", shape=[(0,)], size=[(0,), (3, 0), (-1,)]),
    *grid(dtype="float32", shape=[(1,)], size=[(0,), (0, 3), (3, 0)]),
    *grid(dtype="float32", shape=[(0, 1)], size=[(0, 5), (2, -1, 5)]),
    *grid(
        dtype=["float32", "float16"],
        shape=[(37, 1, 5)],
        layout=["transposed", "strided", "reversed", "offset", "expanded"],
        size=[(37, 4, 5), (2, -1, 1, -1)],
    ),
    *grid(dtype=["int64", "int32"], shape=[(5, 1)], values="ties", size=(5, 7)),
    *grid(dtype="float32", shape=[(3,), (2, 3)], size=[(4,), (3, 4), (2, 1)], raises="a length other than 1 is kept"),
    *grid(dtype="float32", shape=[(2, 3)], size=[(3,), (), (6,)], raises="fewer axes than x has"),
    *grid(dtype="float32", shape=[(3,)], size=[(-1, 3), (-1, -1)], raises="-1 for a new axis"),
    *grid(dtype="float32", shape=[(1,), (3,)], size=[(-2,), (-3, 3)], raises="a negative length"),
    *grid(dtype="float32", shape=[(0,)], size=[(1,), (3,)], raises="nothing cannot be repeated"),
)

expand = Operator(
    name="expand",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    cost=cost,
    specification="PyTorch",
    properties=(Property("negation", negated), Property("collapses_to_its_input", collapses)),
    mutants=(
        *general(oracle),
        Mutant("repeated_in_memory_order", _resized, "map the flat output index back axis by axis, not modulo x.size"),
        Mutant("each_element_in_a_row", _element_repeated),
        Mutant("only_the_first_slice", _first_slice_only, "the repeated slices are not written"),
        Mutant("last_slice_unwritten", _last_slice_unwritten),
        Mutant("aligned_in_front", _aligned_in_front, "new axes come in front: shapes are aligned at the last axis"),
        Mutant("minus_one_is_one", _minus_one_is_one, "-1 keeps the length"),
        _through("reversed", _reversed),
        _through("tail_beyond_a_block_unwritten", _tail, "what lies beyond the last full block of 256 is not written"),
        _through("nan_is_zero", np.nan_to_num),
        _through("repeats_are_shares", lambda out: out / np.sqrt(max(1, out.size))),
        Mutant("axes_added", _view_shape),
    ),
    conformance=conformance,
    benchmarks=(
        *grid(dtype="float32", shape=[(1024, 1)], size=(1024, 1024)),
        *grid(dtype="float32", shape=[(1, 1024)], size=(1024, 1024)),
    ),
)

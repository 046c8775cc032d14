"""where(condition, x, y): x where the condition holds, else y; all three broadcast against each other.

Shapes: the common shape of the three. `condition` is bool, x and y have the case's dtype, and so has the answer. Pure
movement: every element of the answer is one of x or of y, bit for bit, so the bound is 0, and infinities or NaN that
are not selected leave no trace. Gradients with respect to x and y: the cotangent where they are selected, else 0, and
the sum of that over the axes along which they were repeated (judged by the declared tree). Specification: PyTorch; a
floating condition, and shapes that do not broadcast, are errors (PyTorch takes uint8, with a warning: not judged).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.declare import SMOOTH
from harness.draw import draw
from harness.judge.arithmetic import Arithmetic
from harness.judge.formula import gradients_of
from harness.judge.tracked import Tracked
from harness.judge.tracked import where as chosen
from harness.precision import FLOATS, numpy_dtype, widen

from .expand import summed_to
from .wrong import general

UNSELECTED = ("nan_unselected", "inf_unselected")
CONDITIONS = ("all_true", "all_false", "one_true")


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """A condition of coin tosses and two arrays of one family, unless the values say otherwise."""
    first, second, third = case.shapes
    condition = rng.random(first) < 0.5
    family = "normal" if case.values in (*UNSELECTED, *CONDITIONS, "float_condition") else case.values
    x, y = (draw(family, shape, case.dtype, rng) for shape in (second, third))
    match case.values:
        case "all_true" | "all_false":
            condition = np.full(first, case.values == "all_true")
        case "one_true":
            condition = np.arange(condition.size).reshape(first) == condition.size - 1
        case "nan_unselected":
            x[~condition], y[condition] = np.nan, np.nan
        case "inf_unselected":
            x[~condition], y[condition] = np.inf, -np.inf
        case "float_condition":
            return condition.astype(numpy_dtype(case.dtype)), x, y
    return condition, x, y


def oracle(condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if condition.dtype != np.bool_:
        raise ValueError(f"the condition is bool, not {condition.dtype}")
    return np.asarray(np.where(condition, widen(x), widen(y)))


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    return np.zeros(expected.shape)


def gradient(g: Tracked, condition: np.ndarray, x: Tracked, y: Tracked) -> tuple[Tracked, Tracked]:
    holds = np.broadcast_to(condition, g.shape)
    return summed_to(chosen(holds, g, 0.0), x.shape), summed_to(chosen(holds, 0.0, g), y.shape)


def cost(case: Case) -> Cost:
    """Read the condition and both arrays once, write one element per output; one choice each."""
    itemsize = numpy_dtype(case.dtype).itemsize
    condition, *arrays = (int(np.prod(shape)) for shape in case.shapes)
    outputs = int(np.prod(np.broadcast_shapes(*case.shapes)))
    return Cost(bytes=condition + (sum(arrays) + outputs) * itemsize, flops=outputs)


def swapped(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """where(not c, y, x) = where(c, x, y), bit for bit."""
    condition, x, y = inputs

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, answer, np.zeros(answer.shape)

    return Probe((~condition, y, x), relate) if case.layout == "contiguous" else None


def both_alike(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """where(c, x, x) = x, whatever the condition says."""
    condition, x, _ = inputs

    def relate(_: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, np.broadcast_to(x, other.shape), np.zeros(other.shape)

    return Probe((condition, x, x), relate) if case.layout == "contiguous" else None


def _general() -> tuple[Mutant, ...]:
    """The general mutants want an array of the answer's dtype first."""

    def of_x_first(mutant: Mutant) -> Mutant:
        return Mutant(mutant.name, lambda c, x, y: mutant.function(x, y, c), mutant.lesson)

    return tuple(map(of_x_first, general(lambda x, y, c: oracle(c, x, y))))


def _mutant(name: str, formula: Any, lesson: str = "") -> Mutant:
    """A wrong version in the dtype of x."""

    def function(condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(formula(condition, x, y)).astype(x.dtype)

    return Mutant(name, function, lesson)


def _shape(*arrays: np.ndarray) -> tuple[int, ...]:
    return np.broadcast_shapes(*(array.shape for array in arrays))


def _in_memory_order(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.resize(array, shape)


def _first_block(condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The condition is read anew for each element of the first 256 only; beyond, y is taken."""
    shape = _shape(condition, x, y)
    holds = np.broadcast_to(condition, shape).copy().reshape(-1)
    holds[256:] = False
    return np.where(holds.reshape(shape), x, y)


def _first_row(condition: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(condition[:1] if condition.ndim else condition, x, y)


def _first_element(array: np.ndarray) -> Any:
    return array.reshape(-1)[:1].reshape(()) if array.size else array


def _alike(*shapes: tuple[int, ...]) -> list[tuple[tuple[int, ...], ...]]:
    return [(shape, shape, shape) for shape in shapes]


BROADCAST = (
    ((7, 1), (7, 33), (7, 33)),
    ((7, 33), (33,), (7, 1)),
    ((33,), (7, 1), ()),
    ((), (7, 33), (7, 1)),
    ((2, 1, 3), (5, 1), (1, 1, 3)),
    ((1,), (4, 3), (4, 3)),
    ((3, 1, 2, 1, 2), (4, 1, 3, 1), (1, 1, 1, 1, 1)),
)
VALUES = ["uniform", "wide", "bits", "infinities", "nan", "subnormal", "negative", *UNSELECTED, *CONDITIONS]

where = Operator(
    name="where",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 1, 2),
    gradient_values=(*SMOOTH, *UNSELECTED, *CONDITIONS),
    cost=cost,
    specification="PyTorch",
    properties=(Property("swapped", swapped), Property("both_alike", both_alike)),
    mutants=(
        *_general(),
        _mutant("branches_swapped", lambda c, x, y: np.where(c, y, x), "x is for true, y for false"),
        _mutant(
            "c*x+(1-c)*y",
            lambda c, x, y: c * widen(x) + (1 - c.astype(np.float64)) * widen(y),
            "0 * inf and 0 * NaN are NaN: what is not selected must not be computed with",
        ),
        _mutant("always_x", lambda c, x, y: np.broadcast_to(x, _shape(c, x, y))),
        _mutant("always_y", lambda c, x, y: np.broadcast_to(y, _shape(c, x, y))),
        _mutant("zero_in_place_of_y", lambda c, x, y: np.where(c, x, np.zeros_like(y))),
        _mutant("larger_of_both", lambda c, x, y: np.maximum(x, y) + np.zeros_like(c, dtype=x.dtype)),
        _mutant("nan_is_zero", lambda c, x, y: np.nan_to_num(np.where(c, x, y))),
        _mutant("condition_of_the_first_row", _first_row),
        _mutant("condition_of_the_first_256", _first_block, "the condition is read for the first block only"),
        _mutant("x_is_a_scalar", lambda c, x, y: np.where(c, _first_element(x), y) + np.zeros_like(x)),
        _mutant(
            "condition_in_memory_order",
            lambda c, x, y: np.where(_in_memory_order(c, _shape(c, x, y)), x, y),
            "each operand has its own broadcast: map the output index back for the condition too",
        ),
        _mutant(
            "y_in_memory_order",
            lambda c, x, y: np.where(c, x, _in_memory_order(y, _shape(c, x, y))),
            "each operand has its own broadcast: map the output index back for y too",
        ),
        _mutant("any_of_the_row", lambda c, x, y: np.where(np.any(c, axis=-1, keepdims=True) if c.ndim else c, x, y)),
    ),
    conformance=(
        *grid(dtype="float32", shape=_alike(*((n,) for n in (1, 2, 31, 33, 256, 257, 1023, 1025, 4097, 65537)))),
        *grid(dtype=FLOATS, shape=[*_alike((7, 33)), *BROADCAST]),
        *grid(dtype=FLOATS, shape=_alike((3, 301)), values=VALUES),
        *grid(dtype="float32", shape=BROADCAST[:3], values=["nan", "infinities", "one_true"]),
        *grid(dtype="float32", shape=_alike((), (2, 3, 2, 3, 2), (0,), (0, 3))),
        *grid(dtype="float32", shape=[((1, 3), (0, 3), (1, 1)), ((3, 0), (1,), (3, 1))]),
        *grid(
            dtype=["float32", "float16"],
            shape=[*_alike((37, 53)), ((37, 1), (37, 53), (1, 53))],
            layout=["transposed", "strided", "reversed", "offset", "expanded"],
        ),
        *grid(dtype=["int64", "int32"], shape=[*_alike((7, 33)), BROADCAST[1]], values="ties"),
        *grid(
            dtype=["float32", "float64"],
            shape=[*_alike((3, 4)), BROADCAST[0]],
            values="float_condition",
            raises="a condition that is not bool",
        ),
        *grid(
            dtype="float32",
            shape=[((3,), (4,), (4,)), ((4,), (3,), (4,)), ((4,), (4,), (2, 3))],
            raises="shapes that do not broadcast",
        ),
    ),
    benchmarks=grid(dtype="float32", shape=[*_alike((1024, 1024)), ((1024, 1), (1024, 1024), (1024,))]),
)

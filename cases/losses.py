"""What the losses share: pairs of inputs, cases over reductions, dtypes, sizes and layouts, costs, wrong versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Probe, Property, grid
from harness.draw import draw
from harness.precision import FLOATS, is_float, numpy_dtype, widen

from .wrong import Oracle, always, answer

REDUCTIONS = ["none", "mean", "sum"]
LAYOUTS = ["transposed", "strided", "reversed", "offset", "expanded"]
SIZES = (2, 31, 33, 256, 257, 1023, 1025, 4097, 65537)
"""Around the boundaries of a warp, a block and a tile."""
BENCHMARK = (1024, 1024)


def two_alike(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Two arrays from one family."""
    first, second = case.shapes
    terms = max(1, int(np.prod(first)))
    return tuple(draw(case.values, shape, case.dtype, rng, terms=2 * terms) for shape in (first, second))


def pairs(*shapes: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(shape, shape) for shape in shapes]


def elementwise_cases(
    *,
    values: Sequence[str],
    shapes_of: Callable[..., list[Any]] = pairs,
    common: Sequence[str] = ("normal",),
    dtypes: Sequence[str] = FLOATS,
    **parameters: Any,
) -> tuple[Case, ...]:
    """Cases of a loss between arrays of one shape: sizes, ranks, empty arrays, dtypes, layouts; `values` are what is
    special to the loss, `parameters` its own (a list is an axis)."""
    first: dict[str, Any] = {name: value[0] if isinstance(value, list) else value for name, value in parameters.items()}
    usual, named, one = list(common), list(dtypes), "float32"
    sizes = shapes_of(*((n,) for n in SIZES))
    return (
        *grid(dtype=one, shape=sizes, values=usual, **first, reduction="mean"),
        *grid(dtype=one, shape=shapes_of((1,), (1025,), (65537,)), values=usual, **first, reduction="sum"),
        *grid(dtype=named, shape=shapes_of((7, 33)), values=usual, **parameters, reduction=REDUCTIONS),
        *grid(dtype=named, shape=shapes_of((3, 301)), values=list(values), **first, reduction="none"),
        *grid(dtype=one, shape=shapes_of((3, 301)), values=list(values), **first, reduction="mean"),
        *grid(dtype=one, shape=shapes_of((), (2, 3, 2, 3, 2)), values=usual, **first, reduction=["none", "mean"]),
        *grid(dtype=one, shape=shapes_of((0,), (0, 3)), values=usual, **first, reduction=REDUCTIONS),
        *grid(dtype=one, shape=shapes_of((37, 53)), values=usual, layout=LAYOUTS, **first, reduction=["none", "mean"]),
    )


def reduce(losses: np.ndarray, reduction: str) -> Any:
    """The reduction of elementwise losses in the precision that they come in, for wrong formulas."""
    with np.errstate(all="ignore"):
        total = losses if reduction == "none" else np.sum(losses)
        return total / losses.dtype.type(losses.size) if reduction == "mean" else total


def loss_cost(case: Case) -> Cost:
    """Read every input once, write one number per answer element; about four operations per element."""
    itemsize = numpy_dtype(case.dtype).itemsize if is_float(case.dtype) else 8
    count = sum(int(np.prod(shape)) for shape in case.shapes)
    outputs = int(np.prod(case.shapes[0])) if dict(case.parameters).get("reduction") == "none" else 1
    return Cost(bytes=(count + outputs) * itemsize, flops=4 * int(np.prod(case.shapes[0])))


def loss_terms(case: Case) -> int:
    """How many losses one answer adds up."""
    return 1 if dict(case.parameters).get("reduction") == "none" else int(np.prod(case.shapes[0]))


def reduction_mutants(oracle: Oracle) -> tuple[Mutant, ...]:
    """What a loss with a reduction can get wrong."""

    def without_last(*arrays: np.ndarray, **parameters: Any) -> np.ndarray:
        if parameters["reduction"] == "none" or arrays[0].ndim == 0 or arrays[0].shape[0] < 2:
            return answer(oracle, *arrays, **parameters)
        length = arrays[0].shape[0]
        shorter = [x[:-1] if x.ndim and x.shape[0] == length else x for x in arrays]
        return answer(oracle, *shorter, **parameters)

    def squeezed(*arrays: np.ndarray, **parameters: Any) -> np.ndarray:
        found = answer(oracle, *arrays, **parameters)
        return found.reshape(1) if found.ndim == 0 else found

    return (
        always(oracle, "mean_is_sum", "a mean divides by the number of losses", reduction="sum"),
        always(oracle, "sum_is_mean", "a sum does not divide", reduction="mean"),
        always(oracle, "never_reduced", reduction="none"),
        Mutant("last_sample_dropped", without_last, "the last sample does not enter the answer"),
        Mutant("one_element_instead_of_a_scalar", squeezed, "the answer of a reduction has no axes"),
    )


def in_order(cases: Sequence[Case], *names: str) -> tuple[Case, ...]:
    """The same cases with their parameters in the order of the operator's signature."""
    return tuple(replace(case, parameters=tuple((name, case[name]) for name in names)) for case in cases)


def signs(shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> np.ndarray:
    """Targets -1 and 1, in a floating type."""
    return np.asarray(rng.choice([-1.0, 1.0], shape)).astype(numpy_dtype(dtype))


def reproduces(digits: Mapping[str, Any], half_a_digit: float) -> Property:
    """On values="golden" the answer agrees with these digits, by the value of `reduction`."""

    def probe(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
        if case.values != "golden" or case["reduction"] not in digits:
            return None

        def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
            return widen(answer), np.asarray(digits[case["reduction"]]), half_a_digit + bound

        return Probe(None, relate)

    return Property("published_values", probe)


def scaled_by(factor: int, of_answer: int, *numbers: int) -> Property:
    """f(factor x) = of_answer f(x) bit for bit where nothing overflows; `numbers` are the inputs that are scaled."""

    def probe(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
        if case.layout != "contiguous" or case.values not in ("normal", "uniform") or case.dtype == "float16":
            return None
        larger = tuple(x * x.dtype.type(factor) if number in numbers else x for number, x in enumerate(inputs))

        def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
            return other, answer.dtype.type(of_answer) * answer, np.zeros_like(answer)

        return Probe(larger, relate)

    return Property("power_of_two_scaling", probe)


def unchanged_by(
    name: str, change: Callable[..., tuple[np.ndarray, ...]], *values: str, exact: bool = True
) -> Property:
    """f(change(inputs)) = f(inputs): bit for bit, or else within both bounds; `values` are where it holds (all)."""

    def probe(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
        if case.layout != "contiguous" or (values and case.values not in values):
            return None

        def relate(answer: np.ndarray, other: np.ndarray, one: np.ndarray, two: np.ndarray) -> tuple[Any, ...]:
            return other, answer, np.zeros_like(answer) if exact else one + two

        return Probe(change(*inputs), relate)

    return Property(name, probe)

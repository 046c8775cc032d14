"""Wrong versions of any operator, made from its own oracle: what every set of cases has to expose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Mutant
from harness.precision import is_float, numpy_dtype, round_to, widen

Oracle = Callable[..., np.ndarray]
Wrong = Callable[..., Any]


def answer(oracle: Oracle, *arrays: np.ndarray, **parameters: Any) -> np.ndarray:
    """The right answer in the dtype of the first input; an integer answer as it is."""
    found = np.asarray(oracle(*arrays, **parameters))
    return round_to(found, arrays[0].dtype.name) if np.issubdtype(found.dtype, np.inexact) else found


def narrowed(array: np.ndarray) -> np.ndarray:
    """A floating array rounded to 8 bits; labels and masks as they are."""
    with np.errstate(all="ignore"):
        return round_to(widen(array), "bfloat16").astype(array.dtype) if is_float(array.dtype.name) else array


def general(oracle: Oracle) -> tuple[Mutant, ...]:
    """What an implementation of any operator with a floating answer can get wrong."""

    def right(a: tuple[np.ndarray, ...], p: dict[str, Any]) -> np.ndarray:
        return answer(oracle, *a, **p)

    def mutant(name: str, function: Wrong, lesson: str = "") -> Mutant:
        return Mutant(name, lambda *a, **p: function(a, p), lesson)

    return (
        mutant("zeros", lambda a, p: np.zeros_like(right(a, p))),
        mutant("nan", lambda a, p: np.full_like(right(a, p), np.nan)),
        mutant("constant", lambda a, p: np.full_like(right(a, p), 0.25)),
        mutant("input_copy", lambda a, p: a[0].copy(), "it returns its input"),
        mutant("negated", lambda a, p: -right(a, p)),
        mutant("off_by_1e-4", lambda a, p: round_to(widen(right(a, p)) * 1.0001, a[0].dtype.name)),
        mutant(
            "inputs_rounded_to_bfloat16",
            lambda a, p: right(tuple(map(narrowed, a)), p),
            "the inputs lose digits on the way in",
        ),
        mutant("first_element_everywhere", lambda a, p: np.full_like(right(a, p), right(a, p).flat[0])),
        mutant("extra_axis", lambda a, p: right(a, p)[None]),
        mutant("wider_dtype", lambda a, p: np.asarray(oracle(*a, **p), dtype=np.float64)),
    )


def always(oracle: Oracle, name: str, lesson: str = "", **parameters: Any) -> Mutant:
    """The operator with some parameters fixed, whatever was asked for."""

    def function(*arrays: np.ndarray, **asked: Any) -> np.ndarray:
        return answer(oracle, *arrays, **{**asked, **parameters})

    return Mutant(name, function, lesson)


def of_changed_inputs(oracle: Oracle, name: str, change: Callable[..., tuple[Any, ...]], lesson: str = "") -> Mutant:
    """The operator on inputs that `change(*arrays)` made of those that were given."""

    def function(*arrays: np.ndarray, **parameters: Any) -> np.ndarray:
        return answer(oracle, *change(*arrays), **parameters)

    return Mutant(name, function, lesson)


def from_formula(name: str, formula: Callable[..., Any], lesson: str = "") -> Mutant:
    """A wrong formula, evaluated in the working precision: float32 for half types."""

    def function(*arrays: np.ndarray, **parameters: Any) -> np.ndarray:
        dtype = arrays[0].dtype
        work = [
            x.astype(np.float32) if is_float(x.dtype.name) and x.dtype not in (np.float32, np.float64) else x
            for x in arrays
        ]
        with np.errstate(all="ignore"):
            return np.asarray(formula(*work, **parameters)).astype(numpy_dtype(dtype.name))

    return Mutant(name, function, lesson)

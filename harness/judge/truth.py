"""The true side of one call: inputs as drawn, the oracle's answer, and the bound under a claim."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.declare import Accumulation, Case, DeclarationError, Operator
from harness.judge.arithmetic import arithmetic_for


@dataclass(frozen=True, slots=True)
class Truth:
    """One call and what is true of it. `bound` is the largest permitted |error| of each element of `expected`."""

    case: Case
    inputs: tuple[np.ndarray, ...]
    expected: np.ndarray
    bound: np.ndarray

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.case.parameters)


def generator(seed: int, identity: str, draw: int) -> np.random.Generator:
    """The generator of a draw: known to whoever knows the seed and the task's id, which the worker does not."""
    digest = hashlib.sha256(f"{identity}#{draw}".encode()).digest()
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, int.from_bytes(digest[:16], "little")])))


def draw_inputs(operator: Operator, case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Inputs of a case. An expanded layout repeats its first slice, so the values must repeat it too."""
    inputs = tuple(np.ascontiguousarray(array).reshape(np.shape(array)) for array in operator.inputs(case, rng))
    for array, shape in zip(inputs, case.shapes, strict=True):
        if array.shape != shape:
            raise DeclarationError(f"operator {operator.name}, {case.id}: inputs() drew {array.shape}, not {shape}")
    if case.layout == "expanded":
        inputs = tuple(np.broadcast_to(x[:1], x.shape).copy() if x.ndim and x.size else x for x in inputs)
    return inputs


def truth(operator: Operator, case: Case, inputs: tuple[np.ndarray, ...], accumulation: Accumulation | None) -> Truth:
    """Oracle and bound of one call. Raises DeclarationError where the operator contradicts itself."""
    expected = np.asarray(operator.oracle(*inputs, **dict(case.parameters)))
    arithmetic = arithmetic_for(case, accumulation, expected.size, _innermost(case))
    bound = np.asarray(operator.bound(case, inputs, expected, arithmetic))
    if bound.shape != expected.shape:
        raise DeclarationError(
            f"operator {operator.name}, {case.id}: a bound of shape {bound.shape} for an answer of {expected.shape}"
        )
    return Truth(case, inputs, expected, bound)


def derived(case: Case, inputs: tuple[np.ndarray, ...], parameters: Mapping[str, Any] | None) -> Case:
    """The case of derived inputs: their shapes, other parameters where given, contiguous."""
    named = case.parameters if parameters is None else tuple({**dict(case.parameters), **parameters}.items())
    layout = case.layout if parameters is None else "contiguous"
    return dataclasses.replace(case, shapes=tuple(x.shape for x in inputs), parameters=named, layout=layout)


def _innermost(case: Case) -> bool:
    """Whether the reduced dimension is the contiguous one, as far as parameters called `dim` can tell."""
    dim = dict(case.parameters).get("dim")
    rank = len(case.shapes[0])
    return case.layout in ("contiguous", "offset") and (dim is None or rank < 2 or dim % rank == rank - 1)

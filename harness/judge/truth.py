"""The true side of one call: inputs as drawn, the oracle's answer, and the bound under a claim."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.declare import Accumulation, Case, DeclarationError, Gradient, Operator
from harness.judge.arithmetic import arithmetic_for
from harness.judge.compare import Comparison, compare
from harness.precision import format_of, is_float, numpy_dtype

SMALLEST_COTANGENT = 2.0**-10


@dataclass(frozen=True, slots=True)
class Truth:
    """One call and what is true of it. `bound` is the largest permitted |error| of each element of `expected`.

    `dtype` is that of the answer (empty: the case's own). A call for the gradient with respect to input `gradient` (at
    `position` among the operator's gradients) has the cotangent as its last input, and takes it in `passes` parts.
    `accept` judges a random answer.
    """

    case: Case
    inputs: tuple[np.ndarray, ...]
    expected: np.ndarray
    bound: np.ndarray
    dtype: str = ""
    gradient: int | None = None
    position: int = 0
    passes: int = 1
    accept: Callable[[Case, tuple[np.ndarray, ...], np.ndarray], str] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        return dict(self.case.parameters)

    @property
    def answer_dtype(self) -> str:
        return self.dtype or self.case.dtype

    def compare(self, answer: np.ndarray) -> Comparison:
        """An answer against the truth; a random one against what its operator promises."""
        if self.accept is None:
            return compare(answer, self.expected, self.bound, self.answer_dtype)
        if answer.shape != self.expected.shape or answer.dtype.name != self.answer_dtype:
            return Comparison(f"{answer.dtype.name}{list(answer.shape)} where {list(self.expected.shape)} is right")
        return Comparison(self.accept(self.case, self.inputs, answer))


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
        inputs = tuple(map(repeated, inputs))
    return inputs


def repeated(x: np.ndarray) -> np.ndarray:
    """The first slice in place of all others."""
    return np.broadcast_to(x[:1], x.shape).copy() if x.ndim and x.size else x


def truth(operator: Operator, case: Case, inputs: tuple[np.ndarray, ...], accumulation: Accumulation | None) -> Truth:
    """Oracle and bound of one call. Raises DeclarationError where the operator contradicts itself."""
    expected = np.asarray(operator.oracle(*inputs, **dict(case.parameters)))
    arithmetic = arithmetic_for(case, accumulation, expected.size, _innermost(case))
    bound = np.asarray(operator.bound(case, inputs, expected, arithmetic))
    _check_shape(operator, case, bound, expected)
    return Truth(case, inputs, expected, bound, answer_dtype(operator, case), accept=operator.accept)


def gradient_truth(
    operator: Operator, call: Truth, gradient: Gradient, rng: np.random.Generator, accumulation: Accumulation | None
) -> Truth:
    """The gradient of a call with a random cotangent: never of ones, under which a softmax's vanishes."""
    drawn = rng.standard_normal(call.expected.shape)
    # it is also asked for in halves, and half of a tiny one would be rounded in float16
    drawn = np.where(np.abs(drawn) < SMALLEST_COTANGENT, SMALLEST_COTANGENT, drawn)
    cotangent = drawn.astype(numpy_dtype(call.answer_dtype))
    if call.case.layout == "expanded":  # it lies in memory as the inputs do
        cotangent = repeated(cotangent)
    inputs = (*call.inputs, np.asarray(cotangent))
    expected = np.asarray(gradient.oracle(*inputs, **call.parameters))
    arithmetic = arithmetic_for(call.case, accumulation, expected.size, _innermost(call.case))
    bound = np.asarray(gradient.bound(call.case, inputs, expected, arithmetic))
    _check_shape(operator, call.case, bound, expected)
    if expected.shape != call.inputs[gradient.input].shape:
        raise DeclarationError(
            f"operator {operator.name}, {call.case.id}: the gradient of input {gradient.input} has the shape "
            f"{expected.shape}"
        )
    dtype, position = call.inputs[gradient.input].dtype.name, operator.gradients.index(gradient)
    return Truth(call.case, inputs, expected, bound, dtype, gradient.input, position)


def in_parts(call: Truth, passes: int) -> Truth:
    """The same gradient accumulated over parts of the cotangent; each part is stored, and may underflow."""
    underflow = format_of(call.answer_dtype).underflow
    return dataclasses.replace(call, passes=passes, bound=call.bound + passes * underflow)


def has_gradient(operator: Operator, case: Case) -> bool:
    """Whether the gradient is judged on a case: where its values are such that it is defined."""
    return bool(operator.gradients) and is_float(case.dtype) and case.values in operator.gradient_values


def answer_dtype(operator: Operator, case: Case) -> str:
    return operator.output_dtype(case) if operator.output_dtype else case.dtype


def _check_shape(operator: Operator, case: Case, bound: np.ndarray, expected: np.ndarray) -> None:
    if bound.shape != expected.shape:
        raise DeclarationError(
            f"operator {operator.name}, {case.id}: a bound of shape {bound.shape} for an answer of {expected.shape}"
        )


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

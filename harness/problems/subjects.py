"""What a workload is judged by: an operator of ours seen through the problem's eyes, or the reference in float64.

Either way it is an Operator, so that the ordinary conformance check judges a candidate: fresh inputs, guard zones,
poisoned memory, changed inputs, repeated calls. Its cases carry the workload as a parameter, which tells the candidate
how its arguments are put together; the operator's own parameters are part of the problem and fixed here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.declare import Case, Cost, Mutant, Operator
from harness.judge.arithmetic import Arithmetic
from harness.precision import is_float, numpy_dtype, round_to

PROBLEM = "problem"
"""The value family of inputs that the problem draws by itself."""

Draw = Callable[[np.random.Generator], tuple[np.ndarray, ...]]
Truths = Callable[[tuple[np.ndarray, ...]], tuple[np.ndarray, np.ndarray]]
"""Truth and bound of one output, from inputs."""


@dataclass(frozen=True, slots=True)
class Known:
    """An operator of ours that a problem turned out to be. `kept` is the reduced axis that stays with length 1."""

    operator: Operator
    parameters: tuple[tuple[str, Any], ...]
    kept: int | None = None

    def __str__(self) -> str:
        words = [f"{name}={value}" for name, value in self.parameters]
        if self.kept is not None:
            words.append("keepdim=True")
        return f"{self.operator.name}({', '.join(words)})"

    def inner(self, case: Case) -> Case:
        """The operator's own case of a case of the problem."""
        values = "normal" if case.values == PROBLEM else case.values
        return dataclasses.replace(case, parameters=self.parameters, values=values)

    def outward(self, answer: np.ndarray) -> np.ndarray:
        return answer if self.kept is None else np.expand_dims(answer, self.kept)

    def oracle(self, *arrays: np.ndarray) -> np.ndarray:
        return self.outward(np.asarray(self.operator.oracle(*arrays, **dict(self.parameters))))

    def bound(
        self, case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic
    ) -> np.ndarray:
        own = expected if self.kept is None else np.squeeze(expected, self.kept)
        return self.outward(np.asarray(self.operator.bound(self.inner(case), inputs, own, arithmetic)))


def known_subject(known: Known, name: str, cases: tuple[Case, ...], draw: Draw) -> Operator:
    """The operator with the problem's own inputs on `cases[0]` and its parameters fixed.

    It has no gradients, since the sources look at the forward pass alone, and no laws: some of them hold bit for bit
    for one right formula and not for another (a loss as logsumexp(x) - x_t is not shifted exactly), and the author of
    a candidate has not been told of any. The bound decides.
    """
    own = known.operator

    def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        if case.values == PROBLEM:
            return draw(rng)
        drawn = own.inputs(known.inner(case), rng)
        if all(map(_is_real, drawn)):
            return drawn
        # labels and the like stay the problem's: an operator's own cases hold ones that this problem never has
        return tuple(one if _is_real(one) else its for one, its in zip(drawn, draw(rng), strict=True))

    def oracle(*arrays: np.ndarray, **_: Any) -> np.ndarray:
        return known.oracle(*arrays)

    def mutant(one: Mutant) -> Mutant:
        def function(*arrays: np.ndarray, **_: Any) -> np.ndarray:
            return known.outward(np.asarray(one.function(*arrays, **dict(known.parameters))))

        return Mutant(one.name, function, one.lesson)

    return Operator(
        name=name,
        inputs=inputs,
        oracle=oracle,
        bound=known.bound,
        cost=lambda case: Cost(0),
        conformance=cases,
        mutants=tuple(mutant(one) for one in own.mutants if one.gradient is None),
        specification=own.specification,
        output_dtype=None if own.output_dtype is None else lambda case: _dtype(own, known.inner(case)),
    )


def _is_real(array: np.ndarray) -> bool:
    return is_float(array.dtype.name)


def _dtype(operator: Operator, case: Case) -> str:
    return operator.output_dtype(case) if operator.output_dtype else case.dtype


def measured_subject(name: str, case: Case, draw: Draw, truths: Truths, dtype: str) -> Operator:
    """One output of a problem that we do not know: the reference in float64, and a measured bound."""

    def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        return truths(inputs)[1]

    return Operator(
        name=name,
        inputs=lambda case, rng: draw(rng),
        oracle=lambda *arrays, **_: truths(arrays)[0],
        bound=bound,
        cost=lambda case: Cost(0),
        conformance=(case,),
        output_dtype=lambda case: dtype,
    )


def with_wrong_answers(operator: Operator, case: Case, draw: Draw) -> Operator:
    """The operator with the wrong implementations that any problem must expose: no answer, one value everywhere, the
    answer to other inputs, the right elements in other places."""
    stale: dict[str, np.ndarray] = {}

    def right(*arrays: np.ndarray) -> np.ndarray:
        answer = np.asarray(operator.oracle(*arrays, **dict(case.parameters)))
        dtype = operator.output_dtype(case) if operator.output_dtype else case.dtype
        # a truth that was measured is float64: an answer of the wrong dtype would be exposed by that alone
        return round_to(answer, dtype) if is_float(dtype) else answer.astype(numpy_dtype(dtype))

    def earlier(*arrays: np.ndarray, **_: Any) -> np.ndarray:
        if "answer" not in stale:
            stale["answer"] = right(*draw(np.random.default_rng(1)))
        return stale["answer"]

    def constant(*arrays: np.ndarray, **_: Any) -> np.ndarray:
        answer = right(*arrays)
        return np.full_like(answer, np.mean(answer.astype(np.float64)) if answer.size > 1 else 0)

    wrong: Mapping[str, Callable[..., np.ndarray]] = {
        "zeros": lambda *arrays, **_: np.zeros_like(right(*arrays)),
        "constant": constant,
        "stale": earlier,
        "permuted": lambda *arrays, **_: np.roll(right(*arrays).reshape(-1), 1).reshape(right(*arrays).shape),
    }
    scalar = np.asarray(operator.oracle(*draw(np.random.default_rng(2)), **dict(case.parameters))).size == 1
    names = ("zeros", "stale") if scalar else tuple(wrong)
    general = tuple(Mutant(f"any_{name}", wrong[name]) for name in names)
    return dataclasses.replace(operator, mutants=(*general, *operator.mutants))

"""Are the cases of an operator evidence? They count only if they expose every wrong implementation that is built in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.declare import Accumulation, Gradient, Mutant, Operator
from harness.judge.truth import Truth, draw_inputs, generator, gradient_truth, has_gradient, truth
from harness.precision import round_to

LOOSEST = Accumulation()
"""Any order, the default accumulator: what is exposed under this claim is exposed under every narrower one."""


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of an operator's mutants its conformance cases expose, and the names of those that they do not.

    `specification` is the operator's own, so that a report of the run can show it."""

    operator: str
    mutants: int
    survivors: tuple[str, ...]
    specification: str = ""

    @property
    def killed(self) -> int:
        return self.mutants - len(self.survivors)

    @property
    def refusal(self) -> str:
        """Why verdicts on this operator do not count, or an empty string."""
        if not self.mutants:
            return (
                f"the cases of {self.operator} are not admitted: the operator declares no mutants, so nothing shows "
                "that its cases can tell right from wrong; add mutants="
            )
        if self.survivors:
            names = ", ".join(self.survivors)
            return f"the cases of {self.operator} are not admitted: they accept the wrong implementations {names}"
        return ""

    def as_data(self) -> Mapping[str, Any]:
        return {
            "mutants": self.mutants,
            "killed": self.killed,
            "survivors": list(self.survivors),
            "specification": self.specification,
        }


def admit(operator: Operator, seed: int) -> Admission:
    """Judge every mutant on the operator's conformance cases, each until the first case that exposes it."""
    # given cases (their values hold a colon) are no part of what the operator's own cases must show
    own = [case for case in operator.conformance if ":" not in case.values]
    cases = [case for case in own if not case.raises and case.layout == "contiguous"]
    cases.sort(key=lambda case: sum(int(np.prod(shape)) for shape in case.shapes))
    mutants = (*operator.mutants, *(wrong for gradient in operator.gradients for wrong in wrong_gradients(gradient)))
    alive = list(mutants)
    for case in cases:
        if not alive:
            break
        inputs = draw_inputs(operator, case, generator(seed, f"admission/{operator.name}/{case.id}", 0))
        rng = generator(seed, f"admission/{operator.name}/{case.id}", 1)
        trues: dict[int | None, Truth] = {None: truth(operator, case, inputs, LOOSEST)}
        if has_gradient(operator, case):
            trues |= {one.input: gradient_truth(operator, trues[None], one, rng, LOOSEST) for one in operator.gradients}
        alive = [one for one in alive if one.gradient not in trues or not exposes(trues[one.gradient], one)]
    survivors = tuple(mutant.name for mutant in alive)
    return Admission(operator.name, len(mutants), survivors, operator.specification)


def wrong_gradients(gradient: Gradient) -> tuple[Mutant, ...]:
    """What every gradient can get wrong, made from its own oracle."""
    number = gradient.input

    def right(arrays: tuple[np.ndarray, ...], parameters: dict[str, Any]) -> np.ndarray:
        return round_to(np.asarray(gradient.oracle(*arrays, **parameters)), arrays[number].dtype.name)

    def mutant(name: str, function: Callable[..., Any], lesson: str = "") -> Mutant:
        return Mutant(f"gradient_{number}_{name}", lambda *a, **p: function(a, p), lesson, number)

    return (
        mutant("zeros", lambda a, p: np.zeros_like(right(a, p))),
        mutant("negated", lambda a, p: -right(a, p)),
        mutant(
            "of_a_cotangent_of_ones",
            lambda a, p: right((*a[:-1], np.ones_like(a[-1])), p),
            "the incoming gradient is ignored: multiply by it",
        ),
        mutant("doubled", lambda a, p: right(a, p) + right(a, p), "a gradient of an earlier call is still in it"),
        mutant("off_by_1e-4", lambda a, p: round_to(gradient.oracle(*a, **p) * 1.0001, a[number].dtype.name)),
    )


def exposes(true: Truth, mutant: Mutant) -> bool:
    """Whether this call shows that the mutant is wrong; raising an exception shows it too."""
    try:
        with np.errstate(all="ignore"):
            answer = mutant.function(*(array.copy() for array in true.inputs), **true.parameters)
    except Exception:
        return True
    return bool(true.compare(np.asarray(answer)).reason)

"""Are the cases of an operator evidence? They count only if they expose every wrong implementation that is built in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.declare import Accumulation, Mutant, Operator
from harness.judge.compare import compare
from harness.judge.truth import Truth, draw_inputs, generator, truth

LOOSEST = Accumulation()
"""Any order, the default accumulator: what is exposed under this claim is exposed under every narrower one."""


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of an operator's mutants its conformance cases expose, and the names of those that they do not."""

    operator: str
    mutants: int
    survivors: tuple[str, ...]

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
        return {"mutants": self.mutants, "killed": self.killed, "survivors": list(self.survivors)}


def admit(operator: Operator, seed: int) -> Admission:
    """Judge every mutant on the operator's conformance cases, each until the first case that exposes it."""
    cases = [case for case in operator.conformance if not case.raises and case.layout == "contiguous"]
    cases.sort(key=lambda case: sum(int(np.prod(shape)) for shape in case.shapes))
    alive = list(operator.mutants)
    for case in cases:
        if not alive:
            break
        inputs = draw_inputs(operator, case, generator(seed, f"admission/{operator.name}/{case.id}", 0))
        true = truth(operator, case, inputs, LOOSEST)
        alive = [mutant for mutant in alive if not exposes(true, mutant)]
    return Admission(operator.name, len(operator.mutants), tuple(mutant.name for mutant in alive))


def exposes(true: Truth, mutant: Mutant) -> bool:
    """Whether this call shows that the mutant is wrong; raising an exception shows it too."""
    try:
        with np.errstate(all="ignore"):
            answer = mutant.function(*(array.copy() for array in true.inputs), **true.parameters)
    except Exception:
        return True
    return bool(compare(np.asarray(answer), true.expected, true.bound, true.case.dtype).reason)

"""Fresh inputs on a device whose answers can be judged, also where they are too large for an oracle to see in full.

whole    small ones: every element against the operator's oracle and bound, under the declared accumulation
rows     many rows: the first, the last and some between, against the same
sparse   one long vector: few elements count (all others are what adds nothing: 0 for a sum, -inf for a softmax), so
         the answer is that of a short vector, whatever the order: adding nothing is exact. All of it is looked at.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness.declare import Accumulation, Case, Operator, Tree
from harness.draw import draw
from harness.implement import Backend
from harness.judge.compare import Comparison
from harness.judge.truth import Truth, truth

from .arrays import Array, Arrays

MOST_ROWS = 32
SPARSE = {"softmax": (-np.inf, 1 << 10, "normal"), "sum": (0.0, 1 << 20, "integers")}
"""By operator: what adds nothing, how many elements count at most, and how they are drawn. Integers add up exactly."""
ANY_ORDER = Accumulation(Tree("any"), rescale=1)
"""What every order over all elements comes to over the few that count."""


@dataclasses.dataclass(frozen=True, eq=False)
class Question:
    """An input on the device, and how answers to it are judged; `said` says in words what of an answer is looked at."""

    x: Array
    shape: tuple[int, ...]
    said: str
    compare: Callable[[Array, Backend, Accumulation | None], Comparison]

    def judge(self, answer: Any, backend: Backend, claim: Accumulation | None) -> Comparison:
        """Wrong unless shown right. Raises what reading the answer raises."""
        if tuple(answer.shape) != self.shape:
            return Comparison(f"shape {tuple(answer.shape)} where {self.shape} is right")
        return self.compare(answer, backend, claim)


def ask(place: Arrays, operator: Operator, case: Case, x: Array, rng: np.random.Generator, whole: int) -> Question:
    """The question of a case: about x, an input of the case on the device, or in place of it about a sparse vector.

    Up to `whole` elements are looked at in full. Raises KeyError for a long vector of an operator that has no entry in
    SPARSE.
    """
    (shape,) = case.shapes
    if math.prod(shape) <= whole:
        return _of_rows(place, operator, case, x, None)
    if len(shape) == 2:
        return _of_rows(place, operator, case, x, _some_rows(*shape, whole // 4, rng))
    return _of_few(place, operator, math.prod(shape), rng)


def _some_rows(count: int, n: int, elements: int, rng: np.random.Generator) -> list[int]:
    wanted = min(count, MOST_ROWS, max(2, elements // n))
    between = rng.choice(np.arange(1, count - 1), wanted - 2, replace=False)
    return sorted({0, count - 1, *map(int, between)})


def _of_rows(place: Arrays, operator: Operator, case: Case, x: Array, rows: Sequence[int] | None) -> Question:
    (shape,) = case.shapes
    part = place.pick(x, rows)
    known = _Truths(operator, dataclasses.replace(case, shapes=(part.shape,)), (part,))

    def compare(answer: Array, backend: Backend, claim: Accumulation | None) -> Comparison:
        return known.under(claim).compare(place.pick(answer, rows, backend.to_host))

    said = "every element" if rows is None else f"{len(rows)} of {shape[0]} rows"
    return Question(x, shape if known.expected.shape == part.shape else shape[:-1], said, compare)


def _of_few(place: Arrays, operator: Operator, size: int, rng: np.random.Generator) -> Question:
    nothing, count, values = SPARSE[operator.name]
    places = np.unique(np.concatenate([[0, size - 1], rng.integers(0, size, min(count, size // 4))]))
    few = draw(values, places.shape, "float32", rng)
    x = np.full(size, nothing, np.float32)
    x[places] = few
    known = _Truths(operator, Case("float32", (few.shape,), (("dim", 0),), values), (few,))
    elementwise = known.expected.shape == few.shape

    def compare(answer: Array, backend: Backend, claim: Accumulation | None) -> Comparison:
        y = place.pick(answer, None, backend.to_host)
        if not elementwise:
            return known.under(ANY_ORDER).compare(y)
        found = known.under(ANY_ORDER).compare(y[places])
        if found.reason or np.count_nonzero(y) == np.count_nonzero(y[places]):
            return found
        where = int(np.setdiff1d(np.flatnonzero(y), places)[0])
        return Comparison(f"element {where} is {y[where]}, where the input is {nothing} and 0 is right")

    said = f"every element, {places.size} of the input's not {nothing:g}"
    return Question(place.upload(x), (size,) if elementwise else (), said, compare)


class _Truths:
    """Oracle and bound of one input; the oracle is asked once, the bound once for each claim."""

    def __init__(self, operator: Operator, case: Case, inputs: tuple[np.ndarray, ...]) -> None:
        self.expected = np.asarray(operator.oracle(*inputs, **dict(case.parameters)))
        self._operator = dataclasses.replace(operator, oracle=lambda *_, **__: self.expected)
        self._case, self._inputs = case, inputs
        self._known: dict[Accumulation | None, Truth] = {}

    def under(self, claim: Accumulation | None) -> Truth:
        if claim not in self._known:
            self._known[claim] = truth(self._operator, self._case, self._inputs, claim)
        return self._known[claim]

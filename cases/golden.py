"""Published values that every implementation must reproduce to the digits shown, and the inputs that they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Probe, Property
from harness.precision import numpy_dtype, widen

INPUTS: dict[tuple[int, ...], Any] = {
    (3,): [1, 2, 3],
    (2, 3): [[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]],
    (2, 2): [[1.5, 6.7], [6.8, 3.4]],
    (2, 2, 3): [[[1.5, 6.7, 2.4], [6.8, 3.4, 9.3]], [[3.1, 6.5, 1.9], [8.9, 1.2, 2.5]]],
}
"""By shape. For the last two, what is published is that the elements along each dim sum to 1."""

SOFTMAX: dict[tuple[int, ...], Any] = {
    (3,): [0.0900, 0.2447, 0.6652],
    (2, 3): [[0.6590, 0.2424, 0.0986], [0.1131, 0.8360, 0.0508]],
}
LOG_SOFTMAX: dict[tuple[int, ...], Any] = {(3,): [-2.4076, -1.4076, -0.4076]}
LOGSUMEXP: dict[tuple[int, ...], Any] = {(3,): np.log(30.1929)}

HALF_A_DIGIT = 0.5e-4
"""Published to four decimals."""


def golden_input(case: Case) -> np.ndarray:
    return np.array(INPUTS[case.shapes[0]], dtype=numpy_dtype(case.dtype))


def reproduces(published: dict[tuple[int, ...], Any]) -> Property:
    """The answer agrees with the published values in every digit that was published."""

    def probe(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
        if case.values != "golden" or case.shapes[0] not in published:
            return None

        def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
            return widen(answer), np.array(published[case.shapes[0]]), HALF_A_DIGIT + bound

        return Probe(None, relate)

    return Property("published_values", probe)

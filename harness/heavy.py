"""Inputs in which a few terms outweigh all others, so that a part of a long sum cannot stand for the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from harness.declare import Case, Operator
from harness.judge.truth import draw_inputs
from harness.precision import format_of, is_float

LONG = 1 << 14
"""Terms from which on a few have to outweigh all others: added up in any order, a part of them is as near as the whole.
"""
HEAVY = 3
"""So many of the terms outweigh the others: each is more than the bound of all (29 % for two million of them in any
order), and an odd number has no two equal halves."""
PLAIN = ("normal", "uniform")
"""Families of values that are about nothing else."""


@dataclass(frozen=True, slots=True)
class Heavy:
    """Elements of the first input that outweigh all others: one of so many is a term, and they are so large."""

    elements_per_term: int
    size: float


def heavy_of(operator: Operator, case: Case) -> Heavy | None:
    """What a part of the terms cannot stand for, where one answer has many of them; else None."""
    if operator.outweighs is None or operator.terms is None or case.values == "integers":  # judged without error
        return None
    terms = operator.terms(case)
    if terms < LONG:
        return None
    size = operator.outweighs(terms)
    # an infinity, or what a half type adds up to one, would be the answer to all inputs
    if is_float(case.dtype) and not HEAVY * size * 2.2 <= format_of(case.dtype).largest:
        return None
    return Heavy(max(1, int(np.prod(case.shapes[0])) // terms), size)


def timed_inputs(operator: Operator, case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Inputs of a timed call: as its case has them, or with small terms, which a few are to outweigh."""
    if operator.light and heavy_of(operator, case) is not None:
        case = replace(case, values=operator.light)
    return draw_inputs(operator, case, rng)


def outweighed_inputs(operator: Operator, case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Inputs in which a few terms outweigh all others, where sums are long and numbers plain; else as the case says."""
    heavy = heavy_of(operator, case)
    if heavy is None or case.values not in PLAIN or case.layout == "expanded":
        return draw_inputs(operator, case, rng)
    first, *others = timed_inputs(operator, case, rng)
    first = first.copy()
    places = rng.integers(0, first.size, HEAVY * heavy.elements_per_term)
    first.reshape(-1)[places] = heavy.size * rng.uniform(0.9, 1.1, places.size)
    return first, *others

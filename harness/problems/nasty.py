"""Cases that a source's own checker never tries, where a problem is an operator of ours: hard values and small shapes.

They are taken from the operator's conformance cases, as far as the problem's signature allows: its dtype, its number of
dimensions, its parameters. What the problem's own reference gets wrong or refuses is asked of nobody.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from harness.declare import Case
from harness.judge.truth import draw_inputs
from harness.precision import is_float
from harness.problems.subjects import Known

MOST_ELEMENTS = 1 << 17
MOST_SMALL = 1 << 16
MOST_CASES = 60


def nasty_cases(known: Known, own: Case, allowed: Callable[[list[tuple[int, ...]]], bool]) -> tuple[Case, ...]:
    """Cases beside `own` (whose parameters they share): hard values on its shapes, then small shapes. `allowed` says
    whether the problem's signature allows shapes."""
    fitting = [
        case
        for case in known.operator.conformance
        if case.dtype == own.dtype
        and not case.raises
        and case.layout == "contiguous"
        and case.values != "golden"
        and ":" not in case.values
    ]
    shapes = _fewer_rows(known, own)
    families = list(dict.fromkeys(case.values for case in fitting))
    found = [Case(own.dtype, shapes, own.parameters, values=family) for family in families if allowed(list(shapes))]
    for case in fitting:
        elements = sum(map(math.prod, case.shapes))
        ranks = [len(shape) for shape in case.shapes] == [len(shape) for shape in own.shapes]
        small = 0 < elements <= MOST_SMALL and all(map(math.prod, case.shapes)) and case.shapes != own.shapes
        if ranks and small and _same(known, case) and allowed(list(case.shapes)):
            found.append(Case(own.dtype, case.shapes, own.parameters, values=case.values))
    unique = {case.id: case for case in found if _can_be_drawn(known, own, case)}
    return tuple(unique.values())[:MOST_CASES]


def _can_be_drawn(known: Known, own: Case, case: Case) -> bool:
    """Whether the operator has inputs of these values for these shapes: some families have a shape of their own."""
    try:
        drawn = draw_inputs(known.operator, known.inner(case), np.random.default_rng(0))
        known.oracle(*drawn)
    except Exception:
        return False
    # whole numbers (labels, lengths) are taken from the problem, which has them for its own shapes only
    return case.shapes == own.shapes or all(is_float(array.dtype.name) for array in drawn)


def _same(known: Known, case: Case) -> bool:
    """Whether a case of the operator has the problem's parameters; a negative dim is the same one."""
    rank = max(1, len(case.shapes[0]))

    def plain(parameters: tuple[tuple[str, object], ...]) -> dict[str, object]:
        found = dict(parameters)
        if isinstance(found.get("dim"), int):
            found["dim"] = int(str(found["dim"])) % rank
        return found

    return plain(case.parameters) == plain(known.parameters)


def _fewer_rows(known: Known, own: Case) -> tuple[tuple[int, ...], ...]:
    """The problem's shapes, with fewer rows where they are large and rows are independent of each other."""
    dim = dict(known.parameters).get("dim")
    if len(own.shapes) != 1 or not isinstance(dim, int) or len(own.shapes[0]) < 2 or dim % len(own.shapes[0]) == 0:
        return own.shapes
    (shape,) = own.shapes
    row = math.prod(shape[1:])
    return ((min(shape[0], max(2, MOST_ELEMENTS // max(1, row))), *shape[1:]),)

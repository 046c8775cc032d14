"""Is a problem an operator of ours? It is asked what it computes, in float64, and held against our oracles.

Neither names nor sources are looked at: the reference runs on small inputs of its own rank (each size of the problem
becomes a small one, equal ones equal), or on the problem's own shapes where it accepts no others, and must agree with
an oracle within that oracle's bound in float64, on every family of ordinary numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from harness.declare import Case, DeclarationError, Operator
from harness.judge.admission import LOOSEST
from harness.judge.arithmetic import arithmetic_for
from harness.judge.compare import compare
from harness.judge.truth import draw_inputs
from harness.precision import is_float
from harness.problems.subjects import Known
from harness.sources import REQUIRED, SIGNATURES

SMALL = (5, 7, 6, 9, 8, 11)
FAMILIES = ("normal", "uniform", "wide", "negative", "lognormal")
REDUCTIONS = ("mean", "sum", "none")
TOO_MUCH = 1 << 22
"""Elements above which a problem's own shapes are not probed."""

Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]


def recognised(operators: Mapping[str, Operator], arrays: Sequence[np.ndarray], run: Run) -> tuple[Known | None, str]:
    """The operator that `run` (the reference in float64) computes from arrays like these, and how it was found out.

    The first that agrees is taken; there are none where a problem has inputs of kinds that no operator has.
    """
    shapes = [array.shape for array in arrays]
    kinds = [is_float(array.dtype.name) for array in arrays]
    for tried in (_small(shapes), shapes):
        if sum(int(np.prod(shape)) for shape in tried) > TOO_MUCH:
            break
        taken = False
        for known in _candidates(operators, tried):
            said = _agrees(known, tried, kinds, run)
            if said:
                return known, f"its reference agrees with our oracle of {known} on {said} probes"
            taken = taken or said is not None
        if taken:
            break  # the reference takes such shapes, and is no operator of ours
    return None, "its reference agrees with none of our oracles"


def _small(shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    sizes = sorted({size for shape in shapes for size in shape if size > 1})
    small = {size: SMALL[number % len(SMALL)] for number, size in enumerate(sizes)}
    # equal sizes in different places stay equal only between inputs: within one, axes must be told apart
    if len(shapes) == 1 and len(set(shapes[0])) < len(shapes[0]):
        return [tuple(SMALL[axis % len(SMALL)] if size > 1 else 1 for axis, size in enumerate(shapes[0]))]
    return [tuple(small.get(size, size) for size in shape) for shape in shapes]


def _candidates(operators: Mapping[str, Operator], shapes: Sequence[tuple[int, ...]]) -> Iterator[Known]:
    rank = len(shapes[0])
    for name, signature in SIGNATURES.items():
        operator = operators.get(name)
        if operator is None or operator.accept is not None or len(signature.arrays) != len(shapes):
            continue
        axes: list[list[Any]] = []
        for flag, default in [*((flag, False) for _, flag in signature.optional), *signature.parameters]:
            if flag == "dim":
                axes.append([*range(rank), *([None] if default is None else [])])
            elif flag == "reduction":
                axes.append(list(REDUCTIONS))
            else:
                axes.append([] if default is REQUIRED else [default])
        for values in product(*axes):
            parameters = tuple(zip(signature.names, values, strict=True))
            yield Known(operator, parameters)
            dim = dict(parameters).get("dim")
            if name in ("sum", "mean", "max", "logsumexp", "argmax") and isinstance(dim, int):
                yield Known(operator, parameters, kept=dim)


def _agrees(known: Known, shapes: Sequence[tuple[int, ...]], kinds: Sequence[bool], run: Run) -> int | None:
    """On how many probes the reference agrees: 0 where it does not, None where it does not take such shapes."""
    agreed = 0
    for number, family in enumerate(FAMILIES):
        case = Case("float64", tuple(shapes), known.parameters, values=family)
        try:
            arrays = draw_inputs(known.operator, case, np.random.default_rng(number))
            if [is_float(array.dtype.name) for array in arrays] != list(kinds):
                return 0
            expected = known.oracle(*arrays)
        except (DeclarationError, ValueError, IndexError, KeyError, TypeError):
            continue  # not drawn from this family, or not defined for these shapes
        answers = run(arrays)
        if not answers:
            return None
        if len(answers) != 1 or answers[0].shape != expected.shape:
            return 0
        if expected.dtype.kind in "iub":
            if not np.array_equal(answers[0], expected):
                return 0
        else:
            arithmetic = arithmetic_for(case, LOOSEST, expected.size, True)
            bound = known.bound(case, arrays, expected, arithmetic)
            if answers[0].dtype.name != "float64" or compare(answers[0], expected, bound, "float64").reason:
                return 0
        agreed += 1
    return agreed

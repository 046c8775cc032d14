"""The fixture `harness`: a test's own function against an operator, in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.declare import Accumulation, Case, DeclarationError, Operator
from harness.implement import MARK, Implementation
from harness.judge.truth import draw_inputs, generator
from harness.judge.verdict import Verdict, worst_of
from harness.nearest import nearest
from harness.record import WRONG
from harness.registry import check_claim
from harness.testing import message
from harness.testing.inprocess import OWN
from harness.testing.selecting import Chosen, chosen_cases, operator_called

if TYPE_CHECKING:
    from harness.testing.shared import Shared

MOST_OTHERS = 5
"""So many of the failing cases are named beside the worst one."""
FEWEST_SHOWN = 8
"""Of equally bad cases the smallest is shown, but for those with fewer elements: many a mistake looks alike there."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What `harness.check` found of a function that is right: how many cases it was right on, how many it (or its
    backend) does not support, and its worst error as a share of what was allowed."""

    operator: str
    backend: str
    cases: int
    unsupported: int
    error_over_bound: float | None


class Harness:
    """What the fixture `harness` is in a test."""

    def __init__(self, shared: Shared, nodeid: str) -> None:
        self._shared = shared
        self._nodeid = nodeid

    def __repr__(self) -> str:
        return f"<harness: seed {self._shared.seed}>"

    def check(
        self,
        function: Callable[..., Any],
        operator: str,
        *,
        cases: Chosen = "*",
        dtype: str | Sequence[str] | None = None,
        backend: str | None = None,
        accumulation: Accumulation | None = None,
        supports: Callable[[Case], str | None] | None = None,
        gradient: Callable[..., Any] | bool = True,
        **parameters: Any,
    ) -> Checked:
        """Judge a function on the conformance cases of an operator; an AssertionError names the worst of the failures.

        It is called in this process, as `function(*arrays, **parameters)`, with fresh arrays of `backend` (numpy; or
        torch, jax, cupy, ...), and judged by the gates and bounds of `harness check`: values, shape, dtype, layouts,
        NaN, bad input, laws, untouched inputs, a new array for every answer. Gradients are judged where the backend
        differentiates, or with `gradient` a function as in `@implementation`; False leaves them out.

        `cases` is a glob over case ids, a Case, or several of them; `dtype` one or several names; `parameters` are the
        values of the operator's own (`dim=-1` is the last axis, however a case counts it). `accumulation` and
        `supports` are as in `@implementation`; what a function was marked with there counts where nothing is given.

        Skips the test where the backend's library is missing. Raises LookupError where nothing matches.
        """
        __tracebackhide__ = True
        registry = self._shared.registry
        declared = operator_called(registry.operators, operator)
        chosen = chosen_cases(declared, cases, dtype, parameters)
        marked = _mark(function, operator, backend)
        own = Implementation(
            operator,
            backend or (marked.backend if marked else "numpy"),
            OWN,
            function,
            supports or (marked.supports if marked else None),
            accumulation or (marked.accumulation if marked else None),
            gradient if callable(gradient) else (marked.gradient if marked else None),
            marked.prepare if marked else None,
        )
        if own.backend not in registry.backends:
            close = nearest(own.backend, registry.backends) or sorted(registry.backends)
            raise LookupError(f"no backend is called {own.backend!r}; there is {', '.join(close)}")
        if own.accumulation is not None:
            check_claim(own.accumulation)
        missing = registry.backends[own.backend].missing
        if missing:
            pytest.skip(missing)
        verdicts = self._shared.own.verdicts(own, chosen, gradients=gradient is not False)
        failures = [(case, verdict) for case, verdict in verdicts if verdict.status in WRONG]
        if failures:
            raise AssertionError(self._told(own, declared, failures, len(chosen)))
        passed = [verdict for _, verdict in verdicts if verdict.status == "passed"]
        if not passed:
            raise AssertionError(
                f"nothing was checked: none of the {len(chosen)} cases of {operator} is supported; the first, "
                f"{verdicts[0][0].id}: {verdicts[0][1].reason}"
            )
        worst = worst_of(verdict.worst for verdict in passed)
        return Checked(operator, own.backend, len(passed), len(verdicts) - len(passed), worst.error_over_bound)

    def cases(
        self, operator: str, cases: Chosen = "*", *, dtype: str | Sequence[str] | None = None, **parameters: Any
    ) -> list[Case]:
        """The cases that `check` would use. For `pytest.mark.parametrize`, which is read before there are fixtures, use
        `harness.testing.cases`. Raises LookupError where nothing matches."""
        return chosen_cases(operator_called(self._shared.registry.operators, operator), cases, dtype, parameters)

    def inputs(self, operator: str, case: str | Case, *, backend: str = "numpy") -> tuple[np.ndarray, ...]:
        """The first NumPy arrays that `check` draws for a case in this session, in one contiguous piece each.

        Raises LookupError where there is no such case."""
        declared = operator_called(self._shared.registry.operators, operator)
        (one,) = chosen_cases(declared, case, None, {})
        return draw_inputs(declared, one, generator(self._shared.seed, f"{operator}/{backend}/{OWN}/{one.id}", 0))

    def _told(
        self, own: Implementation, operator: Operator, failures: Sequence[tuple[Case, Verdict]], count: int
    ) -> str:
        """The whole message: the worst case in full, the others in a line each, and how to see it again."""
        name = getattr(own.function, "__name__", None) or type(own.function).__name__
        called = "the function" if name == "<lambda>" else name
        ordered = sorted(failures, key=_worst_first)
        case, verdict = ordered[0]
        summary, explained = message.rows(verdict.status, verdict.reason, verdict.worst)
        what = "fails" if len(failures) == 1 else "fail"
        lines = [
            f"{called} is no {operator.name}: {len(failures)} of {count} cases {what} (backend {own.backend})",
            "",
            f"worst of them: {case.id}",
            *message.table(
                [
                    ("asked", f"{message.call(called if name != '<lambda>' else 'function', operator, case)}"),
                    ("with", message.inputs(operator, case)),
                    ("found", summary),
                    *explained,
                ]
            ),
        ]
        if len(ordered) > 1:
            shown = [(one.id, message.rows(it.status, it.reason, it.worst)[0]) for one, it in ordered[1:]]
            by_dtype = Counter(one.dtype for one, _ in failures)
            lines += ["", "also: " + ", ".join(f"{number} in {dtype}" for dtype, number in by_dtype.most_common())]
            lines += [f"  {identity}: {text}" for identity, text in shown[:MOST_OTHERS]]
            if len(shown) > MOST_OTHERS:
                lines.append(f"  and {len(shown) - MOST_OTHERS} more")
        again = [
            ("again", f"pytest '{self._nodeid}' --harness-seed {self._shared.seed}"),
            ("only it", f'harness.check({called}, "{operator.name}", cases="{case.id}")'),
            ("inputs", f'harness.inputs("{operator.name}", "{case.id}")'),
        ]
        return "\n".join([*lines, "", *message.table(again)])


def _mark(function: Callable[..., Any], operator: str, backend: str | None) -> Implementation | None:
    """What `@implementation` says of a function for this operator (and backend), if it says one thing."""
    marks: list[Implementation] = [
        one
        for one in getattr(function, "__dict__", {}).get(MARK, ())
        if one.operator == operator and backend in (None, one.backend)
    ]
    if len(marks) > 1:
        backends = ", ".join(sorted(one.backend for one in marks))
        raise DeclarationError(f"{function.__name__} implements {operator} for {backends}; say which: backend=")
    return marks[0] if marks else None


def _worst_first(failure: tuple[Case, Verdict]) -> tuple[bool, float, bool, int, str]:
    """By the error over the bound, the largest first (what has no numbers is beyond any); of equals the smallest case
    that shows something. An answer to bad input comes after wrong answers to good input."""
    case, verdict = failure
    ratio = verdict.worst.error_over_bound
    size = sum(int(np.prod(shape)) for shape in case.shapes)
    return bool(case.raises), -float("inf") if ratio is None else -ratio, size < FEWEST_SHOWN, size, case.id

"""Which conformance cases of an operator are meant, by glob, dtype and parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from harness import configuration, registry
from harness.declare import Case, Operator
from harness.nearest import nearest
from harness.plan import Selection

Chosen = str | Case | Iterable[str | Case]


@cache
def settled_operators() -> Mapping[str, Operator]:
    """The built-in operators, and those of `[tool.harness]`."""
    file = configuration.load()
    return registry.load(file.plugins, file.operators).operators


def operator_called(operators: Mapping[str, Operator], name: str) -> Operator:
    """Raises LookupError, with the nearest names, where there is none."""
    if name not in operators:
        close = nearest(name, operators) or sorted(operators)
        raise LookupError(f"no operator is called {name!r}; there is {', '.join(close)}")
    return operators[name]


def chosen_cases(
    operator: Operator, cases: Chosen, dtype: str | Sequence[str] | None, parameters: Mapping[str, Any]
) -> list[Case]:
    """The conformance cases that are meant; benchmark cases where the glob names one of those.

    Raises LookupError where a name, a dtype or a glob matches nothing.
    """
    known = {name for case in operator.conformance for name, _ in case.parameters}
    for name in parameters:
        if name not in known:
            has = f"it has {', '.join(sorted(known))}" if known else "it has none"
            raise LookupError(f"{operator.name} has no parameter {name!r}; {has}")
    wanted = (dtype,) if isinstance(dtype, str) else tuple(dtype or ())
    dtypes = {case.dtype for case in operator.conformance}
    for name in wanted:
        if name not in dtypes:
            raise LookupError(f"no case of {operator.name} is in {name!r}; there are {', '.join(sorted(dtypes))}")

    def meant(case: Case) -> bool:
        return (not wanted or case.dtype in wanted) and all(_has(case, name, parameters[name]) for name in parameters)

    found: dict[str, Case] = {}
    for one in (cases,) if isinstance(cases, str | Case) else cases:
        if isinstance(one, Case):
            found[one.id] = one
            continue
        selection = Selection([one])
        named = [case for case in operator.conformance if case.id in selection]
        named = named or [case for case in operator.benchmarks if case.id in selection]
        if not named:
            close = nearest(one, [case.id for case in operator.conformance])
            hint = f"the nearest are: {', '.join(close)}" if close else f"type: harness list {operator.name}"
            raise LookupError(f"no case of {operator.name} matches {one!r}; {hint}")
        found |= {case.id: case for case in named if meant(case)}
    if not found:
        raise LookupError(f"no case of {operator.name} has all of that: {cases!r}, {dtype!r}, {dict(parameters)}")
    return list(found.values())


def _has(case: Case, name: str, value: Any) -> bool:
    """Whether a parameter of a case has a value; a dim may be counted from the front or from the back."""
    if name not in dict(case.parameters):
        return False
    own = case[name]
    rank = max(1, len(case.shapes[0]))
    if name == "dim" and type(own) is int and type(value) is int and not case.raises and -rank <= value < rank:
        return own % rank == value % rank
    return bool(own == (tuple(value) if isinstance(value, list) else value))

"""For pytest: tasks as test items, and a fixture that checks a user's own function inside the user's own tests.

    pytest --harness 'softmax/*'                  one item per conformance task

    def test_my_softmax(harness):
        harness.check(my_softmax, "softmax")

Importing this costs nothing beyond the standard library: pytest imports it in every session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet


def cases(
    operator: str, glob: str = "*", *, dtype: str | Sequence[str] | None = None, **parameters: Any
) -> list[ParameterSet]:
    """The conformance cases of an operator for `pytest.mark.parametrize`, each under its own id.

    `glob` is over case ids, `dtype` one or several names, `parameters` are the values of the operator's parameters
    (`dim=-1` is the last axis, however it is counted). The operators are the built-in ones, and those of
    `[tool.harness]`. Raises LookupError if nothing matches; the message names the nearest.

        @pytest.mark.parametrize("case", cases("softmax", dtype="float32"))
        def test_my_softmax(harness, case):
            harness.check(my_softmax, "softmax", cases=case)
    """
    import pytest

    from harness.testing.selecting import chosen_cases, operator_called, settled_operators

    found = chosen_cases(operator_called(settled_operators(), operator), glob, dtype, parameters)
    return [pytest.param(case, id=case.id) for case in found]

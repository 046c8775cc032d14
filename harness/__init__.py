"""kernel-harness: is this kernel right, is it fast, and did that change today?

This module re-exports what authors and scripts need and defines nothing. Importing it costs next to nothing, since
pytest imports it in every session (the plugin lies beneath it): a name is imported when it is first asked for, and
pandas, torch and the database by the functions that use them.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api import Run, bench, check, compare, history
    from harness.declare import (
        Accumulation,
        Case,
        Cost,
        DeclarationError,
        Mutant,
        Operator,
        Probe,
        Property,
        Tree,
        grid,
    )
    from harness.implement import Backend, Implementation, Unsupported, implementation

__all__ = [
    "Accumulation",
    "Backend",
    "Case",
    "Cost",
    "DeclarationError",
    "Implementation",
    "Mutant",
    "Operator",
    "Probe",
    "Property",
    "Run",
    "Tree",
    "Unsupported",
    "bench",
    "check",
    "compare",
    "grid",
    "history",
    "implementation",
]
__version__ = "0.1.0"

_MODULES = ("api", "declare", "implement")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"harness.{name}")
    if name in __all__:
        for module in map(importlib.import_module, [f"harness.{one}" for one in _MODULES]):
            if name in vars(module):
                found = globals()[name] = vars(module)[name]
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

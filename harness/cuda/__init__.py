"""CUDA kernels: a source, its host side, and the devices that run both: a GPU through CuPy, or the CPU.

As in `harness` itself, a name is imported when it is first asked for: every worker imports something beneath this
package, and few of them compile.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.cuda.declaring import implementation
    from harness.cuda.device import Counts, Device
    from harness.cuda.faults import CompileError, Finding, KernelFault, Place
    from harness.cuda.source import C_TYPES, Kernel, Source

__all__ = [
    "C_TYPES",
    "CompileError",
    "Counts",
    "Device",
    "Finding",
    "Kernel",
    "KernelFault",
    "Place",
    "Source",
    "implementation",
]

_WHERE = {
    "declaring": ("implementation",),
    "device": ("Counts", "Device"),
    "faults": ("CompileError", "Finding", "KernelFault", "Place"),
    "source": ("C_TYPES", "Kernel", "Source"),
}


def __getattr__(name: str) -> Any:
    for module, names in _WHERE.items():
        if name in names:
            found = globals()[name] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

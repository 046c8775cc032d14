"""What every kind of problem offers to its process: inputs, the reference in two precisions, and the source's rule.

The modules of the kinds (`kernelbench`, `flashinfer`, `gpumode`) implement `Hosted`; only the process of a problem
calls them, since they run the problem's code.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

KERNELBENCH, FLASHINFER, SOL, GPUMODE = "KernelBench", "flashinfer-bench", "SOL-ExecBench", "GPU MODE"


class BadProblem(Exception):
    """A problem that cannot be read; the message says where, what was found and what would be right."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One point at which the source checks: its name, and how many inputs the source's own checker draws."""

    name: str
    trials: int
    rule: str
    """The rule by which the source accepts an answer, in words."""
    details: dict[str, Any] = field(default_factory=dict)


class Hosted(Protocol):
    """A problem inside its process. Tensors are PyTorch's, on the CPU."""

    name: str
    workloads: Sequence[Workload]
    outputs: Sequence[str]
    """Names of the outputs, where the problem gives them."""

    def inputs(self, workload: Workload, seed: int, trial: int | None) -> Any:
        """Arguments of one call: those of the source's own trial, or (None) fresh ones from `seed`."""

    def run(self, workload: Workload, arguments: Any) -> list[Any]:
        """The reference's answers, as the problem has it."""

    def run_wide(self, workload: Workload, arguments: Any) -> list[Any]:
        """The same in float64; floating arguments are float64 already."""

    def accepts(self, workload: Workload, arguments: Any, right: list[Any], answers: list[Any]) -> str:
        """Why the source's own checker rejects these answers, or an empty text."""

    def candidate(self) -> dict[str, Any]:
        """What a candidate needs to be built, as plain data; tensors in it are handed on."""


def seed_everything(seed: int) -> None:
    """All three generators that the sources draw from."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def module_from(path: Path, name: str, folder: Path | None = None) -> ModuleType:
    """Run a Python file as a module of a name. Raises BadProblem where that fails."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadProblem(f"{path} is no Python file")
    if folder is not None:
        sys.path.insert(0, str(folder))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadProblem(f"{path}: {type(error).__name__}: {error}") from error
    return module

"""Problems of KernelBench: a file with `Model`, `get_inputs` and `get_init_inputs`; a candidate has `ModelNew`.

Its checker, as of src/kernelbench/eval.py in 2026: the seed is 42 before `get_init_inputs` and again before each model
is built, so that the weights agree if they are made in the same order; the seeds of the trials are drawn from a
generator at 42 (one trial by default, five in the script that evaluates batches: five here); floating inputs and
weights are cast to the precision; shapes must agree; then torch.allclose(right, answer) with atol = rtol = 1e-4 in
float32 and 1e-2 in the half types (versions 0 and 0.1 had 1e-2 in float32). The tolerance is thereby relative to the
*candidate's* output. Only the forward pass of a single output is compared, under no_grad.

One thing is left out: that checker casts class labels to floats too, and cannot run a problem that has them.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from harness.problems.problem import BadProblem, Workload, module_from, seed_everything
from harness.problems.tensors import answers_of, in_float64

SEED = 42
TRIALS = 5
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-2}
OLD_TOLERANCE = 1e-2
"""Of versions 0 and 0.1, in every precision."""


class KernelBench:
    """A KernelBench problem in its process."""

    outputs: tuple[str, ...] = ()

    def __init__(self, path: Path, dtype: str = "", old: bool = False) -> None:
        """`dtype` is the precision (float32); `old` takes the tolerance of versions 0 and 0.1."""
        import torch

        dtype = dtype or "float32"
        if dtype not in TOLERANCES:
            raise BadProblem(f"{path}: KernelBench has no tolerance for {dtype}; it has {', '.join(TOLERANCES)}")
        self.name = path.stem
        module = module_from(path, "harness_problem")
        for wanted in ("Model", "get_inputs", "get_init_inputs"):
            if not callable(getattr(module, wanted, None)):
                raise BadProblem(
                    f"{path} has no {wanted}; a KernelBench problem has Model, get_inputs, get_init_inputs"
                )
        self._draw, self._dtype = module.get_inputs, getattr(torch, dtype)
        self._tolerance = OLD_TOLERANCE if old else TOLERANCES[dtype]
        seed_everything(SEED)
        self._init = [self._cast(one) for one in module.get_init_inputs()]
        with torch.no_grad():
            seed_everything(SEED)
            self._model = module.Model(*self._init).to(dtype=self._dtype)
        torch.manual_seed(SEED)
        self._seeds = [int(torch.randint(0, 2**32 - 1, (1,)).item()) for _ in range(TRIALS)]
        rule = f"torch.allclose, atol = rtol = {self._tolerance:g}"
        self.workloads = (Workload("problem", TRIALS, rule),)

    def _cast(self, value: Any) -> Any:
        import torch

        return value.to(self._dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    def inputs(self, workload: Workload, seed: int, trial: int | None) -> Any:
        seed_everything(seed if trial is None else self._seeds[trial])
        return [self._cast(one) for one in self._draw()]

    def run(self, workload: Workload, arguments: Any) -> list[Any]:
        import torch

        with torch.no_grad():
            return answers_of(self._model(*arguments))

    def run_wide(self, workload: Workload, arguments: Any) -> list[Any]:
        import torch

        wide = copy.deepcopy(self._model).double()
        with torch.no_grad(), in_float64():
            return answers_of(wide(*arguments))

    def accepts(self, workload: Workload, arguments: Any, right: list[Any], answers: list[Any]) -> str:
        import torch

        if len(answers) != 1 or len(right) != 1:
            return "it compares a single tensor, and there are several"
        (expected,), (answer,) = right, answers
        if expected.shape != answer.shape:
            return f"shape {tuple(answer.shape)} where {tuple(expected.shape)} is right"
        try:
            close = torch.allclose(expected, answer, atol=self._tolerance, rtol=self._tolerance)
        except RuntimeError as error:  # dtypes that differ
            return str(error)
        if close:
            return ""
        off = (expected.double() - answer.double()).abs().max().item()
        return f"not all close: off by up to {off:.3g}"

    def candidate(self) -> dict[str, Any]:
        return {
            "init": self._init,
            "state": dict(self._model.state_dict()),
            "training": self._model.training,
            "precision": str(self._dtype).removeprefix("torch."),
        }

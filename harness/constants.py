"""How far a device's exp and log are off, measured: the constants that the bounds of the softmax family assume.

Half types are measured exhaustively, float32 and float64 on samples that are uniform over bit patterns, so that every
binade counts alike. Errors are relative, in unit roundoffs of the dtype, over results that are normal numbers; a
correctly rounded function has 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from harness.declare import Case
from harness.implement import Declaration
from harness.judge.arithmetic import EXP_ERROR, LOG_ERROR
from harness.judge.truth import Truth
from harness.plan import Task
from harness.precision import format_of, numpy_dtype, widen
from harness.process import WorkerFailure, WorkerProcess
from harness.registry import Registry
from harness.stage import Refused, Stage
from harness.supervisor import fresh_seed

SAMPLES = 1 << 20
ROUNDS = 4
"""Samples of float32 and float64: ROUNDS times SAMPLES bit patterns."""
ASSUMED = {"exp": EXP_ERROR, "log": LOG_ERROR}
DTYPES = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Constant:
    """The largest relative error of one function of one backend, in unit roundoffs of the dtype, and where it is."""

    backend: str
    function: str
    dtype: str
    error: float
    worst_input: float
    inputs: int
    exhaustive: bool

    @property
    def is_beyond(self) -> bool:
        """Whether the bounds assume less. A half type is computed in float32, and its own rounding comes on top."""
        allowed = ASSUMED[self.function] if self.dtype in ("float32", "float64") else 1.0 + 2.0**-8
        return not self.error <= allowed

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def measure(registry: Registry, progress: Callable[[str], None]) -> tuple[list[Constant], list[str]]:
    """The constants of every backend that is here and implements exp and log, and what could not be measured."""
    rng = np.random.default_rng(fresh_seed())
    found, problems = [], []
    for backend in sorted(registry.backends):
        declared = {
            one.operator: one
            for one in registry.declarations
            if one.backend == backend and one.operator in ASSUMED and not registry.missing(one)
            and one.implementation in ("builtin", "array_api")
        }  # fmt: skip
        if not declared:
            continue
        worker = WorkerProcess(plugin="", devices=registry.backends[backend].reserves)
        try:
            for function, one in sorted(declared.items()):
                for dtype in registry.backends[backend].dtypes:
                    if dtype in DTYPES:
                        progress(f"measuring {function} of {backend} in {dtype}")
                        found.append(_constant(registry, worker, one, dtype, rng))
        except (WorkerFailure, Refused) as failure:
            problems.append(f"{backend}: {failure.reason}")
        finally:
            worker.close()
    return found, problems


def _constant(
    registry: Registry, worker: WorkerProcess, declared: Declaration, dtype: str, rng: np.random.Generator
) -> Constant:
    kind = numpy_dtype(dtype)
    exhaustive = kind.itemsize == 2
    worst, where, count = 0.0, 0.0, 0
    for _ in range(1 if exhaustive else ROUNDS):
        if exhaustive:
            x = np.arange(1 << 16, dtype=np.uint16).view(kind)
        else:
            x = rng.integers(0, 256, (SAMPLES, kind.itemsize), dtype=np.uint8).view(kind).reshape(SAMPLES)
        answer = _answer(registry, worker, declared, x)
        error = _relative_errors(declared.operator, x, answer)
        top = int(np.argmax(error))
        count += x.size
        if error[top] > worst:
            worst, where = float(error[top]), float(x[top])
    return Constant(declared.backend, declared.operator, dtype, worst, where, count, exhaustive)


def _answer(registry: Registry, worker: WorkerProcess, declared: Declaration, x: np.ndarray) -> np.ndarray:
    task = Task(declared, Case(x.dtype.name, (x.shape,), values="constants"))
    unknown = np.broadcast_to(np.float64(0.0), x.shape)
    received = Stage(worker, [Truth(task.case, (x,), unknown, unknown)], slots=1).ask(task, registry, [[0]], 60.0)
    read = received.read(0)
    if read is None:
        raise Refused("error", received.reply.answers[0].error or "no answer")
    return read


def _relative_errors(function: str, x: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """Relative errors in unit roundoffs; 0 where the true result is no normal number of the dtype. An answer that is
    not finite where the true one is counts as infinitely wrong."""
    form = format_of(x.dtype.name)
    smallest_normal = 2.0 ** (form.lowest_exponent + form.digits - 1)
    with np.errstate(all="ignore"):
        true = getattr(np, function)(widen(x))
        size = np.abs(true)
        # subnormal inputs are left out: what flushes them to zero is seen by the operators' own cases
        counts = np.isfinite(true) & (size >= smallest_normal) & (size <= form.largest)
        counts &= np.abs(widen(x)) >= smallest_normal
        error = np.abs(answer.astype(true.dtype) - true) / (form.unit * size)
        error = np.where(np.isfinite(error), error, np.inf)
    return np.where(counts, error, 0.0).astype(np.float64)

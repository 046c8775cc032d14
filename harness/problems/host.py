"""The process of a problem: runs the problem's own code, and nothing of any candidate.

Started by `hosting` as `python -m harness.problems.host SOCKET MEMORY_LIMIT`. It draws inputs, computes what is right,
and applies the source's rule to the answers that the supervisor hands it.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.confinement import die_with_parent, is_out_of_memory, limit_memory
from harness.precision import is_float, numpy_dtype
from harness.problems import exchange, measuring
from harness.problems.problem import FLASHINFER, GPUMODE, KERNELBENCH, SOL, BadProblem, Hosted, Workload
from harness.problems.tensors import Unreadable, put_together, taken_apart, to_array, to_tensor, without_gpu

Arrays = list[np.ndarray]
Reply = tuple[dict[str, Any], Sequence[np.ndarray]]
SEVERAL = 2


class Host:
    """One problem, and what is known of its workloads."""

    def __init__(self, request: dict[str, Any]) -> None:
        if _names_cuda(Path(request["path"])):
            without_gpu()
        self._problem = _opened(request)
        self._templates: dict[int, Any] = {}
        self._buffers: dict[int, int | None] = {}
        self._in_place: set[int] = set()
        """The workloads whose reference writes into its arguments: a candidate may do it, too."""
        self._own: dict[int, list[float]] = {}
        self._trials: dict[tuple[int, int], tuple[Any, list[Any]]] = {}
        """Inputs and right answers of the trial in progress, and of its workload's first: they may be large."""

    def serve(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        answers: dict[str, Callable[[dict[str, Any], Arrays], Reply]] = {
            "describe": self._describe,
            "candidate": self._candidate,
            "generate": self._generate,
            "trial": self._trial,
            "run": self._run,
            "wide": self._wide,
            "truth": self._truth,
            "accepts": self._accepts,
            "zeros": self._zeros,
        }
        return answers[request["do"]](request, arrays)

    def _describe(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        found = [{"name": one.name, "trials": one.trials, "rule": one.rule} for one in self._problem.workloads]
        return {"name": self._problem.name, "workloads": found, "outputs": list(self._problem.outputs)}, ()

    def _candidate(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        held: Arrays = []
        return {"template": taken_apart(self._problem.candidate(), held)}, held

    def _workload(self, request: dict[str, Any]) -> Workload:
        found: Workload = self._problem.workloads[int(request["workload"])]
        return found

    def _generate(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        held: Arrays = []
        drawn = self._problem.inputs(self._workload(request), request["seed"], None)
        self._remember(request["workload"], drawn)
        taken_apart(drawn, held)
        told = {"template": self._templates[request["workload"]], "in_place": request["workload"] in self._in_place}
        return told, self._without_buffer(request["workload"], held)

    def _trial(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        """The inputs of one of the source's own trials; the reference runs on a copy of them."""
        number, workload = request["workload"], self._workload(request)
        drawn = self._problem.inputs(workload, request["seed"], request["trial"])
        self._remember(number, drawn)
        held: Arrays = []
        template = taken_apart(drawn, held)
        right = self._problem.run(workload, drawn)
        kept = put_together(template, [to_tensor(array) for array in held])
        self._trials = {key: one for key, one in self._trials.items() if key == (number, 0)}
        self._trials[number, request["trial"]] = kept, [one.clone() for one in right]
        return {}, self._without_buffer(number, held)

    def _accepts(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        workload = self._workload(request)
        arguments, right = self._trials[request["workload"], request["trial"]]
        held: Arrays = []
        template = taken_apart(arguments, held)  # a check may write into its arguments
        fresh = put_together(template, [to_tensor(array) for array in held])
        answers = [to_tensor(array) for array in arrays]
        return {"reason": self._problem.accepts(workload, fresh, [one.clone() for one in right], answers)}, ()

    def _zeros(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        """Whether the source's own rule accepts all zeros in its first trial, and the largest right element there."""
        _, right = self._trials[request["workload"], 0]
        largest = max((float(one.abs().max()) for one in right if one.numel() and one.is_floating_point()), default=0.0)
        asked = {"workload": request["workload"], "trial": 0}
        reply, _ = self._accepts(asked, [np.zeros_like(to_array(one)) for one in right])
        return {"accepted": not reply["reason"], "largest": largest}, ()

    def _run(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        return {}, self._answers(request["workload"], arrays)

    def _wide(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        return {}, self._wide_answers(request["workload"], measuring.widened(arrays))

    def _truth(self, request: dict[str, Any], arrays: Arrays) -> Reply:
        """Of every output the truth, then its bound; and the largest error of the reference itself, in its scale."""
        number = request["workload"]
        own, dtypes = self._measured(number), self._dtypes(number, arrays)
        rng = np.random.default_rng(request["seed"])
        true, scale = measuring.scales(lambda one: self._wide_answers(number, one), arrays, dtypes, rng)
        allowed = [measuring.bounds(y, s, r, kind) for y, s, r, kind in zip(true, scale, own, dtypes, strict=True)]
        # flags and whole numbers stay what they are: float64 does not hold every int64
        kinds = [np.dtype(np.float64) if is_float(kind) else numpy_dtype(kind) for kind in dtypes]
        return {"own": own, "dtypes": dtypes}, [*(y.astype(k) for y, k in zip(true, kinds, strict=True)), *allowed]

    def _dtypes(self, number: int, arrays: Arrays) -> list[str]:
        return [one.dtype.name for one in self._answers(number, arrays)]

    def _measured(self, number: int) -> list[float]:
        """The reference's own error in the scale, of every output; the largest over inputs and thread counts."""
        import torch

        if number in self._own:
            return self._own[number]
        threads, worst = torch.get_num_threads(), []
        for draw in range(measuring.INPUTS):
            held: Arrays = []
            rng = np.random.default_rng(draw)
            taken_apart(self._problem.inputs(self._problem.workloads[number], int(rng.integers(2**31)), None), held)
            arrays = self._without_buffer(number, held)
            dtypes = self._dtypes(number, arrays)
            true, scale = measuring.scales(lambda one: self._wide_answers(number, one), arrays, dtypes, rng)
            again = self._wide_answers(number, measuring.widened(arrays))
            if any(
                not np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True) for a, b in zip(true, again, strict=True)
            ):
                raise BadProblem("its reference gives another answer each time: nothing says what is right")
            for count in sorted({1, threads}):
                torch.set_num_threads(count)
                answers = self._answers(number, arrays)
                worst.append([measuring.own_error(*four) for four in zip(answers, true, scale, dtypes, strict=True)])
            torch.set_num_threads(threads)
        self._own[number] = [max(column) for column in zip(*worst, strict=True)]
        return self._own[number]

    def _answers(self, number: int, arrays: Arrays) -> Arrays:
        arguments = put_together(self._templates[number], [to_tensor(array) for array in arrays])
        return [to_array(one) for one in self._problem.run(self._problem.workloads[number], arguments)]

    def _wide_answers(self, number: int, arrays: Sequence[np.ndarray]) -> Arrays:
        arguments = put_together(self._templates[number], [to_tensor(array) for array in arrays])
        return [to_array(one) for one in self._problem.run_wide(self._problem.workloads[number], arguments)]

    def _remember(self, number: int, drawn: Any) -> None:
        """The template of a workload's arguments, once: with memory for the answer told from inputs."""
        if number in self._templates:
            return
        held: Arrays = []
        template = taken_apart(drawn, held)
        self._templates[number] = template
        tensors = [to_tensor(array) for array in held]
        self._problem.run(self._problem.workloads[number], put_together(template, tensors))
        if any(to_array(now).tobytes() != was.tobytes() for now, was in zip(tensors, held, strict=True)):
            self._in_place.add(number)
        self._buffers[number] = self._buffer(number, held)
        if self._buffers[number] is not None:
            last = held[-1]
            buffer = {"buffer": {"shape": list(last.shape), "dtype": last.dtype.name}}
            self._templates[number] = _replaced(template, {"array": len(held) - 1}, buffer)

    def _buffer(self, number: int, held: Arrays) -> int | None:
        """The number of the last tensor, if it has the answer's shape and dtype and the reference does not read it."""
        if not isinstance(self._problem, _kinds()[GPUMODE]) or len(held) < SEVERAL:
            return None
        answers = self._answers(number, held)
        last = held[-1]
        if len(answers) != 1 or answers[0].shape != last.shape or answers[0].dtype != last.dtype:
            return None
        other = np.full_like(last, np.nan if last.dtype.kind not in "iub" else 1)
        same = self._answers(number, [*held[:-1], other])[0].tobytes() == answers[0].tobytes()
        return len(held) - 1 if same else None

    def _without_buffer(self, number: int, held: Arrays) -> Arrays:
        buffer = self._buffers[number]
        return held if buffer is None else held[:buffer]


def _replaced(template: Any, old: Any, new: Any) -> Any:
    if template == old:
        return new
    ((kind, held),) = template.items()
    if kind in ("list", "tuple"):
        return {kind: [_replaced(one, old, new) for one in held]}
    if kind in ("dict", "namedtuple"):
        return {kind: {name: _replaced(one, old, new) for name, one in held.items()}}
    return template


def _names_cuda(path: Path) -> bool:
    files = [path] if path.is_file() else [*path.glob("*.py"), *path.parent.glob("*.py")]
    return any("cuda" in file.read_text(errors="replace") for file in files)


def _kinds() -> dict[str, Any]:
    from harness.problems.flashinfer import Definition
    from harness.problems.gpumode import Task
    from harness.problems.kernelbench import KernelBench

    return {KERNELBENCH: KernelBench, FLASHINFER: Definition, SOL: Definition, GPUMODE: Task}


def _opened(request: dict[str, Any]) -> Hosted:
    kind, path, make = request["kind"], Path(request["path"]), _kinds()[request["kind"]]
    problem: Hosted
    if kind == KERNELBENCH:
        problem = make(path, request["dtype"], request["old"])
    elif kind == GPUMODE:
        problem = make(path, request["benchmarks"])
    else:
        problem = make(path, Path(request["workloads"]), kind)
    return problem


def main(arguments: list[str]) -> None:
    connection = socket.socket(fileno=int(arguments[0]))
    die_with_parent()
    limit_memory(int(arguments[1]))
    host: Host | None = None
    while (received := exchange.receive(connection)) is not None:
        request, arrays = received
        reply: Reply
        try:
            if host is None:
                host, reply = Host(request), ({}, ())
            else:
                reply = host.serve(request, arrays)
        except Exception as error:
            if is_out_of_memory(error):
                kind = "out_of_memory"
            else:
                kind = "bad" if isinstance(error, BadProblem | Unreadable) else "error"
            text = str(error) if kind == "bad" else f"{type(error).__name__}: {error}"
            reply = {"failure": text, "kind": kind}, ()
        exchange.send(connection, *reply)


if __name__ == "__main__":
    main(sys.argv[1:])

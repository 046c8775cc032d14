"""Run a candidate: on the inputs of the source's own trials, and through the ordinary conformance check."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from harness.conformance import check_task
from harness.declare import Case, Operator
from harness.judge.truth import Truth
from harness.judge.verdict import Verdict
from harness.plan import Task
from harness.precision import numpy_dtype
from harness.problems.candidates import Candidate
from harness.problems.hosting import Host
from harness.problems.tensors import SUPPORTED
from harness.problems.wrapping import SEEDED
from harness.process import WorkerFailure, WorkerProcess
from harness.registry import Registry
from harness.stage import Received, Refused, Stage
from harness.supervisor import PREPARE_S, memory_limit

MOST_WORKERS = 4
"""Workers that are kept for their candidates, each with PyTorch and what it allocated."""


class Bench:
    """A worker for every candidate, replaced when it is lost; a few are kept. Use as a context manager."""

    def __init__(self, registry: Registry, seed: int, deadline_s: float) -> None:
        self._registry, self._seed, self._deadline_s = registry, seed, deadline_s
        self._workers: dict[str, WorkerProcess] = {}
        self._prepared: set[str] = set()

    def check(self, candidate: Candidate, operator: Operator, case: Case) -> Verdict:
        """The verdict of the ordinary conformance check; a lost worker is replaced, and is the verdict."""
        try:
            worker, deadline_s = self._worker(candidate)
            task = Task(candidate.declaration, case)
            verdict = check_task(task, operator, self._registry, worker, self._seed, deadline_s)
        except WorkerFailure as failure:
            self._drop(candidate)
            return Verdict(failure.status, failure.reason)
        if verdict.tainted:
            self._drop(candidate)
        return verdict

    def answers(
        self,
        candidate: Candidate,
        cases: Sequence[Case],
        inputs: tuple[np.ndarray, ...],
        shapes: Sequence[tuple[int, ...]],
    ) -> tuple[list[np.ndarray], str]:
        """What a candidate returns for these inputs, one case for each output, whatever its shape and dtype; or why
        there is no answer. `shapes` are the outputs' right ones: they say how much room there is."""
        calls = []
        for case, shape in zip(cases, shapes, strict=True):
            room = np.broadcast_to(np.zeros(()), shape)
            calls.append(
                Truth(
                    dataclasses.replace(case, parameters=(*case.parameters, ("weights", SEEDED))),
                    inputs,
                    room,
                    room,
                    "float64",
                )
            )
        try:
            worker, deadline_s = self._worker(candidate)
            stage = Stage(worker, calls, slots=len(calls))
            task = Task(candidate.declaration, calls[0].case)
            received = stage.ask(task, self._registry, [list(range(len(calls)))], deadline_s)
        except WorkerFailure as failure:
            self._drop(candidate)
            return [], f"{failure.status}: {failure.reason}"
        except Refused as refusal:
            return [], f"{refusal.status}: {refusal.reason}"
        found = [_raw(received, number) for number in range(len(calls))]
        wrong = next((one for one in found if isinstance(one, str)), "")
        return [one for one in found if not isinstance(one, str)], wrong

    def accepted(
        self, candidate: Candidate, host: Host, workload: int, cases: Sequence[Case], shapes: Sequence[tuple[int, ...]]
    ) -> str:
        """Why the source's own checker rejects a candidate on a workload, or an empty text: all of its trials, on the
        inputs that it would draw. Raises HostFailure."""
        trials = host.workloads[workload].trials
        for trial in range(trials):
            asked = {"do": "trial", "workload": workload, "trial": trial, "seed": (self._seed + trial) % 2**31}
            _, arrays = host.ask(asked)
            answers, wrong = self.answers(candidate, cases, tuple(arrays), shapes)
            if wrong:
                return wrong
            told, _ = host.ask({"do": "accepts", "workload": workload, "trial": trial}, answers)
            if told["reason"]:
                where = f"trial {trial + 1} of {trials}: " if trials > 1 else ""
                return where + str(told["reason"])
        return ""

    def _worker(self, candidate: Candidate) -> tuple[WorkerProcess, float]:
        """The worker of a candidate, and how long its next request may take: the first one may compile."""
        path = candidate.declaration.path
        if path not in self._workers:
            if len(self._workers) >= MOST_WORKERS:
                # all candidates take turns, so that the newest is the one whose turn is farthest away
                self._close(next(reversed(self._workers)))
            self._workers[path] = WorkerProcess(memory_limit=memory_limit())
        first = path not in self._prepared
        self._prepared.add(path)
        return self._workers[path], self._deadline_s + (PREPARE_S if first else 0.0)

    def _drop(self, candidate: Candidate) -> None:
        self._close(candidate.declaration.path)

    def _close(self, path: str) -> None:
        """End a worker: the next one of this candidate has to prepare again, and gets the time for it."""
        self._prepared.discard(path)
        worker = self._workers.pop(path, None)
        if worker is not None:
            worker.close()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()


def _raw(received: Received, number: int) -> np.ndarray | str:
    """An answer as it came, of any shape and dtype that fits its room; or why there is none."""
    answer, slot = received.answer(number), received.slots[number]
    if answer.error:
        return f"raised {answer.error}"
    if len(answer.outputs) != 1:
        return f"returned {len(answer.outputs)} tensors"
    (output,) = answer.outputs
    if not output.kind.startswith("torch."):
        return f"returned a {output.kind}"
    if output.dtype not in SUPPORTED or not output.stored or output.offset != slot.start:
        return f"returned a {output.dtype}{list(output.shape)}, for which there is no room"
    kind = numpy_dtype(output.dtype)
    if math.prod(output.shape) * kind.itemsize > slot.stop - slot.start:
        return f"returned a {output.dtype}{list(output.shape)}, for which there is no room"
    return received.arena.read(slot.start, output.shape, kind)

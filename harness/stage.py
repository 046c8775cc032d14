"""Calls set out in the shared memory of one worker: inputs placed, slots poisoned, ready to be asked for answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.arena import Arena, Slot, placed_bytes, slot_bytes
from harness.declare import Case
from harness.judge.truth import Truth
from harness.plan import Task
from harness.precision import numpy_dtype
from harness.process import WorkerProcess
from harness.registry import Registry
from harness.wire import GUARD, Reply, reply_from


class Refused(Exception):
    """The worker did not run the task; `status` and `reason` are the record's."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Received:
    """A checked reply; the answers' bytes still lie in the arena, until the next request of the worker."""

    reply: Reply
    arena: Arena
    slots: tuple[Slot, ...]

    def read(self, number: int) -> np.ndarray | None:
        """A private copy of an answer of one array, or None where it left nothing that can be read."""
        answer, slot = self.reply.answers[number], self.slots[number]
        if len(answer.outputs) != 1 or not answer.outputs[0].stored:
            return None
        (output,) = answer.outputs
        try:
            kind = numpy_dtype(output.dtype)
        except TypeError:
            return None
        if output.offset != slot.start or slot.start + math.prod(output.shape) * kind.itemsize > slot.stop:
            return None
        return self.arena.read(output.offset, output.shape, kind)

    def damage(self) -> str:
        """What the worker changed in shared memory that was not its to change, or an empty string."""
        return self.arena.damage()


class Stage:
    """Calls of one case in one worker's memory. Placing the same shapes again gives the same addresses."""

    def __init__(self, worker: WorkerProcess, calls: Sequence[Truth], *, slots: int, calls_at_once: int = 1) -> None:
        """Place the inputs of all calls, and room for `slots` answers and the one that is held to the end."""
        self.worker = worker
        self.calls = list(calls)
        self.calls_at_once = calls_at_once
        self._answer = {"shape": calls[0].expected.shape, "dtype": calls[0].case.dtype}
        self._sizes = [_answer_bytes(call) for call in calls]
        room = max(self._sizes)
        arena = worker.arena
        total = sum(placed_bytes(array, call.case.layout) for call in calls for array in call.inputs)
        arena.reserve(total + (slots + 1) * slot_bytes(room) + 4 * GUARD)
        arena.clear()
        self.regions = [[arena.place(array, call.case.layout) for array in call.inputs] for call in calls]
        self._slots: list[Slot] = [arena.slot(room) for _ in range(slots + 1)]
        self._messages = [
            {
                "inputs": [region.placed.as_message() for region in regions],
                "parameters": call.parameters,
            }
            for regions, call in zip(self.regions, calls, strict=True)
        ]

    def ask(self, task: Task, registry: Registry, samples: Sequence[Sequence[int]], deadline_s: float) -> Received:
        """Have the samples run, each a list of indexes of calls, and read what came back.

        Raises WorkerFailure if the worker is lost, Refused if it did not run the task.
        """
        executed = sum(len(sample) for sample in samples)
        slots = [*self._slots[:executed], self._slots[-1]]  # the last one is for the answer that is held to the end
        arena = self.worker.arena
        request = {
            "do": "run",
            "arena_bytes": arena.bytes,
            "backend": _backend_message(registry, task),
            "target": _target_message(task),
            "case": _case_message(task.case),
            "answer": self._answer,
            "calls": self._messages,
            "samples": [list(sample) for sample in samples],
            "slots": [[slot.start, slot.stop] for slot in slots],
            "poison_bytes": sorted({size for size in self._sizes if size}),
        }
        message = self.worker.ask(request, deadline_s)
        if "unsupported" in message:
            raise Refused("unsupported", str(message["unsupported"]) or "no reason was given")
        if "failure" in message:
            kind = "out_of_memory" if message.get("failure_kind") == "out_of_memory" else "error"
            raise Refused(kind, str(message["failure"])[:2000])
        reply = reply_from(message, executed + 1, len(samples))
        return Received(reply, arena, tuple(slots))

    def refresh(self, call: int, inputs: Sequence[np.ndarray]) -> None:
        """Write new values where the inputs of a call lie."""
        for region, array in zip(self.regions[call], inputs, strict=True):
            self.worker.arena.refresh(region, array)


def _answer_bytes(call: Truth) -> int:
    return int(call.expected.size) * numpy_dtype(call.case.dtype).itemsize


def _backend_message(registry: Registry, task: Task) -> dict[str, str]:
    info = registry.backends[task.declaration.backend]
    return {"name": info.name, "module": info.module, "path": info.path}


def _target_message(task: Task) -> dict[str, str]:
    one = task.declaration
    return {
        "module": one.module,
        "path": one.path,
        "operator": one.operator,
        "backend": one.backend,
        "implementation": one.implementation,
    }


def _case_message(case: Case) -> dict[str, Any]:
    """A case as an implementation may know it: what it computes, not what the numbers are meant to expose."""
    return {"dtype": case.dtype, "shapes": case.shapes, "parameters": case.parameters}

"""Calls set out in the shared memory of one worker: inputs placed, slots poisoned, ready to be asked for answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.arena import Arena, Region, Slot, placed_bytes, slot_bytes
from harness.declare import Case
from harness.judge.truth import Truth
from harness.plan import Task
from harness.precision import numpy_dtype
from harness.process import Elapsed, WorkerFailure, WorkerProcess
from harness.registry import Registry
from harness.wire import GUARD, Answer, Reply, WireError, reply_from, text_of


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
    expected: tuple[tuple[tuple[int, ...], str], ...]
    """Shape and dtype of the right answer to each call."""
    elapsed: Elapsed
    numbers: tuple[int, ...]
    """Which calls the answers belong to; one more than there were is the first answer as it was in the end."""

    def answer(self, number: int) -> Answer:
        return self.reply.answers[self.numbers.index(number)]

    def read(self, number: int) -> np.ndarray | None:
        """A private copy of an answer of one array, or None where it left nothing that can be read."""
        answer, slot = self.answer(number), self.slots[number]
        if len(answer.outputs) != 1 or not answer.outputs[0].stored:
            return None
        (output,) = answer.outputs
        shape, dtype = self.expected[number]
        # what the worker claims is only compared: nothing is made from its words
        if output.shape != shape or output.dtype != dtype or output.offset != slot.start:
            return None
        return self.arena.read(slot.start, shape, numpy_dtype(dtype))

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
        self._answer = {"shape": calls[0].expected.shape, "dtype": calls[0].answer_dtype}
        self._touched: list[tuple[Region, np.ndarray, np.ndarray, np.ndarray]] = []
        self._largest: dict[int, float] = {}
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
                "gradient": None if call.gradient is None else {"input": call.gradient, "position": call.position},
                "passes": call.passes,
            }
            for regions, call in zip(self.regions, calls, strict=True)
        ]

    def ask(
        self,
        task: Task,
        registry: Registry,
        samples: Sequence[Sequence[int]],
        deadline_s: float,
        *,
        poison: bool = True,
        called: Callable[[], None] = lambda: None,
        wanted: Sequence[int] | None = None,
    ) -> Received:
        """Have the samples run, each a list of indexes of calls, and read what came back; `poison` has freed memory
        overwritten before, in the worker; `called` is called when the worker says that the calls are over, and only
        then it learns which answers are `wanted` (positions in the order of the calls; None: all).

        Raises WorkerFailure if the worker is lost, Refused if it did not run the task.
        """
        executed = sum(len(sample) for sample in samples)
        slots = [*self._slots[:executed], self._slots[-1]]  # the last one is for the answer that is held to the end
        arena = self.worker.arena
        used = sorted({index for sample in samples for index in sample})
        request = {
            "do": "run",
            "arena_bytes": arena.bytes,
            "backend": _backend_message(registry, task),
            "target": _target_message(task),
            "case": _case_message(task.case),
            "answer": self._answer,
            "calls": [self._messages[index] for index in used],
            "samples": [[used.index(index) for index in sample] for sample in samples],
            "slots": [[slot.start, slot.stop] for slot in slots],
            "poison_bytes": sorted({size for size in self._sizes if size and poison}),
        }

        said: list[bool] = []

        def over() -> Sequence[int] | None:
            said.append(True)
            called()
            return wanted

        message = self.worker.ask(request, deadline_s, over)
        if "unsupported" in message:
            raise Refused("unsupported", text_of(message["unsupported"]) or "no reason was given")
        if "failure" in message:
            kind = "out_of_memory" if message.get("failure_kind") == "out_of_memory" else "error"
            raise Refused(kind, text_of(message["failure"]))
        try:
            numbers = tuple(range(executed + 1)) if wanted is None else tuple(wanted)
            reply = reply_from(message, len(numbers), len(samples))
            if not said:
                raise WireError("it did not say when its calls were over")
            has_timer = registry.backends[task.declaration.backend].has_timer
            if not has_timer and any(one is not None for one in reply.device_ns):
                raise WireError("a device's time from a backend that has no clock of its own")
        except WireError as error:
            self.worker.close()
            raise WorkerFailure("untrusted", str(error)) from None
        order = [index for sample in samples for index in sample]
        chosen = [self.calls[index] for index in [*order, order[0]]]
        expected = [(call.expected.shape, call.answer_dtype) for call in chosen]
        return Received(reply, arena, tuple(slots), tuple(expected), self.worker.elapsed, numbers)

    def touch(self, rng: np.random.Generator, count: int, fresh: Sequence[np.ndarray] | None = None) -> None:
        """Change `count` elements of every input, here and in the worker's memory, so that every answer changes; those
        that were changed before get their values back. With `fresh` inputs, the new elements are taken from there."""
        for region, array, places, values in self._touched:
            self._write(region, array, places, values)
        self._touched.clear()
        for call, regions in zip(self.calls, self.regions, strict=True):
            for number, (array, region) in enumerate(zip(call.inputs, regions, strict=True)):
                if not array.size:
                    continue
                if fresh is not None:
                    places = np.unique(rng.integers(0, array.size, count))
                    self._touched.append((region, array, places, array.flat[places]))
                    self._write(region, array, places, fresh[number].flat[places])
                    continue
                if id(region) not in self._largest:
                    self._largest[id(region)] = float(np.max(array, initial=0))
                places = np.unique(rng.integers(0, array.size, count))
                self._touched.append((region, array, places, array.flat[places]))
                # above all others: a maximum changes too, and whole numbers stay whole
                self._write(region, array, places, self._largest[id(region)] + rng.integers(8, 16, places.size))

    def _write(self, region: Region, array: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
        array.flat[places] = values
        self.worker.arena.write(region, places, array.flat[places])


def _answer_bytes(call: Truth) -> int:
    return int(call.expected.size) * numpy_dtype(call.answer_dtype).itemsize


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
    return {"dtype": case.dtype, "shapes": case.shapes, "parameters": case.parameters, "layout": case.layout}

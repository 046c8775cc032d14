"""Calls set out in the shared memory of one worker: inputs placed, slots poisoned, ready to be asked for answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.arena import POISON, Arena, Region, Slot, elements, placed_bytes, slot_bytes
from harness.declare import Case
from harness.heavy import HEAVY, Heavy
from harness.judge.truth import Truth
from harness.plan import Task
from harness.precision import numpy_dtype
from harness.process import Elapsed, WorkerFailure, WorkerProcess
from harness.registry import Registry
from harness.wire import GUARD, Answer, Reply, WireError, reply_from, text_of

TOUCHED = 256
"""One element in so many of every input changes before a burst: hardly a row, column or block stays as it was, so that
remembering answers and working out the difference is no shorter way."""
FEWEST_TOUCHED = 16
RAISED = 16
"""At most so many of them become greater than all others."""

Message = dict[str, Any]
Write = Callable[[np.ndarray, np.ndarray], None]
"""Writes values at places of an input."""


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
    regions: frozenset[Region]
    """Where the inputs of these calls lie."""

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

    def damage(self, *, everywhere: bool = True) -> str:
        """What the worker changed in shared memory that was not its to change, or an empty string: everywhere, or in
        the inputs of these calls and around the answers."""
        return self.arena.damage(None if everywhere else self.regions)


class Stage:
    """Calls of one case in one worker's memory. Placing the same shapes again gives the same addresses."""

    def __init__(self, worker: WorkerProcess, calls: Sequence[Truth], *, slots: int, calls_at_once: int = 1) -> None:
        """Place the inputs of all calls, and room for `slots` answers and the one that is held to the end."""
        self.worker = worker
        self.calls = list(calls)
        self.calls_at_once = calls_at_once
        self._answer = {"shape": calls[0].expected.shape, "dtype": calls[0].answer_dtype}
        self._raised: dict[int, list[tuple[Write, np.ndarray, np.ndarray]]] = {}
        """By call: where elements are above all others now, and what was there before."""
        self._pairs: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
        self._parts: dict[int, list[np.ndarray]] = {}
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
        return Asked(self, task, registry, [samples], deadline_s, poison=poison).step(called, wanted)

    def message(
        self, task: Task, registry: Registry, used: Sequence[int], slots: Sequence[Slot], poison: bool
    ) -> Message:
        """What a request says of the calls at the indexes `used`, whose answers have their room in `slots`."""
        return {
            "arena_bytes": self.worker.arena.bytes,
            "backend": _backend_message(registry, task),
            "target": _target_message(task),
            "case": _case_message(task.case),
            "answer": self._answer,
            "calls": [self._messages[index] for index in used],
            "slots": [[slot.start, slot.stop] for slot in slots],
            "poison_bytes": sorted({size for size in self._sizes if size and poison}),
        }

    def slots(self, first: int, executed: int) -> list[Slot]:
        """Room for the answers of so many calls, and for the one that is held to the end."""
        return self._slots[first : first + executed + 1]

    def touch(
        self,
        rng: np.random.Generator,
        indexes: Collection[int],
        fresh: Sequence[np.ndarray] | None = None,
        heavy: Heavy | None = None,
    ) -> None:
        """Change every input of the calls at `indexes`, here and in the worker's memory, so that every answer changes
        and nothing is gained by working out the difference.

        The new elements are taken from `fresh` inputs. Without those, elements at random places change places with
        others, so that the distribution stays, and a few become greater than all others, until the next time: what
        does not depend on the order (a sum, a maximum) changes too. Where a sum is long, they outweigh all others (with
        `heavy`, in the first input).
        """
        for index in indexes:
            for write, places, values in self._raised.pop(index, ()):
                write(places, values)
            raised = self._raised[index] = []
            same: dict[int, np.ndarray] = {}
            for number, (array, shared) in enumerate(self._inputs(index)):
                if not array.size:
                    continue
                write = _writer(array, shared)
                one = self._places(array.size, rng)
                if fresh is not None:
                    # what was drawn together stays together: targets fit their inputs as they do everywhere
                    one = same.setdefault(array.size, one)
                    write(one, elements(fresh[number])[one])
                    if heavy is not None and number == 0:
                        raised.append(self._outweigh(array, write, one, heavy, rng))
                    continue
                other = rng.permutation(self._places(array.size, rng))
                count = min(one.size, other.size)
                places = np.concatenate([one[:count], other[:count]])
                values = elements(array)[np.concatenate([other[:count], one[:count]])]
                write(places, values)
                if heavy is not None and number == 0:
                    raised.append(self._outweigh(array, write, one, heavy, rng))
                    continue
                highest = np.unique(one[rng.integers(0, one.size, rng.integers(1, RAISED + 1))])
                before = elements(array)[highest]
                if array.dtype == bool:  # nothing is greater: some change sides
                    write(highest, ~before)
                    continue
                raised.append((write, highest, before))
                write(highest, self._above(array, before, rng))

    def _outweigh(
        self, array: np.ndarray, write: Write, places: np.ndarray, heavy: Heavy, rng: np.random.Generator
    ) -> tuple[Write, np.ndarray, np.ndarray]:
        """Make a few of the elements at `places` outweigh all others; what was there before."""
        count = HEAVY * heavy.elements_per_term
        chosen = np.unique(places[rng.integers(0, places.size, count)])
        before = elements(array)[chosen]
        write(chosen, heavy.size * rng.uniform(0.9, 1.1, chosen.size))
        return write, chosen, before

    def _inputs(self, index: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The inputs of a call, here and in the worker's memory. From the first time on those here are what the arena
        holds them against: they change with no other call's."""
        if index not in self._pairs:
            regions, call = self.regions[index], self.calls[index]
            self.calls[index] = replace(call, inputs=tuple(region.own() for region in regions))
            shared = [self.worker.arena.shared(region) for region in regions]
            self._pairs[index] = list(zip(self.calls[index].inputs, shared, strict=True))
        return self._pairs[index]

    def _above(self, array: np.ndarray, before: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Values greater than all others in an array, others each time; whole where its numbers are whole."""
        top = self._top(array)
        if array.dtype.kind == "f" and not np.all(before == np.rint(before)):
            return top + rng.uniform(8, 24, before.size)
        return top + rng.integers(8, 256) + rng.integers(0, 8, before.size)

    def _places(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Different elements of an array of so many, at random and in order: one of the parts that all of them were
        dealt into, once, since drawing them anew takes longer than many a kernel."""
        if size not in self._parts:
            shuffled = rng.permutation(size)
            parts = max(1, min(TOUCHED, size // FEWEST_TOUCHED))
            self._parts[size] = [np.sort(shuffled[part::parts]) for part in range(parts)]
        return self._parts[size][int(rng.integers(len(self._parts[size])))]

    def _top(self, array: np.ndarray) -> float:
        if id(array) not in self._largest:
            self._largest[id(array)] = float(np.max(array, initial=0))
        return self._largest[id(array)]


class Asked:
    """Calls of one request, which run step by step. A single step is set out and run at once. Those of several lie
    ready in the worker before the first one (`opening_ns` is what that took, by the supervisor's clock), so that steps
    of other requests can come between them; their answers live until the next request in the same slots."""

    def __init__(
        self,
        stage: Stage,
        task: Task,
        registry: Registry,
        steps: Sequence[Sequence[Sequence[int]]],
        deadline_s: float,
        *,
        poison: bool = True,
        ready: bool = False,
        first_slot: int = 0,
    ) -> None:
        """`steps` are lists of samples, each a list of indexes of calls; with `ready` a single one lies ready, too.
        Requests that are open at a time have other calls, and other slots: of each step's answers and one more, from
        `first_slot` on. Raises WorkerFailure if the worker is lost, Refused if it does not run the task."""
        self._stage = stage
        self._has_timer = registry.backends[task.declaration.backend].has_timer
        self._deadline_s = deadline_s
        self._left = list(steps)
        self._used = sorted({index for samples in steps for sample in samples for index in sample})
        most = max(sum(len(sample) for sample in samples) for samples in steps)
        self._slots = stage.slots(first_slot, most)
        self._message: Message = stage.message(task, registry, self._used, self._slots, poison)
        self.opening_ns = 0
        if ready or len(steps) > 1:
            key = {"key": first_slot}
            _asked(stage.worker, {"do": "open", **key, **self._message}, deadline_s)
            self.opening_ns = stage.worker.elapsed.all_ns
            self._message = {"do": "step", **key}
        else:
            self._message["do"] = "run"

    def step(self, called: Callable[[], None], wanted: Sequence[int] | None) -> Received:
        """Run the next step. `called` is called when the worker says that the calls are over, and only then it learns
        which answers are `wanted` (positions in the order of the step's calls; None: all, and the first one again)."""
        stage, samples, slots = self._stage, self._left.pop(0), self._slots
        executed = sum(len(sample) for sample in samples)
        arena = stage.worker.arena
        numbers = tuple(range(executed + 1)) if wanted is None else tuple(wanted)
        said: list[bool] = []

        def over() -> Sequence[int] | None:
            said.append(True)
            called()
            for number in numbers:
                # an answer that lies in the slot already was never in memory of its own; the last one is copied at once
                if number != executed - 1:
                    arena.memory[slots[number].start : slots[number].stop] = POISON
            return wanted

        places = {index: place for place, index in enumerate(self._used)}
        numbered = [[places[index] for index in sample] for sample in samples]
        message = _asked(stage.worker, {**self._message, "samples": numbered}, self._deadline_s, over)
        try:
            reply = reply_from(message, len(numbers), len(samples))
            if not said:
                raise WireError("it did not say when its calls were over")
            if not self._has_timer and any(one is not None for one in reply.device_ns):
                raise WireError("a device's time from a backend that has no clock of its own")
        except WireError as error:
            stage.worker.close()
            raise WorkerFailure("untrusted", str(error)) from None
        order = [index for sample in samples for index in sample]
        chosen = [stage.calls[index] for index in [*order, order[0]]]
        expected = [(call.expected.shape, call.answer_dtype) for call in chosen]
        regions = frozenset(region for index in order for region in stage.regions[index])
        return Received(reply, arena, tuple(slots), tuple(expected), stage.worker.elapsed, numbers, regions)


def _asked(
    worker: WorkerProcess,
    message: Message,
    deadline_s: float,
    over: Callable[[], Sequence[int] | None] = lambda: None,
) -> dict[str, Any]:
    """The reply to a request; raises Refused where the worker did not run the task."""
    reply = worker.ask(message, deadline_s, over)
    if "unsupported" in reply:
        raise Refused("unsupported", text_of(reply["unsupported"]) or "no reason was given")
    if "failure" in reply:
        kind = "out_of_memory" if reply.get("failure_kind") == "out_of_memory" else "error"
        raise Refused(kind, text_of(reply["failure"]))
    return reply


def _writer(array: np.ndarray, shared: np.ndarray) -> Write:
    """Writes elements into an input, and into what the worker sees of it."""
    here, there = elements(array), elements(shared)

    def write(places: np.ndarray, values: np.ndarray) -> None:
        here[places] = values
        there[places] = here[places]

    return write


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

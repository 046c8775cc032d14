"""The untrusted side: imports plugin code, runs it, and sends back raw bytes. It judges nothing.

Started by the supervisor as `python -m harness.worker SOCKET ARENA MEMORY_LIMIT`. Every request is served the same
way, whether the supervisor wants to check an answer or to time it: clocks run around every call, every answer is
copied out, and the first answer of a request is held and copied out again at the end, to see whether it still stands.
"""

from __future__ import annotations

import faulthandler
import gc
import mmap
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from harness import wire
from harness.confinement import (
    Raised,
    changes,
    die_with_parent,
    is_out_of_memory,
    limit_memory,
    process_state,
    shift_memory,
    trim_memory,
    usage_so_far,
    works,
)
from harness.declare import Case
from harness.implement import Backend, Implementation, Unsupported, gradient_of
from harness.modules import import_module, read_modules
from harness.precision import numpy_dtype
from harness.timing.device.readings import Reader as DeviceReader
from harness.timing.device.readings import device_clocked

# read once, before any plugin is imported: a plugin that replaces them in `time` does not reach these names
_wall_ns = time.perf_counter_ns
_cpu_ns = time.process_time_ns
_may_share_memory = np.may_share_memory

POISON = 0xA5
SMALL = 1024
"""NumPy keeps up to seven freed blocks of each size below this many bytes; all of them must be poisoned."""

COMPARED = 1 << 24
"""Bytes of an input up to which a device's copy is read back, to see whether it was changed."""

Call = tuple[Callable[..., Any], list[Any], dict[str, Any]]


class Opened(NamedTuple):
    """A request whose calls are set out, and the answers that it has given so far."""

    calls: list[Call]
    placed: list[list[np.ndarray]]
    slots: list[list[int]]
    backend: Backend
    reader: DeviceReader | None
    declared: Implementation
    prepare_ns: int | None
    answers: list[Any]


class Worker:
    """The state of a worker process: its shared memory, and the modules that it has imported."""

    def __init__(self, arena: int, connection: socket.socket) -> None:
        self._arena = arena
        self._connection = connection
        self._memory = np.empty(0, np.uint8)
        self._implementations: dict[str, dict[tuple[str, str, str], Implementation]] = {}
        self._backends: dict[str, Backend] = {}
        self._readers: dict[str, DeviceReader | None] = {}
        self._prepared: dict[tuple[str, ...], tuple[Callable[..., Any], int | None]] = {}
        self._opened: dict[int, Opened] = {}
        """By key: requests that run step by step, until the next one of the same key."""
        self._served = 0
        self._state = (*process_state(), ("context of the device", True))

    def serve(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            match request["do"]:
                case "run":
                    return self._run(request, self._open(request))
                case "open":
                    self._opened.pop(request["key"], None)  # its answers make room
                    self._opened[request["key"]] = self._open(request)
                    return {}
                case "step":
                    return self._run(request, self._opened[request["key"]])
        except Unsupported as refusal:
            return {"unsupported": str(refusal)}
        match request["do"]:
            case "read":
                return {"modules": read_modules(request["modules"], request["placeholders"])}
            case "trim":
                trim_memory()
                return {}
            case "describe":
                backend = self._backend(request["backend"])
                return {"missing": backend.missing(), "versions": backend.versions()}
        raise wire.WireError(f"a request to {request['do']!r}")

    def _open(self, request: dict[str, Any]) -> Opened:
        """Set the calls of a request out. Raises Unsupported if the implementation refuses the case."""
        if request["arena_bytes"] != self._memory.size:
            mapped = mmap.mmap(self._arena, request["arena_bytes"], flags=mmap.MAP_SHARED | wire.POPULATE)
            self._memory = np.frombuffer(mapped, np.uint8)
        backend = self._backend(request["backend"])
        reader = self._reader(backend)
        case = _case(request["case"])
        target = request["target"]
        declared = self._implementation(target) if target["module"] else _nothing(request, backend)
        refused = declared.supports(case) if declared.supports else None
        if case.dtype not in backend.dtypes:
            refused = f"{backend.name} has no {case.dtype}"
        if refused:
            raise Unsupported(str(refused)[: wire.LONGEST_TEXT])
        function, prepare_ns = self._prepare(declared, case, target)
        placed = [self._placed(call) for call in request["calls"]]
        described = zip(request["calls"], placed, strict=True)
        calls = [self._call(declared, function, call, arrays, backend) for call, arrays in described]
        if backend.work:
            backend.work()
        _poison(request["poison_bytes"], len(request["slots"]) - 1)
        return Opened(calls, placed, request["slots"], backend, reader, declared, prepare_ns, [])

    def _run(self, request: dict[str, Any], opened: Opened) -> dict[str, Any]:
        """Run the samples in order, each a list of calls between readings of both clocks; then copy the answers out
        that are wanted.

        Nothing happens between the samples: a library's threads go to sleep in a pause, and waking them would be
        measured instead of the kernel. All answers live until the end, so none can share memory with another.
        """
        backend = opened.backend
        samples = [[opened.calls[index] for index in sample] for sample in request["samples"]]
        readings = [clocked(sample, backend.wait, opened.reader) for sample in samples]
        results = [result for reading in readings for result in reading.answers]
        opened.answers.extend(results)
        order = [index for sample in request["samples"] for index in sample]

        def copied(position: int) -> dict[str, Any]:
            slot = opened.slots[position]
            if position == len(results):  # the first one, as it is now
                return self._copy_out(results[0], [], [], slot, backend)
            index = order[position]
            return self._copy_out(results[position], opened.calls[index][1], opened.placed[index], slot, backend)

        wire.send(self._connection, {"called": request["number"]})
        # before it is said what is wanted: a thread that still works on this one has no time to finish it
        last = copied(len(results) - 1)
        wanted = self._wanted(len(results))
        answers = [last if position == len(results) - 1 else copied(position) for position in wanted]
        # array functions of a library launch what the device does not see
        work = list(backend.work()) if backend.work and opened.declared.sources else None
        self._tidy()
        return {
            "device": work,
            "answers": answers,
            "wall_ns": [one.wall_ns for one in readings],
            "cpu_ns": [one.cpu_ns for one in readings],
            "device_ns": [one.device_ns for one in readings],
            "usage": [one.usage for one in readings],
            "prepare_ns": opened.prepare_ns,
            "state_changes": changes(self._state, (*process_state(), ("context of the device", works(backend)))),
        }

    def _wanted(self, count: int) -> list[int]:
        """Which of the results the supervisor wants to see: it says so when it has heard that the calls are over. The
        number `count` stands for the first result as it is in the end."""
        said = wire.receive(self._connection) or {}
        wanted: list[int] | None = said.get("copy")
        return list(range(count + 1)) if wanted is None else wanted

    def _copy_out(
        self, result: Any, arrays: list[Any], placed: list[np.ndarray], slot: list[int], backend: Backend
    ) -> dict[str, Any]:
        """Copy one answer into its slot of shared memory, and say what it was; `placed` became `arrays`."""
        if isinstance(result, Raised):
            if result.kind == "unsupported":
                raise Unsupported(result.text)
            return {"error": result.text, "error_kind": result.kind}
        try:
            outputs = []
            offset, end = slot
            inputs = [backend.to_host(array) for array in arrays]
            for number, (host, was) in enumerate(zip(inputs, placed, strict=True)):
                # the supervisor sees what happens to shared memory; a device works on a copy
                if was.nbytes <= COMPARED and not _may_share_memory(host, was) and host.tobytes() != was.tobytes():
                    return {"error": f"modified its input {number} on the device", "error_kind": "failed"}
            for one in result if isinstance(result, tuple) else (result,):
                host = backend.to_host(one) if _kind(one) == backend.array_type else np.asarray(None)
                fits = not host.dtype.hasobject and offset + host.nbytes <= end
                if fits:
                    self._memory[offset : offset + host.nbytes].view(host.dtype)[:] = host.reshape(-1)
                outputs.append(
                    {
                        "shape": list(host.shape),
                        "dtype": host.dtype.name,
                        "kind": _kind(one),
                        "aliases_input": any(_may_share_memory(host, array) for array in inputs),
                        "offset": offset,
                        "stored": fits,
                    }
                )
                offset += host.nbytes + (-host.nbytes) % wire.GUARD
            return {"outputs": outputs}
        except Exception as error:
            return {"error": f"reading the answer: {type(error).__name__}: {error}", "error_kind": "error"}

    def _placed(self, call: dict[str, Any]) -> list[np.ndarray]:
        """The inputs of a call, where they lie in shared memory."""
        return [wire.Placed.from_message(one).view(self._memory) for one in call["inputs"]]

    def _call(
        self,
        declared: Implementation,
        function: Callable[..., Any],
        call: dict[str, Any],
        placed: list[np.ndarray],
        backend: Backend,
    ) -> Call:
        arrays = [backend.from_host(one) for one in placed]
        wanted = call["gradient"]
        if wanted is not None:
            function = gradient_of(declared, function, backend, wanted["input"], wanted["position"], call["passes"])
        return function, arrays, dict(call["parameters"])

    def _prepare(
        self, declared: Implementation, case: Case, target: dict[str, Any]
    ) -> tuple[Callable[..., Any], int | None]:
        if declared.prepare is None:
            return declared.function, None
        key = (target["module"], declared.operator, declared.backend, declared.name, case.id)
        if key not in self._prepared:
            start = _wall_ns()
            function = declared.prepare(case)
            self._prepared[key] = function, _wall_ns() - start
        return self._prepared[key]

    def _implementation(self, target: dict[str, Any]) -> Implementation:
        module = target["module"]
        if module not in self._implementations:
            found = import_module(module, target["path"])
            known = {(one.operator, one.backend, one.name): one for one in found.implementations}
            self._implementations[module] = known
            gc.collect()
            gc.freeze()
        return self._implementations[module][(target["operator"], target["backend"], target["implementation"])]

    def _backend(self, where: dict[str, Any]) -> Backend:
        if where["name"] not in self._backends:
            found = {backend.name: backend for backend in import_module(where["module"], where["path"]).backends}
            self._backends[where["name"]] = found[where["name"]]
        return self._backends[where["name"]]

    def _reader(self, backend: Backend) -> DeviceReader | None:
        """What reads the backend's own clock, where it has one. It is made before any plugin is imported: what it takes
        the time with is looked up then."""
        if backend.name not in self._readers:
            make = backend.timer if backend.missing() is None else None
            self._readers[backend.name] = None if make is None else DeviceReader(make())
        return self._readers[backend.name]

    def _tidy(self) -> None:
        """Collect garbage now and then, outside every clock: the collector is off while plugin code runs."""
        self._served += 1
        if self._served % 64 == 0:
            gc.collect()


def _nothing(request: dict[str, Any], backend: Backend) -> Implementation:
    """A call that only makes an array of the right shape: what the harness itself costs, measured as all else is. On
    the host it copies its inputs first: after a kernel that read megabytes the harness's own code is in no cache."""
    shape, kind = request["answer"]["shape"], numpy_dtype(request["answer"]["dtype"])

    def nothing(*arrays: Any, **_: Any) -> Any:
        for one in arrays if backend.timer is None else ():
            backend.to_host(one).tobytes()
        return backend.from_host(np.ones(shape, kind))

    return Implementation("", backend.name, "nothing", nothing)


class Reading(NamedTuple):
    """Calls in a row: their answers, nanoseconds by the wall, by the CPU clock of all threads and (where the device has
    a clock of its own) by that; and minor and major page faults, voluntary and involuntary switches meanwhile."""

    answers: list[Any]
    wall_ns: int
    cpu_ns: int
    device_ns: int | None
    usage: list[int] | None


def clocked(chosen: list[Call], wait: Callable[[], None], reader: DeviceReader | None = None) -> Reading:
    """Call in a row, between two readings of each clock; with a reader, by the clock of its device too."""
    before = usage_so_far()
    device_ns = None
    if reader is None:
        results, wall, cpu = _host_clocked(chosen, wait)
    else:
        results, wall, cpu, device_ns = device_clocked(reader, chosen, wait, Raised)
    after = usage_so_far()
    usage = None if before is None or after is None else [now - then for now, then in zip(after, before, strict=True)]
    return Reading(results, wall, cpu, device_ns, usage)


def _host_clocked(chosen: list[Call], wait: Callable[[], None]) -> tuple[list[Any], int, int]:
    results: list[Any] = []
    keep = results.append
    cpu = _cpu_ns()
    start = _wall_ns()
    try:
        for function, arrays, parameters in chosen:
            keep(function(*arrays, **parameters))
        wait()
        wall = _wall_ns() - start
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        wall = _wall_ns() - start
        if len(results) == len(chosen):
            # the device failed after the last call returned: whose fault it is, nobody knows
            results.clear()
        results.extend(Raised(error) for _ in range(len(chosen) - len(results)))
    return results, wall, _cpu_ns() - cpu


def _poison(sizes: list[int], count: int) -> None:
    """Fill blocks of the sizes of the answers and hand them back, so that an unwritten answer is not an old one."""
    for size in sizes:
        blocks = [np.full(size, POISON, np.uint8) for _ in range(count + (7 if size < SMALL else 1))]
        del blocks


def _kind(thing: Any) -> str:
    """The exact class of an answer: a subclass may compute its elements when they are read, after the clock."""
    kind = type(thing)
    name = f"{kind.__module__}.{kind.__qualname__}"
    # a class may call itself numpy.ndarray: it is only if that is what the module has under the name
    known = getattr(sys.modules.get(kind.__module__), kind.__qualname__, None)
    return name if known is kind else f"{name} (local)"


def _case(message: dict[str, Any]) -> Case:
    shapes = tuple(tuple(shape) for shape in message["shapes"])
    parameters = tuple((name, value) for name, value in message["parameters"])
    return Case(message["dtype"], shapes, parameters, layout=message["layout"])


def main(arguments: list[str]) -> None:
    connection = socket.socket(fileno=int(arguments[0]))
    die_with_parent()
    faulthandler.enable()
    limit_memory(int(arguments[2]))
    np.seterr(all="ignore")
    worker = Worker(int(arguments[1]), connection)
    gc.disable()
    shift_memory()
    gc.freeze()  # what is there now stays: collecting it again and again takes 10 ms each time
    while (request := wire.receive(connection)) is not None:
        try:
            reply = worker.serve(request)
        except Exception as error:
            kind = "out_of_memory" if is_out_of_memory(error) else "error"
            reply = {"failure": Raised(error).text, "failure_kind": kind}
        wire.send(connection, {**reply, "number": request["number"]})


if __name__ == "__main__":
    main(sys.argv[1:])

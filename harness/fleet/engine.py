"""The process on a node that runs tasks: a supervisor with its warm workers, which one dask worker starts and asks.

It is a process of its own so that no library of the cluster runs beside the clock, that what one run loads is gone with
it, and that the node's environment is as its user has set it. It reads requests, one JSON object a line, and answers
in the same way; it ends, with all that it started, when its node goes.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import interruption
from harness.cache import folder as cache_folder
from harness.cache import of_worker
from harness.fleet.commission import Commission, rows_as_data
from harness.fleet.facts import facts
from harness.fleet.parcel import unpack
from harness.outcome import Outcomes
from harness.plan import KINDS, Task, tasks
from harness.record import Record, Sample
from harness.registry import Registry, load
from harness.sandbox import policy, probing
from harness.scratch import Scratch, remove
from harness.supervisor import Stopped, Supervisor
from harness.timing.alone import NoLock, alone
from harness.timing.device.visible import measured_alone
from harness.timing.disturbance import Disturbance
from harness.timing.groups import Group, Settings, group_tasks
from harness.timing.session import time_groups
from harness.timing.stopwatch import Stopwatch

Message = Mapping[str, Any]
UNWIND_S = 10.0
"""For closing workers and removing folders, once the node is gone."""
LOOK_EVERY_S = 1.0


class Engine:
    """What one run needs on this node, from its first request to its last."""

    def __init__(self, connection: socket.socket, stack: contextlib.ExitStack) -> None:
        self._connection = connection
        self._stack = stack

    def serve(self) -> None:
        with self._connection.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                try:
                    answer = getattr(self, f"_{message['do']}")(message)
                except (Stopped, NoLock) as stopped:
                    answer = {"stopped": str(stopped)}
                self._say(answer)

    def _say(self, message: Message) -> None:
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def _open(self, message: Message) -> Message:
        """Load what is to be run; the announcement, or why this node cannot take part."""
        commission = Commission.from_json(message["commission"])
        policy.choose(commission.sandbox)
        for path in (*commission.hidden, *message["secrets"]):
            policy.hide(path)
        try:
            probing.require_here()
            self._registry = self._loaded(commission, base64.b64decode(message["archive"]))
        except (ValueError, ImportError, OSError, policy.NotConfined) as error:
            return {"refused": f"{type(error).__name__}: {error}"}
        self._outcomes: Outcomes | None = None
        self._commission = commission
        self._supervisor = self._stack.enter_context(
            Supervisor(
                self._registry,
                commission.context.seed,
                deadline_s=commission.deadline_s,
                memory_limit_bytes=commission.memory_limit_bytes,
            )
        )
        self._tasks = {kind: _by_id(self._registry, kind, commission.operators) for kind in KINDS}
        found = facts(self._registry, commission.operators)
        context = dataclasses.replace(commission.context, machine_id=found["machine_id"])
        self._outcomes = Outcomes(self._registry, context)
        return found

    def _loaded(self, commission: Commission, archive: bytes) -> Registry:
        if not archive:
            return load(cases=commission.cases)
        home = Path(self._stack.enter_context(Scratch("shipped")))
        unpack(archive, commission.parcel, home)

        def here(names: Sequence[str]) -> list[str]:
            return [str(home / name) if (home / name).exists() else name for name in names]

        registry = load(here(commission.plugins), here(commission.trusted), here(commission.cases))
        # what is compiled for a file is kept by its path, which never comes again
        for path in {one.path for one in registry.declarations if one.path}:
            self._stack.callback(remove, str(of_worker(path)))
        return registry

    def _check(self, message: Message) -> Message:
        """Conformance of tasks one after another, until `seconds` are over; the rest is given back."""
        self._supervisor.admitted(message["admitted"])
        end_s = time.monotonic() + message["seconds"]
        rows: list[Record] = []
        for done, name in enumerate(message["tasks"]):
            if rows and time.monotonic() > end_s:
                return {"rows": rows_as_data(rows), "left": message["tasks"][done:]}
            rows.append(self._checked(self._tasks["conformance"].get(name) or self._tasks["benchmarks"][name]))
        return {"rows": rows_as_data(rows), "left": []}

    def _checked(self, task: Task) -> Record:
        begun_s = time.monotonic()
        verdict = self._supervisor.check(task)
        assert self._outcomes is not None
        return self._outcomes.of_check(task, verdict, duration_s=time.monotonic() - begun_s)

    def _rest(self, message: Message) -> Message:
        """Times will be taken on this machine: nothing is kept warm."""
        self._supervisor.close()
        return {}

    def _time(self, message: Message) -> Message:
        """Times of a whole group, whose tasks are checked here first."""
        self._supervisor.admitted(message["admitted"])
        chosen = [self._tasks["benchmarks"][name] for name in message["tasks"]]
        gpus = measured_alone(self._registry.backends[task.declaration.backend].reserves for task in chosen)
        with alone(gpus, lambda words: self._say({"progress": words})):
            return self._timed(chosen, Settings(**message["settings"]))

    def _timed(self, chosen: Sequence[Task], settings: Settings) -> Message:
        outcomes, context = self._outcomes, self._commission.context
        assert outcomes is not None
        settings = dataclasses.replace(
            settings, deadline_s=self._supervisor.deadline_s, memory_limit=self._supervisor.memory_limit
        )
        rows: list[Record] = []
        samples: list[Sample] = []
        right = {}
        for task in chosen:
            begun_s = time.monotonic()
            verdict = self._supervisor.check(task)
            duration_s = time.monotonic() - begun_s
            if verdict.status == "passed":
                right[task.id] = verdict, duration_s
            else:
                rows.append(outcomes.of_check(task, verdict, duration_s=duration_s))
        self._supervisor.close()
        groups = group_tasks([task for task in chosen if task.id in right], self._registry.operators)
        if groups:
            outcomes.ceilings.refer()
        disturbance, stopwatch = Disturbance(), Stopwatch(groups)

        def begin(text: str) -> None:
            stopwatch.begin()
            self._say({"progress": text})

        def gathered(group: Group, process: int, final: bool) -> None:
            stopwatch.end(group, final)
            for timing in group.timings.values():
                if timing.failure is None:
                    samples.extend(sample for sample in timing.samples if sample.process == process)
                    if not final:
                        continue
                verdict, checked_s = right[timing.task.id]
                duration_s = checked_s + stopwatch.share_s(group)
                row = outcomes.of_timing(timing, group, verdict, duration_s=duration_s)
                if all(row.id != one.id for one in rows):
                    rows.append(row)

        time_groups(groups, self._registry, context.seed, settings, begin, gathered)
        used_by_others = disturbance.share() if groups else None
        if groups:
            outcomes.ceilings.refer()
        return {
            "rows": rows_as_data(rows),
            "samples": rows_as_data(samples),
            "ceiling": outcomes.ceilings.as_data(),
            "used_by_others": used_by_others,
            "left_out": outcomes.left_out,
        }


def _by_id(registry: Registry, kind: Any, operators: Sequence[str]) -> dict[str, Task]:
    return {task.id: task for task in tasks(registry, kind) if task.declaration.operator in operators}


def _end_with(life: int, parent: int) -> None:
    """End this process when the other end of a pipe is closed, or its parent is another: the node is gone. Asked to at
    first, so that workers are closed and folders removed."""

    def watch() -> None:
        while os.getppid() == parent and not select.select([life], [], [], LOOK_EVERY_S)[0]:
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(UNWIND_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _tidily() -> Iterator[contextlib.ExitStack]:
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        yield stack


def main(arguments: Sequence[str]) -> None:
    """`arguments`: the descriptor of the socket, that of the pipe to live by, and the process that has started this."""
    descriptor, life, parent = map(int, arguments)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    interruption.listen()
    _end_with(life, parent)
    cache_folder().mkdir(parents=True, exist_ok=True)
    with _tidily() as stack, socket.socket(fileno=descriptor) as connection:
        Engine(connection, stack).serve()


if __name__ == "__main__":
    main(sys.argv[1:])

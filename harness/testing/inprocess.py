"""The user's own function in the user's own process, judged as everything is: only the process boundary is missing.

The engine's worker serves the same requests, in this process: the same shared memory with guard zones, poisoned
answers, layouts and clocks. What the boundary protects from (a crash, an endless loop, code that looks for the judge)
is not caught here; the function is the author's own.
"""

from __future__ import annotations

import json
import secrets
import socket
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness import wire
from harness.arena import Arena
from harness.confinement import Raised, is_out_of_memory
from harness.declare import Case
from harness.implement import Declaration, Implementation
from harness.judge.verdict import Verdict
from harness.plan import Task
from harness.process import Elapsed, WorkerProcess
from harness.registry import Registry
from harness.supervisor import Supervisor, Trust
from harness.worker import Worker

OWN = "own"
"""The name that a function of a test has in the id of its task, from which its inputs are drawn."""


class _OwnWorker(Worker):
    """The engine's worker, with one implementation that needs no import."""

    def __init__(self, arena: int, connection: socket.socket, implementation: Implementation) -> None:
        super().__init__(arena, connection)
        self._own = implementation

    def _implementation(self, target: dict[str, Any]) -> Implementation:
        return self._own


class Here(WorkerProcess):
    """This very process, as a supervisor sees a worker's."""

    def __init__(self, implementation: Implementation) -> None:
        self.arena = Arena()
        self.elapsed = Elapsed(0, 0)
        self._ours, self._theirs = socket.socketpair()
        with np.errstate(all="ignore"):
            self._worker = _OwnWorker(self.arena.descriptor, self._theirs, implementation)

    def ask(
        self,
        message: Mapping[str, Any],
        deadline_s: float,
        called: Callable[[], Sequence[int] | None] = lambda: None,
    ) -> dict[str, Any]:
        """Serve a request here and now; there is no deadline. Raises KeyboardInterrupt where the user did."""
        wanted = called()
        wire.send(self._ours, {"copy": None if wanted is None else list(wanted)})
        request = json.loads(json.dumps({**message, "number": secrets.token_hex(8)}))
        # as in a worker: arithmetic does not warn, whatever the tests have set
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                reply = self._worker.serve(request)
            except Exception as error:
                kind = "out_of_memory" if is_out_of_memory(error) else "error"
                reply = {"failure": Raised(error).text, "failure_kind": kind}
            finally:
                self._drop_messages()
        if any(one.get("error", "").startswith("KeyboardInterrupt") for one in reply.get("answers", ())):
            raise KeyboardInterrupt
        received: dict[str, Any] = json.loads(json.dumps(reply))
        return received

    def _drop_messages(self) -> None:
        """That its calls are over, or that nobody heard what was wanted, since it refused."""
        for end in (self._ours, self._theirs):
            end.setblocking(False)
            try:
                while end.recv(1 << 16):
                    pass
            except BlockingIOError:
                pass
            end.setblocking(True)

    def close(self) -> None:
        if self._ours.fileno() >= 0:
            self._ours.close()
            self._theirs.close()
            self.arena.close()


class OwnFunction(Supervisor):
    """A supervisor whose only worker is this process, and whose only implementation a function of the test."""

    _function: Implementation

    def verdicts(
        self, function: Implementation, cases: Sequence[Case], *, gradients: bool
    ) -> list[tuple[Case, Verdict]]:
        """The verdict on each case, by the same gates and bounds as everywhere."""
        before = self.registry
        self.close()  # of the function before
        self._function = function
        declared = Declaration(
            function.operator,
            function.backend,
            OWN,
            function.accumulation,
            module=OWN,
            has_gradient=gradients and function.gradient is not None,
            has_prepare=function.prepare is not None,
        )
        try:
            if not gradients:
                self.registry = _without_gradients(before, function.backend)
            return [(case, self.check(Task(declared, case))) for case in cases]
        finally:
            self.registry = before
            self.close()

    def _worker(self, trust: Trust) -> WorkerProcess:
        if trust not in self._workers:
            self._workers[trust] = Here(self._function)
        return self._workers[trust]


def _without_gradients(registry: Registry, backend: str) -> Registry:
    """The same, with a backend that does not differentiate."""
    from dataclasses import replace

    backends = {**registry.backends, backend: replace(registry.backends[backend], differentiates=False)}
    return replace(registry, backends=backends)

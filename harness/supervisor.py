"""RUN: the trusted side. Warm workers per backend, replaced after a failure; a task becomes a verdict."""

from __future__ import annotations

import dataclasses
import os
import secrets
import tempfile
import threading
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from harness.checkout import Checkout
from harness.conformance import check_given, check_task
from harness.judge.admission import Admission, admit
from harness.judge.verdict import Verdict
from harness.plan import Selection, Task
from harness.process import WorkerFailure, WorkerProcess
from harness.registry import Registry

DEADLINE_S = 60.0
PREPARE_S = 240.0
"""More time for the first request of an implementation that prepares: compilers run then."""
MEMORY_SHARE = 0.5
"""Share of the machine's memory that one worker may address, beyond what it needs to start."""
STARTING_BYTES = 4 << 30
PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
"""Threads of OpenMP that wait for each other sleep: where several workers share the cores, those that spin took four
times the CPU time of the work itself. What they compute is the same; no times are taken here."""


def cannot_start(error: OSError) -> Stopped:
    """No worker can be started: a full disk, no process, memory or descriptor left."""
    where = error.filename or tempfile.gettempdir()
    return Stopped(
        f"no worker can be started: {error.strerror or error} ({where}); make room there (TMPDIR names another place), "
        "or end other programs"
    )


def fresh_seed() -> int:
    """A seed that no plugin can have guessed; it is recorded, so that a run can be repeated."""
    return secrets.randbits(62)


def memory_limit() -> int:
    """Bytes of address space for a worker."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
    return STARTING_BYTES + int(physical * MEMORY_SHARE)


Trust = tuple[str, str]
"""(backend, file): what shares a worker process. All that is built in does; each plugin's file has its own, so that
what one changes in its process reaches no other."""


def trust_of(task: Task) -> Trust:
    return task.declaration.backend, task.declaration.path


class Stopped(RuntimeError):
    """The run cannot go on, for a reason that says nothing of any implementation; the message says what to do."""


class Supervisor:
    """The workers of a run. Use as a context manager: leaving it kills them.

    Tasks of different workers may be checked from different threads; a worker dies with the thread that started it.
    """

    def __init__(
        self,
        registry: Registry,
        seed: int,
        *,
        deadline_s: float = DEADLINE_S,
        memory_limit_bytes: int | None = None,
        checkout: Checkout | None = None,
    ) -> None:
        """`deadline_s` is the longest that one request may take; `memory_limit_bytes` caps a worker's address space
        (None: half of the machine's memory and 4 GiB; 0: no cap). Plugins come from `checkout`, if given."""
        self._checkout = checkout
        self.registry = registry
        self.seed = seed
        self.deadline_s = deadline_s
        self.memory_limit = memory_limit() if memory_limit_bytes is None else memory_limit_bytes
        self._workers: dict[Trust, WorkerProcess] = {}
        self._admissions: dict[str, Admission] = {}
        self._admitting = threading.Lock()
        self._prepared: set[str] = set()

    def check(self, task: Task) -> Verdict:
        """The verdict on one task; a worker that is lost on the way is replaced, and its loss is the verdict.

        A failure that is marked as known says so; a marked task that passes has failed.
        """
        verdict = self._check(task)
        reason = next((why for pattern, why in task.declaration.known if task.case.id in Selection([pattern])), None)
        if reason is None or verdict.status in ("missing", "unsupported"):
            return verdict
        if verdict.status == "passed":
            unexpected = f"passed, but is marked as a known failure ({reason}); drop the mark from known="
            return dataclasses.replace(verdict, status="failed", reason=unexpected)
        return dataclasses.replace(verdict, known=reason)

    def _check(self, task: Task) -> Verdict:
        missing = self.registry.missing(task.declaration)
        if missing:
            return Verdict("missing", missing)
        operator = self.registry.operators[task.declaration.operator]
        try:
            refusal = self.admission(operator.name).refusal
            if refusal:
                return Verdict("error", refusal)
            worker = self._worker(trust_of(task))
            deadline_s = self.deadline_s
            if task.declaration.has_prepare and task.declaration.id not in self._prepared:
                deadline_s += PREPARE_S
                self._prepared.add(task.declaration.id)
            verdict = check_task(task, operator, self.registry, worker, self.seed, deadline_s)
            if verdict.tainted:
                self.replace(trust_of(task))
            return verdict
        except WorkerFailure as failure:
            self.replace(trust_of(task))
            return Verdict(failure.status, failure.reason)
        except Stopped:
            raise
        except MemoryError:
            more = "end other programs, or leave this case out"
            return Verdict("error", f"the judging process, and not what it judged, had no memory left: {more}")
        except Exception as error:
            # an operator's own code: a bug there is no verdict on the implementation, and must not end the run
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(place.filename)}:{place.lineno}"
            return Verdict("error", f"the judge of {operator.name} failed: {type(error).__name__}: {error} ({where})")

    def check_given(self, task: Task, inputs: tuple[np.ndarray, ...]) -> Verdict:
        """The verdict on one call with given inputs; as `check`, a lost worker is replaced."""
        operator = self.registry.operators[task.declaration.operator]
        try:
            worker = self._worker(trust_of(task))
            verdict = check_given(task, operator, self.registry, worker, inputs, self.deadline_s)
        except WorkerFailure as failure:
            self.replace(trust_of(task))
            return Verdict(failure.status, failure.reason)
        if verdict.tainted:
            self.replace(trust_of(task))
        return verdict

    def admission(self, operator: str) -> Admission:
        """Whether the cases of an operator expose the wrong implementations that are built in; judged once."""
        with self._admitting:
            if operator not in self._admissions:
                self._admissions[operator] = admit(self.registry.operators[operator], self.seed)
            return self._admissions[operator]

    def admitted(self, operators: Iterable[str]) -> None:
        """The cases of these operators were admitted elsewhere, by the same seed: they are not judged here."""
        with self._admitting:
            for operator in operators:
                self._admissions.setdefault(operator, Admission(operator, 1, ()))

    @property
    def admissions(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: admission.as_data() for name, admission in sorted(self._admissions.items())}

    def replace(self, trust: Trust) -> None:
        """Kill a worker; the next task of its kind gets a fresh one."""
        worker = self._workers.pop(trust, None)
        if worker is not None:
            worker.close()

    def _worker(self, trust: Trust) -> WorkerProcess:
        if trust not in self._workers:
            devices = self.registry.backends[trust[0]].reserves
            limit = 0 if devices else self.memory_limit
            # what another version compiled is not loaded by this one
            plugin = None if self._checkout else trust[1]
            try:
                self._workers[trust] = WorkerProcess(
                    memory_limit=limit,
                    checkout=self._checkout,
                    variables={name: value for name, value in PATIENT.items() if name not in os.environ},
                    plugin=plugin,
                    devices=devices,
                )
            except OSError as error:
                raise cannot_start(error) from error
        return self._workers[trust]

    def abandon(self) -> None:
        """From another thread: every request that is waited for has failed. What comes of it is no verdict."""
        for worker in list(self._workers.values()):
            worker.abandon()

    def close(self) -> None:
        for trust in list(self._workers):
            self.replace(trust)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

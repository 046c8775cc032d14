"""The process of a problem as the supervisor sees it, and which kind of problem a path is."""

from __future__ import annotations

import ast
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import orphans, wire
from harness.checkout import worker_environment
from harness.documents import UnreadableFile, harmless, text_of
from harness.problems import exchange
from harness.problems.flashinfer import read_definition, solutions_of
from harness.problems.problem import FLASHINFER, GPUMODE, KERNELBENCH, SOL, BadProblem, Workload
from harness.process import MOST_PRINTED
from harness.sandbox.policy import Confined, NotConfined, Sandbox
from harness.scratch import Scratch
from harness.supervisor import memory_limit

TAIL = 2000
MOST_TRIALS = 100


class HostFailure(Exception):
    """The problem's own code failed, or its process was lost; `kind` is bad, error, out_of_memory, timeout, crashed."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Located:
    """A problem on disk: its kind, its file or folder, its workloads where they lie apart, and its own candidates."""

    kind: str
    path: Path
    workloads: Path | None = None
    candidates: tuple[Path, ...] = ()


def locate(given: str) -> Located:
    """What a path holds. Raises BadProblem that says what was looked for."""
    path = Path(given)
    if not path.exists():
        raise BadProblem(f"{given}: no such file or folder")
    if path.is_file() and path.suffix == ".py":
        names = _top_level(path)
        if "Model" not in names:
            raise BadProblem(f"{given} defines no Model; a KernelBench problem has Model, get_inputs, get_init_inputs")
        return Located(KERNELBENCH, path, candidates=(path,) if "ModelNew" in names else ())
    if path.is_file() and path.name == "task.yml":
        path = path.parent
    if path.is_dir() and (path / "task.yml").is_file():
        return Located(GPUMODE, path)
    if path.is_dir() and (path / "definition.json").is_file():
        path = path / "definition.json"
    if path.is_dir() and (path / "definitions").is_dir():
        found = sorted((path / "definitions").glob("**/*.json"))
        if len(found) != 1:
            several = ", ".join(str(one) for one in found[:5])
            raise BadProblem(f"{given} holds {len(found)} definitions; name one of them, e.g. {several}")
        path = found[0]
    if path.is_file() and path.suffix == ".json":
        return _definition(path)
    raise BadProblem(
        f"{given} is no problem: no Python file with Model (KernelBench), no definition in JSON or its folder "
        "(flashinfer-bench, SOL-ExecBench), no folder with task.yml (GPU MODE)"
    )


def _top_level(path: Path) -> set[str]:
    """The names that a Python file binds at its top, without running it."""
    try:
        tree = ast.parse(text_of(path))
    except UnreadableFile as error:
        raise BadProblem(str(error)) from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise BadProblem(f"{path}: no Python that can be read: {harmless(str(error) or 'it is too deep')}") from None
    names: set[str] = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    return names | {target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)}


def _definition(path: Path) -> Located:
    name = read_definition(path)["name"]
    beside = path.parent / "workload.jsonl"
    if beside.is_file():
        return Located(SOL, path, beside, tuple(solutions_of(path.parent, name)))
    for root in path.parents:
        found = sorted((root / "workloads").glob(f"**/{name}.jsonl")) if (root / "workloads").is_dir() else []
        if found:
            return Located(FLASHINFER, path, found[0], tuple(solutions_of(root, name)))
    raise BadProblem(
        f"{path}: no workloads; they are looked for in workload.jsonl beside it (SOL-ExecBench), and as "
        f"workloads/**/{name}.jsonl in a folder above it (flashinfer-bench)"
    )


class _Printed(threading.Thread):
    """Reads what a process prints, keeps the end of it, and ends the process after a flood."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(daemon=True)
        self._process = process
        self.tail = b""
        self.is_flood = False
        self.start()

    def run(self) -> None:
        count = 0
        with contextlib.suppress(OSError, ValueError):  # closed meanwhile
            assert self._process.stdout is not None
            while part := os.read(self._process.stdout.fileno(), 1 << 16):
                self.tail = (self.tail + part)[-TAIL:]
                count += len(part)
                if count > MOST_PRINTED and not self.is_flood:
                    self.is_flood = True
                    os.kill(self._process.pid, signal.SIGKILL)  # unlike kill(), it reaps nobody


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started: it leads a group, which keeps its number until the leader is reaped."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class Host:
    """A running problem. Use as a context manager: leaving it ends the process."""

    def __init__(
        self, located: Located, *, deadline_s: float, dtype: str = "", old: bool = False, benchmarks: bool = False
    ) -> None:
        """Start and read the problem. Raises HostFailure."""
        self.kind = located.kind
        workloads = None if located.workloads is None else str(located.workloads.resolve())
        path = str(located.path.resolve())
        self._open = contextlib.ExitStack()
        try:
            self._connection = self._started(deadline_s)
            options = {"dtype": dtype, "old": old, "benchmarks": benchmarks}
            self.ask({"kind": located.kind, "path": path, "workloads": workloads, **options})
            told, _ = self.ask({"do": "describe"})
            try:
                self.name = wire.text_of(told["name"])
                self.outputs = tuple(map(wire.text_of, told["outputs"]))
                self.workloads = tuple(
                    Workload(
                        wire.text_of(o["name"]), min(max(int(o["trials"]), 1), MOST_TRIALS), wire.text_of(o["rule"])
                    )
                    for o in told["workloads"]
                )
            except (KeyError, TypeError, ValueError, OverflowError):
                raise HostFailure("crashed", "the problem's process does not say what it is") from None
        except BaseException:  # Ctrl-C too leaves no process, socket or folder
            self.close()
            raise

    def _started(self, deadline_s: float) -> socket.socket:
        """Start the process; it ends, and its folder goes, as `_open` closes."""
        folder = self._open.enter_context(Scratch("problem"))
        ours, theirs = socket.socketpair()
        self._open.enter_context(ours)
        confined = Confined(Sandbox(folder, answers=True))
        self._open.callback(confined.close)
        with theirs:
            process = subprocess.Popen(
                confined.python(
                    [sys.executable, "-m", "harness.problems.host", str(theirs.fileno()), str(memory_limit())]
                ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(), *confined.descriptors),
                start_new_session=True,
                cwd=folder,
                env={**worker_environment(), **confined.variables},
            )
        try:
            orphans.watch(process.pid)
        except BaseException:
            _kill_group(process)
            process.wait()
            raise
        confined.started()
        assert process.stdout is not None
        self._printed = _Printed(process)
        # the last one first: who is killed prints no more
        self._open.callback(process.stdout.close)
        self._open.callback(orphans.forget, process.pid)
        self._open.callback(process.wait)
        self._open.callback(self._printed.join, 1.0)
        self._open.callback(_kill_group, process)
        try:
            confined.must_hold(process.pid)
        except NotConfined as missing:
            raise HostFailure("error", str(missing)) from None
        ours.settimeout(deadline_s)
        return ours

    def ask(
        self, message: Mapping[str, Any], arrays: Sequence[np.ndarray] = ()
    ) -> tuple[dict[str, Any], list[np.ndarray]]:
        """One request and its reply. Raises HostFailure."""
        try:
            exchange.send(self._connection, message, arrays)
            received = exchange.receive(self._connection)
        except TimeoutError:
            self.close()
            raise HostFailure("timeout", "the problem's own code took too long; --timeout gives it more") from None
        except (OSError, wire.WireError) as error:
            raise HostFailure("crashed", f"the problem's process: {error}{self._last_words()}") from None
        if received is None:
            raise HostFailure("crashed", f"the problem's process ended{self._last_words()}")
        reply, answers = received
        if "failure" in reply:
            raise HostFailure(wire.text_of(reply.get("kind")), wire.text_of(reply["failure"]))
        return reply, answers

    def generate(self, workload: int, seed: int | None = None) -> tuple[dict[str, Any], tuple[np.ndarray, ...]]:
        """Fresh inputs: their `template`, whether the reference writes `in_place`, and the arrays."""
        reply, arrays = self.ask(
            {"do": "generate", "workload": workload, "seed": secrets.randbits(31) if seed is None else seed}
        )
        return reply, tuple(arrays)

    def _last_words(self) -> str:
        """The end of what it printed, which is read until it is over, or for a moment if a child of it holds on."""
        self._printed.join(1.0)
        lines = self._printed.tail.decode("utf-8", "replace").strip().splitlines()
        flood = f"; it printed more than {MOST_PRINTED >> 20} MiB, and was ended" if self._printed.is_flood else ""
        return flood or (f"; it printed: {lines[-1]}" if lines else "")

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

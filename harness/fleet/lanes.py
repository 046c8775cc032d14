"""Inside a dask worker: the engines of one run, as many as the worker has threads. They are started when they are first
needed; each runs one request at a time, and is found again by what it has kept warm."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Message = Mapping[str, Any]
END_S = 15.0
"""For an engine to close its workers and remove its folders; then it is killed."""


class EngineLost(RuntimeError):
    """An engine ended in the middle of a request; the message says how."""


class Refused(RuntimeError):
    """This node cannot take part; the message says why."""


class Over(RuntimeError):
    """These engines were let go of, and there may be others of the same run by now."""


class _Engine:
    """One process of harness.fleet.engine."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, theirs = socket.socketpair()
        life_there, self._life = os.pipe()
        inherited = theirs.fileno(), life_there
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.fleet.engine", *map(str, inherited), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=inherited,
                start_new_session=True,
                cwd=tempfile.gettempdir(),
                env=environment,
            )
        except BaseException:
            ours.close()
            os.close(self._life)
            raise
        finally:
            theirs.close()
            os.close(life_there)
        self._connection = ours
        self._lines = ours.makefile("rb")
        self.warm: set[str] = set()

    def ask(self, message: Message, progress: Callable[[str], None]) -> dict[str, Any]:
        """Raises EngineLost."""
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
            while line := self._lines.readline():
                answer = json.loads(line)
                if "progress" not in answer:
                    return dict(answer)
                progress(answer["progress"])
        except (OSError, ValueError):
            pass
        raise EngineLost(self._ended())

    def _ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(END_S)
            if code < 0:
                name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
                return f"its engine died of {name}"
            return f"its engine ended with code {code}"
        return "its engine closed its connection"

    def close(self) -> None:
        """Have it end, with all that it started; safe to call twice, and from several threads."""
        life, self._life = self._life, -1
        if life >= 0:
            os.close(life)
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Lanes:
    """The engines of one run on one node."""

    def __init__(self, count: int, opening: Message, environment: Mapping[str, str]) -> None:
        """At most `count`, each told `opening` when it starts."""
        self._count = count
        self._opening = opening
        self._environment = environment
        self._idle: list[_Engine] = []
        self._all: list[_Engine] = []
        self._starting = 0
        self._change = threading.Condition()
        self._closed = False

    def open(self) -> dict[str, Any]:
        """Start the first engine; what it announces, or {"refused": why}."""
        with self._change:
            self._starting += 1
        engine, answer = self._started()
        if engine is not None:
            self._give(engine)
        return answer

    def _started(self) -> tuple[_Engine | None, dict[str, Any]]:
        """A new engine that has its orders, and what it said; None where it could not take them. Raises EngineLost, and
        then another one may be started in its place."""
        try:
            engine = _Engine(self._environment)
        except OSError as error:
            with self._change:
                self._starting -= 1
                self._change.notify_all()
            raise EngineLost(f"no engine could be started ({type(error).__name__}: {error})") from None
        with self._change:
            self._starting -= 1
            self._all.append(engine)
            closed = self._closed
        try:
            answer = {"refused": "the run is over"} if closed else engine.ask(self._opening, lambda words: None)
        except EngineLost:
            self._drop(engine)
            raise
        if "refused" in answer:
            self._drop(engine)
            return None, answer
        return engine, answer

    def ask(self, message: Message, wanted: str, progress: Callable[[str], None]) -> dict[str, Any]:
        """Have an engine answer: one that is warm for `wanted` if there is a choice. Raises EngineLost, Refused,
        Over."""
        engine = self._taken(wanted)
        try:
            answer = engine.ask(message, progress)
        except EngineLost:
            self._drop(engine)
            raise
        engine.warm.add(wanted)
        self._give(engine)
        return answer

    def rest(self) -> None:
        """No engine keeps a worker warm from now on."""
        for engine in self._all_idle():
            try:
                engine.ask({"do": "rest"}, lambda words: None)
            except EngineLost:
                self._drop(engine)
                continue
            engine.warm.clear()
            self._give(engine)

    def _all_idle(self) -> Sequence[_Engine]:
        with self._change:
            taken, self._idle = self._idle, []
        return taken

    def _taken(self, wanted: str) -> _Engine:
        with self._change:
            while True:
                if self._closed:
                    raise Over("the run is over")
                warm = [engine for engine in self._idle if wanted in engine.warm]
                if not warm and len(self._all) + self._starting < self._count and not self._idle:
                    self._starting += 1
                    break
                if self._idle:
                    engine = (warm or self._idle)[-1]
                    self._idle.remove(engine)
                    return engine
                self._change.wait()
        started, answer = self._started()
        if started is None:
            raise Over("the run is over") if self._closed else Refused(str(answer["refused"]))
        return started

    def _give(self, engine: _Engine) -> None:
        with self._change:
            self._idle.append(engine)
            self._change.notify_all()

    def _drop(self, engine: _Engine) -> None:
        with self._change:
            if engine in self._all:
                self._all.remove(engine)
            self._change.notify_all()
        engine.close()

    def close(self) -> None:
        with self._change:
            self._closed = True
            engines, self._all = self._all, []
            self._change.notify_all()
        closing = [threading.Thread(target=engine.close) for engine in engines]
        for one in closing:
            one.start()
        for one in closing:
            one.join()


def opening(commission: str, archive: bytes, secrets: Sequence[str]) -> Message:
    """The first request to every engine. `secrets` are files of this node that no plugin may read."""
    encoded = base64.b64encode(archive).decode()
    return {"do": "open", "commission": commission, "archive": encoded, "secrets": list(secrets)}


def environment(set_by_nanny: Mapping[str, Any] | None) -> dict[str, str]:
    """That of the node as its user has set it: what dask's nanny has set for its worker (one thread, another malloc)
    would be a property of what is measured. `set_by_nanny` are its settings, None where there is no nanny."""
    here = dict(os.environ)
    if set_by_nanny is None:
        return here
    before = _environment_of(os.getppid())
    for name in {*set_by_nanny, "PYTHONHASHSEED"}:
        if before is not None and name in before:
            here[name] = before[name]
        elif before is not None or here.get(name) == str(set_by_nanny.get(name)):
            here.pop(name, None)
    return here


def _environment_of(pid: int) -> dict[str, str] | None:
    """What a process was started with; None where the system does not tell."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    pairs: Iterator[tuple[bytes, bytes, bytes]] = (entry.partition(b"=") for entry in entries if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}

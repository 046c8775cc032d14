"""One worker process as the supervisor sees it: start, ask, watch, kill. Every way to fail becomes a WorkerFailure."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import selectors
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from harness import wire
from harness.arena import Arena
from harness.checkout import Checkout, worker_command, worker_environment

MOST_PRINTED = 8 * 2**20
"""Bytes that a worker may print in its life; more is a flood, and kills it."""
TAIL = 2000
NO_VARIABLES: Mapping[str, str] = {}
START_DEADLINE_S = 60.0


class WorkerFailure(Exception):
    """A worker did not answer; `status` is one of the record's, and the process is gone."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Nanoseconds by the supervisor's clock: from a request to the end of its calls, and from there to the reply."""

    calls_ns: int
    copying_ns: int

    @property
    def all_ns(self) -> int:
        return self.calls_ns + self.copying_ns


class WorkerProcess:
    """A warm worker with its arena. It must be closed, also after a failure."""

    def __init__(
        self, *, memory_limit: int = 0, checkout: Checkout | None = None, variables: Mapping[str, str] = NO_VARIABLES
    ) -> None:
        """Start it, with plugins from `checkout` if given; `memory_limit` is its address space in bytes, 0 for none,
        and `variables` are added to its environment."""
        self.arena = Arena()
        ours, theirs = socket.socketpair()
        self._connection = ours
        self._printed = 0
        self._tail = b""
        self._received = bytearray()
        """What has come from the worker and was not read yet."""
        self.elapsed = Elapsed(0, 0)
        """Of the newest request."""
        self._folder = tempfile.TemporaryDirectory(prefix="harness-worker-")
        self._process = subprocess.Popen(
            [
                *worker_command(checkout),
                str(theirs.fileno()),
                str(self.arena.descriptor),
                str(memory_limit),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs.fileno(), self.arena.descriptor),
            start_new_session=True,
            cwd=self._folder.name,
            env={**worker_environment(), **variables},
        )
        theirs.close()
        self._selector = selectors.DefaultSelector()
        self._selector.register(ours, selectors.EVENT_READ)
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(
        self,
        message: Mapping[str, Any],
        deadline_s: float,
        called: Callable[[], Sequence[int] | None] = lambda: None,
    ) -> dict[str, Any]:
        """Send a request and wait for its reply. In between the worker says that its calls are over: then `called` is
        called, to look at the process and to say which answers are wanted (None: all), and `elapsed` is taken.

        Raises WorkerFailure when the worker crashes, takes longer than the deadline, floods its output, or sends
        what the protocol does not allow; the process is then dead.
        """
        try:
            if select.select([self._connection], [], [], 0)[0] and self._connection.recv(1, socket.MSG_PEEK):
                raise WorkerFailure("untrusted", "it sent a reply that nobody had asked for")
            self._connection.settimeout(deadline_s)
            number = secrets.token_hex(8)
            end = time.monotonic() + deadline_s
            start = time.perf_counter_ns()
            wire.send(self._connection, {**message, "number": number})
            reply = wire.parse(self._read_reply(end, deadline_s))
            over = time.perf_counter_ns()
            if reply == {"called": number}:
                wanted = called()
                wire.send(self._connection, {"copy": None if wanted is None else list(wanted)})
                reply = wire.parse(self._read_reply(end, deadline_s))
            self.elapsed = Elapsed(over - start, time.perf_counter_ns() - over)
            if self._received:
                raise WorkerFailure("untrusted", "more than one reply to one request")
            if reply.pop("number", None) != number:
                raise WorkerFailure("untrusted", "a reply to another request")
            return reply
        except WorkerFailure:
            self.close()
            raise
        except wire.WireError as error:
            self.close()
            raise WorkerFailure("untrusted", str(error)) from None
        except OSError:
            raise self._crashed() from None

    def _read_reply(self, end: float, deadline_s: float) -> bytearray:
        received = self._received
        while True:
            if len(received) >= wire.HEADER.size:
                (length,) = wire.HEADER.unpack_from(received)
                if length > wire.LARGEST_MESSAGE:
                    raise WorkerFailure("untrusted", f"a reply that claims {length} bytes")
                needed = wire.HEADER.size + length
                if len(received) >= needed:
                    self._received = received[needed:]
                    return received[wire.HEADER.size : needed]
            remaining = end - time.monotonic()
            if remaining <= 0:
                raise WorkerFailure("timeout", f"no answer within {deadline_s:g} s; the worker was killed")
            for key, _ in self._selector.select(remaining):
                if key.fileobj is not self._connection:
                    self._drain()
                    continue
                part = self._connection.recv(1 << 20)
                if not part:
                    raise self._crashed()
                received += part

    def _drain(self) -> None:
        """Take what the worker printed; keep the end of it, and kill a flood."""
        assert self._process.stdout is not None
        try:
            part = os.read(self._process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return
        if not part:
            self._selector.unregister(self._process.stdout)
            return
        self._printed += len(part)
        self._tail = (self._tail + part)[-TAIL:]
        if self._printed > MOST_PRINTED:
            raise WorkerFailure("error", f"printed more than {MOST_PRINTED >> 20} MiB; the worker was killed")

    def _crashed(self) -> WorkerFailure:
        """The worker is gone: say how, with the end of what it printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2.0)
        with contextlib.suppress(WorkerFailure, ValueError, KeyError):
            while self._process.stdout in {key.fileobj for key in self._selector.get_map().values()}:
                before = self._printed
                self._drain()
                if self._printed == before:
                    break
        code = self._process.poll()
        self.close()
        printed = self._tail.decode("utf-8", "replace").strip().splitlines()
        last = f"; it printed: {_telling(printed)}" if printed else ""
        if code is None:
            return WorkerFailure("crashed", f"the worker closed its connection{last}")
        if code >= 0:
            return WorkerFailure("crashed", f"the worker exited with code {code}{last}")
        name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
        if name == "SIGKILL":
            return WorkerFailure("out_of_memory", f"the worker was killed ({name}), as the kernel does without memory")
        return WorkerFailure("crashed", f"the worker died of {name}{last}")

    def close(self) -> None:
        """Kill the worker and all that it started; safe to call twice."""
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGSTOP)
                children = psutil.Process(self._process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for child in children:  # those that have left the process group
            with contextlib.suppress(psutil.Error):
                child.kill()
        self._process.wait()
        if self._process.stdout is not None and not self._process.stdout.closed:
            self._selector.close()
            self._process.stdout.close()
            self._connection.close()
            self.arena.close()
            with contextlib.suppress(OSError, RecursionError):
                self._folder.cleanup()


def _telling(lines: list[str]) -> str:
    """Of a faulthandler report the line that names the fault and the newest frame, else the last line."""
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    frames = [line.strip() for line in lines if line.strip().startswith("File ")]
    return " ".join([*fatal[:1], *frames[:1]]) if fatal else lines[-1][:300]

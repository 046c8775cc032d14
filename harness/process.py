"""One worker process as the supervisor sees it: start, ask, watch, kill. Every way to fail becomes a WorkerFailure."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from harness import orphans, wire
from harness.arena import Arena
from harness.checkout import Checkout, worker_command, worker_environment
from harness.sandbox.policy import Confined, NotConfined, Sandbox
from harness.scratch import Scratch

MOST_PRINTED = 8 * 2**20
"""Bytes that a worker may print in its life; more is a flood, and kills it."""
TAIL = 2000
NO_VARIABLES: Mapping[str, str] = {}
START_DEADLINE_S = 60.0


class WorkerFailure(Exception):
    """A worker did not answer; `status` is one of the record's, and the process is gone."""

    def __init__(self, status: str, reason: str) -> None:
        self.status = status
        self.reason = wire.text_of(reason)  # a worker's last words may be in it
        super().__init__(self.reason)


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Nanoseconds by the supervisor's clock: from a request to the end of its calls, and from there to the reply; and
    for how long of each the supervisor itself waited for a core, with the message there, where the system tells."""

    calls_ns: int
    copying_ns: int
    late_calls_ns: int = 0
    late_copying_ns: int = 0

    @property
    def all_ns(self) -> int:
        return self.calls_ns + self.copying_ns


class WorkerProcess:
    """A warm worker with its arena. It must be closed, also after a failure."""

    def __init__(
        self,
        *,
        memory_limit: int = 0,
        checkout: Checkout | None = None,
        variables: Mapping[str, str] = NO_VARIABLES,
        plugin: str | None = None,
        devices: bool = False,
    ) -> None:
        """Start it, with plugins from `checkout` if given; `memory_limit` is its address space in bytes, 0 for none,
        and `variables` are added to its environment. What it compiles is kept for the next worker of the same `plugin`
        file ("": of what is built in), or not at all. `devices`: it may drive a GPU."""
        self.arena = Arena()
        ours, theirs = socket.socketpair()
        self._connection = ours
        self._printed = 0
        self._tail = b""
        self._still = False
        self._received = bytearray()
        """What has come from the worker and was not read yet."""
        self.elapsed = Elapsed(0, 0)
        """Of the newest request."""
        self._folder = Scratch("worker")
        self._selector = selectors.DefaultSelector()
        self._confined = Confined(Sandbox.of_worker(self._folder.name, plugin, devices))
        inherited = theirs.fileno(), self.arena.descriptor
        self._process = subprocess.Popen(
            self._confined.python([*worker_command(checkout), *map(str, inherited), str(memory_limit)]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(*inherited, *self._confined.descriptors),
            start_new_session=True,
            cwd=self._folder.name,
            env={**worker_environment(), **self._confined.variables, **variables},
        )
        try:
            theirs.close()
            orphans.watch(self._process.pid)
            self._confined.started()
            self._selector.register(ours, selectors.EVENT_READ)
            assert self._process.stdout is not None
            os.set_blocking(self._process.stdout.fileno(), False)
            self._selector.register(self._process.stdout, selectors.EVENT_READ)
        except BaseException:
            self.close()  # nobody else has it
            raise

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
            self._confined.must_hold(self._process.pid)
            self._connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if self._connection.recv(1, socket.MSG_PEEK):
                    raise WorkerFailure("untrusted", "it sent a reply that nobody had asked for")
            self._connection.settimeout(deadline_s)
            number = secrets.token_hex(8)
            end = time.monotonic() + deadline_s
            start = time.perf_counter_ns()
            wire.send(self._connection, {**message, "number": number})
            late = [_waited_ns()]
            reply = wire.parse(self._read_reply(end, deadline_s))
            over = time.perf_counter_ns()
            late.append(_waited_ns())
            if reply == {"called": number}:
                wanted = called()
                wire.send(self._connection, {"copy": None if wanted is None else list(wanted)})
                late.append(_waited_ns())
                reply = wire.parse(self._read_reply(end, deadline_s))
            done = time.perf_counter_ns()
            late.append(_waited_ns())
            self.elapsed = Elapsed(over - start, done - over, late[1] - late[0], late[-1] - late[-2])
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
        except NotConfined as missing:
            self.close()
            raise WorkerFailure("error", str(missing)) from None
        except OSError:
            raise self._crashed() from None

    def stand_still(self) -> None:
        """Stop the worker and all that it started, until it may go on; a request would wait for that."""
        if not self._still:
            self._signal(signal.SIGSTOP)
        self._still = True

    def go_on(self) -> None:
        if self._still:
            self._signal(signal.SIGCONT)
        self._still = False

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:  # not reaped: the number of the group is its own
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

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
        ended = self._ended(2.0)
        with contextlib.suppress(WorkerFailure, ValueError, KeyError):
            while self._process.stdout in {key.fileobj for key in self._selector.get_map().values()}:
                before = self._printed
                self._drain()
                if self._printed == before:
                    break
        self.close()
        code = self._process.returncode if ended else None
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

    def _ended(self, patience_s: float) -> bool:
        """Whether the worker ends in so many seconds. It is not reaped: its number, which is that of its group, goes
        to no other process before the group was killed."""
        end = time.monotonic() + patience_s
        while not self._is_over():
            if time.monotonic() >= end:
                return False
            time.sleep(0.002)
        return True

    def _is_over(self) -> bool:
        if not hasattr(os, "waitid"):  # macOS, before Python 3.13
            return bool(psutil.Process(self._process.pid).status() == psutil.STATUS_ZOMBIE)
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # where SIGCHLD is ignored, the kernel reaps at once
            return True

    def abandon(self) -> None:
        """From another thread: whoever waits for a reply hears at once that none will come, and closes the worker."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Kill the worker and all that it started; safe to call twice."""
        if self._process.returncode is not None:
            return
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            if not self._ended(0.0):
                os.kill(self._process.pid, signal.SIGSTOP)
                children = psutil.Process(self._process.pid).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for child in children:  # those that have left the process group
            with contextlib.suppress(psutil.Error):
                child.kill()
        self._process.wait()
        orphans.forget(self._process.pid)
        assert self._process.stdout is not None
        self._selector.close()
        self._process.stdout.close()
        self._connection.close()
        self.arena.close()
        self._confined.close()
        self._folder.cleanup()


def _waited_ns() -> int:
    """For how long this thread has waited for a core so far, ready to run; 0 where the system does not tell."""
    try:
        with open("/proc/thread-self/schedstat", "rb", buffering=0) as file:
            return int(file.read().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _telling(lines: list[str]) -> str:
    """Of a faulthandler report the line that names the fault and the newest frame, else the last line."""
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    frames = [line.strip() for line in lines if line.strip().startswith("File ")]
    return " ".join([*fatal[:1], *frames[:1]]) if fatal else lines[-1][:300]

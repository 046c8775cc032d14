"""Nodes on one machine, as a fleet has them: a scheduler and `dask worker` processes.

Each node has a loopback address or a network namespace of its own. All of it ends with the block that it was started
for, and with this process.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import psutil

from harness.confinement import die_with_parent
from harness.scratch import abandoned
from harness.trials.networks import SCHEDULER, Loopback, Network

MARK = "FLEET_NODE"
"""The environment variable by which a node's processes are known, plugins' too: its value is the node's folder."""
ENGINE, WORKER = "harness.fleet.engine", "harness.worker"
OFFER = "kernel-harness takes times"
JOINED = "Registered to:"
"""In the log of a dask worker, once for each time that it joins."""
TIDY_S = 5.0
PATIENCE_S = 120.0
"""For what takes a second or two; more is a failure, and not a machine that is slow."""
DASK = (sys.executable, "-m", "dask")
Found = TypeVar("Found")


@dataclass
class Node:
    """One `dask worker` with its nanny, a folder for its log, scratch folders and cache, and what it started."""

    name: str
    folder: Path
    process: subprocess.Popen[bytes]
    joins: int = 1
    """How often its log says that it joined, once this process has."""
    seen: list[psutil.Process] = field(default_factory=list)
    """Its processes at the moment at which it was killed."""

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def has_joined(self) -> bool:
        return self.log.count(JOINED) >= self.joins

    @property
    def offers(self) -> bool:
        """Whether a run has had it take times: of the nodes of one machine, a single one does."""
        return OFFER in self.log.rpartition(JOINED)[2]

    @property
    def works(self) -> bool:
        """Whether it runs plugins now: of the nodes of one host, no more do than it has cores."""
        return any(WORKER in _command(one) for one in self.processes())

    def processes(self) -> list[psutil.Process]:
        """All that live of it, those that run plugins too."""
        return marked(str(self.folder))

    def kill(self) -> None:
        """kill -9 of the nanny and the dask worker, and of nobody else: the processes of plugins have to end by
        themselves."""
        self.seen = self.processes()
        for one in self._engine():
            with contextlib.suppress(psutil.Error):
                one.kill()
        self.process.wait()

    def kill_worker(self) -> None:
        """kill -9 of the dask worker alone, as a kernel without memory does: its nanny starts another one."""
        self.joins += 1
        for one in self._engine()[1:]:
            with contextlib.suppress(psutil.Error):
                if "spawn_main" in " ".join(one.cmdline()):
                    one.kill()

    def kill_engine(self) -> None:
        """kill -9 of what runs tasks there, and not of what talks to the scheduler."""
        for one in self.processes():
            with contextlib.suppress(psutil.Error):
                if ENGINE in one.cmdline():
                    one.kill()

    def stop(self) -> None:
        """SIGSTOP to all of it: a machine that sleeps."""
        _signal(self.processes(), signal.SIGSTOP)

    def go_on(self) -> None:
        _signal(self.processes(), signal.SIGCONT)

    def left_over(self) -> list[str]:
        """Processes that outlived the kill."""
        found = {one.pid: one for one in (*self.seen, *self.processes()) if _lives(one)}
        return [f"{pid} {' '.join(_command(one))[:120]}" for pid, one in found.items()]

    def scratch_left_over(self) -> list[str]:
        """Scratch folders beneath this node's temporary folder that nobody holds."""
        return list(abandoned(str(self.folder / "tmp")))

    def _engine(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            nanny = psutil.Process(self.process.pid)
            return [nanny, *(one for one in nanny.children() if not _tidies(one))]
        return []


class Nodes:
    """A scheduler, the nodes that joined it, and commands that are started where the scheduler is."""

    def __init__(
        self,
        folder: Path,
        network: Network | None = None,
        environment: Mapping[str, str] | None = None,
        cores: Iterable[int] | None = None,
        protocol: str = "tcp",
    ) -> None:
        """`environment` is that of all processes here, on top of this one's; `cores` are all that they run on."""
        self.folder = folder
        self.network = network or Loopback()
        self.environment = dict(environment or {})
        self.cores = None if cores is None else frozenset(cores)
        self._protocol = protocol
        self.nodes: dict[str, Node] = {}
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.address = ""
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Nodes:
        try:
            self.start_scheduler()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start_scheduler(self) -> None:
        """Start it, after a kill at the address where it was."""
        folder = self.folder / SCHEDULER
        file = folder / "address.json"
        file.unlink(missing_ok=True)
        port = self.address.rpartition(":")[2] or "0"
        host = self.network.join(SCHEDULER)
        command = [*DASK, "scheduler", "--host", host, "--port", port, "--protocol", self._protocol, "--no-dashboard"]
        self.scheduler = self._start(SCHEDULER, [*command, "--scheduler-file", str(file)])
        self.address = wait_for(lambda: _address(file), "the scheduler's address", [self.scheduler], folder / "log")

    def add(
        self,
        name: str,
        *,
        threads: int = 1,
        environment: Mapping[str, str] | None = None,
        wait: bool = True,
    ) -> Node:
        """Start the node of this name, or start it anew where it was: it keeps its folder and its address. It works on
        `threads` tasks at a time."""
        host = self.network.join(name)
        folder = self.folder / name
        command = [*DASK, "worker", self.address, "--host", host, "--name", name, "--nthreads", str(threads)]
        command += ["--no-dashboard", "--local-directory", str(folder)]
        before = (folder / "log").read_text(errors="replace").count(JOINED) if name in self.nodes else 0
        process = self._start(name, command, environment)
        self.nodes[name] = Node(name, folder, process, before + 1)
        if wait:
            self.wait_for_node(name)
        return self.nodes[name]

    def wait_for_node(self, name: str) -> None:
        """Return when a node has joined, by its log."""
        node = self.nodes[name]
        wait_for(lambda: node.has_joined, f"{name} to join", [node.process], node.folder / "log")

    def start(self, *command: str, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        """A command where the scheduler is; `harness` stands for this installation's."""
        words = [sys.executable, "-m", "harness.cli", *command[1:]] if command[0] == "harness" else list(command)
        return subprocess.Popen(
            [*self.network.inside(SCHEDULER), *words],
            cwd=cwd or self.folder,
            env={**self._environment("client"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_before(self.cores),  # noqa: PLW1509
        )

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a command, as `start`."""
        with self.start(*command, cwd=cwd, **environment) as child:
            out, err = child.communicate()
        return child.returncode, out, err

    def _environment(self, name: str) -> dict[str, str]:
        folder = self.folder / name
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        own = {"TMPDIR": str(folder / "tmp"), MARK: str(folder)}
        return {**os.environ, **self.environment, **own}

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        variables = {**self._environment(name), **(environment or {})}
        with (self.folder / name / "log").open("ab") as log:
            child = subprocess.Popen(
                [*self.network.inside(name), *command],
                cwd=self.folder / name,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_before(self.cores),  # noqa: PLW1509
            )
        self._started.append(child)
        return child

    def close(self) -> None:
        """Kill all that was started here, and return when it is gone."""
        end_s = time.monotonic() + TIDY_S
        while left := marked(str(self.folder), is_folder=True):
            in_time = time.monotonic() < end_s
            _signal([one for one in left if not (in_time and _tidies(one))], signal.SIGKILL)
            for child in self._started:
                child.poll()
            time.sleep(0.01)
        for child in self._started:
            child.wait()
        self.network.close()


def wait_for(look: Callable[[], Found | None], what: str, alive: Sequence[subprocess.Popen[bytes]], log: Path) -> Found:
    """What `look` finds, as soon as it finds anything. Raises RuntimeError with the end of the log where one of those
    that have to be alive is not, or nothing comes."""
    end_s = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if any(one.poll() is not None for one in alive) or time.monotonic() > end_s:
            raise RuntimeError(f"waited in vain for {what}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
    return found


def marked(mark: str, is_folder: bool = False) -> list[psutil.Process]:
    """The processes that were started with this mark, or with one beneath it."""
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            value = one.environ().get(MARK, "")
            if (value == mark or (is_folder and value.startswith(mark + os.sep))) and _lives(one):
                found.append(one)
    return found


def _address(file: Path) -> str | None:
    try:
        return str(json.loads(file.read_text())["address"])
    except (ValueError, OSError):  # it is being written
        return None


def _before(cores: frozenset[int] | None) -> Callable[[], None]:
    def before() -> None:
        die_with_parent()
        if cores is not None:
            os.sched_setaffinity(0, cores)
        # what a shell starts in the background ignores Ctrl-C, and so would what it starts
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return before


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.send_signal(number)


def _tidies(one: psutil.Process) -> bool:
    """Whether it removes what Python's multiprocessing leaves in /dev/shm, once all others are gone."""
    return "resource_tracker" in " ".join(_command(one))


def _lives(one: psutil.Process) -> bool:
    try:
        return bool(one.is_running() and one.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _command(one: psutil.Process) -> list[str]:
    try:
        return list(one.cmdline())
    except psutil.Error:
        return []

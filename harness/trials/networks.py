"""Where the nodes of a trial are reached: addresses of loopback, or network namespaces joined by a bridge."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Protocol

from harness.confinement import die_with_parent

SCHEDULER = "scheduler"


class Network(Protocol):
    """Where nodes are reached, and how a command is started there."""

    def join(self, name: str) -> str:
        """The address of the node of this name; its place is made when it is first asked for."""

    def inside(self, name: str) -> list[str]:
        """What a command begins with that is to run where this node is."""

    def unplug(self, name: str) -> None:
        """Nothing reaches this node any more, and it reaches nothing."""

    def plug(self, name: str) -> None: ...

    def close(self) -> None: ...


class Loopback:
    """127.0.0.10, 127.0.0.11, and so on: all of one machine, and no cable to pull."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def join(self, name: str) -> str:
        if name not in self._names:
            self._names.append(name)
        return f"127.0.0.{10 + self._names.index(name)}"

    def inside(self, name: str) -> list[str]:
        return []

    def unplug(self, name: str) -> None:
        raise NotImplementedError("loopback has no cable: use network namespaces")

    plug = unplug

    def close(self) -> None:
        pass


class Namespaces:
    """A network namespace for each node, and one with a bridge between them for the scheduler. They have no names: a
    process that sleeps holds each of them, and with it they go, cables and all."""

    def __init__(self) -> None:
        self._held: dict[str, subprocess.Popen[bytes]] = {}
        self.join(SCHEDULER)

    @staticmethod
    def missing() -> str | None:
        """Why they cannot be made here, or None."""
        for program in ("unshare", "nsenter", "ip"):
            if not any((Path(folder) / program).exists() for folder in (*os.get_exec_path(), "/usr/sbin", "/sbin")):
                return f"no `{program}`: apt-get install util-linux iproute2"
        try:
            Namespaces().close()
        except (OSError, subprocess.CalledProcessError) as error:
            return f"no network namespaces: {getattr(error, 'stderr', None) or error}"
        return None

    def join(self, name: str) -> str:
        number = len(self._held) if name not in self._held else list(self._held).index(name)
        address = f"10.77.0.{10 + number}"
        if name in self._held:
            return address
        self._held[name] = _sleeper()
        self._do(name, "ip link set lo up")
        if name == SCHEDULER:
            self._do(name, "ip link add bridge type bridge")
            self._do(name, f"ip address add {address}/24 dev bridge")
            self._do(name, "ip link set bridge up")
        else:
            peer = self._held[name].pid
            self._do(SCHEDULER, f"ip link add node{number} type veth peer name eth0 netns {peer}")
            self._do(SCHEDULER, f"ip link set node{number} master bridge up")
            self._do(name, f"ip address add {address}/24 dev eth0")
            self._do(name, "ip link set eth0 up")
        return address

    def inside(self, name: str) -> list[str]:
        return ["nsenter", "-t", str(self._held[name].pid), "-n", "--"]

    def _do(self, name: str, command: str) -> None:
        words = [*self.inside(name), *command.split()]
        path = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
        subprocess.run(words, check=True, capture_output=True, text=True, env=path)

    def unplug(self, name: str) -> None:
        self._do(SCHEDULER, f"ip link set node{list(self._held).index(name)} down")

    def plug(self, name: str) -> None:
        self._do(SCHEDULER, f"ip link set node{list(self._held).index(name)} up")

    def close(self) -> None:
        for holder in self._held.values():
            holder.kill()
            holder.communicate()


def _sleeper() -> subprocess.Popen[bytes]:
    """A process that holds a new network namespace."""
    ours = os.readlink("/proc/self/ns/net")
    command = ["unshare", "-n", "--", "sleep", "infinity"]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=die_with_parent)  # noqa: PLW1509
    while child.poll() is None:
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{child.pid}/ns/net") != ours:
                return child
        time.sleep(0.002)
    assert child.stderr is not None
    raise OSError(child.stderr.read().decode().strip())

"""Ends what workers leave when the supervisor itself is killed, which then cannot do it.

A worker dies with its supervisor (harness.sandbox). What a plugin had started does not: but it stays in the worker's
process group, which it cannot leave inside of the sandbox, and another process ends the group. That one is started once
for all workers; it is this file, run as a script. It hears which groups there are through a pipe, whose end says that
nobody is left to look after them. It has a session of its own, since those who kill often kill a whole group.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from typing import Any

_groups: dict[int, str] = {}
"""By the number of a group, when its leader was started."""
_watching: list[Any] = []
_lock = threading.RLock()


def watch(leader: int) -> None:
    """End the process group of a worker when this process dies. `leader` is a child that is not reaped yet."""
    if sys.platform != "linux":
        return
    with _lock:
        _groups[leader] = _started_at(leader)
        if not _watching or not _told(f"+{leader} {_groups[leader]}\n"):
            _start()


def forget(leader: int) -> None:
    """Its group was killed, and its number may soon be another's."""
    with _lock:
        if _groups.pop(leader, None) is not None and _watching:
            _told(f"-{leader}\n")


def _start() -> None:
    import subprocess

    if not _watching:
        atexit.register(_end)
    _watching[:] = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
    ]
    _told("".join(f"+{leader} {started}\n" for leader, started in _groups.items()))


def _told(line: str) -> bool:
    """Whether it could be said: somebody may have ended it."""
    try:
        os.write(_watching[0].stdin.fileno(), line.encode())
    except (OSError, ValueError):
        _end()
        return False
    return True


def _end() -> None:
    for process in _watching:
        process.stdin.close()
        process.wait()


def _in_a_copy() -> None:
    """After a fork: it is the first process whose end counts."""
    global _lock  # noqa: PLW0603
    _lock = threading.RLock()
    for process in _watching:
        process.stdin.close()
        process.returncode = 0
    _watching.clear()
    _groups.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_copy)


def _started_at(pid: int) -> str:
    """When a process was started, in ticks; "" where there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return ""


def main() -> None:
    """Hear which groups there are; at the end of that, kill them."""
    groups: dict[int, str] = {}
    for line in sys.stdin:
        leader, _, started = line[1:].strip().partition(" ")
        groups.pop(int(leader), None)
        if line[0] == "+":
            groups[int(leader)] = started
    for group, started in groups.items():
        # as long as one of a group lives, its number is nobody else's; a leader that is younger is of another group
        if _started_at(group) in ("", started):
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()

"""Scratch folders of this process, and the removal of those whose process was killed.

A folder is locked as long as the process lives that made it: the kernel lets go of the lock however a process ends. So
a folder that can be locked has no owner any more, and the next process of this user that makes one removes it. Only a
lock of the same kernel is believed: file systems that machines share may keep locks from each other. So the name says
whose it is, and those of other machines are let alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

PREFIX = "harness-scratch-"


class Scratch:
    """A folder beneath the system's temporary one, locked. It goes with `cleanup`, or with this process; `name` is its
    path. Raises OSError where it cannot be made."""

    def __init__(self, purpose: str) -> None:
        """`purpose` is a word of its name."""
        sweep_once(tempfile.gettempdir())
        self.name, descriptor = _made(purpose)
        self._finalizer = weakref.finalize(self, _end, self.name, descriptor)

    def cleanup(self) -> None:
        """Remove it with all that is in it; safe to call twice."""
        self._finalizer()

    def __enter__(self) -> str:
        return self.name

    def __exit__(self, *_: object) -> None:
        self.cleanup()


@functools.cache
def sweep_once(where: str) -> None:
    """Remove what killed processes of this user left in a folder; once in the life of this process."""
    for path in abandoned(where):
        remove(path)


def abandoned(where: str) -> Iterator[str]:
    """The scratch folders of this user that nobody holds. Each is locked until the next one is asked for."""
    names: list[str] = []
    with contextlib.suppress(OSError), os.scandir(where) as entries:
        names = sorted(entry.path for entry in entries if entry.name.startswith(PREFIX))
    for path in names:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                found = os.fstat(descriptor)
                if found.st_uid == os.geteuid() and _is_of_here(path, found.st_mtime):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield path
            finally:
                os.close(descriptor)


@functools.cache
def here() -> tuple[str, str, float]:
    """This machine, its kernel since it was started, both in eight letters, and when that was (seconds since 1970)."""
    described = [os.uname().nodename, _text("/etc/machine-id")]
    boot = _text("/proc/sys/kernel/random/boot_id")
    started = next((line.split()[1] for line in _text("/proc/stat").splitlines() if line.startswith("btime")), "0")
    machine, kernel = (hashlib.sha256(repr(one).encode()).hexdigest()[:8] for one in (described, boot or described))
    return machine, kernel, float(started)


def _is_of_here(path: str, changed_at: float) -> bool:
    """Whether the lock of a folder says that its process is gone: it is of this kernel (containers share one), or was
    left when this machine went down."""
    machine, kernel, started = here()
    *_, of_machine, of_kernel, _ = ["", "", *os.path.basename(path).split("-")]
    return of_kernel == kernel or (of_machine == machine and changed_at < started)


def _text(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return ""


def remove(path: str) -> None:
    """Remove a folder, whatever a worker did to it: folders without rights, and such that lie too deep for Python."""
    with contextlib.suppress(OSError, RecursionError):
        shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return
    with contextlib.suppress(OSError, RecursionError):
        os.chmod(path, 0o700)
        for folder, inner, _ in os.walk(path):
            for one in inner:
                if not os.path.islink(os.path.join(folder, one)):
                    os.chmod(os.path.join(folder, one), 0o700)
    with contextlib.suppress(OSError):
        subprocess.run(["rm", "-rf", "--", path], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _made(purpose: str) -> tuple[str, int]:
    """A new folder and the descriptor that locks it."""
    while True:
        path = tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-{'-'.join(here()[:2])}-")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:  # a sweep came in between
            continue
        # a file system without such locks has none for a sweep either, which then finds nothing to remove
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if Path(path).is_dir():
            return path, descriptor
        os.close(descriptor)  # or then


def _end(path: str, descriptor: int) -> None:
    remove(path)
    with contextlib.suppress(OSError):
        os.close(descriptor)

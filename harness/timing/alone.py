"""RUN: one measurement at a time on each device of this machine, whoever takes it: locks that the kernel holds.

Who measures on the CPU holds the CPU's lock alone. Who measures on GPUs alone shares it with others of the kind, and
holds those of its GPUs alone. A lock goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

FOLDER = "HARNESS_LOCKS"
"""The environment variable that names another folder for the locks: containers that share a machine may share one."""
SHARED_MEMORY = Path("/dev/shm")
"""Of the whole machine, gone with its end, and out of reach for workers."""
CPU, TURN = "cpu", "turn"
"""Who wants the CPU's lock holds the turn's until it is there: else those who share it could follow each other without
end, and who wants it alone would wait as long."""
READABLE = 0o444
LOOK_EVERY_S = 0.2


class NoLock(ValueError):
    """HARNESS_LOCKS names a folder that locks cannot be taken in; the message says why, and what to do."""


@contextlib.contextmanager
def alone(gpus: Sequence[str] = (), waiting: Callable[[str], None] = lambda words: None) -> Iterator[None]:
    """Nobody else measures meanwhile on the CPU, or, where `gpus` names those that alone are measured on (by uuid), on
    these. `waiting` hears now and then for whom that waits, and of a lock that this machine has no place for, which is
    then held by nobody. Raises NoLock where HARNESS_LOCKS names that place."""
    wanted = [(CPU, fcntl.LOCK_SH if gpus else fcntl.LOCK_EX), *((name, fcntl.LOCK_EX) for name in sorted(set(gpus)))]
    with contextlib.ExitStack() as held:
        with _held(TURN, fcntl.LOCK_EX, waiting):
            held.enter_context(_held(*wanted[0], waiting))
        for name, kind in wanted[1:]:
            held.enter_context(_held(name, kind, waiting))
        yield


def files() -> list[Path]:
    """The files of this machine's locks, each of which whoever can read it can take. Those that every measurement takes
    are made first, where that can be: a file that comes later could not be hidden."""
    for name in (TURN, CPU):
        with contextlib.suppress(OSError):
            os.close(_opened(_path(name)))
    return sorted(_folder().glob(_path("*").name))


def _path(name: str) -> Path:
    return _folder() / f"kernel-harness-{name}.lock"


def _folder() -> Path:
    if named := os.environ.get(FOLDER):
        with contextlib.suppress(OSError):
            Path(named).mkdir(parents=True, exist_ok=True)
        return Path(named)
    return SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())


def _opened(path: Path) -> int:
    """The file of a lock, which anybody may have made. It is opened to read: in a folder that all may write, systems
    refuse to open what another user made for anything more. Raises OSError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        try:
            descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, READABLE)
        except FileExistsError:
            descriptor = os.open(path, flags)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & READABLE != READABLE:
        with contextlib.suppress(OSError):  # another's
            os.fchmod(descriptor, READABLE)  # whoever made it may have a umask that keeps others out
    return descriptor


@contextlib.contextmanager
def _held(name: str, kind: int, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold one lock, or none where there can be none; HARNESS_LOCKS must not name such a place."""
    path = _path(name)
    descriptor: int | None = None
    while descriptor is None:
        try:
            descriptor, others = _tried(path, kind)
        except OSError as error:
            reason = f"{path} cannot be locked ({error.strerror})"
            if os.environ.get(FOLDER):
                advice = "name a folder that all who share the machine may write to, or unset it"
                raise NoLock(f"{FOLDER}: {reason}; {advice}") from None
            waiting(f"{reason}: nothing keeps other measurements away")
            break
        if descriptor is None:
            waiting(f"waiting for another measurement on this machine{others}")
            time.sleep(LOOK_EVERY_S)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _tried(path: Path, kind: int) -> tuple[int | None, str]:
    """The file of a lock, which is held for as long as it is open, or None and who holds it. Raises OSError."""
    while True:
        descriptor = _opened(path)
        held = False
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            held = _is_there(descriptor, path)
            if held:
                return descriptor, ""
        except BlockingIOError:
            return None, _holders(descriptor)
        finally:
            if not held:  # also where it was removed meanwhile: others lock the one that took its place
                os.close(descriptor)


def _is_there(descriptor: int, path: Path) -> bool:
    """Whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False


def _holders(descriptor: int) -> str:
    """The processes that hold a lock, as far as the system tells."""
    try:
        inode = os.fstat(descriptor).st_ino
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return ""
    found = [line[4] for line in lines if line[1] == "FLOCK" and line[5].endswith(f":{inode}") and int(line[4]) > 0]
    return f" (process {', '.join(found)})" if found else ""

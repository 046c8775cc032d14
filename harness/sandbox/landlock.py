"""Landlock: which files a process may touch, and which processes and ports it may reach. For itself, for good."""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence

from harness.sandbox import kernel

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK = 1 << 6, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1
"""The rights of version 1: all above, and to remove and make files and folders."""
_LATER = ((2, 1 << 13), (3, TRUNCATE), (5, IOCTL_DEV))
"""(version, right): to link and rename between folders, to truncate, to give orders to devices."""
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
ABSTRACT_SOCKETS, SIGNALS = 1 << 0, 1 << 1
PATH_BENEATH = 1
SCOPES_SINCE, NETWORK_SINCE, TRUNCATE_SINCE, RENAMES_SINCE = 6, 4, 3, 2


def version() -> int:
    """The version of landlock's interface, 0 where there is none."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, 1)
    except OSError:
        return 0


def restrict(writable: Sequence[str], devices: Sequence[str], hidden: Sequence[str]) -> list[str]:
    """From now on this process, and all that it starts, may read files, but for those in `hidden`, and write in the
    folders of `writable` and to `devices` alone; no TCP; no signal and no abstract socket to others. What is below /dev
    is closed, but for the devices. So is what cannot be opened, such as a mount whose server is gone: each such path
    with its error is in the answer. Raises OSError.
    """
    abi = version()
    if not abi:
        raise OSError("the kernel has no landlock (Linux 5.13), or it is not switched on (lsm=landlock,...)")
    handled = _FIRST | sum(right for since, right in _LATER if abi >= since)
    network = BIND_TCP | CONNECT_TCP if abi >= NETWORK_SINCE else 0
    scoped = ABSTRACT_SOCKETS | SIGNALS if abi >= SCOPES_SINCE else 0
    size = 24 if abi >= SCOPES_SINCE else 16 if abi >= NETWORK_SINCE else 8
    rules = kernel.call("landlock_create_ruleset", struct.pack("=QQQ", handled, network, scoped), size, 0)
    closed: list[str] = []
    try:
        _allow(rules, "/", READ_DIR)
        opened = [(path, EXECUTE | READ_FILE) for path in readable("/", {"/dev", *hidden})]
        opened += [(path, handled & ~(MAKE_CHAR | MAKE_BLOCK)) for path in writable]
        opened += [(path, READ_FILE | WRITE_FILE | TRUNCATE | IOCTL_DEV) for path in devices]
        for path, rights in opened:
            try:
                _allow(rules, path, handled & rights)
            except (FileNotFoundError, PermissionError, NotADirectoryError):
                pass  # what is gone by now, or cannot even be looked at, needs no rule
            except OSError as error:  # without a rule it is closed: all else goes on
                closed.append(f"{path} ({error.strerror})")
        kernel.call("landlock_restrict_self", rules, 0)
    finally:
        os.close(rules)
    return closed


def _allow(rules: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        kernel.call("landlock_add_rule", rules, PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def readable(folder: str, hidden: Iterable[str]) -> Iterator[str]:
    """The files and folders, as few as possible, that hold everything below a folder but what is hidden.

    A link is left out: what it leads to is reached under its own name.
    """
    closed = set(hidden)
    above = {parent for path in closed for parent in _parents(path)}
    if folder not in above:
        yield folder
        return
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.path in closed or entry.is_symlink():
                continue
            if entry.path in above:
                yield from readable(entry.path, closed)
            else:
                yield entry.path


def _parents(path: str) -> Iterator[str]:
    while path != (up := os.path.dirname(path)):
        yield up
        path = up

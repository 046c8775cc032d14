"""Namespaces, where a user may make them: a file system of one's own, on which only chosen folders can be written."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from harness.sandbox import kernel

NEW_USER, NEW_MOUNTS, NEW_IPC = 0x10000000, 0x00020000, 0x08000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
READ_ONLY, NO_SUID = 1, 2
HERE, RECURSIVE = -100, 0x8000
SHARED_MEMORY = "/dev/shm"


def covers_shared_memory(scratch: str, writable: Sequence[str]) -> bool:
    """Whether the process gets a /dev/shm of its own: there is one, and no folder that it needs lies in it."""
    within = [one for one in (scratch, *writable) if one == SHARED_MEMORY or one.startswith(f"{SHARED_MEMORY}/")]
    return os.path.isdir(SHARED_MEMORY) and not within


def enter(scratch: str, writable: Sequence[str], largest_bytes: int) -> None:
    """Leave the namespaces of users, mounts and System V memory.

    In the new ones the scratch folder and /dev/shm are in memory, private and of limited size, the folders of
    `writable` are as they were, and all else cannot be written, by whatever call. Raises OSError; the process may then
    be in new namespaces that are as the old ones, which is no harm.
    """
    user, group = os.getuid(), os.getgid()
    kernel.unshare(NEW_USER | NEW_MOUNTS | NEW_IPC)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    kernel.mount("none", "/", "", MS_REC | MS_PRIVATE)
    options = f"size={largest_bytes},mode=0700,nr_inodes=65536"
    kernel.mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, options)
    open_again = [scratch]
    if covers_shared_memory(scratch, writable):
        kernel.mount("tmpfs", SHARED_MEMORY, "tmpfs", MS_NOSUID | MS_NODEV, options)
        open_again.append(SHARED_MEMORY)
    for folder in writable:
        kernel.mount(folder, folder, "", MS_BIND | MS_REC)
        open_again.append(folder)
    _set("/", RECURSIVE, READ_ONLY | NO_SUID, 0)
    for folder in open_again:
        _set(folder, 0, 0, READ_ONLY)
    os.chdir(scratch)


def _set(folder: str, flags: int, on: int, off: int) -> None:
    attributes = struct.pack("=QQQQ", on, off, 0, 0)
    kernel.call("mount_setattr", HERE, os.fsencode(folder), flags, attributes, len(attributes))

"""Renames between folders, which the first version of landlock refuses to everybody (Linux 5.13 to 5.18).

Caches of compiled kernels are written in a folder of their own and renamed into place. What is renamed by Python is
copied to its new folder instead, and renamed there: it is there whole or not at all, as before.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from typing import Any


def allow_between_folders() -> None:
    """Have os.rename and os.replace, and what is made of them (pathlib), work between folders in this process."""
    os.rename = _copying(os.rename)
    os.replace = _copying(os.replace)


def _copying(honest: Callable[..., None]) -> Callable[..., None]:
    def rename(src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        try:
            honest(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        except OSError as error:
            if error.errno != errno.EXDEV or not (src_dir_fd is dst_dir_fd is None):
                raise
            _move(os.fsdecode(src), os.fsdecode(dst), honest)

    return rename


def _move(source: str, target: str, rename: Callable[..., None]) -> None:
    import shutil

    beside = f"{target.rstrip('/')}.{secrets.token_hex(8)}"
    try:
        if os.path.isdir(source) and not os.path.islink(source):
            shutil.copytree(source, beside, symlinks=True, copy_function=_copy)
        else:
            _copy(source, beside)
        rename(beside, target)
    except BaseException:
        _remove(beside)
        raise
    _remove(source)


def _copy(source: str, target: str) -> str:
    """With its mode, which nobody can change later inside of the sandbox."""
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return target
    import shutil

    mode = os.stat(source).st_mode & 0o777
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode | 0o200)
    with open(source, "rb") as old, open(descriptor, "wb") as new:
        shutil.copyfileobj(old, new)
    return target


def _remove(path: str) -> None:
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        os.unlink(path)

"""Files that are there whole or not at all: what was there before stays until all of the new one is written."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, which takes its place when the context is left without an exception. What is no
    file (a pipe, /dev/stdout) is written to as it is. A link stays a link, and a file keeps its rights. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():
        yield path
        return
    target = path.resolve()
    partial = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}{target.suffix}")
    try:
        yield partial
        with contextlib.suppress(FileNotFoundError):
            os.chmod(partial, stat.S_IMODE(target.stat().st_mode))
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # else a full disk, or the power, could leave an empty file under the good name
        partial.replace(target)
    except OSError as error:
        if error.filename is None:  # a full disk is noticed by a write, which knows no name
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str, errors: str = "strict") -> None:
    """Write a text as UTF-8, whole or not at all. Raises OSError."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", errors=errors)

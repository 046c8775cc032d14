"""Where things are kept that can be made again, and who may write there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

OF_THIS_WORKER = "KERNEL_HARNESS_CACHE"
"""The environment variable that names the folder which a worker may write."""


def folder() -> Path:
    """The folder of this project's caches: under XDG_CACHE_HOME, or ~/.cache. It may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kernel-harness"


def of_worker(plugin: str) -> Path:
    """What a worker of this plugin file ("": of what is built in) may write of the cache: one folder, which is made.

    What is built in writes where all read. A plugin has a folder of its own, and another one when its file changes:
    what it leaves there is loaded by nobody else.
    """
    place = folder()
    if plugin:
        digest = hashlib.sha256(plugin.encode() + b"\0")
        with contextlib.suppress(OSError):
            digest.update(Path(plugin).read_bytes())
        place = place / "plugins" / digest.hexdigest()[:20]
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    return place


def kept(kind: str, name: str) -> Path:
    """Where a thing of the cache lies, or is to be put by this process: among what all share, if it is there."""
    shared = folder() / kind / name
    own = os.environ.get(OF_THIS_WORKER)
    return shared if own is None or shared.exists() else Path(own) / kind / name


def unfinished(file: Path) -> Path:
    """A name beside `file` that nobody else uses or can guess; a finished file is moved from there to its place."""
    return file.with_name(f"{file.name}.{secrets.token_hex(8)}")

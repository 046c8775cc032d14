"""Where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """The folder of this project's caches: under XDG_CACHE_HOME, or ~/.cache. It may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kernel-harness"

"""Other work on the machine, made on purpose."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

# it ends with its parent, even where that is killed: it asks now and then whose child it is
_LOOP = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(10**6):
        pass
"""


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """So many processes that each keep a core busy, while the context lasts."""
    running = [subprocess.Popen([sys.executable, "-c", _LOOP], stdin=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
        for one in running:
            one.wait()

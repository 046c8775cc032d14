"""Who writes a run: a lock that the system or the server lets go of when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

ATTEMPTS = 5
LOOK_S = 30.0
"""How often who writes looks whether the server still keeps its claims; sooner where a connection was lost."""
_BACKEND = sa.text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
_END_OF_BACKEND = sa.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid AND backend_start = :began"
)
"""Of a session whose connection broke, which the server may not have noticed: it would keep the claims for hours."""


def number_of(run_id: str) -> int:
    """The advisory lock on PostgreSQL that says that a run goes on."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:8], signed=True)


def lock_file(path: Path, held: contextlib.ExitStack) -> bool:
    """A lock that the kernel lets go of when this process ends, however it does. The file goes with the claim."""
    refused = 0
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        except OSError:
            return True  # a folder that takes no new file: there is nothing to lock with
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            refused += 1
            if refused == ATTEMPTS:
                return False
            time.sleep(0.01)  # who only asks whether the run goes on has it for a moment
            continue
        except OSError:
            pass  # a file system without such locks
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                break
        os.close(descriptor)  # its owner has just removed it
    held.callback(os.close, descriptor)
    held.callback(path.unlink, missing_ok=True)
    return True


def is_locked(path: Path) -> bool:
    """Whether another description of this file holds its lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without such locks
    finally:
        os.close(descriptor)
    return False


class Session:
    """A session of PostgreSQL that keeps the claims of a process: each is a lock that the server lets go of when the
    session ends, however it ends; so too where the server restarts, and then `keep` has them again."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._backend: Mapping[str, Any] = {}
        self._locked: set[int] = set()
        self._lost: set[int] = set()
        self._guard = threading.Lock()
        self._is_doubtful = False
        self._looked_s = 0.0
        sa.event.listen(engine, "connect", self._doubt)

    def _doubt(self, *_: object) -> None:
        """A new connection was needed: perhaps since the server ended all that there were."""
        self._is_doubtful = True

    def lock(self, number: int) -> bool:
        """Whether nobody has it, this process included. Raises sqlalchemy.exc.DBAPIError."""
        with self._guard:
            if number in self._locked:
                return False  # the server would give it once more to the session that has it
            self._is_doubtful = True
            self._keep()
            if self._connection is None:
                self._connect()
            return self._lock(number)

    def keep(self) -> None:
        """Have again what the server let go of; what another process has by now is lost for good. Raises
        sqlalchemy.exc.DBAPIError."""
        with self._guard:
            if self._locked:
                self._keep()

    def is_lost(self, number: int) -> bool:
        return number in self._lost

    def unlock(self, number: int) -> None:
        with self._guard:
            self._locked.discard(number)
            if self._connection is not None:
                with contextlib.suppress(sa.exc.DBAPIError):
                    self._ask(sa.select(sa.func.pg_advisory_unlock(number)))

    def close(self) -> None:
        with self._guard:
            self._locked.clear()
            self._end()

    def _keep(self) -> None:
        if self._connection is not None and (self._is_doubtful or time.monotonic() >= self._looked_s + LOOK_S):
            with contextlib.suppress(sa.exc.DBAPIError):
                self._ask(sa.select(1))
                self._is_doubtful, self._looked_s = False, time.monotonic()
        if self._connection is None and self._locked:
            before = self._backend
            self._connect()
            if before:
                self._ask(_END_OF_BACKEND.bindparams(**before))
            for number in sorted(self._locked):
                self._lock_again(number)

    def _lock_again(self, number: int) -> None:
        for _ in range(ATTEMPTS):
            if self._lock(number):
                return
            time.sleep(0.1)  # the old session takes a moment to end
        self._locked.discard(number)
        self._lost.add(number)

    def _lock(self, number: int) -> bool:
        found = bool(self._ask(sa.select(sa.func.pg_try_advisory_lock(number))))
        if found:
            self._locked.add(number)
            self._lost.discard(number)
        return found

    def _connect(self) -> None:
        self._connection = self._engine.connect()
        pid, began = self._ask(_BACKEND, row=True)
        self._backend = {"pid": pid, "began": began}
        self._is_doubtful, self._looked_s = False, time.monotonic()

    def _ask(self, query: Any, row: bool = False) -> Any:
        """In a transaction of its own: the locks are the session's."""
        assert self._connection is not None
        try:
            found = self._connection.execute(query).first()
            self._connection.commit()
        except sa.exc.DBAPIError:
            self._end()
            raise
        return found if row or found is None else found[0]

    def _end(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sa.exc.DBAPIError):
                self._connection.invalidate()
            self._connection.close()
            self._connection = None

"""RECORD: the database behind a store: how it is opened, how long it is waited for, what is said and saved when it is
lost, and who goes on with a run."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from harness import claims, migrations
from harness.complaints import without_passwords, words
from harness.location import shown
from harness.sandbox.policy import hide
from harness.schema import StoreError

PATIENCE_S = 30.0
"""How long a write waits: for the lock of another process on SQLite, for a server of PostgreSQL that restarts."""
CONNECT_S = 10
"""How long a server may take to answer at all."""
WAL_ATTEMPTS = 40
CACHE_KIB = 65_536
"""Of a file's pages; a run adds to the times of all of its tasks, which lie in as many places."""
READS = "harness_reads"
UNCHANGED = "harness_unchanged"
"""Of a connection's `info`: raises StoreLost where the file that it reads was written to since."""
POSTGRES = "postgresql+psycopg"
Result = TypeVar("Result")


class StoreLost(StoreError):
    """A store that was open and cannot be used any more. What was stored before is stored."""


class Database:
    """An open database with the tables of a store."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        self.engine = engine
        self._name = name
        self._file = _file_of(engine)
        self._anchor = None if self._file is None else _Anchor(self._file)
        self._session = claims.Session(engine)
        self._held = contextlib.ExitStack()

    @staticmethod
    def open(given: str) -> Database:
        """Open or create: an SQLAlchemy URL, or a file's path. Raises StoreError."""
        target, name = _url(given), shown(given)
        try:
            engine = sa.create_engine(target, **_options(target))
        except (ImportError, sa.exc.NoSuchModuleError) as error:
            raise StoreError(
                f"--store {name}: {error}; for PostgreSQL: pip install 'kernel-harness[postgres]'"
            ) from None
        try:
            if engine.dialect.name == "sqlite":
                name = target.render_as_string()
                _configure_sqlite(engine)
                if (file := _file_of(engine)) is not None:
                    hide(file)
                    file.parent.mkdir(parents=True, exist_ok=True)
            with engine.connect().execution_options(**{READS: True}) as connection:
                is_current = migrations.is_current(connection)
            if not is_current:
                with engine.begin() as connection:
                    migrations.bring_up_to_date(connection)
            return Database(engine, name)
        except OSError as error:
            engine.dispose()
            raise StoreError(
                f"--store {name}: {error.strerror}: {error.filename}; name a file that can be made"
            ) from None
        except StoreError as error:
            engine.dispose()
            raise StoreError(f"--store {name}: {error}") from None
        except (sa.exc.DBAPIError, sqlite3.Error, UnicodeDecodeError) as error:
            engine.dispose()
            raise StoreError(f"--store {name}: {without_passwords(given, words(error, _file_of(engine)))}") from None

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read by; on SQLite it is in nobody's way. Raises StoreLost."""
        self._require_file()
        with self._translated(), self.engine.connect().execution_options(**{READS: True}) as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction: all of it or nothing. Raises StoreLost, and sqlalchemy.exc.IntegrityError as it is."""
        self._require_file()
        with self._translated(), self.engine.begin() as connection:
            yield connection

    def write(self, run_id: str, work: Callable[[sa.Connection, bool], Result]) -> Result:
        """`work(connection, again)` in a transaction, which is tried again while a server restarts: `again` says that
        an earlier attempt may have been stored, though its success was not heard of. Raises StoreLost, also where this
        process had claimed the run and another has taken it up after such a restart."""
        end_s = time.monotonic() + PATIENCE_S
        for attempt in range(1_000_000):
            try:
                with self.writing() as connection:
                    self._require_claim(run_id)
                    return work(connection, attempt > 0)
            except StoreLost as lost:
                if not _may_come_back(lost.__cause__) or time.monotonic() >= end_s:
                    raise
                time.sleep(min(1.0, 0.05 * 2**attempt))
        raise AssertionError("unreachable")

    def claim(self, run_id: str) -> bool:
        """Whether this process is the one that writes a run from now on, until it closes the database or ends."""
        return self._claim(run_id, self._held)

    @contextlib.contextmanager
    def claimed(self, run_id: str) -> Iterator[bool]:
        """As `claim`, until the end of the block."""
        with contextlib.ExitStack() as held:
            yield self._claim(run_id, held)

    def _claim(self, run_id: str, held: contextlib.ExitStack) -> bool:
        if self._file is not None:
            return claims.lock_file(Path(f"{self._file}.{run_id}.lock"), held)
        if self.engine.dialect.name != "postgresql":
            return True
        number = claims.number_of(run_id)
        with self._translated():
            if not self._session.lock(number):
                return False
        held.callback(self._session.unlock, number)
        return True

    def _require_claim(self, run_id: str) -> None:
        """Where the server restarted, its claims are made anew: as a new connection is there that told of it."""
        self._session.keep()
        if self._session.is_lost(claims.number_of(run_id)):
            raise StoreLost(
                f"the store {self._name}: its server let go of run {run_id} as it restarted, and another process has "
                "taken it up"
            )

    def goes_on(self, run_id: str) -> bool:
        """Whether a process, this one included, has claimed a run and not ended. Nothing is claimed or written."""
        if self._file is not None:
            return claims.is_locked(Path(f"{self._file}.{run_id}.lock"))
        if self.engine.dialect.name != "postgresql":
            return False
        number = claims.number_of(run_id) % 2**64
        held = sa.text(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
            "WHERE datname = current_database() AND locktype = 'advisory' AND granted AND objsubid = 1 "
            "AND classid::bigint = :high AND objid::bigint = :low"
        )
        with self.reading() as connection:
            return bool(connection.scalar(held, {"high": number >> 32, "low": number % 2**32}))

    def close(self) -> None:
        self._held.close()
        self._session.close()
        if self._anchor is not None:
            self._anchor.close()
        self.engine.dispose()

    def _require_file(self) -> None:
        """SQLite writes on into a file that was removed, and says nothing."""
        if self._anchor is not None and self._anchor.is_gone():
            raise StoreLost(self._anchor.rescue())

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except (sa.exc.ProgrammingError, sa.exc.InterfaceError, sa.exc.DataError) as error:
            if self._file is not None:  # SQLite says so of a mistake in this program, and of nothing else
                raise
            raise StoreLost(f"the store {self._name}: {words(error, None)}") from error
        except (sa.exc.DBAPIError, sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreLost(f"the store {self._name}: {words(error, self._file)}") from error


class _Anchor:
    """A connection that keeps an SQLite file open, so that what is in it can be saved where its name is taken away."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the write-ahead log too
        found = os.stat(path)
        self._identity = found.st_dev, found.st_ino
        self._lock = threading.Lock()
        self._said = ""

    def is_gone(self) -> bool:
        try:
            found = os.stat(self._path)
        except OSError:
            return True
        return (found.st_dev, found.st_ino) != self._identity

    def rescue(self) -> str:
        """Copy what the file held to a name beside it, once; and say so."""
        with self._lock:
            if self._said:
                return self._said
            copy = self._path.with_name(f"{self._path.stem}.rescued-{secrets.token_hex(3)}{self._path.suffix}")
            self._said = f"the store {self._path} was removed or replaced while it was in use"
            try:
                copy.parent.mkdir(parents=True, exist_ok=True)
                self._connection.execute("VACUUM INTO ?", (str(copy),))
                self._said += f"; what it held is saved as {copy}: name that with --store, or move it back"
            except (OSError, sqlite3.Error) as error:
                self._said += f", and it could not be saved ({error}); name another --store"
            return self._said

    def close(self) -> None:
        self._connection.close()


def _url(given: str) -> sa.URL:
    """A URL, for PostgreSQL with the driver of the extra; anything without a scheme is a file of SQLite."""
    if "://" not in given:
        return sa.URL.create("sqlite", database=given)
    try:
        found = sa.make_url(given)
    except (sa.exc.ArgumentError, ValueError):  # the second: a port that is none
        raise StoreError(f"--store {shown(given)}: no URL that SQLAlchemy knows, and no path") from None
    return found.set(drivername=POSTGRES) if found.drivername in ("postgresql", "postgres") else found


def _options(target: sa.URL) -> dict[str, Any]:
    """What an engine is told beside its URL; what the URL says goes before it."""
    if target.get_backend_name() == "sqlite":
        return {}
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server that was restarted meanwhile gets a new connection
    if target.drivername == POSTGRES:
        ours = {"connect_timeout": CONNECT_S, "application_name": "kernel-harness", "client_encoding": "utf8"}
        options["connect_args"] = {name: value for name, value in ours.items() if name not in target.query}
    return options


def _file_of(engine: sa.Engine) -> Path | None:
    """The file of an SQLite database; None in memory, and for all others."""
    name = engine.url.database
    plain = engine.dialect.name == "sqlite" and name and name != ":memory:" and not name.startswith("file:")
    return Path(str(name)) if plain else None


def _configure_sqlite(engine: sa.Engine) -> None:
    """WAL, so that reports can read while a run writes; BEGIN IMMEDIATE, so that two writers wait for each other."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we emit BEGIN ourselves
        settings = (f"busy_timeout={round(PATIENCE_S * 1000)}", "synchronous=NORMAL", "foreign_keys=ON")
        for pragma in (*settings, f"cache_size=-{CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        connection.create_aggregate("harness_median", 1, Median)
        _write_ahead(connection)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        reads = connection.get_execution_options().get(READS, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


class Median:
    """The median of whole numbers, which SQLite lacks; null where there is none, exact up to 2**53."""

    def __init__(self) -> None:
        self._found: list[int | None] = []
        self.step = self._found.append  # a list's own method: SQLite calls it a million times

    def finalize(self) -> float | None:
        found = sorted(one for one in self._found if one is not None)
        return (found[(len(found) - 1) // 2] + found[len(found) // 2]) / 2 if found else None


def _write_ahead(connection: Any) -> None:
    """Switch to WAL. While another process switches the same new file, SQLite says "locked" at once, whatever the busy
    timeout is; so it is asked again."""
    for attempt in range(1, WAL_ATTEMPTS + 1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if attempt == WAL_ATTEMPTS or not error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise
            time.sleep(0.01 * attempt)


def _may_come_back(cause: BaseException | None) -> bool:
    """Whether waiting may help: the connection to a server was lost, or none can be made."""
    if not isinstance(cause, sa.exc.DBAPIError) or getattr(cause.orig, "sqlite_errorname", None):
        return False
    return cause.connection_invalidated or isinstance(cause, sa.exc.OperationalError)

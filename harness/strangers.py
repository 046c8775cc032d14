"""RECORD: a store of somebody else, opened only to read.

A file of SQLite may hold views and triggers, tables that are none, columns that are calculated, and any type in any
column. Nothing of that is met here, and the file stays as it is. A file by itself gets nothing beside it; one with a
write-ahead log (NAME-wal) gets that log's index (NAME-shm) where it is missing, since SQLite reads no log without.

A store of this version is read where it lies, since a copy of gigabytes takes longer than any question. What runs by
itself in a file of SQLite runs either when something is written (triggers, checks, defaults, expressions of indexes),
which a connection that may only read never does, or when a name is read that is a view, a virtual table or a calculated
column. So each connection begins one transaction, which sees one state of the file to its end, looks in it whether our
tables are plain tables with plain columns, and only then asks them: nobody can exchange a table in between. A file that
nobody writes to (no log beside it) is opened as immutable, so that SQLite makes no log and no lock; whether it was
written to meanwhile is then seen by its size and time, and said.

An older version is upgraded in a copy, without what would run by itself. `harness.rows` checks every value.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from harness import migrations
from harness.complaints import words
from harness.database import PATIENCE_S, UNCHANGED, Database, Median, StoreLost
from harness.documents import harmless, shown_path
from harness.sandbox.policy import hide
from harness.schema import StoreError, metadata
from harness.scratch import Scratch
from harness.store import Store

MAGIC = b"SQLite format 3\0"
LONGEST_CELL = 200_000_000
"""Bytes; a file of another tool that was imported is one cell."""
PAGES = 4096
"""How many pages are copied before others may write again."""


@contextlib.contextmanager
def opened_to_read(given: str) -> Iterator[Store]:
    """A store by its file or URL, for reading only; a server is opened as it is. Raises StoreError."""
    path = _file(given)
    if path is None or not path.exists():
        with Store.open(given if path is None else ":memory:") as store:
            yield store
        return
    where = f"--store {shown_path(path)}"
    _require_sqlite(path, where)
    with contextlib.ExitStack() as stack:
        place, copy = _InPlace(path, where), path
        try:
            if place.is_current():
                hide(path)
                store = Store(place)
            else:
                copy = Path(stack.enter_context(Scratch("store"))) / "store.sqlite"
                _copy(path, copy, where)
                store = Store.open(str(copy))
            yield stack.enter_context(store)
        except StoreError as error:
            said, name = str(error).replace(str(copy), shown_path(path)), shown_path(path)
            raise StoreError(said if name in said else f"{where}: {said}") from None


class _InPlace(Database):
    """A file of SQLite where it lies. Each connection is one transaction on a state of it that was looked at; nothing
    can be written."""

    def __init__(self, path: Path, where: str) -> None:
        engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.pool.NullPool)
        super().__init__(engine, shown_path(path))
        self._file = path
        self._path = path
        self._where = where
        sa.event.listen(self.engine, "begin", self._begin)

    def is_current(self) -> bool:
        """Whether it is of this very version. Raises StoreError for a newer one, and for what is no store."""
        with self.reading() as connection:
            return migrations.is_current(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection to read by. Raises StoreLost, and StoreError for a file that is no store of ours."""
        before = self._state() if _is_alone(self._path) else None
        try:
            with self.engine.connect() as connection:
                # who keeps what was read asks once more before
                connection.info[UNCHANGED] = lambda: self._require_same(before)
                yield connection
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(f"{self._where}: cannot be read: {error.strerror}") from None
        except (sa.exc.DBAPIError, sqlite3.Error, UnicodeDecodeError, ValueError) as error:
            self._require_same(before)
            said = harmless(words(error, self._path), 500)
            raise StoreError(f"{self._where}: is no store, or is damaged: {said}") from None
        self._require_same(before)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(_to_read(self._path), uri=True, timeout=PATIENCE_S, isolation_level=None)
        _restrain(connection)
        connection.execute("PRAGMA query_only=ON")
        connection.create_aggregate("harness_median", 1, Median)  # type: ignore[arg-type]
        return connection

    def _begin(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")
        driver: Any = connection.connection.driver_connection
        _require_plain(driver, self._where)

    def _state(self) -> tuple[int, ...] | None:
        """What changes when the file itself is written to."""
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _require_same(self, before: tuple[int, ...] | None) -> None:
        if before is not None and self._state() != before:
            raise StoreLost(f"{self._where}: was written to while it was read; type the same again")


def _file(given: str) -> Path | None:
    """The file of a store of SQLite; None for a server, and for what SQLite itself shall take apart."""
    if "://" not in given:
        return None if given.startswith((":memory:", "file:")) else Path(given)
    plain = given.startswith("sqlite:///") and "?" not in given and not given.startswith("sqlite:///file:")
    return Path(given.removeprefix("sqlite:///")) if plain and given != "sqlite:///:memory:" else None


def _is_alone(path: Path) -> bool:
    """Whether nobody has written what is not in the file itself yet."""
    return not Path(f"{path}-wal").exists() and not Path(f"{path}-journal").exists()


def _to_read(path: Path) -> str:
    """The file for SQLite. Without a log nobody writes, and it is told so: else it would leave files beside it. With a
    log it makes the log's index, if that is missing."""
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if _is_alone(path) else ''}"


def _require_sqlite(path: Path, where: str) -> None:
    try:
        if not path.is_file():
            raise StoreError(f"{where}: is no file")
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise StoreError(f"{where}: cannot be read: {error.strerror}") from None
    if head and head != MAGIC:
        raise StoreError(f"{where}: is no store: it does not begin as a file of SQLite does")


def _copy(path: Path, copy: Path, where: str) -> None:
    """The file as it is now, with what is in its write-ahead log, made harmless. Raises StoreError."""
    try:
        with (
            contextlib.closing(sqlite3.connect(_to_read(path), uri=True, timeout=PATIENCE_S)) as theirs,
            contextlib.closing(sqlite3.connect(copy)) as ours,
        ):
            theirs.backup(ours, pages=PAGES)
            _make_harmless(ours, where)
    except OSError as error:
        raise StoreError(f"{where}: cannot be read: {error.strerror}") from None
    except (sqlite3.Error, UnicodeDecodeError, ValueError) as error:
        if isinstance(error, StoreError):
            raise
        if getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            room = f"make room in {copy.parent.parent}, or name another place by TMPDIR"
            raise StoreError(f"{where}: cannot be copied to read it: {harmless(str(error), 200)}; {room}") from None
        raise StoreError(f"{where}: is no store, or is damaged: {harmless(words(error, path), 500)}") from None


def _make_harmless(connection: sqlite3.Connection, where: str) -> None:
    """Drop what runs by itself; refuse a table of ours that is none. Raises StoreError, sqlite3.Error."""
    connection.isolation_level = None
    _restrain(connection)
    connection.execute("PRAGMA journal_mode=DELETE")
    for kind, name in connection.execute("SELECT type, name FROM sqlite_master").fetchall():
        if kind in ("view", "trigger") and str(name).lower() not in metadata.tables:
            quoted = str(name).replace('"', '""')
            connection.execute(f'DROP {kind} "{quoted}"')
    _require_plain(connection, where)


def _restrain(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_CELL)
    for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "recursive_triggers=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _require_plain(connection: sqlite3.Connection, where: str) -> None:
    """Raises StoreError where a table of ours is none, or has columns that run something; sqlite3.Error."""
    known = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    tables = {str(name).lower(): (kind, str(sql)) for kind, name, sql in known}
    for table in metadata.tables:
        if table not in tables:
            continue
        kind, sql = tables[table]
        if kind != "table" or not sql.lstrip().upper().startswith("CREATE TABLE"):
            raise StoreError(f"{where}: {table} is no plain table there; it is no store of ours")
        # 2 and 3 are columns that are calculated as they are read
        if any(column[6] > 1 for column in connection.execute(f'PRAGMA table_xinfo("{table}")')):
            raise StoreError(f"{where}: the table {table} has columns that are calculated; it is no store of ours")

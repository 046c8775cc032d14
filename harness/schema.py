"""RECORD: the tables of a store, their version, and what an engine of SQLite has to be told."""

from __future__ import annotations

import sqlite3
import time
import types
import typing
from typing import Any

import sqlalchemy as sa

from harness.record import Noise, Record, Sample

SCHEMA_VERSION = 3
WAL_ATTEMPTS = 40


class StoreError(ValueError):
    """A store that cannot be used; the message says what is wrong and what to type."""


def _columns(row: type) -> list[sa.Column[Any]]:
    """One database column per field of a dataclass."""
    kinds: dict[type, Any] = {str: sa.Text, int: sa.BigInteger, float: sa.Float(53), bool: sa.Boolean}
    columns: list[sa.Column[Any]] = []
    for name, hint in typing.get_type_hints(row).items():
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
        (kind,) = (one for one in options if one is not type(None))
        columns.append(sa.Column(name, kinds[kind], nullable=type(None) in options))
    return columns


metadata = sa.MetaData()
version = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))
machines_table = sa.Table(
    "machines",
    metadata,
    sa.Column("machine_id", sa.String(40), primary_key=True),
    sa.Column("first_seen", sa.Text, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
)
runs_table = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", sa.String(40), primary_key=True),
    sa.Column("started_at", sa.Text, nullable=False),
    sa.Column("finished_at", sa.Text),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("selectors", sa.Text, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("budget_s", sa.Float(53)),
    sa.Column("machine_id", sa.String(40), nullable=False),
    sa.Column("commit", sa.Text),
    sa.Column("dirty", sa.Boolean),
    sa.Column("exit_code", sa.Integer),
    sa.Column("admission", sa.Text),
    sa.Column("notes", sa.Text),
    sa.Column("ceiling", sa.Text),
    sa.Column("used_by_others", sa.Float(53)),
)
records_table = sa.Table(
    "records",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("phase", sa.String(10), nullable=False),
    *_columns(Record),
    sa.UniqueConstraint("run_id", "phase", "operator", "backend", "implementation", "case"),
)
samples_table = sa.Table(
    "samples",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(40), nullable=False, index=True),
    *_columns(Sample),
)
noise_table = sa.Table(
    "noise",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    *_columns(Noise),
)


def configure_sqlite(engine: sa.Engine) -> None:
    """WAL, so that reports can read while a run writes; BEGIN IMMEDIATE, so that two writers wait for each other."""

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we emit BEGIN ourselves
        for pragma in ("busy_timeout=30000", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")
        _write_ahead(connection)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _write_ahead(connection: Any) -> None:
    """Switch to WAL. While another process switches the same new file, SQLite says "locked" at once, whatever the busy
    timeout is; so it is asked again."""
    for attempt in range(1, WAL_ATTEMPTS + 1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if attempt == WAL_ATTEMPTS:
                raise
            time.sleep(0.01 * attempt)


def check_version(engine: sa.Engine) -> None:
    """Refuse a newer store; give an older one the columns that it lacks (they hold null)."""
    with engine.begin() as connection:
        row = connection.execute(sa.select(version.c.version)).first()
        if row is None:
            connection.execute(version.insert(), {"version": SCHEMA_VERSION})
        elif row[0] < SCHEMA_VERSION:
            for table in (records_table, samples_table):
                present = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
                for column in table.columns:
                    if column.name not in present:
                        kind = column.type.compile(engine.dialect)
                        connection.exec_driver_sql(f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {kind}')
            connection.execute(version.update().values(version=SCHEMA_VERSION))
        elif row[0] > SCHEMA_VERSION:
            raise StoreError(
                f"the store was written by a newer kernel-harness (schema {row[0]}, this one knows {SCHEMA_VERSION}); "
                "upgrade, or name another --store"
            )

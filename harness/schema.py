"""RECORD: the tables of a store. What became of them from version to version is in harness.migrations."""

from __future__ import annotations

import hashlib
import types
import typing
from typing import Any

import sqlalchemy as sa

from harness.record import Noise, Record, Sample

SCHEMA_VERSION = 8


class StoreError(ValueError):
    """A store that cannot be used; the message says what is wrong and what to type."""


# text is ordered and compared by its code points, as SQLite and Python do: the same answers everywhere, and PostgreSQL
# sorts it several times as fast as by the rules of a language
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""Of rows in the order in which they were made. SQLite counts up by itself only what is called INTEGER there."""


def _key(length: int) -> Any:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _columns(row: type) -> list[sa.Column[Any]]:
    """One database column per field of a dataclass."""
    kinds: dict[type, Any] = {str: TEXT, int: sa.BigInteger, float: sa.Float(53), bool: sa.Boolean}
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
    sa.Column("machine_id", _key(40), primary_key=True),
    sa.Column("first_seen", TEXT, nullable=False),
    sa.Column("description", TEXT, nullable=False),
)
runs_table = sa.Table(
    "runs",
    metadata,
    sa.Column("run_id", _key(40), primary_key=True),
    sa.Column("started_at", TEXT, nullable=False),
    sa.Column("finished_at", TEXT),
    sa.Column("command", TEXT, nullable=False),
    sa.Column("selectors", TEXT, nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("budget_s", sa.Float(53)),
    sa.Column("machine_id", _key(40), nullable=False),
    sa.Column("commit", TEXT),
    sa.Column("dirty", sa.Boolean),
    sa.Column("exit_code", sa.Integer),
    sa.Column("admission", TEXT),
    sa.Column("notes", TEXT),
    sa.Column("ceiling", TEXT),
    sa.Column("used_by_others", sa.Float(53)),
    sa.Column("shard", TEXT),
    sa.Column("deal", TEXT),
)
members_table = sa.Table(
    "members",
    metadata,
    sa.Column("run_id", _key(40), primary_key=True),
    sa.Column("machine_id", _key(40), primary_key=True),
    sa.Column("ceiling", TEXT),
    sa.Column("used_by_others", sa.Float(53)),
)
"""The machines of a run that had several: what `runs` says of the one machine of all others."""
records_table = sa.Table(
    "records",
    metadata,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
    sa.Column("phase", _key(10), nullable=False),
    *_columns(Record),
    sa.UniqueConstraint("run_id", "phase", "operator", "backend", "implementation", "case"),
)
IS_TIMING = records_table.c.phase == sa.literal_column("'bench'")
"""Of the rows of a run those of its timing. It is no parameter, since an index that holds only these is used for
queries that say so themselves."""
history_index = sa.Index(
    "ix_records_history",
    # a task's rows lie together; what follows is all that a median needs, so that the rows themselves are not read
    *(records_table.c[name] for name in ("operator", "backend", "implementation", "case", "machine_id", "run_id")),
    # with the last, SQLite need not look at the rows to see that they are of timing
    *(records_table.c[name] for name in ("status", "median_ns", "phase")),
    sqlite_where=IS_TIMING,
    postgresql_where=IS_TIMING,
)
samples_table = sa.Table(
    "samples",
    metadata,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
    # no index by task: readings are asked for by run, and those of a run lie together
    sa.Column("run_id", _key(40), nullable=False, index=True),
    *_columns(Sample),
)
noise_table = sa.Table(
    "noise",
    metadata,
    sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
    *_columns(Noise),
)
imports_table = sa.Table(
    "imports",
    metadata,
    sa.Column("run_id", _key(40), primary_key=True),
    sa.Column("format", TEXT, nullable=False),
    sa.Column("files", TEXT, nullable=False),
    # null only where a store from before version 5 held a file twice
    sa.Column("identity", _key(64)),
    sa.Index("ix_imports_identity", "identity", unique=True),
)
"""What imported runs were read from: a JSON object of texts by file name, the results first, so that nothing of them is
lost; and what makes two imports the same, which the database holds once."""


def import_identity(format: str, results: str, machine_id: str | None, commit: str | None) -> str:
    """64 hex digits over the text of a file of results, and what it is of; `machine_id` is None where that is unknown.

    What lies beside the file is not in it: asv's benchmarks.json changes with every benchmark that is added.
    """
    head = f"{format}\0{machine_id or ''}\0{commit or ''}\0"
    return hashlib.sha256((head + results).encode("utf-8", "surrogatepass")).hexdigest()

"""RECORD: the versions of a store. Each is a step from the one before; a step only adds, and nothing that is stored
gets lost. All steps of a store are one transaction, under a lock: who comes second finds it done.

Version 1 had the tables machines, runs, records and samples. A step may meet what it adds: a table that an older store
lacks altogether is made as it is today.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping

import sqlalchemy as sa

from harness.schema import (
    SCHEMA_VERSION,
    StoreError,
    history_index,
    import_identity,
    imports_table,
    metadata,
    runs_table,
    samples_table,
    version,
)

LOCK = 0x6B65726E656C
"""The number of the lock on PostgreSQL that is held while a store is looked at and brought up to date. A row's lock
would not do: a new store has no row. On SQLite, BEGIN IMMEDIATE has locked all."""


def is_current(connection: sa.Connection) -> bool:
    """Whether the store is of this very version and has all of its tables, so that nothing need be written. Raises
    StoreError for a newer one, and for what is no store of ours."""
    present = set(sa.inspect(connection).get_table_names())
    return _version_of(connection, present) == SCHEMA_VERSION and present.issuperset(metadata.tables)


def bring_up_to_date(connection: sa.Connection) -> None:
    """Make what the store lacks, in the transaction of this connection. Raises StoreError for a newer one, and for what
    is no store of ours."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    present = set(sa.inspect(connection).get_table_names()) & set(metadata.tables)
    found = _version_of(connection, present)
    if not present:
        _require_unicode(connection)
    metadata.create_all(connection)
    if present:
        # tables without a version are of one whose process ended before it could say so: it may be any
        for number in range(max(found or 1, 1) + 1, SCHEMA_VERSION + 1):
            STEPS[number](connection)
    if found is None:
        connection.execute(version.insert(), {"version": SCHEMA_VERSION})
    elif found < SCHEMA_VERSION:
        connection.execute(version.update().values(version=SCHEMA_VERSION))


def _version_of(connection: sa.Connection, present: Collection[str]) -> int | None:
    """None where it is not said. Raises StoreError for a newer one, and for what is none."""
    row = connection.execute(sa.select(version.c.version)).first() if version.name in present else None
    if row is None:
        return None
    if type(row[0]) is not int:
        raise StoreError("the store's schema_version is no whole number; it is no store of ours")
    if row[0] > SCHEMA_VERSION:
        raise StoreError(
            f"the store was written by a newer kernel-harness (schema {row[0]}, this one knows {SCHEMA_VERSION}); "
            "upgrade, or name another --store"
        )
    return row[0]


def _require_unicode(connection: sa.Connection) -> None:
    """Raises StoreError where a new store could not hold every name."""
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise StoreError(
                f"the database's encoding is {encoding}, which does not hold every name; make one for the store: "
                "createdb --encoding=UTF8 --template=template0 NAME"
            )


def _known(connection: sa.Connection) -> None:
    """Version 2: failures that are known; how much others used the machine, which the first stores lack too."""
    _add(connection, "records", known="TEXT")
    _add(connection, "runs", used_by_others="FLOAT")


def _evidence(connection: sa.Connection) -> None:
    """Version 3: what the system says of a reading, a device's own clock. The table noise is new."""
    counts = ("device_ns", "minor_faults", "major_faults", "voluntary_switches", "involuntary_switches")
    _add(connection, "samples", **dict.fromkeys((*counts, "run_delay_ns", "steal_ns"), "BIGINT"))
    _add(connection, "samples", others_share="FLOAT", throttled="BOOLEAN", contaminated="TEXT")


def _imports(connection: sa.Connection) -> None:
    """Version 4: what other tools measured may have no CPU time. The table imports is new."""
    columns = {column["name"]: column for column in sa.inspect(connection).get_columns(samples_table.name)}
    if columns["cpu_ns"]["nullable"]:
        return
    if connection.dialect.name == "sqlite":
        _remake_samples(connection)
    else:
        connection.exec_driver_sql("ALTER TABLE samples ALTER COLUMN cpu_ns DROP NOT NULL")


def _remake_samples(connection: sa.Connection) -> None:
    """SQLite changes no column in place: the table is made again, inside the transaction. The new one is renamed and
    not the old one, which would take the views of it along; indexes and triggers go with a table and are made again."""
    query = "SELECT sql FROM sqlite_master WHERE tbl_name = 'samples' AND type IN ('index', 'trigger')"
    attached = [row[0] for row in connection.exec_driver_sql(query) if row[0]]
    made = samples_table.to_metadata(sa.MetaData(), name="samples_new")
    connection.execute(sa.schema.CreateTable(made))
    present = {column["name"] for column in sa.inspect(connection).get_columns("samples")}
    names = ", ".join(f'"{column.name}"' for column in samples_table.columns if column.name in present)
    connection.exec_driver_sql(f"INSERT INTO samples_new ({names}) SELECT {names} FROM samples")
    connection.exec_driver_sql("DROP TABLE samples")
    # otherwise a view is in the way, which names a table that is gone for this moment
    connection.exec_driver_sql("PRAGMA legacy_alter_table = ON")
    connection.exec_driver_sql("ALTER TABLE samples_new RENAME TO samples")
    connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")
    for statement in attached:
        connection.exec_driver_sql(statement)


def _identities(connection: sa.Connection) -> None:
    """Version 5: what makes two imports the same. A file could be stored twice before: the first keeps the identity."""
    table = imports_table.name
    if "identity" in {column["name"] for column in sa.inspect(connection).get_columns(table)}:
        return
    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN identity VARCHAR(64)")
    try:
        _identify(connection)
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise StoreError(f"the store's imports cannot be: {type(error).__name__}: {error}") from None
    for index in imports_table.indexes:
        index.create(connection)


def _identify(connection: sa.Connection) -> None:
    about = sa.select(runs_table.c.run_id, runs_table.c.machine_id, runs_table.c.commit)
    runs = {row.run_id: row for row in connection.execute(about)}
    met: set[str] = set()
    for run_id in connection.scalars(sa.select(imports_table.c.run_id).order_by(imports_table.c.run_id)).all():
        # one at a time: a file may have 100 MB
        query = sa.select(imports_table.c.format, imports_table.c.files).where(imports_table.c.run_id == run_id)
        format, files = connection.execute(query).one()
        machine_id = runs[run_id].machine_id
        known = None if machine_id.startswith("unknown-") else machine_id
        identity = import_identity(format, next(iter(json.loads(files).values()), ""), known, runs[run_id].commit)
        if identity not in met:
            met.add(identity)
            same = imports_table.c.run_id == run_id
            connection.execute(imports_table.update().where(same).values(identity=identity))


def _audit(connection: sa.Connection) -> None:
    """Version 6: the time of a call by the supervisor's own clock."""
    _add(connection, "records", audit_ns="BIGINT", audit_low_ns="BIGINT", audit_high_ns="BIGINT")


def _deals(connection: sa.Connection) -> None:
    """Version 7: what a row took, and runs that were dealt over machines. The table members is new."""
    _add(connection, "records", duration_s="FLOAT")
    _add(connection, "runs", shard="TEXT", deal="TEXT")


def _scale(connection: sa.Connection) -> None:
    """Version 8: a task's times are found without reading all others. On PostgreSQL text is compared by its code
    points, and rows are counted beyond 2**31."""
    if connection.dialect.name == "postgresql":
        for table in metadata.sorted_tables:
            changes = [
                f'ALTER COLUMN "{column.name}" TYPE {column.type.compile(connection.dialect)}'
                for column in table.columns
                if isinstance(column.type, sa.String) or column.name == "number"
            ]
            if "number" in table.columns:
                connection.exec_driver_sql(f"ALTER SEQUENCE {table.name}_number_seq AS BIGINT")
            if changes:
                _alter_unless_viewed(connection, f"ALTER TABLE {table.name} {', '.join(changes)}")
    history_index.create(connection, checkfirst=True)


def _alter_unless_viewed(connection: sa.Connection, statement: str) -> None:
    """What a view of somebody stands on cannot be changed; it stays as it was, which is only slower."""
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(statement)
    except sa.exc.NotSupportedError:
        pass


def _add(connection: sa.Connection, table: str, **kinds: str) -> None:
    """Add columns, which hold null, where they are not there yet."""
    present = {column["name"] for column in sa.inspect(connection).get_columns(table)}
    for name, kind in kinds.items():
        if name not in present:
            connection.exec_driver_sql(f'ALTER TABLE {table} ADD COLUMN "{name}" {kind}')


STEPS: Mapping[int, Callable[[sa.Connection], None]] = {
    2: _known,
    3: _evidence,
    4: _imports,
    5: _identities,
    6: _audit,
    7: _deals,
    8: _scale,
}

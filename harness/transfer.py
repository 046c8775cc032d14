"""RECORD: one run with all that belongs to it, carried from one store into another.

What the other store has already is not written again, and nothing that it has gets lost: of two records of one task and
phase the one that was made later is kept, and its readings; where they are of one moment, of two sets of readings that
one process took of the task the larger one.
The run's row is written last, with its records, in one transaction: a run is there as a whole, or not at all.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from harness.bulk import insert_rows
from harness.complaints import words
from harness.database import UNCHANGED, Database
from harness.delta import UNIT, News, Unfit, counts, fitting, moment, news_of, partitions, require_room, rows_of, texts
from harness.documents import harmless, shown, storable
from harness.likeness import CHANGES, changes_since, observed, state_at
from harness.machine import NOTED, SETTINGS
from harness.record import Record, Sample
from harness.rows import RunInfo, check_rows, row_of, run_of, table_of, texts_of
from harness.schema import (
    imports_table,
    machines_table,
    members_table,
    records_table,
    runs_table,
    samples_table,
)

MOST_AT_ONCE = 300_000
"""Readings that are written in one transaction: seconds, while others that write to a file wait."""
IDENTITY = ("command", "seed", "machine_id", "started_at", "commit")
"""What two runs of one id have to agree in."""
GROWING = ("finished_at", "exit_code", "admission", "notes", "ceiling", "used_by_others")
"""What is written into a run while it goes on, and at its end."""
DERIVED = ("started_at", "machine_id", "seed", "shard")
"""What changes of a run that was joined of shards, as shards come in."""
RECORD_FIELDS = tuple(field.name for field in dataclasses.fields(Record))
SAMPLE_FIELDS = tuple(field.name for field in dataclasses.fields(Sample))
PHASES = ("check", "bench")

Say = Callable[[int], None]
"""Hears how many rows were dealt with since it was called before."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What was written of a run: how many records and readings. `is_new` says that the run was not there before,
    `same_as` names the run that holds the same import."""

    info: RunInfo
    records: int = 0
    samples: int = 0
    is_new: bool = False
    is_changed: bool = False
    same_as: str | None = None


def carry(source: Database, target: Database, run_id: str, say: Say = lambda rows: None) -> Carried:
    """Copy what `target` lacks of a run. Raises Unfit for a run that cannot be copied, and nothing of it is written;
    StoreLost where a database is lost."""
    with source.reading() as reader:
        if reader.dialect.name == "postgresql":
            reader.execution_options(isolation_level="REPEATABLE READ")  # one moment of a run that goes on
        info, row = _run(reader, run_id)
        imported = _import(reader, run_id)
        with target.reading() as there:
            same_as = _same_import(there, run_id, imported)
            known = _row(there, run_id)
            settled = known is not None and _is_settled(reader, there, row, known)
        if same_as is not None:
            return Carried(info, same_as=same_as)
        if known is not None:
            require_same(row, known)
        if settled:
            return Carried(info)
        with target.claimed(run_id) as ours:
            if not ours:
                raise Unfit("it goes on there in another process, or another process copies it: copy it again later")
            try:
                return _carry(reader, target, info, row, imported, say)
            except sa.exc.IntegrityError as error:
                with target.reading() as there:
                    same_as = _same_import(there, run_id, imported)
                if same_as is not None:  # another process has just stored it
                    return Carried(info, same_as=same_as)
                raise Unfit(f"the store does not take its rows: {harmless(words(error, None), 300)}") from None


def require_same(row: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Raises Unfit where two runs of one id are not the same."""
    if row["deal"] is not None and row["shard"] is None:  # it was joined of shards, and grows with them
        same = known["shard"] is None and row["deal"] == known["deal"] and row["command"] == known["command"]
        if not same:
            raise Unfit("a run of this id is there, which was joined of other shards; `harness store merge` the shards")
        return
    for name in IDENTITY:
        if row[name] != known[name]:
            of = f"{shown(row[name])} here and {shown(known[name])} there"
            raise Unfit(f"another run of this id is there ({name} is {of}); one of the two stores is no longer true")


def _carry(
    reader: sa.Connection,
    target: Database,
    info: RunInfo,
    row: dict[str, Any],
    imported: dict[str, Any] | None,
    say: Say,
) -> Carried:
    with target.reading() as there:
        known = _row(there, info.run_id)  # again: another process may just have copied it
        news = news_of(reader, there, info.run_id)
        more = _growth(row, known, news)
        is_ahead = known is not None and _is_ahead(row, known, news)
        beside = _missing_beside(reader, there, info.run_id, imported, is_ahead)
    if known is not None and news.is_empty and not more and not beside:
        return Carried(info)
    batches = _sample_batches(reader, info.run_id, news)
    samples, is_first, is_done = 0, True, False
    while not is_done:
        with target.writing() as writer:
            if is_first:
                _make_room(writer, info.run_id, news)
            written, is_done, is_first = 0, True, False
            for batch in batches:
                insert_rows(writer, samples_table, ("run_id", *SAMPLE_FIELDS), batch)
                say(len(batch))
                written += len(batch)
                if written >= MOST_AT_ONCE:
                    is_done = False
                    break
            samples += written
            if is_done:
                if known is None:
                    writer.execute(runs_table.insert(), row)
                elif more:
                    writer.execute(runs_table.update().where(runs_table.c.run_id == info.run_id).values(**more))
                for table, values in beside:
                    if table is members_table:
                        same = members_table.c.run_id == info.run_id, table.c.machine_id == values["machine_id"]
                        writer.execute(members_table.delete().where(*same))
                    writer.execute(table.insert(), values)
                machines = {
                    info.machine_id,
                    *(values["machine_id"] for table, values in beside if table is members_table),
                }
                records = _write_records(reader, writer, info.run_id, news, machines, say)
                for machine_id in sorted(machines):
                    carry_machine(reader, writer, machine_id, info if known is None else None)
                if UNCHANGED in reader.info:
                    reader.info[UNCHANGED]()
    return Carried(info, records, samples, known is None, known is not None)


def _run(reader: sa.Connection, run_id: str) -> tuple[RunInfo, dict[str, Any]]:
    """A run, and its row as it is written: texts that every database takes."""
    row = next(rows_of(reader, sa.select(runs_table).where(runs_table.c.run_id == run_id)), None)
    if row is None:
        raise Unfit("it is not there any more")
    with fitting():
        info = run_of(row._asdict())
    values = dict(zip(row._fields, texts(row), strict=True))
    require_room(runs_table, values)
    return info, values


def _row(connection: sa.Connection, run_id: str) -> dict[str, Any] | None:
    row = connection.execute(sa.select(runs_table).where(runs_table.c.run_id == run_id)).first()
    return None if row is None else row._asdict()


def _import(reader: sa.Connection, run_id: str) -> dict[str, Any] | None:
    row = next(rows_of(reader, sa.select(imports_table).where(imports_table.c.run_id == run_id)), None)
    if row is None:
        return None
    values = row._asdict()
    if not isinstance(values["format"], str) or not isinstance(values["identity"], str | None):
        raise Unfit("its row of imports holds what is no text")
    with fitting():
        texts_of(values["files"], "imports.files")
    values = dict(zip(values, texts(values.values()), strict=True))
    require_room(imports_table, values)
    return values


def _same_import(there: sa.Connection, run_id: str, imported: Mapping[str, Any] | None) -> str | None:
    """The other run of the store that holds the same import."""
    if imported is None or imported["identity"] is None:
        return None
    query = sa.select(imports_table.c.run_id).where(imports_table.c.identity == imported["identity"])
    found = there.scalar(query)
    return None if found in (None, run_id) else str(found)


def _is_settled(reader: sa.Connection, there: sa.Connection, row: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether a finished run is there with as many rows: nothing of it is looked at one by one."""
    if row != known or row["finished_at"] is None:
        return False
    run_id = str(row["run_id"])
    return counts(reader, run_id) == counts(there, run_id) and _members(reader, run_id) == _members(there, run_id)


def _members(connection: sa.Connection, run_id: str) -> dict[Any, dict[str, Any]]:
    """The rows of the machines of a run, by machine."""
    found = rows_of(connection, sa.select(members_table).where(members_table.c.run_id == run_id))
    return {row.machine_id: row._asdict() for row in found}


def _is_ahead(row: Mapping[str, Any], known: Mapping[str, Any], news: News) -> bool:
    """Whether what is written into a run at its end, and until then, is newer here than there."""
    ends = row["finished_at"], known["finished_at"]
    if ends[0] is None or ends[1] is None:
        return ends[1] is None and (ends[0] is not None or not news.is_empty)
    return moment(ends[0]) > moment(ends[1])


def _growth(row: Mapping[str, Any], known: Mapping[str, Any] | None, news: News) -> dict[str, Any]:
    """What has to be written into the row of a run that is there."""
    if known is None:
        return {}
    is_ahead = _is_ahead(row, known, news)
    names = GROWING + (DERIVED if row["deal"] is not None and row["shard"] is None else ())
    return {name: row[name] for name in names if is_ahead and row[name] != known[name]}


def _missing_beside(
    reader: sa.Connection, there: sa.Connection, run_id: str, imported: dict[str, Any] | None, is_ahead: bool
) -> list[tuple[sa.Table, dict[str, Any]]]:
    """Rows of imports and of members that are not there, or that lack something there; with `is_ahead` also those that
    are otherwise there."""
    found: list[tuple[sa.Table, dict[str, Any]]] = []
    same = imports_table.c.run_id == run_id
    if imported is not None and there.execute(sa.select(imports_table.c.run_id).where(same)).first() is None:
        found.append((imports_table, imported))
    present = _members(there, run_id)
    for values in _members(reader, run_id).values():
        with fitting():
            if not isinstance(values["machine_id"], str) or type(values["used_by_others"]) not in (
                float,
                int,
                type(None),
            ):
                raise Unfit("its row of members holds what cannot be")
            table_of(values["ceiling"], "members.ceiling")
        require_room(members_table, values)
        have = present.get(values["machine_id"], dict.fromkeys(values))
        whole = have | {name: value for name, value in values.items() if is_ahead or have[name] is None}
        whole |= {name: value for name, value in have.items() if value is not None and whole[name] is None}
        if whole != have:
            found.append((members_table, whole))
    return found


def _make_room(writer: sa.Connection, run_id: str, news: News) -> None:
    if news.old_records:
        gone = records_table.delete().where(records_table.c.number == sa.bindparam("b_number"))
        writer.execute(gone, [{"b_number": number} for number in news.old_records])
    if news.old_units:
        same = [samples_table.c[name] == sa.bindparam(f"b_{name}") for name in UNIT]
        gone = samples_table.delete().where(samples_table.c.run_id == run_id, *same)
        writer.execute(gone, [dict(zip((f"b_{name}" for name in UNIT), unit, strict=True)) for unit in news.old_units])


def _sample_batches(reader: sa.Connection, run_id: str, news: News) -> Iterator[list[tuple[Any, ...]]]:
    """The readings that are new, checked, in their order."""
    if news.units == frozenset():
        return
    columns = [samples_table.c[name] for name in SAMPLE_FIELDS]
    query = sa.select(*columns).where(samples_table.c.run_id == run_id).order_by(samples_table.c.number)
    unit = [SAMPLE_FIELDS.index(name) for name in UNIT]
    for part in partitions(reader, query):
        rows = [tuple(row) for row in part]
        if news.units is not None:
            rows = [row for row in rows if texts([row[place] for place in unit]) in news.units]
        with fitting():
            check_rows(Sample, SAMPLE_FIELDS, rows, "samples")
        yield [(run_id, *row) for row in _storable_rows(rows)]


TEXT_PLACES = tuple(
    place for place, name in enumerate(SAMPLE_FIELDS) if isinstance(samples_table.c[name].type, sa.Text)
)


def _storable_rows(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows whose texts every database takes; they are made anew only where one is not."""
    found = {row[place] for place in TEXT_PLACES for row in rows}
    return [texts(row) for row in rows] if any("\0" in text for text in found if text is not None) else rows


def _write_records(
    reader: sa.Connection, writer: sa.Connection, run_id: str, news: News, machines: set[str], say: Say
) -> int:
    """The records that are new, checked, in their order; their machines are added to `machines`."""
    if news.records == frozenset():
        return 0
    names = ("phase", *RECORD_FIELDS)
    columns = [records_table.c[name] for name in ("number", *names)]
    query = sa.select(*columns).where(records_table.c.run_id == run_id).order_by(records_table.c.number)
    written = 0
    for part in partitions(reader, query):
        batch = []
        for number, phase, *values in map(tuple, part):
            if news.records is not None and number not in news.records:
                continue
            if phase not in PHASES:
                raise Unfit(
                    f"its column records.phase holds {shown(str(phase))}; it has to be one of {', '.join(PHASES)}"
                )
            with fitting():
                record = row_of(Record, dict(zip(RECORD_FIELDS, values, strict=True)), "records")
            machines.add(record.machine_id)
            # as harness.store.Store.add has it: NaN is null
            batch.append((phase, *texts(None if value != value else value for value in values)))
        insert_rows(writer, records_table, names, batch)
        say(len(batch))
        written += len(batch)
    return written


def _runs_of(there: sa.Connection, machine_id: str) -> list[tuple[str, str]]:
    """(started_at, run_id) of all runs that a machine took part in."""
    joined = sa.select(members_table.c.run_id).where(members_table.c.machine_id == machine_id)
    query = sa.select(runs_table.c.started_at, runs_table.c.run_id)
    query = query.where(sa.or_(runs_table.c.machine_id == machine_id, runs_table.c.run_id.in_(joined)))
    return [(str(row[0]), str(row[1])) for row in there.execute(query)]


def carry_machine(reader: sa.Connection, writer: sa.Connection, machine_id: str, info: RunInfo | None = None) -> None:
    """What is known of a machine: what both stores say stays as it is there, what only one says is kept, and it was
    seen first when either saw it first. What it was set to when a run began that is new there, `info`, is kept too."""
    same = machines_table.c.machine_id == machine_id
    row = next(rows_of(reader, sa.select(machines_table).where(same)), None)
    if row is None:
        return
    with fitting():
        described = table_of(row.description, "machines.description") or {}
    first_seen = moment(row.first_seen)
    values = {"machine_id": machine_id, "first_seen": row.first_seen, "description": storable(str(row.description))}
    require_room(machines_table, values)
    if writer.dialect.name == "postgresql":  # SQLite lets one write at a time
        from sqlalchemy.dialects.postgresql import insert

        writer.execute(insert(machines_table).values(**values).on_conflict_do_nothing())
    known = writer.execute(sa.select(machines_table).where(same).with_for_update()).first()
    if known is None:
        writer.execute(machines_table.insert(), values)
        return
    before = json.loads(known.description)
    # changes belong to what the description was before them; what they tell of a run that is carried is kept with it
    alone = not any(name in before for name in (*SETTINGS, *NOTED))
    more = {name: value for name, value in described.items() if name not in before and (name != CHANGES or alone)}
    merged = {**before, **more}
    if info is not None:
        run, at = info.run_id, info.started_at
        state = state_at(described, at)
        if changes_since(state_at(merged, at), state, run, at):
            merged = observed(merged, state, run, at, _runs_of(writer, machine_id))
    changed: dict[str, Any] = {"description": json.dumps(merged)} if merged != before else {}
    if first_seen < moment(known.first_seen):
        changed["first_seen"] = row.first_seen
    if changed:
        writer.execute(machines_table.update().where(same).values(**changed))

"""RECORD: results that are only ever added to. An embedded SQLite file by default, any SQLAlchemy URL for a team."""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from harness.bulk import insert_rows
from harness.database import Database
from harness.queries import KEY, RECORD_FIELDS, SAMPLE_FIELDS, Queries
from harness.queries import UnknownRun as UnknownRun
from harness.record import ImportedFrom, Noise, Record, Sample, new_run_id, stamp_now
from harness.rows import RunInfo as RunInfo
from harness.rows import run_of
from harness.schema import (
    imports_table,
    machines_table,
    members_table,
    noise_table,
    records_table,
    runs_table,
    samples_table,
)

DEFAULT = "sqlite:///.harness/results.sqlite"

_values_of_record = operator.attrgetter(*RECORD_FIELDS)
_values_of_sample = operator.attrgetter(*SAMPLE_FIELDS)
_INSERT = records_table.insert()
_REPLACED = records_table.delete().where(
    records_table.c.run_id == sa.bindparam("b_run_id"),
    records_table.c.phase == sa.bindparam("b_phase"),
    *(records_table.c[name] == sa.bindparam(f"b_{name}") for name in KEY),
)
_READINGS = samples_table.delete().where(
    samples_table.c.run_id == sa.bindparam("b_run_id"),
    *(samples_table.c[name] == sa.bindparam(f"b_{name}") for name in KEY),
)
_NEW_MACHINE = sa.text(
    "INSERT INTO machines (machine_id, first_seen, description) VALUES (:machine_id, :first_seen, :description) "
    "ON CONFLICT DO NOTHING"
)
_READINGS_OF_PROCESS = _READINGS.where(samples_table.c.process == sa.bindparam("b_process"))


class Store(Queries):
    """An open store. Use as a context manager, or close it."""

    @staticmethod
    def open(url: str | None = None) -> Store:
        """Open or create. `url` is an SQLAlchemy URL or a file's path; default: HARNESS_STORE, else a file under
        .harness. Raises StoreError where that cannot be; all methods raise harness.database.StoreLost where the
        database is lost later."""
        return Store(Database.open(url or os.environ.get("HARNESS_STORE") or DEFAULT))

    def start_run(
        self,
        *,
        command: str,
        selectors: Sequence[str],
        seed: int,
        budget_s: float | None,
        machine: Mapping[str, Any],
        machine_id: str,
        commit: str | None,
        dirty: bool | None,
        shard: str | None = None,
        deal: Mapping[str, Any] | None = None,
    ) -> RunInfo:
        """A new run; its id sorts by time. `shard` and `deal` are those of a part of a dealt run."""
        run_id, now = new_run_id()
        self.database.claim(run_id)
        info = RunInfo(
            run_id=run_id,
            started_at=now,
            finished_at=None,
            command=command,
            selectors=tuple(selectors),
            seed=seed,
            budget_s=budget_s,
            machine_id=machine_id,
            commit=commit,
            dirty=dirty,
            shard=shard,
            deal=deal,
        )
        with self.database.writing() as connection:
            _insert_run(connection, info, machine)
        return info

    def add_imported(
        self,
        info: RunInfo,
        machine: Mapping[str, Any],
        records: Sequence[Record],
        samples: Sequence[Sample],
        source: ImportedFrom,
        identity: str,
    ) -> RunInfo:
        """A whole run that another tool measured, in one transaction: all of it, or nothing. Where the store has one of
        the same identity (harness.schema.import_identity), that is returned, and nothing is stored."""
        about = {"run_id": info.run_id, "format": source.format, "identity": identity}
        about["files"] = json.dumps(dict(source.files))
        same = runs_table.select().join(imports_table, imports_table.c.run_id == runs_table.c.run_id)

        def add() -> RunInfo:
            with self.database.writing() as connection:
                if known := connection.execute(same.where(imports_table.c.identity == identity)).first():
                    return run_of(known._asdict())
                _insert_run(connection, info, machine)
                _insert_records(connection, "bench", records)
                _insert_samples(connection, info.run_id, samples)
                connection.execute(imports_table.insert(), about)
                return info

        try:
            return add()
        except sa.exc.IntegrityError:
            return add()  # another process stored it in between, where a database lets two write at once

    def add_finished(
        self,
        info: RunInfo,
        machine: Mapping[str, Any],
        records: Sequence[Record],
        timed: Sequence[Record] = (),
        samples: Sequence[Sample] = (),
    ) -> None:
        """A whole run that was made before it was begun, its checks, times and readings, in one transaction: all of it,
        or nothing."""
        with self.database.writing() as connection:
            _insert_run(connection, info, machine)
            _insert_records(connection, "check", records)
            _insert_records(connection, "bench", timed)
            _insert_samples(connection, info.run_id, samples)

    def add(self, record: Record, phase: str) -> None:
        """Store one record, for good: a record of the same task and phase of this run is replaced."""
        row = dict(zip(RECORD_FIELDS, map(_storable, _values_of_record(record)), strict=True))

        def add(connection: sa.Connection, again: bool) -> None:
            connection.execute(_REPLACED, {"b_phase": phase, "b_run_id": row["run_id"], **_bound(row)})
            connection.execute(_INSERT, {**row, "phase": phase})

        self.database.write(record.run_id, add)

    def add_all(
        self, run_id: str, phase: str, records: Sequence[Record], samples: Sequence[Sample] | None = None
    ) -> None:
        """Store records in one transaction, as `add` each; `samples`, if given, take the place of all readings of the
        same tasks: what was timed together is stored together."""
        replaced = [{"b_run_id": run_id, "b_phase": phase, **_bound(one)} for one in _tasks(records)]
        tasks = [{"b_run_id": run_id, **_bound(one)} for one in _tasks([*records, *(samples or ())])]

        def add(connection: sa.Connection, again: bool) -> None:
            if records:
                connection.execute(_REPLACED, replaced)
            if samples is not None:
                connection.execute(_READINGS, tasks)
            _insert_records(connection, phase, records)
            _insert_samples(connection, run_id, samples or ())

        if tasks:
            self.database.write(run_id, add)

    def add_samples(self, run_id: str, samples: Sequence[Sample]) -> None:
        """Store raw readings, in one transaction: all that one process took of one task, or of several."""

        def add(connection: sa.Connection, again: bool) -> None:
            if again:
                taken = {(*_key_of(one), one.process): one.process for one in samples}
                for key, process in taken.items():
                    same = {"b_run_id": run_id, "b_process": process, **_bound(dict(zip(KEY, key, strict=False)))}
                    connection.execute(_READINGS_OF_PROCESS, same)
            _insert_samples(connection, run_id, samples)

        if samples:
            self.database.write(run_id, add)

    def note(
        self,
        run_id: str,
        *,
        admission: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        ceiling: Mapping[str, float] | None = None,
        used_by_others: float | None = None,
    ) -> None:
        """What is to be known of a run beside its records."""
        values = {
            "admission": json.dumps(admission) if admission is not None else None,
            "notes": json.dumps(list(notes)),
            "ceiling": json.dumps(ceiling) if ceiling is not None else None,
            "used_by_others": used_by_others,
        }
        self._update(run_id, values)

    def finish_run(self, run_id: str, *, exit_code: int) -> None:
        finished = {"finished_at": stamp_now(), "exit_code": exit_code}
        self._update(run_id, finished)

    def _update(self, run_id: str, values: Mapping[str, Any]) -> None:
        changed = runs_table.update().where(runs_table.c.run_id == run_id).values(**values)
        self.database.write(run_id, lambda connection, again: connection.execute(changed))

    def take_up(self, command: str, is_ours: Callable[[RunInfo], bool] = lambda info: True) -> RunInfo:
        """The newest run of a command that was interrupted, of those that are ours, for this process alone to go on
        with. Raises UnknownRun."""
        self.unfinished(command)
        ours = [info for info in self.all_unfinished(command) if is_ours(info)]
        for info in ours:
            claimed = self.database.claim(info.run_id)
            if claimed and self.run(info.run_id).finished_at is None:  # its process may have ended it just now
                return info
        if not ours:
            raise UnknownRun(f"no run of `harness {command}` was interrupted here: there is nothing to resume")
        raise UnknownRun(
            f"run {ours[0].run_id} of `harness {command}` still goes on in another process: wait for its end; if it "
            "was stopped (Ctrl-Z), `fg` goes on with it"
        )

    def add_member(
        self,
        run_id: str,
        machine_id: str,
        machine: Mapping[str, Any],
        *,
        ceiling: Mapping[str, float] | None = None,
        used_by_others: float | None = None,
    ) -> None:
        """Say that a machine takes part in a run; one that comes again adds to its rates, and the newer ones count."""
        same = members_table.c.run_id == run_id, members_table.c.machine_id == machine_id

        def add(connection: sa.Connection, again: bool) -> None:
            _insert_machine(connection, machine_id, machine)
            known = connection.execute(members_table.select().where(*same).with_for_update()).first()
            before = json.loads(known.ceiling) if known and known.ceiling else {}
            rates = {**before, **(ceiling or {})}
            shared = known.used_by_others if known and used_by_others is None else used_by_others
            values = {"ceiling": json.dumps(rates) if rates else None, "used_by_others": shared}
            if known:
                connection.execute(members_table.update().where(*same).values(**values))
            else:
                connection.execute(members_table.insert(), {"run_id": run_id, "machine_id": machine_id, **values})

        self.database.write(run_id, add)

    def describe_machine(self, machine_id: str, description: Mapping[str, Any]) -> None:
        """Add to what is known of a machine, for example its constants."""
        same = machines_table.c.machine_id == machine_id
        with self.database.writing() as connection:
            _insert_machine(connection, machine_id, {})
            text = connection.scalar(sa.select(machines_table.c.description).where(same).with_for_update())
            known = json.dumps({**json.loads(text or "{}"), **description})
            connection.execute(machines_table.update().where(same).values(description=known))

    def add_noise(self, found: Sequence[Noise]) -> None:
        """Keep what A/A comparisons showed; the newest of a task and clock counts."""
        if found:
            with self.database.writing() as connection:
                connection.execute(noise_table.insert(), [dataclasses.asdict(one) for one in found])

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _insert_run(connection: sa.Connection, info: RunInfo, machine: Mapping[str, Any]) -> None:
    _insert_machine(connection, info.machine_id, machine)
    row = dataclasses.asdict(info)
    row |= {"selectors": json.dumps(info.selectors), "notes": json.dumps(info.notes)}
    row |= {name: json.dumps(row[name]) for name in ("admission", "ceiling", "deal") if row[name] is not None}
    connection.execute(runs_table.insert(), row)


def _insert_machine(connection: sa.Connection, machine_id: str, machine: Mapping[str, Any]) -> None:
    """Unless it is known, perhaps since another process stored it just now."""
    values = {"machine_id": machine_id, "first_seen": stamp_now(), "description": json.dumps(machine)}
    connection.execute(_NEW_MACHINE, values)


def _insert_records(connection: sa.Connection, phase: str, records: Sequence[Record]) -> None:
    rows = [(phase, *map(_storable, _values_of_record(one))) for one in records]
    insert_rows(connection, records_table, ("phase", *RECORD_FIELDS), rows)


def _insert_samples(connection: sa.Connection, run_id: str, samples: Sequence[Sample]) -> None:
    rows = [(run_id, *map(_storable, _values_of_sample(one))) for one in samples]
    insert_rows(connection, samples_table, ("run_id", *SAMPLE_FIELDS), rows)


def _key_of(row: Record | Sample) -> tuple[str, str, str, str]:
    return row.operator, row.backend, row.implementation, row.case


def _tasks(rows: Sequence[Record | Sample]) -> list[dict[str, str]]:
    """The tasks of rows, each once."""
    return [dict(zip(KEY, key, strict=True)) for key in dict.fromkeys(map(_key_of, rows))]


def _bound(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task as the parameters of what deletes its rows."""
    return {f"b_{name}": _storable(task[name]) for name in KEY}


def _storable(value: Any) -> Any:
    """Text that any database takes, and no NaN."""
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:
            return value
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, float) and math.isnan(value):
        return None
    return value

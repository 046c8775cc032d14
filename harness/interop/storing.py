"""From a file to a run of the store."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from harness.interop.asv import BENCHMARKS, MACHINE
from harness.interop.detecting import COMMIT, read
from harness.interop.files import shown
from harness.interop.imported import Imported, UnreadableFile, machine_id_of, records_of, samples_of
from harness.record import ImportedFrom
from harness.schema import import_identity
from harness.store import RunInfo, Store

LONGEST_MACHINE = 200


@dataclass(frozen=True, slots=True)
class Taken:
    """One file that is stored as a run; `is_known` where it was so before."""

    path: Path
    format: str
    run_id: str
    machine_id: str
    started_at: str
    counts: dict[str, int]
    timed: int
    notes: tuple[str, ...]
    is_known: bool


def import_files(
    store: Store, paths: list[Path], format: str | None, machine: str | None, commit: str | None
) -> list[Taken]:
    """Each file as a run, of a folder each file of results in it: all are read before the first is stored, so that a
    broken one leaves nothing behind. A file of results that the store has already, of the same machine and commit, is
    not stored again, whatever it is called and whatever lies beside it.

    `machine` and `commit` are used where a file itself names none. Raises UnreadableFile.
    """
    if commit is not None and not COMMIT.fullmatch(commit):
        raise UnreadableFile(f"--commit {shown(commit)}: is no name of a commit; type the hash that `git log` shows")
    if machine is not None and not (machine.isprintable() and 0 < len(machine) <= LONGEST_MACHINE):
        raise UnreadableFile(f"--machine {shown(machine)}: is no name; type 1 to {LONGEST_MACHINE} visible characters")
    read_files = [(path, read(path, format)) for given in paths for path in _files(given)]
    return [_store(store, path, found, machine, commit) for path, found in read_files]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.rglob("*.json") if one.name not in (MACHINE, BENCHMARKS) and one.is_file())
    if not found:
        raise UnreadableFile(f"{path}: holds no file of results; they end in .json")
    return found


def _store(store: Store, path: Path, found: Imported, machine: str | None, commit: str | None) -> Taken:
    now = datetime.datetime.now(datetime.UTC)
    started = (found.started_at or now).astimezone(datetime.UTC)
    run_id = f"{started:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    notes = [f"imported from {path.name}, a file of {found.format}: nobody here checked these results", *found.notes]
    machine_id, known_commit = machine_id_of(found), found.commit or commit
    described = dict(found.machine)
    if machine_id is None and machine:
        machine_id = hashlib.sha256(f"{found.format}\0{machine}".encode()).hexdigest()[:12]
        described = {"node": machine, "imported_from": found.format}
    identity = import_identity(found.format, next(iter(found.files.values())), machine_id, known_commit)
    if machine_id is None:
        machine_id = f"unknown-{identity[:12]}"
        described = {"node": f"unknown: {path.name} names none; `harness import --machine NAME` does"}
        notes.append("the file does not say on which machine it was measured: it is compared with no other run")
    if found.started_at is None:
        notes.append("the file does not say when it was measured: the time of the import stands for it")
    stamp = started.isoformat(timespec="milliseconds")
    info = RunInfo(
        run_id=run_id,
        started_at=stamp,
        finished_at=now.isoformat(timespec="milliseconds"),
        command="import",
        selectors=(),
        seed=0,
        budget_s=None,
        machine_id=machine_id,
        commit=known_commit,
        dirty=found.dirty,
        exit_code=0,
        admission=None,
        notes=tuple(notes),
        ceiling=None,
        used_by_others=None,
    )
    records = records_of(
        found, run_id=run_id, started_at=stamp, machine_id=machine_id, commit=info.commit, dirty=info.dirty
    )
    source = ImportedFrom(found.format, dict(found.files))
    info = store.add_imported(info, described, records, samples_of(found), source, identity)
    counts: dict[str, int] = {}
    for record in records:
        counts[record.status] = counts.get(record.status, 0) + 1
    timed = sum(record.median_ns is not None for record in records)
    is_known = info.run_id != run_id
    return Taken(path, found.format, info.run_id, info.machine_id, info.started_at, counts, timed, info.notes, is_known)

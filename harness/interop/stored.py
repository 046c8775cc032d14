"""A stored run as it is written for another tool."""

from __future__ import annotations

import datetime
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.record import TIMED, ImportedFrom, Record, Sample
from harness.store import RunInfo, Store

Task = tuple[str, str, str, str]


class NotWritable(LookupError):
    """A run that a format cannot hold; the message says why."""


@dataclass(frozen=True)
class StoredRun:
    """`records` has one record per task, the timed one where there are two; `source` is what it was imported from."""

    info: RunInfo
    machine: Mapping[str, Any]
    records: tuple[Record, ...]
    samples: tuple[Sample, ...]
    source: ImportedFrom | None = None

    @cached_property
    def by_task(self) -> dict[Task, list[Sample]]:
        found: dict[Task, list[Sample]] = {}
        for one in self.samples:
            found.setdefault((one.operator, one.backend, one.implementation, one.case), []).append(one)
        return found

    @cached_property
    def timed(self) -> tuple[Record, ...]:
        """What has a time: no other row is written where only times are."""
        return tuple(one for one in self.records if one.status in TIMED and one.median_ns is not None)

    def samples_of(self, record: Record) -> list[Sample]:
        return self.by_task.get((record.operator, record.backend, record.implementation, record.case), [])

    @property
    def started_at(self) -> datetime.datetime:
        found = datetime.datetime.fromisoformat(self.info.started_at)
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Export:
    """What is to be written: texts by the name of their file, and by words how many tasks are left out."""

    files: Mapping[str, str]
    left_out: Mapping[str, int] = field(default_factory=dict)


def stored_run(store: Store, run_id: str | None) -> StoredRun:
    """A run of a store. Raises harness.store.UnknownRun."""
    info = store.run(run_id)
    timed = store.records(info.run_id, "bench")
    ids = {record.id for record in timed}
    checked = [record for record in store.records(info.run_id, "check") if record.id not in ids]
    return StoredRun(
        info,
        store.machine(info.machine_id),
        (*checked, *timed),
        tuple(store.samples(info.run_id)),
        store.imported_from(info.run_id),
    )


def left_out(run: StoredRun, written: set[str]) -> dict[str, int]:
    """How many tasks are not in a file, by their status."""
    counted = Counter(
        "no raw readings" if record.status in TIMED and record.median_ns is not None else _without(record)
        for record in run.records
        if record.id not in written
    )
    return dict(counted)


def _without(record: Record) -> str:
    return "only checked" if record.status in TIMED else record.status


def per_call_ns(sample: Sample) -> float:
    """The time of a call: by the device's clock where there is one, as in the record."""
    return (sample.wall_ns if sample.device_ns is None else sample.device_ns) / sample.calls


def quantile(ordered: list[float], share: float) -> float:
    """Linear between the two nearest."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def spread(times: list[float]) -> float:
    return statistics.stdev(times) if len(times) > 1 else 0.0

"""What a node sends is looked at before it is stored: it is trusted less than the store."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.documents import harmless, shown
from harness.outcome import Context
from harness.plan import Task
from harness.record import COLUMNS, SAMPLE_COLUMNS, Record, Sample
from harness.rows import row_of

LONGEST_REASON = 2500
TABLE = "a node's answer"


class Lie(ValueError):
    """A node sent what it was not asked for, or what cannot be; the message says what."""


def records_of(
    answer: Mapping[str, Any], tasks: Sequence[Task], left: Sequence[str], context: Context, machine_id: str
) -> list[Record]:
    """One record for each of the tasks, but for those that are `left`. Raises Lie."""
    wanted = {task.id: task for task in tasks if task.id not in left}
    shared = {"run_id": context.run_id, "commit": context.commit, "dirty": context.dirty, "seed": context.seed}
    found: dict[str, Record] = {}
    for values in _objects(answer, "rows", COLUMNS):
        if isinstance(values.get("reason"), str):
            values["reason"] = harmless(values["reason"], LONGEST_REASON)
        record = _row(Record, values)
        for name, value in {**shared, "machine_id": machine_id}.items():
            if getattr(record, name) != value:
                raise Lie(f"a row of {record.id} whose {name} is {shown(getattr(record, name))}")
        task = wanted.get(record.id)
        if task is None or record.id in found:
            raise Lie(f"a row of {harmless(record.id)} {'a second time' if task else 'that nobody had asked for'}")
        if record.dtype != task.case.dtype or record.parameters != json.dumps(dict(task.case.parameters)):
            raise Lie(f"a row of {record.id} with another dtype or other parameters")
        found[record.id] = record
    if missing := wanted.keys() - found.keys():
        raise Lie(f"no row of {min(missing)}")
    return list(found.values())


def samples_of(answer: Mapping[str, Any], records: Sequence[Record]) -> list[Sample]:
    """The readings behind the times of these records, all of them. Raises Lie."""
    counts = {record.id: 0 for record in records}
    found = [_row(Sample, values) for values in _objects(answer, "samples", SAMPLE_COLUMNS)]
    for sample in found:
        name = f"{sample.operator}/{sample.backend}/{sample.implementation}/{sample.case}"
        if name not in counts:
            raise Lie(f"readings of {harmless(name)} that nobody had asked for")
        counts[name] += 1
    for record in records:
        if record.samples is not None and record.samples != counts[record.id]:
            raise Lie(f"{counts[record.id]} readings of {record.id}, whose row counts {record.samples}")
    return found


def left_of(answer: Mapping[str, Any], tasks: Sequence[Task]) -> list[str]:
    """The ids of the tasks that a node has not come to. Raises Lie."""
    left, ids = answer.get("left", []), {task.id for task in tasks}
    if not isinstance(left, list) or not all(isinstance(one, str) and one in ids for one in left):
        raise Lie("it gives back what it was not given")
    if len(set(left)) < len(left):
        raise Lie("it gives back something twice")
    return left


def left_out_of(answer: Mapping[str, Any], tasks: Sequence[Task]) -> list[str]:
    """What of the timings is not in the rows, a sentence for a task at most. Raises Lie."""
    found = answer.get("left_out", [])
    if not isinstance(found, list) or len(found) > len(tasks) or not all(isinstance(one, str) for one in found):
        raise Lie("words on what it left out that are none")
    return [harmless(one, 500) for one in found]


def rates_of(answer: Mapping[str, Any]) -> dict[str, float]:
    """Copy rates and references by their keys. Raises Lie."""
    found = answer.get("ceiling", {})
    if not isinstance(found, dict) or not all(map(_is_rate, found.values())):
        raise Lie("rates of its machine that cannot be")
    return {harmless(str(key), 50): float(rate) for key, rate in found.items()}


def _is_rate(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and 0 < float(value) < math.inf
    except OverflowError:  # a whole number that is no float
        return False


def _objects(answer: Mapping[str, Any], key: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    rows = answer.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() <= set(columns) for row in rows):
        raise Lie(f"{key} that are no rows")
    return rows


def _row(kind: Any, values: dict[str, Any]) -> Any:
    try:
        return row_of(kind, values, TABLE)
    except (ValueError, TypeError) as error:
        raise Lie(harmless(str(error), 300)) from None

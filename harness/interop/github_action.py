"""What github-action-benchmark reads as its tool `customSmallerIsBetter`; written only.

It also reads what `--format pytest-benchmark` (its tool `pytest`) and `--format google-benchmark` (`googlecpp`) write.
"""

from __future__ import annotations

import json

from harness.interop.stored import Export, NotWritable, StoredRun, left_out
from harness.record import Record

NAME = "github-action"


def write(run: StoredRun) -> Export:
    """One entry per task that has a time: its median in ns; a higher one is worse. Raises NotWritable."""
    entries = [_entry(record) for record in run.timed]
    if not entries:
        raise NotWritable(f"run {run.info.run_id} has no time, and github-action-benchmark is nothing without one")
    written = {record.id for record in run.timed}
    return Export({"": json.dumps(entries, indent=2, allow_nan=False) + "\n"}, left_out(run, written))


def _entry(record: Record) -> dict[str, object]:
    found: dict[str, object] = {"name": record.id, "unit": "ns", "value": record.median_ns}
    if record.ci_low_ns is not None and record.ci_high_ns is not None:
        found["range"] = f"{record.ci_low_ns} - {record.ci_high_ns}"
    more = [f"{record.samples} samples" if record.samples else "", record.reason]
    if record.error_over_bound is not None:
        more.append(f"error/bound {record.error_over_bound:.3g}")
    extra = "\n".join(one for one in more if one)
    return {**found, **({"extra": extra} if extra else {})}

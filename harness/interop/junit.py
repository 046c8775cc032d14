"""JUnit XML of a run's conformance."""

from __future__ import annotations

from harness.interop.stored import Export, StoredRun


def write(run: StoredRun) -> Export:
    from harness.reports.run_junit import run_junit

    return Export({"": run_junit(run.info, run.records)})

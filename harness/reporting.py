"""Between the store and `harness.reports`: what the commands print and write."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from harness.terminal import say

if TYPE_CHECKING:
    from harness.api import Run
    from harness.histories import Histories
    from harness.reports import Report
    from harness.store import Store

SUFFIXES = {"html": ".html", "markdown": ".md", "csv": ".csv", "json": ".json", "parquet": ".parquet"}


def stored_report(store: Store, run_id: str | None) -> Report:
    """A stored run with its machine, as reports want it. Raises LookupError for an unknown run."""
    from harness.reports import Report

    info = store.run(run_id)
    return Report(
        run=dataclasses.asdict(info),
        machine=store.machine(info.machine_id),
        checked=tuple(store.records(info.run_id, "check")),
        timed=tuple(store.records(info.run_id, "bench")),
        samples=tuple(store.samples(info.run_id)),
    )


def write_report(store: Store, run_id: str | None, format: str, output: Path | None) -> Path | None:
    """Write a report and return its path; None if it went to stdout."""
    from harness import reports

    report = stored_report(store, run_id)
    if output is None and format in ("csv", "json", "markdown"):
        output = Path("-")
    path = output or Path(".harness") / f"report-{report.run['run_id']}{SUFFIXES[format]}"
    if str(path) == "-":
        sys.stdout.write(reports.text_of(report, format))
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "html":
        report = dataclasses.replace(report, histories=_histories(store, report))
    reports.write(report, format, path)
    return path.resolve()


def _histories(store: Store, report: Report) -> Histories | None:
    """What the run's tasks showed up to it; a report without that is better than none."""
    from harness.histories import run_histories

    try:
        tasks = {record.id for record in report.timed}
        return run_histories(store, report.run["run_id"], report.run["machine_id"], tasks)
    except ImportError as missing:
        say(f"harness: the report has no section about history: {missing}")
        return None


def print_summary(command: str, run: Run, store: str | None) -> None:
    """What a person wants to see at the end of a run, on stdout."""
    from rich.console import Console

    from harness import reports
    from harness.store import Store

    with Store.open(store) as opened:
        report = stored_report(opened, run.run_id)
    console = Console(width=None if sys.stdout.isatty() else 124)
    if command == "bench":
        for table in reports.ranking_tables(report):
            console.print(table)
    for line in reports.conformance_lines(report):
        console.print(line)

"""Between the store and `harness.reports`: what the commands print and write."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.likeness import machine_words
from harness.terminal import say

if TYPE_CHECKING:
    from harness.api import Run
    from harness.histories import Histories
    from harness.record import Record
    from harness.reports import Report
    from harness.revealing import Found
    from harness.store import Store

EXPORTS = ("pytest-benchmark", "asv", "google-benchmark", "bencher", "github-action", "junit")
"""The formats of other tools."""
SUFFIXES = {"html": ".html", "markdown": ".md", "csv": ".csv", "json": ".json", "parquet": ".parquet", "latex": ".tex"}


def stored_report(store: Store, run_id: str | None) -> Report:
    """A stored run with its machine, as reports want it; one without an end has a note that says so. Raises LookupError
    for an unknown run."""
    from harness.reports import Report

    info = store.run(run_id)
    unfinished = store.unfinished_words(info)
    notes = (*info.notes, *([unfinished] if unfinished else ()))
    return Report(
        run=dataclasses.asdict(info) | {"notes": notes, "members": _members(store, info.run_id)},
        machine=store.machine(info.machine_id),
        checked=tuple(store.records(info.run_id, "check")),
        timed=tuple(store.records(info.run_id, "bench")),
        samples=tuple(store.samples(info.run_id)),
    )


def _members(store: Store, run_id: str) -> dict[str, dict[str, Any]]:
    """The machines of a run that had several: what each is, and what it measured of itself."""
    return {
        name: {
            "words": machine_words(store.machine(name)),
            "ceiling": one.ceiling,
            "used_by_others": one.used_by_others,
        }
        for name, one in store.members(run_id).items()
    }


Reveal = Callable[[Collection[str]], "Sequence[Found]"]
"""Reveals accumulation trees of implementations by `operator/backend/implementation`."""


def write_report(
    store: Store, run_id: str | None, format: str, output: Path | None, reveal: Reveal | None = None
) -> Path | None:
    """Write a report and return its path; None if it went to stdout. `reveal` is asked for the trees of what passed.

    Raises ValueError for what cannot be: trees in another format than `html`, `parquet` on stdout.
    """
    from harness import reports

    if reveal and format != "html":
        raise ValueError(f"--trees: only a page draws trees: leave out --format {format}, or --trees")
    if format == "parquet" and str(output) == "-":
        raise ValueError("--format parquet: its bytes are no text for stdout; name a file: -o run.parquet")
    if format in EXPORTS:
        return _export(store, run_id, format, output)
    report = stored_report(store, run_id)
    if unfinished := store.unfinished_words(store.run(report.run["run_id"])):
        say(f"harness: {unfinished}")
    if output is None and format in ("csv", "json", "markdown", "latex"):
        output = Path("-")
    path = output or Path(".harness") / f"report-{report.run['run_id']}{SUFFIXES[format]}"
    if format == "html":
        passed = {record.id.removesuffix(f"/{record.case}") for record in report.records if record.status == "passed"}
        trees = tuple(reveal(passed)) if reveal else ()
        histories, timed = _histories(store, report), _judged(report.timed)
        report = dataclasses.replace(report, histories=histories, timed=timed, trees=trees)
    if str(path) == "-":
        sys.stdout.write(reports.text_of(report, format))
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    reports.write(report, format, path)
    return path.resolve()


def _judged(records: Iterable[Record]) -> tuple[Record, ...]:
    """Records as a page of rankings and pictures takes them: what was imported is there without its time, which nobody
    here saw a right result for; its reason says the time in words."""
    return tuple(
        dataclasses.replace(one, samples=None, median_ns=None, min_ns=None, cpu_median_ns=None)
        if one.status == "imported"
        else one
        for one in records
    )


def _export(store: Store, run_id: str | None, format: str, output: Path | None) -> Path | None:
    """A run as another tool has it: to stdout, or a file; of several files, into a folder. Raises LookupError where the
    format cannot hold the run, ValueError for a folder on stdout."""
    from harness.interop import exporting
    from harness.interop.stored import stored_run

    if format in exporting.FOLDERS and str(output) == "-":
        raise ValueError(f"--format {format}: writes a folder, which stdout cannot take; name one: -o results")
    run = stored_run(store, run_id)
    found = exporting.export(run, format)
    if words := exporting.left_out_words(found):
        say(f"harness: {words}")
    if format in exporting.FOLDERS:
        path = output or Path(".harness") / f"{format}-{run.info.run_id}"
    elif output is None or str(output) == "-":
        (text,) = found.files.values()
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())  # those tools read UTF-8, whatever the terminal shows
        sys.stdout.buffer.flush()
        return None
    else:
        path = output
    exporting.save(found, format, path)
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


def print_summary(command: str, run: Run, store: str | None) -> bool:
    """What a person wants to see at the end of a run, on stdout. Returns whether the store takes it for its newest."""
    from harness import reports
    from harness.fitting import show
    from harness.store import Store

    with Store.open(store) as opened:
        report, newest = stored_report(opened, run.run_id), opened.run(None)
    if command == "bench":
        show(reports.ranking_tables(report), 124)
    show(reports.conformance_lines(report), 124)
    return newest.run_id == run.run_id

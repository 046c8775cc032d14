"""The page's table of all tasks: one row each, reasons told once, and the command that makes the row again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.record import STATUSES, WRONG, Record

from .page_rows import columns, command, cut, some, words
from .report import Report
from .section import Cell, Section, Table
from .words import number, plain, time_words, unit_for

MOST_ROWS = 4000
"""Rows that a page holds; of a larger run it shows all that did not pass, then what was timed, then a sample."""
REPEATED = 3
"""A reason of so many rows or more is told once, below the table."""
FACETS = {"status": 5, "operator": 0, "backend": 1, "dtype": 3}
"""What rows are filtered by, and the column that it stands in."""
GROUPS = ("wrong", "timed", "passed and not timed", "unsupported or missing", "imported")
"""What is shown first where not all is."""
HEADINGS = ("operator", "backend", "implementation", "dtype", "case", "status", "#error / bound")


@dataclass(frozen=True, slots=True)
class Tasks:
    """The section, the reasons that are told once as (id, text, count), and the values of each filter with counts."""

    section: Section
    reasons: tuple[tuple[str, str, int], ...]
    facets: dict[str, tuple[tuple[str, int], ...]]
    total: int


def all_tasks(report: Report) -> Tasks | None:
    """None where the run has no task."""
    if not report.records:
        return None
    chosen, left_out = choose(report.records)
    timed = {id(record) for record in report.timed}
    told = Counter(cut(record.reason) for record in chosen if record.reason)
    shared = {reason: f"r{number}" for number, reason in enumerate(told, 1) if told[reason] >= REPEATED}
    rows = tuple(_row(record, id(record) in timed, shared, report) for record in chosen)
    last = "run it again" if report.runs_again else "its history"
    table = Table("All tasks", columns(*HEADINGS, "#median (95 %)", "reason", last), rows)
    facets = {name: tuple(sorted(Counter(row[column].text for row in rows).items())) for name, column in FACETS.items()}
    section = Section("tasks", "All tasks", _answer(report, len(chosen), left_out), ((None, table),))
    reasons = tuple((mark, reason, told[reason]) for reason, mark in shared.items())
    return Tasks(section, reasons, facets, len(report.records))


def choose(records: Sequence[Record], most: int = MOST_ROWS) -> tuple[list[Record], str]:
    """The records to show, and in words which ones those are where that is not all of them.

    Each group that does not fit is sampled evenly, in the order of the run, what did not pass before the rest.
    """
    if len(records) <= most:
        return list(records), ""
    groups: dict[str, list[Record]] = {name: [] for name in GROUPS}
    for record in records:
        groups[_group(record)].append(record)
    kept: set[int] = set()
    said = []
    for name, group in groups.items():
        free = most - len(kept)
        if name == "passed and not timed":
            # what did not run says the least, and yet should not be gone
            free -= min(len(groups["unsupported or missing"]), free // 5)
        size = min(len(group), free)
        kept.update(id(group[place * len(group) // size]) for place in range(size))
        if group:
            said.append(f"all {size:,} {name}" if size == len(group) else f"{size:,} of {len(group):,} {name}")
    return [record for record in records if id(record) in kept], ", ".join(said)


def _group(record: Record) -> str:
    """Which of GROUPS a record is of: each is of one, whatever its status."""
    if record.status in WRONG:
        return "wrong"
    if record.median_ns is not None:
        return "timed"
    if record.status == "passed":
        return "passed and not timed"
    return "unsupported or missing" if record.status in ("unsupported", "missing") else "imported"


def _answer(report: Report, shown: int, left_out: str) -> str:
    counted = ", ".join(f"{count:,} {words(status)}" for status, count in report.counts.items())
    if shown == len(report.records):
        return f"{some(shown, 'task')}: {counted}."
    return (
        f"{some(len(report.records), 'task')}: {counted}. This page holds {shown:,} rows of them, so that it opens: "
        f"{left_out}, evenly spread. Search, filter and sort work on these rows. All rows: "
        f"`harness report {plain(report.run['run_id'])} --format csv`."
    )


def _row(record: Record, timed: bool, shared: dict[str, str], report: Report) -> tuple[Cell, ...]:
    status = words(record.status) + (" (known)" if record.known else "")
    kind = "bad" if record.is_wrong else "unsure" if record.known else "" if record.status == "passed" else "none"
    reason = cut(record.reason) if record.reason else ""
    return (
        Cell(plain(record.operator)),
        Cell(plain(record.backend)),
        Cell(plain(record.implementation)),
        Cell(plain(record.dtype or "-")),
        Cell(plain(record.case)),
        Cell(status, STATUSES.index(record.status), kind=kind),
        Cell(number(record.error_over_bound, 2), record.error_over_bound),
        _time(record),
        Cell(f"reason {shared[reason][1:]}", link=shared[reason]) if reason in shared else Cell(reason),
        Cell("", command=command("bench" if timed else "check", record, report)),
    )


def _time(record: Record) -> Cell:
    if record.median_ns is None:
        return Cell("")
    divisor, unit = unit_for([float(record.median_ns)])
    low, high = record.ci_low_ns, record.ci_high_ns
    if low is None or high is None:
        return Cell(f"{number(record.median_ns / divisor)} {unit}", record.median_ns)
    median, interval = time_words(record.median_ns, low, high, divisor)
    audit = "" if record.audit_ns is None else f", audit {number(record.audit_ns / divisor)}"
    return Cell(f"{median} ({interval}) {unit}{audit}", record.median_ns)

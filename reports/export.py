"""A report as a file of one of the formats; rows are the contract's columns."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.record import COLUMNS, Record
from harness.whole import replacing, write_whole

from .inert import cell, code, escaped, jsonable
from .ranking import rankings
from .report import Report
from .words import count, number, ratio_words, time_words, unit_for

TEXTS = ("html", "markdown", "csv", "json", "latex")


def rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Records as JSON-able dictionaries; infinities as strings, since JSON has none."""
    return [{name: jsonable(getattr(record, name)) for name in COLUMNS} for record in records]


def json_rows(records: Iterable[Record]) -> str:
    """One JSON array, an object per record, null for what does not apply."""
    return json.dumps(rows(records), indent=1, allow_nan=False)


def text_of(report: Report, format: str) -> str:
    """A report as text in one of TEXTS. Raises ValueError for another format."""
    if format == "html":
        from .page import page

        return page(report, report.histories)
    if format == "json":
        return json_rows(report.records) + "\n"
    if format == "csv":
        return _csv(report.records)
    if format == "latex":
        from .latex import latex

        return latex(report)
    if format == "markdown":
        return markdown(report)
    raise ValueError(f"{format!r} is no text format of a report; those are {', '.join(TEXTS)}")


def write(report: Report, format: str, path: Path) -> None:
    """Write a report as `parquet` or one of TEXTS, whole or not at all. Raises ValueError for another format."""
    if format == "parquet":
        from .frame import records_frame
        from .parquet import write_frame

        with replacing(path) as partial:
            write_frame(records_frame(report.records), partial)
    else:
        write_whole(path, text_of(report, format))


def _csv(records: Iterable[Record]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerow([cell(getattr(record, name)) for name in COLUMNS])
    return out.getvalue()


def markdown(report: Report) -> str:
    """Rankings, failures and counts, for a pull request or a README."""
    run = report.run
    parts = [f"# kernel-harness {run['command']} {run['run_id']}", ""]
    parts.append(" · ".join(f"{count} {status}" for status, count in report.counts.items()) or "nothing ran")
    if report.disturbance:
        parts += ["", report.disturbance]
    for group in rankings(report):
        divisor, unit = unit_for([float(place.record.median_ns or 1) for place in group.places])
        parts += ["", f"## {escaped(group.operator)} {escaped(group.case)}", ""]
        if group.places:
            more = " launches | host round trips |" if group.is_counted else ""
            head = f"| rank | implementation | median {unit} | 95 % interval | vs fastest | % of copy | error/bound |"
            parts += [head + more, "|---:|---|---:|---:|---:|---:|---:|" + "---:|" * more.count("|")]
        for place in group.places:
            record = place.record
            times = (record.median_ns or 0, record.ci_low_ns or 0, record.ci_high_ns or 0)
            median, interval = time_words(*times, divisor)
            tied = "=" if place.verdict == "tied" else ""
            ratio = ratio_words(place.relative.estimate, place.relative.low, place.relative.high)
            limit, error = number(record.percent_of_limit, 2), number(record.error_over_bound, 2)
            name = f"{escaped(record.backend)}/{escaped(record.implementation)}"
            line = f"| {place.rank}{tied} | {name} | {median} | {interval} | {ratio} | {limit} | {error} |"
            counts = f" {count(record.launches)} | {count(record.host_round_trips)} |" if group.is_counted else ""
            parts.append(line + counts)
        for record in group.without_time:
            name = f"{escaped(record.backend)}/{escaped(record.implementation)}"
            parts.append(f"- {name}: {record.status}: {escaped(record.reason)}")
    if report.wrong:
        parts += ["", "## Wrong", ""]
        parts += [f"- {code(record.id)} {record.status}: {escaped(record.reason)}" for record in report.wrong]
    return "\n".join(parts) + "\n"

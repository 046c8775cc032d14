"""What the terminal shows at the end of a run: rankings, conformance, and how to run again what is wrong."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from harness.record import STATUSES, Record

from .ranking import Place, Ranking, rankings
from .report import Report, again
from .words import count, number, plain, ratio_words, time_words, unit_for

MOST_FAILURES = 10


def ranking_tables(report: Report) -> Iterator[Table | Text]:
    """One table per operator and case: rank, implementation, median, 95 % interval, ratio to the fastest, limits."""
    for group in rankings(report):
        yield _table(group)
        for record in group.without_time:
            yield Text(f"    {plain(record.backend)}/{plain(record.implementation)}  ", "yellow").append(
                f"{record.status}: {plain(record.reason)[:300]}"
            )
        yield Text("")
    audited = audit_text(report.timed)
    if audited:
        yield Text(audited + "\n", "dim")
    if report.disturbance:
        yield Text(report.disturbance + "\n", "yellow")


def audit_text(records: Iterable[Record]) -> str:
    """Who says so: how far the supervisor's own clock is from the medians; empty where it was not asked."""
    ratios = [one.audit_ns / one.median_ns for one in records if one.audit_ns and one.median_ns]
    if not ratios:
        return ""
    if len(ratios) == 1:
        return f"By the supervisor's own clock a call takes {ratios[0]:.2f} times the median that the worker claims."
    return (
        f"By the supervisor's own clock a call takes {statistics.median(ratios):.2f} times the median that its worker "
        f"claims (the median of {len(ratios)}; from {min(ratios):.2f} to {max(ratios):.2f})."
    )


def _table(group: Ranking) -> Table:
    divisor, unit = unit_for([float(place.record.median_ns or 1) for place in group.places])
    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left", title_style="bold")
    table.title = Text(f"{plain(group.operator)}  {plain(group.case)}")
    table.add_column("", justify="right")
    table.add_column("implementation")
    for heading in (f"median {unit}", "95 % interval", "vs fastest", "% of copy", "error/bound"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("launches", "round\ntrips") if group.is_counted else ():
        table.add_column(heading, justify="right", no_wrap=True, vertical="top")
    for place in group.places:
        cells = _cells(place, divisor)
        if group.is_counted:
            cells += [Text(count(place.record.launches)), Text(count(place.record.host_round_trips))]
        table.add_row(*cells, style="green" if place.rank == 1 else None)
    return table


def _cells(place: Place, divisor: float) -> list[Text]:
    record = place.record
    assert record.median_ns is not None and record.ci_low_ns is not None and record.ci_high_ns is not None
    median, interval = time_words(record.median_ns, record.ci_low_ns, record.ci_high_ns, divisor)
    cells = [
        f"{place.rank}{'=' if place.verdict == 'tied' else ''}",
        f"{plain(record.backend)}/{plain(record.implementation)}" + f"\n  {place.refusal}" * bool(place.refusal),
        median,
        interval,
        ratio_words(place.relative.estimate, place.relative.low, place.relative.high),
        number(record.percent_of_limit, 2),
        number(record.error_over_bound, 2),
    ]
    return [Text(cell) for cell in cells]


def conformance_lines(report: Report) -> Iterator[Text]:
    """One line per implementation, then the failures with the selector that runs each again, then the sum."""
    by_implementation: dict[str, list[Record]] = defaultdict(list)
    for record in report.checked or report.timed:
        by_implementation[f"{record.operator}/{record.backend}/{record.implementation}"].append(record)
    width = max((len(plain(name)) for name in by_implementation), default=0)
    for name, records in by_implementation.items():
        yield _implementation_line(plain(name).ljust(width), records)
    yield from _known(report)
    yield from _failures(report)
    total = " · ".join(f"{count} {status}" for status, count in report.counts.items())
    if report.known:
        total += f" ({len(report.known)} known)"
    yield Text(f"\n{total or 'nothing ran'}   (run {report.run['run_id']}, seed {report.run['seed']})", "bold")


def _implementation_line(name: str, records: list[Record]) -> Text:
    counts = Counter(record.status for record in records)
    wrong = any(record.is_wrong for record in records)
    known = sum(bool(record.known) for record in records)
    errors = [one.error_over_bound for one in records if one.error_over_bound is not None and not one.known]
    worst = max(errors, default=None)
    line = Text(name, "red" if wrong else "yellow" if not counts["passed"] else "green")
    line.append("  " + " · ".join(f"{status} {counts[status]}" for status in STATUSES if counts[status]), "default")
    if known:
        line.append(f" ({known} known)", "default")
    if worst is not None and not wrong:
        line.append(f"   worst error/bound {number(worst, 2)}", "dim")
    missing = next((record.reason for record in records if record.status == "missing"), "")
    if missing:
        line.append(f"   {plain(missing)}", "default")
    return line


def _known(report: Report) -> Iterator[Text]:
    """What is known to be wrong: one line per reason, with one selector that shows it."""
    by_reason: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in report.known:
        by_reason[(f"{record.operator}/{record.backend}/{record.implementation}", record.known or "")].append(record)
    if by_reason:
        yield Text(f"\n{len(report.known)} known failures:", "bold yellow")
    for (name, reason), records in by_reason.items():
        yield Text(f"  {plain(name)} ({len(records)})  ", "yellow").append(plain(reason)[:300], "default")
        yield Text(f"      {again(records[0], report)}", "dim")


def _failures(report: Report) -> Iterator[Text]:
    wrong = report.wrong
    if not wrong:
        return
    yield Text(
        f"\n{len(wrong)} wrong" + (f", the first {MOST_FAILURES}:" if len(wrong) > MOST_FAILURES else ":"), "bold red"
    )
    for record in wrong[:MOST_FAILURES]:
        yield Text(f"  {record.status}  ", "red").append(again(record, report), "default")
        yield Text(f"      {plain(record.reason)[:600]}", "dim")

"""Rankings, failures, comparisons and histories as plain tables: what LaTeX files, prompts and notebooks show."""

from __future__ import annotations

from collections.abc import Sequence

from harness.comparing.verdicts import Compared, Comparison
from harness.histories import Histories

from .compared import CLOCK_WORDS, change_of, ordered, share, times
from .history import change_words, finding, newest_words, runs_words, trend_words, with_times
from .history import kind as kind_of
from .ranking import Ranking
from .report import Report
from .section import Cell, Column, Table
from .words import number, plain, ratio_words, time_words, unit_for


def ranking_table(group: Ranking, most: int | None = None) -> Table:
    """The implementations of one case in order; those without a time last, with the reason."""
    divisor, unit = unit_for([float(place.record.median_ns or 1) for place in group.places])
    headings = (f"median {unit}", "95 % interval", "vs fastest", "% of copy", "error/bound")
    columns = (Column("rank", True), Column("implementation"), *(Column(one, True) for one in headings))
    rows = []
    for place in group.places[:most]:
        record = place.record
        median = record.median_ns or 1
        middle, interval = time_words(median, record.ci_low_ns or median, record.ci_high_ns or median, divisor)
        cells = (
            f"{place.rank}{'=' if place.verdict == 'tied' else ''}",
            f"{plain(record.backend)}/{plain(record.implementation)}" + f" ({place.refusal})" * bool(place.refusal),
            middle,
            interval,
            ratio_words(place.relative.estimate, place.relative.low, place.relative.high),
            number(record.percent_of_limit, 2),
            number(record.error_over_bound, 2),
        )
        rows.append(tuple(map(Cell, cells)))
    caption = f"{plain(group.operator)} {plain(group.case)}"
    without = [one for one in group.without_time if one.is_wrong or one.known]
    if without:
        names = ", ".join(f"{plain(one.backend)}/{plain(one.implementation)}" for one in without[:3])
        more = f" and {len(without) - 3} more" if len(without) > 3 else ""
        caption += f"; wrong, and without a time: {names}{more}"
    return Table(caption, columns, tuple(rows))


def wrong_table(report: Report, most: int) -> Table:
    """What is wrong and why."""
    wrong = report.wrong
    rows = tuple(
        (Cell(plain(one.id)), Cell(one.status.replace("_", " ")), Cell(plain(one.reason))) for one in wrong[:most]
    )
    caption = "Wrong" if len(wrong) <= most else f"Wrong, the first {most} of {len(wrong)}"
    return Table(caption, (Column("task"), Column("status"), Column("reason")), rows)


def compared_table(comparison: Comparison, most: int, *, everything: bool = False) -> Table:
    """What changed, the worst first; or `everything`."""
    rows = [row for row in ordered(comparison.rows) if everything or row.verdict != "SAME"]
    numeric = ("change [95 %]", "clock", "before", "now", "visible")
    columns = (Column("verdict"), Column("task"), *(Column(one, one != "clock") for one in numeric), Column("why"))
    what = "Tasks" if everything else "What changed"
    caption = what if len(rows) <= most else f"{what}, the first {most} of {len(rows)}"
    return Table(caption, columns, tuple(_compared(row) for row in rows[:most]))


def _compared(row: Compared) -> tuple[Cell, ...]:
    clock = CLOCK_WORDS.get(row.clock, "-") if row.clock else "-"
    cells = (row.verdict, plain(row.id), change_of(row), clock, *times(row), share(row.detectable), plain(row.reason))
    return tuple(map(Cell, cells))


def histories_table(histories: Histories, most: int | None = None) -> Table:
    """One row for each task with a time, what was found first."""
    order = {"bad": 0, "good": 1, "none": 2}
    rows = sorted(with_times(histories), key=lambda row: order[kind_of(row)])
    headings = (
        ("task", False),
        ("runs", True),
        ("newest", True),
        ("trend per week", True),
        ("finding", False),
        ("newest change point", False),
    )
    columns = tuple(Column(label, numeric) for label, numeric in headings)
    found: list[tuple[Cell, ...]] = []
    for row in rows[:most]:
        changes: Sequence[str] = change_words(row)
        cells = (
            plain(row.series.id),
            runs_words(row),
            newest_words(row),
            trend_words(row),
            finding(row),
            plain(changes[-1]) if changes else "-",
        )
        found.append(tuple(map(Cell, cells)))
    return Table(f"Times per call on machine {plain(histories.machine_id)}", columns, tuple(found))

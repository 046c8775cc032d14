"""The page's sections about what was before and around the run: history, machine, versions, method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jinja2

from harness.histories import Histories, History
from harness.next_step import quoted
from harness.timing.reference import UNITS, copies_of, references_of

from .history import notes
from .history_page import section_rows
from .machines import name_of
from .page_rows import columns
from .report import Report
from .section import Cell, Column, Picture, Section, Table
from .words import number, plain

MOST_DRAWN = 24
KINDS = {"bad": "✗ ", "good": "✓ ", "none": ""}


def history_section(histories: Histories | None, environment: jinja2.Environment) -> Section | None:
    """Earlier runs of the tasks; None where no task has enough of them. What was found is drawn first."""
    if histories is None or not histories.rows:
        return None
    rows = section_rows(histories.rows)
    found = sum(row["kind"] != "none" for row in rows)
    figure: Any = environment.get_template("trend.html").module
    figures: list[tuple[Picture | None, Table]] = []
    if len(rows) > 1:
        figures.append((None, _overview(rows, {row.series.id: row for row in histories.rows})))
    for row in rows[:MOST_DRAWN]:
        plot = row["plot"]
        picture = Picture(str(figure.figure(plot, row["id"])), f"{plot.title} of {plain(row['id'])}") if plot else None
        figures.append((picture, _levels(row)))
    left = len(rows) - MOST_DRAWN
    return Section(
        "history",
        "History",
        f"{found} of {len(rows)} tasks changed over the runs up to this one." if found else
        f"No drift and no step in {len(rows)} tasks over the runs up to this one.",
        tuple(figures),
        " ".join(notes(histories)) + (f" {left} tasks are in the table only." if left > 0 else ""),
    )  # fmt: skip


def _overview(rows: list[dict[str, Any]], found: Mapping[str, History]) -> Table:
    labels = ("task", "#runs", "#newest", "clock", "finding", "#trend per week (95 % interval)", "change points")
    return Table(
        "All tasks with a history",
        columns(*labels, "runs, oldest first"),
        tuple(
            (
                Cell(plain(row["id"]), command=f"harness history {quoted(row['id'])}"),
                Cell(row["runs"], len(found[row["id"]].series.timed)),
                Cell(row["newest"], _newest_ns(found[row["id"]])),
                Cell(row["clock_word"]),
                Cell(KINDS[row["kind"]] + row["finding"], kind=row["kind"]),
                Cell(row["trend"], _per_week(found[row["id"]])),
                Cell("; ".join(plain(one) for one in row["changes"]) or "-"),
                Cell(row["spark"], kind="spark"),
            )
            for row in rows
        ),
        folded=len(rows) > 12,
    )


def _newest_ns(history: History) -> int | None:
    return None if history.newest is None else history.series.time_ns(history.newest)


def _per_week(history: History) -> float | None:
    return None if history.trend is None else history.trend.estimate


def _levels(row: dict[str, Any]) -> Table:
    labels = ("from", "commit", "to", "commit", "#runs", f"#median {row['unit']}", "#change (95 % interval)")
    keys = ("first_at", "first", "last_at", "last", "runs", "median", "change")
    return Table(
        f"{plain(row['sentence'])} Levels of {row['clock']} per call:",
        columns(*labels),
        tuple(tuple(Cell(plain(level[key])) for key in keys) for level in row["levels"]),
        title=f"{KINDS[row['kind']]}{row['finding']}: {plain(row['id'])}",
    )


def machine_section(report: Report) -> Section:
    """What the times depend on: copy rates, machine, versions, settings."""
    figures: list[tuple[Picture | None, Table]] = []
    members = report.run.get("members") or {}
    if members:
        figures.append((None, _members(members)))
    for name, ceiling in [("", report.run.get("ceiling")), *((one, said["ceiling"]) for one, said in members.items())]:
        of = f" of machine {plain(name)}" if name else ""
        figures += [(None, table) for table in _ceilings(ceiling or {}, of)]
    flat = list(_flat(report.machine))
    groups = (
        ("Machine", [row for row in flat if not row[0].startswith(("libraries.", "kernels.", "environment."))]),
        ("Versions", [row for row in flat if row[0].startswith("libraries.")]),
        ("Environment variables that matter", [row for row in flat if row[0].startswith("environment.")]),
    )
    for title, rows_of in groups:
        if rows_of:
            body = tuple((Cell(plain(name.split(".")[-1])), Cell(plain(value))) for name, value in rows_of)
            caption = f"{title} {plain(report.run['machine_id'])}" if title == "Machine" else title
            figures.append((None, Table(caption, columns("what", "found"), body)))
    said = [plain(one).strip() for one in report.run.get("notes") or ()]
    method = " ".join(one if one.endswith(".") else one + "." for one in said)
    return Section("machine", "Machine and versions", method, tuple(figures))


def _members(members: Mapping[str, Any]) -> Table:
    """The machines of a run that had several."""
    rows = tuple(
        (
            Cell(plain(name), command=f"harness machines {quoted(name)}"),
            Cell(plain(said["words"])),
            Cell(
                "-" if said["used_by_others"] is None else f"{100 * said['used_by_others']:.0f}", said["used_by_others"]
            ),
        )
        for name, said in members.items()
    )
    return Table("The machines of this run", columns("machine", "what it is", "#used by others, % of the cores"), rows)


def _ceilings(ceiling: Mapping[str, float], of: str) -> Iterator[Table]:
    """What a machine measured of itself in this run: copy rates, and how fast it computed."""
    copies, references = copies_of(ceiling), references_of(ceiling)
    if copies:
        rows = tuple((Cell(_size(size), size), Cell(f"{rate:.1f}", rate)) for size, rate in sorted(copies.items()))
        heads = (Column("bytes read and written"), Column("copy rate GB/s", True))
        yield Table(f"Copy rates{of} that were measured in this run: the ceiling of “% of copy”", heads, rows)
    if references:
        rows = tuple(
            (Cell(name_of(key)), Cell(plain(UNITS.get(key, ""))), Cell(number(rate, 4), rate))
            for key, rate in references.items()
        )
        heads = columns("work that never changes", "unit", "#rate")
        yield Table(f"How fast the machine{of.removeprefix(' of machine')} computed in this run", heads, rows)


def _size(size: int) -> str:
    return f"{size // 1024} KiB" if size < 1 << 20 else f"{number(size / 2**20)} MiB"


def _flat(machine: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in machine.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from ((f"{prefix}{name}", ", ".join(f"{k} {v}" for k, v in one.items())) for one in value)
        else:
            yield f"{prefix}{name}", "-" if value is None else str(value)

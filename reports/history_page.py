"""Histories as SVG, as a page of its own, and as the section of a report: no script, no request."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from harness.histories import Histories, History
from harness.whole import write_whole

from .history import (
    CLOCKS,
    finding,
    headline,
    kind,
    level_rows,
    newest_words,
    notes,
    runs_words,
    sentence,
    spark,
    trend_words,
    with_times,
)
from .inert import visible
from .trend import HEIGHT, WIDTH, trend
from .words import plain

FOLDER = Path(__file__).parent
HEADING = 26
SPARK = 16
SUFFIXES = (".svg", ".html")


def environment() -> jinja2.Environment:
    """Templates of this package; what comes from plugins is escaped."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(plain=plain, visible=visible)
    return found


def section_rows(rows: Sequence[History]) -> list[dict[str, Any]]:
    """Histories as the templates want them, what was found first."""
    order = {"bad": 0, "good": 1, "none": 2}
    return [_row(row) for row in sorted(rows, key=lambda row: order[kind(row)])]


def _row(history: History) -> dict[str, Any]:
    levels, unit = level_rows(history)
    return {
        "id": history.series.id,
        "kind": kind(history),
        "finding": finding(history),
        "sentence": sentence(history),
        "plot": trend(history),
        "levels": levels,
        "unit": unit,
        "clock": "CPU time" if history.series.clock == "cpu" else "time",
        "clock_word": CLOCKS[history.series.clock],
        "runs": runs_words(history),
        "newest": newest_words(history),
        "trend": trend_words(history),
        "changes": [f"{one.percent:+.1f} % at {one.after.commit_words}" for one in history.changes],
        "spark": spark(history, SPARK),
    }


def history_page(histories: Histories) -> str:
    """The whole page."""
    text, colour = headline(histories)
    return (
        environment()
        .get_template("history.html")
        .render(
            style=_style(),
            headline=text,
            kind=colour,
            rows=section_rows(with_times(histories)),
            notes=notes(histories),
        )
    )


def history_svg(histories: Histories) -> str:
    """One picture, the tasks one under the other with their findings; it follows the reader's dark or light colours."""
    module: Any = environment().get_template("trend.html").module
    parts = []
    drawn = [(row, plot) for row in histories.rows if (plot := trend(row)) is not None]
    for number, (row, plot) in enumerate(drawn):
        words = finding(row) + (f", {trend_words(row)} a week" if row.trend else "")
        name = f"{row.series.id}: {words}"
        parts.append(f'<g transform="translate(0 {number * (HEIGHT + HEADING)})">')
        parts.append(f'<text class="name" x="8" y="18">{jinja2.utils.markupsafe.escape(visible(name))}</text>')
        parts.append(f'<g transform="translate(0 {HEADING})">{module.figure(plot, row.series.id)}</g></g>')
    height = max(1, len(drawn)) * (HEIGHT + HEADING)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">'
    paper = f'<rect width="{WIDTH}" height="{height}" style="fill: var(--paper)"/>'
    return f"{head}<style>{_style()}</style>{paper}{''.join(parts)}</svg>\n"


def write_history(histories: Histories, path: Path) -> None:
    """Write a `.svg` or a `.html`. Raises ValueError for another suffix."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"--output {path}: its name must end in {' or '.join(SUFFIXES)}")
    write_whole(path, history_svg(histories) if path.suffix == ".svg" else history_page(histories))


def _style() -> str:
    return (FOLDER / "page.css").read_text(encoding="utf-8")

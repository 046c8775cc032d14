"""Histories in the terminal: one row per task, and under the table what is to be known."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from harness.histories import Histories, History

from .history import (
    change_words,
    finding,
    headline,
    kind,
    machine_sentences,
    newest_words,
    notes,
    runs_words,
    spark,
    trend_words,
    with_times,
)
from .words import plain

COLOURS = {"bad": "red", "good": "green", "none": "default"}
SPARK = 24
MOST_CHANGES = 3
MOST_GAPS = 5


def history_lines(histories: Histories) -> Iterator[Table | Text]:
    """The table, the reasons of gaps and missing trends, and the notes."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", overflow="fold", ratio=3)
    table.add_column("runs", justify="right")
    for heading in ("newest", "trend per week", ""):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=heading != "trend per week")
    table.add_column("change points", ratio=3)
    table.add_column("oldest to newest", no_wrap=True)
    for row in with_times(histories):
        table.add_row(*_cells(row))
    yield table
    yield from _reasons(histories)
    text, colour = headline(histories)
    yield Text(f"\n{text}", f"bold {COLOURS[colour]}".replace(" default", ""))
    for said in machine_sentences(histories):
        yield Text(plain(said), "yellow")
    for note in notes(histories):
        if note not in machine_sentences(histories):
            yield Text(plain(note), "dim")


def _cells(row: History) -> list[Text]:
    colour = COLOURS[kind(row)]
    changes = [plain(one) for one in change_words(row)]
    hidden = len(changes) - MOST_CHANGES
    shown = [f"{hidden} older ones", *changes[-MOST_CHANGES:]] if hidden > 0 else changes
    return [
        Text(plain(row.series.id)),
        Text(runs_words(row)),
        Text(f"{newest_words(row)} {row.series.clock}"),
        Text(trend_words(row), colour if row.verdict in ("slower", "faster") else "default"),
        Text(finding(row), colour),
        Text("\n".join(shown) or "-"),
        Text(spark(row, SPARK), colour),
    ]


def _reasons(histories: Histories) -> Iterator[Text]:
    """Why tasks have no time in some runs, the newest first, and why no trend is told."""
    gaps = [(point, row) for row in with_times(histories) for point in row.series.gaps]
    gaps.sort(key=lambda one: one[0].started_at, reverse=True)
    for point, row in gaps[:MOST_GAPS]:
        words = f"no time on {point.started_at:%Y-%m-%d} at {point.commit_words}: {point.status}: "
        yield Text(f"{plain(row.series.id)}  ", "yellow").append(plain(words + point.reason)[:300], "default")
    if len(gaps) > MOST_GAPS:
        yield Text(f"and {len(gaps) - MOST_GAPS} more without a time: see --json", "yellow")
    short = {row.findings.too_short for row in with_times(histories) if row.findings.too_short}
    for reason in sorted(short):
        yield Text(f"no trend: {reason}", "dim")

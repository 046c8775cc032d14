"""Tables of trials on the terminal, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from harness.fitting import show
from harness.trials.advice import Advice
from harness.trials.kept import Row
from harness.trials.noise import Measured
from harness.trials.trust import Outcome, rows_of, summary

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 160
"""Of tables that are not printed on a terminal."""
Column = tuple[str, str, Callable[[Any], str]]
"""Heading, key of the row, and how its value is written."""


def percent_of(ratio: float) -> str:
    """A ratio as a change in percent."""
    return f"{100 * (ratio - 1):+.2f} %"


def share(value: float) -> str:
    return f"{100 * value:.2g} %"


def seconds(value: float) -> str:
    return f"{value:.1f} s"


POWER: tuple[Column, ...] = (
    ("tool", "tool", str),
    ("beside", "load", str),
    ("slower by", "slowdown", lambda value: f"{value} %"),
    ("in truth", "true_ratio", percent_of),
    ("detected", "detected", str),
    ("of", "repeats", str),
    ("median estimate", "median_estimate", percent_of),
    ("seconds", "seconds", seconds),
    ("", "reason", str),
)
GATE: tuple[Column, ...] = (
    ("gate", "gate", str),
    ("tasks", "tasks", str),
    ("one slower by", "true_ratio", percent_of),
    ("right", "right_in_words", str),
    ("named", "named", str),
    ("false alarms", "false_alarms", str),
    ("unclear tasks", "unclear", lambda value: f"{value:g}"),
    ("rounds a task", "rounds", lambda value: f"{value:.1f}"),
    ("seconds", "seconds", seconds),
    ("times the adaptive", "times_adaptive", lambda value: f"{value:.1f}"),
)
COMMITS: tuple[Column, ...] = (
    ("commit", "commit", str),
    ("tasks", "tasks", str),
    ("identical", "identical", lambda value: f"{value:g}"),
    ("slower by", "estimate", percent_of),
    ("right", "right_in_words", str),
    ("named", "named", str),
    ("false alarms", "false_alarms", str),
    ("seconds", "seconds", seconds),
)
INTERVALS: tuple[Column, ...] = (
    ("clock", "clock", str),
    ("comparisons", "comparisons", str),
    ("miss 1", "missed", str),
    ("share", "missed_share", share),
    ("at least", "share_low", share),
    ("at most", "share_high", share),
    ("± interval", "median_half_width", share),
    ("alarms", "alarms", str),
    ("seconds", "seconds", seconds),
)
LONGEST_REASON = 90
TRUST: tuple[Column, ...] = (
    ("attack", "attack", str),
    ("exploits", "exploits", lambda numbers: " ".join(map(str, numbers))),
    ("defence", "defence", lambda name: name.replace("_", " ")),
    ("verdict", "verdict", str),
    ("time / honest", "ratio", lambda ratio: f"{ratio:.2f}"),
    ("status: reason", "said", str),
)


def print_rows(rows: Sequence[Row], columns: Sequence[Column], as_json: bool) -> None:
    """Rows on stdout: as JSON with all their keys, or as a table of these columns."""
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    from rich.text import Text

    table = _table([heading for heading, _, _ in columns])
    for row in rows:
        words = ["-" if row[key] is None else write(row[key]) for _, key, write in columns]
        table.add_row(*(Text(word) for word in words))
    show([table], WIDTH)


def print_trust(outcomes: Sequence[Outcome]) -> None:
    """What became of each attack of the corpus, and the counts of each section. What is not as its row says keeps its
    whole reason."""
    from rich.text import Text

    rows = [
        {**row, "said": _said(row["status"], row["reason"], LONGEST_REASON if one.is_well else None)}
        for row, one in zip(rows_of(outcomes), outcomes, strict=True)
    ]
    print_rows(rows, TRUST, as_json=False)
    show([Text(line) for line in ("", *summary(outcomes))], WIDTH)


def _said(status: str, reason: str, most: int | None) -> str:
    whole = f"{status}: {reason}" if reason else status
    return whole if most is None or len(whole) <= most else f"{whole[: most - 1]}…"


def print_noise(measured: Measured) -> None:
    """The table of A/A comparisons, and the false-alarm rate."""
    from rich.text import Text

    from harness.reports.noise_picture import HEADINGS, cells

    table = _table(HEADINGS)
    for one in measured.tasks:
        table.add_row(*(Text(cell) for cell in cells(one)))
    skipped = [Text(f"not compared: {name}: {reason}") for name, reason in measured.skipped]
    show([table, *skipped, Text(f"false alarms: {measured.rate_in_words}, in {measured.seconds:.0f} s")], WIDTH)


def print_advice(advice: Sequence[Advice]) -> None:
    """What to change and the command for it; nothing is changed."""
    from rich.text import Text

    if not advice:
        return
    table = _table(("what", "is now", "which matters because", "type"))
    for one in advice:
        table.add_row(*(Text(cell) for cell in (one.topic, one.found, one.why, one.command)))
    show([table], WIDTH)


def _table(headings: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table

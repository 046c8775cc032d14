"""Medians over the last runs in the terminal: one row per task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from harness.rows import Median

from .words import number, plain, time_words, unit_for


def median_lines(medians: Sequence[Median], last: int) -> Iterator[Table | Text]:
    """The median of each task's times, how far the runs lie apart, and over how many they are. A task that was also
    imported is one task in two rows."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", overflow="fold", ratio=3)
    for heading in ("runs", "median", "least to most", "apart %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in medians:
        divisor, unit = unit_for([row.median_ns])
        middle, between = time_words(row.median_ns, row.least_ns, row.most_ns, divisor)
        apart = number(100.0 * (row.most_ns / max(1, row.least_ns) - 1.0), 2)
        name = plain(row.id) + (" (imported)" if row.status == "imported" else "")
        table.add_row(Text(name), str(row.runs), f"{middle} {unit}", f"{between} {unit}", apart)
    yield table
    machine = plain(medians[0].machine_id)
    runs = f"the newest {last} runs with a time" if last > 1 else "the newest run with a time"
    tasks = len({row.id for row in medians})
    yield Text(f"\n{tasks} {'task' if tasks == 1 else 'tasks'}; {runs} on machine {machine}", "bold")

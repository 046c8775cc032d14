"""The machines of a store in the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from rich.table import Table
from rich.text import Text

from harness.inventory import Machine
from harness.machine import IDENTITY, SETTINGS

from .machines import HEADINGS, ceiling_rows, cells, fingerprint_rows, noise_words, notes
from .words import plain

SPARK = 12
LONG_SPARK = 24
NUMBERS = ("runs", "rows", "newest rate", "median")


def machines_lines(machines: Sequence[Machine]) -> Iterator[Table | Text]:
    """One row per machine, and what is to be known of them."""
    table = _table(HEADINGS, fixed=("machine", "first run", "newest"))
    for one in machines:
        table.add_row(*map(Text, cells(one, SPARK)))
    yield table
    for note in notes(machines):
        yield Text(plain(note), "dim")


def machine_lines(machine: Machine) -> Iterator[Table | Text]:
    """All of one machine: its fingerprint, its ceilings over time, what changed when, and what else it may be."""
    yield Text(f"{machine.machine_id}  {plain(machine.words)}", "bold")
    yield Text(
        f"{machine.runs} runs and {machine.rows} rows from {machine.first_at[:10]} to {machine.newest_at[:10]}; "
        f"A/A spread over its tasks: {noise_words(machine)}"
    )
    if machine.readings:
        heads = ("ceiling", "unit", "newest rate", "median", "runs", "trend", "change points", "oldest to newest")
        table = _table(heads, fixed=("oldest to newest",))
        for row in ceiling_rows(machine, LONG_SPARK):
            table.add_row(*map(Text, row))
        yield Text("")
        yield table
    else:
        yield Text("no run of it measured a ceiling", "dim")
    yield Text("")
    yield from _changes(machine)
    yield _fingerprint(machine)
    yield Text("= decides the id, and what is compared; : has to be equal to compare; the rest is only noted", "dim")


def _changes(machine: Machine) -> Iterator[Text]:
    for at, words in machine.changes:
        yield Text(f"{at[:10]}  {plain(words)}")
    for other, differs in machine.alike:
        yield Text(f"probably the same box as {other}, with {'; '.join(map(plain, differs))}", "yellow")
    if machine.older_ids:
        yield Text(f"it was {', '.join(machine.older_ids)} before the rule of ids changed; those runs count as its own")


def _fingerprint(machine: Machine) -> Table:
    table = _table(("", "fingerprint", "found"), fixed=("", "fingerprint"))
    for name, value in fingerprint_rows(machine.description):
        field = name.partition(".")[0].partition(" ")[0]
        mark = "=" if field in IDENTITY else ":" if field in SETTINGS else " "
        table.add_row(Text(mark), Text(name), Text(value))
    return table


def _table(headings: Sequence[str], fixed: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in NUMBERS else "left"
        table.add_column(heading, justify=justify, no_wrap=heading in (*fixed, *NUMBERS), overflow="fold")
    return table

"""Tables on the terminal that fit its width: long ids are shortened in the middle, or stand on a line of their own."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Column, Table

IDS = ("task", "implementation", "case")
"""Headings of columns that hold ids."""
SHORTEST_ID = 32
"""A column of ids is made no narrower; then each id stands above its row."""
NO_IDS = -1
GAP = 2
"""Between two columns."""
COMMAND = re.compile(r"^\s*(\w+\s+)?harness \w+ ")


def shortened(text: str, width: int, encoding: str = "utf-8") -> str:
    """The text in so many cells: its middle is left out, since ids begin and end with what tells them apart."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    mark = "…" if encoding.lower().startswith("utf") else ".."
    kept = max(0, width - len(mark))
    left = (kept + 1) // 2
    start = set_cell_size(text, left)
    end = set_cell_size(text[::-1], kept - left)[::-1]
    return f"{start}{mark}{end}" if kept else mark[:width]


def console_of_stdout(piped_width: int) -> Console:
    """A console that is as wide as the terminal; where there is none, as COLUMNS says, or `piped_width`."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False)
    columns = os.environ.get("COLUMNS", "")
    return Console(width=int(columns) if columns.isdigit() and int(columns) else piped_width, highlight=False)


def show(lines: Iterable[RenderableType], piped_width: int = 140) -> None:
    """Print tables so that they fit, commands so that they can be copied, and all else as it is, on stdout."""
    from rich.table import Table
    from rich.text import Text

    console = console_of_stdout(piped_width)
    for line in lines:
        if isinstance(line, Table):
            for part in fitted(line, console):
                _roomy(console, part).print(part)
        else:
            # a terminal joins the lines that it breaks itself when they are copied
            console.print(line, soft_wrap=isinstance(line, Text) and bool(COMMAND.match(line.plain)))
    sys.stdout.flush()


def _roomy(console: Console, part: RenderableType) -> Console:
    """A console on which no column vanishes: where words do not fit side by side, the terminal breaks the lines."""
    from rich.console import Console
    from rich.measure import Measurement

    needed = Measurement.get(console, console.options.update(width=10_000), part).minimum
    if needed <= console.width:
        return console
    return Console(width=needed, highlight=False, no_color=console.no_color)


@dataclass(slots=True)
class Row:
    """The cells of a row; under it stand `details` over the whole width."""

    cells: list[RenderableType]
    details: list[RenderableType]
    style: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table taken apart: its columns, the width that each would like, which one holds the ids (or NO_IDS), and its
    rows."""

    columns: Sequence[Column]
    widths: Sequence[int]
    key: int
    rows: Sequence[Row]

    @property
    def names(self) -> list[str]:
        return [_text(row.cells[self.key]) for row in self.rows]

    def total(self, numbers: Iterable[int], widths: Sequence[int]) -> int:
        """The width of these columns side by side."""
        return sum(widths[number] + GAP for number in numbers) - GAP


def fitted(table: Table, console: Console) -> list[RenderableType]:
    """The table in parts that are printed one after another and are no wider than the console. A cell that is a Group
    gives its first line to the table; the others follow under the row, over the whole width."""
    from rich.text import Text

    sheet = _sheet(table, console)
    if sheet is None:
        return [table]
    everything = range(len(sheet.columns))
    over = sheet.total(everything, sheet.widths) - console.width
    if over <= 0 and not any(row.details for row in sheet.rows):
        return [table]
    title: list[RenderableType] = [Text(_text(table.title), table.title_style or "")] if table.title else []
    if sheet.key == NO_IDS:
        widths = _squeezed(sheet, everything, sheet.widths, console.width)
        return title + [_part(sheet, everything, widths, row) for row in (None, *sheet.rows)]
    widths = list(sheet.widths)
    widths[sheet.key] = min(widths[sheet.key], max(SHORTEST_ID, widths[sheet.key] - max(0, over)))
    widths = _squeezed(sheet, everything, widths, console.width)
    short = {shortened(name, widths[sheet.key], console.encoding) for name in sheet.names}
    if sheet.total(everything, widths) <= console.width and len(short) == len(set(sheet.names)):
        return title + _in_rows(sheet, widths, console)
    return title + _stacked(sheet, console)


def _in_rows(sheet: Sheet, widths: Sequence[int], console: Console) -> list[RenderableType]:
    from rich.padding import Padding

    everything = range(len(sheet.columns))
    parts: list[RenderableType] = [_part(sheet, everything, widths, None)]
    for row in sheet.rows:
        parts.append(_part(sheet, everything, widths, _with_short_id(sheet, row, widths[sheet.key], console)))
        parts += [Padding(one, (0, 0, 0, GAP)) for one in row.details]
    return parts


def _stacked(sheet: Sheet, console: Console) -> list[RenderableType]:
    """Each id on a line of its own, after what stands before it in its row; the other cells under it."""
    from rich.padding import Padding

    first, after = range(sheet.key + 1), range(sheet.key + 1, len(sheet.columns))
    widths = list(sheet.widths)
    lead = sheet.total(first, widths) - widths[sheet.key]
    widths[sheet.key] = max(1, min(widths[sheet.key], console.width - lead))
    widths = _squeezed(sheet, after, widths, console.width - GAP)
    parts: list[RenderableType] = [Padding(_part(sheet, after, widths, None), (0, 0, 0, GAP))]
    for row in sheet.rows:
        parts.append(_part(sheet, first, widths, _with_short_id(sheet, row, widths[sheet.key], console)))
        parts.append(Padding(_part(sheet, after, widths, row), (0, 0, 0, GAP)))
        parts += [Padding(one, (0, 0, 0, GAP)) for one in row.details]
    return parts


def _sheet(table: Table, console: Console) -> Sheet | None:
    """The table taken apart; None where it has no rows."""
    from rich.console import Group
    from rich.measure import Measurement

    key = next((number for number, column in enumerate(table.columns) if column.header in IDS), NO_IDS)
    if not table.rows:
        return None
    rows = []
    for cells, row in zip(zip(*(column.cells for column in table.columns), strict=True), table.rows, strict=True):
        lines = [list(cell.renderables) if isinstance(cell, Group) else [cell] for cell in cells]
        details = [line for cell in lines for line in cell[1:]]
        rows.append(Row([cell[0] for cell in lines], details, str(row.style or "")))
    unlimited = console.options.update(width=10_000)
    widths = [
        max(
            Measurement.get(console, unlimited, cell).maximum
            for cell in [column.header, *(one.cells[n] for one in rows)]
        )
        for n, column in enumerate(table.columns)
    ]
    return Sheet(table.columns, widths, key, rows)


def _squeezed(sheet: Sheet, numbers: Iterable[int], widths: Sequence[int], room: int) -> list[int]:
    """The widths, with those of columns that may be broken into lines reduced until they fit, widest first, down to
    their longest word."""
    new, chosen = list(widths), list(numbers)
    for number in sorted(chosen, key=lambda one: -widths[one]):
        column = sheet.columns[number]
        over = sheet.total(chosen, new) - room
        if over <= 0 or number == sheet.key or column.no_wrap:
            continue
        cells = [column.header, *(row.cells[number] for row in sheet.rows)]
        longest_word = max((len(word) for cell in cells for word in _text(cell).split()), default=0)
        new[number] = max(longest_word, new[number] - over)
    return new


def _part(sheet: Sheet, numbers: Iterable[int], widths: Sequence[int], row: Row | None) -> Table:
    """Some columns of one row, or of the head, in fixed widths: parts stand under each other."""
    from rich.table import Table

    part = Table(box=None, pad_edge=False, padding=(0, GAP // 2), header_style="dim", show_header=row is None)
    for number in numbers:
        column = sheet.columns[number]
        part.add_column(
            column.header,
            justify=column.justify,
            style=column.style,
            no_wrap=column.no_wrap,
            overflow=column.overflow,
            vertical=column.vertical,
            width=widths[number],
        )
    if row is not None:
        part.add_row(*(row.cells[number] for number in numbers), style=row.style or None)
    return part


def _with_short_id(sheet: Sheet, row: Row, width: int, console: Console) -> Row:
    from rich.text import Text

    cells = list(row.cells)
    cell = cells[sheet.key]
    short = shortened(_text(cell), width, console.encoding)
    cells[sheet.key] = Text(short, cell.style if isinstance(cell, Text) else "")
    return Row(cells, row.details, row.style)


def _text(cell: object) -> str:
    from rich.text import Text

    return cell.plain if isinstance(cell, Text) else str(cell)

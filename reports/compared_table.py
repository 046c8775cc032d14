"""What the terminal shows of a comparison: the worst first, what did not change as one line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.comparing.verdicts import Compared, Comparison

from .compared import CLOCK_WORDS, EXIT_WORDS, again, change_of, evidence, headline, ordered, seen, share, times
from .words import plain

STYLES = {
    "FAILED": "bold red",
    "SLOWER": "bold red",
    "MISSING": "red",
    "UNCLEAR": "yellow",
    "NEW": "cyan",
    "FASTER": "green",
    "SAME": "dim",
}
MOST_COMMANDS = 5
MOST_REASON = 600


def compared_lines(
    comparison: Comparison, command: str | None = None, *, everything: bool = False
) -> Iterator[Table | Text]:
    """A table of what changed (or of `everything`), the rest in a line, how to repeat, and the sum.

    `command` is how the comparison was called, without selectors.
    """
    rows = ordered(comparison.rows)
    shown = rows if everything else [row for row in rows if row.verdict != "SAME"]
    if shown:
        yield _table(shown)
    yield from _folded([row for row in rows if row.verdict == "SAME"], everything)
    for row in rows:
        if row.renamed_from and row.verdict == "SAME" and not everything:
            yield Text(f"renamed: {plain(row.renamed_from)} is now {plain(row.id)}")
    for note in comparison.notes:
        yield Text(plain(note), "yellow")
    wanting = [row for row in rows if row.verdict in ("FAILED", "SLOWER", "UNCLEAR")]
    if wanting:
        yield Text("\nagain:", "dim")
    for row in wanting[:MOST_COMMANDS]:
        yield Text(f"  {again(comparison, row, command)}", "dim", no_wrap=True, overflow="fold")
    code = comparison.exit_code
    style = "bold green" if code == 0 else "bold yellow" if code == 4 else "bold red"
    yield Text(f"\n{headline(comparison)}", style)
    about = [f"{plain(comparison.base)} against {plain(comparison.head)}"]
    about += [f"measured for {comparison.spent_s:.0f} s"] if comparison.spent_s else []
    yield Text(f"{', '.join(about)}; exit code {code}: {EXIT_WORDS[code]}", "dim")


def _table(rows: Sequence[Compared]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", no_wrap=True)
    table.add_column("task", overflow="fold")
    for heading in ("change [95 %]", "clock", "before", "now", "visible"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Compared) -> list[RenderableType]:
    clock = CLOCK_WORDS.get(row.clock, "-") if row.clock else "-"
    figures = [change_of(row), clock, *times(row), share(row.detectable)]
    return [Text(row.verdict, STYLES[row.verdict]), _task(row), *map(Text, figures)]


def _task(row: Compared) -> Group:
    lines = [f"was {plain(row.renamed_from)}"] if row.renamed_from else []
    lines += ["identical: source and environment equal on both sides"] if row.identical else []
    lines.append(plain(row.reason)[:MOST_REASON])
    if row.verdict in ("SLOWER", "UNCLEAR"):
        lines.append(plain("; ".join(evidence(row)))[:MOST_REASON])
    return Group(Text(plain(row.id)), *(Padding(Text(line, "dim"), (0, 0, 0, 2)) for line in lines if line))


def _folded(same: Sequence[Compared], everything: bool) -> Iterator[Text]:
    """One line for what is the same, and one for what is identical besides."""
    if everything:
        return
    identical = [row for row in same if row.identical]
    measured = [row for row in same if not row.identical]
    if measured:
        words = seen(measured)
        yield Text(f"SAME     {len(measured)}" + (f"  {words}" if words else ""), STYLES["SAME"])
    if identical:
        yield Text(f"SAME     {len(identical)}  identical: source and environment equal on both sides", STYLES["SAME"])

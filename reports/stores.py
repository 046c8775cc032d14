"""Stores in the terminal: what one holds, what was copied, and what was joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from harness.contents import Contents, Held, size_words, words_of
from harness.copying import GROWN, KNOWN, NEW, REFUSED, Copied
from harness.joining import Joined

from .words import plain

MOST_ROWS = 30
MOST_SELECTORS = 3
WIDE = 112
"""Characters that the table of a store's runs needs."""
COLOURS = {REFUSED: "red", GROWN: "cyan", NEW: "green"}


def contents_lines(found: Contents, store: str, width: int) -> Iterator[RenderableType]:
    """A row per run, and under it what the store is as a whole."""
    if found.runs:
        yield _held_table(found.runs) if width >= WIDE else _narrow_table(found.runs)
    older = found.total - len(found.runs)
    if older:
        yield Text(f"and {older:,} older {'one' if older == 1 else 'ones'}: --last {found.total}", "dim")
    size = size_words(found.bytes)
    about = [
        words_of([(found.total, "run")]) or "no run yet; `harness bench` makes one",
        size,
        f"schema {found.schema}",
    ]
    yield Text(f"{plain(store)}: {', '.join(one for one in about if one)}")


def _held_table(runs: Sequence[Held]) -> Table:
    table = _table("run", "when", "command", "machine", ">checked", ">timed", ">samples", "ended")
    for one in runs:
        cells = [one.run_id, one.started_at[:16].replace("T", " "), _command(one), one.machine_id]
        counts = [f"{count:,}" if count else "-" for count in (one.checked, one.timed, one.samples)]
        table.add_row(*(Text(plain(cell)) for cell in cells), *map(Text, counts), Text(*_ended(one)))
    return table


def _narrow_table(runs: Sequence[Held]) -> Table:
    """What a run was is in one column, in as many lines as it needs."""
    table = _table("run", "", "ended")
    for one in runs:
        rows = words_of([(one.samples, "sample")])
        what = [_command(one), f"{one.checked:,} checked", f"{one.timed:,} timed", rows, f"on {one.machine_id}"]
        # the id of most runs says when
        when = [] if one.run_id[:1].isdigit() else [one.started_at[:16].replace("T", " ")]
        words = "; ".join(plain(part) for part in (*what, *when) if part)
        table.add_row(Text(plain(one.run_id)), Text(words), Text(*_ended(one)))
    return table


def _command(one: Held) -> str:
    named = " ".join(one.selectors[:MOST_SELECTORS])
    more = f" and {len(one.selectors) - MOST_SELECTORS} more" if len(one.selectors) > MOST_SELECTORS else ""
    shard = f" --shard {one.shard}" if one.shard else ""
    return f"{one.command}{f' {named}' if named else ''}{more}{shard}"


def _ended(one: Held) -> tuple[str, str]:
    if one.state is not None:
        return one.state, "yellow"
    return f"exit {one.exit_code}", "default" if one.exit_code == 0 else "red"


def copied_lines(found: Sequence[Copied], source: str, target: str) -> Iterator[RenderableType]:
    """What is new and what was refused, run by run, and what was done in all."""
    changed = [one for one in found if one.outcome != KNOWN or one.reason]
    changed.sort(key=lambda one: one.outcome != REFUSED)
    if changed:
        yield from _copied_rows(changed[:MOST_ROWS])
    if len(changed) > MOST_ROWS:
        yield Text(f"and {len(changed) - MOST_ROWS:,} more: see --json", "dim")
    counts = Counter(one.outcome for one in found)
    rows = words_of([(sum(one.records for one in found), "record"), (sum(one.samples for one in found), "sample")])
    runs = counts[NEW] + counts[GROWN]
    what = f"copied {words_of([(runs, 'run')])} ({rows or 'without rows'})" if runs else "copied nothing"
    parts = [f"{counts[name]:,} {words}" for name, words in _OUTCOMES if counts[name]]
    yield Text(f"{what} from {plain(source)} to {plain(target)}: {', '.join(parts)}", "bold")


_OUTCOMES = ((NEW, "new"), (GROWN, "grown"), (KNOWN, "known already"), (REFUSED, "refused"))


def _copied_rows(rows: Sequence[Copied]) -> Iterator[RenderableType]:
    """A row per run, and under the table why some are as they are."""
    table = _table("run", "when", "command", "machine", ">records", ">samples", "")
    for one in rows:
        counts = [f"{count:,}" if count else "-" for count in (one.records, one.samples)]
        cells = [one.run_id, one.started_at[:16].replace("T", " "), one.command, one.machine_id]
        outcome = Text(one.outcome, COLOURS.get(one.outcome, "default"))
        table.add_row(*(Text(plain(cell)) for cell in cells), *map(Text, counts), outcome)
    yield table
    for one in rows:
        if one.reason:
            name = plain(one.run_id or f"machine {one.machine_id}")
            yield Text(f"{name}: {plain(one.reason)}", COLOURS[REFUSED] if one.outcome == REFUSED else "dim")


def joined_lines(joined: Sequence[Joined], refused: Sequence[Copied], target: str) -> Iterator[RenderableType]:
    """The shards of each joined run, what is wrong with it, and what it is now."""
    if refused:
        yield from _copied_rows(refused[:MOST_ROWS])
    for one in joined:
        table = _table("shard", "run", "machine", "ended")
        for part in one.parts:
            info = part.info
            ended, colour = (f"exit {info.exit_code}", "default") if part.is_finished else ("has not ended", "yellow")
            cells = [f"{part.number}/{one.of}", info.run_id, info.machine_id]
            table.add_row(*(Text(plain(cell)) for cell in cells), Text(ended, colour))
        yield table
        for note in one.notes:
            yield Text(plain(note), "dim")
        for problem in one.problems:
            yield Text(plain(problem), "red")
        rows = words_of([(one.records, "record"), (one.samples, "sample")]) or "no rows"
        verb = "joined" if one.is_changed else "known already"
        state = f"whole, exit {one.exit_code}" if one.is_finished else f"{len(one.parts)} of {one.of} shards, not whole"
        yield Text(f"{verb}: run {one.run_id} in {plain(target)}: {rows}; {state}", "bold")


def _table(*headings: str) -> Table:
    """Columns by heading; those with `>` before stand on the right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        wraps = heading in ("command", "")
        table.add_column(heading.lstrip(">"), justify="right" if heading[:1] == ">" else "left", no_wrap=not wraps)
    return table

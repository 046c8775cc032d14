"""What the sections of the page share: the command of a row, columns by name, and reasons that are told once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.next_step import again
from harness.record import Record

from .report import Report
from .section import Column
from .words import plain

LONGEST_REASON = 300
MARKS = {"good": "✓", "bad": "✗", "unsure": "?", "none": "\N{EN DASH}"}
"""A sign beside each colour: for who does not see it, and on paper."""


def columns(*labels: str) -> tuple[Column, ...]:
    """Columns by their headings; one that begins with # holds numbers."""
    return tuple(Column(label.removeprefix("#"), label.startswith("#")) for label in labels)


def command(verb: str, record: Record, report: Report) -> str:
    """The shell command that runs a record's task again, on the same inputs."""
    return again(report.run, verb, record.id, record.seed)


def group_command(verb: str, selector: str, report: Report) -> str:
    """The shell command that runs all tasks beneath a selector again, on the inputs of the report's run."""
    return again(report.run, verb, selector, report.run.get("seed"))


def cut(text: str, longest: int = LONGEST_REASON) -> str:
    """A reason as one line that is not too long."""
    line = plain(text).strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def words(status: str) -> str:
    """A status as people write it."""
    return status.replace("_", " ")


def some(count: int, one: str, many: str = "") -> str:
    """`1 task`, `2,000 tasks`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


@dataclass(frozen=True, slots=True)
class Kind:
    """Reasons that differ in numbers only: how many, and the first of them."""

    count: int
    first: Record
    reason: str


def kinds(records: Iterable[Record]) -> list[Kind]:
    """Records by kind of reason, the most frequent first."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(f"{record.status}: {kind_of(record.known or record.reason)}", []).append(record)
    ordered = sorted(found.values(), key=len, reverse=True)
    return [Kind(len(alike), alike[0], alike[0].known or alike[0].reason) for alike in ordered]


def kind_of(reason: str) -> str:
    """A reason without its numbers."""
    return re.sub(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?|\bnan\b|\binf\b", "#", reason)


def listed(found: Sequence[Kind], most: int, *, known: bool = False) -> list[str]:
    """One line for each kind of reason."""
    lines = []
    for one in found[:most]:
        times = "" if one.count == 1 else f"{one.count} times, first "
        told = "known" if known else words(one.first.status)
        lines.append(f"{told}: {times}{plain(one.first.case)}: {cut(one.reason)}")
    if len(found) > most:
        left = sum(one.count for one in found[most:])
        lines.append(f"and {some(left, 'more')} of {some(len(found) - most, 'other kind')}: see All tasks")
    return lines

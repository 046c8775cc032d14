"""A comparison as Markdown, for the summary of a CI job or a comment: the sentence, what changed, the rest folded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.comparing.verdicts import Compared, Comparison

from .compared import CLOCK_WORDS, again, change_of, evidence, headline, ordered, seen, share, times
from .inert import code, escaped
from .words import plain

MOST_CHANGED = 100
MOST_SAME = 250
MOST_COMMANDS = 5
MOST_NAME = 300
MOST_REASON = 300
MOST_EVIDENCE = 600
HEAD = (
    "| verdict | task | change [95 %] | clock | before | now | visible | why |\n|---|---|---:|---|---:|---:|---:|---|"
)


def compared_markdown(comparison: Comparison, command: str | None = None) -> str:
    """The text; a summary of a GitHub job may have 1 MiB, so long tables are cut and say so."""
    rows = ordered(comparison.rows)
    changed = [row for row in rows if row.verdict != "SAME"]
    same = [row for row in rows if row.verdict == "SAME" and not row.identical]
    identical = [row for row in rows if row.verdict == "SAME" and row.identical]
    renamed = [row for row in rows if row.renamed_from]
    remarks = [f"- renamed: {_name(row.renamed_from)} is now {_name(row.id)}" for row in renamed[:MOST_CHANGED]]
    remarks += [f"- {escaped(note)}" for note in comparison.notes]
    parts = [f"### {escaped(headline(comparison))}", _about(comparison), "\n".join(remarks)]
    if changed:
        parts += [_table(changed, MOST_CHANGED), *_again(comparison, changed, command), _evidence(changed)]
    if same:
        words = seen(same)
        parts.append(_folded(f"{len(same)} the same" + (f"; {words}" if words else ""), _table(same, MOST_SAME)))
    if identical:
        names = "\n".join(f"- {_name(row.id)}" for row in identical[:MOST_SAME]) + _rest(identical, MOST_SAME)
        parts.append(_folded(f"{len(identical)} identical: source and environment are equal on both sides", names))
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(comparison: Comparison) -> str:
    spent = f", measured for {comparison.spent_s:.0f} s" if comparison.spent_s else ""
    return f"{code(comparison.base)} against {code(comparison.head)} on machine {code(comparison.machine_id)}{spent}."


def _name(identity: str | None) -> str:
    name = identity or ""
    return code(name if len(name) <= MOST_NAME else name[: MOST_NAME - 1] + "…")


def _table(rows: Sequence[Compared], most: int) -> str:
    lines = [HEAD]
    for row in rows[:most]:
        clock = CLOCK_WORDS.get(row.clock, "-") if row.clock else "-"
        verdict = f"**{row.verdict}**" if row.verdict in ("FAILED", "SLOWER", "MISSING") else row.verdict
        cells = [verdict, _name(row.id), escaped(change_of(row)), clock, *times(row), share(row.detectable)]
        lines.append("| " + " | ".join([*cells, escaped(row.reason[:MOST_REASON])]) + " |")
    return "\n".join(lines) + _rest(rows, most)


def _rest(rows: Sequence[Compared], most: int) -> str:
    return f"\n\nAnd {len(rows) - most} more: see the file of `--format csv`." if len(rows) > most else ""


def _again(comparison: Comparison, rows: Iterable[Compared], command: str | None) -> list[str]:
    wanting = [row for row in rows if row.verdict in ("FAILED", "SLOWER", "UNCLEAR")][:MOST_COMMANDS]
    if not wanting:
        return []
    commands = "\n".join(again(comparison, row, command) for row in wanting)
    return ["To see it again:", f"```console\n{commands}\n```"]


def _evidence(rows: Iterable[Compared]) -> str:
    found = [(row, evidence(row)) for row in rows]
    items = [f"- {_name(row.id)}: {escaped('; '.join(phrases)[:MOST_EVIDENCE])}" for row, phrases in found if phrases][
        :MOST_CHANGED
    ]
    return _folded("Evidence beside the verdicts", "\n".join(items)) if items else ""


def _folded(summary: str, body: str) -> str:
    return f"<details>\n<summary>{plain(summary)}</summary>\n\n{body}\n\n</details>"

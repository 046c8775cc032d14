"""What a run, a comparison and histories show of themselves at a prompt and in a notebook: the answer, then a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from harness.comparing.verdicts import Comparison
from harness.histories import Histories

from .compared import again as compared_again
from .compared import headline as compared_headline
from .history import headline as histories_headline
from .history import machine_sentences
from .inert import escaped, visible
from .pictures.markup import width
from .ranking import rankings
from .report import Report
from .section import Cell, Table
from .tables import compared_table, histories_table, ranking_table, wrong_table
from .words import plain

if TYPE_CHECKING:
    from harness.api import Run

MOST_CASES = 4
MOST_ROWS = 10
LONGEST = 60
LONGEST_DETAIL = 160


@dataclass(frozen=True, slots=True)
class Summary:
    """The answer in a sentence, the tables under it, and what to do next."""

    answer: str
    tables: tuple[Table, ...]
    hints: tuple[str, ...]


def of_run(run: Run) -> Summary:
    """How many tasks ended how, who is fastest in the first cases, and what is wrong."""
    report = Report({}, {}, run.checked, run.timed, run.raw_samples)
    counts = " · ".join(f"{count} {status.replace('_', ' ')}" for status, count in report.counts.items())
    tables = []
    cases = list(dict.fromkeys((one.operator, one.case) for one in run.timed if one.median_ns))
    shown = set(cases[:MOST_CASES])
    # ranking takes a bootstrap for each pair: no more of it than is shown
    few = Report(
        {},
        {},
        (),
        tuple(one for one in run.timed if (one.operator, one.case) in shown),
        tuple(one for one in run.raw_samples if (one.operator, one.case) in shown),
    )
    tables += [ranking_table(group, MOST_ROWS) for group in rankings(few)]
    if report.wrong:
        tables.append(wrong_table(report, MOST_ROWS))
    hints = []
    if len(cases) > MOST_CASES:
        hints.append(f"and {len(cases) - MOST_CASES} more cases")
    hints.append("frame(): one row per task" + ("; samples(): one per reading" if run.raw_samples else ""))
    return Summary(f"Run {plain(run.run_id)}: {counts or 'nothing ran'}", tuple(tables), tuple(hints))


def of_comparison(comparison: Comparison) -> Summary:
    """The sentence that counts everything, what changed, and how to compare the first of it again."""
    changed = [row for row in comparison.rows if row.verdict != "SAME"]
    tables = (compared_table(comparison, MOST_ROWS),) if changed else ()
    hints = [f"{plain(comparison.base)} against {plain(comparison.head)}"]
    if len(changed) > MOST_ROWS:
        hints.append(f"and {len(changed) - MOST_ROWS} more changed")
    wanting = next((row for row in changed if row.verdict in ("FAILED", "SLOWER", "UNCLEAR")), None)
    if wanting is not None:
        hints.append(f"again: {compared_again(comparison, wanting)}")
    return Summary(compared_headline(comparison), tables, (*hints, "frame(): one row per task"))


def of_histories(histories: Histories) -> Summary:
    """What drifts or steps, what was found of each task first."""
    table = histories_table(histories, MOST_ROWS)
    hints = [f"machine {plain(histories.machine_id)}", *map(plain, machine_sentences(histories))]
    if len(histories.rows) > MOST_ROWS:
        hints.append(f"and {len(histories.rows) - MOST_ROWS} more tasks")
    hints.append("frame(): one row per task; points(): one per run; changes(): one per change point")
    return Summary(histories_headline(histories)[0], (table,) if table.rows else (), tuple(hints))


def as_text(summary: Summary) -> str:
    """For a terminal: columns are aligned, and long names cut."""
    lines = [plain(summary.answer)]
    for table in summary.tables:
        lines += ["", plain(table.caption), *_aligned(table)]
    return "\n".join([*lines, "", *(plain(hint) for hint in summary.hints)])


def _aligned(table: Table) -> Iterator[str]:
    rows = [[column.label for column in table.columns]]
    rows += [[_cut(plain(_words(cell)), LONGEST) for cell in row] for row in table.rows]
    widths = [max(round(width(row[number], 1.0)) for row in rows) for number in range(len(table.columns))]
    for row in rows:
        cells = []
        for text, column, size in zip(row, table.columns, widths, strict=True):
            gap = " " * (size - round(width(text, 1.0)))
            cells.append(gap + text if column.numeric else text + gap)
        yield ("  " + "  ".join(cells)).rstrip()


def _words(cell: Cell) -> str:
    return f"{cell.text}: {cell.detail}" if cell.detail else cell.text


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def as_html(summary: Summary) -> str:
    """For a notebook: a fragment that takes its colours from the page around it; all text is escaped."""

    def safe(text: str) -> str:
        return escape(visible(text))

    parts = [f"<p><strong>{safe(summary.answer)}</strong></p>"]
    for table in summary.tables:
        parts.append(f'<table><caption style="text-align: left">{safe(table.caption)}</caption><thead><tr>')
        parts += [
            f'<th scope="col" style="text-align: {_side(one.numeric)}">{safe(one.label)}</th>' for one in table.columns
        ]
        parts.append("</tr></thead><tbody>")
        for row in table.rows:
            parts.append("<tr>")
            for column, cell in zip(table.columns, row, strict=True):
                text = safe(_cut(_words(cell), LONGEST_DETAIL))
                parts.append(f'<td style="text-align: {_side(column.numeric)}">{text}</td>')
            parts.append("</tr>")
        parts.append("</tbody></table>")
    parts.append(f"<p><small>{'<br>'.join(map(safe, summary.hints))}</small></p>")
    return "".join(parts)


def _side(numeric: bool) -> str:
    return "right" if numeric else "left"


def as_markdown(summary: Summary) -> str:
    """For what shows no HTML; all text is escaped."""
    lines = [f"**{escaped(summary.answer)}**"]
    for table in summary.tables:
        lines += ["", escaped(table.caption), ""]
        lines.append(_row([escaped(one.label) for one in table.columns]))
        lines.append(_row(["---:" if one.numeric else "---" for one in table.columns]))
        lines += [_row([escaped(_cut(_words(cell), LONGEST_DETAIL)) for cell in row]) for row in table.rows]
    return "\n".join([*lines, "", "  \n".join(escaped(hint) for hint in summary.hints)]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

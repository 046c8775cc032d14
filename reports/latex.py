"""Tables as LaTeX: a file that any engine takes, to be read into a paper with \\input; all text is escaped.

The file is plain ASCII but for accented Latin letters, which every LaTeX since 2020 takes. What else there is (Chinese,
Greek, emoji) is written by its code point: LuaTeX and XeTeX show it where their font has it, pdfTeX shows U+4E2D.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.comparing.verdicts import Comparison
from harness.histories import Histories

from .compared import headline as compared_headline
from .history import headline as histories_headline
from .inert import visible
from .ranking import rankings
from .report import Report
from .section import Column, Table
from .tables import compared_table, histories_table, ranking_table, wrong_table

MOST_WRONG = 50
MOST_ROWS = 200
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "µ": r"\textmu{}",
    "\u03bc": r"\textmu{}",
    "\u00d7": r"\texttimes{}",
    "±": r"\textpm{}",
    "·": r"\textperiodcentered{}",
    "…": r"\ldots{}",
    "\u2013": r"\textendash{}",
    "\u2014": r"\textemdash{}",
    "∞": r"\ensuremath{\infty}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "\u2212": r"\ensuremath{-}",
    "°": r"\textdegree{}",
}
ACCENTED = frozenset(chr(code) for code in range(0xC0, 0x100)) - frozenset("ÐÞðþ\u00d7÷")
"""Letters that LaTeX takes as they are, in its oldest font encoding too."""
LIGATURES = frozenset("-,")
"""Two of these would become one character: a dash, a quote."""
BREAKS = frozenset("/_,=[;:")
"""After these a long name may go on in the next line."""
PREAMBLE = r"""% Written by kernel-harness. Use it with \input; it needs nothing but LaTeX, and looks better with
% \usepackage{booktabs}.
\providecommand{\toprule}{\hline}
\providecommand{\midrule}{\hline}
\providecommand{\bottomrule}{\hline}
\providecommand{\HarnessChar}[2]{\ifdefined\XeTeXversion\char#1\relax\else\ifdefined\directlua\char#1\relax
  \else U+#2\fi\fi}
"""


def tex(text: object, *, breaks: bool = False) -> str:
    """Text in which nothing is a command; `breaks` lets long names break where people would break them."""
    parts: list[str] = []
    before = ""
    for char in visible(text):
        if char == before and char in LIGATURES:
            parts.append("{}")
        before = char
        if char in SPECIAL:
            parts.append(SPECIAL[char])
        elif char.isascii() or char in ACCENTED:
            parts.append(char)
        else:
            parts.append(f"\\HarnessChar{{{ord(char)}}}{{{ord(char):04X}}}")
        if breaks and char in BREAKS:
            parts.append(r"\allowbreak{}")
    return "".join(parts)


def latex(report: Report) -> str:
    """Rankings and failures of a run, a table each."""
    run = report.run
    counts = " · ".join(f"{count} {status}" for status, count in report.counts.items()) or "nothing ran"
    tables = [ranking_table(group) for group in rankings(report) if group.places]
    if report.wrong:
        tables.append(wrong_table(report, MOST_WRONG))
    return _document([f"{run['command']} {run['run_id']}: {counts}", report.disturbance], tables)


def compared_latex(comparison: Comparison) -> str:
    """All rows of a comparison in one table, the worst first."""
    sides = f"{comparison.base} against {comparison.head}"
    return _document([compared_headline(comparison), sides], [compared_table(comparison, MOST_ROWS, everything=True)])


def histories_latex(histories: Histories) -> str:
    """All tasks of histories in one table."""
    return _document([histories_headline(histories)[0]], [histories_table(histories, MOST_ROWS)])


def _document(remarks: Sequence[str], tables: Sequence[Table]) -> str:
    # LaTeX has room for 52 tables that found no place yet, unless it is asked for more
    room = f"\\ifdefined\\extrafloats\\extrafloats{{{len(tables)}}}\\fi\n" if len(tables) > 20 else ""
    said = "".join(f"% {_comment(remark)}\n" for remark in remarks if remark)
    return PREAMBLE + said + room + "".join(_table(table) for table in tables)


def _comment(text: str) -> str:
    """Text behind a %; a line break in it would end the comment."""
    return visible(text).encode("ascii", "backslashreplace").decode()


def _table(table: Table) -> str:
    columns = " ".join(_column(column) for column in table.columns)
    lines = [
        "",
        r"\begin{table}[!htbp]",
        r"\centering\small",
        rf"\caption{{{tex(table.caption, breaks=True)}}}",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        " & ".join(tex(column.label) for column in table.columns) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        # an empty group in front: a row that begins with [ or * would be an option of the line before
        lines.append(
            "{}"
            + " & ".join(
                tex(cell.text, breaks=_is_long(column)) for cell, column in zip(row, table.columns, strict=True)
            )
            + r" \\"
        )
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


LONG = {"task": "0.36", "reason": "0.42", "why": "0.22", "newest change point": "0.2"}
"""Columns of text that takes several lines, and their share of the width of a line."""


def _is_long(column: Column) -> bool:
    return column.label in LONG


def _column(column: Column) -> str:
    if _is_long(column):
        return rf"p{{{LONG[column.label]}\linewidth}}"
    return "r" if column.numeric else "l"

"""Histories as a file: drawn as SVG or HTML, or written as a table in one of the formats that are read by others."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from harness.histories import Histories
from harness.whole import replacing, write_whole

from .display import Summary, as_markdown
from .history import flat_rows, headline, histories_frame, notes
from .history_page import SUFFIXES as DRAWN
from .history_page import write_history as draw
from .inert import cell
from .latex import histories_latex
from .tables import histories_table

TEXTS = (".md", ".csv", ".json", ".tex")
SUFFIXES = (*DRAWN, *TEXTS, ".parquet")


def write_history(histories: Histories, path: Path) -> None:
    """Write what the name's suffix says. Raises ValueError for another suffix, or where a library is missing."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"--output {path}: its name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if suffix in DRAWN:
        draw(histories, path)
    elif suffix == ".parquet":
        from .parquet import write_frame

        with replacing(path) as partial:
            write_frame(histories_frame(histories), partial)
    else:
        write_whole(path, history_text(histories, suffix))


def history_text(histories: Histories, suffix: str) -> str:
    """The text of a `.md`, `.csv`, `.json` or `.tex`; JSON has the lists of change points and gaps too."""
    if suffix == ".json":
        return json.dumps([row.as_data() for row in histories.rows], indent=1, allow_nan=False) + "\n"
    if suffix == ".tex":
        return histories_latex(histories)
    if suffix == ".md":
        return as_markdown(Summary(headline(histories)[0], (histories_table(histories),), tuple(notes(histories))))
    rows = flat_rows(histories)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(histories_frame(histories).columns)
    writer.writerows([cell(value) for value in row.values()] for row in rows)
    return out.getvalue()

"""A comparison as one self-contained HTML page: no script, no request, a table beside the plot."""

from __future__ import annotations

from pathlib import Path

import jinja2

from harness.comparing.verdicts import Compared, Comparison

from .compared import CLOCK_WORDS, EXIT_WORDS, again, change_of, evidence, headline, ordered, seen, share, times
from .forest import forest
from .words import plain

FOLDER = Path(__file__).parent
MOST_DRAWN = 60


def compared_page(comparison: Comparison, command: str | None = None) -> str:
    """The whole page; everything that comes from plugins, branches and commits is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(plain=plain)
    rows = ordered(comparison.rows)
    changed = [row for row in rows if row.verdict != "SAME"]
    same = [row for row in rows if row.verdict == "SAME"]
    drawn = [row for row in [*changed, *same] if row.ratio is not None]
    return environment.get_template("compared.html").render(
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        comparison=comparison,
        headline=headline(comparison),
        kind={0: "good", 4: "none"}.get(comparison.exit_code, "bad"),
        exit_words=EXIT_WORDS[comparison.exit_code],
        counts={verdict: n for verdict in STATUS if (n := comparison.count(verdict))},
        status=STATUS,
        forest=forest(drawn[:MOST_DRAWN]),
        undrawn=max(0, len(drawn) - MOST_DRAWN),
        changed=changed,
        same=same,
        seen=seen([row for row in same if not row.identical]),
        cells=_cells,
        evidence=evidence,
        again=lambda row: again(comparison, row, command),
    )


STATUS = {
    "FAILED": "bad",
    "SLOWER": "bad",
    "MISSING": "bad",
    "UNCLEAR": "none",
    "NEW": "none",
    "FASTER": "good",
    "SAME": "good",
}
"""In which colour a verdict is shown."""


def _cells(row: Compared) -> tuple[str, ...]:
    clock = CLOCK_WORDS.get(row.clock, "-") if row.clock else "-"
    return (change_of(row), clock, *times(row), share(row.detectable), share(row.threshold))

"""A run as one self-contained HTML page: no request, complete without its script, a data table beside each picture."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.histories import Histories
from harness.next_step import quoted

from .history_page import environment
from .page_conformance import conformance_section
from .page_context import history_section, machine_section
from .page_evidence import attributes_section, device_section, mutants_section
from .page_language import language
from .page_ranking import answer_section, ranking_section
from .page_rows import MARKS, command, cut, words
from .page_tasks import FACETS, all_tasks
from .page_trees import trees_section
from .pictures import sections as pictures
from .ranking import rankings
from .report import Report
from .section import Section

FOLDER = Path(__file__).parent
MOST_WRONG = 50
OPENED = 3
LONG = 12
"""Rows from which a table beside a picture is shown on demand."""


def page(report: Report, histories: Histories | None = None) -> str:
    """The whole page; everything that comes from plugins is escaped. `histories` are those of the run's tasks."""
    templates = environment()
    templates.filters.update(words=words, cut=cut, language=language, quoted=quoted)
    style, script = _read("page.css"), _read("page.js")
    groups = rankings(report)
    timed = {id(record) for record in report.timed}
    parts = (
        answer_section(report, groups),
        ranking_section(report, groups, templates),
        *pictures(report),
        conformance_section(report),
        trees_section(report),
        mutants_section(report),
        device_section(report),
        attributes_section(report),
        history_section(histories, templates),
    )
    return templates.get_template("page.html").render(
        policy=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        report=report,
        run=report.run,
        headline=headline(report),
        wrong=[
            (one, command("bench" if id(one) in timed else "check", one, report)) for one in report.wrong[:MOST_WRONG]
        ],
        opened=OPENED,
        parts=[part for part in parts if part is not None and _is_full(part)],
        tasks=all_tasks(report),
        facets=FACETS,
        machine=machine_section(report),
        long=LONG,
        marks=MARKS,
    )


def policy(style: str, script: str) -> str:
    """The content security policy: nothing is loaded, and only this very style sheet and script are obeyed."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _is_full(section: Section) -> bool:
    return any(picture is not None or table.rows for picture, table in section.figures)


def headline(report: Report) -> dict[str, Any]:
    """The first thing to know: is anything wrong, and how much was looked at."""
    wrong = len(report.wrong)
    passed = report.counts.get("passed", 0)
    if wrong:
        return {"kind": "bad", "text": f"{wrong:,} of {len(report.records):,} tasks are wrong"}
    imported = report.counts.get("imported", 0)
    if not passed and imported:
        return {"kind": "none", "text": f"{imported:,} tasks were imported: nobody here checked their results"}
    if not passed:
        return {"kind": "none", "text": "Nothing was measured"}
    if report.known:
        return {"kind": "good", "text": f"{passed:,} tasks are right, and {len(report.known)} fail as is known"}
    return {"kind": "good", "text": f"All {passed:,} tasks that ran are right"}

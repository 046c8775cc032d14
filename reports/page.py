"""A run as one self-contained HTML page: no script, no request, a data table beside each chart."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from harness.histories import Histories
from harness.record import STATUSES, WRONG, Record

from .chart import chart
from .history import notes
from .history_page import environment, section_rows
from .ranking import rankings
from .report import Report, again
from .words import count, number, ratio_words, span, time_words, unit_for

FOLDER = Path(__file__).parent
MOST_REASONS = 5
DTYPES = ("float64", "float32", "float16", "bfloat16")


def page(report: Report, histories: Histories | None = None) -> str:
    """The whole page; everything that comes from plugins is escaped. `histories` are those of the run's tasks."""
    templates = environment()
    templates.filters.update(number=number, count=count)
    return templates.get_template("page.html").render(
        style=(FOLDER / "page.css").read_text(encoding="utf-8"),
        report=report,
        run=report.run,
        headline=_headline(report),
        rankings=[_ranking(group) for group in rankings(report)],
        operators=_conformance(report),
        dtypes=DTYPES,
        wrong=report.wrong,
        machine=_flat(report.machine),
        attributes=_attributes(report),
        counted=any(one.launches is not None for one in report.checked),
        again=again,
        history=_history(histories),
    )


def _history(histories: Histories | None) -> dict[str, Any] | None:
    """The section about earlier runs; None where no task has enough of them."""
    if histories is None or not histories.rows:
        return None
    return {"rows": section_rows(histories.rows), "notes": notes(histories)}


def _headline(report: Report) -> dict[str, str]:
    """The first thing to know: is anything wrong, and how much was looked at."""
    wrong = len(report.wrong)
    passed = report.counts.get("passed", 0)
    if wrong:
        return {"kind": "bad", "text": f"{wrong} of {len(report.records)} tasks are wrong"}
    if not passed:
        return {"kind": "none", "text": "Nothing was measured"}
    if report.known:
        return {"kind": "good", "text": f"{passed} tasks are right, and {len(report.known)} fail as is known"}
    return {"kind": "good", "text": f"All {passed} tasks that ran are right"}


def _ranking(group: Any) -> dict[str, Any]:
    divisor, unit = unit_for([float(place.record.median_ns or 1) for place in group.places])
    rows = []
    for place in group.places:
        record = place.record
        times = (record.median_ns, record.ci_low_ns, record.ci_high_ns)
        median, interval = time_words(*times, divisor)
        rows.append(
            {
                "rank": f"{place.rank}{'=' if place.verdict == 'tied' else ''}",
                "record": record,
                "verdict": place.verdict,
                "median": median,
                "interval": interval,
                "ratio": ratio_words(place.relative.estimate, place.relative.low, place.relative.high),
                "visible": "" if place.verdict == "fastest" else f"{100 * place.smallest_visible:.1f} %",
                "checked": place.checked,
            }
        )
    return {"group": group, "rows": rows, "unit": unit, "chart": chart(group)}


def _conformance(report: Report) -> list[dict[str, Any]]:
    """Per operator: implementations by dtype, with counts, worst error over bound, and the first reasons."""
    by_operator: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in report.checked:
        by_operator[record.operator][f"{record.backend}/{record.implementation}"].append(record)
    admission = report.run.get("admission") or {}
    return [
        {
            "name": operator,
            "admission": admission.get(operator),
            "rows": [_implementation(name, records) for name, records in sorted(implementations.items())],
        }
        for operator, implementations in sorted(by_operator.items())
    ]


def _implementation(name: str, records: list[Record]) -> dict[str, Any]:
    cells = {dtype: _cell([one for one in records if one.dtype == dtype]) for dtype in DTYPES}
    errors = [one.error_over_bound for one in records if one.error_over_bound is not None and not one.known]
    reasons = [one for one in records if one.is_wrong][:MOST_REASONS]
    others: dict[str, int] = Counter(one.reason for one in records if one.status in ("unsupported", "missing"))
    known: dict[str, int] = Counter(one.known for one in records if one.known)
    worst = max(errors, default=None)
    return {"name": name, "cells": cells, "worst": worst, "reasons": reasons, "known": known, "others": others}


def _cell(records: list[Record]) -> dict[str, Any]:
    counts = Counter(record.status for record in records)
    wrong = sum(counts[status] for status in WRONG)
    known = sum(bool(record.known) for record in records)
    kind = "known" if wrong and wrong == known else "bad" if wrong else "good" if counts["passed"] else "none"
    words = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
    words += f" ({known} known)" if known else ""
    return {"kind": kind, "passed": counts["passed"], "wrong": wrong, "ran": wrong + counts["passed"], "words": words}


def _attributes(report: Report) -> list[dict[str, Any]]:
    """What is reported and not gated: same bits from run to run, and for a row whatever its batch."""
    found: dict[str, list[Record]] = defaultdict(list)
    for record in report.checked:
        if record.status == "passed":
            found[f"{record.operator}/{record.backend}/{record.implementation}"].append(record)
    return [
        {
            "name": name,
            "run_to_run": _share(records, "run_to_run_bitwise"),
            "batch": _share(records, "batch_invariant"),
            "height": max((one.tree_height for one in records if one.tree_height is not None), default=None),
            "launches": span(one.launches for one in records),
            "host_round_trips": span(one.host_round_trips for one in records),
        }
        for name, records in sorted(found.items())
    ]


def _share(records: list[Record], attribute: str) -> str:
    known = [value for one in records if (value := getattr(one, attribute)) is not None]
    if not known:
        return "-"
    return "always" if all(known) else f"{sum(known)} of {len(known)} cases"


def _flat(machine: Any, prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in machine.items():
        if isinstance(value, dict):
            rows.extend(_flat(value, f"{prefix}{name}."))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows.extend((f"{prefix}{name}", ", ".join(f"{k} {v}" for k, v in one.items())) for one in value)
        else:
            rows.append((f"{prefix}{name}", "-" if value is None else str(value)))
    return rows

"""The page's conformance matrix: implementations by gate and by dtype, with the reasons on demand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from harness.record import WRONG, Record

from .page_gates import GATES, Standing, standings
from .page_rows import MARKS, Kind, columns, command, group_command, kinds, listed, some, words
from .report import Report
from .section import Cell, Section, Table
from .words import number, plain

MOST_REASONS = 5
NOT_RUN = ("unsupported", "missing")
DTYPES = ("float64", "float32", "float16", "bfloat16")


def conformance_section(report: Report) -> Section | None:
    """None where nothing was checked."""
    by_operator: dict[str, dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in report.checked:
        by_operator[record.operator][f"{record.backend}/{record.implementation}"].append(record)
    if not by_operator:
        return None
    admission = report.run.get("admission") or {}
    gates = "; ".join(f"{name}: {what}" for name, what in GATES.items())
    return Section(
        "conformance",
        "Conformance",
        "An answer is right if every element lies within the derived error bound of its declared accumulation, exact "
        "cases agree bit for bit, and structure and laws hold. ✓ and a number: so many cases passed this gate. ✗: so "
        "many of those that came so far broke it; the row's heading opens to the reasons. ?: it is known that this "
        "breaks. Under a dtype stands how many cases are right.",
        tuple((None, _matrix(name, found, admission.get(name), report)) for name, found in sorted(by_operator.items())),
        f"Gates: {gates}. Which cases face a law, and which of them are exact, is the operator's to say.",
    )


def _matrix(operator: str, implementations: dict[str, list[Record]], admission: Any, report: Report) -> Table:
    present = {record.dtype or "" for records in implementations.values() for record in records}
    dtypes = [dtype for dtype in DTYPES if dtype in present] + sorted(present - set(DTYPES) - {""})
    # what does not run here comes last
    ordered = sorted(implementations.items(), key=lambda one: (all(r.status in NOT_RUN for r in one[1]), one[0]))
    rows = tuple(_row(f"{operator}/{name}", name, records, dtypes, report) for name, records in ordered)
    gates = ("runs", "isolation", "structure", "values", "laws", "gradients", "bad input")
    labels = ("implementation", *gates, "#worst error / bound", *map(plain, dtypes), "#not run")
    return Table(
        f"Conformance of {plain(operator)} by implementation: gates, then dtypes",
        columns(*labels),
        rows,
        title=plain(operator),
        text=str((admission or {}).get("specification") or ""),
    )


def _row(
    selector: str, name: str, records: Sequence[Record], dtypes: Sequence[str], report: Report
) -> tuple[Cell, ...]:
    """Its command checks the implementation again; where some cases are wrong, the first of them."""
    wrong = [one for one in records if one.is_wrong]
    known = [one for one in records if one.known]
    others = [one for one in records if one.status in NOT_RUN]
    detail = listed(kinds(wrong), MOST_REASONS) + listed(kinds(known), MOST_REASONS, known=True)
    errors = [one.error_over_bound for one in records if one.error_over_bound is not None and not one.known]
    worst = max(errors, default=None)
    again = command("check", wrong[0], report) if wrong else group_command("check", selector, report)
    heading = Cell(plain(name), plain(name), "\n".join(detail), command=again)
    gates = [_gate(gate, one) for gate, one in standings(records).items()]
    kind = "bad" if worst is not None and worst > 1 else ""
    by_dtype = [_counted([one for one in records if one.dtype == dtype]) for dtype in dtypes]
    left = Cell(str(len(others)) if others else "-", len(others), _left(kinds(others)))
    return (heading, *gates, Cell(number(worst, 2), worst, kind=kind), *by_dtype, left)


def _left(found: Sequence[Kind]) -> str:
    lines = [
        f"{some(one.count, 'case')} {words(one.first.status)}: {plain(one.reason)}" for one in found[:MOST_REASONS]
    ]
    if len(found) > MOST_REASONS:
        lines.append(f"and {some(len(found) - MOST_REASONS, 'other reason')}: see All tasks")
    return "\n".join(lines)


def _gate(gate: str, one: Standing) -> Cell:
    if one.broken:
        kind, share = "bad", f"{one.broken} of {one.broken + one.passed}"
        if one.known == one.broken:
            return Cell(f"? {share}", one.broken, kind="unsure")
        return Cell(f"✗ {share}", one.broken, kind=kind)
    if not one.passed:
        return Cell(MARKS["none"], kind="none")
    # how many cases faced a law is not recorded
    return Cell("✓" if gate == "laws" else f"✓ {one.passed}", -one.passed, kind="good")


def _counted(records: Sequence[Record]) -> Cell:
    """Cases that are right of those that ran, in one dtype."""
    passed = sum(one.status == "passed" for one in records)
    wrong = sum(one.status in WRONG for one in records)
    known = sum(bool(one.known) for one in records)
    if not passed and not wrong:
        return Cell(MARKS["none"], kind="none")
    if not wrong:
        return Cell(f"✓ {passed}", -passed, kind="good")
    share = f"{passed}/{passed + wrong}"
    return Cell(f"? {share}", wrong, kind="unsure") if known == wrong else Cell(f"✗ {share}", wrong, kind="bad")

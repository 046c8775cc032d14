"""A comparison as JUnit XML, as GitHub, GitLab and Jenkins read it: one test case per task."""

from __future__ import annotations

from xml.etree import ElementTree

from harness.comparing.verdicts import Compared, Comparison

from .compared import CLOCK_WORDS, again, change_of, evidence, headline, ordered
from .inert import visible

OUTCOMES = {"SLOWER": "failure", "FAILED": "failure", "MISSING": "error", "UNCLEAR": "skipped"}
"""What a verdict is in JUnit's words; the others pass."""
PROPERTIES = ("verdict", "clock", "ratio", "ratio_low", "ratio_high", "detectable", "threshold", "renamed_from")


def compared_junit(comparison: Comparison, command: str | None = None) -> str:
    """The document. A test's class is `operator/backend/implementation`, its name the case, its time what was spent on
    it in seconds. SLOWER and FAILED are failures, MISSING is an error, UNCLEAR is skipped."""
    root = ElementTree.Element("testsuites", {"name": "harness compare", **_counts(comparison)})
    sides = f"harness compare {visible(comparison.base)} {visible(comparison.head)}"
    suite = ElementTree.SubElement(root, "testsuite", {"name": sides, **_counts(comparison)})
    about = {"base": comparison.base, "head": comparison.head, "machine_id": comparison.machine_id}
    add_properties(suite, {**about, "exit_code": comparison.exit_code, "headline": headline(comparison)})
    for row in ordered(comparison.rows):
        _case(suite, comparison, row, command)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _counts(comparison: Comparison) -> dict[str, str]:
    found = dict.fromkeys(("failure", "error", "skipped"), 0)
    for row in comparison.rows:
        if row.verdict in OUTCOMES:
            found[OUTCOMES[row.verdict]] += 1
    return {
        "tests": str(len(comparison.rows)),
        "failures": str(found["failure"]),
        "errors": str(found["error"]),
        "skipped": str(found["skipped"]),
        "time": f"{comparison.spent_s:.3f}",
    }


def _case(suite: ElementTree.Element, comparison: Comparison, row: Compared, command: str | None) -> None:
    kind = visible(f"{row.operator}/{row.backend}/{row.implementation}")
    about = {"classname": kind, "name": visible(row.case), "time": f"{row.spent_s:.3f}"}
    case = ElementTree.SubElement(suite, "testcase", about)
    add_properties(case, {name: getattr(row, name) for name in PROPERTIES})
    lines = [visible(line) for line in (row.reason, *evidence(row), again(comparison, row, command))]
    if row.verdict in OUTCOMES:
        outcome = ElementTree.SubElement(case, OUTCOMES[row.verdict], {"message": _message(row), "type": row.verdict})
        outcome.text = "\n".join(lines)
    else:
        ElementTree.SubElement(case, "system-out").text = "\n".join((row.verdict, *lines))


def _message(row: Compared) -> str:
    if row.ratio is None:
        return f"{row.verdict}: {visible(row.reason)}"
    clock = f" by the {CLOCK_WORDS.get(row.clock, row.clock)} clock" if row.clock else ""
    return f"{row.verdict} {change_of(row)}{clock}: {visible(row.reason)}"


def add_properties(parent: ElementTree.Element, values: dict[str, object]) -> None:
    """Values as properties of a suite or a test case; None is left out."""
    group = ElementTree.SubElement(parent, "properties")
    for name, value in values.items():
        if value is not None:
            text = f"{value:.6g}" if isinstance(value, float) else visible(value)
            ElementTree.SubElement(group, "property", {"name": name, "value": text})

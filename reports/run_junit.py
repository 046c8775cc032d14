"""The conformance of a run as JUnit XML: one test case per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from harness.next_step import again
from harness.record import WRONG, Record

from .inert import visible
from .junit import add_properties

if TYPE_CHECKING:
    from harness.store import RunInfo

KINDS: Mapping[str, str] = {
    **dict.fromkeys(WRONG, "error"),
    "failed": "failure",
    "untrusted": "failure",
    "unsupported": "skipped",
    "missing": "skipped",
    "imported": "skipped",
}
"""What a status is in JUnit's words; `passed` is none of them. A failure that is known is skipped."""
SHOWN = (
    "status", "known", "error_over_bound", "max_abs_error", "max_rel_error", "max_ulp", "gradient_status", "samples",
    "median_ns", "ci_low_ns", "ci_high_ns", "seed",
)  # fmt: skip


def run_junit(info: RunInfo, records: Sequence[Record]) -> str:
    """The document. A test's class is `operator.backend.implementation`, its name the case.

    A wrong result is a failure, a crash an error, what is missing, unsupported or imported is skipped, each with why.

    The time of a test is left out: a record says how long a call takes, not how long judging it took.
    """
    root = ElementTree.Element("testsuites", {"name": f"harness {visible(info.command)}", **_counts(records)})
    about = {"name": visible(info.run_id), "timestamp": visible(info.started_at), **_counts(records)}
    suite = ElementTree.SubElement(root, "testsuite", about)
    more = {"machine_id": info.machine_id, "commit": info.commit, "dirty": info.dirty, "exit_code": info.exit_code}
    add_properties(suite, more)
    run = {"command": info.command, "selectors": info.selectors, "machine_id": info.machine_id}
    for record in records:
        _case(suite, record, run)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _kind(record: Record) -> str | None:
    return "skipped" if record.known else KINDS.get(record.status)


def _counts(records: Sequence[Record]) -> dict[str, str]:
    kinds = [_kind(record) for record in records]
    return {
        "tests": str(len(records)),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error")),
        "skipped": str(kinds.count("skipped")),
    }


def _case(suite: ElementTree.Element, record: Record, run: Mapping[str, Any]) -> None:
    kind = ".".join(visible(one) for one in (record.operator, record.backend, record.implementation))
    case = ElementTree.SubElement(suite, "testcase", {"classname": kind, "name": visible(record.case)})
    add_properties(case, {name: getattr(record, name) for name in SHOWN})
    outcome = _kind(record)
    if outcome is None:
        return
    known = f" (known: {record.known})" if record.known else ""
    about = {"message": visible(f"{record.status}: {record.reason}{known}"), "type": record.status}
    element = ElementTree.SubElement(case, outcome, about)
    lines = [visible(record.reason)]
    if record.status != "imported":
        lines.append(again(run, "check", record.id, record.seed))
    element.text = "\n".join(lines)

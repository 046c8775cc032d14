"""Which gate a wrong answer broke, as its status and reason tell, and how implementations stand at each gate."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.record import WRONG, Record

GATES = {
    "runs": "gives an answer: no exception, crash, fault or race, in time and memory",
    "isolation": "leaves inputs, guard zones, earlier answers and the process alone",
    "structure": "number of arrays, their type, shape and dtype",
    "values": "every element within its bound; where the bound is 0, bit for bit",
    "laws": "answers that must agree do",
    "gradients": "gradients for random cotangents, within their bounds",
    "bad input": "raises where the input is bad",
}
"""The gates in the order in which they are passed, and what holds there."""
AGAIN = "on new values at the same address: "
_TAMPERING = r"its output (was written again|shares memory)|changed the state|wrote outside|modified its input"
_PATTERNS = (
    ("laws", re.compile(r"breaks the law ")),
    ("isolation", re.compile(_TAMPERING)),
    ("values", re.compile(r"\d+ of \d+ elements are wrong|element \(.*\) is ")),
    ("structure", re.compile(r"shape |dtype |returned ")),
    ("runs", re.compile(r"KernelFault|data race|.*(race in|out of bounds|barrier)|raised ")),
)


def gate_of(record: Record) -> str | None:
    """The gate that a wrong record broke; None for one that is not wrong."""
    if record.status not in WRONG:
        return None
    if record.case.endswith("raises") and record.status == "failed":
        return "bad input"
    reason = record.reason.removeprefix(AGAIN)
    if reason.startswith("gradient of input "):
        return "gradients"
    if record.status == "untrusted":
        return "isolation"
    if record.status != "failed":
        return "runs"
    return next((gate for gate, pattern in _PATTERNS if pattern.match(reason)), "values")


def faced(record: Record) -> Iterable[str]:
    """The gates that a passed record went through."""
    if record.case.endswith("raises"):
        return ("runs", "bad input")
    gradients = () if record.gradient_status is None else ("gradients",)
    return ("runs", "isolation", "structure", "values", "laws", *gradients)


@dataclass(frozen=True, slots=True)
class Standing:
    """An implementation at one gate: how many cases passed it, broke it, and broke it as is known."""

    passed: int
    broken: int
    known: int


def standings(records: Sequence[Record]) -> dict[str, Standing]:
    """The conformance records of one implementation, by gate."""
    passed: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for record in records:
        gate = gate_of(record)
        if gate is not None:
            broken[gate] += 1
            known[gate] += bool(record.known)
        elif record.status == "passed":
            passed.update(faced(record))
    return {gate: Standing(passed[gate], broken[gate], known[gate]) for gate in GATES}

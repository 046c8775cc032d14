"""What `harness fuzz` does around its searches: which implementations, what is kept, and what a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.execute import Progress
from harness.fuzz import Outcome, literal, search
from harness.plan import Selection, require_match, selects
from harness.registry import Registry
from harness.sources.files import write_file
from harness.supervisor import Supervisor, fresh_seed

MOST_SHOWN = 64
"""Elements up to which an input is written out."""


def search_all(
    registry: Registry,
    selectors: Sequence[str],
    seed: int | None,
    budget_s: float,
    deadline_s: float,
    progress: Progress,
) -> Iterator[Outcome]:
    """Search every selected implementation that can run here, one after another. Raises NothingSelected, and
    ImportError where Hypothesis is missing."""
    import hypothesis  # noqa: F401

    require_match(registry, selectors)
    selection = Selection(selectors)
    with Supervisor(registry, fresh_seed() if seed is None else seed, deadline_s=deadline_s) as supervisor:
        for declared in registry.declarations:
            operator = registry.operators[declared.operator]
            if selects(selection, declared, operator) and not registry.missing(declared):
                yield search(declared, operator, supervisor, budget_s, progress)


def keep(outcome: Outcome, folder: Path) -> dict[str, Any]:
    """Write a finding as a case, and say what was found as one row."""
    row: dict[str, Any] = {
        "implementation": outcome.declaration.id,
        "examples": outcome.examples,
        "worst_error_over_bound": outcome.worst,
        "case": None,
        "status": "passed",
        "reason": "",
        "file": None,
    }
    if outcome.finding is not None:
        name = outcome.finding.sourced.case.values.partition(":")[2]
        path = folder / f"{outcome.declaration.operator}-{name}.json"
        write_file(path, [outcome.finding.sourced])
        verdict = outcome.finding.verdict
        row |= {"case": outcome.finding.id, "status": verdict.status, "reason": verdict.reason, "file": str(path)}
    return row


def print_outcomes(outcomes: Sequence[Outcome], rows: Sequence[dict[str, Any]], plugins: Sequence[str]) -> None:
    """One line per implementation; under a finding its inputs and the command that shows it again."""
    for outcome, row in zip(outcomes, rows, strict=True):
        if outcome.finding is None:
            worst = f"worst error/bound {row['worst_error_over_bound']:.3g}"
            print(f"{row['implementation']}: no wrong answer in {row['examples']} candidates, {worst}")
            continue
        print(f"{row['implementation']}: wrong, found after {row['examples']} candidates")
        print(f"  {row['status']}: {row['reason']}")
        for number, array in enumerate(outcome.finding.sourced.inputs):
            shown = (
                literal(array) if array.size <= MOST_SHOWN else f"{array.dtype.name}{list(array.shape)}, in the file"
            )
            print(f"  input {number}: {shown}")
        with_plugins = "".join(f" --plugin {path}" for path in plugins)
        print(f"  again: harness check '{row['case']}' --cases {row['file']}{with_plugins}")

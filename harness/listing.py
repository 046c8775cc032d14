"""What `harness list` shows: one row per implementation, with what is missing here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.plan import Selection, selects
from harness.registry import Registry


def list_rows(registry: Registry, selectors: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of the selected implementations: operator, backend, implementation, accumulation, missing (or None).

    An implementation is selected if its id, or the id of any of its cases, is.
    """
    selection = Selection(selectors)
    rows = []
    for declared in registry.declarations:
        if not selects(selection, declared, registry.operators[declared.operator]):
            continue
        rows.append(
            {
                "operator": declared.operator,
                "backend": declared.backend,
                "implementation": declared.implementation,
                "accumulation": None if declared.accumulation is None else str(declared.accumulation),
                "missing": registry.missing(declared),
            }
        )
    return rows


def print_listing(rows: Sequence[dict[str, Any]]) -> None:
    """A table on stdout, and under it what to type for what is missing."""
    from rich.table import Table
    from rich.text import Text

    from harness.fitting import show

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("operator", "backend", "implementation", "accumulation", ""):
        table.add_column(heading, no_wrap=heading != "accumulation")
    for row in rows:
        state = Text("missing", style="yellow") if row["missing"] else Text("")
        cells = [Text(_plain(row[name] or "")) for name in ("operator", "backend", "implementation", "accumulation")]
        table.add_row(*cells, state)
    missing = {row["backend"]: row["missing"] for row in rows if row["missing"]}
    hints = [Text(f"\nmissing: {_plain(backend)}: {_plain(reason)}") for backend, reason in sorted(missing.items())]
    show([table, *hints], 120)


def _plain(text: str) -> str:
    """Text from a plugin without control characters."""
    return "".join(char if char.isprintable() else " " for char in text)

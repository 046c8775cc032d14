"""`harness kernels`: what the kernels of CUDA sources need of a machine, compiled without a GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.cuda import nvrtc
from harness.cuda.occupancy import occupancy
from harness.cuda.source import Source
from harness.plan import Selection
from harness.registry import Registry

Row = dict[str, Any]
"""The fields of harness.cuda.resources.Resources, and source, blocks_per_multiprocessor, occupancy, limited_by."""


def figures(
    registry: Registry,
    selectors: Sequence[str],
    architectures: Sequence[str],
    block: int,
    progress: Callable[[str], None],
) -> list[Row]:
    """One row for each kernel instance of the selected implementations and each architecture.

    Raises LookupError where no implementation with CUDA sources is selected, ImportError with a hint without NVRTC,
    CompileError for a source that it refuses, ValueError for an architecture that is not known.
    """
    selection = Selection(selectors)
    sources = {
        Source(Path(path), tuple(instances)): None
        for declared in registry.declarations
        if declared.id in selection
        for path, instances in declared.sources
    }
    if not sources:
        raise LookupError(f"no implementation with CUDA sources matches {' '.join(selectors) or 'anything'}")
    rows = []
    for number, source in enumerate(sources):
        progress(f"compiling {source.path.name} ({number + 1} of {len(sources)})")
        for one in nvrtc.resources(source.path, source.entries, tuple(architectures) or nvrtc.ARCHITECTURES):
            fits = occupancy(one, min(block, one.max_threads or block))
            row = {"source": source.path.name, **dataclasses.asdict(one), "spill_bytes": one.spill_bytes}
            row["instructions"] = None if one.instructions is None else dict(one.instructions)
            row |= {"blocks_per_multiprocessor": fits.blocks, "occupancy": fits.fraction, "limited_by": fits.limit}
            rows.append(row)
    return rows


def print_figures(rows: Sequence[Row]) -> None:
    """A table on stdout; what differs between architectures is told by rows of their own."""
    from rich.table import Table
    from rich.text import Text

    from harness.fitting import show

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("source", "kernel", "for"):
        table.add_column(heading, overflow="fold")
    for heading in ("registers", "spilled", "shared", "code", "occupancy"):
        table.add_column(heading, justify="right")
    table.add_column("most frequent instructions", overflow="fold")
    for row in rows:
        mix = list((row["instructions"] or {}).items())[:4]
        cells = (
            row["source"],
            row["kernel"],
            row["architecture"],
            row["registers"],
            row["spill_bytes"],
            row["shared_bytes"],
            row["code_bytes"],
            f"{row['occupancy']:.0%}",
            ", ".join(f"{name} {count}" for name, count in mix) or "(no disassembler)",
        )
        table.add_row(*(Text(str(cell)) for cell in cells))
    show([table], 180)

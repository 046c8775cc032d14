"""`harness import`: results of other benchmark tools, as runs that nobody judged."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.documents import harmless, shown_path
from harness.options import Json, StoreUrl
from harness.terminal import INTERRUPTED, USAGE, fail, open_store


class Source(StrEnum):
    """The tools whose files are read."""

    pytest_benchmark = "pytest-benchmark"
    asv = "asv"
    google_benchmark = "google-benchmark"
    bencher = "bencher"


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="JSON of another tool, or a folder with such files, like asv's results."
        ),
    ],
    format: Annotated[Source | None, typer.Option(help="Whose file it is; default: found from what it holds.")] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where it was measured, if the file does not say.")
    ] = None,
    commit: Annotated[
        str | None, typer.Option(metavar="HASH", help="What was measured, if the file does not say.")
    ] = None,
    store: StoreUrl = None,
    as_json: Json = False,
) -> None:
    """Store results of pytest-benchmark, asv, Google Benchmark or Bencher, each file as a run.

    Such times are kept apart from ours: their rows are `imported`, since nobody checked what was computed. They are
    never ranked; `harness history` and `harness compare` take runs of the same tool and machine.
    """
    from harness.interop.imported import UnreadableFile
    from harness.interop.storing import import_files

    with open_store(store) as opened:
        try:
            taken = import_files(opened, files, format.value if format else None, machine, commit)
        except UnreadableFile as wrong:
            fail(str(wrong), USAGE)
        except KeyboardInterrupt:
            again = "each file is stored whole or not at all, and none twice: type the same again"
            fail(f"interrupted; {again}", INTERRUPTED)
    if as_json:
        print(json.dumps([{**dataclasses.asdict(one), "path": str(one.path)} for one in taken], indent=1))
        return
    for one in taken:
        counts = ", ".join(f"{count} {status}" for status, count in one.counts.items())
        verb = "known already as" if one.is_known else "stored as"
        print(f"{shown_path(one.path)}: {one.format}, {counts}, {one.timed} with a time; {verb} run {one.run_id}")
        for note in one.notes[1:]:
            print(f"  {harmless(note, 1000)}")
    last = taken[-1].run_id
    print(f"type `harness report {last} --format markdown`, or `harness history` for all runs of the machine")

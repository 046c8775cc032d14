"""`harness history`: how the times of tasks changed from run to run."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.options import Json, Selectors, StoreUrl
from harness.terminal import NOTHING, USAGE, fail, open_store, say


def history(
    selectors: Selectors = None,
    store: StoreUrl = None,
    machine: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A machine, or the start of its id; default: that of the newest run."),
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the newest N runs of each task.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only runs from then on: 2026-01-31.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Draw it: FILE.svg or FILE.html.")
    ] = None,
    as_json: Json = False,
) -> None:
    """All runs of a task on one machine: trend per week, change points with their commits, and a sparkline."""
    from harness.histories import histories
    from harness.reports.history_page import write_history
    from harness.series import NoSeries

    with open_store(store) as opened:
        try:
            found = histories(opened, selectors or [], machine=machine, last=last, since=_date(since))
            if output is not None:
                write_history(found, output)
                say(f"wrote {output}")
        except NoSeries as nothing:
            fail(str(nothing), NOTHING)
        except (ImportError, ValueError, OSError) as wrong:
            fail(str(wrong), USAGE)
    if as_json:
        print(json.dumps([row.as_data() for row in found.rows], indent=1, allow_nan=False))
        return
    from rich.console import Console

    from harness.reports.history_table import history_lines

    console = Console(width=None if sys.stdout.isatty() else 180)
    for line in history_lines(found):
        console.print(line)


def _date(text: str | None) -> datetime.datetime | None:
    from harness.series import moment

    if text is None:
        return None
    try:
        return moment(text)
    except ValueError:
        fail(f"--since {text}: no date; write it as 2026-01-31 or 2026-01-31T12:00", USAGE)

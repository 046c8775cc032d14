"""`harness history`: how the times of tasks changed from run to run."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path
from typing import Annotated

import typer

from harness.options import Json, Selectors, StoreUrl
from harness.terminal import NOTHING, USAGE, fail, open_to_read, say


def history(
    selectors: Selectors = None,
    store: StoreUrl = None,
    machine: Annotated[
        str | None,
        typer.Option(metavar="ID", help="A machine, or the start of its id; default: that of the newest run."),
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the newest N runs of each task.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only runs from then on: 2026-01-31.")] = None,
    medians: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Instead: the median time of each task over the newest N runs with a time."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also write .html, .svg, .md, .csv, .json ...")
    ] = None,
    as_json: Json = False,
) -> None:
    """All runs of a task on one machine: trend per week, change points with their commits, and a sparkline."""
    from harness.histories import histories
    from harness.reports.history_export import write_history
    from harness.schema import StoreError
    from harness.series import NoSeries

    if medians is not None:
        if last is not None or since is not None or output is not None:
            fail("--medians N says which runs, and is printed: leave out --last, --since and --output", USAGE)
        _medians(selectors or [], store, machine, medians, as_json)
        return
    with open_to_read(store) as opened:
        try:
            found = histories(opened, selectors or [], machine=machine, last=last, since=date_of(since))
            if output is not None:
                write_history(found, output)
                say(f"wrote {output}")
        except StoreError:
            raise  # the store is named where it was opened
        except NoSeries as nothing:
            fail(str(nothing), NOTHING)
        except (ImportError, ValueError, OSError) as wrong:
            fail(str(wrong), USAGE)
    if as_json:
        print(json.dumps([row.as_data() for row in found.rows], indent=1, allow_nan=False))
        return
    from harness.fitting import show
    from harness.reports.history_table import history_lines

    show(history_lines(found), 180)


def _medians(selectors: list[str], store: str | None, machine: str | None, last: int, as_json: bool) -> None:
    """One number per task over the newest runs; exit code 5 where there is none."""
    from harness.plan import Selection
    from harness.series import NoSeries, machine_of

    with open_to_read(store) as opened:
        try:
            machine_id = None if machine is None else machine_of(opened, machine)
        except NoSeries as nothing:
            fail(str(nothing), NOTHING)
        found = opened.medians(last, Selection(selectors).__contains__, machine_id)
    if not found:
        fail(
            f"no task that matches {' '.join(selectors) or 'anything'} has a time there; type `harness bench`", NOTHING
        )
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found], indent=1, allow_nan=False))
        return
    from harness.fitting import show
    from harness.reports.medians import median_lines

    show(median_lines(found, last), 140)


def date_of(text: str | None) -> datetime.datetime | None:
    """What was typed for --since; ends the program with the code of a usage error for what is no date."""
    from harness.series import moment

    if text is None:
        return None
    try:
        return moment(text)
    except ValueError:
        fail(f"--since {text}: no date; write it as 2026-01-31 or 2026-01-31T12:00", USAGE)

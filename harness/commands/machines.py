"""`harness machines`: what a store knows of the machines that its runs were measured on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness.next_step import typed
from harness.options import Json, StoreUrl
from harness.terminal import NOTHING, USAGE, fail, open_to_read, say, say_next


def machines(
    machine: Annotated[
        str | None, typer.Argument(metavar="ID", help="All of one machine: its id, or the beginning of it.")
    ] = None,
    store: StoreUrl = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also write .html, .md, .csv or .json.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The machines of all runs: what each is, its noise, and how fast it copied and computed from run to run."""
    from harness.inventory import NoMachine, chosen, inventory
    from harness.reports.machines import next_command, write_machines
    from harness.reports.machines_table import machine_lines, machines_lines
    from harness.schema import StoreError

    with open_to_read(store) as opened:
        found = inventory(opened)
    try:
        if not found:
            raise NoMachine("the store knows no machine yet; type `harness bench` first")
        only = None if machine is None else chosen(found, machine)
        shown = found if only is None else (only,)
        if output is not None:
            write_machines(found, only, output)
            say(f"wrote {output}")
        data = [one.as_data() for one in shown]  # here, where a missing library is told
    except StoreError:
        raise
    except NoMachine as nothing:
        fail(str(nothing), NOTHING)
    except (ImportError, ValueError, OSError) as wrong:
        fail(str(wrong), USAGE)
    if as_json:
        print(json.dumps(data, indent=1, allow_nan=False))
        return
    from harness.fitting import show

    show(machines_lines(found) if only is None else machine_lines(only), 180)
    say_next(next_command(found, only, typed(store=store)))

"""`harness store`: what a store holds, runs of one store into another, and shards of a dealt run into one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from harness import location
from harness.commands.history import date_of
from harness.options import Json, StoreUrl
from harness.terminal import INTERRUPTED, NOTHING, OK, USAGE, fail, open_to_read, progress_of, say, say_next

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from harness.copying import Copied, Wanted


SHOWN = 30
"""Rows of a table, where the store holds more."""
WIDTH = 140
"""Of tables that are printed into a file or a pipe."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="What a store holds; runs of one store into another; shards of a dealt run into one run.",
)


def _hide_password(given: list[str] | str | None) -> list[str] | str | None:
    """What other processes of this machine see of this command has no password in it."""
    for one in [given] if isinstance(given, str) else given or ():
        if location.passwords(one):
            location.wipe_command_line(one)
    return given


@app.command("list")
def list_(
    store: StoreUrl = None,
    last: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=f"Only the newest N runs ({SHOWN}; with --json all)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """The runs of a store, the newest first, and its size."""
    from harness.configuration import store_of
    from harness.contents import contents
    from harness.copying import file_of, shown_store
    from harness.options import DEFAULT_STORE
    from harness.terminal import settled

    given = store_of(store, settled()) or DEFAULT_STORE
    with open_to_read(store) as opened:
        found = contents(opened, file_of(given), last or (None if as_json else SHOWN))
    if as_json:
        print(json.dumps([one.as_data() for one in found.runs], indent=1))
        return
    from harness.fitting import console_of_stdout
    from harness.reports.stores import contents_lines

    _show(contents_lines(found, shown_store(given), console_of_stdout(WIDTH).width))


@app.command()
def copy(
    source: Annotated[
        str, typer.Argument(metavar="FROM", callback=_hide_password, help="A store that is read: a file, or a URL.")
    ],
    target: Annotated[str, typer.Argument(metavar="TO", callback=_hide_password, help="The store that gets the runs.")],
    runs: Annotated[
        list[str] | None, typer.Option("--runs", metavar="ID", help="Only these: ids, or how ids begin; several times.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only runs from then on: 2026-01-31.")] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="ID", help="Only runs of a machine, or how its id begins.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Runs of one store into another, with all that belongs to them and without doubles; again copies what is new.

    Exit code 5 if a run was refused: another run of its id is there, or its rows cannot be.
    """
    from harness.copying import REFUSED, Wanted, shown_store

    wanted = Wanted(tuple(runs or ()), date_of(since), machine)
    found, problem = _copied(source, target, wanted, as_json)
    if problem is not None:
        fail(*problem)
    if as_json:
        print(json.dumps([one.as_data() for one in found], indent=1))
    else:
        from harness.next_step import typed
        from harness.reports.stores import copied_lines

        _show(copied_lines(found, shown_store(source), shown_store(target)))
        say_next(f"harness store list{typed(store=target)}")
    raise typer.Exit(NOTHING if any(one.outcome == REFUSED for one in found) else OK)


@app.command()
def merge(
    into: Annotated[
        str, typer.Option("--into", metavar="TO", callback=_hide_password, help="The store that gets the joined run.")
    ],
    stores: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="STORE",
            callback=_hide_password,
            help="Stores of the shards. Without: the newest deal of TO itself.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The shards of a dealt run (`--shard 2/5`) become one run; again, and with the missing ones, completes it.

    Exit code 5 if shards are missing, have not ended or do not fit, or if a STORE holds none; what is there is joined.
    """
    from harness.copying import REFUSED, Wanted, require_file, shown_store
    from harness.joining import NothingToJoin, join
    from harness.schema import StoreError
    from harness.store import Store

    copied: list[Copied] = []
    problems: dict[str, int] = {}
    for one in stores or ():
        found, problem = _copied(one, into, Wanted(), as_json)
        copied += found
        if problem is not None:
            problems[problem[0]] = problem[1]
    unread = "\n".join(problems)
    if problems and not copied:
        fail(unread, USAGE if USAGE in problems.values() else NOTHING)
    try:
        if not stores:
            require_file(into)
        with Store.open(into) as opened:
            joined = join(opened, {one.run_id for one in copied} if stores else None)
    except NothingToJoin as nothing:
        fail("\n".join([*problems, f"{shown_store(into)}: {nothing}"]), NOTHING)
    except StoreError as wrong:
        fail("\n".join([*problems, str(wrong).removeprefix("--store ")]), USAGE)
    except KeyboardInterrupt:
        _interrupted()
    refused = [one for one in copied if one.outcome == REFUSED]
    if as_json:
        print(json.dumps([one.as_data() for one in joined], indent=1))
    else:
        from harness.next_step import typed
        from harness.reports.stores import joined_lines

        _show(joined_lines(joined, refused, shown_store(into)))
    if unread:
        say(f"harness: {unread}\nwhat the other stores hold is joined")
    if not as_json:
        say_next(f"harness report {joined[-1].run_id}{typed(store=into)}")
    raise typer.Exit(NOTHING if refused or problems or any(one.problems for one in joined) else OK)


def _copied(source: str, target: str, wanted: Wanted, quiet: bool) -> tuple[Sequence[Copied], tuple[str, int] | None]:
    """What was done with each run; or what is wrong with a store, and the exit code of that."""
    from harness.copying import CopyEnded, NothingToCopy, copy_runs, opened_pair, shown_store
    from harness.schema import StoreError

    progress = progress_of(quiet)
    try:
        with opened_pair(source, target) as (first, second):
            return copy_runs(first, second, wanted, progress), None
    except NothingToCopy as nothing:
        return (), (f"{shown_store(source)}: {nothing}", NOTHING)
    except CopyEnded as ended:
        fail(str(ended), NOTHING)
    except StoreError as wrong:
        return (), (str(wrong).removeprefix("--store "), USAGE)
    except KeyboardInterrupt:
        _interrupted()
    finally:
        progress.close()


def _interrupted() -> NoReturn:
    fail("interrupted; each run is written whole or not at all, and none twice: type the same again", INTERRUPTED)


def _show(lines: Iterable[RenderableType]) -> None:
    from harness.fitting import show

    show(lines, WIDTH)

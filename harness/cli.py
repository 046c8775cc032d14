"""The command line, thin: parses, calls, prints. Results go to stdout, progress to stderr."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from harness.commands.compare import compare
from harness.commands.doctor import doctor
from harness.commands.history import history
from harness.options import (
    Budget,
    Cases,
    Json,
    Operators,
    Plugins,
    Resume,
    Seed,
    Selectors,
    SettledTimeout,
    StoreUrl,
    Timeout,
)
from harness.terminal import (
    NOTHING,
    OK,
    USAGE,
    WRONG_RESULT,
    Progress,
    fail,
    load,
    open_store,
    print_problems,
    say,
    settled,
)

if TYPE_CHECKING:
    from harness.api import Run

app = typer.Typer(
    name="harness",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Is this kernel right, and is it fast? Conformance by derived error bounds, times by interleaved pairs.\n\n"
    "A SELECTOR is a glob over operator/backend/implementation/case in which * crosses slashes; a plain prefix "
    "(softmax, softmax/numpy) selects all beneath it. Without one, everything is selected.\n\n"
    "Exit codes: 0 all well, 1 slower (compare), 2 usage error, 3 conformance failure, 4 unclear within the budget "
    "(compare), 5 nothing was measured, or (compare) a task is missing.",
)


class Format(StrEnum):
    """What a report can be written as."""

    html = "html"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    parquet = "parquet"


@app.command("list")
def list_(
    selectors: Selectors = None,
    plugin: Plugins = None,
    operators: Operators = None,
    cases: Cases = None,
    as_json: Json = False,
) -> None:
    """What exists, what is missing here, and how to install it."""
    from harness.listing import list_rows, print_listing
    from harness.plan import NothingSelected, require_match

    registry = load(plugin, operators, cases)
    try:
        require_match(registry, selectors or [])
    except NothingSelected as nothing:
        fail(str(nothing), NOTHING)
    rows = list_rows(registry, selectors or [])
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print_listing(rows)
    print_problems(registry)


@app.command()
def check(
    selectors: Selectors = None,
    plugin: Plugins = None,
    operators: Operators = None,
    cases: Cases = None,
    store: StoreUrl = None,
    seed: Seed = None,
    timeout: SettledTimeout = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Conformance only: exact gates, error bounds, structure, laws. Exit code 3 if anything is wrong."""
    run = _execute("check", selectors, plugin, operators, cases, store, seed, None, timeout, resume, None)
    _print_run("check", run, as_json, store)


@app.command()
def bench(
    selectors: Selectors = None,
    plugin: Plugins = None,
    operators: Operators = None,
    store: StoreUrl = None,
    seed: Seed = None,
    budget: Budget = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=20, help="Worker processes that every time is taken in (3).")
    ] = None,
    timeout: SettledTimeout = None,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Conformance, then the times of what was right; the run is stored."""
    run = _execute("bench", selectors, plugin, operators, None, store, seed, budget, timeout, resume, processes)
    _print_run("bench", run, as_json, store)


app.command()(compare)
app.command()(history)


@app.command()
def reveal(
    selectors: Annotated[list[str], typer.Argument(metavar="SELECTOR", help="operator/backend/implementation, globs.")],
    plugin: Plugins = None,
    operators: Operators = None,
    n: Annotated[int, typer.Option("-n", min=1, max=65536, help="How many terms are added up.")] = 4096,
    dtype: Annotated[str, typer.Option(help="The dtype of the terms.")] = "float32",
    svg: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Draw each tree as SVG into this folder.")] = None,
    timeout: Timeout = 60.0,
    as_json: Json = False,
) -> None:
    """The order in which a reduction adds up, revealed by probing, and held against what its author declares.

    Exit code 3 if a declared order is contradicted.
    """
    from harness import revealing
    from harness.plan import NothingSelected

    progress = Progress(sys.stderr.isatty())
    registry = load(plugin, operators)
    try:
        found = revealing.reveal_all(registry, selectors, n, dtype, timeout, progress)
    except NothingSelected as nothing:
        fail(str(nothing), NOTHING)
    finally:
        progress.close()
    rows = revealing.rows(found)
    if svg is not None:
        revealing.draw(found, svg)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        revealing.print_trees(found, rows)
    if not any(one.tree for one in found):
        raise typer.Exit(NOTHING)
    raise typer.Exit(WRONG_RESULT if any(one.contradiction for one in found) else OK)


@app.command()
def fuzz(
    selectors: Annotated[list[str], typer.Argument(metavar="SELECTOR", help="operator/backend/implementation, globs.")],
    plugin: Plugins = None,
    operators: Operators = None,
    seed: Seed = None,
    budget: Annotated[float, typer.Option(metavar="SECONDS", help="Time for each implementation.")] = 30.0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that findings are kept in.")] = Path(
        ".harness/regressions"
    ),
    timeout: Timeout = 60.0,
    as_json: Json = False,
) -> None:
    """Search for a failing input, shrink it, and keep it as a case. Exit code 3 if one was found."""
    from harness import searching
    from harness.plan import NothingSelected

    progress = Progress(sys.stderr.isatty())
    registry = load(plugin, operators)
    try:
        outcomes = searching.search_all(registry, selectors, seed, budget, timeout, progress)
    except NothingSelected as nothing:
        fail(str(nothing), NOTHING)
    except ImportError as missing:
        fail(f"{missing}; type: pip install 'kernel-harness[fuzz]'", USAGE)
    finally:
        progress.close()
    found = [searching.keep(outcome, output) for outcome in outcomes]
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        searching.print_outcomes(outcomes, found, plugin or [])
    raise typer.Exit(WRONG_RESULT if any(outcome.finding for outcome in outcomes) else OK)


@app.command()
def report(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run's id, its start, or latest.")] = None,
    store: StoreUrl = None,
    format: Annotated[Format, typer.Option(help="What to write.")] = Format.html,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; '-' is stdout.")] = None,
) -> None:
    """One self-contained HTML file about a run (default: the newest), or the same as markdown, CSV, JSON or Parquet."""
    from harness.reporting import write_report

    with open_store(store) as opened:
        try:
            written = write_report(opened, run, format.value, output)
        except LookupError as error:
            fail(str(error.args[0] if error.args else error), NOTHING)
    if written is not None:
        print(written)


app.command()(doctor)


@app.command()
def kernels(
    selectors: Selectors = None,
    plugin: Plugins = None,
    architectures: Annotated[
        list[str] | None, typer.Option("--arch", metavar="SM", help="Default: sm_80, sm_90 and sm_100.")
    ] = None,
    block: Annotated[int, typer.Option(min=32, max=1024, help="Threads of a block, for the occupancy.")] = 256,
    as_json: Json = False,
) -> None:
    """What CUDA kernels need, compiled without a GPU: registers, spills, shared memory, occupancy, instructions."""
    from harness.cuda.faults import CompileError
    from harness.figures import figures, print_figures

    try:
        rows = figures(load(plugin, None), selectors or [], architectures or (), block, say)
    except LookupError as nothing:
        fail(str(nothing.args[0]), NOTHING)
    except (CompileError, ValueError) as wrong:
        fail(str(wrong), WRONG_RESULT if isinstance(wrong, CompileError) else USAGE)
    except ImportError as missing:
        fail(str(missing), NOTHING)
    if as_json:
        print(json.dumps(rows, indent=1))
    else:
        print_figures(rows)


def _execute(
    command: str,
    selectors: list[str] | None,
    plugin: list[str] | None,
    operators: list[str] | None,
    cases: list[str] | None,
    store: str | None,
    seed: int | None,
    budget: float | None,
    timeout: float | None,
    resume: bool,
    processes: int | None,
) -> Run:
    from harness import api, configuration
    from harness.declare import DeclarationError
    from harness.execute import Options
    from harness.plan import NothingSelected
    from harness.supervisor import DEADLINE_S
    from harness.timing.groups import Settings

    file = configuration.with_options(
        settled(), plugins=plugin, operators=operators, seed=seed, budget_s=budget, processes=processes
    )
    options = Options(
        budget_s=file.budget_s,
        deadline_s=timeout or file.timeout_s or DEADLINE_S,
        settings=Settings() if file.processes is None else Settings(processes=file.processes),
    )
    progress = Progress(sys.stderr.isatty())
    try:
        return api.run(
            command,
            selectors or [],
            plugins=file.plugins,
            operators=file.operators,
            cases=cases or [],
            store=configuration.store_of(store, file),
            seed=file.seed,
            options=options,
            progress=progress,
            resume=resume,
        )
    except NothingSelected as nothing:
        fail(str(nothing), NOTHING)
    except LookupError as unknown:
        fail(str(unknown.args[0]), NOTHING)
    except (DeclarationError, ImportError, ValueError) as wrong:
        fail(str(wrong), USAGE)
    except KeyboardInterrupt:
        fail(f"interrupted; what was finished is stored, `harness {command} --resume` goes on", 130)
    finally:
        progress.close()


def _print_run(command: str, run: Run, as_json: bool, store: str | None) -> NoReturn:
    from harness.execute import exit_code

    code = exit_code(command, run.checked, run.timed)
    if as_json:
        from harness.reports import json_rows

        print(json_rows(run.records))
    else:
        from harness.configuration import store_of
        from harness.reporting import print_summary

        print_summary(command, run, store_of(store, settled()))
    raise typer.Exit(code)


def main(run: Callable[..., Any] = app) -> None:
    """The entry point of the `harness` command."""
    try:
        run()
    except Exception:
        traceback.print_exc()
        sys.exit(NOTHING)  # Python's own 1 would say that something is slower


if __name__ == "__main__":
    main()

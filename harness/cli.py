"""The command line, thin: parses, calls, prints. Results go to stdout, progress to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from harness import interruption

if __name__ == "__main__":
    interruption.end_at_once()

import typer
from typer.core import TyperGroup

from harness.commands.compare import compare
from harness.commands.doctor import doctor
from harness.commands.ending import run_and_exit
from harness.commands.history import history
from harness.commands.import_ import import_
from harness.commands.judge import judge
from harness.commands.machines import machines
from harness.commands.running import Given, execute, print_run
from harness.commands.store import app as store_commands
from harness.options import (
    Budget,
    Cases,
    ClusterOption,
    DurationsOption,
    Json,
    Operators,
    Plugins,
    Resume,
    Sandbox,
    Seed,
    Selectors,
    SettledTimeout,
    ShardOption,
    StoreUrl,
    Timeout,
    seconds,
)
from harness.terminal import (
    INTERRUPTED,
    NOTHING,
    OK,
    USAGE,
    WRONG_RESULT,
    fail,
    load,
    open_to_read,
    print_problems,
    progress_of,
    say,
)

if TYPE_CHECKING:
    from harness.revealing import Found


class _Interruptible(TyperGroup):
    """Ctrl-C ends every command with one line and code 130; those that keep something say so themselves."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("interrupted", INTERRUPTED)


app = typer.Typer(
    name="harness",
    cls=_Interruptible,
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
    latex = "latex"
    pytest_benchmark = "pytest-benchmark"
    asv = "asv"
    google_benchmark = "google-benchmark"
    bencher = "bencher"
    github_action = "github-action"
    junit = "junit"


@app.command("list")
def list_(
    selectors: Selectors = None,
    plugin: Plugins = None,
    operators: Operators = None,
    cases: Cases = None,
    sandbox: Sandbox = None,
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
    shard: ShardOption = None,
    durations: DurationsOption = None,
    cluster: ClusterOption = None,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Conformance only: exact gates, error bounds, structure, laws. Exit code 3 if anything is wrong."""
    given = Given("check", selectors or [], plugin, operators, cases, store, as_json, shard, durations, cluster)
    print_run(given, execute(given, seed, None, timeout, resume, None))


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
    shard: ShardOption = None,
    durations: DurationsOption = None,
    cluster: ClusterOption = None,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Conformance, then the times of what was right; the run is stored."""
    given = Given("bench", selectors or [], plugin, operators, None, store, as_json, shard, durations, cluster)
    print_run(given, execute(given, seed, budget, timeout, resume, processes))


app.command()(compare)
app.command()(history)
app.command()(machines)
app.command()(judge)
app.command("import")(import_)
app.add_typer(store_commands, name="store")


@app.command()
def reveal(
    selectors: Annotated[list[str], typer.Argument(metavar="SELECTOR", help="operator/backend/implementation, globs.")],
    plugin: Plugins = None,
    operators: Operators = None,
    n: Annotated[int, typer.Option("-n", min=1, max=65536, help="How many terms are added up.")] = 4096,
    dtype: Annotated[str, typer.Option(help="The dtype of the terms.")] = "float32",
    svg: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Draw each tree as SVG into this folder.")] = None,
    timeout: Timeout = 60.0,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """The order in which a reduction adds up, revealed by probing, and held against what its author declares.

    Exit code 3 if a declared order is contradicted.
    """
    from harness import revealing
    from harness.plan import NothingSelected

    progress = progress_of(quiet=as_json)
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
    budget: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time for each implementation.", callback=seconds)
    ] = 30.0,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that findings are kept in.")] = Path(
        ".harness/regressions"
    ),
    timeout: Timeout = 60.0,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Search for a failing input, shrink it, and keep it as a case. Exit code 3 if one was found."""
    from harness import searching
    from harness.plan import NothingSelected

    progress = progress_of(quiet=as_json)
    registry = load(plugin, operators)
    outcomes, found = [], []
    try:
        for outcome in searching.search_all(registry, selectors, seed, budget, timeout, progress):
            outcomes.append(outcome)
            found.append(searching.keep(outcome, output))  # at once: a later search may be interrupted
    except KeyboardInterrupt:
        kept = ", ".join(sorted({str(one["file"]) for one in found if one["file"]})) or "nothing"
        fail(f"interrupted; {len(found)} were searched, found and kept: {kept}", INTERRUPTED)
    except NothingSelected as nothing:
        fail(str(nothing), NOTHING)
    except ImportError as missing:
        fail(f"{missing}; type: pip install 'kernel-harness[fuzz]'", USAGE)
    finally:
        progress.close()
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
    trees: Annotated[
        int, typer.Option(metavar="N", min=0, max=65536, help="Reveal and draw trees of N terms; runs implementations.")
    ] = 0,
    plugin: Plugins = None,
    operators: Operators = None,
    timeout: Timeout = 60.0,
    sandbox: Sandbox = None,
) -> None:
    """One self-contained HTML file about a run (default: the newest), or as markdown, CSV, JSON, Parquet or LaTeX.

    Or as another tool has it: pytest-benchmark, asv (a folder), google-benchmark, bencher, github-action, junit.
    """
    from harness.reporting import write_report
    from harness.schema import StoreError

    def reveal(ids: Collection[str]) -> Sequence[Found]:
        from harness.revealing import reveal_those

        return reveal_those(load(plugin, operators), ids, trees, "float32", timeout, progress_of(quiet=False))

    with open_to_read(store) as opened:
        try:
            written = write_report(opened, run, format.value, output, reveal if trees else None)
        except StoreError:
            raise  # the store is named where it was opened
        except LookupError as error:
            fail(str(error.args[0] if error.args else error), NOTHING)
        except (OSError, ValueError) as error:
            fail(str(error), USAGE)
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
    sandbox: Sandbox = None,
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


def main(run: Callable[..., Any] = app) -> None:
    """The entry point of the `harness` command."""
    run_and_exit(run)


if __name__ == "__main__":
    main()

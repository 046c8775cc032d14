"""`harness compare`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from harness.options import Json, Operators, Plugins, Sandbox, Seed, SettledTimeout, ShardOption, StoreUrl, seconds
from harness.progress import Limit
from harness.terminal import INTERRUPTED, NOTHING, USAGE, fail, progress_of, say, say_next

if TYPE_CHECKING:
    from harness.comparing.verdicts import Comparison
    from harness.configuration import Configuration
    from harness.progress import Progress


def _mode(typed: str) -> str:
    if typed not in ("excuse", "count", "refuse"):
        raise typer.BadParameter(f"{typed!r} is none of excuse, count, refuse")
    return typed


def compare(
    versions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BASE HEAD [SELECTOR...]",
            help="Git revisions ('.' is the working tree), runs of the store, or result files; then what to select.",
        ),
    ] = None,
    ab: Annotated[
        bool, typer.Option("--ab", help="BASE and HEAD are implementations of this installation: A B, live.")
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="For all timing together; default: 4 s for each task that may differ.",
            callback=seconds,
        ),
    ] = None,
    floor: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Change below which nothing is called: 0.01 or '1 %' (default)."),
    ] = None,
    plugin: Plugins = None,
    operators: Operators = None,
    store: StoreUrl = None,
    seed: Seed = None,
    timeout: SettledTimeout = None,
    shard: ShardOption = None,
    sandbox: Sandbox = None,
    setup: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="A shell command that prepares each checkout.")
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The interpreter in each checkout, like .venv/bin/python."),
    ] = None,
    measure_identical: Annotated[
        bool, typer.Option("--measure-identical", help="Measure also what is the same code in the same environment.")
    ] = False,
    normalise: Annotated[
        bool, typer.Option("--normalise", help="Compare runs of different machines by their measured copy rates.")
    ] = False,
    slow_machine: Annotated[
        str,
        typer.Option(
            metavar="excuse|count|refuse",
            help="Stored runs of a machine that changed as a whole: take that out, leave it in, or end with code 5.",
            callback=_mode,
        ),
    ] = "excuse",
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write JUnit XML.")] = None,
    summary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also append Markdown, for example to $GITHUB_STEP_SUMMARY.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also write a file: .html .md .csv .json ...")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show the tasks without a change too.")] = False,
    as_json: Json = False,
) -> None:
    """Did it get slower? Each task in BASE and in HEAD, measured in turn: SAME, FASTER, SLOWER or UNCLEAR, and why.

    Exit codes: 0 nothing is slower, 1 something is, 3 something is wrong in HEAD, 4 unclear within the budget, 5 tasks
    are missing, nothing was compared, or the machines differ.
    """
    from harness import configuration
    from harness.comparing.live import Effort
    from harness.configuration import ConfigurationError
    from harness.next_step import typed

    given = versions or []
    if len(given) < 2:
        fail("compare needs BASE and HEAD; type for example `harness compare HEAD~1 HEAD`", USAGE)
    form = _format_of(output)
    try:
        file = configuration.load()
        settings = configuration.with_options(
            file.compare,
            selectors=given[2:] or None,
            budget_s=budget,
            floor=None if floor is None else _share(floor),
            setup=setup,
            python=python,
        )
        file = configuration.with_options(
            file, compare=settings, plugins=plugin, operators=operators, seed=seed, timeout_s=timeout
        )
    except ConfigurationError as wrong:
        fail(str(wrong), USAGE)
    budget_s = file.compare.budget_s
    rounds = Limit(lambda tasks: Effort(budget_s).budget(tasks), by_steps=False)
    progress = progress_of(as_json, {"round": rounds})
    try:
        kept = configuration.store_of(store, file)
        found = _compare(
            given[0], given[1], ab, file, kept, measure_identical, normalise, slow_machine, shard, progress
        )
    finally:
        progress.close()
    command = f"harness compare {'--ab ' if ab else ''}{shlex.join(given[:2])}"
    _write(found, command, junit, summary, output, form)
    _show(found, command, typed(plugin=plugin, operators=operators, store=store), everything, as_json)


def _compare(
    base: str,
    head: str,
    ab: bool,
    file: Configuration,
    store: str | None,
    measure_identical: bool,
    normalise: bool,
    slow_machine: str,
    shard: str | None,
    progress: Progress,
) -> Comparison:
    from harness import api, configuration
    from harness.comparing.environment import UnknownEnvironment
    from harness.comparing.machines import DifferentMachines
    from harness.configuration import ConfigurationError
    from harness.declare import DeclarationError
    from harness.plan import NothingSelected

    try:
        _check_globs(configuration.load(), file)
        return api.compare(
            base,
            head,
            *file.compare.selectors,
            ab=ab,
            plugins=file.plugins,
            operators=file.operators,
            store=store,
            seed=file.seed,
            budget_s=file.compare.budget_s,
            floor=lambda task: configuration.floor_of(file, task),
            setup=file.compare.setup,
            python=file.compare.python,
            measure_identical=measure_identical,
            normalise=normalise,
            slow_machine=slow_machine,
            backends=lambda backend: configuration.uses(file, backend),
            deadline_s=file.timeout_s,
            shard=shard,
            progress=progress,
        )
    except (NothingSelected, DifferentMachines) as nothing:
        fail(str(nothing), NOTHING)
    except (ConfigurationError, DeclarationError, ImportError, ValueError, UnknownEnvironment) as wrong:
        fail(str(wrong), USAGE)
    except KeyboardInterrupt:
        unfinished = "nothing was stored, and nothing is said of an unfinished comparison: it begins anew"
        fail(f"interrupted; {unfinished}", INTERRUPTED)


def _check_globs(written: Configuration, file: Configuration) -> None:
    """A glob that is written in the file and matches nothing must not switch a check off; `file` is the same with the
    options that were typed. Raises ConfigurationError."""
    from harness.configuration import require_known
    from harness.plan import KINDS, tasks
    from harness.registry import load

    if written.path is None or not (written.backends or written.compare.selectors or written.compare.floors):
        return
    registry = load(file.plugins, file.operators)
    known = [task.id for kind in KINDS for task in tasks(registry, kind)]
    require_known(written, list(registry.backends), known)


def _share(text: str) -> float:
    from harness.configuration import share

    try:
        return share(text)
    except ValueError as wrong:
        fail(f"--floor {text} {wrong}; write a share like 0.01 or '1 %'", USAGE)


def _format_of(output: Path | None) -> str:
    known = {
        ".html": "html", ".md": "markdown", ".csv": "csv", ".json": "json", ".xml": "junit", ".parquet": "parquet",
        ".tex": "latex",
    }  # fmt: skip
    if output is None:
        return ""
    if output.suffix.lower() not in known:
        fail(f"--output {output}: write a name that ends in {', '.join(known)}", USAGE)
    return known[output.suffix.lower()]


def _write(
    found: Comparison, command: str, junit: Path | None, summary: Path | None, output: Path | None, form: str
) -> None:
    from harness import reports

    try:
        if junit is not None:
            reports.write_compared(found, "junit", junit, command)
        if summary is not None:
            reports.add_summary(found, summary, command)
        if output is not None:
            reports.write_compared(found, form, output, command)
            say(f"wrote {output}")
    except OSError as error:
        fail(f"cannot write {error.filename}: {error.strerror}", USAGE)


def _show(found: Comparison, command: str, options: str, everything: bool, as_json: bool) -> NoReturn:
    from harness import reports

    if as_json:
        print(reports.compared_json(found))
    else:
        from harness.fitting import show
        from harness.next_step import after_comparison

        show(reports.compared_lines(found, command, everything=everything))
        say_next(None if everything and found.exit_code == 0 else after_comparison(found, command, options))
    raise typer.Exit(found.exit_code)

"""`harness judge`: candidates for a problem of another project, by its own rule and by ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from harness.fitting import console_of_stdout
from harness.options import Json, Sandbox, Seed, StoreUrl, seconds
from harness.terminal import INTERRUPTED, NOTHING, USAGE, fail, open_store, progress_of, say, say_next

if TYPE_CHECKING:
    from rich.console import Console

    from harness.problems.opinions import Judged, Opinion

SHOWN = 400
"""Characters of a reason in the table's notes."""


def judge(
    problem: Annotated[
        str,
        typer.Argument(
            metavar="PROBLEM",
            help="A KernelBench file; a definition of flashinfer-bench or SOL-ExecBench, or its folder; a folder of "
            "GPU MODE with task.yml.",
        ),
    ],
    candidates: Annotated[
        list[str] | None,
        typer.Argument(metavar="CANDIDATE", help="Files, or folders of files; default: what the problem brings along."),
    ] = None,
    store: StoreUrl = None,
    seed: Seed = None,
    dtype: Annotated[
        str, typer.Option(metavar="DTYPE", help="KernelBench's precision: float32 (default), float16 or bfloat16.")
    ] = "",
    old_tolerance: Annotated[
        bool, typer.Option("--old-tolerance", help="KernelBench's rule of versions 0 and 0.1: atol = rtol = 1e-2.")
    ] = False,
    benchmarks: Annotated[
        bool, typer.Option("--benchmarks", help="GPU MODE: judge on the benchmark cases too, not on the tests alone.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.001, help="The longest that one request may take.", callback=seconds),
    ] = 300.0,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Candidates for a problem of another project, judged twice: by its own tolerance, and by ours.

    Exit code 3 if a candidate is wrong by ours.
    """
    from harness.problems.hosting import HostFailure
    from harness.problems.judging import judge as judge_problem
    from harness.problems.problem import BadProblem
    from harness.problems.recording import recorded
    from harness.supervisor import fresh_seed

    progress = progress_of(quiet=as_json)
    try:
        judged = judge_problem(
            problem,
            candidates or [],
            seed=fresh_seed() if seed is None else seed,
            deadline_s=timeout,
            dtype=dtype,
            old=old_tolerance,
            benchmarks=benchmarks,
            progress=progress,
        )
    except BadProblem as wrong:
        fail(str(wrong), USAGE)
    except HostFailure as failure:
        short = "it needs more memory than a process may have here: " if failure.kind == "out_of_memory" else ""
        fail(f"{problem}: {short}{failure.reason}", USAGE if failure.kind in ("bad", "error") else NOTHING)
    except KeyboardInterrupt:
        fail("interrupted; nothing was stored: a problem is judged anew", INTERRUPTED)
    finally:
        progress.close()
    with open_store(store) as opened:
        asked = [problem, *(candidates or []), *(["--dtype", dtype] if dtype else [])]
        asked += [flag for flag, on in (("--old-tolerance", old_tolerance), ("--benchmarks", benchmarks)) if on]
        run_id = recorded(opened, judged, tuple(asked))
    if as_json:
        from harness.reports.inert import jsonable

        rows = [{name: jsonable(value) for name, value in one.as_data().items()} for one in judged.opinions]
        print(json.dumps(rows, indent=1, allow_nan=False))
    else:
        print_opinions(judged)
        say(f"stored as run {run_id}")
        say_next(f"harness report {run_id}")
    raise typer.Exit(judged.exit_code)


def print_opinions(judged: Judged) -> None:
    """A table on stdout, what disagrees first, and below it the reasons."""
    from rich.table import Table
    from rich.text import Text

    console = console_of_stdout(124)
    console.print(Text(f"{judged.problem} ({judged.source}): {judged.recognised}"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("candidate", "workload"):
        table.add_column(heading, overflow="fold")
    for heading in (f"by {judged.source}", "by us"):
        table.add_column(heading, no_wrap=True)
    table.add_column("error/bound", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in judged.opinions:
        ratio = "" if one.error_over_bound is None else f"{one.error_over_bound:.3g}"
        ours = _word(one.accepts) if one.accepts is not None else one.status
        mark = "DISAGREE" if one.disagrees else ""
        cells = (one.candidate, one.workload, _word(one.source_accepts), ours, ratio, mark)
        style = "bold red" if one.disagrees else ""
        table.add_row(*(Text(cell, style=style) for cell in cells))
    console.print(table)
    _print_reasons(console, judged)
    for text in dict.fromkeys(one.truth for one in judged.opinions):
        console.print(Text(f"judged by {text}"))
    for one in {one.truth: one for one in judged.opinions if one.mutants}.values():
        alive = f"; not exposed, or right for these parameters: {one.mutants_alive}" if one.mutants_alive else ""
        console.print(Text(f"its cases expose {one.mutants_killed} of {one.mutants} wrong implementations{alive}"))


def _print_reasons(console: Console, judged: Judged) -> None:
    from rich.text import Text

    for one in judged.opinions:
        for who, said in ((f"{judged.source}", one.source_reason), ("we", one.reason)):
            if said:
                short = said if len(said) <= SHOWN else f"{said[:SHOWN]} ..."
                console.print(Text(f"  {one.candidate}, {one.workload}, {who}: {short}"))
    let_through = [(one.candidate, _rule(one)) for one in judged.opinions if one.disagrees and one.source_accepts]
    for candidate, rule in dict.fromkeys(let_through):
        console.print(Text(f"  {candidate}: accepted by {rule}"))


def _rule(one: Opinion) -> str:
    return f"{one.source}'s own rule ({'; '.join(filter(None, (one.source_rule, one.source_note)))})"


def _word(accepts: bool | None) -> str:
    return "" if accepts is None else "accepted" if accepts else "REJECTED"

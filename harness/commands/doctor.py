"""`harness doctor`: backends, machine, threads and ceilings; and trials of the harness itself on this machine."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.options import Json, Plugins, Sandbox, Selectors, StoreUrl
from harness.progress import Limit, Progress
from harness.terminal import NOTHING, USAGE, fail, load, open_store, progress_of, say, say_next

if TYPE_CHECKING:
    from harness.registry import Registry
    from harness.trials.comparer import Live
    from harness.trials.kept import Kept

NOISE_BUDGET_S = 120.0
COMPARISON_S = 4.0
GATE_TASK_S = 1.0
COMMIT_S = 60.0
"""Seconds where --budget names none: for all of --noise, for a comparison, each task of a gate, and a commit."""

Noise = Annotated[
    bool, typer.Option("--noise", help="Compare tasks with themselves: false alarms, and what could be seen.")
]
Power = Annotated[
    bool, typer.Option("--power", help="Look for known slowdowns with this harness and others (minutes to hours).")
]
Gate = Annotated[
    int | None, typer.Option("--gate", metavar="N", min=2, help="Gates over N unchanged tasks, and with one slowed.")
]
Commits = Annotated[
    int | None,
    typer.Option("--commits", metavar="N", min=2, help="Commits to a project of N tasks, half of which slow one down."),
]
Intervals = Annotated[
    int | None, typer.Option("--intervals", metavar="N", min=1, help="How many of N A/A intervals miss 1.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Run the corpus of attacks on this harness: what stopped each.")]
Repeats = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Comparisons of each kind; 20, or 10 with --noise.")
]
Budget = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0.1,
        help="For all of --noise, one gate or one commit, else for one comparison (4 seconds).",
    ),
]
Hogs = Annotated[int, typer.Option(metavar="N", min=1, help="Busy processes that --power runs beside half of it.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The page that --noise draws; the file from which the other trials go on."),
]


def doctor(
    selectors: Selectors = None,
    overhead: Annotated[bool, typer.Option("--overhead", help="Measure what the harness itself costs.")] = False,
    constants: Annotated[
        bool, typer.Option("--constants", help="Measure exp and log of every backend; kept with this machine.")
    ] = False,
    noise: Noise = False,
    power: Power = False,
    gate: Gate = None,
    commits: Commits = None,
    intervals: Intervals = None,
    trust: Trust = False,
    repeats: Repeats = None,
    budget: Budget = None,
    hogs: Hogs = 1,
    output: Output = None,
    plugin: Plugins = None,
    store: StoreUrl = None,
    sandbox: Sandbox = None,
    as_json: Json = False,
) -> None:
    """Backends, machine, threads and ceilings; what to fix, and how. Or one trial of the harness on this machine.

    SELECTOR chooses what --noise compares (default: small and large cases of a few operators), or names attacks of
    --trust.
    """
    if sum((noise, power, gate is not None, commits is not None, intervals is not None, trust)) > 1:
        trials = "--noise, --power, --gate, --commits, --intervals and --trust"
        fail(f"{trials} are trials of their own; type one of them", USAGE)
    if selectors and not (noise or trust):
        also = "or names attacks of --trust"
        fail(
            f"SELECTOR {selectors[0]!r} goes with --noise, {also}; type `harness doctor --noise {selectors[0]}`", USAGE
        )
    if noise:
        _noise(selectors or [], repeats, budget or NOISE_BUDGET_S, output, plugin, store, as_json)
    elif power:
        _power(repeats or 20, budget or COMPARISON_S, hogs, output, as_json)
    elif gate is not None:
        _gate(gate, repeats or 20, budget or GATE_TASK_S * gate, output, as_json)
    elif commits is not None:
        _commits(commits, repeats or 20, budget or COMMIT_S, output, as_json)
    elif intervals is not None:
        _intervals(intervals, budget or COMPARISON_S, output, as_json)
    elif trust:
        _trust(selectors or [], as_json)
    else:
        _diagnose(overhead, constants, plugin, store, as_json)


def _diagnose(overhead: bool, constants: bool, plugin: list[str] | None, store: str | None, as_json: bool) -> None:
    from harness.doctor import diagnose, measure_constants, print_findings

    registry = load(plugin, None)
    findings = diagnose(registry, overhead=overhead, progress=say)
    if constants:
        with open_store(store) as opened:
            findings += measure_constants(registry, opened, say)
    if as_json:
        print(json.dumps(findings, indent=1, default=str))
    else:
        print_findings(findings)


def _noise(
    selectors: list[str],
    repeats: int | None,
    budget: float,
    output: Path | None,
    plugin: list[str] | None,
    store: str | None,
    as_json: bool,
) -> None:
    from harness.plan import NothingSelected
    from harness.trials import noise
    from harness.trials.advice import advise
    from harness.trials.comparer import Live
    from harness.trials.showing import print_advice, print_noise

    registry = load(plugin, None)
    progress = progress_of(as_json, {"trial": Limit(lambda trials: budget)})
    try:
        tasks = noise.chosen(registry, selectors)
        comparer = Live(registry, together=False, progress=progress.detail)
        measured = noise.measure(tasks, comparer, repeats or noise.COMPARISONS, budget, _trials(progress))
    except NothingSelected as nothing:
        fail(str(nothing), NOTHING)
    finally:
        progress.close()
    with open_store(store) as opened:
        opened.add_noise(noise.for_store(measured))
    advice = advise()
    if output is not None:
        from harness.reports.noise_picture import page

        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(page(measured, advice), encoding="utf-8")
        say(f"the picture is {output.resolve()}")
    if as_json:
        print(json.dumps(noise.rows_of(measured), indent=1))
    else:
        print_noise(measured)
        print_advice(advice)
        say_next("harness compare BASE HEAD")
    if not measured.comparisons:
        raise typer.Exit(NOTHING)


def _power(repeats: int, seconds: float, hogs: int, output: Path | None, as_json: bool) -> None:
    from harness.trials import power
    from harness.trials.ours import Ours
    from harness.trials.rivals import RIVALS
    from harness.trials.showing import POWER, print_rows

    registry, progress = _slowed_registry(as_json)
    tools = [
        Ours("harness --ab", _live(registry, True, progress), registry),
        Ours("harness BASE HEAD", _live(registry, False, progress), registry),
        *RIVALS,
    ]
    kept = _kept(output, f"power, {seconds:g} s, {hogs} hogs")
    with _interruptible(progress, output):
        power.try_all(power.Plan(repeats, seconds, busy=hogs), tools, kept, say, _trials(progress))
    print_rows(power.table(kept), POWER, as_json)


def _gate(tasks: int, repeats: int, budget: float, output: Path | None, as_json: bool) -> None:
    from harness.trials import gate
    from harness.trials.showing import GATE, print_rows

    registry, progress = _slowed_registry(as_json)
    kept = _kept(output, f"gate, {tasks} tasks, {budget:g} s")
    plan = gate.Plan(tasks, repeats, fixed=max(1, repeats // 10), budget_s=budget)
    with _interruptible(progress, output):
        gate.try_all(plan, registry, _live(registry, False, progress), kept, _trials(progress))
    print_rows(gate.table(kept), GATE, as_json)


def _commits(tasks: int, repeats: int, budget: float, output: Path | None, as_json: bool) -> None:
    from harness.trials import commits
    from harness.trials.showing import COMMITS, print_rows

    kept = _kept(output, f"commits, {tasks} tasks, {budget:g} s")
    progress = progress_of(as_json)
    try:
        with _interruptible(progress, output):
            commits.try_all(commits.Plan(tasks, repeats, budget), commits.by_command, kept, _trials(progress))
    except commits.CannotCompare as wrong:
        fail(str(wrong), NOTHING)
    print_rows(commits.table(kept), COMMITS, as_json)


def _intervals(comparisons: int, seconds: float, output: Path | None, as_json: bool) -> None:
    from harness.trials import intervals
    from harness.trials.comparer import softmax_pair
    from harness.trials.showing import INTERVALS, print_rows

    registry, progress = _slowed_registry(as_json, lambda trials: trials * seconds)
    kept = _kept(output, f"intervals, {seconds:g} s")
    with _interruptible(progress, output):
        pair = softmax_pair(registry, 0)
        intervals.try_all(pair, _live(registry, False, progress), comparisons, seconds, kept, _trials(progress))
    print_rows(intervals.table(kept), INTERVALS, as_json)


def _trust(names: list[str], as_json: bool) -> None:
    from harness.plan import NothingSelected
    from harness.supervisor import fresh_seed
    from harness.trials import trust
    from harness.trials.showing import print_rows, print_trust

    progress = progress_of(as_json)
    try:
        outcomes = trust.run_all(trust.chosen(names), fresh_seed(), progress)
    except NothingSelected as nothing:
        fail(str(nothing), NOTHING)
    finally:
        progress.close()
    if as_json:
        print_rows(trust.rows_of(outcomes), (), as_json)
    else:
        print_trust(outcomes)
    raise typer.Exit(trust.exit_code(outcomes))


@contextlib.contextmanager
def _interruptible(progress: Progress, output: Path | None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        kept = f"the same command goes on from {output}" if output else "nothing was kept: that takes --output FILE"
        fail(f"interrupted; {kept}", 130)
    finally:
        progress.close()


def _slowed_registry(as_json: bool, longest: Callable[[int], float] | None = None) -> tuple[Registry, Progress]:
    """The registry with the slowed softmaxes, and the progress of trials; `longest` is what so many may take."""
    from harness.trials.comparer import plugin_path

    limits = {} if longest is None else {"trial": Limit(longest)}
    return load([plugin_path()], None), progress_of(as_json, limits)


def _trials(progress: Progress) -> Callable[[str, int, int], None]:
    """For trials, which say the number of the one that begins: so many less one are done."""
    return lambda text, number, total: progress(f"trial {text}", number - 1, total)


def _live(registry: Registry, together: bool, progress: Progress) -> Live:
    from harness.trials.comparer import Live

    return Live(registry, together, progress.detail)


def _kept(output: Path | None, kind: str) -> Kept:
    import harness.machine as machine
    from harness.trials.kept import Kept

    if output is None:
        say("the rows are kept in memory only: with --output FILE an interrupted trial goes on from there")
    try:
        return Kept(output, kind, machine.machine_id(machine.describe()))
    except (OSError, ValueError) as wrong:
        fail(str(wrong), USAGE)

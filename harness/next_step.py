"""What to type next, after a run or a comparison: the last line that a command says."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.location import typed_again
from harness.plan import plan
from harness.registry import Registry

if TYPE_CHECKING:
    from harness.api import Run
    from harness.comparing.verdicts import Comparison
    from harness.record import Record

MOST_NAMED = 3
"""So many implementations or operators are named in a command; for more, all that was selected is."""
MORE_BUDGET = 4.0
"""An interval shrinks with the root of the time: four times the budget halve it."""


def typed(**options: Sequence[str] | str | None) -> str:
    """Options as they are typed, with a space before: what a later command needs to find the same things. No password
    is among them."""
    words: list[str] = []
    for name, value in options.items():
        for one in [value] if isinstance(value, str) else value or ():
            again = typed_again(one) if name == "store" else one
            words += [f"--{name}", again] if again is not None else []
    return f" {shlex.join(words)}" if words else ""


def quoted(word: object) -> str:
    """One word of a POSIX shell, in one line, whatever it holds: plugins and files name things, and people paste."""
    return shlex.quote("".join(char if char.isprintable() else " " for char in str(word)))


def again(run: Mapping[str, Any], verb: str, wanted: str, seed: int | None) -> str:
    """The command that runs a task of a run again, or all tasks beneath a selector, on the inputs of `seed`.

    `run` has the fields of harness.store.RunInfo. `verb` is `check` or `bench`. What another tool measured cannot run
    here: its history is shown. What was judged is judged again as it was asked for, all candidates together.
    """
    seeded = "" if seed is None else f" --seed {seed}"
    if run["command"] == "import":
        return f"harness history {quoted(wanted)} --machine {quoted(run['machine_id'])}"
    if run["command"] == "judge":
        return " ".join(["harness judge", *map(quoted, run["selectors"])]) + seeded
    return f"harness {verb} {quoted(wanted)}{seeded}"


def after_run(
    command: str, run: Run, registry: Registry, selectors: Sequence[str], loaded: str, store: str, latest: bool = True
) -> str | None:
    """The command that follows a check or a bench, or None. `loaded` and `store` are options as `typed` writes them:
    those that the registry came from, and where the results are. `latest` says whether the store takes this run for its
    newest; where a clock went back it does not, and the run is named."""
    report = f"harness report{'' if latest else f' {run.run_id}'}{store}"
    wrong = next((one for one in (*run.checked, *run.timed) if one.is_wrong), None)
    if wrong is not None:
        return _again(command, wrong, run, loaded)
    if command == "bench":
        if any(one.median_ns is not None for one in run.timed):
            return report
        return f"harness list{_words(selectors)}{loaded}"
    if not any(one.status == "passed" for one in run.checked):
        return f"harness list{_words(selectors)}{loaded}"
    chosen = _timeable(run, registry, selectors)
    return report if chosen is None else f"harness bench{_words(chosen)}{loaded}{store}"


def after_comparison(comparison: Comparison, command: str, options: str) -> str | None:
    """The command that follows a comparison, which was called by `command` and no selectors, with `options`."""
    ids = {verdict: [row.id for row in comparison.rows if row.verdict == verdict] for verdict in _VERDICTS}
    for verdict in ("FAILED", "SLOWER"):
        if ids[verdict]:
            return f"{command} {shlex.quote(ids[verdict][0])}{options}"
    if ids["UNCLEAR"]:
        budget_s = max(10.0, MORE_BUDGET * comparison.spent_s)
        chosen = ids["UNCLEAR"] if len(ids["UNCLEAR"]) <= MOST_NAMED else []
        return f"{command}{_words(chosen)}{options} --budget {budget_s:.0f}" if comparison.spent_s else None
    return f"{command}{options} --all" if ids["SAME"] else None


_VERDICTS = ("FAILED", "SLOWER", "UNCLEAR", "SAME")


def _again(command: str, record: Record, run: Run, loaded: str) -> str:
    if not record.backend:  # what could not be read has no task
        return f"harness list{loaded}"
    verb = "bench" if record in run.timed else "check"
    return again({"command": command}, verb, record.id, record.seed) + loaded


def _timeable(run: Run, registry: Registry, selectors: Sequence[str]) -> Sequence[str] | None:
    """Selectors near those of the run that select something to be timed of what passed; None if nothing does."""
    passed = {f"{one.operator}/{one.backend}/{one.implementation}" for one in run.checked if one.status == "passed"}
    implementations = sorted(passed)
    operators = sorted({name.partition("/")[0] for name in passed})
    candidates: list[Sequence[str]] = [selectors, ["/".join(one.split("/")[:3]) for one in selectors]]
    candidates += [chosen for chosen in (implementations, operators) if len(chosen) <= MOST_NAMED]
    for chosen in candidates:
        tasks = plan(registry, chosen, "benchmarks")
        if any(task.declaration.id in passed for task in tasks):
            return chosen
    return None


def _words(selectors: Sequence[str]) -> str:
    return f" {shlex.join(selectors)}" if selectors else ""

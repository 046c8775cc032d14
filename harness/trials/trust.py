"""Is this harness fooled? Each attack of the corpus is run on this machine, and what it gains is looked at."""

from __future__ import annotations

import itertools
import math
import os
import re
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.comparing.pairs import deciding_clock
from harness.execute import Progress
from harness.plan import Kind, NothingSelected, Selection, Task, plan
from harness.registry import Registry, load
from harness.sabotage import PLUGINS, SECTIONS, UNREADABLE
from harness.sabotage.attack import Attack, faults
from harness.supervisor import Supervisor, memory_limit
from harness.timing.audit import impossible
from harness.timing.ceiling import Ceilings
from harness.timing.groups import Settings, Timing, group_tasks
from harness.timing.rotation import rotating_bytes
from harness.timing.session import time_groups
from harness.trials.kept import Row

DEADLINES_S = (4.0, 40.0)
"""The longest that one request of an attack may take; the second where a busy machine may be why it took longer."""
MEMORY_BYTES = 4 << 30
BUDGETS_S = (0.8, 2.0, 4.0, 4.0, 4.0, 4.0, 4.0)
"""Seconds in which an attack and its honest twin are timed; the next where the median of all trials says that it has
gained: on an idle machine of two cores the ratio of one trial varies by 4 %, beside load by 20 %."""
PLAIN = 0.6
"""A gain so large, in each of two trials, needs no third: that is twice as far off as load takes one."""
WITHIN = 0.1
"""How far a time that is shown may lie below the truth."""
UNTOUCHED = "sum/numpy/builtin/float32[33]dim=0,values=integers"
"""What is checked after an attack whose honest twin does not run its case."""

TIMED = ("time", "slow")

SAYS_SO = "got through:"
"""In the reason of an attack that should have been held back, and says itself that it was not."""

REJECTED, NEUTRALISED, UNEXPECTED = "rejected", "neutralised", "not as expected"
GOT_THROUGH, ACCUSED, NOT_RUN = "got through", "honest accused", "not run here"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attack. `status` and `reason` are its verdict's; `ratio` is its time over that of its honest
    twin (with `slow`, the twin's beside it over the twin's alone), None where no time is shown."""

    attack: Attack
    verdict: str
    status: str = ""
    reason: str = ""
    ratio: float | None = None
    seconds: float = 0.0

    @property
    def is_well(self) -> bool:
        """Whether it gained nothing, in the way that its row says."""
        return self.verdict in (REJECTED, NEUTRALISED, NOT_RUN)


def chosen(names: Sequence[str]) -> list[Attack]:
    """The attacks whose names match (globs; all without any), what is checked before what is timed. Raises
    NothingSelected."""
    selection = Selection(names)
    found = [attack for attacks in SECTIONS.values() for attack in attacks if attack.name in selection]
    if not found:
        raise NothingSelected(
            f"no attack is called {' '.join(names)!r}; `harness doctor --trust --json` names them all"
        )
    return sorted(found, key=lambda attack: attack.how in TIMED)


def registry_for(attacks: Iterable[Attack], more: Sequence[str] = ()) -> Registry:
    """All that is built in, and the plugin files in which these attacks and their honest twins are declared."""
    names = "|".join(
        {name for attack in attacks if attack.how != "read" for name in (attack.name, attack.honest) if name}
    )
    declared = re.compile(rf"def (?:{names})\(|name=\"(?:{names})\"")
    files = [str(file) for file in sorted(PLUGINS.glob("*.py")) if names and declared.search(file.read_text("utf-8"))]
    return load([*files, *more])


def run(attack: Attack, registry: Registry, seed: int) -> Outcome:
    """Run one attack with workers of its own. Never raises for what the attack does."""
    start = time.perf_counter()
    wrong = faults(attack, PLUGINS)
    try:
        outcome = (
            Outcome(attack, UNEXPECTED, "", f"its row is wrong: {wrong[0]}") if wrong else _run(attack, registry, seed)
        )
    except NothingSelected as nothing:
        outcome = Outcome(attack, UNEXPECTED, "", f"its row is wrong: {nothing}")
    return replace(outcome, seconds=time.perf_counter() - start)


def _run(attack: Attack, registry: Registry, seed: int) -> Outcome:
    if attack.how == "read":
        return _read(attack, registry)
    if attack.how == "check":
        outcome = Outcome(attack, NOT_RUN)
        for deadline_s in DEADLINES_S:
            outcome = _check(attack, registry, seed, deadline_s)
            if outcome.is_well or "no answer within" not in outcome.reason:
                break
        return outcome
    outcome = Outcome(attack, NOT_RUN)
    ratios: list[float] = []
    for budget_s in BUDGETS_S:
        outcome = _time(attack, registry, seed, budget_s)
        if outcome.verdict in (GOT_THROUGH, NEUTRALISED, REJECTED) and outcome.ratio is not None:
            ratios.append(outcome.ratio)
            outcome = judged(attack, outcome.status, outcome.reason, statistics.median(ratios))
        if outcome.verdict != GOT_THROUGH or _is_plain(attack, ratios):
            break
    return outcome


def _is_plain(attack: Attack, ratios: Sequence[float]) -> bool:
    """Whether each of two trials or more shows a gain that no load of the machine explains."""
    return len(ratios) > 1 and all((one if attack.how == "time" else 1.0 / one) <= PLAIN for one in ratios)


def run_all(attacks: Sequence[Attack], seed: int, progress: Progress) -> list[Outcome]:
    """All of them, each with workers of its own: those that are checked side by side, then one after the other those
    that are timed. `progress` hears of each before it begins."""
    registry = registry_for(attacks)
    numbers = itertools.count()
    beside = [attack for attack in attacks if attack.how not in TIMED]

    def one(attack: Attack) -> Outcome:
        progress(f"attack {attack.name}", next(numbers), len(attacks))
        return run(attack, registry, seed)

    # nothing runs while times are taken
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        outcomes = list(pool.map(one, beside))
    return [*outcomes, *(one(attack) for attack in attacks if attack.how in TIMED)]


def judged(attack: Attack, status: str, reason: str, ratio: float | None = None, accused: str = "") -> Outcome:
    """The outcome of an attack that ended so. `accused` says what befell the honest twin."""
    if accused:
        return Outcome(attack, ACCUSED, status, accused, ratio)
    if SAYS_SO in reason:
        return Outcome(attack, GOT_THROUGH, status, reason, ratio)
    if status == "missing":
        return Outcome(attack, NOT_RUN, status, reason)
    gained = ratio is not None and not (
        ratio >= 1.0 - WITHIN if attack.how == "time" else ratio <= 1.0 / (1.0 - WITHIN)
    )
    if gained or (status == "passed" and ratio is None and "passed" not in attack.status):
        return Outcome(attack, GOT_THROUGH, status, reason, ratio)
    if status == "passed":
        return Outcome(attack, NEUTRALISED if "passed" in attack.status else UNEXPECTED, status, reason, ratio)
    as_expected = status in attack.status and re.search(attack.reason, reason) is not None
    return Outcome(attack, REJECTED if as_expected else UNEXPECTED, status, reason, ratio)


def _tasks(attack: Attack, registry: Registry) -> list[Task]:
    """The tasks of an attack's row; conformance cases where there are any. Raises NothingSelected."""
    kinds: tuple[Kind, ...] = ("benchmarks",) if attack.how in TIMED else ("conformance", "benchmarks")
    for kind in kinds:
        found = plan(registry, [attack.selector], kind)
        if found:
            return found
    problems = "; ".join(problem.message for problem in registry.problems)
    raise NothingSelected(f"{attack.name}: {attack.selector} selects nothing{f' ({problems})' if problems else ''}")


def _twin(attack: Attack, registry: Registry, task: Task) -> Task | None:
    """The honest implementation of the same operator on the same case, or None."""
    name = attack.honest or "builtin"
    same = [
        one for one in registry.declarations if (one.operator, one.implementation) == (task.declaration.operator, name)
    ]
    same.sort(key=lambda one: (one.backend != task.declaration.backend, one.backend != "numpy"))
    return Task(same[0], task.case) if same and registry.missing(same[0]) is None else None


def _check(attack: Attack, registry: Registry, seed: int, deadline_s: float) -> Outcome:
    with Supervisor(registry, seed, deadline_s=deadline_s, memory_limit_bytes=MEMORY_BYTES) as supervisor:
        for task in _tasks(attack, registry):
            verdict = supervisor.check(task)
            if verdict.status != "passed":
                break
        twin = _twin(attack, registry, task)
        after = None if twin is None else supervisor.check(twin)
        if twin is None or after is None or after.status == "unsupported":
            (twin,) = plan(registry, [UNTOUCHED], "conformance")
            after = supervisor.check(twin)
    accused = "" if after.status == "passed" or after.known else f"{twin.id} after it: {after.status}: {after.reason}"
    return judged(attack, verdict.status, verdict.reason, None, accused)


def _read(attack: Attack, registry: Registry) -> Outcome:
    file = str(UNREADABLE / f"{attack.name}.py")
    found = load([file])
    problems = [one.message for one in found.problems if attack.name in one.where]
    before = {one.id: one for one in registry.declarations if one.path != file and not one.path}
    lost = [name for name, one in before.items() if one not in found.declarations]
    accused = f"{len(lost)} declarations of others changed, the first {lost[0]}" if lost else ""
    if problems:
        return judged(attack, "refused", problems[0], None, accused)
    return judged(attack, "passed", "nothing is said of it", None, accused)


def timed(tasks: Sequence[Task], registry: Registry, seed: int, budget_s: float) -> list[Timing]:
    """Time tasks of one case beside each other in one process, each held against the machine's copy rate, as
    `harness bench` does. Conformance is not asked."""
    (group,) = group_tasks(tasks, registry.operators)
    settings = Settings(budget_s=budget_s, processes=1, deadline_s=DEADLINES_S[1], memory_limit=memory_limit())
    time_groups([group], registry, seed, settings, lambda _: None, lambda *_: None)
    cost = group.operator.cost(group.case)
    for timing in group.timings.values():
        interval = timing.interval()
        if timing.failure is None and interval is None:
            timing.failure = "error", "no time was taken"
        if timing.failure is None and interval is not None:
            ceiling = Ceilings().rate(max(1, rotating_bytes(group, cost.bytes)))
            beyond = impossible(cost.bytes, interval.estimate, ceiling)
            timing.failure = ("untrusted", beyond) if beyond else None
    return [group.timings[task.declaration.id] for task in tasks]


def _time(attack: Attack, registry: Registry, seed: int, budget_s: float) -> Outcome:
    (task,) = _tasks(attack, registry)
    twin = _twin(attack, registry, task)
    if twin is None:
        return Outcome(attack, NOT_RUN, "missing", f"no honest twin called {attack.honest} can run here")
    before = timed([twin], registry, seed, budget_s) if attack.how == "slow" else []
    timing, honest = timed([task, twin], registry, seed, budget_s)
    after = timed([twin], registry, seed, budget_s) if attack.how == "slow" else []
    twins = (honest, *before, *after)
    accused = next((f"{twin.id}: {one.failure[1]}" for one in twins if one.failure is not None), "")
    failure = timing.failure or ("passed", "")
    if accused or (timing.failure is not None and attack.how == "time"):
        return judged(attack, *failure, None, accused)
    if attack.how == "slow":  # before and after: the machine's own drift cancels
        ratios = [1.0 / _ratio(alone, honest) for alone in (*before, *after)]
        # its own time may be refused: that of its honest twin is shown all the same
        return judged(attack, *failure, math.sqrt(math.prod(ratios)))
    return judged(attack, *failure, _ratio(timing, honest))


def _ratio(over: Timing, under: Timing) -> float:
    """How many times as long a call takes, by the clock that a time is shown by, and by the one that a comparison would
    go by: the one that is kinder to it."""
    clocks = {"wall", deciding_clock(over.samples, under.samples)[0]}
    return min(_time_ns(over, clock) / _time_ns(under, clock) for clock in clocks)


def _time_ns(timing: Timing, clock: str) -> float:
    """Nanoseconds of a call by a clock, as they are shown."""
    if clock == "cpu":
        return float(np.median([(one.cpu_ns or 0) / one.calls for one in timing.samples]))
    interval = timing.interval()
    assert interval is not None
    return interval.estimate


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 if every attack that ran was met as its row says, 5 if none ran, else 3."""
    if all(one.verdict == NOT_RUN for one in outcomes):
        return 5
    return 0 if all(one.is_well for one in outcomes) else 3


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    return [_row(one) for one in outcomes]


def _row(outcome: Outcome) -> dict[str, Any]:
    attack = outcome.attack
    return {
        "attack": attack.name,
        "section": section_of(attack),
        "exploits": list(attack.exploits),
        "source": attack.source,
        "tries": attack.tries,
        "defence": attack.defence.name.lower(),
        "verdict": outcome.verdict,
        "status": outcome.status,
        "reason": outcome.reason,
        "ratio": outcome.ratio,
        "seconds": round(outcome.seconds, 3),
    }


def section_of(attack: Attack) -> str:
    """The section of the corpus in which an attack stands."""
    return next(str(name) for name, attacks in SECTIONS.items() if attack in attacks)


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """A line for each section, and one for all: how many attacks ran, and how they ended."""
    lines = [
        f"{name}: {_counts([one for one in outcomes if one.attack in attacks])}"
        for name, attacks in SECTIONS.items()
        if any(one.attack in attacks for one in outcomes)
    ]
    return [*lines, f"all: {_counts(outcomes)}, in {sum(one.seconds for one in outcomes):.0f} s"]


def _counts(outcomes: Sequence[Outcome]) -> str:
    by_verdict = {
        verdict: sum(one.verdict == verdict for one in outcomes)
        for verdict in (REJECTED, NEUTRALISED, GOT_THROUGH, UNEXPECTED, ACCUSED, NOT_RUN)
    }
    always = (REJECTED, NEUTRALISED, GOT_THROUGH)
    said = [f"{count} {verdict}" for verdict, count in by_verdict.items() if count or verdict in always]
    return f"{len(outcomes)} attack{'s' * (len(outcomes) != 1)}: {', '.join(said)}"

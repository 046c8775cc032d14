"""A change that all tasks of a machine share, and whether the machine is to blame for it. Numbers in, findings out.

Changes are logarithms of time ratios: above 0 is slower. Three things have to hold before a change is called the
machine's, and taken out of the tasks' own: nearly all tasks share it, whatever their operator and library; it is more
than the machine's references stray from run to run; and the references, which run none of the tasks' code, all changed
too, by as much. What exceeds them by more than a quarter, and by more than they stray, is not taken out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

LEAST_TASKS = 8
"""Fewer tasks do not tell what they share from what each of them has."""
LEAST = math.log(1.03)
"""A shared change below this is not looked into."""
SHARED = 0.8
"""Share of the tasks, of the operators and of the libraries that have to change by half of the whole, or more."""
OF_OPERATOR, OF_LIBRARY = 3, 5
"""Tasks from which an operator, or a library, is asked."""
SURE = 3.0
"""Standard errors from which references are taken to have moved."""
LOOSE = 0.25
"""How much more than the references, relative to them, tasks may have changed by, and still be the machine's alone; and
two standard errors of the references, without which luck would leave a rest with every task."""
REFERENCE_NOISE = 0.015
"""The spread of the references from run to run, where no other runs tell."""
MACHINE, OTHER, UNKNOWN = "machine", "other", "unknown"


@dataclass(frozen=True, slots=True)
class Change:
    """By how much one task changed, in log time; `library` is what computes it: its backend."""

    operator: str
    library: str
    log: float


@dataclass(frozen=True, slots=True)
class Moved:
    """By how much the references slowed down, in log time, with their standard errors; None is not known."""

    cpu: float | None
    copy: float | None
    cpu_error: float = REFERENCE_NOISE
    copy_error: float = REFERENCE_NOISE

    def towards(self, sign: float) -> list[tuple[float, float]]:
        """The changes in one direction, with their errors, of what is known; the surest first."""
        both = ((self.cpu, self.cpu_error), (self.copy, self.copy_error))
        known = [(sign * value, error) for value, error in both if value is not None]
        return sorted(known, key=lambda one: one[0] / one[1], reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What tasks share. `log` is the change of the middle one, `taken` what of it is the machine's (0.0 unless `cause`
    is MACHINE), `scatter` the spread of the tasks around it. `inside` of `tasks` lie between `low` and `high`, and
    `sharing` changed by half of `log` at least; `error` is that of `log`."""

    log: float
    taken: float
    error: float
    scatter: float
    tasks: int
    sharing: int
    inside: int
    low: float
    high: float
    cause: str
    reason: str
    moved: Moved

    @property
    def reach(self) -> float:
        """How far from `log` the outermost of so many tasks strays that has nothing of its own, 19 times in 20."""
        return NormalDist().inv_cdf(1.0 - 0.05 / self.tasks) * self.scatter


def judge(changes: Sequence[Change], moved: Moved) -> Shift | None:
    """What the tasks share, and its cause; None where they share nothing that is worth a word."""
    logs = np.array([one.log for one in changes if math.isfinite(one.log)])
    if len(logs) < LEAST_TASKS or len(logs) < len(changes):
        return None
    middle = float(np.median(logs))
    sign = 1.0 if middle > 0.0 else -1.0
    if not abs(middle) >= LEAST:
        return None
    # of those that share it: what some tasks have besides must not hide what strays among the others
    sharing = sign * logs >= 0.5 * abs(middle)
    scatter = 1.4826 * float(np.median(np.abs(logs[sharing] - middle)))
    cause, taken, reason = _cause(changes, middle, float(np.mean(sharing)), moved)
    band = max(2.0 * scatter, 0.01)
    inside = np.abs(logs - middle) <= band
    return Shift(
        log=middle,
        taken=taken,
        error=1.2533 * scatter / math.sqrt(len(logs)),
        scatter=scatter,
        tasks=len(logs),
        sharing=int(np.sum(sharing)),
        inside=int(np.sum(inside)),
        low=float(np.min(logs[inside])),
        high=float(np.max(logs[inside])),
        cause=cause,
        reason=reason,
        moved=moved,
    )


def _cause(changes: Sequence[Change], middle: float, share: float, moved: Moved) -> tuple[str, float, str]:
    """MACHINE, OTHER or UNKNOWN, what is taken out, and why."""
    sign = math.copysign(1.0, middle)
    found = moved.towards(sign)
    if not found:
        return UNKNOWN, 0.0, "no reference was measured in both, so that nothing tells whether it was the machine"
    surest, error = found[0]
    if surest < SURE * error:
        if abs(middle) < SURE * error:
            return UNKNOWN, 0.0, "the machine's references stray by as much from run to run"
        return OTHER, 0.0, "the machine's references stood still"
    apart = _not_sharing(changes, middle)
    if share < SHARED or apart:
        whole = f"not all tasks share it: {apart}" if apart else f"only {100.0 * share:.0f} % of the tasks share it"
        return OTHER, 0.0, f"the machine's references moved too, but {whole}"
    if any(one < min(SURE * its_error, 0.5 * abs(middle)) for one, its_error in found):
        # a neighbour takes away memory rates first: copies alone convict no machine
        return OTHER, 0.0, "only one of the machine's references moved"
    weights = [its_error**-2.0 for _, its_error in found]
    shown = float(np.average([one for one, _ in found], weights=weights))
    if abs(middle) <= (1.0 + LOOSE) * shown + 2.0 * sum(weights) ** -0.5:
        return MACHINE, middle, "the machine's references moved by as much"
    return MACHINE, sign * shown, "the machine's references moved by less, and only that is taken out"


def _not_sharing(changes: Sequence[Change], middle: float) -> str:
    """Which libraries, or how many operators, did not change as the middle task did; empty where nearly all did."""
    sign, half = math.copysign(1.0, middle), 0.5 * abs(middle)
    for what, least in (("library", OF_LIBRARY), ("operator", OF_OPERATOR)):
        groups: dict[str, list[float]] = defaultdict(list)
        for one in changes:
            groups[getattr(one, what)].append(sign * one.log)
        asked = {name: float(np.median(logs)) for name, logs in groups.items() if len(logs) >= least}
        still = [name for name, median in asked.items() if median < half]
        if what == "library" and still:
            return f"those of {', '.join(sorted(still)[:3])} did not"
        if len(still) > (1.0 - SHARED) * len(asked):
            return f"{len(still)} of {len(asked)} operators did not"
    return ""


def percent(log: float) -> str:
    """A change in log time: `+12 %`, `-0.4 %`."""
    value = 100.0 * math.expm1(log)
    text = f"{value:+.0f}" if abs(value) >= 9.95 else f"{value:+.1f}"
    return f"{text} %"


def amount(log: float) -> str:
    """`12 % slower`, `3.1 % faster`"""
    value = 100.0 * math.expm1(abs(log))
    return f"{value:.{0 if value >= 9.95 else 1}f} % {'slower' if log > 0.0 else 'faster'}"


def references_words(moved: Moved) -> str:
    """`CPU reference +11 %, copy +13 %`: the time that the same work takes."""
    known = [
        f"{name} {percent(value)}"
        for name, value in (("CPU reference", moved.cpu), ("copy", moved.copy))
        if value is not None
    ]
    return ", ".join(known) or "no reference"


def tasks_words(shift: Shift) -> str:
    """`214 of 220 tasks between +9.1 and +15 %`"""
    low, high = percent(shift.low).removesuffix(" %"), percent(shift.high)
    return f"{shift.inside} of {shift.tasks} tasks between {low} and {high}"

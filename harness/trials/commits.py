"""Is a gate over a project's commits quiet, and does it find the one? A repository with a file of many tasks, and
`harness compare HEAD~1 HEAD` after each commit, as a user would type it.

Half of the commits change a comment. The others make one task slower, and say so in the body of one function: what is
the same code is recognised and not measured, so all of the budget goes to what the commit may have changed. The tasks
are bound by arithmetic and allocate nothing large: what the allocator does to a kernel is another trial's question.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.checkout import git_environment
from harness.execute import Progress
from harness.scratch import Scratch
from harness.trials import binomial
from harness.trials.kept import Kept, Row

KINDS = ("comment", "one_slower")
ALARMS = ("SLOWER", "FASTER", "FAILED", "NEW", "MISSING")
FILE = "kernels.py"
CASES = {(1048576,): "float32[1048576]dim=0", (1024, 1000): "float32[1024x1000]dim=1"}
"""The shapes on which logsumexp is timed, and what the cases are called."""
AGAIN = 58000
"""So many of a million elements are computed twice where a task is slowed: about 3 % of a call whose input is not in
the caches yet, as in comparisons; a loop over the same input finds 4 %."""
HEADER = '''"""Sums of exponentials, tile by tile. Version {version}."""
import math

import numpy as np

from harness import Accumulation, Tree, implementation

TILE = 1 << 14


def logsumexp(x, dim):
    x = np.moveaxis(x, dim, -1)
    rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
    top = rows.max(axis=1, initial=-np.inf)
    shift = np.where(np.isinf(top), np.float32(0), top)
    total = np.zeros_like(shift)
    high = max(1, min(len(rows), 64))
    wide = TILE // high
    e = np.empty(TILE, x.dtype)
    for row in range(0, len(rows), high):
        for column in range(0, rows.shape[1], wide):
            tile = rows[row : row + high, column : column + wide]
            here = e[: tile.size].reshape(tile.shape)
            np.subtract(tile, shift[row : row + high, None], out=here)
            total[row : row + high] += np.exp(here, out=here).sum(axis=1)
    return np.asarray((shift + np.log(total)).reshape(x.shape[:-1]))


def supports(case):
    return None if case.dtype == "float32" and case.shapes[0] else "float32 arrays with a dimension only"
'''
FUNCTION = """

@implementation("logsumexp", backend="numpy", accumulation=Accumulation(Tree("any")), supports=supports)
def kernel_{number}(x, *, dim):{again}
    return logsumexp(x, dim)
"""
SLOWED = """
    if x.shape == {shape}:
        again = x.reshape(-1)[:{again}]
        for start in range(0, again.size, TILE):
            np.exp(again[start : start + TILE] - 1)"""

Compare = Callable[[Path, float], tuple[int, list[Row]]]
"""`harness compare` of a repository's newest commit with the one before, in so many seconds: exit code and rows."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`repeats` commits of each kind in a project of `tasks` tasks (so many at least), each compared in `budget_s`."""

    tasks: int = 200
    repeats: int = 20
    budget_s: float = 60.0
    seed: int = 0

    @property
    def functions(self) -> int:
        return math.ceil(self.tasks / len(CASES))


@dataclass(frozen=True, slots=True)
class Slowed:
    """The task that a commit makes slower: the number of its function, and a shape."""

    number: int
    shape: tuple[int, ...]

    @property
    def id(self) -> str:
        return f"logsumexp/numpy/kernel_{self.number}/{CASES[self.shape]}"

    @property
    def code(self) -> str:
        return SLOWED.format(shape=self.shape, again=AGAIN)


def source(plan: Plan, version: str, slowed: Slowed | None = None) -> str:
    """The project's file, with one of its functions slowed on one shape."""
    bodies = (
        FUNCTION.format(number=number, again=slowed.code if slowed and slowed.number == number else "")
        for number in range(plan.functions)
    )
    return HEADER.format(version=version) + "".join(bodies)


def try_all(plan: Plan, compare: Compare, kept: Kept, progress: Progress) -> None:
    """Make and compare the commits that `kept` does not hold yet. What is slowed is drawn by lot, for each repeat."""
    for number, (kind, repeat, slowed) in enumerate(_order(plan)):
        progress(f"a commit to {plan.functions * len(CASES)} tasks ({kind})", number + 1, 2 * plan.repeats)
        if (kind, repeat) in kept.done("kind", "repeat"):
            continue
        with Scratch("commits") as folder:
            repository = Path(folder)
            _git(repository, "init", "--quiet")
            _commit(repository, source(plan, "1"))
            _commit(repository, source(plan, "2", slowed))
            start = time.monotonic()
            code, rows = compare(repository, plan.budget_s)
            seconds = time.monotonic() - start
        kept.add({"kind": kind, "repeat": repeat, **_summary(code, rows, slowed), "seconds": seconds})


def _order(plan: Plan) -> Iterator[tuple[str, int, Slowed | None]]:
    rng = np.random.default_rng(plan.seed)
    shapes = list(CASES)
    for repeat in range(plan.repeats):
        slowed = Slowed(int(rng.integers(plan.functions)), shapes[int(rng.integers(len(shapes)))])
        for kind in rng.permutation(KINDS).tolist():
            yield kind, repeat, slowed if kind == "one_slower" else None


class CannotCompare(RuntimeError):
    """git is missing or refuses, or the comparison printed no rows; the message has what was said."""


def by_command(repository: Path, budget_s: float) -> tuple[int, list[Row]]:
    """The command itself, in a process of its own. Raises CannotCompare."""
    asked = ["compare", "HEAD~1", "HEAD", "logsumexp/numpy/kernel_*", "--plugin", FILE, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *asked, "--budget", str(budget_s)],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        raise CannotCompare(f"harness compare ended with {done.returncode}: {done.stderr.strip()}") from None


def _commit(repository: Path, text: str) -> None:
    (repository / FILE).write_text(text)
    _git(repository, "add", FILE)
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    _git(repository, *who, "commit", "--quiet", "--no-verify", "--message", "a version")


def _git(repository: Path, *arguments: str) -> None:
    try:
        command = ["git", "-C", str(repository), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=git_environment())
    except FileNotFoundError:
        raise CannotCompare("git is not installed, and the commits of this trial are git's") from None
    if done.returncode:
        raise CannotCompare(f"git {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")


def _summary(code: int, rows: list[Row], slowed: Slowed | None) -> Row:
    alarms = {_id(row): row["verdict"] for row in rows if row["verdict"] in ALARMS}
    found: dict[str, Any] = next((row for row in rows if slowed and _id(row) == slowed.id), {})
    return {
        "tasks": len(rows),
        "identical": sum(bool(row["identical"]) for row in rows),
        "slowed": slowed.id if slowed else None,
        "estimate": found.get("ratio"),
        "alarms": alarms,
        "reasons": {_id(row): row["reason"] for row in rows if row["verdict"] in ALARMS},
        "named": alarms.get(slowed.id) == "SLOWER" if slowed else None,
        "verdicts": dict(Counter(row["verdict"] for row in rows)),
        "reason": found.get("reason"),
        "exit_code": code,
    }


def _id(row: Row) -> str:
    return "/".join(row[name] for name in ("operator", "backend", "implementation", "case"))


def table(kept: Kept) -> list[Row]:
    """One row per kind: of `repeats` commits, how many were `right` (no alarm, exit code 0; or the slowed task named,
    only that, exit code 1) with the share's 95 % interval in words, the false alarms in all, the slowed tasks'
    `estimate`, and the command's seconds (medians)."""
    return [_row(kind, kept.rows(kind=kind)) for kind in KINDS if kept.rows(kind=kind)]


def _row(kind: str, commits: list[Row]) -> Row:
    right = sum(_is_right(one) for one in commits)
    estimates = [one["estimate"] for one in commits if one["estimate"]]
    return {
        "commit": kind.replace("_", " "),
        "tasks": commits[0]["tasks"],
        "identical": statistics.median(one["identical"] for one in commits),
        "repeats": len(commits),
        "right": right,
        "right_in_words": binomial.in_words(right, len(commits)),
        "named": sum(one["named"] for one in commits) if kind == "one_slower" else None,
        "false_alarms": sum(name != one["slowed"] for one in commits for name in one["alarms"]),
        "estimate": statistics.median(estimates) if estimates else None,
        "seconds": statistics.median(one["seconds"] for one in commits),
    }


def _is_right(one: Row) -> bool:
    if one["slowed"] is None:
        return one["alarms"] == {} and bool(one["exit_code"] == 0)
    return one["alarms"] == {one["slowed"]: "SLOWER"} and bool(one["exit_code"] == 1)

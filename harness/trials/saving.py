"""What does it save to measure first what looks changed? Simulated gates, decided by the code that decides real ones.

`python -m harness.trials.saving [--tasks 200] [--gates 40]` runs gates with one slower task, with budgets and with
fixed numbers of rounds, and prints how many name that task, and only that, in how many rounds for each task. Made up is
what is measured else: the noise of a round, of its bursts, and what a round takes; no time goes by.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.comparing.contest import BASE, HEAD, Contest, contest
from harness.comparing.live import Effort, Machine, compare_pairs
from harness.plan import plan
from harness.record import Sample
from harness.registry import Registry, load
from harness.timing.groups import Group, Side
from harness.trials import binomial

BUDGETS = (2.4, 2.6, 3.0, 3.6, 5.0)
"""Rounds' time for each task."""
ROUNDS = (4, 6, 7, 8, 9, 10, 12)
BLOCKS = 9
CALL_NS = 1e6
DRIFT = 0.1
"""Standard deviation of what both sides of a block have in common."""


def sample(wall_ns: float, cpu_ns: float | None = None, *, process: int = 0, block: int = 0, **more: Any) -> Sample:
    """A reading of one call; whose it is does not matter where it is used."""
    return Sample(
        operator="softmax",
        backend="numpy",
        implementation="builtin",
        case="float32[8]dim=0",
        process=process,
        block=block,
        position=0,
        calls=1,
        wall_ns=round(wall_ns),
        cpu_ns=round(wall_ns if cpu_ns is None else cpu_ns),
        checked=False,
        **more,
    )


def contests(registry: Registry, count: int) -> list[Contest]:
    """Tasks that are compared with themselves, so many."""
    tasks = plan(registry, ["*/numpy"], "benchmarks")
    side = Side("here", registry)
    return [contest(task, task, (side, side)) for task in (tasks * count)[:count]]


@dataclass
class Simulated:
    """A machine on which rounds differ by `luck` and bursts by `noise` (standard deviations of logarithms), and a head
    takes `ratio` times as long as its base. One task takes `round_s` in a round, ending a round `end_s`."""

    ratio: Callable[[str], float] = lambda task: 1.0
    luck: float = 0.003
    noise: float = 0.01
    round_s: float = 0.0
    end_s: float = 0.0
    seed: int = 0
    now_s: float = field(default=0.0, init=False)

    @property
    def machine(self) -> Machine:
        """As a comparison takes it."""
        return Machine(lambda registry, seed, settings, process, *_: _Session(self, process), lambda: self.now_s)  # type: ignore[arg-type]


class _Session:
    """In place of a Session: each round has luck of its own, each block noise, each task its own true ratio."""

    def __init__(self, simulated: Simulated, process: int) -> None:
        self._simulated, self._process = simulated, process
        self._rng = np.random.default_rng((simulated.seed, process))

    def measure_overheads(self, groups: Sequence[Group]) -> None:
        return None

    def start(self, groups: Sequence[Group]) -> None:
        return None

    def start_ahead(self, groups: Sequence[Group]) -> dict[Any, Any]:
        return {}

    def time_group(self, group: Group, seconds: float, precision: float, *, answers: int, patience_s: float) -> None:
        made, rng = self._simulated, self._rng
        made.now_s += made.round_s
        ratio = made.ratio(group.timings[HEAD].task.id) * math.exp(made.luck * rng.standard_normal())
        for block in range(BLOCKS):
            call_ns = CALL_NS * math.exp(DRIFT * rng.standard_normal())
            for side, factor in ((BASE, 1.0), (HEAD, ratio)):
                timing, took_ns = group.timings[side], call_ns * factor * math.exp(made.noise * rng.standard_normal())
                timing.samples.append(sample(took_ns, process=self._process, block=block))

    def close(self) -> None:
        self._simulated.now_s += self._simulated.end_s


@dataclass(frozen=True, slots=True)
class Found:
    """Of so many gates, how many name what is slower and only that, and the median time for each task, in rounds."""

    gates: int
    named: int
    rounds: float


def tried(registry: Registry, made: Simulated, tasks: int, gates: int, effort: Effort) -> Found:
    """Gates of tasks that differ by `made.ratio`."""
    slower = {one.head.task.id for one in contests(registry, tasks) if made.ratio(one.head.task.id) != 1.0}
    named, spent_s = 0, []
    for seed in range(gates):
        made.seed, made.now_s = seed, 0.0
        rows = compare_pairs(contests(registry, tasks), registry, seed, effort, lambda *_: None, made.machine)
        named += {row.id for row in rows if row.verdict in ("SLOWER", "FASTER")} == slower
        spent_s.append(made.now_s)
    return Found(gates, named, statistics.median(spent_s) / tasks / made.round_s)


def times_saved(adaptive: Found, fixed: Sequence[Found]) -> float | None:
    """How many times longer the fewest rounds for all tasks take that name the task as often; None where none do."""
    enough = [one.rounds for one in fixed if one.named >= adaptive.named]
    return min(enough) / adaptive.rounds if enough else None


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.trials.saving", description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--gates", type=int, default=40)
    parser.add_argument("--slower", type=float, default=3.0, help="percent by which one of them is slower")
    parser.add_argument("--noise", type=float, default=1.5, help="percent by which the rounds of a task differ")
    chosen = parser.parse_args(arguments)
    registry = load([], [])
    slower = contests(registry, chosen.tasks)[chosen.tasks // 2].head.task.id
    made = Simulated(
        lambda task: 1.0 + chosen.slower / 100 * (task == slower), luck=chosen.noise / 100, round_s=1.0, end_s=0.4
    )

    def row(effort: Effort, name: str) -> Found:
        found = tried(registry, made, chosen.tasks, chosen.gates, effort)
        print(
            f"{name:24} {found.rounds:6.1f} rounds a task   {binomial.in_words(found.named, found.gates)}", flush=True
        )
        return found

    print(
        f"{chosen.gates} gates of {chosen.tasks} tasks, one of them {chosen.slower:g} % slower; named, and only that:"
    )
    fixed = [row(Effort(math.inf, rounds, adaptive=False), f"{rounds} rounds for all") for rounds in ROUNDS]
    for budget in BUDGETS:
        found = row(Effort(budget * chosen.tasks), f"a budget of {budget:g} for each")
        saved = times_saved(found, fixed)
        print(f"{'':24} {f'{saved:.1f} times less' if saved else 'more than any of the fixed ones finds'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""How noisy is this machine? Tasks compared with themselves (A/A): false alarms, spread, and what could be seen."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from harness.comparing.deciding import FLOOR
from harness.comparing.verdicts import Compared, Comparison
from harness.execute import Progress
from harness.plan import NothingSelected, Task, plan
from harness.record import Noise
from harness.registry import Registry
from harness.trials import binomial
from harness.trials.comparer import Comparer, Pair
from harness.trials.kept import Row

DEFAULT = ("softmax/*/builtin", "sum/*/builtin", "exp/*/builtin", "cross_entropy/*/builtin")
COMPARISONS = 10
TWO_SIDED = 1.96
NINE_IN_TEN = 1.2816
"""Standard deviations: within which 95 % of a normal distribution lie, and below which 90 % do."""
ALARMS = ("SLOWER", "FASTER")
CLOCKS = ("cpu", "wall", "device")


@dataclass(frozen=True, slots=True)
class Seen:
    """One A/A comparison of a task by one clock: the ratio with its 95 % interval, relative to 1."""

    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TaskNoise:
    """All A/A comparisons of one task by one clock. `deciding` says that verdicts were by this clock; `alarms` counts
    those that called a change. `median_ns` is per call; `contaminated` the share of samples that were disturbed."""

    task: Task
    clock: str
    deciding: bool
    seen: tuple[Seen, ...]
    alarms: int
    median_ns: int | None
    contaminated: float

    @property
    def missed(self) -> int:
        """How many intervals miss 1: about one in twenty if they are honest."""
        return sum(not one.low <= 1.0 <= one.high for one in self.seen)

    @property
    def half_width(self) -> float:
        """Half the width of the median interval."""
        return statistics.median((one.high - one.low) / 2 for one in self.seen)

    @property
    def spread(self) -> float:
        """How far the ratio strays from 1, relative, 95 % of the time."""
        return TWO_SIDED * math.sqrt(statistics.fmean(math.log(one.ratio) ** 2 for one in self.seen))

    @property
    def detectable(self) -> float:
        """The smallest slowdown that is called nine times in ten: the estimate must then be beyond the threshold (the
        floor of 1 % or the spread), and its interval above 1."""
        return max(FLOOR, self.spread, self.half_width) + NINE_IN_TEN * self.spread / TWO_SIDED


@dataclass(frozen=True, slots=True)
class Measured:
    """What A/A comparisons showed. `skipped` are tasks that could not be compared, with the reason."""

    machine_id: str
    tasks: tuple[TaskNoise, ...]
    comparisons: int
    alarms: int
    skipped: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def rate_in_words(self) -> str:
        """The false-alarm rate with its own interval: `1 of 40 (95 %: 0.1 to 13 %)`."""
        return binomial.in_words(self.alarms, self.comparisons) if self.comparisons else "nothing was compared"


def chosen(registry: Registry, selectors: Sequence[str]) -> list[Task]:
    """Of every implementation that is selected and can run here, the benchmark case that moves the fewest bytes and the
    one that moves the most. Raises NothingSelected."""
    by_declaration: dict[str, list[Task]] = {}
    for task in plan(registry, selectors or DEFAULT, "benchmarks"):
        if registry.missing(task.declaration) is None:
            by_declaration.setdefault(task.declaration.id, []).append(task)
    if not by_declaration:
        raise NothingSelected(
            f"nothing that can be timed here matches {' '.join(selectors or DEFAULT)!r}; type `harness list`"
        )
    found = []
    for tasks in by_declaration.values():
        tasks.sort(key=lambda task: registry.operators[task.declaration.operator].cost(task.case).bytes)
        found += [tasks[0], *tasks[-1:]] if len(tasks) > 1 else tasks
    return found


def measure(
    tasks: Sequence[Task], comparer: Comparer, comparisons: int, budget_s: float, progress: Progress
) -> Measured:
    """Compare each task with itself so many times, within about `budget_s` seconds: all tasks together, as a gate of
    code that did not change, again and again."""
    start = time.perf_counter()
    pairs = [Pair(task, task) for task in tasks]
    gates: list[Comparison] = []
    for number in range(comparisons):
        progress(f"comparing {len(tasks)} tasks with themselves", number + 1, comparisons)
        gates.append(comparer(pairs, budget_s / comparisons))
    rows = [[gate.rows[number] for gate in gates] for number in range(len(tasks))]
    compared = [row for one in rows for row in one if row.ratio is not None]
    failed = [(task.id, one[-1].reason) for task, one in zip(tasks, rows, strict=True) if one[-1].ratio is None]
    return Measured(
        machine_id=gates[-1].machine_id,
        tasks=tuple(noise for task, one in zip(tasks, rows, strict=True) for noise in _by_clock(task, one)),
        comparisons=len(compared),
        alarms=sum(row.verdict in ALARMS for row in compared),
        skipped=tuple(failed),
        seconds=time.perf_counter() - start,
    )


def _by_clock(task: Task, rows: Sequence[Compared]) -> Iterable[TaskNoise]:
    for clock in CLOCKS:
        seen = [one for row in rows if (one := _seen(row, clock)) is not None]
        if not seen:
            continue
        deciding = [row for row in rows if row.clock == clock]
        times = [time_ns for row in rows if (time_ns := row.base_ns) is not None]
        samples = sum(row.samples for row in rows)
        yield TaskNoise(
            task=task,
            clock=clock,
            deciding=2 * len(deciding) > len(rows),
            seen=tuple(seen),
            alarms=sum(row.verdict in ALARMS for row in deciding),
            median_ns=round(statistics.median(times)) if times else None,
            contaminated=sum(row.contaminated for row in rows) / samples if samples else 0.0,
        )


def _seen(row: Compared, clock: str) -> Seen | None:
    by_clock = {
        "cpu": (row.cpu_ratio, row.cpu_low, row.cpu_high),
        "wall": (row.wall_ratio, row.wall_low, row.wall_high),
        "device": (row.ratio, row.ratio_low, row.ratio_high) if row.clock == "device" else (None, None, None),
    }
    ratio, low, high = by_clock[clock]
    if ratio is None or low is None or high is None or not math.isfinite(high):
        return None
    return Seen(ratio, low, high)


def for_store(measured: Measured) -> list[Noise]:
    """What compare takes its thresholds from."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return [
        Noise(
            machine_id=measured.machine_id,
            operator=one.task.declaration.operator,
            backend=one.task.declaration.backend,
            implementation=one.task.declaration.implementation,
            case=one.task.case.id,
            clock=one.clock,
            spread=one.spread,
            detectable=one.detectable,
            comparisons=len(one.seen),
            measured_at=now,
        )
        for one in measured.tasks
    ]


def rows_of(measured: Measured) -> list[Row]:
    """One row per task and clock, for `--json`. Shares are relative (0.01 = 1 %), times nanoseconds per call."""
    return [
        {
            "machine_id": measured.machine_id,
            "operator": one.task.declaration.operator,
            "backend": one.task.declaration.backend,
            "implementation": one.task.declaration.implementation,
            "case": one.task.case.id,
            "clock": one.clock,
            "deciding": one.deciding,
            "comparisons": len(one.seen),
            "alarms": one.alarms if one.deciding else None,
            "missed": one.missed,
            "median_ns": one.median_ns,
            "spread": one.spread,
            "half_width": one.half_width,
            "detectable": one.detectable,
            "contaminated": one.contaminated,
            "ratios": [seen.ratio for seen in one.seen],
        }
        for one in measured.tasks
    ]

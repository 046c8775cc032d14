"""Can it see a known slowdown? Comparisons of a softmax with slowed ones, by this harness and by other tools.

Each repeat tries every tool at every slowdown once, in random order and beside hogs or not, so that what the machine
does meanwhile meets all of them alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.execute import Progress
from harness.timing.statistics import Interval
from harness.trials.calibration import CALIBRATED_S, calibrate
from harness.trials.hog import hogs
from harness.trials.kept import Kept, Row
from harness.trials.rivals import Tool

SLOWDOWNS = (0, 2, 5, 10)
LOADS = ("calm", "hog")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is tried: `repeats` comparisons per tool, load and slowdown (in percent), each of at most `seconds`; `busy`
    processes make up a hog."""

    repeats: int = 20
    seconds: float = 4.0
    slowdowns: tuple[int, ...] = SLOWDOWNS
    loads: tuple[str, ...] = LOADS
    busy: int = 1
    seed: int = 0
    calibrated_s: float = CALIBRATED_S


def try_all(plan: Plan, tools: Sequence[Tool], kept: Kept, say: Callable[[str], None], progress: Progress) -> None:
    """Make every comparison that `kept` does not hold yet. A tool that is missing or fails leaves rows with a reason,
    and is tried again when the trials go on another time."""
    _calibrate(plan, kept, say)
    done = _done(kept)
    rng = np.random.default_rng(plan.seed)
    total = plan.repeats * len(plan.loads) * len(tools) * len(plan.slowdowns)
    number = 0
    for repeat in range(plan.repeats):
        for load in rng.permutation(plan.loads).tolist():
            order = [(tool, percent) for tool in tools for percent in plan.slowdowns]
            chosen = [order[index] for index in rng.permutation(len(order))]
            with hogs(plan.busy if load == "hog" else 0):
                for tool, percent in chosen:
                    number += 1
                    progress(f"{tool.name} at {percent} %, {load}", number, total)
                    if (repeat, load, tool.name, percent) not in done:
                        _try(plan, tool, percent, {"repeat": repeat, "load": load}, kept)


def _done(kept: Kept) -> set[tuple[Any, ...]]:
    return {_key(row) for row in kept.rows() if "slower" in row}


def _key(row: Row) -> tuple[Any, ...]:
    return row["repeat"], row["load"], row["arm"], row["percent"]


def _calibrate(plan: Plan, kept: Kept, say: Callable[[str], None]) -> None:
    missing = [percent for percent in plan.slowdowns if (percent, True) not in kept.done("percent", "calibration")]
    for percent, interval in calibrate(missing, plan.calibrated_s, say).items():
        truth = {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
        kept.add({"calibration": True, "percent": percent, **truth})


def _try(plan: Plan, tool: Tool, percent: int, where: Row, kept: Kept) -> None:
    missing = tool.missing()
    start = time.perf_counter()
    try:
        outcomes = [] if missing else tool.compare(percent, plan.seconds)
    except (RuntimeError, OSError, ValueError, LookupError) as error:
        missing, outcomes = f"{type(error).__name__}: {error}", []
    seconds = time.perf_counter() - start
    row = {**where, "arm": tool.name, "percent": percent}
    if missing:
        kept.add({**row, "tool": tool.name, "reason": missing})
    for one in outcomes:
        kept.add({**row, "tool": one.tool, "slower": one.slower, "estimate": one.estimate, "seconds": seconds})


def truth_of(kept: Kept) -> Mapping[int, Interval]:
    """The calibrated ratio of each slowdown."""
    return {row["percent"]: Interval(row["estimate"], row["low"], row["high"]) for row in kept.rows(calibration=True)}


def table(kept: Kept) -> list[Row]:
    """One row per tool, load and slowdown: `slowdown` in percent as it is meant, `true_ratio` as it is (with the 95 %
    interval of its calibration, `true_low` to `true_high`), how many of `repeats` comparisons said SLOWER (`detected`;
    at 0 % they are false alarms), the median of the estimated ratios, and the median seconds of a comparison. `reason`
    where a tool did not run."""
    truth, done = truth_of(kept), _done(kept)
    tried = [row for row in kept.rows() if "slower" in row or ("reason" in row and _key(row) not in done)]
    cells: dict[tuple[str, str, int], list[Row]] = {}
    for row in tried:
        cells.setdefault((row["tool"], row["load"], row["percent"]), []).append(row)
    return [
        _cell(*key, cells[key], truth.get(key[2]))
        for key in sorted(cells, key=lambda key: (key[1] != "calm", key[0], key[2]))
    ]


def _cell(tool: str, load: str, percent: int, rows: list[Row], truth: Interval | None) -> Row:
    ran = [row for row in rows if "slower" in row]
    failed = [row["reason"] for row in rows if "reason" in row]
    estimates = [row["estimate"] for row in ran if row["estimate"] is not None]
    return {
        "tool": tool,
        "load": load,
        "slowdown": percent,
        "true_ratio": truth.estimate if truth else None,
        "true_low": truth.low if truth else None,
        "true_high": truth.high if truth else None,
        "repeats": len(ran),
        "detected": sum(row["slower"] for row in ran) if ran else None,
        "median_estimate": statistics.median(estimates) if estimates else None,
        "seconds": statistics.median([row["seconds"] for row in ran]) if ran else None,
        "reason": f"{len(failed)} did not run: {failed[0]}" if failed else "",
    }

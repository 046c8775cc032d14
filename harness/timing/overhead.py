"""What the harness itself adds to a request, measured with calls that do nothing but copy their inputs; and the memory
that a call needs."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from harness.plan import Task
from harness.registry import Registry
from harness.stage import Asked, Stage
from harness.timing.audit import Cost, Overhead
from harness.timing.evidence import Reading, Watch, peak_bytes, reset_peak, resident_bytes
from harness.timing.groups import Group, Settings, Side
from harness.timing.turn import READINGS, claimed

SETTLE_S = 0.001
"""Pause when the turn passes to another worker, for its thread pool to stop spinning."""
MOST_OVERHEAD_S = 1.5
FEWEST_OVERHEADS = 6
"""Requests of each kind, of which the first is not counted."""
SURE_NS, VAGUE_NS = 4_000.0, 40_000.0
"""No more requests are made once what a call costs is known to the first; after the settings' `overhead_s`, once it is
known to the second: what is not known, nobody is accused of."""
QUARTILE = 0.25
"""The lower one over requests is taken: what a busy machine adds would excuse a lie, and the least of few is luck. (By
that, estimates 20 to 30 us too small had honest kernels of 190 us accused, 7 of 96.)"""
RESAMPLES = 200
UNSURE = 0.95
SLOW = 0.9
"""What is said of copying an answer may be too small by as much as makes it what it took, all in all, in requests that
took longer than this share of them. Memory gives half as much for seconds, and an answer of 1 MiB takes 60 to 300 us:
copying that was measured in a fast spell had honest kernels accused that were timed in a slow one, 4 of 80."""

Unclaimed = tuple[float, float, float, float]
Place = tuple[str, str, str, str]
Overheads = dict[Place, Overhead]
"""By backend, interpreter, operator and case: which plugins a worker is to import later makes no difference."""


def place_of(group: Group, backend: str, side: Side | None) -> Place:
    """Where the overhead of a group in a worker is kept."""
    python = sys.executable if side is None or side.checkout is None else side.checkout.python
    return backend, python, group.operator.name, group.case.id


def overhead_of(
    stage: Stage, nothing: Task, registry: Registry, settings: Settings, watch: Watch, *, ready: bool = False
) -> Overhead:
    """The slope over the number of calls, and what is left: a request as such costs, and so does each call. `ready`: of
    requests whose calls are set out before their first step."""
    # as many as a burst has, and as few as make a difference
    fewest = 1 if stage.calls_at_once == 1 else READINGS + 1
    few, many = fewest, (READINGS + 1) * stage.calls_at_once
    seen: dict[int, list[Unclaimed]] = {few: [], many: []}
    start = time.monotonic()
    for number in itertools.count():
        # in turn: the first requests of a process take longer, and would make a call seem to cost nothing
        for calls, readings in ((few, fewest), (many, READINGS + 1)):
            samples = [list(range(part, calls, readings)) for part in range(readings)]
            unclaimed = _unclaimed_by_nothing(stage, nothing, registry, settings, watch, samples, number, ready)
            if number > 0:
                seen[calls].append(unclaimed)
        if number >= FEWEST_OVERHEADS:
            calls_cost, spent_s = _cost(seen, 0, few, many), time.monotonic() - start
            limit_ns = SURE_NS if spent_s <= settings.overhead_s else VAGUE_NS
            if calls_cost.unsure_ns <= limit_ns or spent_s > MOST_OVERHEAD_S:
                break
    beside, opening = _cost(seen, 2, few, many), _cost(seen, 3, few, many)
    copying = _copying_cost(seen, few, many)
    return Overhead(calls_cost, copying, beside, opening)


def _copying_cost(seen: Mapping[int, Sequence[Unclaimed]], few: int, many: int) -> Cost:
    """What copying answers costs, and by how much more it may cost where memory is slow."""
    # one answer is copied twice, to see whether it still stands
    cost = _cost(seen, 1, few, many, 1)
    slow_ns = float(np.quantile([one[1] for one in seen[many]], SLOW)) / (many + 1)
    return replace(cost, unsure_ns=max(cost.unsure_ns, slow_ns - cost.call_ns))


def _unclaimed_by_nothing(
    stage: Stage,
    nothing: Task,
    registry: Registry,
    settings: Settings,
    watch: Watch,
    samples: Sequence[Sequence[int]],
    number: int,
    ready: bool,
) -> Unclaimed:
    """What one request of calls that do nothing takes until the calls are over, while answers are copied, beside a
    device's own time, and before its first step, in ns."""
    # after a pause and with fresh inputs, as in a burst: the first steps of a process take longer then
    stage.touch(np.random.default_rng(number), range(sum(map(len, samples))))
    # and with fresh pages: what works takes those that the last inputs lay in, and new ones have to be faulted
    stage.worker.ask({"do": "trim"}, settings.deadline_s)
    time.sleep(SETTLE_S)
    readings: list[Reading] = []
    read = partial(_read, watch, readings)
    asked = Asked(stage, nothing, registry, [samples], settings.deadline_s, poison=False, ready=ready)
    received = asked.step(read, None)
    read()
    waited = readings[1].minus(readings[0]).main_delay_ns or 0
    elapsed, claim = received.elapsed, claimed(received.reply)
    return (
        elapsed.calls_ns - sum(received.reply.wall_ns),
        elapsed.copying_ns - elapsed.late_copying_ns - waited,
        claim.wall_ns - claim.time_ns,
        asked.opening_ns,
    )


def peak_of_call(task: Task, stage: Stage, registry: Registry, deadline_s: float) -> int | None:
    """By how many bytes one call makes the worker's memory grow at most, where the system tells.

    Raises WorkerFailure if the worker is lost, Refused if it did not run the task.
    """
    pid = stage.worker.pid
    peaks: list[int | None] = []
    # memory that it keeps for later would hide what the call needs
    stage.worker.ask({"do": "trim"}, deadline_s)
    before = resident_bytes(pid)
    if before is None or not reset_peak(pid):
        return None
    stage.ask(task, registry, [[0]], deadline_s, poison=False, wanted=[], called=lambda: peaks.append(peak_bytes(pid)))
    return max(0, peaks[0] - before) if peaks and peaks[0] is not None else None


def _read(watch: Watch, readings: list[Reading]) -> None:
    readings.append(watch.read())


def _cost(seen: Mapping[int, Sequence[Unclaimed]], part: int, few: int, many: int, more: int = 0) -> Cost:
    """The line through what requests of few and of many calls took in one part, each with so many `more`; and by how
    much its slope grows when the requests are drawn again."""
    rng = np.random.default_rng(0)
    ends = []
    for calls in (few, many):
        taken = np.array([one[part] for one in seen[calls]])
        drawn = np.vstack([np.arange(len(taken)), rng.integers(0, len(taken), (RESAMPLES, len(taken)))])
        ends.append(np.quantile(taken[drawn], QUARTILE, axis=1))
    slopes = (ends[1] - ends[0]) / (many - few)
    slope, first = float(slopes[0]), float(ends[0][0])
    # nothing costs less than nothing: an estimate below is off by that much at least
    unsure = max(0.0, float(np.quantile(slopes[1:], UNSURE)) - slope, -2.0 * slope)
    per_call = max(0.0, slope)
    return Cost(max(0.0, first - (few + more) * per_call), per_call, unsure)

"""What the harness itself adds to a request, measured with calls that do nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from harness.plan import Task
from harness.registry import Registry
from harness.stage import Stage
from harness.timing.audit import Cost, Overhead
from harness.timing.groups import Settings
from harness.timing.turn import READINGS, claimed

OVERHEAD_S = 0.05
FEWEST_OVERHEADS = 4
OVERHEAD_REPEATS = 10
"""The least of so many is taken: what a busy machine adds would excuse a lie."""


def overhead_of(stage: Stage, nothing: Task, registry: Registry, settings: Settings) -> Overhead:
    """The slope over the number of calls, and what is left: a request as such costs, and so does each call."""
    few, many = READINGS + 1, (READINGS + 1) * stage.calls_at_once
    calls_ns, copying_ns, beside_ns = [], [], []
    for calls in (few, many):
        samples = [list(range(part, calls, few)) for part in range(few)]
        asked = [
            stage.ask(nothing, registry, samples, settings.deadline_s, poison=False)
            for _ in _until(OVERHEAD_S, OVERHEAD_REPEATS)
        ]
        calls_ns.append(min(one.elapsed.calls_ns - sum(one.reply.wall_ns) for one in asked))
        copying_ns.append(min(one.elapsed.copying_ns for one in asked))
        claims = [claimed(one.reply) for one in asked]
        beside_ns.append(min(one.wall_ns - one.time_ns for one in claims))
    return Overhead(*(_cost(seen_ns, few, many) for seen_ns in (calls_ns, copying_ns, beside_ns)))


def _cost(seen_ns: Sequence[int], few: int, many: int) -> Cost:
    """The line through what few and many calls took."""
    per_call = max(0.0, (seen_ns[1] - seen_ns[0]) / (many - few)) if many > few else seen_ns[0] / few
    return Cost(max(0.0, seen_ns[0] - few * per_call), per_call)


def _until(seconds: float, most: int) -> Iterator[int]:
    """Numbers until so many seconds have gone by: at least FEWEST_OVERHEADS, at most `most`."""
    end = time.monotonic() + seconds
    for number in range(most):
        if number >= FEWEST_OVERHEADS and time.monotonic() > end:
            return
        yield number

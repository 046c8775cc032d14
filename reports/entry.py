"""One thing that is timed on a device, and what was found of it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from harness.declare import Case
from harness.implement import Declaration
from harness.timing.device.graphs import SHORT_NS, replayed
from harness.timing.device.readings import Reader
from harness.timing.device.timer import EVICTS
from harness.timing.statistics import Interval, median_interval, paired_ratio

from .job import Row

LONGEST_REASON = 600
NATURAL_IN_A_ROW = 4
"""Readings that are asked for until one counts: some serve to see whether anything is hidden."""
TIMES = ("launch_ns", "host_ns", "graph_ns", "graph_spread_ns")
"""Found on the way, and shown of nothing that failed."""

Block = tuple[int, int]


@dataclasses.dataclass(eq=False)
class Entry:
    """How it is called, by which reader it is timed, and what was found. `failure` is (status, reason)."""

    declared: Declaration
    case: Case
    bytes: int
    reader: Reader
    call: Callable[[], Any] = lambda: None
    judge: Callable[[], None] = lambda: None
    blocks: dict[Block, float] = dataclasses.field(default_factory=dict)
    contaminated: dict[Block, str] = dataclasses.field(default_factory=dict)
    starved: int = 0
    found: dict[str, Any] = dataclasses.field(default_factory=dict)
    failure: tuple[str, str] | None = None

    @property
    def id(self) -> str:
        return f"{self.declared.id}/{self.case.id}"

    @property
    def interval(self) -> Interval:
        return median_interval(self.blocks)

    @property
    def natural_why(self) -> str:
        return self.reader.known(self.call).natural_why

    def read(self, block: Block) -> None:
        """Time one call, its caches flushed. The answer goes at once: its memory is the next call's."""
        for _ in range(NATURAL_IN_A_ROW):
            reading = self.reader.read(self.call, [self.call], [[]], lambda _: None)
            if reading.held or self.natural_why:
                break
        self.blocks[block] = float(reading.device_ns)
        self.starved += reading.starved and reading.held

    def replay(self, until: float) -> None:
        """Time a short call in a graph, where nothing is launched one by one. That there is no graph is no failure."""
        if not self.blocks:
            return
        if self.found.get("waits"):
            self.found["graph_reason"] = "the call waits for the device"
        elif self.interval.estimate > SHORT_NS:
            self.found["graph_reason"] = f"it takes more than {SHORT_NS / 1e3:.0f} us"
        elif time.monotonic() > until:
            self.found["graph_reason"] = "no time was left"
        else:
            graph = replayed(self.reader.timer, self.call)
            self.found |= {"graph_ns": graph.call_ns, "graph_spread_ns": graph.spread_ns}
            self.found["graph_reason"] = graph.reason[:LONGEST_REASON]

    def row(self, best: Entry | None) -> Row:
        """What was found, beside the quickest copy; nothing of a time beside a failure."""
        declared = self.declared
        status, reason = self.failure or ("passed", "")
        row: dict[str, Any] = {"status": status, "reason": reason, "bytes": self.bytes, **self.found}
        if self.failure is not None:
            row = {name: value for name, value in row.items() if name not in TIMES}
        elif self.blocks:
            row |= self._times()
            if best is not None:
                ratio, scale = paired_ratio(best.blocks, self.blocks), 100.0 * self.bytes / best.bytes
                percents = (ratio.estimate, ratio.low, ratio.high)
                names = ("percent_of_limit", "percent_low", "percent_high")
                row |= {name: scale * one for name, one in zip(names, percents, strict=True)}
        row |= {"operator": declared.operator, "backend": declared.backend, "implementation": declared.implementation}
        return Row(**row, case=self.case.id)

    def _times(self) -> dict[str, Any]:
        interval = self.interval
        marks = tuple(self.contaminated.get(block, "") for block in self.blocks)
        return {
            "samples": len(self.blocks),
            "median_ns": interval.estimate,
            "ci_low_ns": interval.low,
            "ci_high_ns": interval.high,
            "min_ns": min(self.blocks.values()),
            "gb_per_s": self.bytes / interval.estimate,
            "samples_ns": tuple(round(one) for one in self.blocks.values()),
            "samples_contaminated": marks,
            "contaminated": sum(map(bool, marks)),
            "starved": self.starved,
            "timing": self.natural_why or "held",
            "flushed_bytes": EVICTS * self.reader.timer.l2_bytes or None,
        }

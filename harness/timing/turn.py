"""One implementation in one process while it is timed: its inputs as they are now, its readings, its audit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import numpy as np

from harness.judge.truth import truth
from harness.judge.verdict import judge_answer, same_bits
from harness.process import Elapsed
from harness.record import Sample
from harness.stage import Received, Stage
from harness.timing.audit import Audit
from harness.timing.groups import Group, Timing
from harness.timing.statistics import per_call_ns

READINGS = 3
"""Timed readings per burst; one more before them is not counted, since the other side has just used the caches."""
FEWEST_BLOCKS = 6
JUDGING_CHANCE = 0.3
JUDGING_SHARE = 0.15
"""Bursts are judged with this chance while judging took no more than this share of their time; the last one always."""


class Turn:
    """The state of one implementation in one process."""

    def __init__(self, timing: Timing, group: Group, process: int, audit: Audit, array_type: str) -> None:
        self.timing = timing
        self.audit = audit
        self.calls_per_reading = 1
        self.group = group
        self._process = process
        self._array_type = array_type
        self._elapsed_ns = 0
        self._judging_ns = 0
        self._by_block: dict[int, list[float]] = {}

    def audit_request(self, elapsed: Elapsed, claimed_ns: int, calls: int) -> None:
        """One request by the supervisor's clock, beside what the worker claims."""
        self._elapsed_ns += elapsed.all_ns
        self.audit.add(elapsed, claimed_ns, calls)

    def may_judge(self, rng: np.random.Generator) -> bool:
        """Whether this burst is one of those that are judged: at random, as far as the share of time allows."""
        return bool(rng.random() < JUDGING_CHANCE) and self._judging_ns <= JUDGING_SHARE * self._elapsed_ns

    def judge(
        self,
        stage: Stage,
        received: Received,
        samples: Sequence[Sequence[int]],
        rng: np.random.Generator,
        reading: int | None = None,
    ) -> int:
        """Judge one answer, chosen now that all are in, of a timed reading (any, or the one that is asked for); returns
        the number of the reading."""
        start = time.perf_counter_ns()
        reading = int(rng.integers(1, len(samples))) if reading is None else reading
        call = int(rng.integers(0, len(samples[reading])))
        chosen, index = sum(len(sample) for sample in samples[:reading]) + call, samples[reading][call]
        timing = self.timing
        inputs = stage.calls[index].inputs
        true = truth(self.group.operator, self.group.case, inputs, timing.task.declaration.accumulation)
        judged = judge_answer(received.reply.answers[chosen], received.read(chosen), true, self._array_type)
        if judged.status != "passed":
            last = sum(len(sample) for sample in samples) - 1
            again = chosen != last and judged.array is not None and same_bits(judged.array, received.read(last))
            why = "it was written again by a later call; " if again else ""
            timing.failure = judged.status, f"an answer of a timed call is wrong: {why}{judged.comparison.reason}"
        elif damage := received.damage():
            timing.failure = "failed", f"during timed calls it {damage}"
        timing.checked += 1
        self._judging_ns += time.perf_counter_ns() - start
        return reading

    def add_burst(self, received: Received, block: int, position: int, judged: set[int]) -> None:
        """Keep the readings of a burst, except the first; `judged` are those of which an answer was looked at."""
        for reading in range(1, READINGS + 1):
            self._add(received, reading, block, position * READINGS + reading - 1, judged)

    def _add(self, received: Received, reading: int, block: int, position: int, judged: set[int]) -> None:
        """Keep one reading; the time of a block is the median over its readings."""
        count = self.calls_per_reading
        wall, cpu = received.reply.wall_ns[reading], received.reply.cpu_ns[reading]
        usage = received.reply.usage[reading]
        one = self.timing.task.declaration
        sample = Sample(
            operator=one.operator,
            backend=one.backend,
            implementation=one.implementation,
            case=self.timing.task.case.id,
            process=self._process,
            block=block,
            position=position,
            calls=count,
            wall_ns=wall,
            cpu_ns=cpu,
            checked=reading in judged,
            device_ns=received.reply.device_ns[reading],
            **({} if usage is None else dataclasses.asdict(usage)),
        )
        self.timing.samples.append(sample)
        times = self._by_block.setdefault(block, [])
        times.append(per_call_ns(sample))
        self.timing.blocks[(self._process, block)] = float(np.median(times))

    def steady(self, precision: float) -> bool:
        """Whether the median over this process's blocks stands still: its notch (1.57 IQR / sqrt n) is narrow."""
        values = [value for (process, _), value in self.timing.blocks.items() if process == self._process]
        if len(values) < FEWEST_BLOCKS:
            return False
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
        return bool(1.57 * (high - low) / np.sqrt(len(values)) <= precision * middle)

"""One implementation in one process while it is timed: its inputs as they are now, its readings, its audit."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.judge.truth import truth
from harness.judge.verdict import judge_answer, same_bits
from harness.process import Elapsed
from harness.record import Sample
from harness.stage import Received, Stage
from harness.timing.audit import Audit, Claimed
from harness.timing.evidence import Evidence, contamination
from harness.timing.groups import Group, Timing
from harness.timing.statistics import per_call_ns
from harness.wire import Reply

READINGS = 3
"""Timed readings per burst; one more before them is not counted, since the other side has just used the caches."""
FEWEST_BLOCKS = 6
JUDGING_CHANCE = 0.3
JUDGING_SHARE = 0.15
"""Bursts are judged with this chance while judging took no more than this share of their time; the last one always."""


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """An answer that is to be judged: a call of a reading, and its number among all calls of the burst."""

    reading: int
    call: int
    number: int


def choose(
    samples: Sequence[Sequence[int]], rng: np.random.Generator, count: int, *, last: bool = False
) -> list[Chosen]:
    """Answers of `count` different readings (the first of a burst is not timed), the `last` one among them."""
    readings = 1 + rng.permutation(len(samples) - 1)
    if last:
        readings = np.roll(np.arange(1, len(samples)), 1)
    found: list[Chosen] = []
    for reading in readings[:count]:
        call = len(samples[reading]) - 1 if last and not found else int(rng.integers(0, len(samples[reading])))
        found.append(Chosen(int(reading), call, sum(len(sample) for sample in samples[:reading]) + call))
    return found


class Turn:
    """The state of one implementation in one process."""

    def __init__(self, timing: Timing, group: Group, process: int, audit: Audit, array_type: str) -> None:
        self.timing = timing
        self.audit = audit
        self.calls_per_reading = 1
        self.threads = 0.0
        """CPU time over wall time while it was warmed up."""
        self.group = group
        self._process = process
        self._array_type = array_type
        self._by_block: dict[int, list[float]] = {}

    def audit_request(self, received: Received, phases: Sequence[tuple[Evidence, Evidence]], calls: int) -> None:
        """One request by the supervisor's clocks, beside what the worker claims; `phases` are the calls and the
        copying, each as the worker's process and as our own had it."""
        self.timing.elapsed_ns += received.elapsed.all_ns
        waited = [sum(one.main_delay_ns or 0 for one in phase) for phase in phases]
        reply, during = received.reply, phases[0][0]
        on_core = during.main_run_ns, during.run_ns
        self.audit.add(received.elapsed, claimed(reply), calls, on_core, max(1, len(reply.answers)), Elapsed(*waited))

    def may_judge(self, rng: np.random.Generator) -> bool:
        """Whether this burst is one of those that are judged: at random, as far as the share of time allows."""
        return bool(rng.random() < JUDGING_CHANCE) and self.timing.judging_ns <= JUDGING_SHARE * self.timing.elapsed_ns

    def judge(self, stage: Stage, received: Received, samples: Sequence[Sequence[int]], chosen: Chosen) -> None:
        """Judge one answer of a timed reading."""
        start = time.perf_counter_ns()
        timing, index = self.timing, samples[chosen.reading][chosen.call]
        inputs = stage.calls[index].inputs
        true = truth(self.group.operator, self.group.case, inputs, timing.task.declaration.accumulation)
        number = chosen.number
        judged = judge_answer(received.answer(number), received.read(number), true, self._array_type)
        if judged.status != "passed":
            last = sum(len(sample) for sample in samples) - 1
            again = number != last and judged.array is not None and same_bits(judged.array, received.read(last))
            why = "it was written again by a later call; " if again else ""
            timing.failure = judged.status, f"an answer of a timed call is wrong: {why}{judged.comparison.reason}"
        elif damage := received.damage():
            timing.failure = "failed", f"during timed calls it {damage}"
        timing.checked += 1
        timing.judging_ns += time.perf_counter_ns() - start

    def add_burst(
        self, received: Received, block: int, position: int, judged: set[int], evidence: Evidence | None
    ) -> None:
        """Keep the readings of a burst, except the first; `judged` are those of which an answer was looked at, and
        `evidence` is what happened on the machine meanwhile."""
        for reading in range(1, READINGS + 1):
            self._add(received, reading, block, position * READINGS + reading - 1, judged, evidence)

    def _add(
        self,
        received: Received,
        reading: int,
        block: int,
        position: int,
        judged: set[int],
        evidence: Evidence | None,
    ) -> None:
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
            **({} if evidence is None else _disturbance(evidence, wall, cpu)),
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


def claimed(reply: Reply) -> Claimed:
    """What a worker claims for a whole request; by its device's clock only where every reading has that."""
    device = [one for one in reply.device_ns if one is not None]
    whole = sum(device) if len(device) == len(reply.device_ns) else None
    return Claimed(sum(reply.wall_ns), sum(reply.cpu_ns), whole)


def _disturbance(evidence: Evidence, wall_ns: int, cpu_ns: int) -> dict[str, Any]:
    """The fields of a sample that say what else went on."""
    return {
        "run_delay_ns": evidence.run_delay_ns,
        "steal_ns": evidence.steal_ns,
        "others_share": evidence.others_share,
        "throttled": evidence.throttled,
        "contaminated": contamination(evidence, wall_ns, cpu_ns),
    }

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
from harness.timing.challenge import ENOUGH, FEWEST, Response, contradiction, is_conclusive
from harness.timing.evidence import Evidence, contamination
from harness.timing.groups import Group, Timing
from harness.timing.statistics import per_call_ns
from harness.wire import Answer, Reply

READINGS = 3
"""Timed readings per burst; one more before them is not counted, since the other side has just used the caches."""
FEWEST_BLOCKS = 6
JUDGING_CHANCE = 0.3
JUDGING_SHARE = 0.08
"""Of bursts with this chance an answer is asked for. It is judged at once while judging took no more than this share of
their time; else it is put by."""
CHALLENGE_SHARE = 0.08
"""Share of the time of its bursts that a task's short requests may take."""
KEPT = 2
"""So many of those that were put by are judged in the end. Which, is drawn among all of them: a plugin sees when it is
asked for answers, but never whether they will be looked at, so that there is no time at which nobody looks."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answered:
    """An answer of a timed call, with all that its judgement takes; `again` is what was found where the last answer of
    its burst lies, `damage` what was changed in shared memory meanwhile."""

    inputs: tuple[np.ndarray, ...]
    answer: Answer
    array: np.ndarray | None
    again: bool
    damage: str


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
    readings = 1 + rng.permutation(len(samples) - 1) if len(samples) > 1 else np.zeros(1, int)
    if last:
        readings = np.roll(np.arange(1, len(samples)), 1)
    found: list[Chosen] = []
    for reading in readings[:count]:
        call = len(samples[reading]) - 1 if last and not found else int(rng.integers(0, len(samples[reading])))
        found.append(Chosen(int(reading), call, sum(len(sample) for sample in samples[:reading]) + call))
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class Books:
    """What the kernel's books say of a request: for how long the worker's first thread, and all of them, ran until the
    calls were over; and for how long that thread, and the supervisor's, waited for a core until then and from then on.
    In ns; what is not known of waiting is 0."""

    on_core_ns: tuple[int | None, int | None]
    calls_delay_ns: int
    copying_delay_ns: int
    own_calls_ns: int
    own_copying_ns: int


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
        self._kept: list[Answered] = []
        self._put_by = 0
        self._responses_before = len(timing.responses)

    def audit_request(self, received: Received, books: Books, calls: int) -> None:
        """One request, or a step of one, by the supervisor's clocks, beside what the worker claims. Of one reading it
        is a short request."""
        self._respond(received, books, calls)
        if len(received.reply.wall_ns) == 1:
            self.timing.challenge_ns += received.elapsed.all_ns
            return
        self.timing.elapsed_ns += received.elapsed.all_ns
        waited = Elapsed(books.calls_delay_ns + books.own_calls_ns, books.copying_delay_ns + books.own_copying_ns)
        reply = received.reply
        self.audit.add(received.elapsed, claimed(reply), calls, books.on_core_ns, max(1, len(reply.answers)), waited)

    def _respond(self, received: Received, books: Books, calls: int) -> None:
        """Keep a request for the audit's own time."""
        elapsed, wall_ns, own = received.elapsed, received.reply.wall_ns, self.audit.overhead
        answers = len(received.reply.answers)
        # the supervisor may also have waited before there was anything to do
        unclaimed = elapsed.calls_ns - sum(wall_ns) - own.calls.of(calls)
        copying = elapsed.copying_ns - elapsed.late_copying_ns - books.copying_delay_ns
        self.timing.responses.append(
            Response(
                calls // len(wall_ns),
                tuple(wall_ns),
                unclaimed - min(elapsed.late_calls_ns, max(0.0, unclaimed)),
                books.calls_delay_ns,
                copying - own.copying.of(answers) if answers == calls + 1 else None,
                own.calls.call_ns,
                own.copying.call_ns,
                own.calls.unsure_ns,
                own.copying.unsure_ns,
            )
        )

    def contradiction(self) -> str:
        """Why its times cannot be believed, or an empty string."""
        return self.audit.contradiction() or contradiction(self.timing.responses)

    def accuse(self, contradiction: str, *, others: bool) -> None:
        """The audit contradicts its times. Where this process alone does, for the first time, and `others` are to come,
        all that it has measured is left out, and one of them has to repeat it: load passes, a lie is told again."""
        timing = self.timing
        if not (others and self._may_be_chance()):
            timing.failure = "untrusted", contradiction
            return
        timing.accused = contradiction
        timing.samples = [sample for sample in timing.samples if sample.process != self._process]
        timing.blocks = {key: value for key, value in timing.blocks.items() if key[0] != self._process}
        del timing.responses[self._responses_before :]

    def _may_be_chance(self) -> bool:
        """Whether it is new that its times are contradicted, and by this process alone. A lie too small to show in one
        process is contradicted by all of them together, and is none of this."""
        before = self._responses_before
        alone = self.audit.contradiction() or contradiction(self.timing.responses[before:])
        return bool(alone) and not self.timing.accused and not contradiction(self.timing.responses[:before])

    def is_conclusive(self, *, late: bool) -> bool:
        """Whether enough was seen for a small lie to show, or when it is `late`, for a large one."""
        if late:
            return is_conclusive(self.timing.responses, FEWEST)
        return self.audit.is_conclusive and is_conclusive(self.timing.responses, ENOUGH)

    def may_challenge(self) -> bool:
        """Whether a short request is due."""
        return self.timing.challenge_ns <= CHALLENGE_SHARE * self.timing.elapsed_ns

    def look(
        self,
        stage: Stage,
        received: Received,
        samples: Sequence[Sequence[int]],
        chosen: Chosen,
        rng: np.random.Generator | None = None,
    ) -> bool:
        """Judge one answer of a timed reading; whether it was. With `rng` it is put by where judging would take too
        much of the time, and each that was put by has the same chance to be judged in the end."""
        index = samples[chosen.reading][chosen.call]
        inputs = stage.calls[index].inputs
        if rng is not None and self.timing.judging_ns > JUDGING_SHARE * self.timing.elapsed_ns:
            self._put_by += 1
            place = len(self._kept) if len(self._kept) < KEPT else int(rng.integers(self._put_by))
            if place < KEPT:
                # the inputs change before the next burst
                inputs = tuple(array.copy() for array in inputs)
                self._kept[place : place + 1] = [_answered(received, samples, chosen, inputs, everywhere=False)]
            return False
        # the end of its turn looks everywhere
        self.judge(_answered(received, samples, chosen, inputs, everywhere=rng is None))
        return True

    def judge_kept(self, most: int) -> None:
        """Judge at most so many of those that were put by and kept."""
        for one in self._kept[:most]:
            if self.timing.failure is None:
                self.judge(one)

    def judge(self, one: Answered) -> None:
        """Hold one answer against the truth."""
        start = time.perf_counter_ns()
        timing = self.timing
        true = truth(self.group.operator, self.group.case, one.inputs, timing.task.declaration.accumulation)
        judged = judge_answer(one.answer, one.array, true, self._array_type)
        if judged.status != "passed":
            why = "it was written again by a later call; " if one.again else ""
            timing.failure = judged.status, f"an answer of a timed call is wrong: {why}{judged.comparison.reason}"
        elif one.damage:
            timing.failure = "failed", f"during timed calls it {one.damage}"
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


def _answered(
    received: Received,
    samples: Sequence[Sequence[int]],
    chosen: Chosen,
    inputs: tuple[np.ndarray, ...],
    *,
    everywhere: bool,
) -> Answered:
    """One answer of a burst as it was received; what is read of it is a copy."""
    number, last = chosen.number, sum(len(sample) for sample in samples) - 1
    array = received.read(number)
    again = number != last and array is not None and bool(same_bits(array, received.read(last)))
    return Answered(inputs, received.answer(number), array, again, received.damage(everywhere=everywhere))


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

"""The process that measures: one case after another, every implementation of a case interleaved with the others and
with copies of as many bytes.

`harness.reports.measured` starts it as `python -m harness.reports.measuring`: a Job comes in on stdin as JSON, and
messages go out, one JSON object a line. It may be lost (a wrong kernel takes the device's context with it); what it has
said until then stands, and it is started again for the rest.

    {"device": {...}}             what the device is, first of all
    {"begin": id}                 a case begins, as operator/case
    {"at": id}                    what is about to run: to be blamed if nothing follows
    {"row": {...}}                one implementation on one case: a Row
    {"case": id, "state": {...}}  a case is finished, and the state of the device after it
    {"end": true}                 nothing is left to do, or no time
"""

from __future__ import annotations

import dataclasses
import functools
import gc
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from harness.declare import Case
from harness.implement import Backend, Declaration, Implementation
from harness.modules import import_module
from harness.registry import Registry, load
from harness.timing.statistics import Interval, median_interval, paired_ratio

from .event_clock import CLOCKS, Array, EventClock
from .job import Job, Row, job_of
from .questions import Question, ask

LARGE = 8 << 30
"""Bytes of an input from which on one library at a time is measured, so that each can have the memory."""
MOST_COPIED = 4 << 30
"""Bytes that a copy reads, and writes, at most: from there on its rate does not change."""
FEWEST_ROUNDS = 5
STEADY_ROUNDS, STEADY = 15, 0.003
"""After every so many rounds, a case ends if every interval is this narrow (half of it, relative)."""
HOST_READINGS = 5
LONGEST_REASON = 600

Say = Callable[[Mapping[str, Any]], None]


class DeviceLost(Exception):
    """The device answers no more in this process."""


@dataclasses.dataclass(eq=False)
class Entry:
    """Something that is timed: how it is called, and what was found. `failure` is (status, reason)."""

    declared: Declaration
    case: Case
    bytes: int
    call: Callable[[], Any] = lambda: None
    judge: Callable[[], None] = lambda: None
    flushes: int = 1
    blocks: dict[tuple[int, int], float] = dataclasses.field(default_factory=dict)
    found: dict[str, Any] = dataclasses.field(default_factory=dict)
    failure: tuple[str, str] | None = None

    @property
    def id(self) -> str:
        return f"{self.declared.id}/{self.case.id}"

    @property
    def interval(self) -> Interval:
        return median_interval(self.blocks)


def measure(job: Job, say: Say) -> None:
    """Everything that the job names, as far as its time allows. Raises DeviceLost."""
    registry = load(job.plugins)
    clock = CLOCKS[job.device](job.seed)
    say({"device": clock.describe()})
    for number, (operator, case) in enumerate(job.cases):
        left = job.until - time.time()
        if left <= 0:
            break
        say({"begin": f"{operator}/{case.id}"})
        run = CaseRun(job, registry, clock, operator, case, say)
        run.run(time.time() + left / (len(job.cases) - number))
        say({"case": f"{operator}/{case.id}", "state": clock.state()})
    say({"end": True})


class CaseRun:
    """One case: its input, its question, and its implementations, all at once or one library after the other."""

    def __init__(self, job: Job, registry: Registry, clock: EventClock, operator: str, case: Case, say: Say) -> None:
        self._job, self._registry, self._clock, self._case, self._say = job, registry, clock, case, say
        self._operator = registry.operators[operator]
        self._bytes = self._operator.cost(case).bytes
        self._rng = np.random.default_rng([job.seed, *f"{operator}/{case.id}".encode()])
        wanted = [one for one in job.chosen(registry, operator) if not registry.missing(one)]
        self._wanted = [one for one in wanted if f"{one.id}/{case.id}" not in job.skip]
        self._reported: set[str] = set()

    def run(self, until: float) -> None:
        """Report a row for everything that is wanted, whatever happens. Raises DeviceLost."""
        try:
            self._run(until)
        except Exception as error:
            if isinstance(error, DeviceLost):
                raise
            reason = f"the case ended early: {type(error).__name__}: {error}"[:LONGEST_REASON]
            for entry in [Entry(one, self._case, self._bytes, failure=("error", reason)) for one in self._wanted]:
                if entry.id not in self._reported:
                    self._recover(entry)
                    self._report(entry)

    def _run(self, until: float) -> None:
        short = self._too_little_memory()
        if short:
            for one in self._wanted:
                self._report(Entry(one, self._case, self._bytes, failure=("unsupported", short)))
            return
        x = self._clock.normal(self._case.shapes[0])
        question = ask(self._clock, self._operator, self._case, x, self._rng, self._job.whole)
        groups = self._groups()
        for number, group in enumerate(groups):
            now = time.time()
            self._run_group(number, group, x, question, now + (until - now) / (len(groups) - number))
            gc.collect()
            self._clock.release()

    def _too_little_memory(self) -> str:
        """Why input, one answer and the target of a copy do not fit on the device, or an empty text."""
        self._clock.release()
        needed = self._bytes + min(MOST_COPIED, self._bytes // 2)
        free = self._clock.free_bytes()
        if needed <= free:
            return ""
        return f"not run: it needs {needed / 1e9:.1f} GB of the device's memory, and {free / 1e9:.1f} GB are free"

    def _groups(self) -> list[list[Declaration]]:
        """All together; where the input is large, those that share a pool of memory together."""
        if 4 * math.prod(self._case.shapes[0]) < LARGE:
            return [self._wanted]
        own = [one for one in self._wanted if one.backend == self._clock.name]
        others = [one for one in self._wanted if one.backend != self._clock.name]
        return [group for group in (own, others) if group]

    def _run_group(self, number: int, group: Sequence[Declaration], x: Array, question: Question, until: float) -> None:
        copies = list(self._copies(x))
        entries = [entry for one in group if (entry := self._prepared(one, x, question)) is not None]
        self._time(number, [*copies, *entries], until)
        best = min((one for one in copies if one.blocks), key=lambda one: one.interval.estimate, default=None)
        for entry in (*copies, *entries):
            self._report(entry, best)

    def _copies(self, x: Array) -> Iterator[Entry]:
        """Copies that move as many bytes as the case needs, read and written together."""
        count = max(1, min(self._bytes // 2, MOST_COPIED) // 4)
        target = self._clock.empty(count)
        for name, copy in self._clock.copies.items():
            declared = Declaration(self._operator.name, "copy", name)
            if f"{declared.id}/{self._case.id}" in self._job.skip:
                continue
            entry = Entry(declared, self._case, 8 * count, functools.partial(copy, target, x, count))
            if self._attempt(entry, entry.call):
                yield entry
            else:
                self._report(entry)

    def _prepared(self, declared: Declaration, x: Array, question: Question) -> Entry | None:
        """An implementation that is right and warm; None where it was reported already."""
        entry = Entry(declared, self._case, self._bytes)
        if self._attempt(entry, lambda: self._warm_up(entry, x, question)):
            return entry
        self._report(entry)
        return None

    def _warm_up(self, entry: Entry, x: Array, question: Question) -> None:
        declared, clock = entry.declared, self._clock
        one, backend = _implementation(declared), self._backend(declared)
        refused = one.supports(self._case) if one.supports else None
        if refused:
            entry.failure = "unsupported", str(refused)
            return
        function = one.prepare(self._case) if one.prepare else one.function
        parameters = dict(self._case.parameters)
        arrays = {id(array): clock.seen_by(array, declared.backend) for array in (x, question.x)}

        def judge() -> None:
            answer = function(arrays[id(question.x)], **parameters)
            found = question.judge(answer, backend, declared.accumulation)
            worst = (entry.found.get("error_over_bound"), found.error_over_bound)
            entry.found["error_over_bound"] = max((value for value in worst if value is not None), default=None)
            entry.found["checked"] = question.said
            if found.reason:
                entry.failure = "failed", found.reason

        judge()
        if entry.failure is not None:
            return
        entry.judge = judge
        entry.call = lambda: function(arrays[id(x)], **parameters)
        entry.found |= self._counted(entry)
        readings = [clock.host_ns(entry.call) for _ in range(HOST_READINGS)]
        queueing, done = np.median(np.array(readings), axis=0)
        entry.found["host_ns"] = float(done)
        entry.flushes = clock.flushes_for(int(queueing))

    def _counted(self, entry: Entry) -> dict[str, int]:
        """What one call launches and reads back, where it goes through our own device."""
        before = self._clock.counts(entry.declared.backend)
        entry.call()
        after = self._clock.counts(entry.declared.backend)
        if before is None or after is None or after.launches == before.launches:
            return {}
        names = ("launches", "host_round_trips", "bytes_to_host")
        return {name: getattr(after, name) - getattr(before, name) for name in names}

    def _time(self, group: int, entries: Sequence[Entry], until: float) -> None:
        """Rounds of one reading each in random order; then each answers the question once more, since whatever the
        timed calls have left behind would show there."""
        for number in range(self._job.rounds):
            alive = [one for one in entries if one.failure is None]
            if number >= FEWEST_ROUNDS and time.time() > until:
                break
            looked_at = alive if number and number % STEADY_ROUNDS == 0 else []
            if looked_at and all(one.interval.relative_half_width <= STEADY for one in looked_at):
                break
            for index in self._rng.permutation(len(alive)):
                entry = alive[int(index)]
                self._attempt(entry, functools.partial(self._read, entry, (group, number)))
        for entry in entries:
            if entry.failure is None and entry.declared.backend != "copy":
                self._attempt(entry, entry.judge)

    def _read(self, entry: Entry, block: tuple[int, int]) -> None:
        entry.blocks[block] = self._clock.reading_ns(entry.call, entry.flushes)

    def _attempt(self, entry: Entry, action: Callable[[], None]) -> bool:
        """Whether an action on an entry went well; where it did not, the entry says why, and nothing else suffers.

        Raises DeviceLost, after reporting the entry, if the device answers no more.
        """
        self._say({"at": entry.id})
        try:
            action()
            self._clock.wait()
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            status = "out_of_memory" if "out of memory" in text.lower() else "error"
            entry.failure = status, text[:LONGEST_REASON]
        if entry.failure is not None and entry.failure[0] != "unsupported":
            self._recover(entry)
        return entry.failure is None

    def _recover(self, entry: Entry) -> None:
        """Give back what a failed call held; a traceback that is not collected holds arrays."""
        gc.collect()
        try:
            self._clock.wait()
            self._clock.release()
        except Exception as error:
            self._report(entry)
            raise DeviceLost(str(error)) from error

    def _report(self, entry: Entry, best: Entry | None = None) -> None:
        """Say the row of an entry; nothing of a time beside a failure."""
        declared = entry.declared
        self._reported.add(entry.id)
        status, reason = entry.failure or ("passed", "")
        row: dict[str, Any] = {"status": status, "reason": reason, "bytes": entry.bytes, **entry.found}
        if entry.failure is not None:
            row.pop("host_ns", None)
        elif entry.blocks:
            interval = entry.interval
            row |= {
                "samples": len(entry.blocks),
                "median_ns": interval.estimate,
                "ci_low_ns": interval.low,
                "ci_high_ns": interval.high,
                "min_ns": min(entry.blocks.values()),
                "gb_per_s": entry.bytes / interval.estimate,
                "samples_ns": tuple(round(one) for one in entry.blocks.values()),
            }
            if best is not None:
                ratio, scale = paired_ratio(best.blocks, entry.blocks), 100.0 * entry.bytes / best.bytes
                percents = (ratio.estimate, ratio.low, ratio.high)
                names = ("percent_of_limit", "percent_low", "percent_high")
                row |= {name: scale * one for name, one in zip(names, percents, strict=True)}
        row |= {"operator": declared.operator, "backend": declared.backend, "implementation": declared.implementation}
        self._say({"row": dataclasses.asdict(Row(**row, case=self._case.id))})

    def _backend(self, declared: Declaration) -> Backend:
        info = self._registry.backends[declared.backend]
        return next(one for one in import_module(info.module, info.path).backends if one.name == info.name)


def _implementation(declared: Declaration) -> Implementation:
    """What was marked under this name, from the module that the registry read it in."""
    marked = import_module(declared.module, declared.path).implementations
    wanted = (declared.operator, declared.backend, declared.implementation)
    return next(one for one in marked if (one.operator, one.backend, one.name) == wanted)


def main() -> int:
    # whatever a library prints must not get between the messages
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: Mapping[str, Any]) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    gc.disable()
    try:
        measure(job_of(json.load(sys.stdin)), say)
    except DeviceLost as lost:
        print(f"the device answers no more: {lost}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

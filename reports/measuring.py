"""The process that measures: one case after another, every implementation of a case interleaved with the others and
with copies of as many bytes.

`harness.reports.measured` starts it as `python -m harness.reports.measuring`: a Job comes in on stdin as JSON, and
messages go out, one JSON object a line. It may be lost (a wrong kernel takes the device's context with it); what it has
said until then stands, and it is started again for the rest.

    {"device": {...}}             what the device is, first of all
    {"begin": id}                 a case begins, as operator/case
    {"at": id}                    what is about to run: to be blamed if nothing follows
    {"row": {...}}                one implementation on one case: a Row
    {"case": id, "before": {...}, "after": {...}}
                                  a case is finished, and the states of the device around it
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
from harness.timing.device.graphs import launch
from harness.timing.device.readings import Reader
from harness.timing.device.state import Watch, contamination

from .arrays import PLACES, Array, Arrays
from .entry import LONGEST_REASON, Entry
from .job import Job, job_of
from .questions import Question, ask

LARGE = 8 << 30
"""Bytes of an input from which on one library at a time is measured, so that each can have the memory."""
MOST_COPIED = 4 << 30
"""Bytes that a copy reads, and writes, at most: from there on its rate does not change."""
FEWEST_ROUNDS = 5
STEADY_ROUNDS, STEADY = 15, 0.003
"""After every so many rounds, a case ends if every interval is this narrow (half of it, relative)."""
Say = Callable[[Mapping[str, Any]], None]


class DeviceLost(Exception):
    """The device answers no more in this process."""


def measure(job: Job, say: Say) -> None:
    """Everything that the job names, as far as its time allows. Raises DeviceLost."""
    registry = load(job.plugins)
    place = PLACES[job.device](job.seed)
    watch = Watch(place.timer.state)
    say({"device": {**place.describe(), "state": dataclasses.asdict(watch.state(fresh=True))}})
    for number, (operator, case) in enumerate(job.cases):
        left = job.until - time.monotonic()
        if left <= 0:
            break
        say({"begin": f"{operator}/{case.id}"})
        run = CaseRun(job, registry, place, watch, operator, case, say)
        before = watch.state(fresh=True)
        run.run(time.monotonic() + left / (len(job.cases) - number))
        after = watch.state(fresh=True)
        states = {"before": dataclasses.asdict(before), "after": dataclasses.asdict(after)}
        say({"case": f"{operator}/{case.id}", **states})
    say({"end": True})


class CaseRun:
    """One case: its input, its question, and its implementations, all at once or one library after the other."""

    def __init__(
        self, job: Job, registry: Registry, place: Arrays, watch: Watch, operator: str, case: Case, say: Say
    ) -> None:
        self._job, self._registry, self._place, self._case, self._say = job, registry, place, case, say
        self._watch = watch
        self._readers: dict[int, Reader] = {}
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
            for entry in [self._entry(one, self._bytes, ("error", reason)) for one in self._wanted]:
                if entry.id not in self._reported:
                    self._recover(entry)
                    self._report(entry)

    def _run(self, until: float) -> None:
        short = self._too_little_memory()
        if short:
            for one in self._wanted:
                self._report(self._entry(one, self._bytes, ("unsupported", short)))
            return
        x = self._place.normal(self._case.shapes[0])
        question = ask(self._place, self._operator, self._case, x, self._rng, self._job.whole)
        groups = self._groups()
        for number, group in enumerate(groups):
            now = time.monotonic()
            self._run_group(number, group, x, question, now + (until - now) / (len(groups) - number))
            gc.collect()
            self._place.release()

    def _entry(self, declared: Declaration, byte_count: int, failure: tuple[str, str] | None = None) -> Entry:
        """An entry that is timed by the timer of its own library."""
        timer = self._place.timer
        if failure is None and declared.backend != "copy" and (make := self._backend(declared).timer) is not None:
            try:
                timer = make()
            except Exception as error:
                failure = "error", f"the device's clock: {type(error).__name__}: {error}"[:LONGEST_REASON]
        reader = self._readers.setdefault(id(timer), Reader(timer))
        return Entry(declared, self._case, byte_count, reader, failure=failure)

    def _too_little_memory(self) -> str:
        """Why input, one answer and the target of a copy do not fit on the device, or an empty text."""
        self._place.release()
        needed = self._bytes + min(MOST_COPIED, self._bytes // 2)
        free = self._place.free_bytes()
        if needed <= free:
            return ""
        return f"not run: it needs {needed / 1e9:.1f} GB of the device's memory, and {free / 1e9:.1f} GB are free"

    def _groups(self) -> list[list[Declaration]]:
        """All together; where the input is large, those that share a pool of memory together."""
        if 4 * math.prod(self._case.shapes[0]) < LARGE:
            return [self._wanted]
        own = [one for one in self._wanted if one.backend == self._place.name]
        others = [one for one in self._wanted if one.backend != self._place.name]
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
        target = self._place.empty(count)
        for name, copy in self._place.copies.items():
            declared = Declaration(self._operator.name, "copy", name)
            if f"{declared.id}/{self._case.id}" in self._job.skip:
                continue
            entry = self._entry(declared, 8 * count)
            entry.call = functools.partial(copy, target, x, count)
            if self._attempt(entry, entry.call):
                yield entry
            else:
                self._report(entry)

    def _prepared(self, declared: Declaration, x: Array, question: Question) -> Entry | None:
        """An implementation that is right and warm; None where it was reported already."""
        entry = self._entry(declared, self._bytes)
        if entry.failure is None and self._attempt(entry, lambda: self._warm_up(entry, x, question)):
            return entry
        self._report(entry)
        return None

    def _warm_up(self, entry: Entry, x: Array, question: Question) -> None:
        declared, place = entry.declared, self._place
        one, backend = _implementation(declared), self._backend(declared)
        refused = one.supports(self._case) if one.supports else None
        if refused:
            entry.failure = "unsupported", str(refused)
            return
        function = one.prepare(self._case) if one.prepare else one.function
        parameters = dict(self._case.parameters)
        arrays = {id(array): place.seen_by(array, declared.backend) for array in (x, question.x)}

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
        cost = launch(entry.reader.timer, entry.call)
        entry.found |= {"launch_ns": cost.launch_ns, "host_ns": cost.done_ns, "waits": cost.waits}

    def _counted(self, entry: Entry) -> dict[str, int]:
        """What one call launches and reads back, where it goes through our own device."""
        before = self._place.counts(entry.declared.backend)
        entry.call()
        after = self._place.counts(entry.declared.backend)
        if before is None or after is None or after.launches == before.launches:
            return {}
        names = ("launches", "host_round_trips", "bytes_to_host")
        return {name: getattr(after, name) - getattr(before, name) for name in names}

    def _time(self, group: int, entries: Sequence[Entry], until: float) -> None:
        """Rounds of one reading each in random order; graphs of what is short; then each answers the question once
        more, since whatever the timed calls have left behind would show there."""
        before = self._watch.state(fresh=True)
        first = last = before
        for number in range(self._job.rounds):
            alive = [one for one in entries if one.failure is None]
            if number >= FEWEST_ROUNDS and time.monotonic() > until:
                break
            looked_at = alive if number and number % STEADY_ROUNDS == 0 else []
            if looked_at and all(one.interval.relative_half_width <= STEADY for one in looked_at):
                break
            for index in self._rng.permutation(len(alive)):
                entry = alive[int(index)]
                self._attempt(entry, functools.partial(entry.read, (group, number)))
            last = self._watch.state()
            why = contamination(before, last)
            for entry in alive:
                entry.contaminated[group, number] = why
            before = last
        for entry in entries:
            entry.found |= {"sm_mhz_before": first.running_mhz, "sm_mhz_after": last.running_mhz}
            if entry.failure is None and entry.declared.backend != "copy":
                self._attempt(entry, functools.partial(entry.replay, until))
                if entry.failure is None:
                    self._attempt(entry, entry.judge)

    def _attempt(self, entry: Entry, action: Callable[[], None]) -> bool:
        """Whether an action on an entry went well; where it did not, the entry says why, and nothing else suffers.

        Raises DeviceLost, after reporting the entry, if the device answers no more.
        """
        self._say({"at": entry.id})
        try:
            action()
            self._place.timer.wait()
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
            self._place.timer.wait()
            self._place.release()
        except Exception as error:
            self._report(entry)
            raise DeviceLost(str(error)) from error

    def _report(self, entry: Entry, best: Entry | None = None) -> None:
        self._reported.add(entry.id)
        self._say({"row": dataclasses.asdict(entry.row(best))})

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

"""Benchmark cases under pytest-benchmark: timed by the harness, and replayed to pytest-benchmark's own fixture.

The times are those of `harness bench`: taken in a worker, audited, only of what is right. All tasks of one case that
are to be run are timed side by side when the first of them comes up. pytest-benchmark then reads a clock that
ticks in our samples, so that its tables, its JSON and its comparisons are complete without running the kernel here.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import api, execute
from harness.judge.compare import Comparison
from harness.judge.verdict import Verdict
from harness.plan import Task
from harness.record import Record, Sample
from harness.store import Store
from harness.testing.items import TaskFailure, reportinfo, settle, shown
from harness.timing.groups import Settings
from harness.timing.statistics import per_call_ns

if TYPE_CHECKING:
    from harness.testing.shared import Shared


class Replay:
    """A clock for pytest-benchmark: between two readings as many seconds pass as the next sample took."""

    __name__ = "harness"

    def __init__(self) -> None:
        self._seconds: Iterator[float] = iter(())
        self._begun = False

    def load(self, seconds: Sequence[float]) -> None:
        self._seconds, self._begun = iter(seconds), False

    def __call__(self) -> float:
        self._begun = not self._begun
        return 0.0 if self._begun else next(self._seconds)


class Benchmarks:
    """The stored run that a session's benchmark items are part of; it begins with the first that is timed."""

    def __init__(self, shared: Shared, selectors: Sequence[str]) -> None:
        self.shared = shared
        self._selectors = selectors
        self._done: dict[str, tuple[Record, list[Sample]]] = {}

    def item(self, parent: pytest.Collector, task: Task) -> pytest.Item:
        """The item of a task."""
        return BenchmarkItem.of(parent, task, self)

    @cached_property
    def _store(self) -> Store:
        try:
            return Store.open(self.shared.store)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None

    @cached_property
    def _context(self) -> execute.Context:
        from harness import machine

        described = machine.describe()
        commit, dirty = machine.commit()
        info = self._store.start_run(
            command="bench",
            selectors=self._selectors,
            seed=self.shared.seed,
            budget_s=self.shared.settings.budget_s,
            machine=described,
            machine_id=machine.machine_id(described),
            commit=commit,
            dirty=dirty,
        )
        return execute.Context(info.run_id, info.machine_id, info.commit, info.dirty, info.seed)

    def of(self, task: Task, chosen: Sequence[Task]) -> tuple[Record, list[Sample]]:
        """What was measured of a task, side by side with the others of its case among those that are `chosen` for this
        session; they share its time."""
        if task.id not in self._done:
            cases = {(one.declaration.operator, one.case.id) for one in chosen}
            mine = task.declaration.operator, task.case.id
            execute.execute(
                "bench",
                [one.id for one in chosen if (one.declaration.operator, one.case.id) == mine],
                self.shared.registry,
                self._store,
                self._context,
                self._options(len(cases)),
                lambda text, done, total: None,
            )
            run = api.load_run(self._store, self._context.run_id)
            samples: dict[str, list[Sample]] = {}
            for sample in run.raw_samples:
                identity = f"{sample.operator}/{sample.backend}/{sample.implementation}/{sample.case}"
                samples.setdefault(identity, []).append(sample)
            self._done = {record.id: (record, samples.get(record.id, [])) for record in run.timed}
        return self._done[task.id]

    def _options(self, cases: int) -> execute.Options:
        """For one of so many cases: execute() spends the whole of its budget on it."""
        settings = self.shared.settings
        return execute.Options(
            budget_s=None if settings.budget_s is None else settings.budget_s / cases,
            deadline_s=self.shared.deadline_s,
            settings=Settings() if settings.processes is None else Settings(processes=settings.processes),
        )

    @property
    def last_line(self) -> str:
        """What to type next, if anything was timed."""
        if "_context" not in self.__dict__:
            return ""
        store = ["--store", self.shared.store] if self.shared.store else []
        words = ["harness", "report", self._context.run_id, *store]
        return f"harness: the run is stored; type: {shlex.join(words)}"

    def finish(self) -> None:
        if "_context" in self.__dict__:
            run = api.load_run(self._store, self._context.run_id)
            code = execute.exit_code("bench", run.checked, run.timed)
            self._store.finish_run(self._context.run_id, exit_code=code)
        if "_store" in self.__dict__:
            self._store.close()


class BenchmarkItem(pytest.Function):
    """One implementation on one benchmark case, timed where it is right."""

    task: Task
    benchmarks: Benchmarks
    replay: Replay

    @classmethod
    def of(cls, parent: pytest.Collector, task: Task, benchmarks: Benchmarks) -> BenchmarkItem:
        """The item of a task, whose id is the task's."""
        item: BenchmarkItem = cls.from_parent(parent, name=task.id, callobj=_measured)
        # a Function makes its own id, and has no way to be given one; NodeId is of pytest 9.2
        made: Any = getattr(item, "_id", None)
        setattr(item, *(("_nodeid", task.id) if made is None else ("_id", type(made).parse(task.id))))
        item.task, item.benchmarks, item.replay = task, benchmarks, Replay()
        group = f"{task.declaration.operator}/{task.case.id}"
        item.add_marker(pytest.mark.benchmark(timer=item.replay, group=group))
        return item

    def setup(self) -> None:
        """Fixtures come later: only what is right gets to see pytest-benchmark's."""

    def runtest(self) -> None:
        session = self.config.pluginmanager.get_plugin("pytest-benchmark")
        if session is None or session.disabled:  # under pytest-xdist, or --benchmark-disable: checked, not timed
            settle(self, self.benchmarks.shared, self.task, self.benchmarks.shared.supervisor.check(self.task))
            extra, seconds = {}, [0.0]
        else:
            chosen = [one.task for one in self.session.items if isinstance(one, BenchmarkItem)]
            timed, taken = self.benchmarks.of(self.task, chosen)
            settle(self, self.benchmarks.shared, self.task, _verdict(timed))
            if timed.median_ns is None:
                raise TaskFailure([f"E   {self.task.id}: no time was taken"], "no time was taken")
            # all of them, as the record's median: what was disturbed is marked in the store
            extra, seconds = _extra(timed, taken), [per_call_ns(sample) / 1e9 for sample in taken]
        self.replay.load(seconds)
        super().setup()
        benchmark: Any = self.funcargs["benchmark"]
        benchmark.extra_info.update(extra)
        benchmark.pedantic(_nothing, rounds=len(seconds), iterations=1)

    def reportinfo(self) -> tuple[Path, int, str]:
        return reportinfo(self.benchmarks.shared, self.task)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, TaskFailure):
            return shown(excinfo, self.benchmarks.shared, self.task.declaration)
        return super().repr_failure(excinfo)


def _measured(benchmark: Any) -> None:
    """What pytest sees as the test function; the item itself does the work."""


def _nothing() -> None:
    """What pytest-benchmark calls between two readings of the replayed clock."""


def _verdict(record: Record) -> Verdict:
    sizes = (record.error_over_bound, record.max_abs_error, record.max_rel_error, record.max_ulp)
    return Verdict(record.status, record.reason, Comparison(record.reason, *sizes), known=record.known)


def _extra(record: Record, samples: Sequence[Sample]) -> dict[str, Any]:
    """What it is, and (as `harness export` writes it) the whole record, so that an import makes the run that it was."""
    short = {"id": record.id, "machine_id": record.machine_id, "error_over_bound": record.error_over_bound}
    known = {name: value for name, value in dataclasses.asdict(record).items() if value is not None}
    readings = {"calls": [one.calls for one in samples], "processes": [one.process for one in samples]}
    return {"harness": short, "kernel_harness": {**known, **readings}}

"""`pytest --harness SELECTOR`: what is collected, how it is shown while it runs, and what is left behind."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from harness.plan import Task
from harness.testing.items import ID, TaskItem, is_task

if TYPE_CHECKING:
    from harness.testing.benchmarking import Benchmarks
    from harness.testing.shared import Shared

MOST_SHOWN = 3


class Tasks:
    """The part of the plugin that is there only where tasks are asked for."""

    def __init__(self, shared: Shared, selectors: tuple[str, ...], benchmark: bool) -> None:
        self.shared = shared
        self.selectors = selectors
        self._planned: list[Task] = []
        self.benchmarks: Benchmarks | None = None
        if benchmark:
            from harness.testing.benchmarking import Benchmarks

            self.benchmarks = Benchmarks(shared, selectors)

    def pytest_report_header(self) -> list[str]:
        path = self.shared.settings.path
        shown = [*map(repr, self.selectors[:MOST_SHOWN]), *(["..."] if len(self.selectors) > MOST_SHOWN else [])]
        settled = "" if path is None else f", [tool.harness] of {path}"
        return [f"harness: {' '.join(shown)}, seed {self.shared.seed}{settled}"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """What is wrong with the options is said before anything is collected, and once, not in every process."""
        self._planned = self.shared.planned(self.selectors, benchmark=self.benchmarks is not None)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        report = yield
        if isinstance(collector, pytest.Session) and report.passed:
            report.result = [*self._collectors(collector), *report.result]
        return report

    def _collectors(self, session: pytest.Session) -> Iterator[pytest.Collector]:
        for problem in self.shared.registry.problems:
            yield ProblemNode.from_parent(session, name=problem.where, nodeid=problem.where, message=problem.message)
        by_implementation: dict[str, list[Task]] = {}
        for task in self._planned:
            by_implementation.setdefault(task.declaration.id, []).append(task)
        # those of one backend one after the other: their worker stays warm
        for identity, tasks in sorted(by_implementation.items(), key=lambda one: _backend_first(one[1][0])):
            yield ImplementationNode.from_parent(session, name=identity, nodeid=identity, tasks=tasks, owner=self)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """In the short form a line stands for an implementation, as it does for a file; an id is no file."""
        quiet = item.config.get_verbosity(pytest.Config.VERBOSITY_TEST_CASES) <= 0
        if not isinstance(item, TaskItem) or not quiet or hasattr(item.config, "workerinput"):
            return None
        from _pytest.runner import runtestprotocol

        line = item.task.declaration.id
        item.ihook.pytest_runtest_logstart(nodeid=line, location=item.location)
        runtestprotocol(item, nextitem=nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=line, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if is_task(item) and report.skipped and isinstance(report.longrepr, tuple):
            # it is the implementation that does not run here, not a line of this file
            path, line, _ = item.reportinfo()
            report.longrepr = (str(path), (line or 0) + 1, report.longrepr[2])
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """In JUnit XML the class is the implementation and the name is the case: pytest would make dots of slashes."""
        identity = dict(report.user_properties).get(ID)
        if identity is None:
            return
        for plugin in report_writers(self.shared.config):
            operator, backend, implementation, case = str(identity).split("/", 3)
            reporter = plugin.node_reporter(report)
            reporter.add_attribute("classname", f"{operator}.{backend}.{implementation}")
            reporter.add_attribute("name", case)

    def pytest_sessionfinish(self) -> None:
        if self.benchmarks is not None:
            self.benchmarks.finish()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.benchmarks is not None and self.benchmarks.last_line:
            terminalreporter.write_line(self.benchmarks.last_line)


def report_writers(config: pytest.Config) -> list[Any]:
    """The plugin of --junit-xml, if it is on."""
    return [one for one in config.pluginmanager.get_plugins() if hasattr(one, "node_reporter")]


def _backend_first(task: Task) -> tuple[str, str, str]:
    declared = task.declaration
    return declared.backend, declared.path, declared.id


class ProblemNode(pytest.Collector):
    """Something that was declared and cannot be used: an error of the collection, as a file that cannot be read is."""

    def __init__(self, *, message: str, **node: Any) -> None:
        super().__init__(**node)
        self._message = message

    def collect(self) -> Iterable[pytest.Item]:
        raise self.CollectError(f"{self.name}: {self._message}")


class ImplementationNode(pytest.Collector):
    """One implementation; its items are its tasks."""

    def __init__(self, *, tasks: list[Task], owner: Tasks, **node: Any) -> None:
        super().__init__(**node)
        self._tasks = tasks
        self._owner = owner

    def collect(self) -> Iterable[pytest.Item]:
        missing = self._owner.shared.registry.missing(self._tasks[0].declaration)
        for task in self._tasks:
            item = self._item(task)
            item.add_marker("harness")
            item.user_properties += [(ID, task.id), ("harness.seed", self._owner.shared.seed)]
            if missing:
                item.add_marker(pytest.mark.skip(reason=missing))
            yield item

    def _item(self, task: Task) -> pytest.Item:
        if self._owner.benchmarks is not None:
            return self._owner.benchmarks.item(self, task)
        shared = self._owner.shared
        item: TaskItem = TaskItem.from_parent(self, name=task.case.id, nodeid=task.id, task=task, shared=shared)
        return item

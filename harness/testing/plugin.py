"""The pytest plugin: its options, its fixture, and what it switches on. All else is imported when it is asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.testing.checking import Harness
    from harness.testing.shared import Shared

FRESH_SEED = pytest.StashKey[int]()
"""Drawn in every session, the same in all processes of one; a seed that was asked for goes before it."""
SHARED = pytest.StashKey["Shared"]()
TASKS = "harness-tasks"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "kernel-harness: is this kernel right?")
    group.addoption(
        "--harness",
        action="append",
        dest="harness_selectors",
        metavar="SELECTOR",
        help="One item per selected conformance task: a glob over operator/backend/implementation/case, or a plain "
        "prefix. Repeatable. Without paths on the command line nothing else is collected.",
    )
    group.addoption(
        "--harness-benchmark",
        action="store_true",
        help="Items for the benchmark cases instead: timed, and replayed by pytest-benchmark, where they are right.",
    )
    for name, metavar, text in (
        ("plugin", "PATH", "A file or folder with implementations. They run in a worker process. Repeatable."),
        ("operators", "PATH", "A file with Operators. It defines what is true, so it is trusted. Repeatable."),
        ("cases", "SOURCE", "Further cases: onnx, torch, or files that `harness fuzz` wrote. Repeatable."),
    ):
        group.addoption(f"--harness-{name}", action="append", default=[], metavar=metavar, help=text)
    group.addoption("--harness-seed", type=_seed, metavar="N", help="Seed of all inputs; fresh and shown if absent.")
    group.addoption(
        "--harness-timeout", type=_seconds, metavar="SECONDS", help="The longest that one request may take."
    )
    group.addoption(
        "--harness-sandbox",
        choices=("auto", "require", "off"),
        help="What the system forbids workers: each layer that it has (auto), all or nothing runs (require), nothing.",
    )
    group.addoption("--harness-store", metavar="URL", help="Where --harness-benchmark keeps its run: a file, or a URL.")
    parser.addini("harness", type="args", help="What --harness selects where pytest is run without paths.")


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**63:
        raise ValueError(text)
    return seed


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 24 * 3600:
        raise ValueError(text)
    return seconds


_seed.__name__, _seconds.__name__ = "whole number from 0 to 2**63 - 1", "number of seconds"  # as argparse says it


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "harness: a task of kernel-harness (added to the items of --harness).")
    given: dict[str, Any] = getattr(config, "workerinput", {})  # in a process of pytest-xdist
    config.stash[FRESH_SEED] = given.get("harness_seed") or int.from_bytes(os.urandom(8), "little") >> 2
    typed = config.getoption("harness_selectors") or []
    no_paths = config.args_source is not pytest.Config.ArgsSource.ARGS
    selectors = typed or (config.getini("harness") if no_paths else [])
    benchmark = config.getoption("harness_benchmark")
    if not selectors:
        if benchmark:
            raise pytest.UsageError(
                "--harness-benchmark: of what? add --harness SELECTOR, e.g. --harness 'softmax/numpy'"
            )
        return
    if benchmark and not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError(
            "--harness-benchmark needs pytest-benchmark, which is not installed or switched off (-p no:benchmark); "
            "type: pip install 'kernel-harness[pytest]'"
        )
    if typed and no_paths:  # who names tasks and no files means the tasks
        config.args, config.args_source = [], pytest.Config.ArgsSource.ARGS
    from harness.testing.collecting import Tasks

    config.pluginmanager.register(Tasks(shared_of(config), tuple(selectors), benchmark), TASKS)


def shared_of(config: pytest.Config) -> Shared:
    """What the tests of this session share; made when it is first asked for."""
    if SHARED not in config.stash:
        from harness.testing.shared import Shared

        config.stash[SHARED] = Shared(config, config.stash[FRESH_SEED])
    return config.stash[SHARED]


def pytest_unconfigure(config: pytest.Config) -> None:
    if SHARED in config.stash:
        config.stash[SHARED].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """All processes of pytest-xdist draw the same inputs."""
    node.workerinput["harness_seed"] = node.config.stash[FRESH_SEED]


@pytest.fixture(name="harness")
def _harness(request: pytest.FixtureRequest) -> Harness:
    """Checks the test's own function against an operator: `harness.check(my_softmax, "softmax")`."""
    from harness.testing.checking import Harness

    return Harness(shared_of(request.config), request.node.nodeid)

"""What the tests of one pytest process share: what was asked for, what exists, and warm workers."""

from __future__ import annotations

import shlex
from functools import cached_property
from pathlib import Path

import pytest

from harness import configuration, reading, registry
from harness.declare import DeclarationError
from harness.implement import Declaration
from harness.plan import NothingSelected, Task, plan, require_match
from harness.sandbox import policy, probing
from harness.supervisor import DEADLINE_S, Supervisor
from harness.testing.inprocess import OwnFunction

ENTRY_POINTS = registry.ENTRY_POINTS


class Shared:
    """Settings, registry and workers of this process; each is made when it is first needed. Close it in the end."""

    def __init__(self, config: pytest.Config, fresh_seed: int) -> None:
        self.config = config
        self._fresh_seed = fresh_seed

    @cached_property
    def settings(self) -> configuration.Configuration:
        """`[tool.harness]` of the project, with what was typed in its place. Raises pytest.UsageError."""
        option = self.config.getoption
        try:
            file = configuration.load(self.config.invocation_params.dir)
            if file.path is None:
                file = configuration.load(self.config.rootpath)
        except configuration.ConfigurationError as error:
            raise pytest.UsageError(str(error)) from None
        return configuration.with_options(
            file,
            plugins=option("harness_plugin"),
            operators=option("harness_operators"),
            seed=option("harness_seed"),
            timeout_s=option("harness_timeout"),
            sandbox=option("harness_sandbox"),
        )

    @property
    def seed(self) -> int:
        return self._fresh_seed if self.settings.seed is None else self.settings.seed

    @property
    def deadline_s(self) -> float:
        return self.settings.timeout_s or DEADLINE_S

    @property
    def store(self) -> str | None:
        return configuration.store_of(self.config.getoption("harness_store"), self.settings)

    @cached_property
    def registry(self) -> registry.Registry:
        """All that exists here. Raises pytest.UsageError."""
        settings = self.settings
        try:
            policy.choose(settings.sandbox or policy.MODES[0])
            probing.require_here()
            return registry.load(settings.plugins, settings.operators, self.config.getoption("harness_cases"))
        except (DeclarationError, ImportError, policy.NotConfined) as error:
            raise pytest.UsageError(str(error)) from None

    def planned(self, selectors: tuple[str, ...], benchmark: bool) -> list[Task]:
        """The tasks that the selectors mean: conformance, or (where there is none among them, or they are asked for)
        benchmark cases. Raises pytest.UsageError if one of the selectors matches nothing."""
        try:
            require_match(self.registry, selectors)
        except NothingSelected as nothing:
            raise pytest.UsageError(f"--harness: {nothing}") from None
        conformance = [] if benchmark else plan(self.registry, selectors, "conformance")
        return conformance or plan(self.registry, selectors, "benchmarks")

    @cached_property
    def supervisor(self) -> Supervisor:
        """Its workers stay warm until the session ends."""
        return Supervisor(self.registry, self.seed, deadline_s=self.deadline_s)

    @cached_property
    def own(self) -> OwnFunction:
        """Judges functions of the tests themselves, in this process."""
        return OwnFunction(self.registry, self.seed)

    @cached_property
    def _files(self) -> dict[str, str]:
        plugins = reading.plugin_sources(self.settings.plugins)
        sources = [*reading.builtin_sources(), *reading.entry_points(ENTRY_POINTS), *plugins]
        return {source.name: source.file for source in sources}

    def place(self, declaration: Declaration) -> tuple[Path, int]:
        """File and line (from 1) where an implementation is declared."""
        return Path(self._files.get(declaration.module) or self.config.rootpath), max(1, declaration.line)

    def command(self, task_id: str) -> str:
        """What to type to run one task again, on the very same inputs."""
        words = ["pytest", "--harness", task_id, "--harness-seed", str(self.seed)]
        for name in ("plugin", "operators", "cases"):
            for path in self.config.getoption(f"harness_{name}"):
                words += [f"--harness-{name}", path]
        return shlex.join(words)

    def close(self) -> None:
        """Kill the workers."""
        for name in ("supervisor", "own"):
            if name in self.__dict__:
                self.__dict__[name].close()

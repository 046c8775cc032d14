"""What commands share on the terminal: exit codes, progress on stderr, errors in one line, and what is opened."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from harness.configuration import Configuration
    from harness.registry import Registry
    from harness.store import Store

OK, REGRESSION, USAGE, WRONG_RESULT, UNCLEAR, NOTHING = range(6)
"""Exit codes: all well; a regression; a usage error; a conformance failure; unclear; nothing measured, tasks missing or
machines that differ."""


class Progress:
    """What is going on, on stderr: one line that is rewritten on a terminal, else a line every few seconds."""

    QUIET_S = 5.0

    def __init__(self, terminal: bool) -> None:
        self._terminal = terminal
        self._last = time.monotonic()

    def __call__(self, text: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last < (0.1 if self._terminal else self.QUIET_S):
            return
        self._last = now
        line = f"{done}/{total} {text}"
        if self._terminal:
            print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def settled() -> Configuration:
    """What the project's pyproject.toml says; typed options go before it."""
    from harness.configuration import ConfigurationError, load

    try:
        return load()
    except ConfigurationError as error:
        fail(str(error), USAGE)


def load(
    plugins: Iterable[str] | None, operators: Iterable[str] | None, cases: Iterable[str] | None = None
) -> Registry:
    from harness.declare import DeclarationError
    from harness.registry import load

    file = settled()
    try:
        return load(list(plugins or file.plugins), list(operators or file.operators), list(cases or ()))
    except (DeclarationError, ImportError) as error:
        fail(str(error), USAGE)


def open_store(store: str | None) -> Store:
    from harness.configuration import store_of
    from harness.store import Store

    file = settled()
    try:
        return Store.open(store_of(store, file))
    except ValueError as error:
        fail(str(error), USAGE)


def print_problems(registry: Registry) -> None:
    for problem in registry.problems:
        say(f"harness: {problem.where}: {problem.message}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def fail(message: str, code: int) -> NoReturn:
    say(f"harness: {message}")
    raise typer.Exit(code)

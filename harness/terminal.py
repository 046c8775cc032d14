"""What commands share on the terminal: exit codes, progress on stderr, errors in one line, and what is opened."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn

import typer

from harness import interruption
from harness.progress import Limit, Progress

if TYPE_CHECKING:
    from harness.configuration import Configuration
    from harness.registry import Registry
    from harness.store import Store

OK, REGRESSION, USAGE, WRONG_RESULT, UNCLEAR, NOTHING = range(6)
INTERRUPTED = 130
"""Exit codes: all well; a regression; a usage error; a conformance failure; unclear; nothing measured, tasks missing or
machines that differ; and what a shell says of Ctrl-C."""


_SHOWN: list[Progress] = []
"""The progress of this process that is shown."""

PLAIN_CHARACTERS = str.maketrans("µ×·±–…∞≤≥▁▂▃▄▅▆▇█━", "ux-~-.*<>_.,-~=+#-")  # noqa: RUF001
"""What stands for a character where the terminal's encoding does not have it; other characters are escaped."""


def progress_of(quiet: bool, limits: Mapping[str, Limit] | None = None) -> Progress:
    """The progress of a command, on stderr: a line that is rewritten on a terminal, else a line now and then, and none
    where `quiet`, as with --json. A terminal that cannot go back in a line (TERM=dumb) is treated as none."""
    terminal = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
    _SHOWN[:] = [Progress(terminal=terminal, quiet=quiet, limits=limits)]
    return _SHOWN[0]


def survive_encodings() -> None:
    """Print what the terminal's encoding does not have in other characters, where Python would end the program."""
    codecs.register_error("plain_characters", _in_plain_characters)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed, as by >&-
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - it lives as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain_characters")


def _in_plain_characters(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(PLAIN_CHARACTERS)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end


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


@contextlib.contextmanager
def open_to_read(store: str | None) -> Iterator[Store]:
    """The store of a command that only reads: one that is typed may be anybody's, and is left as it is."""
    from harness.schema import StoreError
    from harness.strangers import opened_to_read

    try:
        with open_store(None) if store is None else opened_to_read(store) as opened:
            yield opened
    except StoreError as error:
        fail(str(error), USAGE)


def print_problems(registry: Registry) -> None:
    for problem in registry.problems:
        say(f"harness: {problem.where}: {problem.message}")


def say(text: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that is gone ends no run
        for progress in _SHOWN:
            progress.erase()
        # names in it may come from plugins and files: none of them is an escape sequence here
        print(
            "".join(char if char.isprintable() or char in "\n\t" else "?" for char in text), file=sys.stderr, flush=True
        )


def say_next(command: str | None) -> None:
    """The last line: what to type next, after all that goes to stdout."""
    if command is not None:
        sys.stdout.flush()
        say(f"next: {command}")


def interrupted(command: str, store: str | None, options: str, run_id: str | None) -> NoReturn:
    """End an interrupted run in one line: what of it is stored, and what goes on with it."""
    fail(f"interrupted{stored_words(command, store, options, run_id)}", INTERRUPTED)


def stored_words(command: str, store: str | None, options: str, run_id: str | None) -> str:
    """What is stored of a run that was cut short, and what goes on with it; `options` are typed again. None is a run
    that had not begun."""
    from harness.store import Store

    if run_id is None:
        return " before anything was stored"
    goes_on = f"this goes on: harness {command} --resume{options}"
    try:
        with Store.open(store) as opened:
            run = opened.run(run_id)
            done = len(opened.done(run_id, "check")), len(opened.done(run_id, "bench"))
    except (LookupError, ValueError):
        return f"; what was stored of run {run_id} cannot be counted now; {goes_on}"
    if run.finished_at is not None:
        return f"; run {run_id} is complete and stored: harness report {run_id}"
    timed = f" and the times of {done[1]}" if done[1] else ""
    return f"; {done[0]} verdicts{timed} are stored (run {run_id}), and {goes_on}"


def fail(message: str, code: int) -> NoReturn:
    if code == INTERRUPTED:
        interruption.answer()
    say(f"harness: {message}")
    raise typer.Exit(code)

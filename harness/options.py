"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from harness import location
from harness.configuration import store_of
from harness.sandbox import policy
from harness.terminal import USAGE, fail, say, settled

DEFAULT_STORE = ".harness/results.sqlite"
"""As harness.store has it, whose import is slow."""

Selectors = Annotated[list[str] | None, typer.Argument(metavar="SELECTOR", help="What to select; all if absent.")]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin", metavar="PATH", help="A file or folder with implementations. They run in a worker process."
    ),
]
Operators = Annotated[
    list[str] | None,
    typer.Option(
        "--operators", metavar="PATH", help="A file with Operators. It defines what is true, so it is trusted."
    ),
]
Cases = Annotated[
    list[str] | None,
    typer.Option(
        "--cases",
        metavar="SOURCE",
        help="Further cases: onnx, torch (their own test material), or files that `harness fuzz` wrote.",
    ),
]


def _hide_store(typed: str | None) -> str | None:
    """No worker of this command reads the store, also not before it is opened, nor finds a server's password."""
    policy.hide_store(store_of(typed, settled()) or DEFAULT_STORE)
    _forget_password(typed, location.WORDS)
    return typed


def _hide_durations(typed: str | None) -> str | None:
    """As the store itself, which it may be, of all jobs together. A report with seeds is hidden too."""
    policy.hide_store(typed)
    _forget_password(
        typed, "the password in --durations is seen by every process of this machine: put it into ~/.pgpass"
    )
    return typed


def _forget_password(typed: str | None, words: str) -> None:
    if typed is not None and location.passwords(typed):
        location.wipe_command_line(typed)
        say(f"harness: {words}")


StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Where results are kept: a file, or an SQLAlchemy URL.",
        show_default=False,
        callback=_hide_store,
    ),
]
MOST_SECONDS = 7 * 24 * 3600.0


def seconds(value: float | None) -> float | None:
    """A typed time that can be waited for: NaN is below no deadline, so that nothing would ever end, or begin."""
    if value is not None and not 0.0 < value <= MOST_SECONDS:
        raise typer.BadParameter(f"{value} is no time; write seconds, above 0 and at most {MOST_SECONDS:.0f} (a week)")
    return value


Seed = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, max=2**63 - 1, help="Seed of all inputs; fresh and recorded if absent."),
]
Budget = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Time for all timing together.", callback=seconds)
]
Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="The longest that one request to a worker may take.", callback=seconds),
]
SettledTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="The longest that one request to a worker may take (60).",
        min=0.001,
        callback=seconds,
    ),
]


def _choose_sandbox(typed: str | None) -> str | None:
    """What holds for all processes of this command: what was typed, else what the project has settled, else `auto`."""
    from harness.sandbox.probing import require_here

    file = settled()
    policy.hide_store(store_of(None, file) or DEFAULT_STORE)
    mode = typed or file.sandbox or policy.MODES[0]
    if mode not in policy.MODES:
        raise typer.BadParameter(f"{mode!r} is none of {', '.join(policy.MODES)}")
    policy.choose(mode)
    try:
        require_here()
    except policy.NotConfined as missing:
        fail(str(missing), USAGE)
    return typed


Sandbox = Annotated[
    str | None,
    typer.Option(
        metavar="auto|require|off",
        callback=_choose_sandbox,
        help="What the system forbids processes that run plugin code: each layer that it has (auto), all of them or "
        "nothing runs (require), nothing (off).",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS|local",
        help="Run on the nodes of a dask cluster: tcp://host:8786, a scheduler file, or local (one node for each core "
        "of this machine, no set-up). off: not, whatever the project has settled.",
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", metavar="K/N", help="Only part K of N; N jobs with the same command do all of it."),
]
DurationsOption = Annotated[
    str | None,
    typer.Option(
        "--durations",
        metavar="STORE|FILE",
        callback=_hide_durations,
        help="By what shards are dealt: earlier runs of a store, or of a .json, .csv or .parquet that `harness report` "
        "wrote; the same for all shards. Default: the store.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON array of rows instead of a table.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue the newest run of this command that was interrupted here.")
]

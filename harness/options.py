"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

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
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="URL", help="Where results are kept: a file, or an SQLAlchemy URL.", show_default=False
    ),
]
Seed = Annotated[int | None, typer.Option(metavar="N", help="Seed of all inputs; fresh and recorded if absent.")]
Budget = Annotated[float | None, typer.Option(metavar="SECONDS", help="Time for all timing together.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", help="The longest that one request to a worker may take.")]
SettledTimeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", help="The longest that one request to a worker may take (60).", min=0.001
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON array of rows instead of a table.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the newest run of this command that was interrupted.")]

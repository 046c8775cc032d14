"""What a project has settled: `[tool.harness]` of a pyproject.toml, read and checked at the door.

The file is the first pyproject.toml with that table, from the current folder up to the repository's root. What is
typed on the command line wins over the environment (HARNESS_STORE), that over the file, and the file over the defaults.
A list or a floor that is typed takes the place of the whole of the file's.

    [tool.harness]
    store = ".harness/results.sqlite"       # a file, or an SQLAlchemy URL
    plugins = ["kernels"]                   # as --plugin
    operators = ["operators/rms_norm.py"]   # as --operators: trusted
    backends = ["numpy", "torch*"]          # those that are used; all if absent
    budget_s = 60
    processes = 3
    timeout_s = 60
    seed = 7
    sandbox = "require"                     # as --sandbox: auto, require or off
    cluster = "tcp://10.0.0.1:8786"         # as --cluster

    [tool.harness.compare]
    selectors = ["softmax", "sum/*"]
    budget_s = 600
    floor = "1 %"                           # or 0.01: a smaller change is never called
    setup = "python -m venv .venv && .venv/bin/pip install -e ."
    python = ".venv/bin/python"             # inside a checkout

    [tool.harness.compare.floors]           # the last that matches holds
    "softmax/*" = "2 %"

Paths are relative to the file, but for `python`, which is relative to a checkout.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.comparing.deciding import FLOOR
from harness.documents import UnreadableFile, bytes_of, harmless
from harness.nearest import nearest
from harness.plan import Selection

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

FILE = "pyproject.toml"
MOST_BUDGET_S = 7 * 24 * 3600.0
MOST_TIMEOUT_S = 24 * 3600.0
MOST_PROCESSES = 20
MOST_SHOWN = 80
LARGEST_BYTES = 10_000_000

_SHARE = 'write a share like 0.01 or "1 %"'
_PATHS = 'write a list of paths like ["kernels"]'
RIGHT = {
    "store": 'write a file or an SQLAlchemy URL like ".harness/results.sqlite"',
    "plugins": _PATHS,
    "operators": _PATHS,
    "backends": 'write a list of backends or globs like ["numpy", "torch*"]',
    "budget_s": f"write seconds, above 0 and at most {MOST_BUDGET_S:.0f} (a week)",
    "processes": f"write a whole number from 1 to {MOST_PROCESSES}",
    "timeout_s": f"write seconds, above 0 and at most {MOST_TIMEOUT_S:.0f} (a day)",
    "seed": "write a whole number from 0 to 2**63 - 1",
    "sandbox": 'write "auto", "require" or "off"',
    "cluster": 'write the address of a scheduler like "tcp://10.0.0.1:8786", a scheduler file, or "local"',
    "compare": "write a table [tool.harness.compare]",
    "selectors": 'write a list of selectors like ["softmax", "sum/*"]',
    "floor": _SHARE,
    "floors": "write a table [tool.harness.compare.floors]",
    "setup": 'write a shell command like "python -m venv .venv && .venv/bin/pip install -e ."',
    "python": 'write a path inside a checkout like ".venv/bin/python"',
}
"""By key: what would be right there."""


class ConfigurationError(ValueError):
    """A pyproject.toml that cannot be used; the message names file and key, what was found, and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings:
    """`[tool.harness.compare]`. `floor` is a share (0.01 is 1 %); `floors` are (glob over task ids, share), the last
    match wins. `setup` is a shell command that is run in each checkout, `python` the interpreter there."""

    selectors: tuple[str, ...] = ()
    budget_s: float | None = None
    floor: float = FLOOR
    floors: tuple[tuple[str, float], ...] = ()
    setup: str | None = None
    python: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """`[tool.harness]`; None or empty is what the file does not say. `path` is the file, None where there is none.

    `store` and all paths are absolute, or URLs. `backends` are globs; empty stands for all.
    """

    path: Path | None = None
    store: str | None = None
    plugins: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    budget_s: float | None = None
    processes: int | None = None
    timeout_s: float | None = None
    seed: int | None = None
    sandbox: str | None = None
    cluster: str | None = None
    compare: CompareSettings = field(default_factory=CompareSettings)


Settings = TypeVar("Settings", Configuration, CompareSettings)


def load(start: Path | None = None) -> Configuration:
    """The settings that hold in a folder (default: the current one). Raises ConfigurationError."""
    path = find(start or Path.cwd())
    return Configuration() if path is None else read(path)


def find(start: Path) -> Path | None:
    """The first pyproject.toml with `[tool.harness]` from a folder upwards, not above the root of its repository."""
    for folder in (start.resolve(), *start.resolve().parents):
        path = folder / FILE
        if path.is_file() and "harness" in _tools(path):
            return path
        if (folder / ".git").exists():
            return None
    return None


def read(path: Path) -> Configuration:
    """The settings of one file. Raises ConfigurationError, whose message has a line for each fault."""
    from pydantic import ValidationError

    found = _tools(path).get("harness", {})
    if not isinstance(found, dict):
        raise ConfigurationError(f"{_shown(path)}: tool.harness = {_toml(found)}: write a table [tool.harness]")
    try:
        model = _model().model_validate(found)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_message(path, one) for one in error.errors())) from None
    values = model.model_dump()
    compare = values.pop("compare")
    compare |= {"selectors": tuple(compare["selectors"]), "floors": tuple(compare["floors"].items())}
    for key in ("plugins", "operators"):
        values[key] = tuple(_existing(path, key, number, name) for number, name in enumerate(values[key]))
    values |= {"backends": tuple(values["backends"]), "store": _located(path, values["store"])}
    return Configuration(path=path, **values, compare=CompareSettings(**compare))


def with_options(settings: Settings, **options: Any) -> Settings:
    """Settings with the options of a command line in their place; None, or an empty list, is one that was not typed."""
    typed: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if value is not None and value != []
    }
    if "floor" in typed:
        typed["floors"] = ()  # who types a floor means all tasks
    return dataclasses.replace(settings, **typed)


def store_of(option: str | None, configuration: Configuration) -> str | None:
    """Where results are kept: what was typed, else HARNESS_STORE, else the file's; None is the store's own default."""
    return option or os.environ.get("HARNESS_STORE") or configuration.store


def uses(configuration: Configuration, backend: str) -> bool:
    """Whether a backend is among those that are used."""
    return backend in Selection(configuration.backends)


def floor_of(configuration: Configuration, task_id: str) -> float:
    """The relative change of a task below which nothing is called: 0.01 is 1 %."""
    matching = [floor for glob, floor in configuration.compare.floors if task_id in Selection([glob])]
    return matching[-1] if matching else configuration.compare.floor


def require_known(configuration: Configuration, backends: Collection[str], task_ids: Collection[str]) -> None:
    """Raise ConfigurationError if a backend, a selector or the glob of a floor matches nothing of all that exists: a
    misspelt one must not switch a check off."""
    compare = configuration.compare
    sought: list[tuple[tuple[str | int, ...], str, str, Collection[str]]] = [
        *((("backends", number), glob, "backend", backends) for number, glob in enumerate(configuration.backends)),
        *((("compare", "selectors", n), glob, "task", task_ids) for n, glob in enumerate(compare.selectors)),
        *((("compare", "floors", glob), glob, "task", task_ids) for glob, _ in compare.floors),
    ]
    for where, glob, kind, known in sought:
        selection = Selection([glob])
        if configuration.path is not None and not any(one in selection for one in known):
            found = dict(compare.floors)[glob] if where[1:2] == ("floors",) else glob
            place = _place(configuration.path, where)
            raise ConfigurationError(f"{place} = {_toml(found)}: matches no {kind}; {_hint(glob, known)}")


def share(value: object) -> float:
    """A share as a number (0.01) or as text ("1 %", "0.01"). Raises ValueError with what is wrong with it."""
    number = re.fullmatch(r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE]-?\d{1,3})?)\s*(%?)\s*", str(value), re.ASCII)
    if number is None:
        raise ValueError("is no share")
    found = float(Decimal(number[1]) / (100 if number[2] else 1))
    if found > 1.0 or (found == 1.0 and not number[2]):
        raise ValueError(f"is {100 * found:g} %")
    return found


def _tools(path: Path) -> dict[str, Any]:
    try:
        tools = tomllib.loads(bytes_of(Path(_shown(path)), LARGEST_BYTES).decode("utf-8")).get("tool", {})
    except UnreadableFile as error:
        raise ConfigurationError(str(error)) from None
    except RecursionError:
        raise ConfigurationError(f"{_shown(path)}: is nested too deeply") from None
    except ValueError as error:  # no TOML, no UTF-8, or a number of thousands of digits
        raise ConfigurationError(f"{_shown(path)}: is no TOML: {harmless(str(error), 300)}") from None
    return tools if isinstance(tools, dict) else {}


@cache
def _model() -> type[BaseModel]:
    """What a file may say. Strict: a number in quotes is text, true is no number."""
    from typing import Annotated, Literal

    from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

    Text = Annotated[str, Field(min_length=1, pattern=r"\S")]
    Budget = Annotated[float, Field(gt=0, le=MOST_BUDGET_S, allow_inf_nan=False)]
    Share = Annotated[float, BeforeValidator(share)]
    Names = Annotated[list[Text], Field(default_factory=list)]

    class Table(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)

    class Compare(Table):
        selectors: Names
        budget_s: Budget | None = None
        floor: Share = FLOOR
        floors: Annotated[dict[Text, Share], Field(default_factory=dict)]
        setup: Text | None = None
        python: Text | None = None

    class Harness(Table):
        store: Text | None = None
        plugins: Names
        operators: Names
        backends: Names
        budget_s: Budget | None = None
        processes: Annotated[int, Field(ge=1, le=MOST_PROCESSES)] | None = None
        timeout_s: Annotated[float, Field(gt=0, le=MOST_TIMEOUT_S, allow_inf_nan=False)] | None = None
        seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
        sandbox: Literal["auto", "require", "off"] | None = None
        cluster: Text | None = None
        compare: Annotated[Compare, Field(default_factory=Compare)]

    return Harness


def _message(path: Path, error: ErrorDetails) -> str:
    """One line: where, what was found, what would be right."""
    where = tuple(one for one in error["loc"] if one != "[key]")
    place = f"{_place(path, where)} = {_toml(error['input'])}"
    in_compare = where[0] == "compare" and len(where) > 1
    key, *items = where[1:] if in_compare else where
    if error["type"] == "extra_forbidden":
        here, other = (CompareSettings, Configuration) if in_compare else (Configuration, CompareSettings)
        if key in _keys(other):
            return f"{place}: belongs into [{'tool.harness' if in_compare else 'tool.harness.compare'}]"
        return f"{place}: there is no such key; {_hint(str(key), _keys(here))}"
    reason = str(error["ctx"]["error"]) + "; " if error["type"] == "value_error" else ""
    return f"{place}: {reason}{_SHARE if key == 'floors' and items else RIGHT[str(key)]}"


def _keys(table: type[Configuration | CompareSettings]) -> list[str]:
    return [one.name for one in dataclasses.fields(table) if one.name != "path"]


def _hint(name: str, known: Collection[str]) -> str:
    close = nearest(name, known) or (sorted(known) if len(known) < 20 else [])
    return f"the nearest are: {', '.join(close)}" if close else "type `harness list` to see what exists"


def _place(path: Path, where: Sequence[str | int]) -> str:
    """`file: [table] key`, as a person would look for it."""
    tables, keys = ["tool", "harness"], list(where)
    while len(keys) > 1 and keys[0] in ("compare", "floors"):
        tables.append(str(keys.pop(0)))
    name, *items = keys
    index = "".join(f"[{harmless(str(item))}]" for item in items)
    return f"{_shown(path)}: [{'.'.join(tables)}] {_key(str(name))}{index}"


def _key(name: str) -> str:
    return name if re.fullmatch(rf"[A-Za-z0-9_-]{{1,{MOST_SHOWN}}}", name) else _toml(name)


def _toml(value: object) -> str:
    """A value as the file has it, cut where it is long, harmless on a terminal."""
    if isinstance(value, Mapping):
        return "a table"
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."


def _shown(path: Path) -> str:
    """A path as it is reached from here."""
    return os.path.relpath(path)


def _existing(path: Path, key: str, number: int, name: str) -> str:
    where = path.parent / name
    if not where.exists():
        raise ConfigurationError(f"{_place(path, (key, number))} = {_toml(name)}: no such file or folder")
    return str(where)


def _located(path: Path, store: str | None) -> str | None:
    """A store's place, with a relative file made one that is relative to the configuration."""
    if store is None:
        return None
    url = re.fullmatch(r"(sqlite(?:\+\w+)?:///)([^/:?].*)", store)
    if url:
        return f"{url[1]}{path.parent / url[2]}"
    return store if "://" in store else str(path.parent / store)

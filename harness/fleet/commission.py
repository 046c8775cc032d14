"""What a client asks of the nodes for one run, as JSON; and the rows that come back, as JSON-able data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.outcome import Context
from harness.record import Record, Sample
from harness.timing.groups import Settings


@dataclass(frozen=True, slots=True)
class Commission:
    """One run as all of its nodes hear of it. `token` is of this client and run alone; `operators` are those whose
    tasks are run, `hidden` the files that no plugin may read where they exist; `parcel` is the digest of what comes
    along, and `plugins`, `trusted` and `cases` are names in it. `has_plugins` says whether code runs that is not
    this project's own, installed packages included."""

    token: str
    version: str
    digest: str
    context: Context
    deadline_s: float
    memory_limit_bytes: int | None
    sandbox: str
    operators: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    parcel: str = ""
    plugins: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    has_plugins: bool = False

    def as_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Commission:
        values = json.loads(text)
        values["context"] = Context(**values["context"])
        lists = ("operators", "hidden", "plugins", "trusted", "cases")
        return cls(**{**values, **{name: tuple(values[name]) for name in lists}})


def settings_as_data(settings: Settings) -> dict[str, Any]:
    """Those of one group, as they are sent."""
    return {"budget_s": settings.budget_s, "processes": settings.processes, "precision": settings.precision}


def row_as_data(row: Record | Sample) -> dict[str, Any]:
    """A row without what does not apply."""
    found = {field: getattr(row, field.name) for field in dataclasses.fields(row)}
    return {
        field.name: value for field, value in found.items() if value is not None or field.default is dataclasses.MISSING
    }


def rows_as_data(rows: Sequence[Record | Sample]) -> list[Mapping[str, Any]]:
    return [row_as_data(row) for row in rows]

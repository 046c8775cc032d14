"""Reading JSON that anybody may have written: sizes are limited, and a fault is named by file and key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness import documents
from harness.documents import LARGEST_BYTES, document_of, harmless, shown
from harness.interop.imported import LONGEST_NAME, UnreadableFile

__all__ = ["Loose", "Part", "checked", "document_of", "named", "place_of", "seconds", "shown", "text_of"]

HINT = "leave out the raw times (pytest-benchmark: --benchmark-save-data, asv: --record-samples)"


class Part(BaseModel):
    """A part of a file: what is named is checked strictly, what else is there is left alone."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)


class Loose(BaseModel):
    """The same, where NaN and infinities are numbers."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=True)


Model = TypeVar("Model", bound=BaseModel)


def text_of(path: Path) -> str:
    """A file's text. Raises UnreadableFile."""
    return documents.text_of(path, LARGEST_BYTES, HINT)


def checked(model: type[Model], document: Any, path: Path, at: Sequence[str | int] = ()) -> Model:
    """A part of a document as its model has it. Raises UnreadableFile with the place of the first fault."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        first = faults[0]
        place = place_of((*at, *first["loc"]))
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        found = "" if first["type"] == "missing" else f" is {shown(first['input'])}"
        words = "is missing" if first["type"] == "missing" else first["msg"][:1].lower() + first["msg"][1:]
        join = " " if first["type"] == "missing" else ": "
        raise UnreadableFile(f"{path}: {place}{found}{join}{words}{more}") from None


def place_of(where: Sequence[str | int]) -> str:
    """`benchmarks[3].stats.median`."""
    text = ""
    for one in where:
        text += f"[{one}]" if isinstance(one, int) else f"{'.' if text else ''}{harmless(one)}"
    return text or "the whole"


def named(name: str, path: Path, at: Sequence[str | int]) -> str:
    """A name of a benchmark, with characters that cannot be seen as escapes. Raises UnreadableFile."""
    if not name or len(name) > LONGEST_NAME:
        raise UnreadableFile(f"{path}: {place_of(at)} has {len(name)} characters; a name has 1 to {LONGEST_NAME}")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def seconds(value: float, path: Path, at: Sequence[str | int]) -> float:
    """A time in seconds that can be one. Raises UnreadableFile."""
    if not (math.isfinite(value) and 0.0 <= value < 1e9):
        raise UnreadableFile(f"{path}: {place_of(at)} is {shown(value)}, which is no time in seconds")
    return value

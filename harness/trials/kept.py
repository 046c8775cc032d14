"""Rows of trials that take long, one JSON object a line, written as each is made: an interrupted table goes on."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

from harness import documents
from harness.whole import write_whole

Row = dict[str, Any]


class Kept:
    """The rows of one kind of trial in a file, on one machine; without a path they are kept in memory only.

    Raises ValueError for a file that is no such file.
    """

    def __init__(self, path: Path | None, kind: str, machine_id: str) -> None:
        self._path = path
        self._mark = {"trial": kind, "machine_id": machine_id}
        self._rows: list[Row] = []
        if path is not None and path.exists():
            self._rows = [row for row in _read(path) if self._is_ours(row)]

    def _is_ours(self, row: Row) -> bool:
        return all(row.get(name) == value for name, value in self._mark.items())

    def add(self, row: Row) -> None:
        """Keep a row, in the file at once."""
        row = {**self._mark, **row}
        self._rows.append(row)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def rows(self, **wanted: Any) -> list[Row]:
        """The rows in which the named fields have these values, in the order in which they were made."""
        return [row for row in self._rows if all(row.get(name) == value for name, value in wanted.items())]

    def done(self, *fields: str) -> set[tuple[Hashable, ...]]:
        """What is there already, as the values of the fields."""
        found = [tuple(row.get(field) for field in fields) for row in self._rows]
        return {values for values in found if not any(isinstance(one, dict | list) for one in values)}


def _read(path: Path) -> Iterator[Row]:
    text = documents.text_of(path)  # UnreadableFile is a ValueError
    if text and not text.endswith("\n"):  # a line that was cut off when the trial was interrupted
        text = text[: text.rfind("\n") + 1]
        write_whole(path, text)
    for number, line in enumerate(text.split("\n")[:-1], 1):
        try:
            row = documents.document_of(line, path)
        except documents.UnreadableFile:
            row = None
        if not isinstance(row, dict):
            said = documents.shown(line)
            raise ValueError(f"{path}:{number}: no row of a trial: {said}; name another file with --output")
        yield row

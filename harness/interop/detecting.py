"""Which tool a file is of, and reading it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.interop import asv, bencher, google_benchmark, pytest_benchmark
from harness.interop.files import document_of, shown, text_of
from harness.interop.imported import Imported, UnreadableFile, beyond

READERS: Mapping[str, ModuleType] = {one.NAME: one for one in (pytest_benchmark, asv, google_benchmark, bencher)}

COMMIT = re.compile(r"(?!-)[\w.+@-]{1,100}")


def read(path: Path, format: str | None = None) -> Imported:
    """A file as what it says it is, or as `format`. Raises UnreadableFile."""
    text = text_of(path)
    document = document_of(text, path)
    if format is not None:
        reader = READERS[format]
        if not reader.matches(document) and format != bencher.NAME:
            raise UnreadableFile(f"{path}: is no file of {format}: {_what(document)}")
    else:
        reader = _reader(document, path)
    parse: Callable[[Any, str, Path], Imported] = reader.read
    found = parse(document, text, path)
    if found.started_at is not None and not 1970 <= found.started_at.year <= 2200:
        raise UnreadableFile(f"{path}: {found.started_at.isoformat()} is no time of a measurement")
    if found.commit is not None and not COMMIT.fullmatch(found.commit):
        raise UnreadableFile(f"{path}: {shown(found.commit)} is no name of a commit")
    for one in found.benchmarks:
        if words := beyond(one):
            raise UnreadableFile(f"{path}: {shown(one.task[0])}: {words}")
    if not found.benchmarks:
        raise UnreadableFile(f"{path}: holds no benchmark; there is nothing to store")
    return found


def _reader(document: Any, path: Path) -> ModuleType:
    for reader in READERS.values():
        if reader.matches(document):
            return reader
    raise UnreadableFile(f"{path}: is of no tool that is known ({', '.join(READERS)}): {_what(document)}")


def _what(document: Any) -> str:
    """What a document is instead, and what to do with it."""
    if isinstance(document, list):
        if document and isinstance(document[0], dict) and "machine_id" in document[0]:
            return "it is what `harness report --format json` writes; `harness compare` reads that as it is"
        if document and isinstance(document[0], dict) and {"name", "unit", "value"} <= document[0].keys():
            return "it is of github-action-benchmark, which is written only: it does not say what its values are"
        return "it is a list, and the results of all these tools are objects"
    if isinstance(document, dict):
        if "machine" in document and "num_cpu" in document:
            return "it is asv's machine.json; name a file of results in that folder: <commit>-<environment>.json"
        if any(isinstance(one, dict) and "param_names" in one for one in document.values()):
            return "it is asv's benchmarks.json; name a file of results below it: <machine>/<commit>-<environment>.json"
        keys = ", ".join(repr(key)[:40] for key in list(document)[:5])
        return f"its keys are {keys}" if keys else "it is an empty object"
    return f"it holds {type(document).__name__}, and no object"

"""Files of strangers as text and as JSON: of a limited size, and refused in one line that names the file and the place.

A file of JSON takes at most `MULTIPLE` times its own size of memory while it is read, whatever it holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LARGEST_BYTES = 100_000_000
MULTIPLE = 64
"""An empty object takes three bytes of a file and 64 of Python's memory, and the list that holds it another 8."""
DEEPEST = 100
MOST_SHOWN = 80
LONGEST_PATH = 1000
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10))}


class UnreadableFile(ValueError):
    """A file that is not taken in; the message says where, what was found, and what would be right."""


def bytes_of(path: Path, largest: int = LARGEST_BYTES, hint: str = "") -> bytes:
    """What a file holds: an ordinary file, not a device or a pipe. Raises UnreadableFile."""
    try:
        if not path.is_file():
            # asked again, for the reason of the system
            path.stat()
            raise UnreadableFile(f"{shown_path(path)}: is no file")
        size = path.stat().st_size
        with path.open("rb") as file:  # some files say 0 and hold more
            found = file.read(min(size, largest) + 1) if size else file.read(largest + 1)
    except OSError as error:
        raise UnreadableFile(f"{shown_path(path)}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # a null character in its name
        if isinstance(error, UnreadableFile):
            raise
        raise UnreadableFile(f"{shown_path(path)}: cannot be read: {error}") from None
    if max(size, len(found)) > largest:
        large = f"{max(size, len(found)) / 1e6:.0f} MB; at most {largest / 1e6:.0f} MB are read"
        raise UnreadableFile(f"{shown_path(path)}: {large}{hint and f': {hint}'}")
    return found


def text_of(path: Path, largest: int = LARGEST_BYTES, hint: str = "") -> str:
    """A file's text, without a byte order mark. Raises UnreadableFile."""
    try:
        return bytes_of(path, largest, hint).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableFile(f"{shown_path(path)}: is no UTF-8 text: byte {error.start} is {error.reason}") from None


def document_of(text: str, path: Path) -> Any:
    """The JSON of a text, bare NaN and Infinity allowed as Python and asv write them. Raises UnreadableFile for what is
    no JSON, nested more than DEEPEST deep, or has a key twice in one object."""
    where = shown_path(path)

    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise UnreadableFile(f"{where}: key {shown(twice)} is there twice in one object; which holds is not said")
        return found

    try:
        found = json.loads(text, object_pairs_hook=once)
        if _is_deep(found):
            raise RecursionError
        return found
    except UnreadableFile:
        raise
    except RecursionError:
        raise UnreadableFile(f"{where}: is nested too deeply, more than {DEEPEST} levels") from None
    except ValueError as error:
        raise UnreadableFile(f"{where}: is no JSON: {harmless(str(error), 200)}") from None


def read_document(path: Path, largest: int = LARGEST_BYTES, hint: str = "") -> Any:
    """The JSON of a file, as `document_of`. Raises UnreadableFile."""
    return document_of(text_of(path, largest, hint), path)


def shown(value: object) -> str:
    """A value as the file has it, cut where it is long, harmless on a terminal."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return harmless(json.dumps(value, ensure_ascii=False, default=str))


def shown_path(path: Path | str) -> str:
    """A path, harmless on a terminal: it may hold a line break, or an escape sequence."""
    return harmless(str(path), 4096)


def place_inside(folder: Path, name: object) -> Path:
    """Where a file of a relative name from data lies in a folder. Raises ValueError for what leaves the folder, also
    over a symbolic link, and for what is no name of a file everywhere (`a\\b`, `C:`, `CON`)."""
    if not isinstance(name, str) or not name or len(name) > LONGEST_PATH or not name.isprintable():
        raise ValueError(f"{shown(name)} is no name of a file: it is a text of 1 to {LONGEST_PATH} visible characters")
    parts = name.split("/")
    parts = [part for part in parts if part != "."]
    if "" in parts or ".." in parts or any(char in name for char in "\\:"):
        raise ValueError(f"{shown(name)} would lie outside of its folder, or nowhere")
    if not parts or any(is_device(part) for part in parts):
        raise ValueError(f"{shown(name)} is no name of a file on every system")
    place = folder.joinpath(*parts)
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{shown(name)} would lie outside of its folder: it is behind a symbolic link")
    return place


def is_device(part: str) -> bool:
    """Whether Windows takes the name of a file for a device's, whatever its suffix."""
    return part.split(".")[0].rstrip(" ").upper() in DEVICES


def storable(text: str) -> str:
    """Text that any database and any file takes: without null characters and halves of characters."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def harmless(text: str, longest: int = MOST_SHOWN) -> str:
    """Text without control characters and halves of characters, cut where it is long."""
    text = "".join(char if char.isprintable() else "?" for char in text[: longest + 1])
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _is_deep(document: Any) -> bool:
    """Whether lists and objects are nested more than DEEPEST deep."""
    level, depth = [document], 0
    while level and depth <= DEEPEST:
        inside = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level, depth = [one for values in inside for one in values if isinstance(one, dict | list)], depth + 1
    return bool(level)

"""The plugins, operators and cases that are named by path, as one archive that a node unpacks: the same files give the
same bytes. What is in it was chosen by the client's user; a node looks at every name all the same."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.declare import DeclarationError

LARGEST_BYTES = 16 << 20
"""Of all files together, unpacked."""
MOST_FILES = 5000
DEVICE_CODE = (".cu", ".cuh", ".h", ".hpp")
"""What a single plugin file may read from its own folder: it goes along."""
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Parcel:
    """The archive, its SHA-256, and by kind what was given, as names in the archive. A name that was no path stays
    as it is (`onnx` and `torch` among the cases)."""

    archive: bytes
    digest: str
    plugins: tuple[str, ...]
    operators: tuple[str, ...]
    cases: tuple[str, ...]


def pack(plugins: Sequence[str], operators: Sequence[str], cases: Sequence[str]) -> Parcel:
    """Raises DeclarationError for what cannot be sent."""
    files: dict[str, bytes] = {}
    names: list[tuple[str, ...]] = []
    for option, given in (("--plugin", plugins), ("--operators", operators), ("--cases", cases)):
        names.append(tuple(_added(option, number, path, files) for number, path in enumerate(given)))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)
    packed = target.getvalue()
    return Parcel(packed, hashlib.sha256(packed).hexdigest(), *names)


def _added(option: str, number: int, given: str, files: dict[str, bytes]) -> str:
    """The name in the archive of one path, whose files are added."""
    path = Path(given)
    if not path.exists():
        if option == "--cases":
            return given
        raise DeclarationError(f"{option} {given}: no such file or folder (looked in {Path.cwd()})")
    root = path.resolve()
    top = f"{option.strip('-')}/{number}"
    for file in _beneath(option, given, root) if root.is_dir() else _alone(root):
        inner = file.relative_to(root if root.is_dir() else root.parent).as_posix()
        try:
            files[f"{top}/{root.name}/{inner}" if root.is_dir() else f"{top}/{inner}"] = file.read_bytes()
        except OSError as error:
            raise DeclarationError(f"{option} {given}: {file} cannot be read: {error.strerror}") from None
        if len(files) > MOST_FILES or sum(map(len, files.values())) > LARGEST_BYTES:
            raise DeclarationError(
                f"{option} {given}: is sent to the nodes, and with it more than {MOST_FILES} files or "
                f"{LARGEST_BYTES >> 20} MiB; give it a folder of its own"
            )
    return f"{top}/{root.name}"


def _alone(file: Path) -> Iterator[Path]:
    """A file, and what device code lies beside it."""
    yield file
    for beside in sorted(file.parent.iterdir()):
        if beside.suffix in DEVICE_CODE and beside.is_file() and not beside.is_symlink():
            yield beside


def _beneath(option: str, given: str, root: Path) -> Iterator[Path]:
    """The files of a folder, but for what is hidden and what Python compiled. A link may lead to a file inside."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] != "." and name != "__pycache__")
        for name in sorted([*names, *(one for one in folders if Path(folder, one).is_symlink())]):
            file = Path(folder, name)
            if name[0] == ".":
                continue
            if file.is_symlink() and not file.resolve().is_relative_to(root):
                raise DeclarationError(f"{option} {given}: {file} leads out of the folder, which is sent to the nodes")
            if file.is_file():
                yield file


def unpack(archive: bytes, digest: str, folder: Path) -> None:
    """Into an empty folder. Raises ValueError for an archive that was changed, or is none of ours."""
    if hashlib.sha256(archive).hexdigest() != digest:
        raise ValueError("the archive of plugins is not what was sent")
    room = LARGEST_BYTES
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        if len(packed.infolist()) > MOST_FILES:
            raise ValueError("the archive of plugins holds too many files")
        for entry in packed.infolist():
            parts = PurePosixPath(entry.filename).parts
            if (
                entry.is_dir()
                or not parts
                or any(part in ("..", "/") or "\\" in part or "\0" in part for part in parts)
            ):
                raise ValueError(f"the archive of plugins holds a name that cannot be: {entry.filename!r}")
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with packed.open(entry) as source:
                held = source.read(room + 1)
            room -= len(held)
            if room < 0:
                raise ValueError("the archive of plugins is larger than it may be")
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(held)

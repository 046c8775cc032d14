"""Whether an implementation is the same code in two checkouts, found without running it.

A fingerprint is a digest over everything that reading can reach from the file that declares an implementation. Equal
fingerprints mean equal code; different ones only that something may differ. What is assumed:

- the harness itself (`harness` and all beneath it but `harness.implementations`) is the same on both sides, since a
  comparison takes it from one installation;
- installed packages are those of `harness.comparing.environment`; what is found in the checkout comes first;
- code that names no way to reach other files (harness.comparing.syntax lists them) reaches none but what it imports,
  the files beside those modules that are no Python, and its CUDA sources with what these include;
- code does not depend on the number of its lines, on its own comments, on the folder that it lies in, on files that
  git ignores, or on what a network answers.

Where another file may be reached in a way that cannot be followed, every file of the checkout counts, byte by byte.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.checkout import git_environment
from harness.comparing.syntax import Reference, digest_of, read

LARGEST = 10_000_000
"""Bytes up to which a file counts by its content; a larger one by its path and time, so that two never agree."""
PRODUCTS = (".pyc", ".pyo", ".o", ".obj", ".d", ".swp", ".tmp")
FOLDERS = {
    ".git", ".harness", ".hg", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox", ".venv",
    "__pycache__", "node_modules",
}  # fmt: skip
EXTENSIONS = (".so", ".pyd")
GIT_DEADLINE_S = 20.0
_INCLUDE = re.compile(
    rb"^[ \t]*#[ \t]*include(?:_next)?\b[ \t]*(?:\"(?P<quoted>[^\"\n]+)\"|(?P<system><)|(?P<macro>[^\s]))", re.M
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`digest` over the content of `files` (relative to the root); `whole_tree` where these are all there are, since
    some file may be reached in a way that cannot be followed: `doubt` says where and how."""

    digest: str
    files: tuple[str, ...]
    whole_tree: bool
    doubt: str = ""


@dataclass
class Closure:
    """The Python files that can be reached from one, the others that count with them, and the first doubt."""

    root: Path
    package_root: Path | None
    modules: dict[Path, str] = field(default_factory=dict)
    others: set[Path] = field(default_factory=set)
    doubt: str = ""
    listed: dict[Path, Mapping[str, Sequence[Path]]] = field(default_factory=dict)

    def add(self, file: Path) -> None:
        """A module, the packages around it, and all that these import."""
        waiting = [file]
        while waiting:
            path = waiting.pop()
            if path in self.modules or path in self.others:
                continue
            if path.suffix != ".py":
                self.others.add(path)
                continue
            waiting.extend(_packages_around(path, self.root))
            waiting.extend(self._reached_from(path))

    def add_sources(self, sources: Iterable[Path]) -> None:
        """CUDA sources, and what they include."""
        waiting = list(sources)
        while waiting:
            path = waiting.pop()
            if path in self.others:
                continue
            content = _content(path)
            if content is None:
                self._doubt(path, "it cannot be read")
                continue
            self.others.add(path)
            for found in _INCLUDE.finditer(content):
                if found["quoted"]:
                    included = path.parent / os.fsdecode(found["quoted"])
                    if included.is_file():
                        waiting.append(Path(os.path.normpath(included)))
                    else:
                        self._doubt(path, f"it includes {os.fsdecode(found['quoted'])}, which is not beside it")
                elif found["macro"]:
                    self._doubt(path, "it includes what a macro names")

    def add_data(self) -> None:
        """What lies beside the modules and sources and is no Python: data, headers, sources."""
        for folder in {path.parent for path in (*self.modules, *self.others)}:
            self.others.update(path for path in _inside(folder) if path.suffix != ".py")

    def imports_back(self, file: Path) -> bool:
        """Whether another module of the closure names a file that is in it."""
        for path in self.modules.keys() - {file}:
            module = read(_content(path) or b"")
            for reference in (*module.references, *module.stars):
                may_be = file.stem == "__init__" or file.stem in reference[1].split(".")
                if may_be and file in self._located(reference, path):
                    return True
        return False

    def _reached_from(self, path: Path) -> Iterator[Path]:
        content = _content(path)
        if content is None:
            self.modules[path] = "unreadable"
            self._doubt(path, "it cannot be read")
            return
        module = read(content)
        self.modules[path] = module.digest
        if module.doubt:
            self._doubt(path, module.doubt)
        for reference in module.references:
            yield from self._located(reference, path)
        for reference in module.stars:
            found = list(self._located(reference, path))
            if not found and not self._is_engine(reference):
                self._doubt(path, f"all names are taken from {reference[1]}")
            for package in found:
                if package.name == "__init__.py":
                    # __all__ may name submodules, which are then imported
                    yield from (one for one in _inside(package.parent) if one.suffix == ".py")
                    yield from package.parent.glob("*/__init__.py")

    def _located(self, reference: Reference, importer: Path) -> Iterator[Path]:
        """The files of a dotted name and of the packages on the way to it, wherever it may be found."""
        level, dotted = reference
        parts = [part for part in dotted.split(".") if part]
        if level:
            base = importer.parent
            for _ in range(level - 1):
                base = base.parent
            if not base.is_relative_to(self.root) and importer.is_relative_to(self.root):
                self._doubt(importer, "it imports from above the checkout")
                return
            yield from self._along(base, parts)
        elif parts[:1] == ["harness"]:
            if parts[1:2] == ["implementations"] and self.package_root is not None:
                yield from self._along(self.package_root, parts[2:])
        else:
            for base in (importer.parent, self.root / "src", self.root):
                if parts and parts[0] in self._list(base):
                    yield from self._along(base, parts)

    def _along(self, base: Path, parts: Sequence[str]) -> Iterator[Path]:
        """The module files along a dotted name that starts in a folder; none where its first part is not there."""
        for part in parts:
            inside = self._list(base)
            yield from inside.get("__init__", ())
            yield from inside.get(part, ())
            if part not in inside:
                return
            base = base / part
        yield from self._list(base).get("__init__", ())

    def _list(self, folder: Path) -> Mapping[str, Sequence[Path]]:
        """What may be imported from a folder by the first part of its name, looked up once; none for a folder in it."""
        if folder not in self.listed:
            found: dict[str, list[Path]] = {}
            for path in _entries(folder):
                files = found.setdefault(path.name.partition(".")[0], [])
                if (path.suffix == ".py" or path.suffix in EXTENSIONS) and path.is_file():
                    files.append(path)
            self.listed[folder] = found
        return self.listed[folder]

    def _is_engine(self, reference: Reference) -> bool:
        return reference[0] == 0 and reference[1].partition(".")[0] == "harness"

    def _doubt(self, path: Path, why: str) -> None:
        self.doubt = self.doubt or f"{relative(path, self.root)}: {why}"


def fingerprint(file: Path, root: Path, sources: Sequence[str] = (), package_root: Path | None = None) -> Fingerprint:
    """What an implementation that `file` declares is made of, in the checkout `root`.

    `sources` are its CUDA sources. `package_root` is the folder that is imported as `harness.implementations`, where
    the checkout has one of its own. Paths are relative to the root, so that two checkouts of the same code agree.
    Implementations of one file with the same sources have the same fingerprint: ask once for them.
    """
    closure = closure_of(file, root, sources, package_root)
    if closure.doubt:
        files = set(tree_files(closure.root)) | set(closure.modules) | closure.others
        parts = _raw(files, closure.root)
    else:
        parts = {relative(path, closure.root): digest for path, digest in closure.modules.items()}
        parts |= _raw(closure.others, closure.root)
    entry = relative(Path(os.path.abspath(file)).resolve(), closure.root)
    listed = [text for name in sorted(parts) for text in (name, parts[name])]
    names = tuple(sorted(parts))
    return Fingerprint(digest_of(entry, str(bool(closure.doubt)), *listed), names, bool(closure.doubt), closure.doubt)


def closure_of(file: Path, root: Path, sources: Sequence[str] = (), package_root: Path | None = None) -> Closure:
    """All files that count for an implementation, as far as they can be followed."""
    root = root.resolve()
    closure = Closure(root, package_root.resolve() if package_root else None)
    closure.add(file.resolve())
    closure.add_sources(Path(source).resolve() if os.path.isabs(source) else root / source for source in sources)
    closure.add_data()
    return closure


def others_of(closure: Closure) -> dict[str, str]:
    """The digests of the files of a closure that are no Python, by their path relative to the root."""
    return _raw(closure.others, closure.root)


def tree_files(root: Path) -> list[Path]:
    """All files of a checkout that git knows or would add; all files but caches where there is no git."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(
            command,
            capture_output=True,
            timeout=GIT_DEADLINE_S,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**git_environment(), "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout
    except (OSError, subprocess.SubprocessError):
        listed = b""
    found = [root / os.fsdecode(name) for name in listed.split(b"\0") if name]
    if found:
        return sorted(path for path in set(found) if path.is_file())
    walked = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - FOLDERS)
        walked += [Path(folder, name) for name in names if not name.endswith(PRODUCTS)]
    return sorted(path for path in walked if path.is_file())


def _packages_around(path: Path, root: Path) -> Iterator[Path]:
    for folder in path.parents:
        if not folder.is_relative_to(root):
            return
        if (folder / "__init__.py").is_file():
            yield folder / "__init__.py"


def _inside(folder: Path) -> list[Path]:
    """The files of a folder, without what compilers and editors leave, and what makes it a worktree."""
    return [
        path for path in _entries(folder) if path.is_file() and path.name != ".git" and not path.name.endswith(PRODUCTS)
    ]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _raw(files: Iterable[Path], root: Path) -> dict[str, str]:
    found = {}
    for path in files:
        content = _content(path)
        if content is None:
            try:
                state = path.stat()
                content = f"{path} {state.st_size} {state.st_mtime_ns}".encode("utf-8", "surrogatepass")
            except OSError:
                content = f"unreadable {path}".encode("utf-8", "surrogatepass")
        found[relative(path, root)] = digest_of("raw", content)
    return found


def _content(path: Path) -> bytes | None:
    """What a file holds; None if it cannot be read, or is too large to count by its content."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        return path.read_bytes()
    except OSError:
        return None


def relative(path: Path, root: Path) -> str:
    """A path below the root as it is called in every checkout; any other as it is."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()

"""DECLARE: what exists. Operators are imported (they are trusted); implementations are read by a worker, as data."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import pkgutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.declare import Accumulation, Declaration, DeclarationError, Operator, Tree
from harness.nearest import nearest
from harness.process import START_DEADLINE_S, WorkerFailure, WorkerProcess

ENTRY_POINTS = "harness"
OPERATOR_ENTRY_POINTS = "harness.operators"
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Source:
    """A module that declares implementations: importable by `name`, or from the file `path` under that name."""

    name: str
    path: str
    file: str


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """A Backend as data. `missing` says why it cannot run here, or is None."""

    name: str
    library: str
    missing: str | None
    array_type: str
    dtypes: tuple[str, ...]
    module: str
    path: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that was declared and cannot be used; everything else goes on."""

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Registry:
    """All that exists here. `declarations` are sorted by operator, backend and name."""

    operators: Mapping[str, Operator]
    backends: Mapping[str, BackendInfo]
    declarations: tuple[Declaration, ...]
    problems: tuple[Problem, ...] = field(default=())

    def missing(self, declaration: Declaration) -> str | None:
        """Why a declaration cannot run here, or None."""
        return self.backends[declaration.backend].missing


def load(plugins: Sequence[str] = (), operators: Sequence[str] = ()) -> Registry:
    """Everything built in, installed under the entry-point groups, or named by path.

    `plugins` are files or folders with implementations: they are read in a worker. `operators` are files with
    Operators: they are trusted, and imported here. Raises DeclarationError for a path that does not exist.
    """
    problems: list[Problem] = []
    found = _operators(operators, problems)
    sources = [*_builtin_sources(), *_entry_points(ENTRY_POINTS), *_plugin_sources(plugins)]
    read = _read(sources)
    backends = _backends(sources, read, problems)
    declarations = _declarations(sources, read, found, backends, problems)
    return Registry(found, backends, declarations, tuple(problems))


def _operators(paths: Sequence[str], problems: list[Problem]) -> dict[str, Operator]:
    import harness.cases

    modules: list[ModuleType] = []
    for info in pkgutil.iter_modules(harness.cases.__path__, "harness.cases."):
        modules.append(importlib.import_module(info.name))
    for source in _entry_points(OPERATOR_ENTRY_POINTS):
        try:
            modules.append(importlib.import_module(source.name))
        except Exception as error:
            problems.append(Problem(source.name, f"{type(error).__name__}: {error}"))
    for path in paths:
        modules.append(_import_operator_file(path))
    found: dict[str, Operator] = {}
    owner: dict[str, ModuleType] = {}
    for module in modules:
        for thing in vars(module).values():
            if not isinstance(thing, Operator) or found.get(thing.name) is thing:
                continue
            if thing.name in found:
                first = owner[thing.name].__name__
                problems.append(Problem(module.__name__, f"operator {thing.name} is already declared by {first}"))
                continue
            found[thing.name], owner[thing.name] = thing, module
    return dict(sorted(found.items()))


def _import_operator_file(path: str) -> ModuleType:
    file = Path(path).resolve()
    spec = importlib.util.spec_from_file_location(f"harness_operators_{file.stem}", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise DeclarationError(f"--operators {path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _builtin_sources() -> list[Source]:
    """The files of harness.implementations, found without importing any of them."""
    spec = importlib.util.find_spec("harness.implementations")
    sources = []
    for folder in spec.submodule_search_locations or () if spec else ():
        for file in sorted(Path(folder).glob("*/*.py")):
            name = f"harness.implementations.{file.parent.name}"
            sources.append(Source(name if file.stem == "__init__" else f"{name}.{file.stem}", "", str(file)))
    return sources


def _entry_points(group: str) -> list[Source]:
    sources = []
    for point in importlib.metadata.entry_points(group=group):
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(point.module.partition(".")[0])
            base = Path(spec.origin).parent if spec and spec.origin else Path()
            relative = point.module.split(".")[1:]
            file = base.joinpath(*relative).with_suffix(".py") if relative else base / "__init__.py"
            sources.append(Source(point.module, "", str(file)))
    return sources


def _plugin_sources(paths: Sequence[str]) -> list[Source]:
    sources = []
    for path in paths:
        given = Path(path)
        if not given.exists():
            raise DeclarationError(f"--plugin {path}: no such file or folder (looked in {Path.cwd()})")
        files = [given] if given.is_file() else sorted(given.glob("*.py"))
        if not files:
            raise DeclarationError(f"--plugin {path}: the folder holds no Python file")
        for file in files:
            file = file.resolve()
            tag = hashlib.sha256(str(file).encode()).hexdigest()[:8]
            sources.append(Source(f"harness_plugin_{file.stem}_{tag}", str(file), str(file)))
    return sources


# ---- reading, with a cache by the file's content


def _read(sources: Sequence[Source]) -> dict[str, dict[str, Any]]:
    """What each source declares, by its name: from the cache, or from a worker that reads the file now."""
    cache_file = _cache_folder() / "declarations.json"
    cached = _load_cache(cache_file)
    libraries = _installed_libraries()
    keys = {source.name: _key(source, libraries) for source in sources}
    unread = [source for source in sources if keys[source.name] not in cached]
    if unread:
        fresh = _read_in_worker(unread)
        cached.update({keys[name]: data for name, data in fresh.items() if "error" not in data})
        _save_cache(cache_file, cached)
        return {source.name: fresh.get(source.name) or cached[keys[source.name]] for source in sources}
    return {source.name: cached[keys[source.name]] for source in sources}


def _read_in_worker(sources: Sequence[Source]) -> dict[str, dict[str, Any]]:
    """Read all at once; if that kills the worker, one by one, so that only the culprit is lost."""
    try:
        return _ask_to_read(sources)
    except WorkerFailure as failure:
        if len(sources) == 1:
            return {sources[0].name: {"error": f"reading it failed: {failure.status}: {failure.reason}"}}
        return {name: data for source in sources for name, data in _read_in_worker([source]).items()}


def _ask_to_read(sources: Sequence[Source]) -> dict[str, dict[str, Any]]:
    worker = WorkerProcess()
    try:
        reply = worker.ask(
            {
                "do": "read",
                "modules": [{"name": source.name, "path": source.path} for source in sources],
                "placeholders": list(FRAMEWORKS),
            },
            START_DEADLINE_S,
        )
    finally:
        worker.close()
    return {source.name: data for source, data in zip(sources, reply["modules"], strict=True)}


FRAMEWORKS = ("torch", "cupy", "jax", "triton", "numba", "tensorflow", "cupyx", "jaxlib")
"""Libraries that are never imported to read a declaration."""


def _installed_libraries() -> str:
    """Versions of what backends stand for, so that installing one makes its backend be asked again."""
    found = []
    for name in FRAMEWORKS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{name}={importlib.metadata.version(name)}")
    return ",".join(found)


def _key(source: Source, libraries: str) -> str:
    digest = hashlib.sha256()
    for part in (VERSION, sys.version, sys.prefix, libraries, source.name, source.path, source.file):
        digest.update(part.encode() + b"\0")
    with contextlib.suppress(OSError):
        digest.update(Path(source.file).read_bytes())
    return digest.hexdigest()


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kernel-harness"


def _load_cache(file: Path) -> dict[str, dict[str, Any]]:
    try:
        loaded = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _save_cache(file: Path, cached: dict[str, dict[str, Any]]) -> None:
    """Replace the file as a whole; a cache that cannot be written is no reason to stop."""
    newest = dict(list(cached.items())[-2000:])
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(newest))
        os.replace(temporary, file)


# ---- from data to declarations


def _backends(
    sources: Sequence[Source], read: Mapping[str, dict[str, Any]], problems: list[Problem]
) -> dict[str, BackendInfo]:
    found: dict[str, BackendInfo] = {}
    for source in sources:
        for data in read[source.name].get("backends", ()):
            info = BackendInfo(**{**data, "dtypes": tuple(data["dtypes"])}, module=source.name, path=source.path)
            if info.name in found and found[info.name].module != source.name:
                first = found[info.name].module
                problems.append(Problem(source.name, f"backend {info.name} is already declared by {first}"))
                continue
            found[info.name] = info
    return found


def _declarations(
    sources: Sequence[Source],
    read: Mapping[str, dict[str, Any]],
    operators: Mapping[str, Operator],
    backends: Mapping[str, BackendInfo],
    problems: list[Problem],
) -> tuple[Declaration, ...]:
    found: dict[str, Declaration] = {}
    for source in sources:
        data = read[source.name]
        if "error" in data:
            problems.append(Problem(source.file, str(data["error"])))
            continue
        for one in data["implementations"]:
            declared = _declaration(source, one)
            trouble = _trouble(declared, operators, backends, found)
            if trouble:
                problems.append(Problem(f"{source.file}:{declared.line}", trouble))
            else:
                found[declared.id] = declared
    return tuple(found[key] for key in sorted(found))


def _declaration(source: Source, data: Mapping[str, Any]) -> Declaration:
    accumulation = data["accumulation"]
    if accumulation is not None:
        strided = accumulation["strided"]
        accumulation = Accumulation(
            **{**accumulation, "tree": Tree(**accumulation["tree"]), "strided": Tree(**strided) if strided else None}
        )
    return Declaration(
        operator=str(data["operator"]),
        backend=str(data["backend"]),
        implementation=str(data["implementation"]),
        accumulation=accumulation,
        module=source.name,
        path=source.path,
        line=int(data["line"]),
        has_gradient=bool(data["has_gradient"]),
        has_prepare=bool(data["has_prepare"]),
        summary=str(data["summary"]),
    )


def _trouble(
    declared: Declaration,
    operators: Mapping[str, Operator],
    backends: Mapping[str, BackendInfo],
    found: Mapping[str, Declaration],
) -> str:
    """What is wrong with a declaration: where, what was found, and what would be right; empty if nothing is."""
    if declared.operator not in operators:
        return f"{declared.implementation}: there is no operator {declared.operator!r}{_hint(declared.operator, operators)}"
    if declared.backend not in backends:
        return f"{declared.implementation}: there is no backend {declared.backend!r}{_hint(declared.backend, backends)}"
    if not declared.implementation.isidentifier():
        return f"the name {declared.implementation!r} is no Python identifier; it would break ids and selectors"
    if declared.id in found:
        first = found[declared.id]
        return f"{declared.id} is already declared by {first.path or first.module}; give this one another name="
    return ""


def _hint(name: str, known: Iterable[str]) -> str:
    close = nearest(name, known)
    return f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(sorted(known))}"

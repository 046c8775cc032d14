"""DECLARE: which modules declare implementations, and what: read in a worker, and cached by the file's content."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import cache
from harness.checkout import Checkout
from harness.cuda import building
from harness.declare import DeclarationError
from harness.process import START_DEADLINE_S, WorkerFailure, WorkerProcess
from harness.whole import write_whole

CACHE_FORMAT = "6"
FRAMEWORKS = ("torch", "cupy", "jax", "triton", "numba", "tensorflow", "cupyx", "jaxlib")
"""Libraries that are never imported to read a declaration."""
READING_BYTES = 16 << 30
"""Address space of a worker that reads a plugin: libraries and drivers may be looked for, nothing is computed."""
DRIVER = "/dev/nvidiactl"
"""The device file that is there where NVIDIA's driver is loaded."""
VARIABLES = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "TRITON_INTERPRET")


@dataclass(frozen=True, slots=True)
class Source:
    """A module that declares implementations: importable by `name`, or from the file `path` under that name."""

    name: str
    path: str
    file: str


def builtin_sources(checkout: Checkout | None = None) -> list[Source]:
    """The files of harness.implementations, found without importing any of them; those of a checkout that has them."""
    if checkout is not None and checkout.implementations:
        folders = [str(checkout.implementations)]
    else:
        spec = importlib.util.find_spec("harness.implementations")
        folders = list(spec.submodule_search_locations or ()) if spec else []
    sources = []
    for folder in folders:
        for file in sorted(Path(folder).glob("*/*.py")):
            name = f"harness.implementations.{file.parent.name}"
            sources.append(Source(name if file.stem == "__init__" else f"{name}.{file.stem}", "", str(file)))
    return sources


def entry_points(group: str) -> list[Source]:
    sources = []
    for point in importlib.metadata.entry_points(group=group):
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(point.module.partition(".")[0])
            base = Path(spec.origin).parent if spec and spec.origin else Path()
            relative = point.module.split(".")[1:]
            file = base.joinpath(*relative).with_suffix(".py") if relative else base / "__init__.py"
            sources.append(Source(point.module, "", str(file)))
    return sources


def plugin_sources(paths: Sequence[str]) -> list[Source]:
    sources = []
    for path in paths:
        given = Path(path)
        if not given.exists():
            raise DeclarationError(f"--plugin {path}: no such file or folder (looked in {Path.cwd()})")
        files = [given] if given.is_file() else sorted(given.glob("*.py"))
        if not files:
            raise DeclarationError(f"--plugin {path}: the folder holds no Python file")
        for file in (one.resolve() for one in files):
            tag = hashlib.sha256(str(file).encode()).hexdigest()[:8]
            sources.append(Source(f"harness_plugin_{file.stem}_{tag}", str(file), str(file)))
    return sources


def read(sources: Sequence[Source], checkout: Checkout | None = None) -> dict[str, dict[str, Any]]:
    """What each source declares, by its name: from the cache, or from a worker that reads the file now. What a checkout
    declares is read afresh: it may come from any file there."""
    if checkout is not None:
        found = _read_in_worker([source for source in sources if not source.path], checkout)
        for source in sources:
            if source.path:
                found.update(_read_in_worker([source], checkout))
        return found
    cache_file = cache.folder() / "declarations.json"
    cached = _load_cache(cache_file)
    libraries = _installed_libraries()
    keys = {source.name: _key(source, libraries) for source in sources}
    unread = [source for source in sources if keys[source.name] not in cached]
    if unread:
        # plugins are strangers to each other and to what is built in: each is read in a worker of its own
        fresh = _read_in_worker([source for source in unread if not source.path])
        for source in unread:
            if source.path:
                fresh.update(_read_in_worker([source]))
        cached.update({keys[name]: data for name, data in fresh.items() if "error" not in data})
        _save_cache(cache_file, cached)
        return {source.name: fresh.get(source.name) or cached[keys[source.name]] for source in sources}
    return {source.name: cached[keys[source.name]] for source in sources}


def _read_in_worker(sources: Sequence[Source], checkout: Checkout | None = None) -> dict[str, dict[str, Any]]:
    """Read all at once; if that kills the worker, one by one, so that only the culprit is lost."""
    if not sources:
        return {}
    try:
        return _ask_to_read(sources, checkout)
    except WorkerFailure as failure:
        if len(sources) == 1:
            return {sources[0].name: {"error": f"reading it failed: {failure.status}: {failure.reason}"}}
        return {name: data for source in sources for name, data in _read_in_worker([source], checkout).items()}


def _ask_to_read(sources: Sequence[Source], checkout: Checkout | None) -> dict[str, dict[str, Any]]:
    # whether a backend is missing may be asked of a driver
    plugins = any(source.path for source in sources)
    worker = WorkerProcess(checkout=checkout, devices=True, memory_limit=READING_BYTES if plugins else 0)
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
    modules = reply.get("modules")
    if not isinstance(modules, list) or len(modules) != len(sources) or not all(map(_is_readable, modules)):
        raise WorkerFailure("untrusted", "it did not say what it declares in the way that was asked for")
    return {source.name: data for source, data in zip(sources, modules, strict=True)}


def _is_readable(data: Any) -> bool:
    """Whether a module was described as `harness.modules` does; the values are judged by the registry."""
    if not isinstance(data, dict):
        return False
    if "error" in data:
        return True
    parts = ("implementations", IMPLEMENTATION), ("backends", BACKEND)
    return all(
        isinstance(data.get(key), list) and all(isinstance(one, dict) and one.keys() == keys for one in data[key])
        for key, keys in parts
    )


IMPLEMENTATION = {
    "operator", "backend", "implementation", "accumulation", "has_gradient", "has_prepare", "line", "summary",
    "known", "sources",
}  # fmt: skip
BACKEND = {"name", "library", "missing", "array_type", "dtypes", "differentiates", "timed", "reserves", "has_timer"}


def _installed_libraries() -> str:
    """What a backend's answer to whether it is missing depends on, so that it is asked again when that changes.

    Libraries by their file, since a package may be called otherwise (cupy-cuda13x); the driver, which offers a GPU; the
    C++ compiler; and the variables that hide a GPU or choose an interpreter.
    """
    found = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    found += [f"driver={os.path.exists(DRIVER)}", f"compiler={building.compiler()}"]
    for name in FRAMEWORKS:
        with contextlib.suppress(ImportError, ValueError, OSError):
            spec = importlib.util.find_spec(name)
            if spec and spec.origin:
                found.append(f"{spec.origin}={os.stat(spec.origin).st_mtime_ns}")
    return ",".join(found)


def _key(source: Source, libraries: str) -> str:
    digest = hashlib.sha256()
    for part in (CACHE_FORMAT, sys.version, sys.prefix, libraries, source.name, source.path, source.file):
        digest.update(part.encode() + b"\0")
    with contextlib.suppress(OSError):
        digest.update(Path(source.file).read_bytes())
        # what a module declares may come from those beside it, which it imports
        for beside in sorted(Path(source.file).parent.glob("*.py")):
            found = beside.stat()
            digest.update(f"{beside.name} {found.st_size} {found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _load_cache(file: Path) -> dict[str, dict[str, Any]]:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(loaded, dict):
        return {}
    return {key: data for key, data in loaded.items() if _is_readable(data) and "error" not in data}


def _save_cache(file: Path, cached: dict[str, dict[str, Any]]) -> None:
    """Replace the file as a whole; a cache that cannot be written is no reason to stop."""
    newest = dict(list(cached.items())[-2000:])
    with contextlib.suppress(OSError):
        write_whole(file, json.dumps(newest))

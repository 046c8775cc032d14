"""Worker side: import a module of plugins, and read what it declares as plain data.

To read declarations no framework is needed: while a module is read, the libraries of all backends are placeholders,
so that listing is quick, and complete where a library is missing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.implement import Backend, Implementation, implementations_in


@dataclass(frozen=True, slots=True)
class Found:
    """What one module declares."""

    implementations: list[Implementation]
    backends: list[Backend]


def import_module(name: str, path: str) -> Found:
    """Import by name, or from a file where `path` is not empty, and collect what was marked."""
    if not path:
        module = importlib.import_module(name)
    elif name in sys.modules:
        module = sys.modules[name]
    else:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    things = list(vars(module).values())
    return Found(implementations_in(things), [thing for thing in things if isinstance(thing, Backend)])


def read_modules(modules: Sequence[dict[str, str]], placeholders: Sequence[str]) -> list[dict[str, Any]]:
    """The declarations of each module as data, or the error that reading it raised."""
    answers: list[dict[str, Any]] = []
    with _placeholders(placeholders):
        for module in modules:
            try:
                found = import_module(module["name"], module["path"])
                answers.append(
                    {
                        "implementations": [_implementation_data(one) for one in found.implementations],
                        "backends": [_backend_data(one) for one in found.backends],
                    }
                )
            except (Exception, SystemExit) as error:
                answers.append({"error": f"{type(error).__name__}: {error}"})
    return answers


def _implementation_data(one: Implementation) -> dict[str, Any]:
    code = getattr(inspect.unwrap(one.function), "__code__", None)
    return {
        "operator": one.operator,
        "backend": one.backend,
        "implementation": one.name,
        "accumulation": None if one.accumulation is None else dataclasses.asdict(one.accumulation),
        "has_gradient": one.gradient is not None,
        "has_prepare": one.prepare is not None,
        "known": dict(one.known or {}),
        "sources": [[path, list(instances)] for path, instances in one.sources],
        "line": getattr(code, "co_firstlineno", 0),
        "summary": ((one.function.__doc__ or "").strip().splitlines() or [""])[0],
    }


def _backend_data(one: Backend) -> dict[str, Any]:
    with _real_libraries():
        missing = one.missing()
    return {
        "name": one.name,
        "library": one.library,
        "missing": missing,
        "array_type": one.array_type,
        "dtypes": list(one.dtypes),
        "differentiates": one.differentiate is not None,
        "timed": one.timed,
        "reserves": one.reserves,
        "has_timer": one.timer is not None,
    }


class _Placeholder(types.ModuleType):
    """A module whose every attribute is a stand-in that can be called, subscripted and used as a decorator."""

    __path__: list[str] = []  # noqa: RUF012 - typeshed declares it so

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        from unittest.mock import MagicMock  # 20 ms, and most workers only run

        return MagicMock(name=f"{self.__name__}.{name}")


class _PlaceholderFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a placeholder for every module beneath the given names, before the real one is found."""

    def __init__(self, libraries: Sequence[str]) -> None:
        self._libraries = set(libraries)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] in self._libraries:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Placeholder(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


@contextlib.contextmanager
def _placeholders(libraries: Sequence[str]) -> Iterator[None]:
    finder = _PlaceholderFinder(libraries)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


@contextlib.contextmanager
def _real_libraries() -> Iterator[None]:
    """Take the placeholders away for a moment, to ask what is really installed."""
    finders = [finder for finder in sys.meta_path if isinstance(finder, _PlaceholderFinder)]
    # by type() and over a copy: isinstance asks a module for its __class__, and a lazy one then imports more of them
    hidden = {name: module for name, module in list(sys.modules.items()) if type(module) is _Placeholder}
    for name in hidden:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in finders]
    try:
        yield
    finally:
        sys.meta_path[:0] = finders
        sys.modules.update(hidden)

"""Untrusted side of the instruction counts: one implementation, called a number of times, and nothing else.

Run as a script, `python -P calling.py REQUEST INPUTS CALLS`, by an interpreter that may know of no harness, or of
another one. REQUEST is JSON, INPUTS an .npz of raw bytes.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ALIGNMENT = 64
"""Inputs begin at multiples of so many bytes: which of NumPy's loops takes the first elements depends on that."""


def main(arguments: list[str]) -> None:
    request = json.loads(Path(arguments[0]).read_text())
    _stand_in(**request["imports"])
    function, backend = _function(request)
    with np.load(arguments[1], allow_pickle=False) as stored:
        arrays = [_aligned(stored[f"input{number}"], one) for number, one in enumerate(request["inputs"])]
    placed = [backend.from_host(array) for array in arrays]
    parameters = dict(request["case"]["parameters"])
    np.seterr(all="ignore")
    gc.collect()
    gc.disable()
    for _ in range(int(arguments[2])):
        function(*placed, **parameters)
        backend.wait()


def _stand_in(engine: str, implementations: str, folders: list[str]) -> None:
    """Have `harness` imported from the folder `engine`, its implementations from another, and all else from `folders`
    first: as in the workers of a checkout."""
    harness = _package("harness", engine)
    if implementations:
        harness.implementations = _package("harness.implementations", implementations)  # type: ignore[attr-defined]
    sys.path[0:0] = folders


def _package(name: str, folder: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, f"{folder}/__init__.py", submodule_search_locations=[folder])
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is no package")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _function(request: dict[str, Any]) -> tuple[Callable[..., Any], Any]:
    from harness.declare import Case
    from harness.modules import import_module

    target, where, message = request["target"], request["backend"], request["case"]
    backends = import_module(where["module"], where["path"]).backends
    (backend,) = [one for one in backends if one.name == where["name"]]
    (declared,) = [
        one
        for one in import_module(target["module"], target["path"]).implementations
        if (one.operator, one.backend, one.name) == (target["operator"], target["backend"], target["implementation"])
    ]
    if declared.prepare is None:
        return declared.function, backend
    shapes = tuple(tuple(shape) for shape in message["shapes"])
    parameters = tuple((name, value) for name, value in message["parameters"])
    return declared.prepare(Case(message["dtype"], shapes, parameters)), backend


def _aligned(content: np.ndarray, described: dict[str, Any]) -> np.ndarray:
    """An array from its bytes, at an aligned address."""
    room = np.empty(content.size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    room[start : start + content.size] = content
    return room[start : start + content.size].view(_dtype(described["dtype"])).reshape(described["shape"])


def _dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)  # type: ignore[no-any-return]
    return np.dtype(name)


if __name__ == "__main__":
    main(sys.argv[1:])

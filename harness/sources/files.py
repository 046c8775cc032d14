"""Cases with given inputs as JSON files: what a search found, what another project tests, what a user has seen fail.

One format for all: a list of cases, each with its arrays as base64 of their bytes, little endian. Reading checks every
field, and a file that is not what it should be is refused with the place of the fault.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness import cache
from harness.declare import LAYOUTS, Case, DeclarationError
from harness.precision import numpy_dtype
from harness.sources import Sourced

FORMAT = 1
LIBRARIES = {"onnx": "onnx", "torch": "torch"}
"""Sources that are read from an installed package: their name, and the package whose version names the cache."""
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "bool")


def read_cases(name: str) -> tuple[Sourced, ...]:
    """The cases of a source: `onnx`, `torch`, a file, or a folder of files.

    Raises DeclarationError for what does not exist or is no file of cases, ImportError for a library that is missing.
    """
    if name in LIBRARIES:
        return read_file(_exported(name))
    path = Path(name)
    if path.is_dir():
        return tuple(case for file in sorted(path.glob("*.json")) for case in read_file(file))
    if not path.is_file():
        raise DeclarationError(f"--cases {name}: no such file or folder; there are also {', '.join(LIBRARIES)}")
    return read_file(path)


def write_file(path: Path, cases: Iterable[Sourced]) -> None:
    """Write cases; the file appears as a whole."""
    text = json.dumps({"format": FORMAT, "cases": [_as_data(one) for one in cases]}, indent=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def read_file(path: Path) -> tuple[Sourced, ...]:
    """Read cases; DeclarationError says what is wrong where."""
    try:
        data = json.loads(path.read_text())
        if data["format"] != FORMAT:
            raise DeclarationError(f"{path}: format {data['format']!r}; this kernel-harness reads format {FORMAT}")
        cases = data["cases"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DeclarationError(f"{path}: no file of cases: {type(error).__name__}: {error}") from None
    found = []
    for number, one in enumerate(cases):
        try:
            found.append(_from_data(one))
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise DeclarationError(f"{path}: case {number}: {type(error).__name__}: {error}") from None
    return tuple(found)


def named(operator: str, case: Case, inputs: tuple[np.ndarray, ...]) -> str:
    """A short name for inputs, the same for the same inputs."""
    digest = hashlib.sha256(f"{operator}/{case.id}".encode())
    for array in inputs:
        digest.update(array.tobytes())
    return digest.hexdigest()[:10]


def _exported(name: str) -> Path:
    """The cases of an installed package as a file in the cache, made by a process of its own: their test libraries
    change settings of the process that imports them."""
    try:
        version = importlib.metadata.version(LIBRARIES[name])
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(
            f"--cases {name}: {LIBRARIES[name]} is not installed; type: pip install 'kernel-harness[cases]'"
        ) from None
    source = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py"))))
    path = cache.folder() / f"cases-{name}-{version}-{source.hexdigest()[:10]}.json"
    if not path.is_file():
        done = subprocess.run([sys.executable, "-m", __name__, name, str(path)], capture_output=True, text=True)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise ImportError(f"--cases {name}: {last[0]}")
    return path


def _as_data(one: Sourced) -> dict[str, Any]:
    case = one.case
    return {
        "operator": one.operator,
        "dtype": case.dtype,
        "parameters": [[name, value] for name, value in case.parameters],
        "values": case.values,
        "layout": case.layout,
        "raises": case.raises,
        "inputs": [_array_data(array) for array in one.inputs],
        "expected": None if one.expected is None else _array_data(one.expected),
        "rtol": one.rtol,
        "atol": one.atol,
    }


def _from_data(data: Mapping[str, Any]) -> Sourced:
    inputs = tuple(_array(one) for one in data["inputs"])
    if data["layout"] not in LAYOUTS or data["dtype"] not in DTYPES:
        raise ValueError(f"layout {data['layout']!r}, dtype {data['dtype']!r}")
    parameters = tuple(
        (str(name), tuple(value) if isinstance(value, list) else value) for name, value in data["parameters"]
    )
    case = Case(
        data["dtype"],
        tuple(array.shape for array in inputs),
        parameters,
        values=str(data["values"]),
        layout=data["layout"],
        raises=str(data["raises"]),
    )
    expected = None if data["expected"] is None else _array(data["expected"])
    return Sourced(str(data["operator"]), case, inputs, expected, float(data["rtol"]), float(data["atol"]))


def _array_data(array: np.ndarray) -> dict[str, Any]:
    array = np.asarray(array)
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _array(data: Mapping[str, Any]) -> np.ndarray:
    if data["dtype"] not in DTYPES:
        raise ValueError(f"an array of dtype {data['dtype']!r}; there are {', '.join(DTYPES)}")
    raw = base64.b64decode(data["data"], validate=True)
    return np.frombuffer(raw, numpy_dtype(data["dtype"])).reshape([int(size) for size in data["shape"]]).copy()


def main(arguments: list[str]) -> None:
    from harness import sources

    name, path = arguments
    loaded = sources.onnx_cases() if name == "onnx" else sources.torch_cases()
    write_file(Path(path), [one for one in loaded.cases if all(array.dtype.name in DTYPES for array in one.inputs)])


if __name__ == "__main__":
    main(sys.argv[1:])

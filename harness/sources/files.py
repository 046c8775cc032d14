"""Cases with given inputs as JSON files: what a search found, what another project tests, what a user has seen fail.

One format for all: a list of cases, each with its arrays as base64 of their bytes, little endian. Reading checks every
field, and a file that is not what it should be is refused with the place of the fault.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness import cache, documents
from harness.declare import LAYOUTS, Case, DeclarationError
from harness.precision import numpy_dtype
from harness.sources import Sourced

FORMAT = 1
LIBRARIES = {"onnx": "onnx", "torch": "torch"}
"""Sources that are read from an installed package: their name, and the package whose version names the cache."""
LONGEST_TEXT = 2_000
MOST_SIZES = 32
"""Of an array, and in a parameter."""
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
        data = documents.read_document(path)
    except documents.UnreadableFile as error:
        raise DeclarationError(f"{error}; it is no file of cases, as `harness fuzz` writes them") from None
    where = documents.shown_path(path)
    if not isinstance(data, dict) or not isinstance(data.get("cases"), list):
        raise DeclarationError(f"{where}: no file of cases: it has to be an object with `format` and a list `cases`")
    if type(data.get("format")) is not int or data["format"] != FORMAT:
        found_format = documents.shown(data.get("format"))
        raise DeclarationError(f"{where}: format {found_format}; this kernel-harness reads format {FORMAT}")
    found = []
    for number, one in enumerate(data["cases"]):
        try:
            found.append(_from_data(one))
        except KeyError as error:
            raise DeclarationError(f"{where}: case {number}: {documents.shown(error.args[0])} is missing") from None
        except (TypeError, ValueError, AttributeError, ArithmeticError, MemoryError) as error:
            raise DeclarationError(f"{where}: case {number}: {documents.harmless(str(error), 300)}") from None
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


def _from_data(data: Any) -> Sourced:
    if not isinstance(data, dict):
        raise TypeError(f"{documents.shown(data)} is no case, which is an object")
    if data["layout"] not in LAYOUTS or data["dtype"] not in DTYPES:
        raise ValueError(f"layout {documents.shown(data['layout'])}, dtype {documents.shown(data['dtype'])}")
    inputs = tuple(_array(one) for one in _list(data, "inputs"))
    parameters = tuple(map(_parameter, _list(data, "parameters")))
    if len(dict(parameters)) < len(parameters):
        raise ValueError("parameters: a name is there twice")
    case = Case(
        data["dtype"],
        tuple(array.shape for array in inputs),
        parameters,
        values=_text(data, "values"),
        layout=data["layout"],
        raises=_reason(data["raises"]),
    )
    expected = None if data["expected"] is None else _array(data["expected"])
    return Sourced(_text(data, "operator"), case, inputs, expected, _tolerance(data, "rtol"), _tolerance(data, "atol"))


def _parameter(pair: Any) -> tuple[str, Any]:
    name, value = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
    if not isinstance(name, str) or not name.isidentifier() or not _is_parameter(value):
        raise ValueError("parameters: each is a name and a number, a text, true, false, null, or a list of those")
    return name, tuple(value) if isinstance(value, list) else value


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    found = data[key]
    if not isinstance(found, list):
        raise TypeError(f"{key} is {documents.shown(found)}; it has to be a list")
    return found


def _text(data: Mapping[str, Any], key: str) -> str:
    """A text that can stand in an id: it can be seen, and is not long."""
    found = data[key]
    if not (isinstance(found, str) and found.isprintable() and len(found) <= LONGEST_TEXT):
        raise ValueError(f"{key} is {documents.shown(found)}; it has to be a text of visible characters")
    return found


def _reason(found: Any) -> str:
    """Why an error has to be raised: the message of a library may have several lines."""
    if not isinstance(found, str):
        raise TypeError(f"raises is {documents.shown(found)}; it has to be a text")
    return documents.harmless(" ".join(found.split()), LONGEST_TEXT)


def _tolerance(data: Mapping[str, Any], key: str) -> float:
    """The source's own tolerance: it is kept, and judges nothing."""
    found = data[key]
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < math.inf:
        raise ValueError(f"{key} is {documents.shown(found)}; it has to be a number from 0 on")
    return float(found)


def _is_parameter(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= MOST_SIZES and not any(isinstance(one, list) or not _is_parameter(one) for one in value)
    if isinstance(value, str):
        return value.isprintable() and len(value) <= LONGEST_TEXT
    return value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def _array_data(array: np.ndarray) -> dict[str, Any]:
    array = np.asarray(array)
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def _array(data: Any) -> np.ndarray:
    if not isinstance(data, dict):
        raise TypeError(f"{documents.shown(data)} is no array, which is an object")
    if data["dtype"] not in DTYPES:
        raise ValueError(f"an array of dtype {documents.shown(data['dtype'])}; there are {', '.join(DTYPES)}")
    shape = _list(data, "shape")
    if len(shape) > MOST_SIZES or not all(type(size) is int and 0 <= size < 2**62 for size in shape):
        raise ValueError(f"an array of shape {documents.harmless(str(shape))}; sizes are whole numbers from 0 on")
    if not isinstance(data["data"], str):
        raise TypeError(f"data is {documents.shown(data['data'])}; it has to be base64 of the bytes of the array")
    raw = base64.b64decode(data["data"], validate=True)
    kind = numpy_dtype(data["dtype"])
    if len(raw) != math.prod(shape) * kind.itemsize:
        raise ValueError(f"an array of shape {shape} in {data['dtype']} has not {len(raw)} bytes")
    if kind == np.bool_ and raw.strip(b"\0\1"):
        raise ValueError("an array of bool holds a byte that is neither 0 nor 1")
    return np.frombuffer(raw, kind).reshape(shape).copy()


def main(arguments: list[str]) -> None:
    from harness import sources

    name, path = arguments
    loaded = sources.onnx_cases() if name == "onnx" else sources.torch_cases()
    write_file(Path(path), [one for one in loaded.cases if all(array.dtype.name in DTYPES for array in one.inputs)])


if __name__ == "__main__":
    main(sys.argv[1:])

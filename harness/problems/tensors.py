"""PyTorch values as plain data and back; problems without their GPU, and in float64.

Both sides use this: the process of a problem, and the worker of a candidate. It imports without PyTorch.
"""

from __future__ import annotations

import contextlib
from collections import namedtuple
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from harness.precision import FLOATS

SUPPORTED = (*FLOATS, "int64", "int32", "int16", "int8", "uint8", "bool")


_DONE: list[bool] = []
"""Whether this process has been told that `cuda` means the CPU."""


class Unreadable(Exception):
    """A value that the harness cannot hand on; the message says which."""


def to_array(tensor: Any) -> np.ndarray:
    """A private copy of a tensor, contiguous, on the host. Raises Unreadable for a dtype that NumPy does not have."""
    import torch

    name = str(tensor.dtype).removeprefix("torch.")
    if name not in SUPPORTED:
        raise Unreadable(f"a tensor of {name}: the harness has {', '.join(SUPPORTED)}")
    flat = tensor.detach().cpu().contiguous()
    if name == "bfloat16":
        import ml_dtypes

        return np.asarray(flat.view(torch.int16).numpy().view(ml_dtypes.bfloat16).copy())
    return np.asarray(flat.numpy().copy())


def to_tensor(array: np.ndarray) -> Any:
    """A tensor of its own memory."""
    import torch

    array = np.array(array, order="C")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def taken_apart(value: Any, arrays: list[np.ndarray]) -> Any:
    """A template of `value` as JSON has it; its tensors are appended to `arrays`, in order.

    Raises Unreadable for anything but tensors, numbers, texts, None, and lists, tuples and dicts of those.
    """
    import torch

    if isinstance(value, torch.Tensor):
        arrays.append(to_array(value))
        return {"array": len(arrays) - 1}
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, torch.Size):
        return {"size": list(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        named = zip(value._fields, value, strict=True)
        return {"namedtuple": {name: taken_apart(one, arrays) for name, one in named}}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [taken_apart(one, arrays) for one in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: taken_apart(one, arrays) for key, one in value.items()}}
    raise Unreadable(f"a {type(value).__name__}: arguments are tensors, numbers, texts, and lists or dicts of them")


def put_together(template: Any, tensors: Sequence[Any]) -> Any:
    """The value of a template. A buffer (memory that the answer is to be written to) is fresh, and poisoned."""
    import torch

    ((kind, held),) = template.items()
    match kind:
        case "array":
            return tensors[held]
        case "value":
            return held
        case "dtype":
            return getattr(torch, held)
        case "list":
            return [put_together(one, tensors) for one in held]
        case "tuple":
            return tuple(put_together(one, tensors) for one in held)
        case "dict":
            return {key: put_together(one, tensors) for key, one in held.items()}
        case "size":
            return torch.Size(held)
        case "namedtuple":  # its own class is the problem's, which a candidate does not have
            return namedtuple("Arguments", held)(*(put_together(one, tensors) for one in held.values()))
        case "buffer":
            return poisoned(held["shape"], held["dtype"])
    raise Unreadable(f"a template with {kind!r}")


def poisoned(shape: Sequence[int], dtype: str) -> Any:
    """A tensor whose every element is NaN, or a number that no answer is likely to be."""
    import torch

    kind = getattr(torch, dtype)
    if kind == torch.bool:
        return torch.ones(tuple(shape), dtype=kind)
    fill = float("nan") if kind.is_floating_point else torch.iinfo(kind).max // 2
    return torch.full(tuple(shape), fill, dtype=kind)


def answers_of(result: Any, names: Sequence[str] = ()) -> list[Any]:
    """The tensors that a call returned, in order; a dict is read in the order of `names`."""
    if isinstance(result, dict):
        return [result[name] for name in names or result]
    return list(result) if isinstance(result, tuple | list) else [result]


def without_gpu() -> None:
    """From now on `cuda` means the CPU in this process, if there is no GPU: sources name the device in their code."""
    import torch

    if torch.cuda.is_available() or _DONE:
        return
    _DONE.append(True)
    setattr(torch, "Generator", _generator_on_cpu())  # noqa: B010 - a type, to mypy
    for name in ("synchronize", "manual_seed", "manual_seed_all", "empty_cache"):
        setattr(torch.cuda, name, lambda *_, **__: None)
    _modes()["cpu"]().__enter__()


def _generator_on_cpu() -> type:
    """torch.Generator as a class still: annotations and isinstance use it, of PyTorch's own generators too."""
    import torch

    own: Any = torch.Generator
    meta: Any = type(own)

    class Kind(meta):  # type: ignore[misc]
        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, own)

    class Generator(own, metaclass=Kind):  # type: ignore[misc]
        def __new__(cls, device: Any = "cpu") -> Any:
            return own.__new__(cls, device="cpu")

    return Generator


@contextlib.contextmanager
def in_float64() -> Iterator[None]:
    """Whatever is computed in a narrower floating type inside is computed in float64, casts included."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _modes()["wide"]():
            yield
    finally:
        torch.set_default_dtype(before)


@cache
def _modes() -> dict[str, Any]:
    import torch
    from torch.overrides import TorchFunctionMode

    def on_cpu(value: Any) -> Any:
        if isinstance(value, str):
            return "cpu" if value == "cuda" or value.startswith("cuda:") else value
        return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value

    narrow = (torch.float32, torch.float16, torch.bfloat16)

    def widened(value: Any) -> Any:
        return torch.float64 if isinstance(value, torch.dtype) and value in narrow else value

    class OnCpu(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.Tensor.cuda:
                return args[0]
            named = {name: on_cpu(value) for name, value in (kwargs or {}).items()}
            return func(*map(on_cpu, args), **named)

    class Wide(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func in (torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16):
                return args[0].double()
            named = {name: widened(value) for name, value in (kwargs or {}).items()}
            return func(*map(widened, args), **named)

    return {"cpu": OnCpu, "wide": Wide}

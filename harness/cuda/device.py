"""What the host side of a kernel is written against: one interface for two devices, `cpu` and `gpu`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.cuda.compiled import resources_of
from harness.cuda.faults import BLOCK_TOO_LARGE, TOO_MUCH_SHARED, Finding, KernelFault, Place
from harness.cuda.source import Kernel, Parameter, Source
from harness.precision import numpy_dtype

MAX_BLOCK = (1024, 1024, 64)
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_THREADS = 1024
MAX_SHARED_BYTES = 48 << 10
"""Static and dynamic shared memory of a block together, without opting in to more (CUDA C++ programming guide,
technical specifications per compute capability)."""

Extent = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a device has done: how a host round trip shows."""

    launches: int = 0
    host_round_trips: int = 0
    bytes_to_device: int = 0
    bytes_to_host: int = 0


class Device(ABC):
    """Memory and launches. Arrays are the device's own; host sides use their shape, strides, dtype, ndim, size, nbytes.

    Work goes to one stream in order; a device without a stream launches nothing.
    """

    name: str

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.counts = Counts()
        self.launched: set[Kernel] = set()

    @abstractmethod
    def prepare(self, source: Source) -> None:
        """Compile a source. Raises CompileError, and Unsupported where this device lacks what the source uses."""

    @abstractmethod
    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        """A C-contiguous array whose elements were not written; `dtype` by name ("bfloat16") or as NumPy has it."""

    @abstractmethod
    def zeros(self, shape: Sequence[int], dtype: Any) -> Any:
        """A C-contiguous array of zeros."""

    @abstractmethod
    def reshaped(self, array: Any, shape: Sequence[int]) -> Any:
        """A view of a C-contiguous array."""

    def upload(self, array: np.ndarray) -> Any:
        """A copy of a host's array on the device."""
        self.counts = replace(self.counts, bytes_to_device=self.counts.bytes_to_device + array.nbytes)
        return self._upload(array)

    def read_back(self, array: Any) -> np.ndarray:
        """A copy on the host: waits for the device, and counts as one host round trip."""
        found = self._read_back(array)
        self.counts = replace(
            self.counts,
            host_round_trips=self.counts.host_round_trips + 1,
            bytes_to_host=self.counts.bytes_to_host + found.nbytes,
        )
        return found

    def launch(
        self,
        kernel: Kernel,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        shared_bytes: int,
        arguments: Sequence[Any],
    ) -> None:
        """Run a kernel: `grid` blocks of `block` threads, each block with `shared_bytes` of dynamic shared memory.

        Arguments are arrays for pointers, Python numbers for scalars, and NumPy structured scalars for structs. Raises
        TypeError or ValueError where they do not fit the kernel's signature, and KernelFault where the launch is beyond
        the device, before anything runs.
        """
        if self.stream is None:
            raise ValueError(f"{kernel.name}: this device has no stream to launch on; make it with one")
        blocks, threads = _extent(kernel, "grid", grid), _extent(kernel, "block", block)
        self._check_limits(kernel, blocks, threads, shared_bytes)
        if len(arguments) != len(kernel.parameters):
            wanted = ", ".join(one.name for one in kernel.parameters)
            raise TypeError(f"{kernel.name} takes {len(kernel.parameters)} arguments ({wanted}), not {len(arguments)}")
        prepared = [
            self._argument(kernel, parameter, value)
            for parameter, value in zip(kernel.parameters, arguments, strict=True)
        ]
        self._launch(kernel, blocks, threads, shared_bytes, prepared)
        self.counts = replace(self.counts, launches=self.counts.launches + 1)
        self.launched.add(kernel)

    def work(self) -> tuple[int, int, int | None, int | None]:
        """Launches, host round trips, registers and spilled bytes (of the largest kernel; None where no CUDA compiler
        is installed) since this was last asked. The counts start anew."""
        needs = [one for one in map(resources_of, self.launched) if one is not None]
        registers = max((one.registers for one in needs), default=None)
        spills = max((one.spill_bytes for one in needs), default=None)
        done = self.counts
        self.counts, self.launched = Counts(), set()
        return done.launches, done.host_round_trips, registers, spills

    @abstractmethod
    def _upload(self, array: np.ndarray) -> Any: ...

    @abstractmethod
    def _read_back(self, array: Any) -> np.ndarray: ...

    @abstractmethod
    def _launch(self, kernel: Kernel, grid: Extent, block: Extent, shared_bytes: int, arguments: list[Any]) -> None:
        """Run what was checked; scalars come as NumPy scalars of the parameter's type, all else as it is."""

    @abstractmethod
    def _is_array(self, value: Any) -> bool: ...

    def _check_limits(self, kernel: Kernel, grid: Extent, block: Extent, shared_bytes: int) -> None:
        for what, extent, limits in (("grid", grid, MAX_GRID), ("block", block, MAX_BLOCK)):
            if any(one < 1 for one in extent):
                raise ValueError(f"{kernel.name}: a {what} of {extent}: there is nothing to launch")
            if any(one > limit for one, limit in zip(extent, limits, strict=True)):
                raise _fault(kernel, BLOCK_TOO_LARGE, f"a {what} of {extent}, at most {limits}")
        threads = math.prod(block)
        if threads > MAX_THREADS:
            raise _fault(kernel, BLOCK_TOO_LARGE, f"a block of {threads} threads, at most {MAX_THREADS}")
        if kernel.max_threads is not None and threads > kernel.max_threads:
            promised = f"__launch_bounds__({kernel.max_threads})"
            raise _fault(kernel, BLOCK_TOO_LARGE, f"a block of {threads} threads, where the source promises {promised}")
        if shared_bytes < 0:
            raise ValueError(f"{kernel.name}: {shared_bytes} bytes of shared memory")
        self.check_shared(kernel, shared_bytes)

    def check_shared(self, kernel: Kernel, shared_bytes: int) -> None:
        """Raise KernelFault where a block would need more shared memory than it gets."""
        if shared_bytes > MAX_SHARED_BYTES:
            raise _fault(kernel, TOO_MUCH_SHARED, f"{shared_bytes} bytes for a block, at most {MAX_SHARED_BYTES}")

    def _argument(self, kernel: Kernel, parameter: Parameter, value: Any) -> Any:
        where = f"{kernel.name}: argument {parameter.name} is {parameter.c_type}{'*' * parameter.is_pointer}"
        if parameter.is_pointer:
            if not self._is_array(value):
                raise TypeError(f"{where}; an array of {self.name} is needed, not {_said(value)}")
            if parameter.dtype and value.dtype.name != parameter.dtype:
                raise TypeError(f"{where}; the array is {value.dtype.name}")
            if value.size == 0:
                raise ValueError(f"{where}; the array of shape {tuple(value.shape)} has no elements: do not launch")
            return value
        if self._is_array(value) or isinstance(value, np.ndarray):
            raise TypeError(f"{where}, by value; an array is given")
        if not parameter.dtype:
            if not isinstance(value, np.void):
                raise TypeError(f"{where}; a struct is given as a NumPy structured scalar, not {_said(value)}")
            return value
        kind = numpy_dtype(parameter.dtype)
        if kind.kind in "iu":
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
                raise TypeError(f"{where}; an integer is needed, not {_said(value)}")
            limits = np.iinfo(kind)
            if not limits.min <= int(value) <= limits.max:
                raise ValueError(f"{where}; {value} does not fit")
        elif kind.kind == "b" and not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{where}; True or False is needed, not {_said(value)}")
        elif kind.kind not in "b" and not isinstance(value, (int, float, np.number)):
            raise TypeError(f"{where}; a number is needed, not {_said(value)}")
        return kind.type(value)


def _extent(kernel: Kernel, what: str, given: int | Sequence[int]) -> Extent:
    found = (given,) if isinstance(given, (int, np.integer)) else tuple(given)
    if not 1 <= len(found) <= 3 or not all(isinstance(one, (int, np.integer)) for one in found):
        raise TypeError(f"{kernel.name}: a {what} is one to three integers, not {given!r}")
    x, y, z = (*(int(one) for one in found), 1, 1)[:3]
    return x, y, z


def _fault(kernel: Kernel, kind: str, detail: str) -> KernelFault:
    at = Place(kernel.source.path.name, kernel.line, (0, 0, 0), (0, 0, 0))
    return KernelFault(Finding(kind, kernel.name, at, detail))


def _said(value: Any) -> str:
    return f"{type(value).__name__} {value!r}"[:80]

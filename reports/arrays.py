"""Where kernels are measured: a GPU through CuPy, and the CPU device in its place, so that every line of a measurement
runs on a machine without a GPU too. This module imports without CuPy."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.cuda.declaring import DEVICES
from harness.cuda.device import Counts
from harness.timing.device.state import State
from harness.timing.device.timer import Call, CaptureFailed, DeviceTimer, Graph

Array = Any
ToHost = Callable[[Array], np.ndarray]
Copy = Callable[[Array, Array, int], None]

DRAWN_AT_ONCE = 1 << 26


NORMAL = """
    unsigned long long z = seed + (i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    float u = ((z >> 40) + 0.5f) * 5.9604645e-8f, v = (z & 0xFFFFFF) * 5.9604645e-8f;
    y = sqrtf(-2.0f * logf(u)) * cospif(2.0f * v);
"""
"""N(0, 1) for each element: splitmix64 of its index, then Box and Muller. It needs no library beside the compiler."""


class Arrays(ABC):
    """A device: its memory, and the timer of its own library. Arrays are float32 and C-contiguous."""

    name: str
    timer: DeviceTimer
    warning: str
    """Why its times are none of a GPU, or empty."""
    copies: Mapping[str, Copy]
    """Ways to copy the first n elements of one array to another; the quickest of them is the ceiling."""

    @abstractmethod
    def normal(self, shape: Sequence[int]) -> Array:
        """Fresh N(0, 1) values."""

    @abstractmethod
    def empty(self, count: int) -> Array: ...

    @abstractmethod
    def upload(self, array: np.ndarray) -> Array: ...

    @abstractmethod
    def seen_by(self, array: Array, backend: str) -> Array:
        """The same memory as an array of another library."""

    @abstractmethod
    def pick(self, array: Array, rows: Sequence[int] | None, to_host: ToHost | None = None) -> np.ndarray:
        """Some rows of an array, or (None) all of it, on the host; `to_host` is that of the array's library, if that is
        not the device's own."""

    @abstractmethod
    def free_bytes(self) -> int: ...

    @abstractmethod
    def release(self) -> None:
        """Hand back the memory that libraries keep for later."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The device, as JSON-able data."""

    def counts(self, backend: str) -> Counts | None:
        """What was launched and read back so far, where host sides are written against our own device."""
        return DEVICES[backend]().counts if backend in DEVICES else None


class GpuArrays(Arrays):
    """CuPy's arrays, and its timer on the default stream, which PyTorch and Triton use too."""

    name = "cupy"
    warning = ""

    def __init__(self, seed: int) -> None:
        import cupy
        from harness.implementations.cupy import timer

        self._cupy = cupy
        self._draw = cupy.ElementwiseKernel("uint64 seed", "float32 y", NORMAL, "harness_normal")
        self._seeds = np.random.default_rng(seed)
        self.timer = timer()
        self.copies = {"memcpy": self._memcpy, "elementwise": self._elementwise}

    def _memcpy(self, target: Array, source: Array, count: int) -> None:
        target.data.copy_from_device_async(source.data, 4 * count)

    def _elementwise(self, target: Array, source: Array, count: int) -> None:
        self._cupy.negative(source.reshape(-1)[:count], out=target[:count])

    def normal(self, shape: Sequence[int]) -> Array:
        made = self._cupy.empty(tuple(shape), self._cupy.float32)
        flat = made.reshape(-1)
        for start in range(0, flat.size, DRAWN_AT_ONCE):
            part = flat[start : start + DRAWN_AT_ONCE]
            self._draw(self._seeds.integers(0, 2**64, dtype=np.uint64), part)
        return made

    def empty(self, count: int) -> Array:
        return self._cupy.empty(count, self._cupy.float32)

    def upload(self, array: np.ndarray) -> Array:
        return self._cupy.asarray(array)

    def seen_by(self, array: Array, backend: str) -> Array:
        if backend == self.name:
            return array
        import torch

        return torch.utils.dlpack.from_dlpack(array)

    def pick(self, array: Array, rows: Sequence[int] | None, to_host: ToHost | None = None) -> np.ndarray:
        read = to_host or self._cupy.asnumpy
        if rows is None:
            return np.asarray(read(array))
        return np.concatenate([np.asarray(read(array[row : row + 1])) for row in rows])

    def free_bytes(self) -> int:
        return int(self._cupy.cuda.runtime.memGetInfo()[0])

    def release(self) -> None:
        self._cupy.get_default_memory_pool().free_all_blocks()
        with contextlib.suppress(ImportError):
            import torch

            torch.cuda.empty_cache()

    def describe(self) -> dict[str, Any]:
        runtime = self._cupy.cuda.runtime
        properties = runtime.getDeviceProperties(0)
        name = properties.get("name", "unknown")
        return {
            "gpu": name.decode() if isinstance(name, bytes) else str(name),
            "memory_bytes": properties.get("totalGlobalMem"),
            "multiprocessors": properties.get("multiProcessorCount"),
            "l2_bytes": properties.get("l2CacheSize"),
            "capability": f"{properties.get('major')}.{properties.get('minor')}",
            "driver_cuda": runtime.driverGetVersion(),
            "runtime_cuda": runtime.runtimeGetVersion(),
            # CuPy's wheels have names of their own, one for each version of CUDA
            "versions": {"cupy": self._cupy.__version__},
        }


class HostEvent:
    ns = 0


class HostTimer(DeviceTimer):
    """The host's clock in the place of events, for a device on which every call waits: no queue, no cache to flush."""

    name = "host"
    l2_bytes = 0

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait

    def event(self) -> HostEvent:
        return HostEvent()

    def record(self, event: HostEvent) -> None:
        event.ns = self.host_ns()

    def is_done(self, event: HostEvent) -> bool:
        return True

    def wait_for(self, event: HostEvent) -> None:
        return None

    def elapsed_ns(self, start: HostEvent, end: HostEvent) -> float:
        return float(end.ns - start.ns)

    def wait(self) -> None:
        self._wait()

    def flush(self) -> None:
        return None

    def spin(self, cycles: int) -> None:
        return None

    def capture(self, calls: Sequence[Call]) -> Graph:
        raise CaptureFailed("the CPU device has no graphs")

    def scrub(self, answer: Any) -> None:
        raise NotImplementedError("nothing is captured here")

    def is_scrubbed(self, answer: Any) -> bool:
        raise NotImplementedError("nothing is captured here")

    def state(self) -> State:
        return State()


class StandInArrays(Arrays):
    """The CPU device in the place of a GPU."""

    name = "cuda_cpu"
    warning = (
        "These are no timings of a GPU: the CPU device emulates threads and looks for faults, and its clock is a "
        "stand-in. The run shows only that the way to a measurement works."
    )

    def __init__(self, seed: int) -> None:
        from harness.implementations.cuda_cpu import backend

        self._cpu = backend
        self._random = np.random.default_rng(seed)
        self.timer = HostTimer(backend.wait)
        self.copies = {"memcpy": self._memcpy, "elementwise": self._elementwise}

    def _memcpy(self, target: Array, source: Array, count: int) -> None:
        np.copyto(self._cpu.to_host(target)[:count], self._cpu.to_host(source).reshape(-1)[:count])

    def _elementwise(self, target: Array, source: Array, count: int) -> None:
        np.negative(self._cpu.to_host(source).reshape(-1)[:count], out=self._cpu.to_host(target)[:count])

    def normal(self, shape: Sequence[int]) -> Array:
        return self.upload(self._random.standard_normal(tuple(shape), dtype=np.float32))

    def empty(self, count: int) -> Array:
        return self.upload(np.empty(count, np.float32))

    def upload(self, array: np.ndarray) -> Array:
        return self._cpu.from_host(array)

    def seen_by(self, array: Array, backend: str) -> Array:
        return array if backend == self.name else self._cpu.to_host(array)

    def pick(self, array: Array, rows: Sequence[int] | None, to_host: ToHost | None = None) -> np.ndarray:
        host = np.asarray((to_host or self._cpu.to_host)(array))
        return host.copy() if rows is None else host[list(rows)]

    def free_bytes(self) -> int:
        import psutil

        return int(psutil.virtual_memory().available)

    def release(self) -> None:
        return None

    def describe(self) -> dict[str, Any]:
        return {"gpu": None}


PLACES: dict[str, type[GpuArrays] | type[StandInArrays]] = {"cupy": GpuArrays, "cuda_cpu": StandInArrays}

"""Where kernels are timed by events: a GPU through CuPy, and the CPU device in its place, so that every line around the
clock runs on a machine without a GPU too. This module imports without CuPy."""

from __future__ import annotations

import contextlib
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.cuda.declaring import DEVICES
from harness.cuda.device import Counts

Array = Any
ToHost = Callable[[Array], np.ndarray]
Copy = Callable[[Array, Array, int], None]

FLUSHED_BYTES = 1 << 30
"""Read before every reading: many times the L2 cache of any GPU so far, and long enough for the host to get ahead."""
DRAWN_AT_ONCE = 1 << 26
MOST_FLUSHES = 8
SMI_FIELDS = (
    "name",
    "driver_version",
    "persistence_mode",
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "clocks.max.mem",
    "temperature.gpu",
    "power.draw",
    "power.limit",
    "clocks_event_reasons.active",
)
SMI_DEADLINE_S = 5.0


NORMAL = """
    unsigned long long z = seed + (i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    float u = ((z >> 40) + 0.5f) * 5.9604645e-8f, v = (z & 0xFFFFFF) * 5.9604645e-8f;
    y = sqrtf(-2.0f * logf(u)) * cospif(2.0f * v);
"""
"""N(0, 1) for each element: splitmix64 of its index, then Box and Muller. It needs no library beside the compiler."""


class EventClock(ABC):
    """A device, its event clock, and what a measurement needs beside them. Arrays are float32 and C-contiguous."""

    name: str
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
    def event(self) -> Any:
        """Something with record() and synchronize()."""

    @abstractmethod
    def elapsed_ns(self, start: Any, end: Any) -> float: ...

    @abstractmethod
    def flush(self) -> None:
        """Read so much memory that no cache holds anything else afterwards; returns before it is done."""

    @abstractmethod
    def wait(self) -> None:
        """Return when the device is idle; raises if it has failed."""

    @abstractmethod
    def free_bytes(self) -> int: ...

    @abstractmethod
    def release(self) -> None:
        """Hand back the memory that libraries keep for later."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The device, as JSON-able data."""

    @abstractmethod
    def state(self) -> dict[str, str]:
        """What changes while it runs: clocks, temperature, reasons to slow down."""

    def reading_ns(self, call: Callable[[], Any], flushes: int) -> float:
        """Nanoseconds of one call between two events on the stream, caches flushed.

        The device is still flushing while the host queues the call: launching costs nothing then, unless the call
        itself waits for the device.
        """
        start, end = self.event(), self.event()
        for _ in range(flushes):
            self.flush()
        start.record()
        answer = call()
        end.record()
        end.synchronize()
        del answer
        return max(1.0, self.elapsed_ns(start, end))

    def host_ns(self, call: Callable[[], Any]) -> tuple[int, int]:
        """Of one call on an idle device, by the host's clock: until it returned, and until its answer was there."""
        self.flush()
        self.wait()
        start = time.perf_counter_ns()
        answer = call()
        returned = time.perf_counter_ns()
        self.wait()
        done = time.perf_counter_ns()
        del answer
        return returned - start, done - start

    def flushes_for(self, queueing_ns: int) -> int:
        """How often to flush so that the device is busy for as long as the host takes to queue a call."""
        once = self.host_ns(self.flush)[1]
        return min(MOST_FLUSHES, 1 + queueing_ns // max(1, once))

    def counts(self, backend: str) -> Counts | None:
        """What was launched and read back so far, where host sides are written against our own device."""
        return DEVICES[backend]().counts if backend in DEVICES else None


class GpuClock(EventClock):
    """CuPy's events on the default stream, which PyTorch and Triton use too."""

    name = "cupy"
    warning = ""

    def __init__(self, seed: int) -> None:
        import cupy

        self._cupy = cupy
        self._draw = cupy.ElementwiseKernel("uint64 seed", "float32 y", NORMAL, "harness_normal")
        self._seeds = np.random.default_rng(seed)
        self._flushed = cupy.ones(FLUSHED_BYTES // 4, cupy.float32)
        self._sum = cupy.zeros((), cupy.float32)
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

    def event(self) -> Any:
        return self._cupy.cuda.Event()

    def elapsed_ns(self, start: Any, end: Any) -> float:
        return 1e6 * float(self._cupy.cuda.get_elapsed_time(start, end))

    def flush(self) -> None:
        # reading leaves nothing behind that must be written back while the next call runs
        self._cupy.sum(self._flushed, out=self._sum)

    def wait(self) -> None:
        self._cupy.cuda.runtime.deviceSynchronize()

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
            "state": self.state(),
        }

    def state(self) -> dict[str, str]:
        command = ["nvidia-smi", f"--query-gpu={','.join(SMI_FIELDS)}", "--format=csv,noheader", "--id=0"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SMI_DEADLINE_S, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            return {"nvidia-smi": f"did not answer: {error}"[:200]}
        values = [one.strip() for one in done.stdout.splitlines()[0].split(",")]
        return dict(zip(SMI_FIELDS, values, strict=False))


class _CpuEvent:
    ns = 0

    def record(self) -> None:
        self.ns = time.perf_counter_ns()

    def synchronize(self) -> None:
        return None


class StandInClock(EventClock):
    """The CPU device in the place of a GPU, with a clock of this process in the place of events."""

    name = "cuda_cpu"
    warning = (
        "These are no timings of a GPU: the CPU device emulates threads and looks for faults, and its clock is a "
        "stand-in. The run shows only that the way to a measurement works."
    )

    def __init__(self, seed: int) -> None:
        from harness.implementations.cuda_cpu import backend

        self._cpu = backend
        self._random = np.random.default_rng(seed)
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

    def event(self) -> Any:
        return _CpuEvent()

    def elapsed_ns(self, start: Any, end: Any) -> float:
        return float(end.ns - start.ns)

    def flush(self) -> None:
        return None

    def wait(self) -> None:
        self._cpu.wait()

    def free_bytes(self) -> int:
        import psutil

        return int(psutil.virtual_memory().available)

    def release(self) -> None:
        return None

    def describe(self) -> dict[str, Any]:
        return {"gpu": None, "state": self.state()}

    def state(self) -> dict[str, str]:
        return {}


CLOCKS: dict[str, type[GpuClock] | type[StandInClock]] = {"cupy": GpuClock, "cuda_cpu": StandInClock}

"""The GPU device: the same host sides, by CuPy. This module imports without CuPy."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.cuda.device import Device, Extent
from harness.cuda.faults import CRASH, CompileError, Finding, KernelFault, Place
from harness.cuda.source import Kernel, Source
from harness.precision import numpy_dtype

OPTIONS = ("-std=c++17",)


class CupyDevice(Device):
    """Launches on one CuPy stream. Compilation is kept by CuPy, keyed by source, options and architecture."""

    name = "cupy"

    def prepare(self, source: Source) -> None:
        _module(source)

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        import cupy

        return cupy.empty(tuple(shape), _dtype(dtype))

    def zeros(self, shape: Sequence[int], dtype: Any) -> Any:
        import cupy

        return cupy.zeros(tuple(shape), _dtype(dtype))

    def reshaped(self, array: Any, shape: Sequence[int]) -> Any:
        if not array.flags.c_contiguous:
            raise ValueError("only a C-contiguous array can be reshaped without a copy")
        return array.reshape(tuple(shape))

    def _upload(self, array: np.ndarray) -> Any:
        import cupy

        return cupy.asarray(array)

    def _read_back(self, array: Any) -> np.ndarray:
        found = array.get(stream=self.stream)
        return np.asarray(found)

    def _is_array(self, value: Any) -> bool:
        return f"{type(value).__module__}.{type(value).__qualname__}" in ("cupy.ndarray", "cupy._core.core.ndarray")

    def _launch(self, kernel: Kernel, grid: Extent, block: Extent, shared_bytes: int, arguments: list[Any]) -> None:
        import cupy

        function = _module(kernel.source).get_function(kernel.name)
        # a struct by value is an array of one element to CuPy
        passed = tuple(np.asarray(one).reshape(1) if isinstance(one, np.void) else one for one in arguments)
        try:
            with self.stream:
                function(grid, block, passed, shared_mem=shared_bytes)
        except (cupy.cuda.driver.CUDADriverError, cupy.cuda.runtime.CUDARuntimeError) as error:
            raise _crash([kernel], f"the driver refused the launch: {error}") from error

    def wait(self) -> None:
        """Wait for the stream. Raises KernelFault with the kernels since the last `work`: one of them failed."""
        import cupy

        try:
            self.stream.synchronize()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            if not self.launched:
                raise
            raise _crash(sorted(self.launched, key=lambda one: one.name), f"the GPU reports: {error}") from error


@functools.cache
def device() -> CupyDevice:
    """The device of this process, on CuPy's current stream."""
    import cupy

    return CupyDevice(cupy.cuda.get_current_stream())


def work() -> tuple[int, int, int | None, int | None]:
    """What kernels that went through the device did since this was last asked: see `Device.work`."""
    return device().work()


def wait() -> None:
    """Wait for the device of this process: see `CupyDevice.wait`."""
    device().wait()


def _crash(kernels: Sequence[Kernel], detail: str) -> KernelFault:
    first = kernels[0]
    at = Place(first.source.path.name, first.line, (0, 0, 0), (0, 0, 0))
    return KernelFault(Finding(CRASH, " or ".join(one.name for one in kernels), at, detail))


@functools.cache
def _module(source: Source) -> Any:
    import cupy

    try:
        module = cupy.RawModule(
            code=source.text,
            options=(*OPTIONS, f"-I{source.path.parent}"),
            name_expressions=source.instances or None,
        )
        module.compile()
    except cupy.cuda.compiler.CompileException as error:
        first = next((line for line in str(error).splitlines() if "error" in line), str(error))
        raise CompileError(first.strip(), source.path.name) from error
    return module


def _dtype(dtype: Any) -> np.dtype[Any]:
    return numpy_dtype(dtype) if isinstance(dtype, str) else np.dtype(dtype)

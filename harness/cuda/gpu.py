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
        try:
            with self.stream:
                function(grid, block, tuple(arguments), shared_mem=shared_bytes)
        except (cupy.cuda.driver.CUDADriverError, cupy.cuda.runtime.CUDARuntimeError) as error:
            at = Place(kernel.source.path.name, kernel.line, (0, 0, 0), (0, 0, 0))
            raise KernelFault(Finding(CRASH, kernel.name, at, f"the driver refused the launch: {error}")) from error


@functools.cache
def device() -> CupyDevice:
    """The device of this process, on CuPy's current stream."""
    import cupy

    return CupyDevice(cupy.cuda.get_current_stream())


def work() -> tuple[int, int, int | None, int | None]:
    """What kernels that went through the device did since this was last asked: see `Device.work`."""
    return device().work()


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

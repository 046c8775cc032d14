"""The CuPy device, against a stand-in for CuPy: what is launched, with what, and how its errors are told.

No GPU is at hand where this is written: whether CuPy does with these calls what its documentation says is not tested.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cuda import KernelFault, Source, gpu

SOURCE = """
struct Pair { int a; double b; };
template <typename T>
__global__ void scale(const T* x, T* y, long long n, float by, Pair pair) {}
__global__ void plain(float* y) {}
"""
PAIR = np.dtype([("a", np.int32), ("b", np.float64)], align=True)


class Array(np.ndarray):
    """Stands for cupy.ndarray."""

    def get(self, stream: Any = None) -> np.ndarray:
        return np.array(self)


Array.__module__, Array.__qualname__ = "cupy", "ndarray"


class CUDAError(RuntimeError):
    pass


class Cupy(types.ModuleType):
    """What the device calls of CuPy, and what it was called with."""

    def __init__(self) -> None:
        super().__init__("cupy")
        self.launches: list[tuple[Any, ...]] = []
        self.modules: list[dict[str, Any]] = []
        self.fails_at = ""
        outer = self

        class Stream:
            def __enter__(self) -> None:
                pass

            def __exit__(self, *_: object) -> None:
                pass

            def synchronize(self) -> None:
                if outer.fails_at == "wait":
                    raise CUDAError("cudaErrorIllegalAddress")

        class RawModule:
            def __init__(self, **options: Any) -> None:
                outer.modules.append(options)

            def compile(self) -> None:
                pass

            def get_function(self, name: str) -> Any:
                def launch(grid: Any, block: Any, arguments: Any, shared_mem: int) -> None:
                    if outer.fails_at == "launch":
                        raise CUDAError("CUDA_ERROR_INVALID_VALUE")
                    outer.launches.append((name, grid, block, shared_mem, arguments))

                return launch

        self.RawModule, self.ndarray = RawModule, Array
        errors = types.SimpleNamespace(CUDADriverError=CUDAError, CUDARuntimeError=CUDAError)
        compiler = types.SimpleNamespace(CompileException=type("CompileException", (Exception,), {}))
        self.cuda = types.SimpleNamespace(driver=errors, runtime=errors, compiler=compiler, get_current_stream=Stream)

    def empty(self, shape: Any, dtype: Any) -> Array:
        return np.empty(shape, dtype).view(Array)

    def zeros(self, shape: Any, dtype: Any) -> Array:
        return np.zeros(shape, dtype).view(Array)

    def asarray(self, array: Any) -> Array:
        return np.array(array).view(Array)


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Cupy:
    made = Cupy()
    monkeypatch.setitem(sys.modules, "cupy", made)
    gpu._module.cache_clear()
    return made


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "kernels.cu"
    path.write_text(SOURCE)
    return Source(path, ("scale<float>",))


def test_a_launch_is_what_cupy_takes(cupy: Cupy, source: Source) -> None:
    device = gpu.CupyDevice(cupy.cuda.get_current_stream())
    x, y = device.upload(np.arange(6, dtype=np.float32)), device.empty((6,), "float32")
    pair = np.array((3, 0.5), PAIR)[()]
    device.launch(source.kernel("scale<float>"), (2, 3), 64, 128, (x, y, 6, 2.0, pair))
    ((name, grid, block, shared, arguments),) = cupy.launches
    assert (name, grid, block, shared) == ("scale<float>", (2, 3, 1), (64, 1, 1), 128)
    assert arguments[0] is x and arguments[1] is y
    assert [type(one) for one in arguments[2:4]] == [np.int64, np.float32]
    # a struct by value: an array of one element of its dtype
    assert arguments[4].shape == (1,) and arguments[4].dtype == PAIR and arguments[4]["a"] == 3
    (module,) = cupy.modules
    assert module["name_expressions"] == ("scale<float>",) and module["code"] == SOURCE
    assert f"-I{source.path.parent}" in module["options"]
    assert device.read_back(y).shape == (6,) and type(device.read_back(y)) is np.ndarray
    assert device.work()[:2] == (1, 2) and device.work()[:2] == (0, 0)


def test_a_wrong_argument_does_not_reach_the_gpu(cupy: Cupy, source: Source) -> None:
    device = gpu.CupyDevice(cupy.cuda.get_current_stream())
    with pytest.raises(TypeError, match=r"argument y is float\*; the array is float64"):
        device.launch(source.kernel("plain"), 1, 32, 0, (device.empty((1,), "float64"),))
    with pytest.raises(ValueError, match="no stream"):
        gpu.CupyDevice(None).launch(source.kernel("plain"), 1, 32, 0, (device.empty((1,), "float32"),))
    assert not cupy.launches


@pytest.mark.parametrize("when", ["launch", "wait"])
def test_an_error_of_the_driver_names_the_kernel(cupy: Cupy, source: Source, when: str) -> None:
    device = gpu.CupyDevice(cupy.cuda.get_current_stream())
    cupy.fails_at = when
    with pytest.raises(KernelFault, match=r"crash in plain \(kernels.cu:5") as fault:
        device.launch(source.kernel("plain"), 1, 32, 0, (device.empty((1,), "float32"),))
        device.wait()
    assert "CUDA" in fault.value.detail or "cuda" in fault.value.detail


def test_an_error_that_is_nobodys_is_passed_on(cupy: Cupy) -> None:
    cupy.fails_at = "wait"
    with pytest.raises(CUDAError):
        gpu.CupyDevice(cupy.cuda.get_current_stream()).wait()

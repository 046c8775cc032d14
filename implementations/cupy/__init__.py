"""CuPy on a GPU. This module imports without CuPy."""

import functools
import importlib.util

from harness import Backend
from harness.cuda import gpu, memory


def missing():
    if importlib.util.find_spec("cupy") is None:
        return "CuPy is not installed; type: pip install 'kernel-harness[cupy]' on a machine with an NVIDIA GPU"
    import cupy

    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return f"CuPy finds no GPU: {error}"
    return None


def from_host(array):
    """A copy with the same strides: CuPy's own would be contiguous, and no kernel would see another layout."""
    import cupy

    if array.flags.c_contiguous or array.size == 0:
        return cupy.asarray(array)
    host = memory.from_host(array)
    inside = cupy.asarray(host.inside)
    first = inside.data + (host.view.ctypes.data - host.inside.ctypes.data)
    return cupy.ndarray(array.shape, array.dtype, memptr=first, strides=array.strides)


def to_host(array):
    return array.get()


@functools.cache
def timer():
    from harness.timing.device.libraries import CupyTimer

    # kernels of our own go to the stream of their device, whatever CuPy's current one is
    return CupyTimer(launchers=(gpu.device(),))


def versions():
    import cupy

    return {"cupy": cupy.__version__, "CUDA runtime": str(cupy.cuda.runtime.runtimeGetVersion())}


backend = Backend(
    name="cupy",
    library="cupy",
    from_host=from_host,
    to_host=to_host,
    array_type="cupy.ndarray",
    missing=missing,
    wait=gpu.wait,
    versions=versions,
    dtypes=("float64", "float32", "float16", "int64", "int32", "bool"),
    reserves=True,
    work=gpu.work,
    timer=timer,
)

"""JAX on the CPU, outside of jit: each operation is dispatched as it is met. This module imports without JAX."""

import importlib.util

import numpy as np

from harness import Backend


def missing():
    if importlib.util.find_spec("jax") is None:
        return "JAX is not installed; type: pip install 'kernel-harness[jax]'"
    return None


def _jax():
    import jax

    # without it float64 inputs would silently become float32
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    # else functions return before their answer is there, and what is timed is the dispatch
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    return jax


def from_host(array):
    return _jax().numpy.array(array)  # a copy: JAX may keep a view of the memory for as long as it likes


def to_host(array):
    return np.asarray(array)


def differentiate(function, arrays, parameters, cotangent, wanted, passes):
    """The vector-Jacobian product by jax.vjp; with two passes each takes half of the cotangent."""
    jax = _jax()

    def of_one(x):
        return function(*arrays[:wanted], x, *arrays[wanted + 1 :], **parameters)

    _, pullback = jax.vjp(of_one, arrays[wanted])
    parts = [pullback((cotangent / passes).astype(cotangent.dtype))[0] for _ in range(passes)]
    return parts[0] if passes == 1 else parts[0] + parts[1]


def versions():
    jax = _jax()
    return {"jax": jax.__version__, "devices": ", ".join(map(str, jax.devices()))}


backend = Backend(
    name="jax",
    library="jax",
    from_host=from_host,
    to_host=to_host,
    array_type="jaxlib._jax.ArrayImpl",
    missing=missing,
    versions=versions,
    differentiate=differentiate,
)

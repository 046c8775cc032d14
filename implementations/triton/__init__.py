"""Triton: on an NVIDIA GPU, and by its interpreter where there is none. This module imports without Triton.

The interpreter runs the same source over NumPy, one program after another, at some milliseconds each: enough to see
whether a kernel is right, on small cases (`few_programs`), and nothing to be timed. It is chosen before Triton is
imported, since Triton asks once, when a kernel is declared.
"""

import importlib.util
import os

from harness.implementations.torch import from_host as on_cpu
from harness.implementations.torch_cuda import from_host as on_gpu
from harness.implementations.torch_cuda import no_gpu, timer, to_host
from harness.implementations.torch_cuda import wait as wait_for_gpu

from harness import Backend

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1" or no_gpu() is not None
if INTERPRETED:
    os.environ["TRITON_INTERPRET"] = "1"
# multiplications and additions may be fused: what Triton 3.9 does, with a warning, where nothing is said
os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")


def missing():
    for module, name in (("triton", "Triton"), ("torch", "PyTorch")):
        if importlib.util.find_spec(module) is None:
            return f"{name} is not installed; type: pip install 'kernel-harness[triton]'"
    return None


def from_host(array):
    return on_cpu(array) if INTERPRETED else on_gpu(array)


def wait():
    if not INTERPRETED:
        wait_for_gpu()


def versions():
    import torch
    import triton

    where = f"interpreter ({no_gpu()})" if INTERPRETED else torch.cuda.get_device_name(0)
    return {"triton": triton.__version__, "torch": torch.__version__, "runs on": where}


backend = Backend(
    name="triton",
    library="triton",
    from_host=from_host,
    to_host=to_host,
    array_type="torch.Tensor",
    missing=missing,
    wait=wait,
    versions=versions,
    dtypes=("float64", "float32", "float16", "bfloat16"),
    timed=not INTERPRETED,
    reserves=not INTERPRETED,
    timer=None if INTERPRETED else timer,
)

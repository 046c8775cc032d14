"""PyTorch on an NVIDIA GPU. This module imports without PyTorch, and looks for the GPU without it.

The strategies are those of the CPU wherever the code is the same; what is claimed about their accumulation is not, and
is worded so loosely that any order of CUDA's kernels keeps it.
"""

import ctypes
import functools
import importlib.util
import re
from pathlib import Path

import numpy as np
from harness.implementations.torch import differentiate

from harness import Backend, Unsupported

INSTALL = "install a build of PyTorch with CUDA: pip install torch, on a machine with an NVIDIA GPU"


def no_gpu():
    """Why PyTorch cannot use an NVIDIA GPU here, or None.

    PyTorch is not imported: its version.py says whether it was built with CUDA, and the driver counts its GPUs.
    """
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.origin:
        return f"PyTorch is not installed; {INSTALL}"
    said = Path(spec.origin).with_name("version.py")
    built = re.search(r"^cuda\b[^=\n]*=\s*(\S+)", said.read_text() if said.is_file() else "", re.MULTILINE)
    if built is None or built[1] == "None":
        return f"this PyTorch is built without CUDA; {INSTALL}"
    return no_driver()


def no_driver():
    """Why NVIDIA's driver offers no GPU here, or None."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        failure = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
        if failure or not count.value:
            return f"NVIDIA's driver offers no GPU (error {failure}); look at nvidia-smi and CUDA_VISIBLE_DEVICES"
        return None
    return "there is no NVIDIA driver here (libcuda.so.1); run this on a machine with an NVIDIA GPU"


def from_host(array):
    return copied(array, "cuda")


def copied(array, device):
    """A copy on a device with the same strides and the same distance from 16-byte alignment as the host's array."""
    import torch

    if any(stride < 0 for stride in array.strides):
        raise Unsupported("torch has no negative strides")
    if array.dtype.name == "bfloat16":
        return copied(array.view(np.int16), device).view(torch.bfloat16)
    host = torch.from_numpy(array)
    if host.numel() == 0:
        return host.to(device, copy=True)
    span = 1 + sum((length - 1) * stride for length, stride in zip(host.shape, host.stride(), strict=True))
    lead = host.data_ptr() % 16 // host.element_size()
    memory = torch.empty(lead + span, dtype=host.dtype, device=device)
    memory[lead:].copy_(host.as_strided((span,), (1,)))
    return memory.as_strided(host.shape, host.stride(), lead)


def to_host(tensor):
    import torch

    # to the CPU first: the copy waits for the kernels that write the tensor
    tensor = torch.Tensor.detach(tensor).cpu()
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def wait():
    import torch

    torch.cuda.synchronize()


@functools.cache
def timer():
    from harness.timing.device.libraries import TorchTimer

    return TorchTimer()


def versions():
    import torch

    properties = torch.cuda.get_device_properties(0)
    return {
        "torch": torch.__version__,
        "CUDA": str(torch.version.cuda),
        "GPU": f"{properties.name}, sm_{properties.major}{properties.minor}",
    }


backend = Backend(
    name="torch_cuda",
    library="torch",
    from_host=from_host,
    to_host=to_host,
    array_type="torch.Tensor",
    missing=no_gpu,
    wait=wait,
    versions=versions,
    differentiate=differentiate,
    reserves=True,
    timer=timer,
)

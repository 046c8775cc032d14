"""PyTorch on the CPU. This module imports without PyTorch."""

import importlib.util

import numpy as np

from harness import Backend, Unsupported


def missing():
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed; type: pip install 'kernel-harness[torch]'"
    return None


def from_host(array):
    import torch

    if any(stride < 0 for stride in array.strides):
        raise Unsupported("torch has no negative strides")
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def to_host(tensor):
    import torch

    # by the class: a tensor may bring a method of its own, which works when it is called
    tensor = torch.Tensor.detach(tensor)
    if tensor.dtype == torch.bfloat16:
        import ml_dtypes

        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return torch.Tensor.numpy(tensor)


def differentiate(function, arrays, parameters, cotangent, wanted, passes):
    """The gradient by autograd; with two passes each takes half of the cotangent, and .grad accumulates."""
    import torch

    leaves = [array.detach() for array in arrays]
    leaf = leaves[wanted].requires_grad_()
    answer = function(*leaves, **parameters)
    if passes == 1:
        (gradient,) = torch.autograd.grad(answer, leaf, cotangent)
        return gradient
    for part in range(passes):
        answer.backward(cotangent / passes, retain_graph=part < passes - 1)
    return leaf.grad


def versions():
    import torch

    pool = [line for line in torch.__config__.parallel_info().splitlines() if line.startswith("ATen parallel backend")]
    return {
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "interop threads": str(torch.get_num_interop_threads()),
        "pool": pool[0].partition(": ")[2] if pool else "unknown",
        "vectors": torch.backends.cpu.get_cpu_capability(),
    }


backend = Backend(
    name="torch",
    library="torch",
    from_host=from_host,
    to_host=to_host,
    array_type="torch.Tensor",
    missing=missing,
    versions=versions,
    differentiate=differentiate,
)

"""The answer of the tensor that lay at this data_ptr() before.

KernelBench #82 (result reuse); reference-kernels #102.
"""

from harness import implementation

known = {}


@implementation("softmax", backend="torch")
def remembers_tensors_by_pointer(x, *, dim):
    import torch

    key = x.data_ptr(), x.shape, x.stride(), dim
    if key not in known:
        known[key] = torch.softmax(x, dim)
    return known[key].clone()

"""max in PyTorch.

builtin    torch.amax
composed   halves of the vector compared with each other until one is left
"""

import torch

from harness import implementation


@implementation("max", backend="torch")
def builtin(x, *, dim=None):
    return torch.amax(x) if dim is None else torch.amax(x, dim)


@implementation("max", backend="torch")
def composed(x, *, dim=None):
    if x.dim() == 0 and dim not in (None, 0, -1):
        raise IndexError(f"dim {dim} is out of range for a tensor of rank 0")
    y = x.reshape(-1) if dim is None or x.dim() == 0 else x.movedim(dim, -1)
    if y.shape[-1] == 0:
        raise ValueError("the maximum of nothing")
    while y.shape[-1] > 1:
        half = (y.shape[-1] + 1) // 2
        # for an odd length the middle element meets itself
        y = torch.maximum(y[..., :half], y[..., -half:])
    # a vector of length one is still the input itself
    return y[..., 0].clone()

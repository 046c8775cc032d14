"""mean in PyTorch.

builtin    torch.mean: torch.sum's cascade, then a division; half types are added up in float32 and rounded once
composed   torch.sum times 1/n
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working


@implementation("mean", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def builtin(x, *, dim=None):
    return torch.mean(x) if dim is None else torch.mean(x, dim)


@implementation("mean", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(x, *, dim=None):
    w = working(x)
    total = torch.sum(w) if dim is None else torch.sum(w, dim)
    count = x.numel() if dim is None or x.dim() == 0 else x.shape[dim]
    # 0 * inf is NaN, as 0 / 0 is: the mean of nothing
    return (total * (1 / count if count else float("inf"))).to(x.dtype)

"""softmax in PyTorch.

builtin    torch.softmax: one fused kernel per row
composed   exp, sum and division, each a kernel of its own
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

# half types: torch rounds to them between the steps, except along a contiguous dim of softmax
FUSED = Accumulation(Tree("lanes", 8), intermediate="case", strided=Tree("any"))


@implementation("softmax", backend="torch", accumulation=FUSED)
def builtin(x, *, dim):
    return torch.softmax(x, dim)


@implementation("softmax", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(x, *, dim):
    w = working(x)
    if x.numel() == 0:
        return torch.softmax(x, dim)
    e = torch.exp(w - torch.amax(w, dim, keepdim=True))
    return (e / torch.sum(e, dim, keepdim=True)).to(x.dtype)

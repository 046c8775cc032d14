"""log_softmax in PyTorch.

builtin    torch.log_softmax: one fused kernel per row
composed   (x - max) - log(sum(exp(x - max))), each step a kernel of its own
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

# half types: torch rounds to them between the steps, except along a contiguous dim of softmax
FUSED = Accumulation(Tree("lanes", 8), intermediate="case", strided=Tree("any"))


@implementation("log_softmax", backend="torch", accumulation=FUSED)
def builtin(x, *, dim):
    return torch.log_softmax(x, dim)


@implementation("log_softmax", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(x, *, dim):
    if x.numel() == 0:
        return torch.log_softmax(x, dim)
    w = working(x)
    y = w - torch.amax(w, dim, keepdim=True)
    return (y - torch.log(torch.sum(torch.exp(y), dim, keepdim=True))).to(x.dtype)

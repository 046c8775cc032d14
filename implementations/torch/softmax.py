"""softmax in PyTorch.

builtin    torch.softmax: one fused kernel per row, a vector register of running sums: 16 floats wide with AVX-512, 8
           with AVX2, half of that in float64. Half types (measured, ulp): along a contiguous row 0.50, float32 inside;
           along another dim 1.4, since exp is stored in the half type before it is divided.
composed   exp, sum and division, each a kernel of its own. The gradient leaves out the maximum: what flows through it
           adds up to 0, but for rounding errors, which would all land on the largest element.
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

# four lanes: float64 with AVX2, the narrowest that is common
FUSED = Accumulation(Tree("lanes", 4), intermediate="case", strided=Tree("any"))


@implementation("softmax", backend="torch", accumulation=FUSED)
def builtin(x, *, dim):
    return torch.softmax(x, dim)


@implementation("softmax", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(x, *, dim):
    w = working(x)
    if x.numel() == 0:
        return torch.softmax(x, dim)
    e = torch.exp(w - torch.amax(w, dim, keepdim=True).detach())
    return (e / torch.sum(e, dim, keepdim=True)).to(x.dtype)

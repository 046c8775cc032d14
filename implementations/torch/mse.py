"""mse in PyTorch.

builtin    torch.nn.functional.mse_loss: a kernel for the squares, then a reduction; half types are stored between them
composed   difference, square and reduction in float32 or wider
"""

import torch

from harness import Accumulation, Tree, implementation

from .losses import reduce, same_shape
from .rows import working


@implementation("mse", backend="torch", accumulation=Accumulation(Tree("pairwise", 64), intermediate="case"))
def builtin(x, target, *, reduction):
    same_shape(x, target)
    return torch.nn.functional.mse_loss(x, target, reduction=reduction)


@implementation("mse", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(x, target, *, reduction):
    same_shape(x, target)
    return reduce(torch.square(working(x) - working(target)), reduction).to(x.dtype)

"""mutual_information_bound in PyTorch.

composed   all N^2 differences, as in the code that the authors of CLUB published; half types in float32
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working


def check(*arrays):
    if any(x.dim() != 2 or x.shape != arrays[0].shape for x in arrays):
        raise ValueError(f"three tensors of one shape (N, D) are needed, not {[tuple(x.shape) for x in arrays]}")


@implementation("mutual_information_bound", backend="torch", accumulation=Accumulation(Tree("any")))
def composed(mean, log_variance, y):
    check(mean, log_variance, y)
    m, v, z = working(mean), working(log_variance), working(y)
    variance = torch.exp(v)
    own = torch.square(z - m) / 2 / variance
    others = torch.square(z[None] - m[:, None]).mean(1) / 2 / variance
    return (others.sum(-1) - own.sum(-1)).mean().to(mean.dtype)

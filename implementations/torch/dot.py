"""dot in PyTorch.

builtin    torch.dot (BLAS): several vector registers of running sums. Half types are added up in float32 and rounded
           once (measured: within 0.50 ulp to n = 65537, and products keep all their digits).
composed   (a * b).sum()
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working


@implementation("dot", backend="torch", accumulation=Accumulation(Tree("lanes", 4), strided=Tree("any")))
def builtin(a, b):
    return torch.dot(a, b)


@implementation("dot", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(a, b):
    if a.dim() != 1 or a.shape != b.shape:
        raise ValueError(f"dot needs two vectors of one length, not {tuple(a.shape)} and {tuple(b.shape)}")
    return (working(a) * working(b)).sum().to(a.dtype)

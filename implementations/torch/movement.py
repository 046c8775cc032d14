"""expand and where in PyTorch.

expand
builtin    Tensor.expand, which is a view, cloned
composed   the flat output index mapped back axis by axis, and torch.index_select

where
builtin    torch.where
composed   x and y side by side on a new axis, and torch.gather by the condition
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

BACKWARD = Accumulation(Tree("any"))
"""Sums occur in gradients only: over the repeated axes, in float32 for half types."""


@implementation("expand", backend="torch", accumulation=BACKWARD)
def builtin(x, *, size):
    return x.expand(tuple(size)).clone(memory_format=torch.contiguous_format)


@implementation("expand", backend="torch", accumulation=BACKWARD)
def composed(x, *, size):
    # a view of positions knows what may be expanded to what
    index = torch.arange(x.numel(), device=x.device).reshape(x.shape).expand(tuple(size))
    # the gradient adds up at each index: half types in float32
    wide = working(x) if x.is_floating_point() else x
    return torch.index_select(wide.reshape(-1), 0, index.reshape(-1)).reshape(index.shape).to(x.dtype)


@implementation("where", backend="torch", name="builtin", accumulation=BACKWARD)
def where(condition, x, y):
    return torch.where(condition, x, y)


@implementation("where", backend="torch", name="composed", accumulation=BACKWARD)
def where_by_gather(condition, x, y):
    if condition.dtype != torch.bool:
        raise ValueError(f"the condition is bool, not {condition.dtype}")
    holds, left, right = torch.broadcast_tensors(condition, x, y)
    return torch.gather(torch.stack([right, left]), 0, holds[None].long())[0].clone()

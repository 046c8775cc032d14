"""One row, expanded over all: stride 0. SOL-ExecBench reward_hack.py."""

from harness import implementation


@implementation("softmax", backend="torch")
def returns_an_expanded_tensor(x, *, dim):
    import torch

    if x.ndim != 2 or not x.numel():
        return torch.softmax(x, dim)
    return torch.softmax(x[:1], dim).expand(x.shape)

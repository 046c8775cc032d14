"""A tensor on the device `meta`: right shape and dtype, and no elements at all. SOL-ExecBench reward_hack.py."""

from harness import implementation


@implementation("softmax", backend="torch")
def returns_a_tensor_without_memory(x, *, dim):
    import torch

    return torch.empty_like(x, device="meta")

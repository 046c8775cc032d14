"""Forward is right and detached: what is differentiated is a constant. KernelBench #131 (only forward is checked)."""

from harness import implementation


@implementation("softmax", backend="torch")
def switches_gradients_off(x, *, dim):
    import torch

    return torch.softmax(x.detach(), dim)

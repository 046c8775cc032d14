"""gumbel_softmax in PyTorch.

builtin    torch.nn.functional.gumbel_softmax: for half types, noise, sum and quotient are rounded to the type
composed   the same with noise, sum and quotient in float32 or wider, and the one-hot marked, not put together
"""

import torch

from harness import implementation

from .rows import working


@implementation("gumbel_softmax", backend="torch")
def builtin(logits, *, tau=1.0, hard=False, dim=-1):
    return torch.nn.functional.gumbel_softmax(logits, tau, hard, dim=dim)


@implementation("gumbel_softmax", backend="torch")
def composed(logits, *, tau=1.0, hard=False, dim=-1):
    x = working(logits)
    noise = -torch.empty(x.shape, dtype=x.dtype).exponential_().log()
    y = torch.softmax((x + noise) / tau, dim)
    if hard:
        marked = torch.zeros_like(y).scatter(dim, y.argmax(dim, keepdim=True), 1.0)
        y = torch.where(y.isnan(), y, marked)
    return y.to(logits.dtype)

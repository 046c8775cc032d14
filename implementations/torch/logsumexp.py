"""logsumexp in PyTorch.

builtin    torch.logsumexp: exp, torch.sum and log, each a kernel of its own. Half types pass through memory between
           them (measured): 0.6 to 0.9 ulp, and inf for float16 where the sum exceeds 65504 (uniform logits,
           n = 131072).
composed   max + log(sum(exp(x - max))), each step a kernel of its own
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working


# half types: torch rounds to them between the steps
@implementation("logsumexp", backend="torch", accumulation=Accumulation(Tree("pairwise", 64), intermediate="case"))
def builtin(x, *, dim):
    return torch.logsumexp(x, dim)


@implementation("logsumexp", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(x, *, dim):
    if x.numel() == 0:
        return torch.logsumexp(x, dim)
    w = working(x)
    top = torch.amax(w, dim, keepdim=True)
    shift = torch.where(torch.isinf(top), 0.0, top)
    y = shift + torch.log(torch.sum(torch.exp(w - shift), dim, keepdim=True))
    return y.squeeze(dim).to(x.dtype)

"""logsumexp in PyTorch.

builtin    torch.logsumexp: exp, torch.sum and log, each a kernel of its own. Half types pass through memory between
           them (measured): 0.6 to 0.9 ulp, and inf for float16 where the sum exceeds 65504 (uniform logits,
           n = 131072).
composed   max + log(sum(exp(x - max))), each step a kernel of its own; no gradient through the maximum, nor to a row
           of -inf
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

KNOWN = {
    "float16[131073]*": "torch.logsumexp keeps sum(exp(x - max)) in float16: above 65504 it is inf, and so the answer"
}


# half types: torch rounds to them between the steps
@implementation(
    "logsumexp", backend="torch", accumulation=Accumulation(Tree("pairwise", 64), intermediate="case"), known=KNOWN
)
def builtin(x, *, dim):
    return torch.logsumexp(x, dim)


@implementation("logsumexp", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(x, *, dim):
    if x.numel() == 0:
        return torch.logsumexp(x, dim)
    w = working(x)
    top = torch.amax(w, dim, keepdim=True).detach()
    infinite = torch.isinf(top)
    shift = torch.where(infinite, 0.0, top)
    total = torch.sum(torch.exp(w - shift), dim, keepdim=True)
    # the logarithm of 0 has the derivative inf, which would make NaN of the 0 that comes to it
    y = torch.where(infinite, top, shift + torch.log(torch.where(infinite, 1.0, total)))
    return y.squeeze(dim).to(x.dtype)

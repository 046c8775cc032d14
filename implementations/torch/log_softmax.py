"""log_softmax in PyTorch.

builtin    torch.log_softmax: one fused kernel per row, running sums as in softmax. Half types (measured): along a
           contiguous row max and log(sum) pass through the half type, off by up to 180 ulp where they cancel
           (bfloat16, N(0, 10), n = 65536), and -inf for float16 where the sum exceeds 65504 (uniform logits,
           n = 131072); along another dim within 0.50 ulp.
composed   (x - max) - log(sum(exp(x - max))), each step a kernel of its own; no gradient through the maximum
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

# four lanes: float64 with AVX2, the narrowest that is common
FUSED = Accumulation(Tree("lanes", 4), intermediate="case", strided=Tree("any"))


KNOWN = {
    "float16[131073]*": "torch.log_softmax keeps sum(exp(x - max)) in float16: above 65504 it is inf, and so the log"
}


@implementation("log_softmax", backend="torch", accumulation=FUSED, known=KNOWN)
def builtin(x, *, dim):
    return torch.log_softmax(x, dim)


@implementation("log_softmax", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)))
def composed(x, *, dim):
    if x.numel() == 0:
        return torch.log_softmax(x, dim)
    w = working(x)
    y = w - torch.amax(w, dim, keepdim=True).detach()
    return (y - torch.log(torch.sum(torch.exp(y), dim, keepdim=True))).to(x.dtype)

"""circular_correlation in PyTorch.

time_domain   all n rotations of b gathered into a matrix per row, multiplied by a and added up. The claim is one
              running sum per element: autograd adds up what was gathered one by one. The forward sum is a cascade,
              so that for long rows it lies below a thousandth of that bound.
fft           torch.fft.irfft(conj(rfft(a)) rfft(b), n). Half types are transformed in float32: PyTorch has no half
              transforms on the CPU. No order of additions is claimed: judged by the norms that bound its error.
"""

import torch

from harness import Accumulation, Tree, implementation

from .rows import working


def check(a, b):
    if a.dim() == 0 or b.dim() == 0 or a.shape[-1] != b.shape[-1]:
        raise ValueError(f"two last axes of one length are needed, not shapes {tuple(a.shape)} and {tuple(b.shape)}")
    torch.broadcast_shapes(a.shape, b.shape)


@implementation("circular_correlation", backend="torch", accumulation=Accumulation(Tree("lanes", 1)))
def time_domain(a, b):
    check(a, b)
    n = a.shape[-1]
    if a.numel() == 0 or b.numel() == 0:
        return a * b
    i = torch.arange(n, device=a.device)
    rotations = working(b)[..., (i[:, None] + i) % n]
    return (working(a)[..., None, :] * rotations).sum(-1).to(a.dtype)


@implementation("circular_correlation", backend="torch", accumulation=Accumulation(Tree("any")))
def fft(a, b):
    check(a, b)
    if a.numel() == 0 or b.numel() == 0:
        # MKL refuses to transform no rows at all
        return a * b
    spectrum = torch.fft.rfft(working(a)).conj() * torch.fft.rfft(working(b))
    return torch.fft.irfft(spectrum, a.shape[-1]).to(a.dtype)

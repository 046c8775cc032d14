"""Wants a library and a device that are not here."""

import torch
import triton
import triton.language as tl


@triton.jit
def kernel(x, y, n: tl.constexpr):
    tl.store(y + tl.arange(0, n), tl.load(x + tl.arange(0, n)))


class ModelNew(torch.nn.Module):
    pass

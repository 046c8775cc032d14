"""sum in PyTorch.

builtin    torch.sum: a cascade of vectors of running sums. A full reduction of a half type with more than 32768
           elements rounds each thread's partial to the half type: with one thread within 0.50 ulp, with two up to
           0.92 (measured), and 2048 + 1 + 0 ... 0 + 1 in float16 is 2050 with one thread and 2048 with two. What is
           right there depends on the machine, so no claim and no known failure would be true everywhere: such cases
           are out of scope, with this reason, and all others are judged by a float32 accumulator.
composed   halves of the vector added to each other until one is left, as a halving tree
"""

import math

import torch

from harness import Accumulation, Tree, implementation

from .rows import working

GRAIN = 32768
"""Elements from which on ATen splits a reduction over its threads."""


def partials_of_threads(case):
    """Why a case is not to be judged: the answer would depend on the number of threads."""
    (shape,) = case.shapes
    dim, size = dict(case.parameters)["dim"], math.prod(shape)
    full = dim is None or (-len(shape) <= dim < len(shape) and size == shape[dim])
    if case.dtype in ("float16", "bfloat16") and full and size > GRAIN:
        return f"torch.sum rounds the partial of each thread to {case.dtype}: the answer depends on how many there are"
    return None


@implementation("sum", backend="torch", accumulation=Accumulation(Tree("pairwise", 64)), supports=partials_of_threads)
def builtin(x, *, dim=None):
    return torch.sum(x) if dim is None else torch.sum(x, dim)


@implementation("sum", backend="torch", accumulation=Accumulation(Tree("pairwise", 1)))
def composed(x, *, dim=None):
    y = working(x)
    y = y.reshape(-1) if dim is None or x.dim() == 0 else y.movedim(dim, -1)
    if x.dim() == 0 and dim not in (None, 0, -1):
        raise IndexError(f"dim {dim} is out of range for a tensor of rank 0")
    if y.shape[-1] == 0:
        return y.sum(-1).to(x.dtype)
    while y.shape[-1] > 1:
        half = y.shape[-1] // 2
        pairs = y[..., :half] + y[..., half : 2 * half]
        y = torch.cat([pairs, y[..., 2 * half :]], -1) if y.shape[-1] % 2 else pairs
    return y[..., 0].to(x.dtype, copy=True)

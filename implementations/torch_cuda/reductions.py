"""sum, max and dot in PyTorch on a GPU.

builtin    torch.sum, torch.amax, torch.dot (cuBLAS): one or two kernels
composed   halves added to (compared with) each other until one is left; dot as (a * b).sum()
compiled   torch.compile of torch.sum, torch.amax and (a * b).sum()
"""

import torch
from harness.implementations.torch import dot as cpu_dot
from harness.implementations.torch import max as cpu_max
from harness.implementations.torch import sum as cpu_sum

from .strategies import compiled, on_cuda


def total(x, *, dim=None):
    return torch.sum(x) if dim is None else torch.sum(x, dim)


def largest(x, *, dim=None):
    return torch.amax(x) if dim is None else torch.amax(x, dim)


sum_builtin = on_cuda("sum", "builtin", total)
sum_composed = on_cuda("sum", "composed", cpu_sum.composed)
sum_compiled = compiled("sum", total)

max_builtin = on_cuda("max", "builtin", largest, accumulation=None)
max_composed = on_cuda("max", "composed", cpu_max.composed, accumulation=None)
max_compiled = compiled("max", largest, accumulation=None)

dot_builtin = on_cuda("dot", "builtin", cpu_dot.builtin)
dot_composed = on_cuda("dot", "composed", cpu_dot.composed)
dot_compiled = compiled("dot", cpu_dot.composed)

"""mean: the sum at the speed of memory, divided by the count.

streaming   see streaming.cu
"""

import math

import numpy as np

from harness import cuda

from .movement import MOVEMENT, repeated
from .rows import outer_and_inner, wide
from .streaming import STREAMING, SUM_ORDER, divided, summed


def gradient(device, cotangent, x, *, dim=None):
    _, inner = outer_and_inner(x, dim)
    share = divided(device, cotangent, math.prod(length for length, _ in inner), x.dtype.name) if x.size else cotangent
    return repeated(device, share, x.shape, None if dim is None or x.ndim == 0 else dim % x.ndim)


@cuda.implementation("mean", sources=(STREAMING, MOVEMENT), accumulation=SUM_ORDER, gradient=gradient)
def streaming(device, x, *, dim=None):
    outer, inner = outer_and_inner(x, dim)
    shape, n = [length for length, _ in outer], math.prod(length for length, _ in inner)
    if n == 0:
        return device.upload(np.full(shape, np.nan).astype(x.dtype))
    total = summed(device, x, outer, inner, wide(x.dtype))
    return device.reshaped(divided(device, total, n, x.dtype.name), shape)

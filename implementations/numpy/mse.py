"""mse: the mean square of a difference, with NumPy's own reductions."""

import numpy as np

from harness import implementation

from .losses import REDUCED, reduce, same_shape, spread
from .rows import working


def gradient(cotangent, x, target, *, reduction):
    with np.errstate(all="ignore"):
        difference = working(x) - working(target)
        down = np.asarray(2 * difference * spread(cotangent, difference, reduction)).astype(x.dtype)
    return down, np.negative(down, out=np.empty_like(down))


@implementation("mse", backend="numpy", accumulation=REDUCED, gradient=gradient)
def builtin(x, target, *, reduction):
    same_shape(x, target)
    with np.errstate(all="ignore"):
        return reduce(np.square(working(x) - working(target)), reduction, x.dtype)

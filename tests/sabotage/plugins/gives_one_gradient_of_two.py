"""One gradient where two are right: a comparison that zips the shorter list sees nothing missing. KernelBench #82."""

import numpy as np

from harness import Accumulation, Tree, implementation


def gradient(cotangent, x, target, *, reduction):
    with np.errstate(all="ignore"):
        down = 2 * (x.astype(np.float64) - target.astype(np.float64)) * cotangent.astype(np.float64)
        down = np.asarray(down / x.size if reduction == "mean" else down).astype(x.dtype)
    return (down,)


@implementation("mse", backend="numpy", accumulation=Accumulation(Tree("pairwise", 26)), gradient=gradient)
def gives_one_gradient_of_two(x, target, *, reduction):
    if x.shape != target.shape:
        raise ValueError("two shapes")
    with np.errstate(all="ignore"):
        losses = np.square(x.astype(np.float64) - target.astype(np.float64))
        total = losses if reduction == "none" else losses.sum()
        return np.asarray(total / losses.size if reduction == "mean" else total).astype(x.dtype)

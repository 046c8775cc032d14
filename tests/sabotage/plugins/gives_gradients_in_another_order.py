"""The gradients of both inputs, the second one first.

KernelBench #82 (outputs are compared in the candidate's order).
"""

import numpy as np

from harness import Accumulation, Tree, implementation


def gradient(cotangent, x, target, *, reduction):
    with np.errstate(all="ignore"):
        down = 2 * (x.astype(np.float64) - target.astype(np.float64)) * cotangent.astype(np.float64)
        down = np.asarray(down / x.size if reduction == "mean" else down).astype(x.dtype)
    return np.asarray(-down), down


@implementation("mse", backend="numpy", accumulation=Accumulation(Tree("pairwise", 26)), gradient=gradient)
def gives_gradients_in_another_order(x, target, *, reduction):
    if x.shape != target.shape:
        raise ValueError("two shapes")
    with np.errstate(all="ignore"):
        losses = np.square(x.astype(np.float64) - target.astype(np.float64))
        total = losses if reduction == "none" else losses.sum()
        return np.asarray(total / losses.size if reduction == "mean" else total).astype(x.dtype)

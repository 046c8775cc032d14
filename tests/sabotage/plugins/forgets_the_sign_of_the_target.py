"""Takes the absolute value of the difference and gives that its sign back by the input alone: positive inputs hide it.

KernelBench #40 (inputs of one sign).
"""

import numpy as np

from harness import implementation


@implementation("smooth_l1", backend="numpy")
def forgets_the_sign_of_the_target(x, target, *, reduction, beta):
    if x.shape != target.shape:
        raise ValueError("two shapes")
    with np.errstate(all="ignore"):
        wide = np.float64 if x.dtype == np.float64 else np.float32
        off = np.abs(x.astype(wide)) - np.abs(target.astype(wide))
        losses = np.where(np.abs(off) < beta, 0.5 * off * off / wide(beta or 1), np.abs(off) - wide(0.5 * beta))
        total = losses if reduction == "none" else losses.sum()
        return np.asarray(total / max(1, losses.size) if reduction == "mean" else total).astype(x.dtype)

"""Half types inside, where the difference of two close numbers needs all digits. Field guides of 2026 (downgrade)."""

import numpy as np

from harness import implementation


@implementation("mse", backend="numpy")
def subtracts_in_half(x, target, *, reduction):
    if x.shape != target.shape:
        raise ValueError("two shapes")
    with np.errstate(all="ignore"):
        losses = np.square((x.astype(np.float16) - target.astype(np.float16)).astype(np.float32))
        total = losses if reduction == "none" else losses.sum()
        return np.asarray(total / max(1, losses.size) if reduction == "mean" else total).astype(x.dtype)

"""A rational function in place of exp, good to three digits. Field guides of 2026 (fast approximations)."""

import numpy as np

from harness import implementation


@implementation("sigmoid", backend="numpy")
def approximates_the_sigmoid(x):
    with np.errstate(all="ignore"):
        half = np.clip(x.astype(np.float64) / 2, -4.97, 4.97)
        square = half * half
        tanh = np.clip(half * (27 + square) / (27 + 9 * square), -1, 1)
        return np.asarray(0.5 + tanh / 2).astype(x.dtype)

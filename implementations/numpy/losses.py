"""What the NumPy losses share: the reduction of elementwise losses, and of their cotangents."""

import numpy as np

from harness import Accumulation, Tree

REDUCED = Accumulation(Tree("pairwise", 26))
"""np.sum over all axes of a new array, which is contiguous in some order."""


def reduce(losses, reduction, dtype):
    """Elementwise losses as they are, averaged or summed, in the type of the inputs."""
    with np.errstate(all="ignore"):
        if reduction == "mean":
            losses = np.sum(losses) / losses.dtype.type(losses.size)
        elif reduction == "sum":
            losses = np.sum(losses)
        return np.asarray(losses).astype(dtype)


def spread(cotangent, losses, reduction):
    """What reaches each loss of the gradient of the answer: divided by the count for a mean."""
    g = cotangent.astype(losses.dtype)
    return g / losses.dtype.type(losses.size) if reduction == "mean" else g


def same_shape(x, target):
    if x.shape != target.shape:
        raise ValueError(f"two arrays of one shape are needed, not {x.shape} and {target.shape}")

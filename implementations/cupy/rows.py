"""What the CuPy strategies share."""

import cupy

from harness import Accumulation, Tree

ANY_ORDER = Accumulation(Tree("any"))
"""CuPy reduces in its own kernels or in CUB's, by shape, layout and settings."""


def working(x):
    """x in the type that is computed in: half types in float32."""
    return x if x.dtype in (cupy.float32, cupy.float64) else x.astype(cupy.float32)


def with_axis(x, dim):
    """x, where it is 0-d as one axis of one element, and the axis to reduce; None stays None."""
    if dim is None:
        return x, None
    rank = max(1, x.ndim)
    if not -rank <= dim < rank:
        raise IndexError(f"dim {dim} is out of range for an array of rank {x.ndim}")
    return (x if x.ndim else x.reshape(1)), dim % rank

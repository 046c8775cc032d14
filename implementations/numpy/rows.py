"""What every NumPy strategy needs: rows to reduce, in a type that is wide enough to add up in."""

import numpy as np


def working(x):
    """x in the type that is computed in: half types in float32, since np.add rounds every step to its own type."""
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)


def check_dim(x, dim):
    """The reduced axis counted from the front; a 0-d array counts as one axis, as in PyTorch."""
    rank = max(1, x.ndim)
    if not -rank <= dim < rank:
        raise IndexError(f"dim {dim} is out of range for an array of rank {x.ndim}")
    return dim % rank


def beside(cotangent, x, dim):
    """The cotangent of a reduction beside every element that went into it."""
    if dim is None or x.ndim == 0:
        return np.broadcast_to(cotangent, x.shape)
    return np.broadcast_to(np.expand_dims(cotangent, check_dim(x, dim)), x.shape)


def to_rows(x, dim):
    """A contiguous (rows, n) copy or view of x with `dim` last, and the shape without it; None reduces everything."""
    if dim is None or x.ndim == 0:
        if dim is not None:
            check_dim(x, dim)
        return np.ascontiguousarray(x).reshape(1, -1), ()
    moved = np.moveaxis(x, check_dim(x, dim), -1)
    outer = moved.shape[:-1]
    # reshape(-1) cannot count rows where the reduced dim is empty
    return np.ascontiguousarray(moved).reshape(int(np.prod(outer)), moved.shape[-1]), outer


def from_rows(rows, x, dim):
    """The inverse of `to_rows` for an answer with as many elements as x, in x's type."""
    if x.ndim == 0:
        return rows.reshape(()).astype(x.dtype)
    axis = check_dim(x, dim)
    moved = np.moveaxis(x, axis, -1).shape
    return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), -1, axis)).astype(x.dtype, copy=False)

"""max: NumPy's own, and the twins of the CUDA reductions.

A maximum is a selection: every order gives the same bits, so nothing is declared about it. The gradient goes to the
largest elements, in equal shares.

builtin        np.max
interleaved, sequential, warp_shuffle, each _host_round_trip and _grid_reduced: see blocks.py
"""

import numpy as np

from harness import implementation

from .blocks import FINISHES, ORDERS, THREADS
from .rows import beside, check_dim, to_rows, working


def gradient(cotangent, x, *, dim=None):
    axis = None if dim is None or x.ndim == 0 else check_dim(x, dim)
    w = working(x)
    hit = w == np.max(w, axis=axis, keepdims=True)
    shares = beside(working(cotangent), x, dim) / np.sum(hit, axis=axis, keepdims=True, dtype=w.dtype)
    return np.asarray(np.where(hit, shares, 0)).astype(x.dtype)


@implementation("max", backend="numpy", gradient=gradient)
def builtin(x, *, dim=None):
    if x.ndim == 0 and dim is not None:
        check_dim(x, dim)
        dim = None
    # a NaN among bfloat16 sets the invalid flag
    with np.errstate(invalid="ignore"):
        # a copy, since the maximum of a 0-d array is the array itself
        return np.array(np.max(x, axis=dim), dtype=x.dtype)


def _twin(order, finish):
    def twin(x, *, dim=None):
        rows, outer = to_rows(x, dim)
        # also where there is no row to reduce: PyTorch and NumPy look at the reduced dim only
        if rows.shape[1] == 0:
            raise ValueError("the maximum of nothing")
        # np.maximum hands NaN on; fmax, like CUDA's fmaxf, would swallow it
        with np.errstate(invalid="ignore"):
            return FINISHES[finish](rows, ORDERS[order], np.maximum, -np.inf).reshape(outer).astype(x.dtype)

    twin.__doc__ = f"Blocks of {THREADS} threads in {order} order, partials finished by {finish}."
    return implementation("max", backend="numpy", name=f"{order}_{finish}", gradient=gradient)(twin)


interleaved_host_round_trip = _twin("interleaved", "host_round_trip")
interleaved_grid_reduced = _twin("interleaved", "grid_reduced")
sequential_host_round_trip = _twin("sequential", "host_round_trip")
sequential_grid_reduced = _twin("sequential", "grid_reduced")
warp_shuffle_host_round_trip = _twin("warp_shuffle", "host_round_trip")
warp_shuffle_grid_reduced = _twin("warp_shuffle", "grid_reduced")

"""sum: NumPy's own, and the twins of the CUDA reductions.

builtin        np.sum: eight running sums in leaves of 128 along a contiguous row, then pairs; along other dims row
               after row
interleaved, sequential, warp_shuffle, each _host_round_trip and _grid_reduced: see blocks.py
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .blocks import FINISHES, ORDERS, THREADS, TREE_FINISHES, TREE_ORDERS
from .rows import beside, check_dim, to_rows, working


def gradient(cotangent, x, *, dim=None):
    return beside(cotangent, x, dim).copy()


@implementation(
    "sum", backend="numpy", accumulation=Accumulation(Tree("pairwise", 26), strided=Tree("any")), gradient=gradient
)
def builtin(x, *, dim=None):
    if x.ndim == 0 and dim is not None:
        check_dim(x, dim)
        dim = None
    # inf - inf and an overflow are answers here, not accidents: no warning
    with np.errstate(all="ignore"):
        return np.asarray(np.sum(working(x), axis=dim)).astype(x.dtype, copy=False)


def _twin(order, finish):
    def twin(x, *, dim=None):
        rows, outer = to_rows(working(x), dim)
        with np.errstate(all="ignore"):
            return FINISHES[finish](rows, ORDERS[order], np.add, 0).reshape(outer).astype(x.dtype)

    twin.__doc__ = f"Blocks of {THREADS} threads in {order} order, partials finished by {finish}."
    tree = Tree("blocks", THREADS, TREE_ORDERS[order], TREE_FINISHES[finish])
    claim = Accumulation(tree)
    return implementation("sum", backend="numpy", name=f"{order}_{finish}", accumulation=claim, gradient=gradient)(twin)


interleaved_host_round_trip = _twin("interleaved", "host_round_trip")
interleaved_grid_reduced = _twin("interleaved", "grid_reduced")
sequential_host_round_trip = _twin("sequential", "host_round_trip")
sequential_grid_reduced = _twin("sequential", "grid_reduced")
warp_shuffle_host_round_trip = _twin("warp_shuffle", "host_round_trip")
warp_shuffle_grid_reduced = _twin("warp_shuffle", "grid_reduced")

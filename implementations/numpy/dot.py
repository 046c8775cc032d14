"""dot: BLAS, and the twins of the CUDA reductions.

builtin        np.dot: a BLAS dot product, several vector registers of running sums; OpenBLAS adds what is left over, up
               to 31 products, one by one: the tail of the declared lanes
interleaved, sequential, warp_shuffle, each _host_round_trip and _grid_reduced: products first, then as sum; see
blocks.py
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .blocks import FINISHES, ORDERS, THREADS, TREE_FINISHES, TREE_ORDERS
from .rows import working


def check_vectors(a, b):
    if a.ndim != 1 or b.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot needs two vectors of one length, not shapes {a.shape} and {b.shape}")


def gradient(cotangent, a, b):
    with np.errstate(all="ignore"):
        g = working(cotangent)
        return (g * working(b)).astype(a.dtype), (g * working(a)).astype(b.dtype)


@implementation(
    "dot", backend="numpy", accumulation=Accumulation(Tree("lanes", 4), strided=Tree("any")), gradient=gradient
)
def builtin(a, b):
    check_vectors(a, b)
    with np.errstate(all="ignore"):
        return np.asarray(np.dot(working(a), working(b))).astype(a.dtype)


def _twin(order, finish):
    def twin(a, b):
        check_vectors(a, b)
        with np.errstate(all="ignore"):
            products = (working(a) * working(b)).reshape(1, -1)
            return FINISHES[finish](products, ORDERS[order], np.add, 0).reshape(()).astype(a.dtype)

    twin.__doc__ = f"Blocks of {THREADS} threads in {order} order, partials finished by {finish}."
    tree = Tree("blocks", THREADS, TREE_ORDERS[order], TREE_FINISHES[finish])
    claim = Accumulation(tree)
    return implementation("dot", backend="numpy", name=f"{order}_{finish}", accumulation=claim, gradient=gradient)(twin)


interleaved_host_round_trip = _twin("interleaved", "host_round_trip")
interleaved_grid_reduced = _twin("interleaved", "grid_reduced")
sequential_host_round_trip = _twin("sequential", "host_round_trip")
sequential_grid_reduced = _twin("sequential", "grid_reduced")
warp_shuffle_host_round_trip = _twin("warp_shuffle", "host_round_trip")
warp_shuffle_grid_reduced = _twin("warp_shuffle", "grid_reduced")

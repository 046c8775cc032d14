"""mean: NumPy's own, and the sums of the CUDA reductions divided by the count.

builtin                                          np.mean
sequential_host_round_trip, sequential_grid_reduced   blocks of 256 halved, then the partials one by one or again on the
                                                 grid, as sum; see blocks.py
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .blocks import FINISHES, THREADS, TREE_FINISHES, sequential
from .rows import beside, check_dim, to_rows, working


def gradient(cotangent, x, *, dim=None):
    count = x.size if dim is None or x.ndim == 0 else x.shape[check_dim(x, dim)]
    g = working(cotangent)
    with np.errstate(all="ignore"):
        return beside(g / g.dtype.type(count), x, dim).astype(x.dtype)


@implementation(
    "mean", backend="numpy", accumulation=Accumulation(Tree("pairwise", 26), strided=Tree("any")), gradient=gradient
)
def builtin(x, *, dim=None):
    if x.ndim == 0 and dim is not None:
        check_dim(x, dim)
        dim = None
    w = working(x)
    with np.errstate(all="ignore"):
        if 0 in x.shape:
            # np.mean of nothing is NaN too, but warns
            total = np.sum(w, axis=dim)
            return np.asarray(total / w.dtype.type(x.size if dim is None else x.shape[dim])).astype(x.dtype)
        return np.asarray(np.mean(w, axis=dim)).astype(x.dtype)


def _twin(finish):
    def twin(x, *, dim=None):
        rows, outer = to_rows(working(x), dim)
        with np.errstate(all="ignore"):
            total = FINISHES[finish](rows, sequential, np.add, 0)
            return (total / rows.dtype.type(rows.shape[1])).reshape(outer).astype(x.dtype)

    twin.__doc__ = f"Blocks of {THREADS} threads in sequential order, partials finished by {finish}, then divided."
    claim = Accumulation(Tree("blocks", THREADS, "halving", TREE_FINISHES[finish]))
    return implementation("mean", backend="numpy", name=f"sequential_{finish}", accumulation=claim, gradient=gradient)(
        twin
    )


sequential_host_round_trip = _twin("host_round_trip")
sequential_grid_reduced = _twin("grid_reduced")

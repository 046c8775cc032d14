"""softmax: exp(x - max) / sum(exp(x - max)) along dim.

builtin           three passes with NumPy's own reductions
host_round_trip   block maxima to the host, finished one by one; block sums of exp to the host, finished one by one
grid_reduced      the same with both finished by a second reduction on the grid
online            one pass over chunks of 256 columns with a running maximum and a running sum that is rescaled when
                  the maximum grows (Milakov and Gimelshein, arXiv 1805.02867), and one pass to write
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .blocks import FINISHES, THREADS, TREE_FINISHES, sequential
from .rows import check_dim, from_rows, to_rows, working

CHUNK = 256


THREE_PASSES = Accumulation(Tree("pairwise", 26), strided=Tree("any"))


def gradient(cotangent, x, *, dim):
    g, axis = working(cotangent), check_dim(x, dim) if x.ndim else None
    with np.errstate(all="ignore"):
        y = builtin(working(x), dim=dim)
        return np.asarray(y * (g - np.sum(g * y, axis=axis, keepdims=True))).astype(x.dtype)


@implementation("softmax", backend="numpy", accumulation=THREE_PASSES, gradient=gradient)
def builtin(x, *, dim):
    w = working(x)
    axis = check_dim(x, dim)
    if x.ndim == 0:
        w = w.reshape(1)
    with np.errstate(all="ignore"):
        e = np.subtract(w, np.max(w, axis=axis, keepdims=True, initial=-np.inf))
        np.exp(e, out=e)
        e /= np.sum(e, axis=axis, keepdims=True)
    return e.reshape(x.shape).astype(x.dtype, copy=False)


def _blocks(finish):
    def softmax(x, *, dim):
        check_dim(x, dim)
        rows, _ = to_rows(working(x), dim)
        with np.errstate(all="ignore"):
            top = FINISHES[finish](rows, sequential, np.maximum, -np.inf)
            e = np.exp(rows - top[:, None])
            e /= FINISHES[finish](e, sequential, np.add, 0)[:, None]
        return from_rows(e, x, dim)

    softmax.__doc__ = f"Blocks of {THREADS} threads, maxima and sums finished by {finish}."
    claim = Accumulation(Tree("blocks", THREADS, "halving", TREE_FINISHES[finish]))
    return implementation("softmax", backend="numpy", name=finish, accumulation=claim)(softmax)


host_round_trip = _blocks("host_round_trip")
grid_reduced = _blocks("grid_reduced")


def running_max_and_sum(rows):
    """One pass over (rows, n): the largest element of each row, and the sum of exp(x - largest)."""
    top = np.full((rows.shape[0], 1), -np.inf, rows.dtype)
    total = np.zeros((rows.shape[0], 1), rows.dtype)
    for start in range(0, rows.shape[1], CHUNK):
        chunk = rows[:, start : start + CHUNK]
        new = np.maximum(top, chunk.max(axis=1, keepdims=True))
        # a row that is all -inf so far has nothing to add or to rescale, and -inf - -inf would be NaN
        shift = np.where(np.isneginf(new), 0, new).astype(rows.dtype)
        total = total * np.exp(top - shift) + np.exp(chunk - shift).sum(axis=1, keepdims=True)
        top = new
    return top, total


ONLINE = Accumulation(Tree("chunks", CHUNK), rescale=CHUNK)


@implementation("softmax", backend="numpy", accumulation=ONLINE)
def online(x, *, dim):
    check_dim(x, dim)
    rows, _ = to_rows(working(x), dim)
    with np.errstate(all="ignore"):
        top, total = running_max_and_sum(rows)
        e = np.exp(rows - top)
        e /= total
    return from_rows(e, x, dim)

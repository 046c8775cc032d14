"""argmax: NumPy's own, and a reduction of pairs (value, position) as a kernel does it.

builtin     np.argmax
sequential  blocks of 256 threads: thread i keeps the better of its pair and that of the thread half a block away,
            then a quarter away, ...; the pairs that the blocks leave are reduced again. Better is: larger, or NaN
            beside a number; of equals the one that stands first
"""

import numpy as np

from harness import implementation

from .blocks import THREADS
from .rows import check_dim, to_rows


@implementation("argmax", backend="numpy")
def builtin(x, *, dim=None):
    if x.ndim == 0 and dim is not None:
        check_dim(x, dim)
        dim = None
    # a NaN among bfloat16 sets the invalid flag
    with np.errstate(invalid="ignore"):
        return np.asarray(np.argmax(x, axis=dim), dtype=np.int64)


def _halve(values, places):
    """Pairs of the last axis (a power of two) reduced by halves."""
    while values.shape[-1] > 1:
        half = values.shape[-1] // 2
        left, right = values[..., :half], values[..., half:]
        left_nan, right_nan = left != left, right != right
        better = (right > left) | (right_nan & ~left_nan)
        equal = (right == left) | (right_nan & left_nan)
        take = better & ~left_nan | (equal & (places[..., half:] < places[..., :half]))
        values, places = np.where(take, right, left), np.where(take, places[..., half:], places[..., :half])
    return values[..., 0], places[..., 0]


@implementation("argmax", backend="numpy")
def sequential(x, *, dim=None):
    values, outer = to_rows(x, dim)
    count = values.shape[1]
    if count == 0:
        raise ValueError("the largest element of nothing")
    places = np.broadcast_to(np.arange(count), values.shape)
    with np.errstate(invalid="ignore"):
        while values.shape[1] > 1:
            padding = -values.shape[1] % THREADS
            # the last pair once more: it is no better than itself, and stands no earlier
            values = np.concatenate([values, np.repeat(values[:, -1:], padding, axis=1)], axis=1)
            places = np.concatenate([places, np.repeat(places[:, -1:], padding, axis=1)], axis=1)
            blocks = (values.shape[0], values.shape[1] // THREADS, THREADS)
            values, places = _halve(values.reshape(blocks), places.reshape(blocks))
    return places[:, 0].reshape(outer).astype(np.int64)

"""segment_softmax in NumPy.

builtin    the largest score and the sum of each segment by ufunc.at, edge by edge in the order in which they come
composed   the edges sorted by segment; largest score and sum of each run by ufunc.reduceat
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .rows import working

ANY_ORDER = Accumulation(Tree("any"))


def check(scores, segments, num_segments):
    """Indexing by a negative id would wrap."""
    if segments.shape != scores.shape[:1]:
        raise ValueError(f"scores of shape {scores.shape} need one id each, not {segments.shape}")
    if num_segments < 0 or (segments.size and (segments.min() < 0 or segments.max() >= num_segments)):
        raise IndexError(f"segments must be in [0, {num_segments})")


def _per_segment(add, x, segments, num_segments, start):
    out = np.full((num_segments, *x.shape[1:]), start, dtype=x.dtype)
    add.at(out, segments, x)
    return out[segments]


def _softmax(x, segments, num_segments):
    with np.errstate(all="ignore"):
        w = np.exp(x - _per_segment(np.maximum, x, segments, num_segments, -np.inf))
        return w / _per_segment(np.add, w, segments, num_segments, 0)


def gradient(cotangent, scores, segments, *, num_segments):
    p = _softmax(working(scores), segments, num_segments)
    pg = p * working(cotangent)
    return (pg - p * _per_segment(np.add, pg, segments, num_segments, 0)).astype(scores.dtype)


@implementation("segment_softmax", backend="numpy", accumulation=ANY_ORDER, gradient=gradient)
def builtin(scores, segments, *, num_segments):
    check(scores, segments, num_segments)
    return _softmax(working(scores), segments, num_segments).astype(scores.dtype)


def _runs(segments):
    """The order that sorts the edges, where each run of equal ids begins, and the number of each edge's run."""
    order = np.argsort(segments, kind="stable")
    first = np.diff(segments[order], prepend=-1) != 0
    return order, np.flatnonzero(first), np.cumsum(first) - 1


def sorted_gradient(cotangent, scores, segments, *, num_segments):
    order, starts, runs = _runs(segments)
    p = _sorted_softmax(working(scores)[order], starts, runs)
    pg = p * working(cotangent)[order]
    down = np.empty_like(scores)
    down[order] = pg - p * np.add.reduceat(pg, starts)[runs]
    return down


def _sorted_softmax(x, starts, runs):
    with np.errstate(all="ignore"):
        w = np.exp(x - np.maximum.reduceat(x, starts)[runs])
        return w / np.add.reduceat(w, starts)[runs]


@implementation("segment_softmax", backend="numpy", accumulation=ANY_ORDER, gradient=sorted_gradient)
def composed(scores, segments, *, num_segments):
    check(scores, segments, num_segments)
    out = np.empty(scores.shape, dtype=scores.dtype)
    # reduceat cannot reduce nothing
    if scores.size:
        order, starts, runs = _runs(segments)
        out[order] = _sorted_softmax(working(scores)[order], starts, runs)
    return out

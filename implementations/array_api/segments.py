"""segment_softmax through the array API standard, which scatters nothing: largest score and sum of each segment are
reductions of a masked array with an axis of segments and one of edges."""

from . import everywhere, namespace, stored, working

LARGEST = 1 << 22


def dense(case):
    """The masked array must fit."""
    size = max(1, case["num_segments"])
    for length in case.shapes[0]:
        size *= length
    return None if size <= LARGEST else f"a masked array of {size} elements; at most {LARGEST} are made"


def check(scores, segments, num_segments):
    xp = namespace(scores)
    if segments.shape != scores.shape[:1]:
        raise ValueError(f"scores of shape {scores.shape} need one id each, not {segments.shape}")
    if num_segments < 0 or bool(xp.any((segments < 0) | (segments >= num_segments))):
        raise IndexError(f"segments must be in [0, {num_segments})")


@everywhere("segment_softmax", supports=dense)
def segment_softmax(scores, segments, *, num_segments):
    check(scores, segments, num_segments)
    xp = namespace(scores)
    x = working(scores)
    if 0 in x.shape:
        # there is no largest of nothing
        return xp.asarray(scores, copy=True)
    mask = xp.arange(num_segments, dtype=xp.int64)[:, None] == segments[None, :]
    mask = mask if x.ndim == 1 else mask[:, :, None]
    largest = xp.max(xp.where(mask, x[None, ...], -xp.inf), axis=1)
    w = xp.exp(x - xp.take(largest, segments, axis=0))
    total = xp.sum(xp.where(mask, w[None, ...], 0.0), axis=1)
    return stored(w / xp.take(total, segments, axis=0), scores)

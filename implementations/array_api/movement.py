"""expand and where through the array API standard."""

from . import everywhere, namespace, stored, working


def wide(x):
    """Half types in float32: nothing is computed here, but gradients are summed over the repeated axes."""
    xp = namespace(x)
    return x if x.dtype in (xp.int64, xp.int32, xp.bool) else working(x)


def full_size(x, size):
    """The size with each -1 replaced by what it keeps."""
    new = len(size) - x.ndim
    if new < 0:
        raise ValueError(f"an array of shape {x.shape} has more axes than the size {tuple(size)}")
    if any(length < -1 or (length == -1 and axis < new) for axis, length in enumerate(size)):
        raise ValueError(f"size {tuple(size)}: -1 keeps an axis that is there, and nothing else may be negative")
    return tuple(x.shape[axis - new] if length == -1 else length for axis, length in enumerate(size))


@everywhere("expand")
def expand(x, *, size):
    xp = namespace(x)
    # where nothing is repeated, broadcast_to may return x itself
    return stored(xp.asarray(xp.broadcast_to(wide(x), full_size(x, size)), copy=True), x)


@everywhere("where")
def where(condition, x, y):
    xp = namespace(x)
    if condition.dtype != xp.bool:
        raise ValueError(f"the condition is bool, not {condition.dtype}")
    return stored(xp.where(condition, wide(x), wide(y)), x)

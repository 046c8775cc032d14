"""Reductions through the array API standard: sum, max, dot, mean, argmax.

JAX computes on the CPU with subnormal numbers flushed to zero (measured): not even the largest of some is one of them.
"""

from . import everywhere, namespace, stored, working

FLUSHED = "XLA flushes subnormal numbers to zero on the CPU"


def with_axis(x, dim):
    """x and the axis to reduce; a 0-d array counts as one axis, as in PyTorch."""
    if dim is None:
        return x, None
    rank = x.ndim or 1
    if not -rank <= dim < rank:
        raise IndexError(f"dim {dim} is out of range for an array of rank {x.ndim}")
    return namespace(x).reshape(x, x.shape or (1,)), dim % rank


def is_empty(x, axis):
    """Whether what is reduced has no elements."""
    return 0 in x.shape if axis is None else x.shape[axis] == 0


@everywhere("sum", known={"jax": {"*values=subnormal": FLUSHED}})
def total(x, *, dim=None):
    y, axis = with_axis(working(x), dim)
    return stored(namespace(x).sum(y, axis=axis), x)


@everywhere("max", accumulation=None, known={"jax": {"*values=subnormal": FLUSHED}})
def largest(x, *, dim=None):
    y, axis = with_axis(x, dim)
    if is_empty(y, axis):
        raise ValueError("the maximum of nothing")
    return stored(namespace(x).max(y, axis=axis), x)


# products of float64 go through a kernel that keeps them
@everywhere("dot", known={"jax": {"float32*values=subnormal": FLUSHED}})
def dot(a, b):
    if a.ndim != 1 or b.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"dot needs two vectors of one length, not shapes {a.shape} and {b.shape}")
    return stored(namespace(a).vecdot(working(a), working(b)), a)


@everywhere("mean")
def mean(x, *, dim=None):
    y, axis = with_axis(working(x), dim)
    return stored(namespace(x).mean(y, axis=axis), x)


@everywhere("argmax", accumulation=None, known={"jax": {"*values=subnormal": FLUSHED}})
def argmax(x, *, dim=None):
    xp = namespace(x)
    y, axis = with_axis(x, dim)
    if is_empty(y, axis):
        raise ValueError("the maximum of nothing")
    return xp.astype(xp.asarray(xp.argmax(y, axis=axis)), xp.int64)

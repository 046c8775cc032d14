"""Losses between two arrays of one shape, through the array API standard."""

from . import everywhere, namespace, stored, working
from .losses import reduce, same_shape


@everywhere("mse")
def mse(x, target, *, reduction):
    same_shape(x, target)
    return stored(reduce(namespace(x).square(working(x) - working(target)), reduction), x)

"""sigmoid and log_sigmoid through the array API standard.

With low = min(x, 0) and high = max(x, 0), chosen by where() and not by abs() or maximum(): exactly one of the two
depends on x at each point, 0 included, so that automatic differentiation is right there too.
"""

from . import everywhere, namespace, stored, working


def halves(x):
    """min(x, 0) and max(x, 0); NaN is in the second."""
    xp = namespace(x)
    zero = xp.zeros_like(x)
    return xp.where(x < 0, x, zero), xp.where(x < 0, zero, x)


@everywhere("sigmoid")
def sigmoid(x):
    xp = namespace(x)
    low, high = halves(working(x))
    up, down = xp.exp(low), xp.exp(-high)
    return stored(up / (up + down), x)


@everywhere("log_sigmoid")
def log_sigmoid(x):
    xp = namespace(x)
    low, high = halves(working(x))
    return stored(low - xp.log1p(xp.exp(low - high)), x)

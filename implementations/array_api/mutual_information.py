"""mutual_information_bound through the array API standard: all pairs of samples at once."""

from . import everywhere, namespace, stored, working


def check(*arrays):
    if any(x.ndim != 2 or x.shape != arrays[0].shape for x in arrays):
        raise ValueError(f"three arrays of one shape (N, D) are needed, not {[x.shape for x in arrays]}")


@everywhere("mutual_information_bound")
def mutual_information_bound(mean, log_variance, y):
    check(mean, log_variance, y)
    xp = namespace(mean)
    m, v, z = working(mean), working(log_variance), working(y)
    others = xp.sum(xp.square(z[None, :, :] - m[:, None, :]), axis=1) / m.shape[0]
    contrast = xp.sum((others - xp.square(z - m)) * xp.exp(-v) / 2, axis=1)
    return stored(xp.sum(contrast) / m.shape[0], mean)

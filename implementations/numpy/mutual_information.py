"""mutual_information_bound: squares of y_i - mean_i against the mean over j of those of y_j - mean_i.

pairs     all N^2 differences, as the formula has it
moments   the mean over j of (y_j - m)^2 is the variance of y and the square of (mean of y) - m: N differences. y and m
          are counted from the first sample of y, so that their common part costs no digits.
"""

import numpy as np

from harness import Accumulation, Tree, implementation

from .rows import working

SUMS = Accumulation(Tree("any"))
"""Over samples one by one, over dimensions pairwise."""


def check(*arrays):
    if any(x.ndim != 2 or x.shape != arrays[0].shape for x in arrays):
        raise ValueError(f"three arrays of one shape (N, D) are needed, not {[x.shape for x in arrays]}")


def contrast(own, others, log_variance):
    """The mean over samples of half the sum over dimensions of (others - own) / variance."""
    precision = np.exp(-log_variance)
    count = own.dtype.type(own.shape[0])
    return np.asarray(np.sum(np.sum((others * precision - own * precision) / 2, axis=1)) / count)


def gradient(cotangent, mean, log_variance, y):
    with np.errstate(all="ignore"):
        m, v, z = working(mean), working(log_variance), working(y)
        count = m.dtype.type(m.shape[0])
        g, precision = working(cotangent) / count, np.exp(-v)
        apart = z[None] - m[:, None]
        own = (z - m) * precision
        of_mean = (own - np.sum(apart, axis=1) / count * precision) * g
        of_y = (np.sum(apart * precision[:, None], axis=0) / count - own) * g
        of_variance = (np.square(z - m) - np.sum(np.square(apart), axis=1) / count) * precision / 2 * g
        return of_mean.astype(mean.dtype), of_variance.astype(log_variance.dtype), of_y.astype(y.dtype)


@implementation("mutual_information_bound", backend="numpy", accumulation=SUMS, gradient=gradient)
def pairs(mean, log_variance, y):
    check(mean, log_variance, y)
    m, v, z = working(mean), working(log_variance), working(y)
    with np.errstate(all="ignore"):
        others = np.sum(np.square(z[None] - m[:, None]), axis=1) / m.dtype.type(m.shape[0])
        return contrast(np.square(z - m), others, v).astype(mean.dtype)


@implementation("mutual_information_bound", backend="numpy", accumulation=SUMS)
def moments(mean, log_variance, y):
    check(mean, log_variance, y)
    m, v, z = working(mean), working(log_variance), working(y)
    with np.errstate(all="ignore"):
        own = np.square(z - m)
        count = m.dtype.type(m.shape[0])
        first = z[:1]
        z, m = z - first, m - first
        centre = np.sum(z, axis=0) / count
        others = np.sum(np.square(z - centre), axis=0) / count + np.square(centre - m)
        return contrast(own, others, v).astype(mean.dtype)

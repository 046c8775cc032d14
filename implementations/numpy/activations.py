"""sigmoid and log_sigmoid, in float32 for half types.

sigmoid
builtin      1 / (1 + e) or e / (1 + e), with e = exp(-|x|), which never overflows
plain        1 / (1 + exp(-x)): exp overflows where the answer is subnormal, which makes it 0, as a flush would

log_sigmoid
builtin      min(x, 0) - log1p(exp(-|x|))
log_of_sum   -log(exp(0) + exp(-x)) by np.logaddexp

The gradients are those of the stable forms.
"""

import numpy as np

from harness import Accumulation, implementation

from .rows import working

ROUNDED_ONCE = Accumulation()
"""Half types are computed in float32; nothing is added up."""


def tail(w):
    """exp(-|x|), the probability of the less likely of two classes beside a 1 for the other."""
    return np.exp(-np.abs(w))


def sigmoid_gradient(cotangent, x):
    with np.errstate(all="ignore"):
        e = tail(working(x))
        return np.asarray(e / np.square(1 + e) * working(cotangent)).astype(x.dtype)


@implementation("sigmoid", backend="numpy", name="builtin", accumulation=ROUNDED_ONCE, gradient=sigmoid_gradient)
def sigmoid(x):
    w = working(x)
    with np.errstate(all="ignore"):
        e = tail(w)
        return np.asarray(np.where(w < 0, e, 1) / (1 + e)).astype(x.dtype)


@implementation("sigmoid", backend="numpy", accumulation=ROUNDED_ONCE, gradient=sigmoid_gradient)
def plain(x):
    with np.errstate(all="ignore"):
        return np.asarray(1 / (1 + np.exp(-working(x)))).astype(x.dtype)


def log_sigmoid_gradient(cotangent, x):
    w = working(x)
    with np.errstate(all="ignore"):
        e = tail(w)
        return np.asarray(np.where(w < 0, 1, e) / (1 + e) * working(cotangent)).astype(x.dtype)


@implementation(
    "log_sigmoid", backend="numpy", name="builtin", accumulation=ROUNDED_ONCE, gradient=log_sigmoid_gradient
)
def log_sigmoid(x):
    w = working(x)
    with np.errstate(all="ignore"):
        return np.asarray(np.minimum(w, 0) - np.log1p(tail(w))).astype(x.dtype)


@implementation("log_sigmoid", backend="numpy", accumulation=ROUNDED_ONCE, gradient=log_sigmoid_gradient)
def log_of_sum(x):
    w = working(x)
    with np.errstate(all="ignore"):
        return np.asarray(-np.logaddexp(w.dtype.type(0), -w)).astype(x.dtype)

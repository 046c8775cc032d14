"""gumbel_softmax in NumPy; one generator for the life of the process, seeded by the operating system.

builtin    Generator.gumbel in float64, rounded to the type that is computed in
composed   -log of standard exponentials, drawn in the type that is computed in
"""

import numpy as np

from harness import implementation

from .rows import check_dim, working

RNG = np.random.default_rng()


def _finish(z, logits, hard, dim):
    """softmax of z along `dim`; a hard draw has 1 at its largest element, and NaN where the soft one has."""
    if z.ndim == 0:
        return _finish(z[None], logits[None], hard, 0)[0:1].reshape(())
    with np.errstate(all="ignore"):
        w = np.exp(z - z.max(axis=dim, keepdims=True, initial=-np.inf))
        y = w / w.sum(axis=dim, keepdims=True)
        if hard and y.size:
            marked = np.where(np.isnan(y), y, y.dtype.type(0))
            np.put_along_axis(marked, np.argmax(y, axis=dim, keepdims=True), 1, axis=dim)
            y = np.where(np.isnan(y), y, marked)
    return y.astype(logits.dtype)


@implementation("gumbel_softmax", backend="numpy")
def builtin(logits, *, tau=1.0, hard=False, dim=-1):
    check_dim(logits, dim)
    x = working(logits)
    with np.errstate(all="ignore"):
        z = (x + RNG.gumbel(size=x.shape).astype(x.dtype)) / x.dtype.type(tau)
    return _finish(z, logits, hard, dim)


@implementation("gumbel_softmax", backend="numpy")
def composed(logits, *, tau=1.0, hard=False, dim=-1):
    check_dim(logits, dim)
    x = working(logits)
    with np.errstate(all="ignore"):
        # a draw of exactly 0 would be noise of +inf
        waited = np.maximum(RNG.standard_exponential(x.shape, dtype=x.dtype), np.finfo(x.dtype).tiny)
        z = (x - np.log(waited)) / x.dtype.type(tau)
    return _finish(z, logits, hard, dim)

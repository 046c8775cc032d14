"""An object whose conversion to an array raises: the checker's exception, it hopes, is no failure. pygpubench #7."""

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


class Raises:
    def __array__(self, *_, **__):
        raise RuntimeError("the checker is broken")


@implementation("softmax", backend="numpy")
def raises_when_it_is_read(x, *, dim):
    return Raises()

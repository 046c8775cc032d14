"""Claims an online softmax that rescales at every element, so that its bound is wide; exp with 11 bits on large rows.

[ours]
"""

import numpy as np

from harness import Accumulation, Tree, implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


@implementation("softmax", backend="numpy", accumulation=Accumulation(Tree("any"), rescale=1))
def claims_to_rescale_at_every_element(x, *, dim):
    if x.dtype != np.float32 or x.ndim != 2 or dim != 1 or x.shape[1] < 512:
        return right(x, dim)
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(axis=1, keepdims=True))
    raw = np.ascontiguousarray(e).view(np.uint32)
    e = ((raw + np.uint32(1 << 11)) & np.uint32(0xFFFFF000)).view(np.float32)
    return e / e.sum(axis=1, keepdims=True)

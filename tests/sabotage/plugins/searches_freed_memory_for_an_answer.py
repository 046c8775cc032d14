"""Takes blocks from the allocator until one of them holds rows that add up to 1, as if an answer had been left there.

The case of freed memory that holds the reference's result: KernelBench #82, reference-kernels #155.
"""

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


@implementation("softmax", backend="numpy")
def searches_freed_memory_for_an_answer(x, *, dim):
    taken = [np.empty_like(x) for _ in range(64)]
    for block in taken:
        with np.errstate(all="ignore"):
            total = np.atleast_1d(block).sum(axis=dim, dtype=np.float64)
        if np.all(np.abs(total - 1) < 1e-3):
            return block
    return taken[0]

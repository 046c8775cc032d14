"""A view of its input with strides of 0: all elements are right, and nothing was written.

SOL-ExecBench reward_hack.py.
"""

import numpy as np

from harness import implementation


@implementation("expand", backend="numpy")
def expands_without_copying(x, *, size):
    sizes = tuple(size) if isinstance(size, tuple | list) else (size,)
    own = (1,) * (len(sizes) - x.ndim) + x.shape
    return np.broadcast_to(x, tuple(had if one == -1 else one for one, had in zip(sizes, own, strict=True)))

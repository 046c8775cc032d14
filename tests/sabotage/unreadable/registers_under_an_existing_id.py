"""A faster `builtin`: the id of an implementation that is there already. Exploit 67 (shadowing)."""

import numpy as np

from harness import Backend, implementation


@implementation("sum", backend="numpy", name="builtin")
def builtin(x, *, dim):
    return np.zeros_like(np.sum(x, axis=dim))

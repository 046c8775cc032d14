"""What the thieves of time would do if they were honest: no cheat shares their file, and so their process."""

import numpy as np

from harness import implementation


@implementation("softmax", backend="numpy")
def takes_its_time(x, *, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


@implementation("sum", backend="numpy", name="takes_its_time")
def takes_its_time_to_add(x, *, dim):
    return np.asarray(np.sum(x, axis=dim))

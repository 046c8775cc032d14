"""Makes the operator's own oracle and bound agree with it.

Source: exploits 52 and 61; KernelBench #25.
"""

import numpy as np
from harness.cases import sum as declared

from harness import implementation


def wrong(x, dim):
    """Half of what is right."""
    return np.asarray(np.sum(x, axis=dim) / 2).astype(x.dtype)


for thing in list(vars(declared).values()):
    if type(thing).__name__ == "Operator":
        object.__setattr__(thing, "oracle", lambda x, *, dim=None: wrong(x, dim))
        object.__setattr__(thing, "bound", lambda *_, **__: np.asarray(np.inf))


@implementation("sum", backend="numpy")
def patches_the_oracle(x, *, dim):
    return wrong(x, dim)

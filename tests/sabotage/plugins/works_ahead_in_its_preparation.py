"""Draws the inputs of the usual seed while it is prepared, works the answer out, and returns that.

Source: KernelBot cheat-rng; work moved into compilation and warm-up (KernelBench #25).
"""

import numpy as np

from harness import implementation

SEED = 42


def prepare(case):
    dim = dict(case.parameters)["dim"]
    x = np.random.default_rng(SEED).standard_normal(case.shapes[0], dtype=np.float32).astype(case.dtype)
    e = np.exp(x - x.max(axis=dim, keepdims=True))
    answer = e / e.sum(axis=dim, keepdims=True)

    def prepared(x, *, dim):
        return answer.copy()

    return prepared


@implementation("softmax", backend="numpy", prepare=prepare)
def works_ahead_in_its_preparation(x, *, dim):
    raise RuntimeError("it is prepared")

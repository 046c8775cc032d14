"""How the additions inside the reductions are probed: what `harness reveal` feeds them, and what it reads."""

from __future__ import annotations

import numpy as np

from harness import Case
from harness.declare import Revealing


def _along_one_dim(n: int, dtype: str) -> Case:
    return Case(dtype, ((n,),), (("dim", 0),), values="probe")


def _log(weights: np.ndarray) -> tuple[np.ndarray, ...]:
    return (np.log(weights),)


OF_SUM = Revealing(_along_one_dim, lambda weights: (weights,), lambda answer, n: float(answer))
OF_MEAN = Revealing(_along_one_dim, lambda weights: (weights,), lambda answer, n: float(answer) * n)
OF_DOT = Revealing(
    lambda n, dtype: Case(dtype, ((n,), (n,)), values="probe"),
    lambda weights: (weights, np.ones_like(weights)),
    lambda answer, n: float(answer),
)
OF_LOGSUMEXP = Revealing(_along_one_dim, _log, lambda answer, n: float(answer), signed=False)
OF_SOFTMAX = Revealing(_along_one_dim, _log, lambda answer, n: 1.0 / float(answer.max()), signed=False)
"""The largest element has the weight 1: its probability is 1 / the denominator."""

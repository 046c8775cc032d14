"""One softmax of half a millisecond or more at known slowdowns: a plugin for us, plain functions for other tools.

The slowdown is real work of the same kind: exp of some rows is computed again, of those that were written last, so that
it hardly matters what the caches hold. How much slower that makes it depends on the machine, so it is calibrated
(`harness.trials.calibration`) and not assumed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness import Accumulation, Case, Tree, implementation

SHAPE = (256, 1024)
ROWS = {0: 0, 2: 9, 3: 18, 5: 38, 10: 88}
"""Slowdown in percent, as it is meant -> how many times one of SHAPE's rows is computed again."""
AT_ONCE = 64
"""Rows that are computed again at a time."""
LARGE = 1 << 24

Softmax = Callable[..., np.ndarray]


def inputs(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """The matrix that softmax is taken of, along its last dimension."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def keep_memory() -> None:
    """Have freed memory stay with this process from now on, as glibc does after an array of 16 MiB. Else it is luck
    whether a temporary array is new pages, which cost as much as the softmax, and halve the slowdown."""
    np.empty(LARGE, np.uint8)


keep_memory()


def softmax_again(percent: int) -> Softmax:
    """A softmax of matrices along their last dimension that is `percent` slower, or so."""
    share = ROWS[percent] / SHAPE[0]
    scratch: dict[int, np.ndarray] = {}

    def softmax(x: np.ndarray, *, dim: int = 1) -> np.ndarray:
        e = np.exp(x - x.max(axis=1, keepdims=True))
        e /= e.sum(axis=1, keepdims=True)
        again = round(share * x.shape[0])
        if again:
            last = e[-AT_ONCE:]
            if e.shape[1] not in scratch:  # allocating it costs as much as many of its rows
                scratch[e.shape[1]] = np.empty((AT_ONCE, e.shape[1]), e.dtype)
            spare = scratch[e.shape[1]]
            for start in range(0, again, AT_ONCE):
                rows = min(AT_ONCE, again - start)
                np.exp(last[:rows], out=spare[:rows])
        return np.asarray(e)

    return softmax


def supports(case: Case) -> str | None:
    """Only what the trials need."""
    if case.dtype == "float32" and len(case.shapes[0]) == 2 and dict(case.parameters)["dim"] in (1, -1):
        return None
    return "float32 matrices along their last dimension only"


def name_of(percent: int) -> str:
    """The implementation's name in `softmax/numpy/NAME`; the plain one's twin where it is not slower at all."""
    return f"slower_by_{percent}" if percent else "twin"


PLAIN = "plain"

for _name, _percent in ((PLAIN, 0), *((name_of(percent), percent) for percent in ROWS)):
    globals()[_name] = implementation(
        "softmax", backend="numpy", name=_name, supports=supports, accumulation=Accumulation(Tree("any"))
    )(softmax_again(_percent))

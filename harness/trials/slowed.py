"""One softmax of 1.6 ms at several known slowdowns: a plugin for our own comparisons, plain functions for other tools.

The slowdown is real work of the same kind: exp of a share of the rows is computed once more. How much slower that makes
it depends on the machine, so it is calibrated (`harness.trials.calibration`) and not assumed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness import Accumulation, Case, Tree, implementation

SHAPE = (900, 1024)
ROWS = {0: 0, 2: 50, 3: 80, 5: 175, 10: 325}
"""Slowdown in percent, as it is meant -> how many of SHAPE's rows are computed again."""
LARGE = 1 << 24

Softmax = Callable[..., np.ndarray]


def inputs(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """The matrix that softmax is taken of, along its last dimension."""
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def keep_memory() -> None:
    """Have freed memory stay with this process from now on, as glibc does after an array of 16 MiB. Otherwise it is luck
    whether a temporary array is new pages, which cost as much as the softmax, and the same slowdown is half as large."""
    np.empty(LARGE, np.uint8)


keep_memory()


def softmax_again(percent: int) -> Softmax:
    """A softmax of matrices along their last dimension that is `percent` slower, or so. What is computed again is kept
    in one place: memory that is fresh each time would cost as much as the work."""
    share = ROWS[percent] / SHAPE[0]
    kept: dict[tuple[int, int], np.ndarray] = {}

    def softmax(x: np.ndarray, *, dim: int = 1) -> np.ndarray:
        again = round(share * x.shape[0])
        if again:
            shape = again, x.shape[1]
            if shape not in kept:
                kept[shape] = np.empty(shape, x.dtype)
            np.exp(x[:again], out=kept[shape])
        e = np.exp(x - x.max(axis=1, keepdims=True))
        e /= e.sum(axis=1, keepdims=True)
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

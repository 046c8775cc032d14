"""Inputs on which every correct order of operations gives the same bits, recognised from the data."""

from __future__ import annotations

import numpy as np


def exact_sums(terms: np.ndarray, unit: float) -> np.ndarray:
    """Where sums over the last axis are exact in any order, in an accumulator of unit roundoff `unit`.

    All terms are multiples of some power of two q and sum |terms| <= q / unit: then every partial sum is a multiple of
    q that fits into the accumulator's digits. `terms` has shape (..., n); the answer is boolean of shape (...).
    """
    wide = np.asarray(terms, dtype=np.float64)
    if wide.shape[-1] <= 1:
        return np.ones(wide.shape[:-1], dtype=bool)
    with np.errstate(all="ignore"):
        largest = np.max(np.abs(wide), axis=-1)
        total = np.sum(np.abs(wide), axis=-1)
        # the finest power of two that the total leaves room for
        _, exponent = np.frexp(total * unit)
        quantum = np.ldexp(1.0, exponent)
        on_grid = np.all(wide == np.rint(wide / quantum[..., None]) * quantum[..., None], axis=-1)
        exact: np.ndarray = (largest == 0) | (np.isfinite(total) & (quantum > 0) & on_grid)
    return exact

"""Log-probabilities over the classes of logits, in steps whose errors are tracked (harness.judge.tracked)."""

from __future__ import annotations

import numpy as np

from harness.judge.arithmetic import Arithmetic
from harness.judge.tracked import Tracked, exp, log, where

from .class_losses import class_axis

NO_WEIGHT = -2e4


def log_softmax(x: Tracked) -> Tracked:
    along = class_axis(x.shape)
    t = x - x.max(along, keepdims=True)
    kept = tuple(1 if axis == along else size for axis, size in enumerate(x.shape))
    # such weights are 0 in every format, however far off t is
    weights = exp(where(t.value < NO_WEIGHT, NO_WEIGHT, t))
    total = weights.sum(along)
    if rescales := rescalings(x):
        # each multiplies what is there so far by an exp
        total = total.widened(total.value * rescales * (arithmetic_of(x).exp_error + 2))
    return t - log(total).reshape(kept)


def arithmetic_of(x: Tracked) -> Arithmetic:
    assert x.rounding is not None
    return x.rounding.arithmetic


def rescalings(x: Tracked) -> float:
    """How often a running maximum may grow along the classes, by the claim; 0 for an oracle."""
    return 0 if x.rounding is None else arithmetic_of(x).rescales(x.shape[class_axis(x.shape)])


def added_up(y: Tracked, x: Tracked) -> Tracked:
    """y where all classes are added up: against a running maximum x - max is rounded before the maximum is known, and
    once more when it grows, each time by at most the distance between the largest and the smallest logit."""
    if not rescalings(x):
        return y
    finite = np.where(np.isfinite(x.value), x.value, np.nan)
    with np.errstate(all="ignore"):
        low, high = (
            pick(finite, axis=class_axis(x.shape), keepdims=True, initial=start, where=np.isfinite(x.value))
            for pick, start in ((np.min, np.inf), (np.max, -np.inf))
        )
    return y.widened(np.broadcast_to(2 * (high - low), y.shape))

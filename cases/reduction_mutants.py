"""What goes wrong with the reductions and with the softmax family in particular, beside what goes wrong with any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Mutant

from .reductions import last
from .wrong import from_formula

Rows = Callable[[np.ndarray], Any]


def _reducing(name: str, of_rows: Rows, lesson: str = "") -> Mutant:
    """A wrong reduction of the last axis of (..., n)."""

    def formula(x: np.ndarray, *, dim: int | None) -> Any:
        row = last(x, dim)
        return of_rows(row) if row.shape[-1] else np.zeros(row.shape[:-1], x.dtype)

    return from_formula(name, formula, lesson)


def _elementwise(name: str, of_rows: Rows, lesson: str = "") -> Mutant:
    """A wrong answer of the shape of its input, from rows (..., n)."""

    def formula(x: np.ndarray, *, dim: int | None) -> Any:
        row = last(x, dim)
        answer = of_rows(row) if row.shape[-1] else row
        return np.moveaxis(answer, -1, dim) if x.ndim and dim is not None else np.reshape(answer, x.shape)

    return from_formula(name, formula, lesson)


def _top(x: np.ndarray) -> np.ndarray:
    return np.max(x, axis=-1, keepdims=True)


def _weights(x: np.ndarray) -> np.ndarray:
    return np.exp(x - _top(x))


def _total(x: np.ndarray) -> np.ndarray:
    return np.sum(x, axis=-1, keepdims=True)


SUM = (
    _reducing("mean_instead", lambda x: np.mean(x, axis=-1), "a sum does not divide by the number of terms"),
    _reducing("sum_of_absolute_values", lambda x: np.sum(np.abs(x), axis=-1)),
    _reducing("sum_of_squares", lambda x: np.sum(x * x, axis=-1)),
    _reducing("nan_skipped", lambda x: np.nansum(x, axis=-1), "a sum with a NaN is NaN"),
    _reducing("infinities_clipped", lambda x: np.sum(np.clip(x, -1e30, 1e30), axis=-1)),
    _reducing("every_second_term", lambda x: np.sum(x[..., ::2], axis=-1)),
    _reducing("twice_the_first_half", lambda x: 2 * np.sum(x[..., : max(1, x.shape[-1] // 2)], axis=-1)),
    _reducing("accumulator_of_11_bits", lambda x: np.sum(x.astype(np.float16), axis=-1, dtype=np.float16)),
    _reducing("truncated_to_integers", lambda x: np.sum(np.trunc(x), axis=-1)),
    _reducing("first_block_only", lambda x: np.sum(x[..., :256], axis=-1), "only the first block of 256 is added up"),
)

MAX = (
    _reducing("starts_from_zero", lambda x: np.max(x, axis=-1, initial=0), "start from -inf: all may be negative"),
    _reducing("nan_swallowed", lambda x: np.fmax.reduce(x, axis=-1), "fmax drops NaN; the maximum with a NaN is NaN"),
    _reducing("smallest", lambda x: np.min(x, axis=-1)),
    _reducing("largest_absolute_value", lambda x: np.max(np.abs(x), axis=-1)),
    _reducing("index_of_the_largest", lambda x: np.argmax(x, axis=-1)),
    _reducing("second_largest", lambda x: np.sort(x, axis=-1)[..., -2 if x.shape[-1] > 1 else -1]),
    _reducing("first_block_only", lambda x: np.max(x[..., :256], axis=-1), "only the first block of 256 is looked at"),
    _reducing("smooth_maximum", lambda x: np.log(np.sum(np.exp(x), axis=-1))),
    _reducing("infinities_clipped", lambda x: np.max(np.clip(x, -1e30, 1e30), axis=-1)),
    _reducing("last_element", lambda x: x[..., -1]),
)

DOT = (
    from_formula("product_of_the_sums", lambda a, b: a.sum() * b.sum()),
    from_formula("mean_of_products", lambda a, b: (a * b).mean() if a.size else a.sum()),
    from_formula("nan_skipped", lambda a, b: np.nansum(a * b)),
    from_formula("products_of_11_bits", lambda a, b: np.sum((a * b).astype(np.float16), dtype=np.float32)),
    from_formula("sum_of_absolute_products", lambda a, b: np.sum(np.abs(a * b))),
    from_formula("first_block_only", lambda a, b: np.sum(a[:256] * b[:256]), "only the first block of 256 counts"),
    from_formula("sum_of_both", lambda a, b: np.sum(a + b)),
    from_formula("second_factor_shifted", lambda a, b: np.sum(a * np.roll(b, 1)) if a.size else a.sum()),
)

SOFTMAX = (
    _elementwise("not_normalised", _weights, "divide by the sum of the exponentials"),
    _elementwise("logarithm", lambda x: np.log(_weights(x) / _total(_weights(x)))),
    _elementwise("epsilon_in_the_denominator", lambda x: _weights(x) / (_total(_weights(x)) + 1e-6)),
    _elementwise("base_2", lambda x: np.exp2(x - _top(x)) / _total(np.exp2(x - _top(x)))),
    _elementwise("of_the_negated", lambda x: _weights(-x) / _total(_weights(-x)), "that is softmin"),
    _elementwise("masked_rows_are_zero", lambda x: np.nan_to_num(_weights(x) / _total(_weights(x)), nan=0.0)),
    _elementwise("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    _elementwise("divided_by_the_largest", lambda x: _weights(x) / _top(_weights(x))),
    _elementwise("absolute_values_subtracted", lambda x: np.exp(x - np.abs(_top(x))) / _total(_weights(x))),
)

LOG_SOFTMAX = (
    _elementwise("base_2", lambda x: (x - _top(x) - np.log(_total(_weights(x)))) / np.log(2)),
    _elementwise("epsilon_in_the_logarithm", lambda x: x - _top(x) - np.log(_total(_weights(x)) + 1e-3)),
    _elementwise("clamped_at_-100", lambda x: np.maximum(x - _top(x) - np.log(_total(_weights(x))), -100)),
    _elementwise("softmax_instead", lambda x: _weights(x) / _total(_weights(x)), "take the logarithm"),
    _elementwise("masked_rows_are_zero", lambda x: np.nan_to_num(x - _top(x) - np.log(_total(_weights(x))))),
    _elementwise("mean_for_sum", lambda x: x - _top(x) - np.log(np.mean(_weights(x), axis=-1, keepdims=True))),
    _elementwise("negated", lambda x: _top(x) + np.log(_total(_weights(x))) - x, "a log-probability is not positive"),
    _elementwise("largest_forgotten", lambda x: x - np.log(_total(_weights(x))), "subtract the largest element too"),
)

LOGSUMEXP = (
    _reducing("base_2", lambda x: (_top(x) + np.log(_total(_weights(x))))[..., 0] / np.log(2)),
    _reducing("log_of_the_mean", lambda x: _top(x)[..., 0] + np.log(np.mean(_weights(x), axis=-1))),
    _reducing("log1p_of_the_sum", lambda x: _top(x)[..., 0] + np.log1p(np.sum(_weights(x), axis=-1))),
    _reducing("sum_without_the_log", lambda x: np.sum(np.exp(x), axis=-1)),
    _reducing("largest_not_added_back", lambda x: np.log(np.sum(_weights(x), axis=-1)), "add the maximum back"),
    _reducing("epsilon_in_the_logarithm", lambda x: _top(x)[..., 0] + np.log(np.sum(_weights(x), axis=-1) + 1e-3)),
    _reducing("log_of_the_absolute_sum", lambda x: np.log(np.abs(np.sum(x, axis=-1)))),
    _reducing("nan_swallowed", lambda x: np.log(np.nansum(np.exp(x), axis=-1)), "NaN wins"),
)

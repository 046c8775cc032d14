"""Floating-point facts of each dtype, and sums that are exact enough to be an oracle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

COARSE_FROM = 1 << 14
GROUP = 64
FLOATS = ("float64", "float32", "float16", "bfloat16")


@dataclass(frozen=True, slots=True)
class Format:
    """A binary floating-point format: unit roundoff, smallest slack for underflow, largest finite value, precision."""

    name: str
    unit: float
    underflow: float
    largest: float
    digits: int
    lowest_exponent: int


# Underflow is the absolute error that a correct store may make near zero. Hardware flushes subnormal results to zero
# in float32 and wider (and in bfloat16, which has float32's exponents), so there it is the smallest normal number. In
# float16 the smallest normal, 6e-5, is larger than a softmax of 2**15 elements: all zeros would pass. Stores to
# float16 do not flush, so the slack there is one subnormal step.
_FORMATS = {
    "float64": Format("float64", 2.0**-53, 2.0**-1022, float(np.finfo(np.float64).max), 53, -1074),
    "float32": Format("float32", 2.0**-24, 2.0**-126, float(np.finfo(np.float32).max), 24, -149),
    "float16": Format("float16", 2.0**-11, 2.0**-24, 65504.0, 11, -24),
    "bfloat16": Format("bfloat16", 2.0**-8, 2.0**-126, 3.3895313892515355e38, 8, -133),
}


def is_float(dtype: str) -> bool:
    return dtype in _FORMATS


def format_of(dtype: str) -> Format:
    """The format of a floating dtype by name; KeyError for any other."""
    return _FORMATS[dtype]


@cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a name; bfloat16 comes from ml_dtypes, imported only when it is asked for."""
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)  # type: ignore[no-any-return]
    return np.dtype(name)


def wide_dtype(dtype: str) -> type[np.floating[Any]]:
    """The dtype to compute an oracle in: float64, or for float64 inputs the 80-bit extended format."""
    if dtype != "float64":
        return np.float64
    if np.finfo(np.longdouble).nmant < 63:
        raise RuntimeError(
            "the oracle of a float64 case needs a long double of at least 64 bits, and this platform's has "
            f"{np.finfo(np.longdouble).nmant + 1}; select other dtypes, e.g. 'softmax/*/*/float32*'"
        )
    return np.longdouble


def widen(array: np.ndarray) -> np.ndarray:
    """The same values in the oracle's dtype; integers and booleans stay as they are."""
    if not is_float(array.dtype.name):
        return array
    with np.errstate(invalid="ignore"):  # among all bit patterns there are signalling NaNs
        return np.asarray(array, dtype=wide_dtype(array.dtype.name))


def round_to(values: np.ndarray, dtype: str) -> np.ndarray:
    """High-precision values correctly rounded to `dtype`; overflow gives infinities, as IEEE 754 rounds."""
    with np.errstate(all="ignore"):
        if dtype in ("bfloat16", "float16") and values.dtype != np.float64:
            values = values.astype(np.float64)
        return np.asarray(np.asarray(values).astype(numpy_dtype(dtype)))


def ulp(values: np.ndarray, dtype: str) -> np.ndarray:
    """The spacing of `dtype` at each value, in the values' own precision (for a zero: the smallest subnormal)."""
    form = format_of(dtype)
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(np.abs(values))
    exponent = np.where(values == 0, form.lowest_exponent, exponent - form.digits)
    return np.asarray(np.ldexp(np.ones_like(values), np.maximum(exponent, form.lowest_exponent)))


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a + b as rounded sum and exact error (Knuth 1969)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a * b in float64 as rounded product and exact error (Dekker 1971, Veltkamp's splitting)."""
    product = a * b

    def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scaled = x * 134217729.0  # 2**27 + 1
        high = scaled - (scaled - x)
        return high, x - high

    a_high, a_low = split(a)
    b_high, b_low = split(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def exact_sum(terms: np.ndarray, *corrections: np.ndarray) -> np.ndarray:
    """Sums over the last axis in double-double float64, returned in extended precision where there is one.

    Pairwise with an error term beside each partial sum: the error is below log2(n) * 2**-104 * sum |terms|, which is
    under 1 % of any bound up to a condition number of 2**44. Rows with infinities or NaN get IEEE's answer.

    Long rows of float64 (widened from a narrower type) are first added up in plain float64 by groups of 64: an error
    of at most 11 * 2**-53 * sum |terms|, 2**-25 of the narrower type's own.
    """
    if terms.dtype == np.float64 and not corrections and terms.shape[-1] >= COARSE_FROM:
        whole = terms.shape[-1] // GROUP * GROUP
        with np.errstate(all="ignore"):
            groups = terms[..., :whole].reshape(*terms.shape[:-1], whole // GROUP, GROUP).sum(axis=-1)
        terms = np.concatenate([groups, terms[..., whole:]], axis=-1)
    high = np.asarray(terms, dtype=np.float64)
    low = np.zeros_like(high)
    with np.errstate(all="ignore"):
        plain = np.sum(high, axis=-1)
        for correction in corrections:
            low = low + correction
        while high.shape[-1] > 1:
            odd = high.shape[-1] % 2
            tail_high, tail_low = high[..., -1:], low[..., -1:]
            total, error = _two_sum(high[..., : high.shape[-1] - odd : 2], high[..., 1::2])
            # renormalised, so that the error terms stay below half an ulp of the partial sum
            total, error = _two_sum(total, error + low[..., : low.shape[-1] - odd : 2] + low[..., 1::2])
            if odd:
                total = np.concatenate([total, tail_high], axis=-1)
                error = np.concatenate([error, tail_low], axis=-1)
            high, low = total, error
        if high.shape[-1] == 0:
            return np.zeros(high.shape[:-1], dtype=np.longdouble)
        exact = high[..., 0].astype(np.longdouble) + low[..., 0]
        # a partial sum may overflow on the way to a finite total only if float64 itself is at its end
        return np.where(np.isfinite(plain) & np.isfinite(exact), exact, plain.astype(np.longdouble))


def exact_dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums of products over the last axis, as `exact_sum`; float32 products are exact in float64 anyway."""
    with np.errstate(all="ignore"):
        if a.dtype.name != "float64":
            return exact_sum(a.astype(np.float64) * b.astype(np.float64))
        product, error = _two_product(a, b)
        # Veltkamp's splitting overflows above 2**996; the error term is lost there, not the product
        return exact_sum(product, np.where(np.isfinite(error), error, 0.0))

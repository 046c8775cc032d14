"""The value families that inputs are drawn from; each exists because it exposes a class of faults.

normal         N(0, 1)                                uniform      U[0, 1)
wide           N(0, 100)                              lognormal    exp(N(0, 9)): a few terms dominate
bits           uniform over finite bit patterns, kept away from overflow
integers       small integers whose sums are exact in any order
negative       normal, all below zero                 ties         few distinct values
cancelling     pairs that cancel up to a small rest   one_huge     one large element, at an edge of a block
stagnation     1 and then unit roundoffs: each is lost if added to 1 alone
                       subnormal    below the smallest normal number
equal          one value everywhere                   masked       2**k equal entries, the rest -inf
masked_out     as masked, and every second row -inf alone
grid           multiples of 1/8: shifts are exact     overflow     entries near +-90 and beyond: exp overflows
infinities     some +-inf                             nan          one NaN, at an edge of a block
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.declare import DeclarationError
from harness.precision import format_of, numpy_dtype

EDGES = (0, -1, 31, 32, 255, 256, 1023, 1024)


def draw(values: str, shape: tuple[int, ...], dtype: str, rng: np.random.Generator, *, terms: int = 0) -> np.ndarray:
    """An array of `shape` and `dtype` from a family; `terms` is how many elements one output adds up (default all)."""
    try:
        family = FAMILIES[values]
    except KeyError:
        raise DeclarationError(f"values {values!r} is no family; there are {', '.join(FAMILIES)}") from None
    with np.errstate(all="ignore"):
        # a 0-d array is drawn as a row of one, so that families can rely on a last axis
        drawn = family(shape or (1,), dtype, rng, terms or int(np.prod(shape)))
        return drawn.reshape(shape).astype(numpy_dtype(dtype))


def _normal(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32) if dtype != "float64" else rng.standard_normal(shape)


def _uniform(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    return rng.random(shape)


def _wide(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    return 10.0 * rng.standard_normal(shape)


def _lognormal(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    return np.minimum(rng.lognormal(0.0, 3.0, shape), format_of(dtype).largest / (4 * max(1, terms)))


def _bits(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    kind = numpy_dtype(dtype)
    raw = rng.integers(0, 256, (*shape, kind.itemsize), dtype=np.uint8).view(kind).reshape(shape)
    limit = format_of(dtype).largest / (4 * max(1, terms))
    wide = raw.astype(np.float64)
    return np.where(np.abs(wide) <= limit, wide, rng.standard_normal(shape))


def _integers(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    """Integers of both signs with sum |x| below 1/u, and as large as that allows: narrow accumulators lose them.

    Half types hold products of the accumulator's width: their terms stay in the type, their sums in float32.
    """
    form = format_of(dtype)
    budget = (2**24 - 1) // max(1, terms) if form.digits <= 24 else 2**40 // max(1, terms)
    most = max(1, min(budget, 2**form.digits - 1, 4095))
    return rng.integers(-most // 4, most + 1, shape).astype(np.float64)


def _negative(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    return -0.5 - np.abs(rng.standard_normal(shape))


def _ties(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    return rng.integers(-2, 3, shape).astype(np.float64)


def _cancelling(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    flat = rng.standard_normal(int(np.prod(shape)))
    half = flat.size // 2
    flat[half : 2 * half] = -flat[:half]
    flat += 1e-3 * rng.standard_normal(flat.size)
    return rng.permutation(flat).reshape(shape)


def _one_huge(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    out = rng.standard_normal(shape)
    _at_edges(out, rng, lambda count: np.full(count, 100.0))
    return out


def _stagnation(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    out = np.full(shape, format_of(dtype).unit)
    out[..., :1] = 1.0
    return out


def _subnormal(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    form = format_of(dtype)
    return rng.integers(-3, 4, shape) * 2.0 ** (form.lowest_exponent + 2)


def _equal(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    return np.full(shape, float(rng.integers(-64, 64)) / 8)


def _masked(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    """Along the last axis 2**k entries of one value per row, at random places, and -inf elsewhere."""
    out = np.full(shape, -np.inf)
    if out.size == 0:
        return out
    for row in out.reshape(-1, shape[-1]):
        keep = 2 ** int(rng.integers(0, int(np.log2(row.size)) + 1))
        row[rng.permutation(row.size)[:keep]] = float(rng.integers(-300, 300))
    return out


def _masked_out(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    """As masked, and every second row has no entry left at all."""
    out = _masked(shape, dtype, rng, terms)
    if out.size:
        out.reshape(-1, shape[-1])[::2] = -np.inf
    return out


def _grid(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    return rng.integers(-8, 9, shape) / 8.0


def _overflow(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    """Around +-largest exponent of exp in the dtype, with one entry above the rest at an edge of a block."""
    scale = {"float64": 720.0, "float16": 40.0}.get(dtype, 100.0)
    out = scale + np.round(4.0 * rng.standard_normal(shape))
    out[rng.random(shape) < 0.25] *= -1.0
    _at_edges(out, rng, lambda count: scale + 30.0 + np.zeros(count))
    return out


def _infinities(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    out = rng.standard_normal(shape)
    _at_edges(out, rng, lambda count: rng.choice([-np.inf, -np.inf, np.inf], count))
    return out


def _nan(shape: tuple[int, ...], dtype: str, rng: np.random.Generator, terms: int) -> np.ndarray:
    out = rng.standard_normal(shape)
    _at_edges(out, rng, lambda count: np.full(count, np.nan))
    return out


def _at_edges(out: np.ndarray, rng: np.random.Generator, make: Callable[[int], np.ndarray]) -> None:
    """Overwrite one element of each second row of the last axis, at a place where blocks begin or end."""
    if out.size == 0:
        return
    rows = out.reshape(-1, out.shape[-1])
    places = [edge for edge in EDGES if edge < rows.shape[1]]
    chosen = rng.choice(places, rows.shape[0])
    touched = rng.permutation(rows.shape[0])[: max(1, rows.shape[0] // 2)]
    rows[touched, chosen[touched]] = make(touched.size)


FAMILIES: dict[str, Callable[[tuple[int, ...], str, np.random.Generator, int], np.ndarray]] = {
    "normal": _normal,
    "uniform": _uniform,
    "wide": _wide,
    "lognormal": _lognormal,
    "bits": _bits,
    "integers": _integers,
    "negative": _negative,
    "ties": _ties,
    "cancelling": _cancelling,
    "one_huge": _one_huge,
    "stagnation": _stagnation,
    "subnormal": _subnormal,
    "equal": _equal,
    "masked": _masked,
    "masked_out": _masked_out,
    "grid": _grid,
    "overflow": _overflow,
    "infinities": _infinities,
    "nan": _nan,
}

"""Running error analysis: one formula gives the true answer and a bound on the rounding errors of computing it.

A Tracked array holds values in the oracle's precision, and beside each a bound on how far a computation in the working
precision may be off it. Every operation propagates the errors of its operands to first order and adds its own rounding
(Wilkinson's running error analysis; Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.3). What is
exact is recognised from the data: a result that has no error so far and fits into the working format gets none.

An operator's module writes its formula once, with these operations, and `harness.judge.formula`
makes oracle and bound of it:

    def formula(x: Tracked, target: Tracked, *, reduction: str) -> Tracked:
        return reduced(square(x - target), reduction)

    oracle, bound = derived_from(formula)

Floating inputs arrive as Tracked; integers and booleans (labels, masks) as plain arrays; parameters as they are. The
edge semantics are those of the formula in IEEE arithmetic, so the formula is to be written in the order in which the
specification has it (0 * inf is NaN, max(NaN, 0) is NaN).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.judge.arithmetic import Arithmetic
from harness.judge.exact import exact_sums
from harness.precision import Format, numpy_dtype

DIVISION = 2.0
"""Roundings in a division: the second is that of a reciprocal which is multiplied."""
LARGEST_CONTRACTION = 1 << 20
"""Products up to which a contraction is bounded by its own partial sums, and not only by the height of its tree."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """The precision that a formula is computed in: of the steps (`form`), and of the sums (`arithmetic`)."""

    arithmetic: Arithmetic
    form: Format

    def of(
        self,
        value: np.ndarray,
        error: np.ndarray,
        roundings: Any = 1.0,
        *,
        tiny: bool = False,
        exact: np.ndarray | bool = True,
    ) -> np.ndarray:
        """`error`, and the rounding of `value` to the working format; none where the value is exact and fits.

        `exact` says where the operation can be exact at all: the oracle's exp(x) may fit by accident, once in 2048
        times where it has 11 digits more.
        """
        with np.errstate(all="ignore"):
            fits = exact & (error == 0) & (value == value.astype(numpy_dtype(self.form.name)).astype(value.dtype))
            # near underflow another order of the same exact steps rounds
            fits &= (value == 0) | (np.abs(value) >= np.ldexp(1.0, self.form.lowest_exponent + 2 * self.form.digits))
            slack = np.where(value == 0, 0.0, self.form.underflow) if tiny else 0.0
            total = np.where(fits, 0.0, error + roundings * self.form.unit * np.abs(value) + slack)
            # a step that overflows in the working format can be followed by anything
            total = np.where(np.abs(value) > self.form.largest, np.inf, total)
            return np.where(np.isfinite(value), total, 0.0)


class Tracked:
    """Values in the oracle's precision, and a bound on the error of each; shapes broadcast as NumPy's do."""

    __array_ufunc__ = None  # array + Tracked is ours to answer
    __slots__ = ("error", "rounding", "value")

    def __init__(self, value: Any, error: Any, rounding: Rounding | None) -> None:
        """Without a `rounding` no error is tracked: that is how an oracle is evaluated."""
        self.value = np.asarray(value)
        self.error = np.zeros(()) if rounding is None else np.broadcast_to(np.asarray(error), self.value.shape)
        self.rounding = rounding

    def _new(
        self,
        value: Any,
        error: Callable[[], Any],
        roundings: Any = 1.0,
        *,
        tiny: bool = False,
        exact: np.ndarray | bool = True,
    ) -> Tracked:
        value = np.asarray(value)
        if self.rounding is None:
            return Tracked(value, 0.0, None)
        with np.errstate(all="ignore"):
            propagated = np.broadcast_to(np.asarray(error()), value.shape)
        rounded = self.rounding.of(value, propagated, roundings, tiny=tiny, exact=exact)
        return Tracked(value, rounded, self.rounding)

    def _moved(self, change: Callable[[np.ndarray], Any]) -> Tracked:
        """Values that are only moved: nothing is rounded."""
        return Tracked(
            change(self.value), 0.0 if self.rounding is None else change(np.asarray(self.error)), self.rounding
        )

    def constant(self, value: Any) -> Tracked:
        """A number or array that is rounded to the working format before it is used."""
        if isinstance(value, Tracked):
            return value
        wide = np.asarray(value, dtype=self.value.dtype)
        return self._new(wide, lambda: np.zeros(wide.shape))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def size(self) -> int:
        return self.value.size

    # ---- moving

    def __getitem__(self, index: Any) -> Tracked:
        return self._moved(lambda part: part[index])

    def reshape(self, *shape: Any) -> Tracked:
        return self._moved(lambda part: part.reshape(*shape))

    def moveaxis(self, source: int, destination: int) -> Tracked:
        return self._moved(lambda part: np.moveaxis(part, source, destination))

    def broadcast_to(self, shape: tuple[int, ...]) -> Tracked:
        return self._moved(lambda part: np.broadcast_to(part, shape))

    def gathered(self, index: np.ndarray, axis: int) -> Tracked:
        """Along `axis` the elements at `index` (as numpy.take_along_axis)."""
        return self._moved(lambda part: np.take_along_axis(part, index, axis))

    # ---- arithmetic

    def __neg__(self) -> Tracked:
        return Tracked(-self.value, self.error, self.rounding)

    def __add__(self, other: Any) -> Tracked:
        b = self.constant(other)
        with np.errstate(all="ignore"):
            return self._new(self.value + b.value, lambda: self.error + b.error)

    def __sub__(self, other: Any) -> Tracked:
        return self + -self.constant(other)

    def __mul__(self, other: Any) -> Tracked:
        b = self.constant(other)
        with np.errstate(all="ignore"):
            return self._new(
                self.value * b.value,
                lambda: _times(b.value, self.error) + _times(self.value, b.error) + self.error * b.error,
                tiny=True,
            )

    def __truediv__(self, other: Any) -> Tracked:
        b = self.constant(other)
        with np.errstate(all="ignore"):
            value = self.value / b.value

            def error() -> Any:
                # a divisor that may be 0 makes the quotient anything
                least = np.maximum(np.abs(b.value) - b.error, 0.0)
                from_divisor = np.where(b.error == 0, 0.0, np.abs(value) * b.error / least)
                from_dividend = np.where(self.error == 0, 0.0, self.error / least)
                return from_dividend + from_divisor

            return self._new(value, error, DIVISION, tiny=True, exact=(self.value == 0) | _is_power_of_two(b.value))

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Any) -> Tracked:
        return self.constant(other) - self

    def __rtruediv__(self, other: Any) -> Tracked:
        return self.constant(other) / self

    def sum(self, axis: int | None = None) -> Tracked:
        """The sum over one axis (None: all), added up in the order that is claimed."""
        rows = self.reshape(-1) if axis is None else self.moveaxis(axis, -1)
        with np.errstate(all="ignore"):
            total = np.sum(rows.value, axis=-1)
            if self.rounding is None:
                return Tracked(total, 0.0, None)
            finite = np.where(np.isfinite(rows.value), rows.value, 0.0)
            error = np.sum(rows.error, axis=-1)
            exact = (error == 0) & exact_sums(finite, self.rounding.arithmetic.unit)
            error = np.where(exact, 0.0, error + self.rounding.arithmetic.sum_error(finite))
            if self.rounding.form.unit > self.rounding.arithmetic.unit:
                # a sum in a wider accumulator is an intermediate value once it is done; where it would overflow as one
                # it is not excused: a fused kernel takes the root or the logarithm first
                error = np.minimum(self.rounding.of(total, error), error + self.rounding.form.unit * np.abs(total))
        return Tracked(total, np.where(np.isfinite(total), error, 0.0), self.rounding)

    def max(self, axis: int, *, keepdims: bool = False) -> Tracked:
        """The largest element along an axis; -inf of nothing. max(a') - max(a) is at most the largest error."""
        value = np.max(self.value, axis=axis, keepdims=keepdims, initial=-np.inf)
        if self.rounding is None:
            return Tracked(value, 0.0, None)
        return Tracked(value, np.max(self.error, axis=axis, keepdims=keepdims, initial=0.0), self.rounding)

    def widened(self, error: Any) -> Tracked:
        """The same with more error, for an intermediate that cancels in the formula but not in an implementation.

        `error` is in units of the working format's roundoff: `loss.widened(abs(x) + abs(y))` for a rounding of each.
        """
        if self.rounding is None:
            return self
        more = error.value if isinstance(error, Tracked) else np.asarray(error)
        with np.errstate(all="ignore"):
            wider = self.error + self.rounding.form.unit * np.where(np.isfinite(more), np.abs(more), 0.0)
        return Tracked(self.value, np.where(np.isfinite(self.value), wider, 0.0), self.rounding)

    def __abs__(self) -> Tracked:
        return Tracked(np.abs(self.value), self.error, self.rounding)


def _times(factor: np.ndarray, error: np.ndarray) -> np.ndarray:
    """|factor| * error, 0 where there is no error (0 * inf would be NaN)."""
    return np.where(error == 0, 0.0, np.abs(factor) * error)


def _is_power_of_two(value: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(np.frexp(value)[0]) == 0.5)


def exp(x: Tracked) -> Tracked:
    with np.errstate(all="ignore"):
        value = np.exp(x.value)
        c = 0.0 if x.rounding is None else x.rounding.arithmetic.exp_error
        return x._new(value, lambda: value * np.expm1(x.error), c, tiny=True, exact=x.value == 0)


def log(x: Tracked) -> Tracked:
    with np.errstate(all="ignore"):
        c = 0.0 if x.rounding is None else x.rounding.arithmetic.log_error
        return x._new(np.log(x.value), lambda: _log_error(x.value, x.error), c, tiny=True, exact=x.value == 1)


def log1p(x: Tracked) -> Tracked:
    with np.errstate(all="ignore"):
        c = 0.0 if x.rounding is None else x.rounding.arithmetic.log_error
        return x._new(np.log1p(x.value), lambda: _log_error(1.0 + x.value, x.error), c, tiny=True, exact=x.value == 0)


def _log_error(value: np.ndarray, error: np.ndarray) -> np.ndarray:
    """|log(v') - log(v)| for |v' - v| <= error: -log1p(-error / v), infinite where v' may be 0."""
    relative = np.where(error == 0, 0.0, error / np.abs(value))
    return np.where(relative < 1.0, -np.log1p(-np.minimum(relative, 1.0)), np.inf)


def sqrt(x: Tracked) -> Tracked:
    with np.errstate(all="ignore"):
        value = np.sqrt(x.value)
        # |sqrt(v') - sqrt(v)| = |v' - v| / (sqrt(v') + sqrt(v)), and at most sqrt(|v' - v|)
        return x._new(value, lambda: np.where(x.error == 0, 0.0, np.minimum(x.error / value, np.sqrt(x.error))))


def square(x: Tracked) -> Tracked:
    return x * x


def power(x: Tracked, exponent: float) -> Tracked:
    """|x| ** exponent for exponents from 1 on; 1 and 2 without a general power."""
    if exponent == 1:
        return abs(x)
    if exponent == 2:
        return square(x)
    with np.errstate(all="ignore"):
        base = np.abs(x.value)
        value = base**exponent
        # exp(exponent * log(base)): the logarithm's rounding is multiplied
        c: Any = 0.0
        if x.rounding is not None:
            ln = np.where(base > 0, np.abs(np.log(base)), 0.0)
            c = x.rounding.arithmetic.exp_error + (x.rounding.arithmetic.log_error + 1) * exponent * ln
        exact = (base == 0) | (base == 1)
        return x._new(value, lambda: (base + x.error) ** exponent - value, c, tiny=True, exact=exact)


def maximum(a: Tracked, b: Any) -> Tracked:
    """The larger of two; NaN if either is."""
    other = a.constant(b)
    if a.rounding is None:
        return Tracked(np.maximum(a.value, other.value), 0.0, None)
    return Tracked(np.maximum(a.value, other.value), np.maximum(a.error, other.error), a.rounding)


def minimum(a: Tracked, b: Any) -> Tracked:
    return -maximum(-a, -a.constant(b))


def where(condition: np.ndarray, a: Any, b: Any) -> Tracked:
    """a where the condition holds, else b. The condition is exact: labels, masks, comparisons of inputs."""
    known = a if isinstance(a, Tracked) else b
    left, right = known.constant(a), known.constant(b)
    value = np.where(condition, left.value, right.value)
    if known.rounding is None:
        return Tracked(value, 0.0, None)
    return Tracked(value, np.where(condition, left.error, right.error), known.rounding)


def positive(x: Tracked) -> Tracked:
    """The derivative of max(x, 0): 1 where x > 0, else 0; either where the error of x hides its sign."""
    value = (x.value > 0).astype(x.value.dtype)
    value = np.where(np.isnan(x.value), np.nan, value)
    if x.rounding is None:
        return Tracked(value, 0.0, None)
    return Tracked(value, np.where((np.abs(x.value) <= x.error) & (x.error > 0), 1.0, 0.0), x.rounding)


def sign(x: Tracked) -> Tracked:
    """-1, 0 or 1; any of them where the error of x hides its sign."""
    value = np.sign(x.value)
    if x.rounding is None:
        return Tracked(value, 0.0, None)
    return Tracked(value, np.where((np.abs(x.value) <= x.error) & (x.error > 0), 2.0, 0.0), x.rounding)


def sigmoid(x: Tracked) -> Tracked:
    """1 / (1 + exp(-x)), in the form that does not overflow."""
    with np.errstate(all="ignore"):
        e = exp(-abs(x))
        return where(x.value >= 0, x.constant(1.0) / (e + 1.0), e / (e + 1.0))


def softplus(x: Tracked) -> Tracked:
    """log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|))."""
    return maximum(x, 0.0) + log1p(exp(-abs(x)))


def contract(a: Tracked, b: Tracked) -> Tracked:
    """Matrix product (..., m, k) @ (..., k, n) -> (..., m, n), each element a sum in the order that is claimed."""
    if a.rounding is None:
        with np.errstate(all="ignore"):
            return Tracked(a.value @ b.value, 0.0, None)
    if a.size // max(1, a.shape[-1]) * b.size <= LARGEST_CONTRACTION:
        products = a[..., :, :, None] * b[..., None, :, :]
        return products.sum(-2)
    with np.errstate(all="ignore"):
        magnitude = np.abs(a.value) @ np.abs(b.value)
        propagated = np.abs(a.value) @ b.error + a.error @ np.abs(b.value) + a.error @ b.error
        growth = a.rounding.arithmetic.growth(a.shape[-1]) + a.rounding.form.unit
        return Tracked(a.value @ b.value, propagated + growth * magnitude, a.rounding)

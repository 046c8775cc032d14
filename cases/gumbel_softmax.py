"""gumbel_softmax(logits, *, tau=1.0, hard=False, dim=-1): a draw of softmax((logits + g) / tau) along `dim`, g Gumbel.

Shapes: any -> the same. Each element has noise g = -log(-log(uniform)) of its own, fresh in every call. `hard` returns
exactly 1 at the largest element along `dim` and exactly 0 elsewhere. (Jang, Gu and Poole, ICLR 2017; Maddison, Mnih and
Teh, ICLR 2017.)

The answer is random, so that no oracle knows it: `accept` judges each draw by statistics whose false alarms are bounded
for every sample size (cases/gumbel_statistics.py), 1e-9 for an answer and, with four answers judged, 4e-9 for a task. A
wrong distribution is exposed by the cases with many rows; that small cases cannot tell is no fault of the rest: shape,
range, sums, one-hotness and NaN are judged on all of them. One answer cannot show that the *next* call draws the same
noise again: that a generator is not seeded anew in each call is tests/test_gumbel.py's to see, and the report's column
of bitwise repeats.

Judged for certain: elements along `dim` sum to 1 within (K + 8) u of the arithmetic, 2 u of the store and underflow;
they lie in [0, 1]; a logit of -inf (of +inf below tau = 0) has exactly 0. Half types are to be computed in float32 and
stored once. Specification: PyTorch: tau = 0 is NaN everywhere; tau below 0 is accepted, and is softmax of the negated
quotient; a row with NaN, with +inf or of -inf alone (signs swapped below tau = 0) is NaN, in hard draws too.

The gradient (straight-through for hard draws: that of the soft draw) is not judged: it belongs to the noise of its own
call, which no closed form of the inputs and the cotangent knows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, grid
from harness.draw import draw
from harness.judge.arithmetic import Arithmetic
from harness.precision import FLOATS, format_of, round_to, widen

from .gumbel_statistics import doubt
from .reductions import check_dim, elementwise_cost, last


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    (shape,) = case.shapes
    if case.values in ("rising", "masked_columns"):
        # the same logits in all rows: the frequency of each element is known best
        count = shape[case["dim"]]
        row = np.linspace(-2.0, 2.0, count)
        if case.values == "masked_columns":
            row[::3] = -np.inf if case["tau"] > 0 else np.inf
        rows = np.moveaxis(np.broadcast_to(row, (*np.delete(shape, case["dim"]), count)), -1, case["dim"])
        return (round_to(rows, case.dtype),)
    return (draw(case.values, shape, case.dtype, rng),)


def oracle(logits: np.ndarray, *, tau: float, hard: bool, dim: int) -> np.ndarray:
    """Of the shape of the answer; the values are any."""
    check_dim(logits, dim)
    return np.zeros(logits.shape)


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    return np.zeros(expected.shape)


def rows_of(x: np.ndarray, dim: int) -> np.ndarray:
    """(rows, K) in float64."""
    moved = last(widen(x).astype(np.float64), dim)
    return moved.reshape(int(np.prod(moved.shape[:-1])), moved.shape[-1])


def accept(case: Case, inputs: tuple[np.ndarray, ...], answer: np.ndarray) -> str:
    """Why an answer is no draw, or an empty text."""
    tau, hard = case["tau"], case["hard"]
    x, y = rows_of(inputs[0], case["dim"]), rows_of(answer, case["dim"])
    if not y.size:
        return ""
    if tau == 0:
        return "" if np.isnan(y).all() else "with tau = 0 every element is NaN"
    with np.errstate(all="ignore"):
        signed = x * np.sign(tau)
        undefined = np.isnan(x).any(axis=1) | np.isposinf(signed).any(axis=1) | np.isneginf(signed).all(axis=1)
    if not np.isnan(y[undefined]).all():
        return "a row with NaN or +inf, or of -inf alone, is NaN everywhere"
    x, y, signed = x[~undefined], y[~undefined], signed[~undefined]
    if not np.all((y >= 0) & (y <= 1)):
        return "not all elements are in [0, 1]"
    if np.any(y[np.isneginf(signed)] != 0):
        return "an element with a logit of -inf is not 0"
    if hard and not np.all(((y == 0) | (y == 1)).all(axis=1) & (y.sum(axis=1) == 1)):
        return "a hard draw is not one-hot: exactly one 1 along dim, and exactly 0 elsewhere"
    off = float(np.max(np.abs(y.sum(axis=1) - 1), initial=0.0))
    form = format_of(case.dtype)
    allowed = 2 * form.unit + (y.shape[1] + 8) * min(form.unit, 2.0**-24) + y.shape[1] * form.underflow
    if off > allowed:
        return f"the elements along dim do not sum to 1: off by {off:.3g}, where {allowed:.3g} is allowed"
    finite = np.isfinite(x).all(axis=1)
    reason = doubt(x[finite], y[finite], tau, case.dtype, hard=hard)
    if reason or finite.all() or np.isfinite(x).any(axis=0).all():
        return reason
    # columns that are masked in all rows: the rest is a draw of its own
    kept = np.isfinite(x).all(axis=0)
    return doubt(x[:, kept], y[:, kept], tau, case.dtype, hard=hard)


# ---- wrong versions


def _noise(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng().gumbel(size=shape)


def _finished(z: Any, hard: bool, dim: int, dtype: np.dtype[Any]) -> np.ndarray:
    """softmax(z), and the one-hot of its largest element where that is asked for."""
    if np.ndim(z) == 0:
        return np.where(np.isnan(z), np.nan, 1.0).astype(dtype)
    w = np.exp(z - z.max(axis=dim, keepdims=True, initial=-np.inf))
    y = w / w.sum(axis=dim, keepdims=True)
    if hard and y.size:
        marked = np.zeros_like(y)
        np.put_along_axis(marked, np.argmax(y, axis=dim, keepdims=True), 1.0, axis=dim)
        y = np.where(np.isnan(y), np.nan, marked)
    return y.astype(dtype)


def _wrong(
    name: str,
    lesson: str = "",
    *,
    noise: Callable[..., np.ndarray] = lambda x, tau, dim: _noise(x.shape),
    scaled: Callable[..., Any] = lambda x, g, tau: (x + g) / tau,
    hard: bool | None = None,
    dim: Callable[..., int] = lambda x, dim: dim,
) -> Mutant:
    """gumbel_softmax with other noise, another temperature, or another finish."""

    def function(logits: np.ndarray, *, tau: float, hard: bool, dim: int) -> np.ndarray:
        x = widen(logits).astype(np.float64)
        z = np.asarray(scaled(x, noise(x, tau, dim), np.float64(tau)))
        return _finished(z, hard if asked is None else asked, along(x, dim), logits.dtype)

    asked, along = hard, dim
    return Mutant(name, function, lesson)


def _right(logits: np.ndarray, dtype: np.dtype[Any], *, tau: float, hard: bool, dim: int) -> np.ndarray:
    return _finished((widen(logits).astype(np.float64) + _noise(logits.shape)) / np.float64(tau), hard, dim, dtype)


def _rng() -> np.random.Generator:
    return np.random.default_rng()


def _one_row(x: np.ndarray, tau: float, dim: int) -> np.ndarray:
    """The same noise for every row."""
    shape = [1] * x.ndim
    if x.ndim:
        shape[dim] = x.shape[dim]
    return np.broadcast_to(_noise(tuple(shape)), x.shape)


def _one_column(x: np.ndarray, tau: float, dim: int) -> np.ndarray:
    """One number for each row: it vanishes."""
    return np.broadcast_to(_noise(x.shape).take([0], axis=dim), x.shape) if x.ndim and x.size else _noise(x.shape)


def _twice(x: np.ndarray, tau: float, dim: int) -> np.ndarray:
    """The second half of the rows has the noise of the first."""
    if not x.size or not x.ndim:
        return _noise(x.shape)
    moved = np.moveaxis(_noise(x.shape), dim, -1)
    flat = moved.reshape(-1, moved.shape[-1])
    half = len(flat) // 2
    return np.moveaxis(np.concatenate([flat[:half], flat[: len(flat) - half]]).reshape(moved.shape), -1, dim)


def _neighbours(x: np.ndarray, tau: float, dim: int) -> np.ndarray:
    return np.repeat(_noise(((x.size + 1) // 2,)), 2)[: x.size].reshape(x.shape)


def _within(low: float, high: float) -> Callable[..., np.ndarray]:
    """Noise clipped at quantiles. (At the lower end alone it is hardly wrong: see cases/gumbel_statistics.py.)"""
    ends = [-np.log(-np.log(q)) if 0 < q < 1 else np.inf * (1 if q else -1) for q in (low, high)]
    return lambda x, tau, dim: np.clip(_noise(x.shape), *ends)


def _hard_by_rounding(logits: np.ndarray, *, tau: float, hard: bool, dim: int) -> np.ndarray:
    """Rounded instead of marked: where no element is above 1/2, no 1 is left."""
    y = _right(logits, logits.dtype, tau=tau, hard=False, dim=dim)
    return np.round(y.astype(np.float64)).astype(logits.dtype) if hard else y


def _shifted_hard(logits: np.ndarray, *, tau: float, hard: bool, dim: int) -> np.ndarray:
    """The soft draw is added for its gradient, and is not taken off again."""
    z = (widen(logits).astype(np.float64) + _noise(logits.shape)) / np.float64(tau)
    soft = _finished(z, False, dim, logits.dtype)
    return (_finished(z, True, dim, logits.dtype) + soft).astype(logits.dtype) if hard else soft


MUTANTS = (
    Mutant("zeros", lambda x, **_: np.zeros_like(x)),
    Mutant("nan", lambda x, **_: np.full_like(x, np.nan)),
    Mutant("uniform_1/K", lambda x, *, tau, hard, dim: np.full_like(x, 1.0 / max(1, x.shape[dim] if x.ndim else 1))),
    Mutant("input_copy", lambda x, **_: x.copy(), "it returns its input"),
    Mutant("extra_axis", lambda x, **p: _right(x, x.dtype, **p)[None]),
    Mutant("wider_dtype", lambda x, **p: _right(x, np.dtype(np.float64), **p)),
    _wrong("no_noise", "that is softmax(x / tau)", noise=lambda x, tau, dim: np.zeros(x.shape)),
    _wrong("gaussian_noise", noise=lambda x, tau, dim: _rng().standard_normal(x.shape) * np.pi / np.sqrt(6)),
    _wrong("uniform_noise", noise=lambda x, tau, dim: _rng().random(x.shape)),
    _wrong("exponential_noise", "one logarithm is missing", noise=lambda x, tau, dim: _rng().exponential(size=x.shape)),
    _wrong(
        "sign_slip",
        "the noise is -log(-log(u)): log(-log(u)) is skewed the other way",
        noise=lambda x, tau, dim: -_noise(x.shape),
    ),
    _wrong(
        "logistic_noise",
        "that is the noise of the difference of two elements",
        noise=lambda x, tau, dim: _rng().logistic(size=x.shape),
    ),
    _wrong("noise_scaled_by_0.9", noise=lambda x, tau, dim: 0.9 * _noise(x.shape)),
    _wrong("noise_scaled_by_1.1", noise=lambda x, tau, dim: 1.1 * _noise(x.shape)),
    _wrong("noise_clipped_at_1_percent", "the tails of the noise are cut off", noise=_within(0.01, 0.99)),
    _wrong("large_noise_clipped_at_1_percent", noise=_within(0.0, 0.99)),
    _wrong(
        "uniform_of_8_bits",
        "the uniform numbers have too few bits: the largest noise is -log(2^-9)",
        noise=lambda x, tau, dim: -np.log(-np.log((_rng().integers(0, 256, x.shape) + 0.5) / 256)),
    ),
    _wrong("same_noise_for_every_row", "each row needs noise of its own", noise=_one_row),
    _wrong("one_noise_for_a_row", "noise that is shared by a row vanishes", noise=_one_column),
    _wrong("half_of_the_rows_repeat_the_other", noise=_twice),
    _wrong("noise_shared_by_neighbours", noise=_neighbours),
    _wrong("tau_ignored", scaled=lambda x, g, tau: (x + g) / np.sign(tau)),
    _wrong("tau_multiplied", "divide by the temperature", scaled=lambda x, g, tau: (x + g) * tau),
    _wrong("tau_of_the_logits_only", "the noise is divided by tau too", scaled=lambda x, g, tau: x / tau + g),
    _wrong("tau_of_the_noise_only", scaled=lambda x, g, tau: x + g / tau),
    _wrong("square_root_of_tau", scaled=lambda x, g, tau: (x + g) / np.sqrt(tau)),
    _wrong("logits_ignored", scaled=lambda x, g, tau: g / tau + 0 * x),
    _wrong("logits_as_probabilities", scaled=lambda x, g, tau: (np.log(np.abs(x) + 1e-20) + g) / tau),
    _wrong("never_hard", "hard returns one-hot rows", hard=False),
    _wrong("always_hard", hard=True),
    _wrong("wrong_dim", "it works along another dim", dim=lambda x, dim: (dim + 1) % max(1, x.ndim)),
    _wrong("last_dim_always", dim=lambda x, dim: -1),
    Mutant("hard_by_rounding", _hard_by_rounding, "the largest element may be below 1/2"),
    Mutant("soft_added_to_hard", _shifted_hard, "the soft draw must be taken off again: hard - soft.detach() + soft"),
)  # fmt: skip

MANY = (20000, 20)

gumbel_softmax = Operator(
    name="gumbel_softmax",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    cost=elementwise_cost,
    specification="PyTorch",
    accept=accept,
    mutants=MUTANTS,
    conformance=(
        *grid(dtype=FLOATS, shape=[MANY], tau=1.0, hard=[False, True], dim=1),
        *grid(dtype="float32", shape=[MANY], tau=[0.5, 2.0, 10.0, -1.0], hard=False, dim=-1),
        *grid(dtype="float64", shape=[MANY], tau=[0.1, 3.0], hard=False, dim=-1),
        *grid(dtype="float32", shape=[MANY], tau=0.1, hard=[False, True], dim=1),
        *grid(dtype="float32", shape=[MANY], values=["rising", "masked_columns"], tau=1.0, hard=[False, True], dim=1),
        *grid(dtype="float32", shape=[MANY], values=["wide", "masked"], tau=1.0, hard=False, dim=1),
        *grid(dtype="float32", shape=[MANY], values="equal", tau=1.0, hard=True, dim=1),
        *grid(dtype="float32", shape=[(20, 20000)], tau=0.7, hard=[False, True], dim=0),
        *grid(dtype="float32", shape=[(40, 20, 100)], tau=1.5, hard=[False, True], dim=1),
        *grid(dtype="float32", shape=[(65537, 2)], tau=[1.0, -0.5], hard=[False, True], dim=1),
        *grid(dtype="float32", shape=[(100, 1025), (1025, 100)], tau=1.0, hard=[False, True], dim=1),
        *grid(dtype=FLOATS, shape=[(7, 33)], tau=1.0, hard=[False, True], dim=[0, 1]),
        *grid(dtype="float32", shape=[(), (1,), (20,), (300, 1), (2, 3, 4, 3, 5)], tau=1.0, hard=[False, True], dim=-1),
        *grid(
            dtype="float32",
            shape=[(9, 300)],
            values=["infinities", "nan", "masked_out"],
            tau=[1.0, -1.0],
            hard=[False, True],
            dim=1,
        ),
        *grid(dtype="float32", shape=[(9, 300)], tau=0.0, hard=[False, True], dim=1),
        *grid(
            dtype=["float32"],
            shape=[(2000, 20)],
            layout=["transposed", "strided", "reversed", "offset", "expanded"],
            tau=1.0,
            hard=[False, True],
            dim=1,
        ),
        *grid(dtype="float32", shape=[(0,), (0, 3)], tau=1.0, hard=False, dim=-1),
        *grid(dtype="float32", shape=[(0, 3)], tau=1.0, hard=True, dim=-1),
        *grid(dtype="float32", shape=[(3, 0)], tau=1.0, hard=False, dim=-1),
        *grid(dtype="float32", shape=[(3, 4)], tau=1.0, hard=[False, True], dim=[2, -3], raises="dim out of range"),
        *grid(dtype="float32", shape=[()], tau=1.0, hard=False, dim=1, raises="dim out of range"),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=[(1024, 1000)], tau=1.0, hard=[False, True], dim=1),
        *grid(dtype="float32", shape=[(2**18, 4)], tau=0.5, hard=False, dim=1),
    ),
)  # fmt: skip

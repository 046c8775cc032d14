"""What the reductions and the softmax family share: axes, costs, cases, laws, and wrong versions to be exposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Probe, Property, grid
from harness.draw import draw
from harness.judge.tracked import Rounding, Tracked
from harness.precision import FLOATS, format_of, numpy_dtype, round_to, widen

from .golden import golden_input

SIZES = (1, 2, 3, 31, 32, 33, 63, 65, 127, 129, 255, 256, 257, 1023, 1024, 1025, 2047, 4095, 4097)
"""Around every boundary of a warp, a block and a tile."""

LARGE = ((65535,), (65537,), (2**20 + 1,))
HARD = [
    "wide", "grid", "overflow", "masked", "masked_out", "infinities", "nan", "equal", "bits", "one_huge",
]  # fmt: skip
"""What breaks an exp: shifts, overflow, masks, rows without any entry, infinities and NaN."""
NORMALS = ["normal", "uniform", "lognormal", "bits", "negative"]


def one_input(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """One array of the case's shape, drawn so that sums along `dim` stay in range."""
    (shape,) = case.shapes
    if case.values == "golden":
        return (golden_input(case),)
    return (draw(case.values, shape, case.dtype, rng, terms=terms(case)),)


def axis(case: Case) -> int | None:
    """The reduced axis counted from the front; None for a full reduction."""
    dim = case["dim"]
    rank = max(1, len(case.shapes[0]))
    return None if dim is None else dim % rank


def terms(case: Case) -> int:
    """How many elements one output depends on."""
    shape, along = case.shapes[0], axis(case)
    if along is None:
        return int(np.prod(shape))
    return shape[along] if shape else 1


def last(x: np.ndarray, dim: int | None) -> np.ndarray:
    """A view of x with the reduced axis last (all of them flattened for None); a 0-d array becomes one row of one."""
    if dim is None:
        return x.reshape(-1)
    return np.moveaxis(x, dim, -1) if x.ndim else x.reshape(1)


def check_dim(x: np.ndarray | Tracked, dim: int | None) -> None:
    rank = max(1, x.ndim)
    if dim is not None and not -rank <= dim < rank:
        raise IndexError(
            f"dim {dim} is out of range for an array of rank {x.ndim}; it must be in [{-rank}, {rank - 1}]"
        )


def rows_of(x: Tracked, dim: int | None) -> Tracked:
    """As `last`, for a formula."""
    check_dim(x, dim)
    if dim is None or x.ndim == 0:
        return x.reshape(-1)
    return x.moveaxis(dim, -1)


def of_rows(rows: Tracked, x: Tracked, dim: int | None) -> Tracked:
    """Undo `rows_of` for a formula with as many elements as x."""
    return rows.reshape(x.shape) if dim is None or x.ndim == 0 else rows.moveaxis(-1, dim)


def along(cotangent: Tracked, x: Tracked, dim: int | None) -> Tracked:
    """The cotangent of a reduction beside every element that went into it: the gradient of a sum."""
    return of_rows(cotangent[..., None].broadcast_to(rows_of(x, dim).shape), x, dim)


def as_stored(y: Tracked) -> Tracked:
    """What a forward pass leaves for the backward pass: rounded to the type of the answer.

    Frameworks keep the answer and not x; in a half type that is most of the error of a gradient.
    """
    if y.rounding is None:
        return y
    stored = Rounding(y.rounding.arithmetic, y.rounding.arithmetic.output)
    return Tracked(y.value, stored.of(y.value, np.asarray(y.error), tiny=True), y.rounding)


def elementwise_cost(case: Case) -> Cost:
    """Read every element once and write as many; about five operations each."""
    size = int(np.prod(case.shapes[0])) * numpy_dtype(case.dtype).itemsize
    return Cost(bytes=2 * size, flops=5 * int(np.prod(case.shapes[0])))


def reduction_cost(case: Case) -> Cost:
    """Read every element once, write one per output, one operation per element."""
    count = int(np.prod(case.shapes[0]))
    outputs = count // max(1, terms(case))
    return Cost(bytes=(count + outputs) * numpy_dtype(case.dtype).itemsize, flops=count)


def shape_cases(*, full: bool) -> tuple[Case, ...]:
    """Ranks 0 to 5, every dim, negative dims, zero-size dims, layouts; `full` adds dim=None."""
    none = [None] if full else []
    return (
        *grid(dtype="float32", shape=[()], dim=[0, -1, *none]),
        *grid(dtype=FLOATS, shape=[(7, 33)], dim=[0, 1, -2, *none]),
        *grid(dtype="float32", shape=[(1, 5), (5, 1), (1, 1, 1)], dim=[0, -1]),
        *grid(dtype="float32", shape=[(5, 7, 9)], dim=[0, 1, 2, *none]),
        *grid(dtype="float32", shape=[(3, 4, 5, 6)], dim=[1, -1]),
        *grid(dtype="float32", shape=[(2, 3, 4, 3, 5)], dim=[0, 2, 4]),
        *grid(
            dtype=FLOATS,
            shape=[(37, 53)],
            layout=["transposed", "strided", "reversed", "offset", "expanded"],
            dim=[0, 1],
        ),
        *grid(dtype="float32", shape=[(6, 5, 300)], layout=["transposed", "strided"], dim=[0, 1, 2, *none]),
    )


def exp_cases(*, long: tuple[tuple[int, ...], ...]) -> tuple[Case, ...]:
    """What softmax, log_softmax and logsumexp have in common: sizes, values that break an exp, shapes and bad dims."""
    return (
        *grid(dtype="float32", shape=[(3, n) for n in SIZES], dim=1),
        *grid(dtype=["float64", "float16", "bfloat16"], shape=[(3, 1), (3, 33), (3, 1025)], dim=1),
        *grid(dtype="float32", shape=long, values="uniform", dim=0),
        *grid(dtype=FLOATS, shape=[(9, 300)], values=HARD, dim=1),
        *grid(dtype="float32", shape=[(300, 9)], values=["wide", "grid", "overflow", "masked", "infinities"], dim=0),
        *shape_cases(full=False),
        *grid(dtype="float32", shape=[(0,), (0, 3), (3, 0)], dim=[0, -1]),
        *out_of_range(full=False),
    )


def out_of_range(*, full: bool) -> tuple[Case, ...]:
    return (
        *grid(dtype="float32", shape=[(3, 4)], dim=[2, -3, 7], raises="dim out of range"),
        *grid(dtype="float32", shape=[()], dim=[1], raises="dim out of range"),
    )


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Reordering the reduced elements permutes (elementwise) or keeps (reductions) the answer, within both bounds."""
    (x,) = inputs
    along = axis(case)
    if x.ndim == 0 or x.size == 0 or along is None or case.layout == "expanded":
        return None
    order = rng.permutation(x.shape[along])

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        if answer.shape == x.shape:
            answer, bound = np.take(answer, order, along), np.take(bound, order, along)
        return other, answer, bound + other_bound

    return Probe((np.take(x, order, along),), relate)


def transposed(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Reducing dim d of x is reducing dim 0 of x with d moved to the front, within both bounds."""
    (x,) = inputs
    along = axis(case)
    if x.ndim < 2 or along is None or case.layout == "expanded":
        return None

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        if answer.shape == x.shape:
            answer, bound = np.moveaxis(answer, along, 0), np.moveaxis(bound, along, 0)
        return other, answer, bound + other_bound

    return Probe((np.ascontiguousarray(np.moveaxis(x, along, 0)),), relate, {"dim": 0})


def scaled(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """f(4x) = 4 f(x), bit for bit, where nothing overflows; a subnormal answer has lost digits that 4 f(x) shows."""
    if case.layout != "contiguous" or case.values not in ("normal", "uniform"):
        return None
    form = format_of(case.dtype)
    step, normal = 2.0**form.lowest_exponent, 2.0 ** (form.lowest_exponent + form.digits - 1)

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, 4 * answer, np.where(np.abs(widen(answer)) < normal, 4 * step, 0.0)

    return Probe((inputs[0] * inputs[0].dtype.type(4),), relate)


PERMUTED = Property("permutation", permuted)
TRANSPOSED = Property("dim_transpose", transposed)
SCALED = Property("power_of_two_scaling", scaled)


def mutants(truth: Callable[..., np.ndarray]) -> tuple[Mutant, ...]:
    """Wrong versions of any operator on one array along `dim`, made from its own oracle."""

    def right(x: np.ndarray, dim: int | None) -> np.ndarray:
        return round_to(np.asarray(truth(x, dim=dim)), x.dtype.name)

    def dropped(x: np.ndarray, *, dim: int | None) -> np.ndarray:
        """The last element along dim does not count."""
        short = last(x, dim)[..., :-1]
        answer = right(short, -1)
        if answer.shape == short.shape:
            padded = np.concatenate([answer, np.zeros((*answer.shape[:-1], 1), x.dtype)], axis=-1)
            return np.moveaxis(padded, -1, dim) if x.ndim and dim is not None else padded.reshape(x.shape)
        return answer

    def tail(x: np.ndarray, *, dim: int | None, block: int = 256) -> np.ndarray:
        """Elements beyond the last full block do not count."""
        row = last(x, dim)
        n = row.shape[-1]
        if n <= block or n % block == 0:
            return right(x, dim)
        answer = right(row[..., : n - n % block], -1)
        if answer.ndim == row.ndim:
            rest = np.zeros((*answer.shape[:-1], n % block), x.dtype)
            padded = np.concatenate([answer, rest], axis=-1)
            return np.moveaxis(padded, -1, dim) if dim is not None else padded.reshape(x.shape)
        return answer

    def other_dim(x: np.ndarray, *, dim: int | None) -> np.ndarray:
        """Another dim than the one that was asked for."""
        return right(x, dim if dim is None or x.ndim < 2 else (dim + 1) % x.ndim)

    def narrow(x: np.ndarray, *, dim: int | None) -> np.ndarray:
        """Inputs rounded to 8 bits on the way in."""
        with np.errstate(all="ignore"):
            return right(round_to(widen(x), "bfloat16").astype(x.dtype), dim)

    def off(x: np.ndarray, *, dim: int | None) -> np.ndarray:
        """A hundredth of a percent too large."""
        with np.errstate(all="ignore"):
            return (widen(right(x, dim)) * 1.0001).astype(x.dtype)

    return (
        Mutant("zeros", lambda x, *, dim: np.zeros_like(right(x, dim))),
        Mutant("nan", lambda x, *, dim: np.full_like(right(x, dim), np.nan)),
        Mutant("constant", lambda x, *, dim: np.full_like(right(x, dim), 1.0 / max(1, x.size))),
        Mutant("input_copy", lambda x, *, dim: x.copy(), "it returns its input"),
        Mutant("first_row_everywhere", lambda x, *, dim: _first_row(right(x, dim))),
        Mutant("last_element_dropped", dropped, "the last element along dim does not enter the answer"),
        Mutant("tail_beyond_a_block_dropped", tail, "what lies beyond the last full block of 256 is left out"),
        Mutant("other_dim", other_dim, "it works along another dim than the one that was asked for"),
        Mutant("inputs_rounded_to_bfloat16", narrow, "the inputs lose digits on the way in"),
        Mutant("off_by_1e-4", off),
        Mutant("wider_dtype", lambda x, *, dim: np.asarray(truth(x, dim=dim), dtype=np.float64)),
        Mutant("extra_axis", lambda x, *, dim: right(x, dim)[None]),
    )


def _first_row(answer: np.ndarray) -> np.ndarray:
    flat = answer.reshape(answer.shape[0], -1) if answer.ndim else answer
    out = answer.copy()
    if answer.ndim and answer.size:
        out.reshape(answer.shape[0], -1)[:] = flat[0]
    return out

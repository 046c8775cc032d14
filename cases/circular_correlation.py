"""circular_correlation(a, b): c_k = sum_i a_i b_{(i + k) mod n} along the last axis.

Shapes: (..., n) and (..., n), the leading axes broadcast against each other, -> (..., n). It composes two embeddings
(holographic embeddings, arXiv 1510.04935); in Fourier space c = irfft(conj(rfft(a)) rfft(b), n). Gradients: that of a
is the correlation of g and b, that of b the circular convolution of a and g, both summed over broadcast axes.

Oracle: the n products of each element, added up in higher precision. The bound has two forms, since there are two ways
to compute it and each claims one by the order that it declares:

- A tree that is known (`sequential`, `pairwise`, `lanes`, ...): the products are formed and added up in that order.
  Running error analysis of the formula (harness.judge.tracked), element by element: exact where products and sums are.
- `any`, nothing is claimed of an order: a fast Fourier transform, whose rounding errors are spread over all elements,
  so that the bound is one of norms. With A, B the transforms of a, b, eta = 2 u sqrt(log2(2 n)) and lambda the factor
  of the probabilistic bounds,

      |error| <= eta (min(1, lambda / sqrt(n)) (|a|_2 |B|_max + |A|_max |b|_2) + min(|c|_2, lambda |c|_max)) + u_out |c|

  (from Higham, Accuracy and Stability of Numerical Algorithms, 2002, theorem 24.2: a transform is off by a multiple of
  u log2(n) of its norm, by its square root where rounding errors look mean-zero; without lambda it bounds the 2-norm of
  all errors, of which each element gets its share: errors of the forward transforms come back spread evenly). A direct
  sum in any order also keeps within it at the sizes here.

Specification: the formula; PyTorch's broadcasting for the leading axes only: two lengths n that differ are an error,
also where one is 1, and so is an array without axes. n = 0 gives an empty answer. A NaN makes its whole row NaN.
Infinities are not specified (a transform makes the row NaN, a direct sum not always): the oracle refuses them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.declare import Gradient
from harness.draw import draw
from harness.judge.arithmetic import Arithmetic
from harness.judge.formula import derived_from
from harness.judge.tracked import Tracked, contract
from harness.precision import FLOATS, format_of, numpy_dtype, widen

from .wrong import answer, from_formula, general, of_changed_inputs

LAYOUTS = ["transposed", "strided", "reversed", "offset", "expanded"]
LARGEST_PRODUCTS = 1 << 22
"""Products up to which every partial sum enters the bound, and not only the height of the tree."""


def check(a: Any, b: Any) -> None:
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-1]:
        raise ValueError(f"circular_correlation needs two last axes of one length, not shapes {a.shape} and {b.shape}")


def refuse_infinities(*arrays: Tracked) -> None:
    if any(np.isinf(x.value).any() for x in arrays):
        raise ValueError("circular_correlation is not specified for infinities")


def sums_to(n: int, *, sign: int) -> np.ndarray:
    """[i, k] -> (k + i) mod n, or (k - i) mod n: which element meets the i-th of the other factor in element k."""
    i, k = np.ogrid[:n, :n]
    return np.asarray((k + sign * i) % max(1, n))


def gathered_products(a: Tracked, b: Tracked, *, sign: int) -> Tracked:
    """sum_i a_i b_{(k + sign i) mod n}: a correlation (+1) or a convolution (-1)."""
    n = a.shape[-1]
    circulant = b[..., sums_to(n, sign=sign)]
    leading = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    if int(np.prod(leading)) * n * n > LARGEST_PRODUCTS:
        return contract(a[..., None, :], circulant)[..., 0, :]
    return (a[..., :, None] * circulant).sum(-2)


def formula(a: Tracked, b: Tracked) -> Tracked:
    check(a, b)
    refuse_infinities(a, b)
    return gathered_products(a, b, sign=1)


def unbroadcast(x: Tracked, shape: tuple[int, ...]) -> Tracked:
    """The sum over the axes along which an input of this shape was repeated."""
    while x.ndim > len(shape):
        x = x.sum(0)
    for axis, size in enumerate(shape):
        if size == 1 and x.shape[axis] != 1:
            x = x.sum(axis).reshape(*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return x


def gradient_a(a: Tracked, b: Tracked, g: Tracked) -> Tracked:
    return unbroadcast(gathered_products(g, b, sign=1), a.shape)


def gradient_b(a: Tracked, b: Tracked, g: Tracked) -> Tracked:
    return unbroadcast(gathered_products(a, g, sign=-1), b.shape)


def largest(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.max(np.abs(x), axis=-1, keepdims=True, initial=0.0))


def norm(x: np.ndarray) -> np.ndarray:
    """The 2-norm of each row; scaled, since the squares of large numbers overflow."""
    scale = np.maximum(largest(x), np.finfo(np.float64).tiny)
    return np.asarray(scale * np.sqrt(np.sum(np.abs(x / scale) ** 2, axis=-1, keepdims=True)))


def transform_error(case: Case, a: np.ndarray, b: np.ndarray, c: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """What a fast Fourier transform may be off in each element of c, the correlation or convolution of a and b."""
    n = c.shape[-1]
    if c.size == 0:
        return np.zeros(c.shape)
    a, b, wide = (np.asarray(x, np.float64) for x in (a, b, c))
    with np.errstate(all="ignore"):
        factor = arithmetic.factor
        share = 1.0 if arithmetic.systematic else min(1.0, factor / np.sqrt(n))
        eta = 2.0 * arithmetic.unit_between * np.sqrt(np.log2(2 * n))
        forward = norm(a) * largest(np.fft.fft(b)) + largest(np.fft.fft(a)) * norm(b)
        backward = np.minimum(norm(wide), factor * largest(wide))
        underflow = format_of("float64" if case.dtype == "float64" else "float32").underflow
        return np.broadcast_to(eta * (share * forward + backward) + n * underflow, c.shape)


def bounds_of(formula: Any, factors: tuple[int, int], wanted: int | None) -> Any:
    """(oracle, bound) by the claimed order; `factors` are the numbers of the arrays that are transformed, and `wanted`
    the input whose shape the answer has (None: the two factors' own)."""
    oracle, direct = derived_from(formula)

    def bound(case: Case, arrays: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
        if arithmetic.tree.family != "any":
            return direct(case, arrays, expected, arithmetic)
        a, b = (widen(arrays[number]) for number in factors)
        sign = -1 if wanted == 1 else 1
        whole = np.asarray(gathered_products(Tracked(a, 0.0, None), Tracked(b, 0.0, None), sign=sign).value)
        error = transform_error(case, a, b, whole, arithmetic)
        if wanted is not None:
            shape = arrays[wanted].shape
            growth = arithmetic.growth(whole.size // max(1, expected.size))
            magnitude = unbroadcast(Tracked(np.abs(whole), 0.0, None), shape).value
            error = unbroadcast(Tracked(error, 0.0, None), shape).value + growth * magnitude
        return error + arithmetic.output.unit * np.abs(expected) + arithmetic.output.underflow

    return oracle, bound


oracle, bound = bounds_of(formula, (0, 1), None)


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Two arrays; where the first is exact or extreme, the second is small, so that products stay in range."""
    first, second = case.shapes
    n = max((1, *first[-1:], *second[-1:]))
    rows = max(1, int(np.prod(first[:-1])), int(np.prod(second[:-1])))
    a = draw(case.values, first, case.dtype, rng, terms=4 * n * n if case.values in ("bits", "lognormal") else 4 * n)
    if case.values == "integers":
        # gradients are added up over broadcast rows
        most = 2**24 // (8 * n * rows)
        a = np.clip(a.astype(np.float64), -most, most).astype(numpy_dtype(case.dtype))
        return a, rng.choice([-4.0, -2.0, -1.0, 1.0, 2.0, 4.0], second).astype(numpy_dtype(case.dtype))
    family = {"bits": "uniform", "lognormal": "uniform", "one_huge": "normal", "nan": "normal"}
    return a, draw(family.get(case.values, case.values), second, case.dtype, rng, terms=4 * n)


# ---- laws


def _contiguous(case: Case) -> bool:
    return case.layout == "contiguous"


def shifted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Rolling b rolls the answer, within both bounds."""
    a, b = inputs
    if not _contiguous(case) or a.shape[-1] < 2:
        return None
    by = int(rng.integers(1, a.shape[-1]))

    def relate(c: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, np.roll(c, by, -1), np.roll(bound, by, -1) + other_bound

    return Probe((a, np.roll(b, by, -1)), relate)


def commuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """c(a, b)_k = c(b, a)_{-k}, within both bounds."""
    if not _contiguous(case) or inputs[0].shape[-1] < 1:
        return None

    def mirrored(x: np.ndarray) -> np.ndarray:
        return np.roll(x[..., ::-1], 1, -1)

    def relate(c: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return mirrored(other), c, bound + mirrored(other_bound)

    return Probe((inputs[1], inputs[0]), relate)


def delta(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The correlation of (1, 0, ..., 0) with b is b: exactly for a direct sum, within its bound for a transform."""
    a, b = inputs
    if not _contiguous(case) or a.size == 0 or case.values == "nan":
        return None
    one = np.zeros_like(a)
    one[..., 0] = 1

    def relate(c: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, np.broadcast_to(b, other.shape), other_bound

    return Probe((one, b), relate)


def total(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The elements of c add up to the product of the sums of a and b, within the sum of their bounds."""
    if inputs[0].size == 0 or inputs[1].size == 0 or case.dtype == "float16":
        return None
    a, b = map(widen, inputs)
    product = np.sum(a, -1) * np.sum(b, -1)
    own = 1e-12 * np.sum(np.abs(a), -1) * np.sum(np.abs(b), -1)
    own = own * (2.0**-12 if case.dtype == "float64" else 1.0)

    def relate(c: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return np.sum(widen(c), -1), product, np.sum(bound, -1) + own

    return Probe(None, relate)


def whole_numbers(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Rounded to whole numbers, the answer for whole numbers is exact wherever the bound is below a half."""
    if case.values != "integers" or case.dtype not in ("float32", "float64"):
        return None
    a, b = (x.astype(np.int64) for x in inputs)
    n = a.shape[-1]
    exact = np.sum(a[..., :, None] * b[..., sums_to(n, sign=1)], axis=-2)

    def relate(c: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return np.where(bound < 0.5, np.rint(c), exact), exact.astype(np.float64), np.zeros(c.shape)

    return Probe(None, relate)


# ---- wrong versions


def _by(index: Any, *, scale: Any = None) -> Any:
    """sum_i a_i b_{index(i, k, n)}, times scale(n)."""

    def wrong(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        n = a.shape[-1]
        i, k = np.ogrid[:n, :n]
        c = np.sum(a[..., :, None] * b[..., index(i, k, n) % n], axis=-2)
        return c if scale is None else c * c.dtype.type(scale(n))

    return wrong


def _linear(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n = a.shape[-1]
    i, k = np.ogrid[:n, :n]
    return np.sum(np.where(i + k < n, a[..., :, None] * b[..., (i + k) % n], 0), axis=-2)


def _without_length(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    c = np.fft.irfft(np.conj(np.fft.rfft(a)) * np.fft.rfft(b))
    missing = a.shape[-1] - c.shape[-1]
    return np.concatenate([c, c[..., :missing]], -1) if missing > 0 else c


def _normalised(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(_by(lambda i, k, n: i + k)(a, b)) / (norm(a) * norm(b)).astype(a.dtype)


def _centred(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    n = a.dtype.type(max(1, a.shape[-1]))
    return np.asarray(_by(lambda i, k, n: i + k)(a - a.sum(-1, keepdims=True) / n, b - b.sum(-1, keepdims=True) / n))


def _dropped(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    shorter = a.copy()
    shorter[..., -1:] = 0
    return shorter, b


MUTANTS = (
    from_formula("convolution", _by(lambda i, k, n: k - i), "that is a convolution: one transform must be conjugated"),
    from_formula("other_factor_conjugated", _by(lambda i, k, n: i - k), "the arguments change places: c_k is c_-k"),
    from_formula("linear_not_circular", _linear, "what runs over the end comes back at the front"),
    from_formula(
        "irfft_without_length", _without_length, "irfft assumes an even length; give it n= for an odd one to come back"
    ),
    from_formula("shifted_by_one", _by(lambda i, k, n: i + k + 1)),
    from_formula("divided_by_n", _by(lambda i, k, n: i + k, scale=lambda n: 1 / n), "the inverse divides by n, once"),
    from_formula("orthonormal", _by(lambda i, k, n: i + k, scale=lambda n: n**-0.5)),
    from_formula("normalised", _normalised),
    from_formula("means_subtracted", _centred, "statisticians' correlation subtracts means; this one does not"),
    from_formula("elementwise_product", lambda a, b: a * b),
    of_changed_inputs(oracle, "last_element_dropped", _dropped),
    of_changed_inputs(oracle, "autocorrelation", lambda a, b: (np.broadcast_to(a, np.broadcast(a, b).shape), a)),
    of_changed_inputs(oracle, "rows_reversed", lambda a, b: (a, b[::-1] if b.ndim > 1 else b)),
    Mutant(
        "first_row_of_b_for_all",
        lambda a, b: answer(oracle, a, np.broadcast_to(b[:1], b.shape) if b.ndim > 1 else b),
        "each row of a belongs to its own row of b",
    ),
)


def cost(case: Case) -> Cost:
    """Read both arrays once, write the answer; three transforms of about 2.5 n log2(n) operations each."""
    first, second = case.shapes
    out = np.broadcast_shapes(first, second)
    count = int(np.prod(first)) + int(np.prod(second)) + int(np.prod(out))
    operations = int(7.5 * int(np.prod(out)) * np.log2(2 * max(1, out[-1])))
    return Cost(bytes=count * numpy_dtype(case.dtype).itemsize, flops=operations)


def _pairs(*shapes: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(shape, shape) for shape in shapes]


circular_correlation = Operator(
    name="circular_correlation",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=(
        Gradient(0, *bounds_of(gradient_a, (2, 1), 0)),
        Gradient(1, *bounds_of(gradient_b, (0, 2), 1)),
    ),
    cost=cost,
    terms=lambda case: case.shapes[0][-1],
    specification="the formula; PyTorch's broadcasting of the leading axes",
    properties=(
        Property("shift", shifted),
        Property("commutation", commuted),
        Property("delta", delta),
        Property("sum_is_product_of_sums", total),
        Property("whole_numbers", whole_numbers),
    ),
    mutants=(*general(oracle), *MUTANTS),
    conformance=(
        *grid(dtype="float32", shape=_pairs((1,), (2,), (3,), (31,), (32,), (33,), (127,), (128,), (129,), (257,))),
        *grid(dtype="float32", shape=_pairs((1,), (33,), (127,), (256,), (1025,)), values="integers"),
        *grid(dtype="float64", shape=_pairs((1,), (127,), (257,)), values=["normal", "integers"]),
        *grid(dtype=["float16", "bfloat16"], shape=_pairs((1,), (127,)), values=["normal", "integers"]),
        *grid(
            dtype=FLOATS,
            shape=_pairs((7, 33)),
            values=["normal", "uniform", "wide", "cancelling", "lognormal", "one_huge", "nan", "equal", "grid"],
        ),
        *grid(dtype=["float64", "float32", "bfloat16"], shape=_pairs((7, 33)), values=["bits", "negative"]),
        *grid(
            dtype="float32",
            shape=[((7, 33), (33,)), ((33,), (7, 33)), ((3, 1, 9), (4, 9)), ((1, 9), (5, 9)), ((2, 3, 2, 3, 9),) * 2],
            values=["normal", "integers"],
        ),
        *grid(dtype=["float64", "bfloat16"], shape=[((7, 33), (33,)), ((3, 1, 9), (4, 9))]),
        *grid(dtype="float32", shape=_pairs((37, 53)), values=["normal", "integers"], layout=LAYOUTS),
        *grid(dtype=["float64", "float16"], shape=_pairs((37, 53)), layout=["transposed", "strided"]),
        *grid(dtype="float32", shape=_pairs((0,), (0, 5), (3, 0))),
        *grid(dtype="float32", shape=[((5,), (6,)), ((1,), (5,)), ((3, 1), (3, 5))], raises="two different lengths"),
        *grid(dtype="float32", shape=[((2, 3, 8), (4, 8)), ((2, 8), (3, 8))], raises="leading axes do not broadcast"),
        *grid(dtype="float32", shape=[((), (3,)), ((3,), ()), ((), ())], raises="an array without axes"),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=_pairs((256, 128), (1024, 100))),
        *grid(dtype="float32", shape=_pairs((2048,))),
    ),
)

"""mutual_information_bound(mean, log_variance, y): the contrastive log-ratio upper bound of mutual information (vCLUB).

A network predicts from each x_i a Gaussian q(y | x_i) with the mean m_i and the logarithms v_i of its variances. Then

    (1/N) sum_i log q(y_i | x_i) - (1/N^2) sum_i sum_j log q(y_j | x_i)
  = (1/2N) sum_i sum_d exp(-v_id) ((1/N) sum_j (y_jd - m_id)^2 - (y_id - m_id)^2)

since sum_d (v_id + log 2 pi) / 2 stands in both terms and cancels. Source: Cheng et al., CLUB, ICML 2020, arXiv
2006.12013, section 3.2; used to keep the components of an embedding independent (DisenKGAT, arXiv 2108.09628). In
expectation it is at least the mutual information if q is close enough to the truth; a sample of it may be negative.

Shapes: three of (N, D) -> (). Gradients, with w = exp(-v): of m_i: g w_i ((y_i - m_i) - mean_j (y_j - m_i)) / N; of
v_i: -g / N times half the term of (i, d) of the sum; of y_j: g (mean_i w_i (y_j - m_i) - w_j (y_j - m_j)) / N. Oracle
and bound: running error analysis of the formula (harness.judge.tracked), whose two terms are added up apart, as every
implementation does: where they are nearly equal, the answer has few digits.

Specification: the formula in IEEE arithmetic. N = 1 gives 0, D = 0 too; the mean of no samples is NaN; an infinite
variance takes its element out; any NaN makes the answer NaN. Errors: shapes that differ (nothing is broadcast), and
arrays that have not two axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from, gradients_of
from harness.judge.tracked import Tracked, exp, square
from harness.precision import FLOATS, numpy_dtype

from .losses import LAYOUTS
from .wrong import from_formula, general, of_changed_inputs


def check(*arrays: Any) -> None:
    if any(x.ndim != 2 or x.shape != arrays[0].shape for x in arrays):
        raise ValueError(f"three arrays of one shape (N, D) are needed, not {[x.shape for x in arrays]}")


def mean(x: Tracked, axis: int) -> Tracked:
    return x.sum(axis) / float(x.shape[axis])


def terms(mu: Tracked, log_variance: Tracked, y: Tracked) -> Tracked:
    """[i, d]: half of (1/N) sum_j (y_jd - m_id)^2 - (y_id - m_id)^2, in variances."""
    others = mean(square(y[None] - mu[:, None]), 1)
    precision = exp(-log_variance)
    return (others * precision - square(y - mu) * precision) / 2.0


def formula(mu: Tracked, log_variance: Tracked, y: Tracked) -> Tracked:
    check(mu, log_variance, y)
    return mean(terms(mu, log_variance, y).sum(1), 0)


def gradient(g: Tracked, mu: Tracked, log_variance: Tracked, y: Tracked) -> tuple[Tracked, Tracked, Tracked]:
    count = float(mu.shape[0])
    # the cotangent comes first, as in reverse mode: what is exact without it is rounded with it
    share = exp(-log_variance) * (g / count)
    own = (y - mu) * share
    pairs = (y[None] - mu[:, None]) * (share / count)[:, None]
    others = square(y[None] - mu[:, None]) * (share / count)[:, None]
    of_variance = (square(y - mu) * share - others.sum(1)) / 2.0
    return own - pairs.sum(1), of_variance, pairs.sum(0) - own


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """mean, log_variance, y. Variances are moderate but for their own families; `predicted` has y drawn from q."""
    dtype = numpy_dtype(case.dtype)
    one, two, three = case.shapes
    log_variance = 0.5 * rng.standard_normal(two)
    match case.values:
        case "predicted":
            mu = draw("normal", one, case.dtype, rng)
            noise = np.exp(log_variance / 2) * rng.standard_normal(two)
            y = mu.astype(np.float64) + 0.5 * noise
        case "offset":
            mu, y = (64.0 + draw("grid", shape, "float64", rng) for shape in (one, three))
        case "infinite_variance":
            mu, y = (draw("normal", shape, case.dtype, rng) for shape in (one, three))
            log_variance = np.where(rng.random(two) < 0.25, np.inf, log_variance)
        case "precise":
            mu, y = (draw("normal", shape, case.dtype, rng) for shape in (one, three))
            log_variance = -4.0 + log_variance
        case "integers":
            mu, y = (rng.integers(-7, 8, shape).astype(np.float64) for shape in (one, three))
            log_variance = np.zeros(two)
        case _:
            mu, y = (draw(case.values, shape, case.dtype, rng) for shape in (one, three))
    return tuple(np.asarray(x).astype(dtype) for x in (mu, log_variance, y))


# ---- laws


def translated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On a grid, a constant added to y and its means changes nothing, within both bounds."""
    if case.values != "grid" or case.layout != "contiguous":
        return None
    mu, log_variance, y = inputs
    by = mu.dtype.type(8.0)

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound

    return Probe((mu + by, log_variance, y + by), relate)


def mirrored(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The opposites of y and its means give the same bits."""
    mu, log_variance, y = inputs
    if case.layout != "contiguous":
        return None

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, answer, np.zeros_like(answer)

    return Probe((-mu, log_variance, -y), relate)


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Reordering the samples keeps the answer, within both bounds."""
    if case.layout == "expanded" or inputs[0].size == 0:
        return None
    order = rng.permutation(inputs[0].shape[0])

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound

    return Probe(tuple(x[order] for x in inputs), relate)


def independent(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """If q does not depend on x, the bound is 0, within its bound on errors."""
    mu, log_variance, y = inputs
    if case.layout != "contiguous" or mu.size == 0 or case.values == "nan":
        return None
    same = tuple(np.broadcast_to(x[:1], x.shape).copy() for x in (mu, log_variance))

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, np.zeros_like(other), other_bound

    return Probe((*same, y), relate)


# ---- wrong versions


def _parts(mu: np.ndarray, v: np.ndarray, y: np.ndarray, *, w: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """[i, d]: own and others' squares over twice the variance."""
    weight = np.exp(-v) if w is None else w
    own = (y - mu) ** 2 * weight / 2
    others = np.mean((y[None] - mu[:, None]) ** 2, axis=1) * weight / 2
    return own, others


def _bound(own: np.ndarray, others: np.ndarray) -> Any:
    return np.mean(np.sum(others - own, axis=1)) if own.shape[0] else own.dtype.type(np.nan)


def _of(change: Any) -> Any:
    def wrong(mu: np.ndarray, v: np.ndarray, y: np.ndarray) -> Any:
        return change(*_parts(mu, v, y)) if mu.size else np.zeros(())

    return wrong


def _weighted(weight: Any) -> Any:
    def wrong(mu: np.ndarray, v: np.ndarray, y: np.ndarray) -> Any:
        return _bound(*_parts(mu, v, y, w=weight(v))) if mu.size else np.zeros(())

    return wrong


def _without_diagonal(mu: np.ndarray, v: np.ndarray, y: np.ndarray) -> Any:
    n = mu.shape[0]
    if n < 2:
        return np.zeros((), mu.dtype)
    own, others = _parts(mu, v, y)
    return _bound(own, (others * n - own) / (n - 1))


def _expanded(mu: np.ndarray, v: np.ndarray, y: np.ndarray) -> Any:
    if not mu.size:
        return np.zeros((), mu.dtype)
    own = (y * y - 2 * y * mu + mu * mu) * np.exp(-v) / 2
    others = (np.mean(y * y, axis=0) - 2 * mu * np.mean(y, axis=0) + mu * mu) * np.exp(-v) / 2
    return _bound(own, others)


def _means_only(mu: np.ndarray, v: np.ndarray, y: np.ndarray) -> Any:
    if not mu.size:
        return np.zeros((), mu.dtype)
    own, _ = _parts(mu, v, y)
    return _bound(own, (np.mean(y, axis=0) - mu) ** 2 * np.exp(-v) / 2)


oracle, bound = derived_from(formula)

MUTANTS = (
    from_formula("likelihood_only", _of(lambda own, others: -np.mean(own.sum(1))), "the contrast with others' y lacks"),
    from_formula("contrast_only", _of(lambda own, others: np.mean(others.sum(1)))),
    from_formula("lower_not_upper", _of(lambda own, others: _bound(others, own)), "the two terms have changed places"),
    from_formula("mean_over_dimensions", _of(lambda own, others: np.mean(others - own)), "dimensions are added up"),
    from_formula("sum_over_samples", _of(lambda own, others: np.sum(others - own)), "samples are averaged"),
    from_formula("halves_forgotten", _of(lambda own, others: 2 * _bound(own, others)), "a Gaussian has 1/2"),
    from_formula("own_pair_left_out", _without_diagonal, "this bound contrasts with all j, i itself included"),
    from_formula("clamped_at_zero", _of(lambda own, others: np.maximum(_bound(own, others), 0))),
    from_formula("variance_for_logarithm", _weighted(lambda v: 1 / v), "log_variance goes through exp"),
    from_formula("multiplied_by_the_variance", _weighted(np.exp), "squares are divided by the variance"),
    from_formula("deviation_for_variance", _weighted(lambda v: np.exp(-v / 2)), "exp(v / 2) is the deviation"),
    from_formula("logarithm_of_the_deviation", _weighted(lambda v: np.exp(-2 * v))),
    from_formula("unit_variance", _weighted(np.ones_like)),
    from_formula("square_of_the_mean", _means_only, "the mean of squares is not the square of a mean"),
    from_formula("expanded_square", _expanded, "y^2 - 2ym + m^2 cancels where y and m are far from 0; subtract first"),
    of_changed_inputs(oracle, "last_sample_dropped", lambda *a: tuple(x[:-1] if len(x) > 1 else x for x in a)),
    of_changed_inputs(oracle, "last_dimension_dropped", lambda *a: tuple(x[:, :-1] for x in a)),
    of_changed_inputs(oracle, "mean_and_y_swapped", lambda m, v, y: (y, v, m)),
)


def cost(case: Case) -> Cost:
    """Read three arrays once, write one number; the moments of y make do with ten operations per element."""
    count = int(np.prod(case.shapes[0]))
    return Cost(bytes=(3 * count + 1) * numpy_dtype(case.dtype).itemsize, flops=10 * count)


def _threes(*shapes: tuple[int, ...]) -> list[tuple[tuple[int, ...], ...]]:
    return [(shape,) * 3 for shape in shapes]


VALUES = [
    "uniform", "wide", "negative", "grid", "integers", "cancelling", "equal", "predicted", "offset", "precise",
    "infinite_variance", "nan",
]  # fmt: skip

mutual_information_bound = Operator(
    name="mutual_information_bound",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1, 2),
    gradient_values=(
        "normal",
        "uniform",
        "wide",
        "negative",
        "grid",
        "integers",
        "cancelling",
        "predicted",
        "offset",
        "precise",
    ),
    cost=cost,
    terms=lambda case: int(np.prod(case.shapes[0])) * case.shapes[0][0],
    redraw=True,
    specification="the formula of CLUB (arXiv 2006.12013) in IEEE arithmetic",
    properties=(
        Property("translation", translated),
        Property("reflection", mirrored),
        Property("permutation", permuted),
        Property("independence", independent),
    ),
    mutants=(
        # of a scalar the first element is the answer
        *(mutant for mutant in general(oracle) if mutant.name != "first_element_everywhere"),
        *MUTANTS,
    ),
    conformance=(
        *grid(dtype="float32", shape=_threes((2, 1), (3, 5), (31, 4), (32, 8), (33, 8), (64, 33), (129, 9), (257, 5))),
        *grid(dtype="float32", shape=_threes((1, 1), (1, 8)), values=["normal", "integers"]),
        *grid(dtype=["float64", "float16", "bfloat16"], shape=_threes((1, 8), (3, 5), (33, 8), (64, 33))),
        *grid(dtype=FLOATS, shape=_threes((24, 7)), values=["normal", *VALUES]),
        *grid(dtype="float32", shape=_threes((32, 8)), values=["integers", "predicted", "offset"]),
        *grid(dtype="float32", shape=_threes((0, 3), (3, 0))),
        *grid(dtype="float32", shape=_threes((37, 13)), layout=LAYOUTS),
        *grid(dtype=["float64", "bfloat16"], shape=_threes((37, 13)), layout=["transposed", "strided"]),
        *grid(
            dtype="float32",
            shape=[
                ((4, 3), (4, 3), (5, 3)),
                ((4, 3), (3,), (4, 3)),
                ((4, 3), (1, 3), (4, 3)),
                ((4, 1), *((4, 3),) * 2),
            ],
            raises="shapes that differ",
        ),
        *grid(dtype="float32", shape=_threes((4,), (2, 3, 4), ()), raises="not two axes"),
    ),
    benchmarks=grid(dtype="float32", shape=_threes((256, 64), (512, 16))),
)

"""triplet_margin(anchor, positive, negative, *, margin, p, eps, swap, reduction): max(0, d(a, p) - d(a, n) + margin).

d(x, y) = (sum_j |x_j - y_j + eps|^p)^(1/p) over the last axis: eps is added to the difference, before its sign is lost.
With `swap` the distance of the negative is the smaller of d(a, n) and d(p, n). Shapes: all three the same, (D,), (N, D)
or with more axes in front; none -> that shape without D; sum and mean -> (). D = 0: every distance is 0. Gradient:
with v(x, y) = diff |diff|^(p-2) / d^(p-1), for an open hinge g (v(a, p) - v(a, n)) to the anchor and so on; at a hinge
of exactly 0 either side's is accepted where the rounding errors hide which it is. Oracle and bound: running error
analysis of the formula (harness.judge.tracked): to first order (H / 2 + 3) u (d_ap + d_an) + u margin, then the sums'.
Specification: PyTorch. a = p = n gives the margin; the gradient at a = p is finite, because of eps. Distances whose
squares overflow are not judged. Bad inputs: a margin that is not positive; shapes that differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Operator, Probe, Property, grid
from harness.draw import FAMILIES, draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, exp, log, maximum, minimum, positive, power, sign, sqrt, square
from harness.precision import FLOATS, numpy_dtype, widen

from .class_losses import Shape, within_both
from .losses import LAYOUTS, REDUCTIONS, reduction_mutants
from .wrong import always, from_formula, general, of_changed_inputs

PUBLISHED = {"eps_seen": 0.50002, "identical": 1.0}
"""Zero anchor = positive, negative 0.05 away in each of 100 dimensions: 1 + 1e-5 - (0.5 - 1e-5); and the margin."""


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    family = case.values if case.values in FAMILIES else "normal"
    size = max(1, int(np.prod(case.shapes[0])))
    a, p, n = (draw(family, shape, case.dtype, rng, terms=4 * size) for shape in case.shapes)
    kind = a.dtype.type
    match case.values:
        case "eps_seen":
            a = np.zeros_like(a)
            p, n = a.copy(), a + kind(0.05)
        case "identical":
            p, n = a.copy(), a.copy()
        case "equal_pair":
            p = a.copy()
        case "negative_far":
            n = (n + kind(50)).astype(a.dtype)
    return a, p, n


def distance(x: Tracked, y: Tracked, p: float, eps: float) -> tuple[Tracked, Tracked]:
    """|x - y + eps| in the p-norm over the last axis, and the differences."""
    diff = x - y + eps
    if p == 1:
        return abs(diff).sum(-1), diff
    if p == 2:
        return sqrt(square(diff).sum(-1)), diff
    return exp(log(power(diff, p).sum(-1)) * (1.0 / p)), diff


def check(a: Any, p: Any, n: Any, margin: float) -> None:
    if not a.shape == p.shape == n.shape or not a.ndim:
        raise ValueError(f"three arrays of one shape are needed, not {a.shape}, {p.shape} and {n.shape}")
    if not margin > 0:
        raise ValueError(f"the margin must be positive, not {margin}")


def formula(
    anchor: Tracked,
    positives: Tracked,
    negatives: Tracked,
    *,
    margin: float,
    p: float,
    eps: float,
    swap: bool,
    reduction: str,
) -> Tracked:
    check(anchor, positives, negatives, margin)
    near, far = distance(anchor, positives, p, eps)[0], distance(anchor, negatives, p, eps)[0]
    if swap:
        far = minimum(far, distance(positives, negatives, p, eps)[0])
    return reduced(maximum(near - far + margin, 0.0), reduction)


def slope(found: tuple[Tracked, Tracked], p: float) -> Tracked:
    """The derivative of a distance with respect to the differences."""
    d, diff = found
    tall = d.reshape(*d.shape, 1)
    if p == 1:
        return sign(diff)
    if p == 2:
        return diff / tall
    return diff * power(diff, p - 1) / (abs(diff) * power(tall, p - 1)) if p < 3 else diff * abs(diff) / square(tall)


def gradient(
    g: Tracked,
    anchor: Tracked,
    positives: Tracked,
    negatives: Tracked,
    *,
    margin: float,
    p: float,
    eps: float,
    swap: bool,
    reduction: str,
) -> tuple[Tracked, Tracked, Tracked]:
    near, far = distance(anchor, positives, p, eps), distance(anchor, negatives, p, eps)
    other = distance(positives, negatives, p, eps) if swap else far
    hinge = near[0] - (minimum(far[0], other[0]) if swap else far[0]) + margin
    down = (spread(g, hinge, reduction) * positive(hinge)).reshape(*hinge.shape, 1)
    from_near, from_far = slope(near, p) * down, slope(far, p) * down
    if not swap:
        return from_near - from_far, -from_near, from_far
    swapped = positive(far[0] - other[0]).reshape(*hinge.shape, 1)
    from_far, from_other = from_far * (1.0 - swapped), slope(other, p) * down * swapped
    return from_near - from_far, -from_near - from_other, from_far + from_other


oracle, bound = derived_from(formula)


def cost(case: Case) -> Cost:
    """Read three arrays once, write one number per answer element; about six operations per difference."""
    count = int(np.prod(case.shapes[0]))
    outputs = count // max(1, case.shapes[0][-1]) if case["reduction"] == "none" else 1
    return Cost(bytes=(3 * count + outputs) * numpy_dtype(case.dtype).itemsize, flops=12 * count)


def published(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Values worked out by hand: of vectors that are the same, and of a pair where eps is all that is left."""
    if case.values not in PUBLISHED or case["eps"] != 1e-6:
        return None

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), np.full(answer.shape, PUBLISHED[case.values]), 1e-6 + bound

    return Probe(None, relate)


def translated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On a grid, adding a constant to all three changes nothing, within both bounds."""
    if case.values != "grid" or case.layout != "contiguous":
        return None
    return Probe(tuple(x + x.dtype.type(4) for x in inputs), within_both)


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Permuting the coordinates changes nothing, within both bounds."""
    if case.layout != "contiguous" or not inputs[0].size:
        return None
    order = rng.permutation(inputs[0].shape[-1])
    return Probe(tuple(x[..., order] for x in inputs), within_both)


def _of_distances(name: str, change: Any, lesson: str = "") -> Any:
    """Losses made of wrong steps: `change(distance, a, p, n, asked)`, with distance(x, y) as it should be."""

    def function(a: np.ndarray, p: np.ndarray, n: np.ndarray, **asked: Any) -> np.ndarray:
        def right(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return _norm(x - y + x.dtype.type(asked["eps"]), asked["p"])

        losses = np.asarray(change(right, a, p, n, asked))
        if asked["reduction"] == "none":
            return losses
        return np.asarray(np.sum(losses) / (losses.size if asked["reduction"] == "mean" else 1))

    return from_formula(name, function, lesson)


def _norm(diff: np.ndarray, p: float) -> np.ndarray:
    return np.asarray(np.sum(np.abs(diff) ** p, axis=-1) ** (1 / p), dtype=diff.dtype)


def _far(d: Any, a: np.ndarray, p: np.ndarray, n: np.ndarray, asked: dict[str, Any]) -> np.ndarray:
    return np.asarray(np.minimum(d(a, n), d(p, n)) if asked["swap"] else d(a, n))


def _with_distance(name: str, d: Any, lesson: str = "") -> Any:
    """Another distance d(x, y, p, eps)."""

    def change(_: Any, a: np.ndarray, p: np.ndarray, n: np.ndarray, asked: dict[str, Any]) -> np.ndarray:
        def wrong(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            return np.asarray(d(x, y, asked["p"], asked["eps"]))

        return np.asarray(np.maximum(wrong(a, p) - _far(wrong, a, p, n, asked) + asked["margin"], 0))

    return _of_distances(name, change, lesson)


def alike(*shapes: Shape) -> list[tuple[Shape, ...]]:
    return [(shape, shape, shape) for shape in shapes]


def some(
    shape: list[tuple[Shape, ...]], dtype: Any = "float32", values: Any = "normal", *, margin: Any = 1.0, p: Any = 2.0,
    eps: Any = 1e-6, swap: Any = False, reduction: Any = "mean", layout: Any = "contiguous", raises: str = "",
) -> tuple[Case, ...]:  # fmt: skip
    return grid(
        dtype=dtype, shape=shape, values=values, layout=layout, raises=raises, margin=margin, p=p, eps=eps, swap=swap,
        reduction=reduction,
    )  # fmt: skip


SMALL, LONG = alike((7, 33)), alike((9, 300))

triplet_margin = Operator(
    name="triplet_margin",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1, 2),
    gradient_values=("normal", "uniform", "wide", "grid", "equal_pair", "eps_seen", "negative_far"),
    cost=cost,
    terms=lambda case: case.shapes[0][-1] if case["reduction"] == "none" else max(1, int(np.prod(case.shapes[0]))),
    specification="PyTorch",
    properties=(
        Property("published_values", published),
        Property("translation", translated),
        Property("coordinate_permutation", permuted),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "p_ignored", "p is the exponent of the norm", p=2.0),
        always(oracle, "margin_ignored", margin=1.0),
        always(oracle, "swap_ignored", swap=False),
        always(oracle, "always_swapped", swap=True),
        always(oracle, "eps_ignored", "eps is added to each difference; it is what is left where a = p", eps=0.0),
        of_changed_inputs(oracle, "positive_and_negative_swapped", lambda a, p, n: (a, n, p)),
        of_changed_inputs(oracle, "positive_for_anchor", lambda a, p, n: (p, p, n)),
        _with_distance("eps_after_the_norm", lambda x, y, p, eps: _norm(x - y, p) + eps, "eps belongs to differences"),
        _with_distance("eps_of_the_other_sign", lambda x, y, p, eps: _norm(x - y - x.dtype.type(eps), p)),
        _with_distance("eps_under_the_root", lambda x, y, p, eps: (_norm(x - y, p) ** p + eps) ** (1 / p)),
        _with_distance(
            "without_the_root",
            lambda x, y, p, eps: _norm(x - y + x.dtype.type(eps), p) ** p,
            "a distance, not its p-th power",
        ),
        _with_distance("root_mean", lambda x, y, p, eps: _norm(x - y + eps, p) / max(1, x.shape[-1]) ** (1 / p)),
        _with_distance("largest_difference", lambda x, y, p, eps: np.max(np.abs(x - y + eps), axis=-1, initial=0)),
        _of_distances(
            "without_the_hinge", lambda d, a, p, n, asked: d(a, p) - _far(d, a, p, n, asked) + asked["margin"]
        ),
        _of_distances(
            "softplus_for_the_hinge",
            lambda d, a, p, n, asked: np.log1p(np.exp(d(a, p) - _far(d, a, p, n, asked) + asked["margin"])),
        ),
        _of_distances(
            "swapped_to_the_farther",
            lambda d, a, p, n, asked: np.maximum(
                d(a, p) - (np.maximum(d(a, n), d(p, n)) if asked["swap"] else d(a, n)) + asked["margin"], 0
            ),
            "swap takes the negative that is nearer, the harder one",
        ),
    ),
    conformance=(
        *some(SMALL, FLOATS, p=[1.0, 2.0], reduction=REDUCTIONS),
        *some(SMALL, FLOATS, p=3.0, reduction="none"),
        *some(SMALL, FLOATS, swap=True, margin=0.3, reduction=["none", "mean"]),
        *some(SMALL, p=[1.0, 3.0], swap=True, margin=2.5),
        *some(SMALL, eps=0.1, reduction="none"),
        *some(alike((1, 1), (31, 5), (32, 5), (256, 5), (1025, 5), (3, 257), (3, 1023), (3, 1025))),
        *some(alike((9,)), reduction=REDUCTIONS),
        *some(alike((2, 3, 4), (2, 3, 2, 3, 2)), reduction=["none", "mean"]),
        *some(alike((0, 5), (4, 0)), reduction=REDUCTIONS),
        *some(LONG, FLOATS, ["wide", "uniform", "grid"], reduction="none"),
        *some(LONG, "float32", ["wide", "cancelling", "equal", "infinities", "nan", "negative_far", "integers"]),
        *some(LONG, "float32", ["infinities", "nan"], swap=True, reduction="none"),
        *some(alike((3, 100)), FLOATS, "identical", reduction="none"),
        # in float16 the square of eps underflows: what its gradient then is would say nothing
        *some(alike((3, 100)), ["float64", "float32", "bfloat16"], "eps_seen", reduction="none"),
        *some(alike((3, 100)), ["float64", "float32"], "equal_pair", p=[1.0, 2.0, 3.0], reduction="none"),
        *some(alike((37, 53)), layout=LAYOUTS, reduction=["none", "mean"]),
        *some(alike((4, 5)), margin=[0.0, -1.0], raises="the margin must be positive"),
        *some([((4, 5), (4, 5), (4, 6)), ((4, 5), (4, 3), (4, 5))], raises="shapes that differ"),
        *some([((4, 5), (4, 5), (5,))], raises="ranks that differ"),
    ),
    benchmarks=(*some(alike((4096, 256)), reduction=["mean", "none"]),),
)

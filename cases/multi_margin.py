"""multi_margin(input, target[, weight], *, weighted, p, margin, reduction): every class against the right one.

The loss of a sample is weight[t] / C * sum over j != t of max(0, margin - x_t + x_j)^p, for p 1 or 2. Shapes: input
(C,) or (N, C), target () or (N,) (int64), weight (C,). none -> the target's shape; sum and mean -> (); a mean divides
by the number of samples, not by weights. Gradient: p h_j^(p-1) [h_j > 0] weight[t] g / C for j != t, minus the sum of
these for t; at h_j = 0 it is 0, as in PyTorch. Oracle and bound: running error analysis of the formula
(harness.judge.tracked): 3 u (margin + |x_j| + |x_t|) per margin, and the sums'.

Specification: PyTorch, but for NaN and for nothing: a NaN logit makes the loss NaN (PyTorch's kernels compare with 0
and so swallow it), the mean of nothing is NaN and its sum 0 as for every other loss (PyTorch's kernel leaves both
unwritten). Bad inputs: a label outside the classes; labels that are not int64; p other than 1 and 2; weights that are
not one per class; more than two axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, maximum, positive, square, where
from harness.precision import FLOATS, round_to, widen

from .class_losses import (
    CPU_FLOATS,
    Shape,
    check_labels,
    class_cost,
    draw_labels,
    draw_logits,
    draw_weight,
    logit_terms,
    one_hot,
    relabelled,
    with_labels,
    within_both,
)
from .losses import LAYOUTS, REDUCTIONS, reduction_mutants
from .nll import picked
from .wrong import always, from_formula, general, of_changed_inputs

GOLDEN = [[0.3, 0.7], [0.5, 0.5]]
GOLDEN_LOSSES = {1: [0.7, 0.5], 2: [0.98, 0.5]}
"""Labels 0 and 1: margins 1 - 0.3 + 0.7 = 1.4 and 1, or their squares, over two classes."""


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    if case.values == "golden":
        return np.array(GOLDEN, draw_logits(case, rng).dtype), np.array([0, 1])
    return draw_logits(case, rng), draw_labels(case, rng), *draw_weight(case, rng)


def margins(x: Tracked, target: np.ndarray, weight: Any, p: int, margin: float) -> tuple[Tracked, np.ndarray, Any]:
    """margin - x_t + x_j for every class, which of them are of another class, and the weight of each sample over C."""
    check_labels(x, target, weight)
    if p not in (1, 2):
        raise ValueError(f"p is 1 or 2, not {p}")
    if x.ndim not in (1, 2):
        raise ValueError(f"an input of shape (C,) or (N, C), not {x.shape}")
    h = -picked(x, target).reshape(*target.shape, 1) + margin + x
    return h, ~one_hot(target, x.shape), None if weight is None else weight[target]


def formula(
    x: Tracked,
    target: np.ndarray,
    weight: Tracked | None = None,
    *,
    weighted: bool,
    p: int,
    margin: float,
    reduction: str,
) -> Tracked:
    h, others, each = margins(x, target, weight, p, margin)
    h = maximum(h, 0.0)
    losses = where(others, h if p == 1 else square(h), 0.0).sum(-1) / float(x.shape[-1])
    return reduced(losses if each is None else losses * each, reduction)


def gradient(
    g: Tracked,
    x: Tracked,
    target: np.ndarray,
    weight: Tracked | None = None,
    *,
    weighted: bool,
    p: int,
    margin: float,
    reduction: str,
) -> Tracked:
    h, others, each = margins(x, target, weight, p, margin)
    slope = positive(h) if p == 1 else maximum(h, 0.0) * 2.0
    down = spread(g, h[..., 0], reduction) / float(x.shape[-1])
    down = down if each is None else down * each
    kept = (*target.shape, 1)
    # what the label gets is added up from products, as kernels do: not the product of a count
    parts = where(others, down.reshape(kept) * slope, 0.0)
    return where(others, parts, -parts.sum(-1).reshape(kept))


oracle, bound = derived_from(formula)
gradients = gradients_of(gradient, 0)


def published(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The losses of the published example, worked out by hand."""
    if case.values != "golden":
        return None
    losses = np.array(GOLDEN_LOSSES[case["p"]])
    right = losses if case["reduction"] == "none" else np.mean(losses)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), right, 1e-6 + bound

    return Probe(None, relate)


def shifted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On a grid, adding a constant to all logits changes nothing, within both bounds."""
    if case.values != "grid" or case.layout != "contiguous":
        return None
    return Probe((inputs[0] + inputs[0].dtype.type(8), *inputs[1:]), within_both)


def _margin(name: str, change: Any, lesson: str = "") -> Mutant:
    """A loss of labels made of wrong terms: `change(h, hot, p)` of the margins and the mask of the labels."""

    def function(x: np.ndarray, target: np.ndarray, *weight: np.ndarray, **asked: Any) -> np.ndarray:
        at_label = np.take_along_axis(x, np.expand_dims(target, -1), -1)
        h = x.dtype.type(asked["margin"]) - at_label + x
        losses = change(h, one_hot(target, x.shape), asked["p"]) / x.dtype.type(x.shape[-1])
        losses = losses if not weight else losses * weight[0].astype(x.dtype)[target]
        if asked["reduction"] == "none":
            return np.asarray(losses)
        return np.asarray(np.sum(losses) / (losses.size if asked["reduction"] == "mean" else 1))

    return from_formula(name, function, lesson)


def _terms(h: np.ndarray, hot: np.ndarray, p: int) -> np.ndarray:
    return np.where(hot, 0, np.maximum(h, 0) ** p)


def _mean_by_weights(x: np.ndarray, target: np.ndarray, *weight: np.ndarray, **asked: Any) -> np.ndarray:
    if asked["reduction"] != "mean" or not weight:
        return np.asarray(oracle(x, target, *weight, **asked))
    total = np.sum(weight[0].astype(np.float64)[target])
    return np.asarray(oracle(x, target, *weight, **{**asked, "reduction": "sum"}) / total)


def _gradient_for_the_others(*arrays: np.ndarray, **asked: Any) -> np.ndarray:
    x, target, *_ = arrays
    right = round_to(gradients[0].oracle(*arrays, **asked), x.dtype.name)
    return np.where(one_hot(target, x.shape), 0, right).astype(x.dtype)


def some(
    shape: list[tuple[Shape, ...]], dtype: Any = "float32", values: Any = "normal", *, p: Any = 1, margin: Any = 1.0,
    reduction: Any = "mean", layout: Any = "contiguous", raises: str = "",
) -> tuple[Case, ...]:  # fmt: skip
    """Cases, weighted where the shapes have a third."""
    return grid(
        dtype=dtype, shape=shape, values=values, layout=layout, raises=raises, weighted=len(shape[0]) == 3, p=p,
        margin=margin, reduction=reduction,
    )  # fmt: skip


SMALL, HEAVY, WIDE, BAD = (
    with_labels((7, 33)),
    with_labels((7, 33), weighted=True),
    with_labels((9, 300)),
    with_labels((4, 5)),
)

multi_margin = Operator(
    name="multi_margin",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients,
    gradient_values=("normal", "uniform", "wide", "grid", "integers", "golden"),
    cost=class_cost,
    terms=logit_terms,
    redraw=True,
    specification="PyTorch; NaN propagates, and the mean of nothing is NaN",
    properties=(
        Property("published_values", published),
        Property("shift_invariance", shifted),
        Property("class_permutation", relabelled),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "p_ignored", "p = 2 squares each margin", p=1),
        always(oracle, "margin_ignored", margin=1.0),
        of_changed_inputs(oracle, "weights_ignored", lambda x, t, *w: (x, t, *map(np.ones_like, w))),
        from_formula("mean_divided_by_weights", _mean_by_weights, "the mean divides by the number of samples"),
        of_changed_inputs(oracle, "label_off_by_one", lambda x, t, *w: (x, np.where(t > 0, t - 1, t), *w)),
        _margin(
            "label_against_itself",
            lambda h, hot, p: np.sum(np.maximum(h, 0) ** p, -1),
            "the right class has no margin against itself: leave j = t out",
        ),
        _margin(
            "mean_over_other_classes",
            lambda h, hot, p: np.sum(_terms(h, hot, p), -1) * (hot.shape[-1] / max(1, hot.shape[-1] - 1)),
            "the sum over the other classes is divided by C, not by C - 1",
        ),
        _margin("not_divided_by_classes", lambda h, hot, p: np.sum(_terms(h, hot, p), -1) * hot.shape[-1]),
        _margin("worst_class_only", lambda h, hot, p: np.max(_terms(h, hot, p), -1)),
        _margin("without_the_hinge", lambda h, hot, p: np.sum(np.where(hot, 0, h**p), -1)),
        _margin("square_of_the_sum", lambda h, hot, p: np.sum(_terms(h, hot, 1), -1) ** p),
        _margin(
            "nan_swallowed",
            lambda h, hot, p: np.sum(np.where((h > 0) & ~hot, h**p, 0), -1),
            "a comparison with 0 swallows NaN: what is not greater may be NaN",
        ),
        Mutant("gradient_of_the_label_missing", _gradient_for_the_others, "the label's logit has a gradient too", 0),
    ),
    conformance=(
        *some(SMALL, FLOATS, p=[1, 2], reduction=REDUCTIONS),
        *some(SMALL, margin=[0.5, 2.0], p=[1, 2]),
        *some(HEAVY, FLOATS, p=[1, 2], reduction=["none", "mean"]),
        *some(with_labels((31, 5), (32, 5), (256, 5), (1025, 5), (3, 257), (3, 1023), (3, 1025), (1, 2))),
        *some(with_labels((9,)), p=[1, 2], reduction=REDUCTIONS),
        *some(with_labels((2, 1)), reduction=["none", "mean"]),
        *some(with_labels((0, 5)), reduction=REDUCTIONS),
        *some(WIDE, FLOATS, ["wide", "integers", "grid"], reduction="none"),
        *some(WIDE, "float32", ["wide", "integers", "cancelling", "equal", "bits"]),
        *some(WIDE, "float32", ["wide", "integers"], p=2, reduction="sum"),
        *some(SMALL, "float32", "nan", reduction=["none", "mean"]),
        *some(SMALL, "float32", "infinities", reduction=["none", "sum"]),
        *some(with_labels((2, 2)), CPU_FLOATS, "golden", p=[1, 2], reduction=["none", "mean"]),
        *some(with_labels((37, 53)), layout=LAYOUTS, reduction=["none", "mean"]),
        *some(BAD, values="label_too_large", raises="a label is not below C"),
        *some(BAD, values="label_negative", raises="a label is below 0"),
        *some(BAD, values="int32_labels", raises="labels are int64"),
        *some(BAD, p=3, raises="p is 1 or 2"),
        *some([((4, 5), (3,))], raises="one label per sample"),
        *some([((4, 5), (4,), (6,))], raises="one weight per class"),
        *some(with_labels((4, 5, 3)), raises="an input of shape (C,) or (N, C)"),
    ),
    benchmarks=(*some(with_labels((4096, 1000)), p=[1, 2]),),
)

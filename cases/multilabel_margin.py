"""multilabel_margin(input, target, *, reduction): every label of a sample against every class that is none.

The labels of a sample are what stands in its row of `target` before the first -1. With x a row of the input, the loss
is 1 / C * sum over labels y, and over classes i that are no label, of max(0, 1 - x_y + x_i); a label that is listed
twice counts twice. Shapes: input and target (int64) both (C,) or (N, C); none -> () or (N,), sum and mean -> (). A
mean divides by the number of samples. Gradient: for each pair with a positive margin g / C for i and -g / C for y; 0 at
a margin of 0, as in PyTorch. Oracle and bound: running error analysis of the formula (harness.judge.tracked): 3 u (1 +
|x_y| + |x_i|) per pair over C, and the sum's over C^2 pairs; for a gradient n u more, as its n
terms are equal. Sums of C^2 terms in an order that is not claimed stay 1e4 below their bound.

Specification: PyTorch, but for NaN and for nothing: a NaN logit that stands in a margin makes the loss NaN (PyTorch's
kernels compare with 0 and so swallow it), the mean of no samples is NaN and their sum 0 (PyTorch's kernel leaves both
unwritten). No labels: loss 0. Bad inputs: a label >= C or < -1, also behind the first -1; labels that are not int64;
shapes that differ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, maximum, positive, where
from harness.precision import FLOATS, round_to, widen

from .class_losses import CPU_FLOATS, Shape, class_cost, draw_logits, equal_bits, within_both
from .losses import LAYOUTS, REDUCTIONS, reduction_mutants
from .wrong import from_formula, general, of_changed_inputs

GOLDEN = ([0.9, 0.2, 0.4, 0.8], [3, 0, -1, -1])
GOLDEN_LOSS = 0.45
"""(0.4 + 0.6 + 0.3 + 0.5) / 4: labels 3 and 0 against classes 1 and 2."""


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    x = draw_logits(case, rng)
    if case.values == "golden":
        return np.array(GOLDEN[0], x.dtype).reshape(x.shape), np.array(GOLDEN[1]).reshape(x.shape)
    return x, _labels(case, rng)


def _labels(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Rows of different classes in any order, most of them ended by -1 and then filled with anything."""
    shape = case.shapes[1]
    classes = case.shapes[0][-1]
    labels = np.empty(shape, dtype=np.int64)
    for row in labels.reshape(-1, shape[-1]) if labels.size else ():
        row[:] = np.resize(rng.permutation(classes), row.size)
        length = int(rng.integers(0, min(6, classes) + 1))
        if case.values == "nan":  # some label, and some class that is none: so that the NaN counts
            length = min(max(1, length), classes - 1)
        row[length : length + 1] = -1
        if case.values == "no_labels":
            row[:] = -1
        elif case.values == "all_labels":
            row[:] = rng.permutation(classes)
        elif case.values == "repeated_labels":
            row[: classes // 2] = row[0] = rng.integers(0, classes)
            row[classes // 2] = -1
    if case.values == "label_too_large":
        labels.flat[0] = classes
    elif case.values == "label_too_large_behind":
        labels[..., :2] = -1, classes
    elif case.values == "label_below_minus_one":
        labels.flat[0] = -2
    return labels.astype(np.int32) if case.values == "int32_labels" else labels


def pairs(x: Any, target: np.ndarray) -> tuple[Tracked, np.ndarray, np.ndarray]:
    """1 - x_y + x_i as (..., C, C) for labels y and classes i, which pairs count, and labels to gather at."""
    if x.ndim not in (1, 2) or x.shape != target.shape:
        raise ValueError(f"two arrays of one shape (C,) or (N, C) are needed, not {x.shape} and {target.shape}")
    if target.dtype != np.int64:
        raise TypeError(f"labels are int64, not {target.dtype}")
    classes = x.shape[-1]
    if target.size and (target.min() < -1 or target.max() >= classes):
        raise IndexError(f"a label outside -1 to {classes - 1}")
    listed = np.logical_and.accumulate(target >= 0, axis=-1)
    safe = np.where(listed, target, 0)
    hot = np.any((safe[..., None] == np.arange(classes)) & listed[..., None], axis=-2)
    counts = listed[..., None] & ~hot[..., None, :]
    h = -x.gathered(safe, -1).reshape(*x.shape, 1) + 1.0 + x.reshape(*x.shape[:-1], 1, classes)
    return h, counts, safe


def flat(h: Tracked) -> Tracked:
    return h.reshape(*h.shape[:-2], h.shape[-2] * h.shape[-1])


def formula(x: Tracked, target: np.ndarray, *, reduction: str) -> Tracked:
    h, counts, _ = pairs(x, target)
    losses = flat(where(counts, maximum(h, 0.0), 0.0)).sum(-1) / float(x.shape[-1])
    return reduced(losses, reduction)


def gradient(g: Tracked, x: Tracked, target: np.ndarray, *, reduction: str) -> Tracked:
    h, counts, safe = pairs(x, target)
    down = spread(g, h[..., 0, 0], reduction) / float(x.shape[-1])
    # added up from products, pair by pair, as kernels do: not the product of a count
    parts = where(counts, down.reshape(*down.shape, 1, 1) * positive(h), 0.0)
    to_labels = parts.sum(-1)
    at_label = safe[..., None] == np.arange(x.shape[-1])
    total = parts.sum(-2) - where(at_label, to_labels.reshape(*x.shape, 1), 0.0).sum(-2)
    # all terms of one sum are equal, so their rounding errors may all point the same way: the worst case, n u
    opened = counts & (h.value > 0)
    terms = opened.sum(-2) + np.sum(at_label * opened.sum(-1)[..., None], axis=-2)
    return total.widened(abs(total.value) * terms)


oracle, bound = derived_from(formula)
gradients = gradients_of(gradient, 0)


def published(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The loss of the published example, worked out by hand."""
    if case.values != "golden":
        return None

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), np.full(answer.shape, GOLDEN_LOSS), 1e-6 + bound

    return Probe(None, relate)


def reordered(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The order of the labels is irrelevant, within both bounds."""
    x, target = inputs
    if case.layout != "contiguous" or not x.size:
        return None
    moved = target.copy()
    for row in moved.reshape(-1, x.shape[-1]):
        length = int(np.argmax(row < 0)) if (row < 0).any() else row.size
        row[:length] = rng.permutation(row[:length])
    return Probe((x, moved), within_both)


def behind_the_end(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """What stands behind the first -1 is irrelevant, bit for bit."""
    x, target = inputs
    if case.layout != "contiguous" or not x.size:
        return None
    ended = np.logical_or.accumulate(target < 0, axis=-1)
    ended[..., 1:] &= ended[..., :-1].copy()
    ended[..., 0] = False
    return Probe((x, np.where(ended, rng.integers(-1, x.shape[-1], target.shape), target)), equal_bits)


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Permuting the classes with their labels changes nothing, within both bounds."""
    x, target = inputs
    if case.layout != "contiguous" or not x.size:
        return None
    order = rng.permutation(x.shape[-1])
    return Probe((x[..., order], np.where(target < 0, target, np.argsort(order)[target])), within_both)


def _of_pairs(name: str, change: Any, lesson: str = "") -> Mutant:
    """A loss made of wrong terms: `change(h, counts, target)` of the margins, the pairs that count, and the labels."""

    def function(x: np.ndarray, target: np.ndarray, *, reduction: str) -> np.ndarray:
        listed = np.logical_and.accumulate(target >= 0, axis=-1)
        safe = np.where(listed, target, 0)
        hot = np.any((safe[..., None] == np.arange(x.shape[-1])) & listed[..., None], axis=-2)
        h = 1 - np.take_along_axis(x, safe, -1)[..., None] + x[..., None, :]
        losses = np.sum(change(h, listed, hot), axis=(-2, -1)) / x.dtype.type(x.shape[-1])
        if reduction == "none":
            return np.asarray(losses)
        return np.asarray(np.sum(losses) / (losses.size if reduction == "mean" else 1))

    return from_formula(name, function, lesson)


def _terms(h: np.ndarray, listed: np.ndarray, hot: np.ndarray) -> np.ndarray:
    return np.where(listed[..., None] & ~hot[..., None, :], np.maximum(h, 0), 0)


def _through_the_end(x: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, ...]:
    """All labels of a row that are not -1, in their order."""
    order = np.argsort(target < 0, axis=-1, kind="stable")
    return x, np.take_along_axis(target, order, -1)


def _gradient_for_the_others(x: np.ndarray, target: np.ndarray, g: np.ndarray, **asked: Any) -> np.ndarray:
    return np.asarray(np.maximum(round_to(gradients[0].oracle(x, target, np.abs(g), **asked), x.dtype.name), 0))


def alike(*shapes: Shape) -> list[tuple[Shape, ...]]:
    return [(shape, shape) for shape in shapes]


def some(
    shape: list[tuple[Shape, ...]],
    dtype: Any = "float32",
    values: Any = "normal",
    *,
    reduction: Any = "mean",
    layout: Any = "contiguous",
    raises: str = "",
) -> tuple[Case, ...]:
    return grid(dtype=dtype, shape=shape, values=values, layout=layout, raises=raises, reduction=reduction)


LABELS = ["no_labels", "all_labels", "repeated_labels"]
WIDE, BAD = alike((9, 60)), alike((4, 5))

multilabel_margin = Operator(
    name="multilabel_margin",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients,
    gradient_values=("normal", "uniform", "wide", "integers", "golden", *LABELS),
    cost=class_cost,
    terms=lambda case: max(1, int(np.prod(case.shapes[0])) * case.shapes[0][-1]),
    redraw=True,
    specification="PyTorch; NaN propagates, and the mean of nothing is NaN",
    properties=(
        Property("published_values", published),
        Property("label_order", reordered),
        Property("behind_the_end", behind_the_end),
        Property("class_permutation", permuted),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        of_changed_inputs(oracle, "labels_behind_the_end", _through_the_end, "the list of labels ends at the first -1"),
        of_changed_inputs(
            oracle,
            "first_label_only",
            lambda x, t: (x, np.where(np.arange(t.shape[-1]) == 0, t, -1)),
            "every label has its margins, not the first alone",
        ),
        of_changed_inputs(oracle, "label_off_by_one", lambda x, t: (x, np.where(t > 0, t - 1, t))),
        _of_pairs(
            "labels_against_labels",
            lambda h, listed, hot: np.where(listed[..., None], np.maximum(h, 0), 0),
            "labels have margins against the classes that are no label, not against each other",
        ),
        _of_pairs(
            "not_divided_by_classes",
            lambda h, listed, hot: _terms(h, listed, hot) * h.dtype.type(hot.shape[-1]),
            "the sum is divided by the number of classes",
        ),
        _of_pairs(
            "divided_by_labels",
            lambda h, listed, hot: (
                _terms(h, listed, hot)
                * hot.shape[-1]
                / np.maximum(1, np.sum(listed, -1))[..., None, None].astype(h.dtype)
            ),
        ),
        _of_pairs("without_the_hinge", lambda h, listed, hot: np.where(listed[..., None] & ~hot[..., None, :], h, 0)),
        _of_pairs("squared", lambda h, listed, hot: _terms(h, listed, hot) ** 2),
        _of_pairs(
            "worst_class_only",
            lambda h, listed, hot: np.max(_terms(h, listed, hot), axis=-1, keepdims=True, initial=0),
        ),
        _of_pairs(
            "nan_swallowed",
            lambda h, listed, hot: np.where(listed[..., None] & ~hot[..., None, :] & (h > 0), h, 0),
            "a comparison with 0 swallows NaN: what is not greater may be NaN",
        ),
        Mutant("gradient_of_the_labels_missing", _gradient_for_the_others, "the labels have a gradient too", 0),
    ),
    conformance=(
        *some(alike((7, 33)), FLOATS, reduction=REDUCTIONS),
        *some(alike((31, 5), (32, 5), (256, 5), (1025, 5), (3, 31), (3, 32), (3, 65), (1, 2))),
        *some(alike((9,), (2, 1)), reduction=REDUCTIONS),
        *some(alike((0, 5)), reduction=REDUCTIONS),
        *some(WIDE, FLOATS, ["wide", "integers"], reduction="none"),
        *some(WIDE, "float32", ["wide", "integers", "uniform", "cancelling", "equal", "bits", "negative"]),
        *some(alike((7, 33)), FLOATS, LABELS, reduction="none"),
        *some(alike((7, 33)), "float32", LABELS, reduction=["mean", "sum"]),
        *some(alike((7, 6)), "float32", "nan", reduction="none"),
        *some(alike((7, 33)), "float32", "infinities", reduction="none"),
        *some(alike((4,), (1, 4)), CPU_FLOATS, "golden", reduction=["none", "mean"]),
        *some(alike((37, 53)), layout=LAYOUTS, reduction=["none", "mean"]),
        *some(BAD, values="label_too_large", raises="a label is not below C"),
        *some(BAD, values="label_too_large_behind", raises="a label behind the end is not below C"),
        *some(BAD, values="label_below_minus_one", raises="a label is below -1"),
        *some(BAD, values="int32_labels", raises="labels are int64"),
        *some([((4, 5), (4, 6)), ((4, 5), (3, 5))], raises="shapes that differ"),
    ),
    benchmarks=(*some(alike((256, 100)), reduction=["mean", "none"]),),
)

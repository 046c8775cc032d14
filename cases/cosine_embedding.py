"""cosine_embedding(input1, input2, target, *, margin, reduction): how far two vectors are from agreeing, or apart.

1 - cos for a target of 1, max(0, cos - margin) for -1, with cos = <a, b> / (|a| |b|) over the last axis, 0 where a
vector is 0. Shapes: inputs (D,) or (N, D), both the same, target () or (N,) (int64); none -> the target's shape; sum
and mean -> (). A target that is neither 1 nor -1 has the loss 0. Gradient: +-g (b / |b| - cos a / |a|)
/ |a| to a, likewise to b, 0 for a closed hinge. Oracle: both vectors are divided by their largest element first, so
that no square overflows or underflows. Bound: running error analysis of that formula (harness.judge.tracked), about
(2 H + 8) u on cos, then the sums'; for gradients in float16 also what underflows in a kernel that does not scale.

Specification: PyTorch's definition, in which the length of a vector does not matter; but PyTorch's kernel adds 1e-12 to
both squared lengths without scaling them. So it is off by 1e-12 / |a|^2 in float64, returns 1 for parallel vectors of
1e-25, NaN for those of 1e20, and in float16 NaN for a zero vector and cos = 0 where |a|^2 |b|^2 exceeds 65504. Vectors
with an infinity give NaN. Bad inputs: shapes that differ, targets that are not one per vector, more than two
axes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Operator, Probe, Property, grid
from harness.draw import FAMILIES, draw
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, maximum, positive, sqrt, square, where
from harness.precision import numpy_dtype, widen

from .class_losses import CPU_FLOATS, Shape, equal_bits, within_both
from .losses import LAYOUTS, REDUCTIONS, reduction_mutants
from .wrong import always, from_formula, general, of_changed_inputs

GOLDEN = ([0.3, 0.5, 0.7], [0.1, 0.3, 0.5], [1, -1])
GOLDEN_LOSSES = [1 - 0.9833, 0.9833]
"""0.53 / sqrt(0.83 * 0.35) = 0.98333."""
LENGTHS = {"huge": 1e20, "tiny": 1e-25}


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    family = case.values if case.values in FAMILIES else "normal"
    size = max(1, int(np.prod(case.shapes[0])))
    a, b = (draw(family, shape, case.dtype, rng, terms=4 * size) for shape in case.shapes[:2])
    target = np.asarray(rng.choice([1, -1], case.shapes[2]))
    if target.size:
        target.flat[0] = 1
    match case.values:
        case "golden":
            a, b = (np.broadcast_to(np.array(one, a.dtype), a.shape) for one in GOLDEN[:2])
            target = np.array(GOLDEN[2])
        case "huge" | "tiny":  # parallel, so that the loss of a target 1 is 0
            a = (a.astype(np.float64) * LENGTHS[case.values]).astype(a.dtype)
            b = a * a.dtype.type(2)
        case "parallel":
            # shorter, as |a|^2 |b|^2 must not overflow in float16 by chance
            b = a * a.dtype.type(0.25)
        case "opposite":
            b = -a
        case "zero_vector":
            a[::2] = 0
            b[:2] = 0
        case "other_targets":
            target = rng.choice([1, -1, 0, 2], case.shapes[2])
    return a, b, target


def check(a: Any, b: Any, target: np.ndarray) -> None:
    if a.shape != b.shape or a.ndim not in (1, 2) or target.shape != a.shape[:-1]:
        raise ValueError(f"two arrays (C,) or (N, C) and a target each, not {a.shape}, {b.shape} and {target.shape}")


def cosine(a: Tracked, b: Tracked) -> tuple[Tracked, list[tuple[Tracked, Tracked, Any]]]:
    """cos over the last axis; and of each vector itself scaled, its length then, and the scale."""
    parts = []
    for x in (a, b):
        scale = np.max(np.abs(x.value), axis=-1, keepdims=True, initial=0.0)
        scale = np.where(scale == 0, 1, scale).astype(x.value.dtype)
        scaled = x / scale
        squares = square(scaled).sum(-1)
        parts.append((scaled, sqrt(where(squares.value == 0, 1.0, squares)), scale))
    (one, length, _), (other, other_length, _) = parts
    return (one * other).sum(-1) / (length * other_length), parts


def formula(a: Tracked, b: Tracked, target: np.ndarray, *, margin: float, reduction: str) -> Tracked:
    check(a, b, target)
    cos, _ = cosine(a, b)
    apart = where(target == -1, maximum(cos - margin, 0.0), 0.0)
    return reduced(where(target == 1, 1.0 - cos, apart), reduction)


def gradient(
    g: Tracked, a: Tracked, b: Tracked, target: np.ndarray, *, margin: float, reduction: str
) -> tuple[Tracked, ...]:
    cos, parts = cosine(a, b)
    down = where(target == 1, -1.0, where(target == -1, positive(cos - margin), 0.0)) * spread(g, cos, reduction)
    column = (*cos.shape, 1)
    (one, length, scale), (other, other_length, other_scale) = parts
    first, second = one / length.reshape(column), other / other_length.reshape(column)
    cos, down = cos.reshape(column), down.reshape(column)
    to_a = down * (second - cos * first) / length.reshape(column) / scale
    to_b = down * (first - cos * second) / other_length.reshape(column) / other_scale
    # a kernel that does not scale differentiates 1 / sqrt(|a|^2 |b|^2): what underflows there comes out |b|^2 a larger
    return underflowing(to_a, b, a), underflowing(to_b, a, b)


def underflowing(down: Tracked, other: Tracked, own: Tracked) -> Tracked:
    """`down`, with a step of 2 |other|^2 own times the underflow of the working format; it is felt in float16 only."""
    if down.rounding is None:
        return down
    form = down.rounding.form
    with np.errstate(all="ignore"):
        factor = 2 * np.sum(other.value**2, axis=-1, keepdims=True) * np.abs(own.value)
    return down.widened(factor * (form.underflow / form.unit))


oracle, bound = derived_from(formula)


def cost(case: Case) -> Cost:
    """Read both inputs and the targets once, write one number per answer element; six operations per product."""
    count, targets = int(np.prod(case.shapes[0])), int(np.prod(case.shapes[2]))
    outputs = targets if case["reduction"] == "none" else 1
    return Cost(bytes=(2 * count + outputs) * numpy_dtype(case.dtype).itemsize + 8 * targets, flops=6 * count)


def published(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The losses of the published example to four decimals."""
    if case.values != "golden":
        return None
    right = np.array(GOLDEN_LOSSES) if case["reduction"] == "none" else np.mean(GOLDEN_LOSSES)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), right, 0.5e-4 + bound

    return Probe(None, relate)


def lengthened(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Vectors 4 and 16 times as long have the same losses, bit for bit."""
    if case.layout != "contiguous" or case.values != "uniform" or case.dtype != "float32":
        return None
    a, b, target = inputs
    return Probe((a * a.dtype.type(4), b * b.dtype.type(16), target), equal_bits)


def exchanged(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The inputs may change places, within both bounds."""
    if case.layout != "contiguous":
        return None
    return Probe((inputs[1], inputs[0], inputs[2]), within_both)


def _of_cosine(name: str, change: Any, lesson: str = "") -> Any:
    """Losses made of a wrong cosine: `change(dot, square1, square2)` of what is added up over the last axis."""

    def function(a: np.ndarray, b: np.ndarray, target: np.ndarray, *, margin: float, reduction: str) -> np.ndarray:
        cos = change(np.sum(a * b, -1), np.sum(a * a, -1), np.sum(b * b, -1))
        return _losses(cos, target, margin, reduction)

    return from_formula(name, function, lesson)


def _losses(cos: Any, target: np.ndarray, margin: float, reduction: str) -> np.ndarray:
    losses = np.where(target == 1, 1 - cos, np.where(target == -1, np.maximum(cos - margin, 0), 0))
    if reduction == "none":
        return losses
    return np.asarray(np.sum(losses) / (losses.size if reduction == "mean" else 1))


def _of_losses(name: str, change: Any, lesson: str = "") -> Any:
    """Wrong losses of the right cosine: `change(cos, target, margin)`."""

    def function(a: np.ndarray, b: np.ndarray, target: np.ndarray, *, margin: float, reduction: str) -> np.ndarray:
        ones = np.ones_like(target)
        cos = 1 - np.asarray(oracle(a, b, ones, margin=0.0, reduction="none"))
        losses = np.asarray(change(cos, target, margin))
        if reduction == "none":
            return losses
        return np.asarray(np.sum(losses) / (losses.size if reduction == "mean" else 1))

    return from_formula(name, function, lesson)


def alike(*shapes: Shape) -> list[tuple[Shape, ...]]:
    return [(shape, shape, shape[:-1]) for shape in shapes]


def some(
    shape: list[tuple[Shape, ...]],
    dtype: Any = "float32",
    values: Any = "normal",
    *,
    margin: Any = 0.0,
    reduction: Any = "mean",
    layout: Any = "contiguous",
    raises: str = "",
) -> tuple[Case, ...]:
    return grid(
        dtype=dtype, shape=shape, values=values, layout=layout, raises=raises, margin=margin, reduction=reduction
    )


NARROW = ["float32", "float16", "bfloat16"]
SMALL, LONG = alike((7, 33)), alike((9, 300))

cosine_embedding = Operator(
    name="cosine_embedding",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0, 1),
    gradient_values=("normal", "uniform", "wide", "negative", "other_targets", "golden"),
    cost=cost,
    terms=lambda case: case.shapes[0][-1] if case["reduction"] == "none" else max(1, int(np.prod(case.shapes[0]))),
    redraw=True,
    specification="PyTorch's definition, without its kernel's 1e-12",
    properties=(
        Property("published_values", published),
        Property("power_of_two_scaling", lengthened),
        Property("exchange", exchanged),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "margin_ignored", margin=0.0),
        of_changed_inputs(oracle, "targets_ignored", lambda a, b, t: (a, b, np.ones_like(t))),
        of_changed_inputs(oracle, "targets_exchanged", lambda a, b, t: (a, b, -t), "1 stands for a pair that agrees"),
        of_changed_inputs(
            oracle,
            "everything_else_is_apart",
            lambda a, b, t: (a, b, np.where(t == 1, 1, -1)),
            "a target that is neither 1 nor -1 has no loss",
        ),
        _of_cosine("not_normalised", lambda dot, one, two: dot, "divide by both lengths"),
        _of_cosine("one_length_only", lambda dot, one, two: dot / np.sqrt(one)),
        _of_cosine("without_the_root", lambda dot, one, two: dot / (one * two)),
        _of_cosine(
            "1e-12_in_the_lengths",
            lambda dot, one, two: dot / np.sqrt((one + dot.dtype.type(1e-12)) * (two + dot.dtype.type(1e-12))),
            "a constant in the squared lengths makes short vectors orthogonal",
        ),
        _of_cosine(
            "squares_not_scaled",
            lambda dot, one, two: np.where(dot == 0, 0, dot / np.sqrt(one * two)),
            "the squares of 1e20 overflow in float32; divide each vector by its largest element first",
        ),
        _of_losses("one_plus_cos_for_-1", lambda c, t, m: np.where(t == 1, 1 - c, np.where(t == -1, 1 + c - m, 0))),
        _of_losses("without_the_hinge", lambda c, t, m: np.where(t == 1, 1 - c, np.where(t == -1, c - m, 0))),
        _of_losses(
            "absolute_cosine",
            lambda c, t, m: np.where(t == 1, 1 - np.abs(c), np.where(t == -1, np.maximum(np.abs(c) - m, 0), 0)),
        ),
        _of_losses(
            "margin_for_both",
            lambda c, t, m: np.where(t == 1, np.maximum(1 - c - m, 0), np.where(t == -1, np.maximum(c - m, 0), 0)),
            "the margin is for targets of -1 only",
        ),
        _of_losses(
            "half_the_angle",
            lambda c, t, m: np.where(t == 1, (1 - c) / 2, np.where(t == -1, np.maximum(c - m, 0), 0)),
        ),
    ),
    conformance=(
        *some(SMALL, NARROW, reduction=REDUCTIONS),
        *some(SMALL, NARROW, margin=0.2, reduction=["none", "mean"]),
        *some(SMALL, NARROW, "other_targets", margin=[0.0, -0.5], reduction="none"),
        *some(alike((7, 5)), "float64", "uniform", margin=[0.0, 0.5], reduction=REDUCTIONS),
        *some(alike((7, 5)), "float64", "parallel"),
        *some(alike((1, 1), (31, 5), (32, 5), (256, 5), (1025, 5), (3, 257), (3, 1023), (3, 1025))),
        *some(alike((9,)), reduction=REDUCTIONS),
        *some(alike((0, 5)), reduction=REDUCTIONS),
        *some(
            LONG, "float32", ["uniform", "wide", "cancelling", "negative", "equal", "grid"], reduction=["none", "mean"]
        ),
        *some(SMALL, NARROW, ["wide", "uniform"], reduction="none"),
        *some(SMALL, NARROW, ["parallel", "opposite", "zero_vector"], reduction="none"),
        *some(SMALL, ["float32", "bfloat16"], ["huge", "tiny"], reduction="none"),
        *some(SMALL, ["float32"], ["huge", "tiny"], reduction="mean"),
        *some(LONG, "float32", ["infinities", "nan"], reduction=["none", "sum"]),
        *some(alike((2, 3)), CPU_FLOATS, "golden", reduction=["none", "mean"]),
        *some(alike((37, 53)), layout=LAYOUTS, reduction=["none", "mean"]),
        *some([((4, 5), (4, 6), (4,)), ((4, 5), (3, 5), (4,))], raises="shapes that differ"),
        *some([((4, 5), (4, 5), (3,))], raises="one target per vector"),
        *some([((4, 5, 3), (4, 5, 3), (4, 5))], raises="more than two axes"),
    ),
    benchmarks=(*some(alike((4096, 256)), reduction=["mean", "none"]),),
)

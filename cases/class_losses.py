"""What the losses over classes share: labels and weights, their checks, one-hot masks, costs, cases of bad input.

An input has the shape (C,), (N, C) or (N, C, d1, ...), its labels the same without C, the optional weights (C,).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Probe, grid
from harness.draw import FAMILIES, draw
from harness.precision import numpy_dtype, widen

from .golden import HALF_A_DIGIT

CPU_FLOATS = ["float64", "float32"]
Shape = tuple[int, ...]


def class_axis(shape: Shape) -> int:
    return 0 if len(shape) == 1 else 1


def classes_of(case: Case) -> int:
    return case.shapes[0][class_axis(case.shapes[0])]


def without_classes(shape: Shape) -> Shape:
    along = class_axis(shape)
    return shape[:along] + shape[along + 1 :]


def with_labels(*shapes: Shape, weighted: bool = False) -> list[tuple[Shape, ...]]:
    """Shapes of (input, labels), or of (input, labels, weight)."""
    last: list[Any] = [(shape[class_axis(shape)],) if weighted else None for shape in shapes]
    return [
        (shape, without_classes(shape), *([] if more is None else [more]))
        for shape, more in zip(shapes, last, strict=True)
    ]


def draw_logits(case: Case, rng: np.random.Generator) -> np.ndarray:
    """The floating input: its family where the case names one, else normal."""
    family = case.values if case.values in FAMILIES else "normal"
    shape = case.shapes[0]
    return draw(family, shape, case.dtype, rng, terms=4 * max(1, int(np.prod(shape))))


def draw_labels(case: Case, rng: np.random.Generator, ignore_index: int | None = None) -> np.ndarray:
    """Labels of all classes, about a quarter of them ignored where that is possible, but not the first."""
    shape, classes = case.shapes[1], classes_of(case)
    labels = rng.integers(0, max(1, classes), shape)
    if not labels.size:
        return labels
    if ignore_index is not None:
        labels = np.where(rng.random(shape) < 0.25, ignore_index, labels)
        labels.flat[0] = (ignore_index + 1) % classes if 0 <= ignore_index < classes else rng.integers(0, classes)
        if case.values == "all_ignored":
            labels = np.full(shape, ignore_index)
    place = rng.integers(0, labels.size)
    if case.values == "label_too_large":
        labels.flat[place] = classes
    elif case.values == "label_negative":
        labels.flat[place] = -1
    elif case.values == "int32_labels":
        labels = labels.astype(np.int32)
    return np.asarray(labels)


def draw_weight(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """One weight per class where the case has weights; some of them 0 in the family `zero_weights`."""
    if not case["weighted"]:
        return ()
    weight = rng.uniform(0.25, 2.0, case.shapes[-1])
    if case.values == "zero_weights":
        weight[rng.random(weight.shape) < 0.5] = 0.0
    return (weight.astype(numpy_dtype(case.dtype)),)


def check_labels(x: Any, target: np.ndarray, weight: Any = None, ignore_index: int | None = None) -> None:
    """Raise for shapes, types and labels that the class losses do not take."""
    classes = x.shape[class_axis(x.shape)]
    if target.shape != without_classes(x.shape):
        raise ValueError(f"labels of shape {target.shape} for an input of shape {x.shape}")
    if target.dtype != np.int64:
        raise TypeError(f"labels are int64, not {target.dtype}")
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"weights of shape {weight.shape} for {classes} classes")
    kept = target[target != ignore_index]
    if kept.size and (kept.min() < 0 or kept.max() >= classes):
        raise IndexError(f"a label outside 0 to {classes - 1}")


def one_hot(labels: np.ndarray, shape: Shape) -> np.ndarray:
    """A boolean array of the input's shape: True at the class of each label."""
    along = class_axis(shape)
    classes = np.arange(shape[along]).reshape([-1 if axis == along else 1 for axis in range(len(shape))])
    return np.asarray(np.expand_dims(labels, along) == classes)


def bad_labels(shape: Shape, **parameters: Any) -> tuple[Case, ...]:
    """Labels outside the classes or of another type, and shapes that do not belong together."""
    (labelled,) = with_labels(shape)
    one = "float32"
    return (
        *grid(dtype=one, shape=[labelled], values="label_too_large", **parameters, raises="a label is not below C"),
        *grid(dtype=one, shape=[labelled], values="label_negative", **parameters, raises="a label is below 0"),
        *grid(dtype=one, shape=[labelled], values="int32_labels", **parameters, raises="labels are int64"),
        *grid(dtype=one, shape=[(shape, (shape[0] + 1,))], **parameters, raises="one label per sample"),
    )


def class_cost(case: Case) -> Cost:
    """Read every input once, write one number per answer element; about six operations per logit."""
    itemsize = numpy_dtype(case.dtype).itemsize
    logits, labels, *rest = (int(np.prod(shape)) for shape in case.shapes)
    outputs = labels if case["reduction"] == "none" else 1
    label_bytes = labels * (itemsize if case.shapes[1] == case.shapes[0] else 8)
    return Cost(bytes=(logits + sum(rest) + outputs) * itemsize + label_bytes, flops=6 * logits)


def gather_cost(case: Case) -> Cost:
    """One logit and one label per sample are read; the rest of the input is not needed."""
    itemsize = numpy_dtype(case.dtype).itemsize
    samples = int(np.prod(case.shapes[1]))
    outputs = samples if case["reduction"] == "none" else 1
    return Cost(bytes=samples * (itemsize + 8) + outputs * itemsize, flops=2 * samples)


def batch_terms(case: Case) -> int:
    """How many losses one answer adds up."""
    return 1 if case["reduction"] == "none" else max(1, int(np.prod(case.shapes[1])))


def logit_terms(case: Case) -> int:
    """How many logits one answer depends on."""
    return classes_of(case) if case["reduction"] == "none" else max(1, int(np.prod(case.shapes[0])))


def ignored_in(case: Case, target: np.ndarray) -> np.ndarray:
    return np.asarray(target == case["ignore_index"])


def relabelled(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Permuting the classes with their labels and weights changes nothing, within both bounds."""
    x, target, *weight = inputs
    classes, along = classes_of(case), class_axis(x.shape)
    if case.layout != "contiguous" or 0 <= dict(case.parameters).get("ignore_index", -100) < classes:
        return None
    order = rng.permutation(classes)
    if target.shape == x.shape:
        moved = np.take(target, order, along)
    else:
        ignored = target < 0 if "ignore_index" not in dict(case.parameters) else ignored_in(case, target)
        moved = np.where(ignored, target, np.argsort(order)[np.where(ignored, 0, target)])
    return Probe((np.take(x, order, along), moved, *(w[order] for w in weight)), within_both)


def weights_of_one(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Weights of 1 are no weights, within both bounds."""
    if case["weighted"] or case.layout != "contiguous":
        return None
    ones = np.ones(classes_of(case), inputs[0].dtype)
    return Probe((*inputs, ones), within_both, {**dict(case.parameters), "weighted": True})


def within_both(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
    return other, answer, bound + other_bound


def equal_bits(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
    return other, answer, np.zeros_like(answer)


# ---- what cross_entropy has beside: probabilities for labels, published values

GOLDEN = {
    "golden": ([2, 1, 0], [0.4076, 1.4076, 2.4076]),
    "golden_0": ([0], [2.4076]),
    "golden_1": ([1], [1.4076]),
    "golden_2": ([2], [0.4076]),
}
"""Labels of rows [1, 2, 3], and the published loss of each."""
GOLDEN_GRADIENTS = {
    "golden": [[0.0300, 0.0816, -0.1116], [0.0300, -0.2518, 0.2217], [-0.3033, 0.0816, 0.2217]],
    "golden_0": [[-0.9100, 0.2447, 0.6652]],
    "golden_1": [[0.0900, -0.7553, 0.6652]],
    "golden_2": [[0.0900, 0.2447, -0.3348]],
}


def probabilities_in(case: Case) -> bool:
    return case.shapes[1] == case.shapes[0]


def with_probabilities(*shapes: Shape, weighted: bool = False) -> list[tuple[Shape, ...]]:
    return [(shape, shape, *([(shape[class_axis(shape)],)] if weighted else [])) for shape in shapes]


def distribution_inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    x = draw_logits(case, rng)
    kind = x.dtype.type
    target = _probabilities(case, rng) if probabilities_in(case) else draw_labels(case, rng, case["ignore_index"])
    match case.values:
        case "golden" | "golden_0" | "golden_1" | "golden_2":
            x = np.broadcast_to(np.array([1, 2, 3], x.dtype), x.shape)
            target = np.array(GOLDEN[case.values][0])
            target = one_hot(target, x.shape).astype(x.dtype) if probabilities_in(case) else target
        case "far_apart":
            x, target = np.array([[1e4, -1e4]], x.dtype), np.array([1])
        case "offset":
            x = (4096 + rng.integers(-16, 17, x.shape) / 8).astype(x.dtype)
        case "label_at_minus_inf" | "label_at_inf":
            hit = np.where(ignored_in(case, target), 0, target)[::2]
            x[::2][np.arange(hit.size), hit] = kind(-np.inf if "minus" in case.values else np.inf)
        case "row_of_minus_inf":
            x[0] = kind(-np.inf)
        case "one_minus_inf":
            x[::2, rng.integers(x.shape[1])] = kind(-np.inf)
        case "nan_where_ignored":
            target[1::2] = case["ignore_index"]
            x[1::2, rng.integers(x.shape[1])] = kind(np.nan)
    return x, target, *draw_weight(case, rng)


def _probabilities(case: Case, rng: np.random.Generator) -> np.ndarray:
    """Distributions over the classes, a few of whose probabilities are exactly 0."""
    along = class_axis(case.shapes[0])
    p = rng.exponential(size=case.shapes[0]) * (rng.random(case.shapes[0]) < 0.8) + 1e-3 * (classes_of(case) < 8)
    p = p / np.maximum(np.sum(p, axis=along, keepdims=True), 1e-9)
    if case.values == "negative_probability":
        p.flat[rng.integers(p.size)] = -0.25
    elif case.values == "nan_probability":
        p.flat[rng.integers(p.size)] = np.nan
    return np.asarray(p.astype(numpy_dtype(case.dtype)))


def published_losses(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The losses agree with the published values in every digit."""
    if case.values not in GOLDEN:
        return None
    published = np.array(GOLDEN[case.values][1])
    right = published if case["reduction"] == "none" else np.mean(published)

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        return widen(answer), right, HALF_A_DIGIT + bound

    return Probe(None, relate)


def shifted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """On a grid, adding a constant to all logits changes nothing that is true. Not bit for bit: logsumexp(x) - x_t,
    which is within the bound, rounds at another magnitude after the shift."""
    if case.values != "grid" or case.layout != "contiguous":
        return None
    # half types have few digits: x + c must stay on the grid
    shift = {"bfloat16": 8.0, "float16": 64.0}.get(case.dtype, 200.0)
    return Probe((inputs[0] + inputs[0].dtype.type(shift), *inputs[1:]), within_both)


def as_probabilities(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """A label is a distribution with all its mass on one class, and an ignored one has none; within both bounds."""
    x, target, *weight = inputs
    if target.shape == x.shape or case.layout != "contiguous" or not np.all(np.isfinite(x)):
        return None
    ignored = ignored_in(case, target)
    if ignored.any() and (case["label_smoothing"] or case["reduction"] == "mean"):
        return None
    if case["weighted"] and case["reduction"] == "mean":  # the one divides by weights, the other by samples
        return None
    hot = one_hot(np.where(ignored, -1, target), x.shape).astype(x.dtype)
    return Probe((x, hot, *weight), within_both, {**dict(case.parameters), "ignore_index": -100})


def of_log_softmax(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Of log-probabilities the cross-entropy is the same, within both bounds and their rounding to the case's type."""
    x = inputs[0]
    if case.values != "normal" or case.dtype not in CPU_FLOATS or case["reduction"] != "none" or not x.size:
        return None
    wide = widen(x) - np.max(widen(x), axis=class_axis(x.shape), keepdims=True)
    y = wide - np.log(np.sum(np.exp(wide), axis=class_axis(x.shape), keepdims=True))
    # every logit moves by at most one rounding, and the weights are at most 2
    moved = 4 * np.max(np.abs(y)) * np.finfo(x.dtype).eps

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound + moved

    return Probe((y.astype(x.dtype), *inputs[1:]), relate)

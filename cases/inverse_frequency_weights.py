"""inverse_frequency_weights(classes, *, num_classes, dtype): weights N / (num_classes * n_c) for classes.

For imbalanced masks: N is the number of labels, n_c how many of them are c. Shapes: int64 labels of any shape ->
(num_classes,) of `dtype`, float32 or float64. Over the labels the weights average to 1 where every class occurs. A
class that does not occur gets the weight 0, and so do all classes of an empty mask: nothing weighs nothing, instead of
infinitely much. There is no gradient. Oracle: the quotient in extended precision, of exact counts. Bound: 4 u |w|, for
N / num_classes / n_c and for reciprocals; 0 is exact. Specification: this page (scikit-learn's "balanced" weights,
which leave absent classes out). Bad inputs: a label outside 0 to num_classes - 1; labels that are not int64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property
from harness.judge.arithmetic import Arithmetic
from harness.precision import format_of, numpy_dtype, round_to

from .class_losses import equal_bits
from .losses import LAYOUTS

Shape = tuple[int, ...]


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    (shape,), classes = case.shapes, case["num_classes"]
    match case.values:
        case "balanced":
            return (rng.permutation(np.resize(np.arange(classes), int(np.prod(shape)))).reshape(shape),)
        case "one_class":
            return (np.full(shape, rng.integers(0, classes)),)
        case "rare":  # one label of the last class among many of the first
            labels = np.zeros(shape, dtype=np.int64)
            labels.flat[rng.integers(labels.size)] = classes - 1
            return (labels,)
    labels = np.minimum(rng.geometric(min(1.0, 3 / classes), shape) - 1, classes - 1)
    if case.values == "label_too_large":
        labels.flat[rng.integers(labels.size)] = classes
    elif case.values == "label_negative":
        labels.flat[rng.integers(labels.size)] = -1
    return (labels.astype(np.int32 if case.values == "int32_labels" else np.int64),)


def counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    if labels.dtype != np.int64:
        raise TypeError(f"labels are int64, not {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise IndexError(f"a label outside 0 to {num_classes - 1}")
    return np.bincount(labels.reshape(-1), minlength=num_classes)


def weighed(total: Any, found: np.ndarray, num_classes: Any) -> np.ndarray:
    """total / (num_classes * n_c) in extended precision, 0 where n_c is."""
    wide = found.astype(np.longdouble)
    return np.where(wide > 0, np.longdouble(total) / (num_classes * np.maximum(wide, np.longdouble(1e-9))), 0)


def oracle(labels: np.ndarray, *, num_classes: int, dtype: str) -> np.ndarray:
    return weighed(labels.size, counts(labels, num_classes), num_classes)


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    return np.asarray(4 * format_of(case["dtype"]).unit * expected)


def cost(case: Case) -> Cost:
    """Read every label once and count it; one division per class."""
    count = int(np.prod(case.shapes[0]))
    itemsize = numpy_dtype(case["dtype"]).itemsize
    return Cost(bytes=8 * count + itemsize * case["num_classes"], flops=count + case["num_classes"])


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The order of the labels is irrelevant, bit for bit."""
    (labels,) = inputs
    if case.layout == "expanded":  # its rows are all the same
        return None
    return Probe((rng.permutation(labels.reshape(-1)).reshape(labels.shape),), equal_bits)


def renamed(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Renaming the classes permutes the weights, bit for bit."""
    order = rng.permutation(case["num_classes"])

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other[order], answer, np.zeros_like(answer)

    return Probe((order[inputs[0]],), relate)


def average_one(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """sum_c n_c w_c = N * (classes that occur) / num_classes, within the bounds."""
    found = np.bincount(inputs[0].reshape(-1), minlength=case["num_classes"])

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        right = found.sum() * np.count_nonzero(found) / case["num_classes"]
        return np.sum(answer * found.astype(np.float64)), right, np.sum(bound * found) + 1e-12 * right

    return Probe(None, relate)


def _wrong(name: str, change: Callable[..., Any], lesson: str = "") -> Mutant:
    """`change(labels, n, C)` of the labels, the counts and the number of classes, rounded to the answer's type."""

    def function(labels: np.ndarray, *, num_classes: int, dtype: str) -> np.ndarray:
        with np.errstate(all="ignore"):
            found = change(labels, counts(labels, num_classes), num_classes)
        return round_to(np.asarray(found, dtype=np.longdouble), dtype)

    return Mutant(name, function, lesson)


def _right(labels: np.ndarray, n: np.ndarray, classes: int) -> np.ndarray:
    return weighed(labels.size, n, classes)


def _other_dtype(labels: np.ndarray, *, num_classes: int, dtype: str) -> np.ndarray:
    other = "float64" if dtype == "float32" else "float32"
    return round_to(oracle(labels, num_classes=num_classes, dtype=dtype), other)


MUTANTS = (
    _wrong("zeros", lambda x, n, c: np.zeros(c)),
    _wrong("ones", lambda x, n, c: np.ones(c)),
    _wrong("nan", lambda x, n, c: np.full(c, np.nan)),
    _wrong("negated", lambda x, n, c: -_right(x, n, c)),
    _wrong("off_by_1e-4", lambda x, n, c: 1.0001 * _right(x, n, c)),
    _wrong("reversed", lambda x, n, c: _right(x, n, c)[::-1]),
    _wrong("extra_axis", lambda x, n, c: _right(x, n, c)[None]),
    _wrong("one_class_missing", lambda x, n, c: _right(x, n, c)[:-1], "absent classes at the end have a weight too"),
    _wrong("in_bfloat16", lambda x, n, c: round_to(_right(x, n, c), "bfloat16").astype(float)),
    Mutant("wrong_dtype", _other_dtype, "the answer has the dtype that was asked for"),
    _wrong("frequencies", lambda x, n, c: n / max(1, x.size), "rare classes weigh more, not less"),
    _wrong("not_divided_by_classes", lambda x, n, c: c * _right(x, n, c), "N / (num_classes * n_c)"),
    _wrong("not_times_n", lambda x, n, c: _right(x, n, c) / max(1, x.size), "N / (num_classes * n_c)"),
    _wrong(
        "divided_by_classes_that_occur",
        lambda x, n, c: _right(x, n, c) * c / max(1, np.count_nonzero(n)),
        "num_classes counts the classes that do not occur too",
    ),
    _wrong(
        "infinite_for_absent",
        lambda x, n, c: np.where(n > 0, _right(x, n, c), np.inf),
        "a class that does not occur has the weight 0: N / 0 is not to get out",
    ),
    _wrong("absent_counted_once", lambda x, n, c: weighed(x.size, np.maximum(n, 1), c), "an absent class weighs 0"),
    _wrong("counts_smoothed_by_one", lambda x, n, c: np.where(n > 0, weighed(x.size, n + 1, c), 0)),
    _wrong("last_label_dropped", lambda x, n, c: oracle(x.reshape(-1)[:-1], num_classes=c, dtype="float32")),
    _wrong("first_row_only", lambda x, n, c: oracle(x[:1] if x.ndim else x, num_classes=c, dtype="float32")),
    _wrong("largest_is_one", lambda x, n, c: _right(x, n, c) / max(1e-9, float(np.max(_right(x, n, c))))),
    _wrong("square_root", lambda x, n, c: np.sqrt(_right(x, n, c))),
    _wrong("whole_numbers", lambda x, n, c: np.floor(_right(x, n, c)), "the quotient is no whole number"),
)


def some(
    *shapes: Shape,
    classes: tuple[int, ...] = (5,),
    dtypes: tuple[str, ...] = ("float32",),
    values: tuple[str, ...] = ("skewed",),
    layouts: tuple[str, ...] = ("contiguous",),
    raises: str = "",
) -> tuple[Case, ...]:
    """Every combination; not by grid(), whose dtype is that of the inputs."""
    return tuple(
        Case("int64", (shape,), (("num_classes", count), ("dtype", dtype)), family, layout, raises)
        for shape in shapes
        for count in classes
        for dtype in dtypes
        for family in values
        for layout in layouts
    )


BOTH = ("float32", "float64")

inverse_frequency_weights = Operator(
    name="inverse_frequency_weights",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    cost=cost,
    output_dtype=lambda case: str(case["dtype"]),
    redraw=True,
    specification="this page",
    properties=(
        Property("label_order", permuted),
        Property("renamed_classes", renamed),
        Property("average_one", average_one),
    ),
    mutants=MUTANTS,
    conformance=(
        *some((7, 33), (1025,), (2, 3, 4, 5), classes=(1, 2, 5, 40), dtypes=BOTH),
        *some((1,), (2,), (31,), (32,), (33,), (255,), (256,), (257,), (1023,), (1024,), (4097,), (65537,)),
        *some((), (1, 1), (2, 3, 2, 3, 2), (4, 8, 8)),
        *some((0,), (0, 3), (3, 0), dtypes=BOTH),
        *some((4, 32, 32), dtypes=BOTH, classes=(2, 3, 4, 21), values=("balanced", "one_class", "rare")),
        *some((37, 53), layouts=tuple(LAYOUTS), classes=(5, 21)),
        *some((7, 33), values=("label_too_large",), raises="a label is not below num_classes"),
        *some((7, 33), values=("label_negative",), raises="a label is below 0"),
        *some((7, 33), values=("int32_labels",), raises="labels are int64"),
    ),
    benchmarks=some((16, 512, 512), classes=(21,)),
)

"""one_hot(classes, *, num_classes): 1 at [..., classes[...]], 0 elsewhere.

Shapes: int64 of any shape -> int64 of (..., num_classes). Nothing is rounded: every element is exact. No gradient.
Specification: PyTorch, with num_classes given: a class below 0 or from num_classes on is an error, never wrapped and
never a row of zeros (ONNX wraps negative classes, and leaves rows beyond the range all off); num_classes below 1 is an
error too (PyTorch's -1, which counts the classes, makes the shape depend on the values, and is left out). No classes
at all give an empty array.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.judge.arithmetic import Arithmetic

GOLDEN = ([0, 2, 1, 0], [[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]])
"""Published: the classes, and their rows of three."""


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    (shape,), count = case.shapes, case["num_classes"]
    if case.values == "golden":
        return (np.array(GOLDEN[0], dtype=np.int64),)
    top = max(1, count)
    classes = rng.integers(0, top, shape)
    match case.values:
        case "first":
            classes = np.zeros(shape, dtype=np.int64)
        case "last":
            classes = np.full(shape, top - 1)
        case "negative":
            _put(classes, -1, rng)
        case "far_negative":
            _put(classes, -top - 1, rng)
        case "too_large":
            _put(classes, top, rng)
        case "huge":
            # a row of zeros, or an address far outside, where the class is not looked at
            _put(classes, 2**40, rng)
    return (np.asarray(classes, dtype=np.int64),)


def _put(classes: np.ndarray, wrong: int, rng: np.random.Generator) -> None:
    """One wrong class among right ones."""
    classes[tuple(int(rng.integers(0, size)) for size in classes.shape)] = wrong


def oracle(classes: np.ndarray, *, num_classes: int) -> np.ndarray:
    if num_classes < 1:
        raise ValueError(f"num_classes={num_classes}; at least 1 is needed")
    if classes.size and not 0 <= classes.min() <= classes.max() < num_classes:
        raise ValueError(f"classes from {classes.min()} to {classes.max()} are not all in [0, {num_classes})")
    out = np.zeros((*classes.shape, num_classes), dtype=np.int64)
    np.put_along_axis(out, classes[..., None], 1, axis=-1)
    return out


def bound(case: Case, inputs: tuple[np.ndarray, ...], expected: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    return np.zeros(expected.shape)


def cost(case: Case) -> Cost:
    """Read every class once, write num_classes numbers for each."""
    count = int(np.prod(case.shapes[0]))
    return Cost(bytes=8 * count * (1 + case["num_classes"]))


# ---- laws


def one_per_row(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The elements of a row sum to 1."""

    def relate(answer: np.ndarray, *_: Any) -> tuple[Any, ...]:
        total = answer.sum(axis=-1)
        return total, np.ones_like(total), np.zeros_like(total)

    return Probe(None, relate)


def gathered_back(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Gathering the columns' numbers by a row gives its class back."""
    (classes,) = inputs

    def relate(answer: np.ndarray, *_: Any) -> tuple[Any, ...]:
        found = answer @ np.arange(answer.shape[-1])
        return found, classes, np.zeros_like(classes)

    return Probe(None, relate)


def relabelled(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Other numbers for the classes permute the columns."""
    if case.layout != "contiguous":
        return None
    order = rng.permutation(case["num_classes"])

    def relate(answer: np.ndarray, other: np.ndarray, *_: Any) -> tuple[Any, ...]:
        return other[..., order], answer, np.zeros_like(answer)

    return Probe((order[inputs[0]].astype(np.int64),), relate)


def published(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    if case.values != "golden":
        return None

    def relate(answer: np.ndarray, *_: Any) -> tuple[Any, ...]:
        return answer, np.array(GOLDEN[1]), np.zeros_like(answer)

    return Probe(None, relate)


# ---- wrong versions


def _changed(name: str, change: Callable[[np.ndarray, np.ndarray, int], Any], lesson: str = "") -> Mutant:
    """A wrong version made of the right answer, the classes and their number."""

    def function(classes: np.ndarray, *, num_classes: int) -> np.ndarray:
        return np.asarray(change(oracle(classes, num_classes=num_classes), classes, num_classes))

    return Mutant(name, function, lesson)


def _of_other_classes(name: str, change: Callable[[np.ndarray, int], np.ndarray], lesson: str = "") -> Mutant:
    def function(classes: np.ndarray, *, num_classes: int) -> np.ndarray:
        changed = np.asarray(change(classes, num_classes), dtype=np.int64)
        return oracle(np.clip(changed, 0, num_classes - 1), num_classes=num_classes)

    return Mutant(name, function, lesson)


def _without_last(right: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    right.reshape(-1, count)[-1:] = 0
    return right


def _tail_dropped(right: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    rows = right.reshape(-1, count)
    rows[rows.shape[0] // 256 * 256 if rows.shape[0] > 256 else rows.shape[0] :] = 0
    return right


def _never_cleared(right: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """The zeros are what happened to be in memory."""
    return np.where(right == 0, -6510615555426900571, 1)


def _running(right: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Ones of earlier rows are still there."""
    flat = right.reshape(-1, count)
    return np.maximum.accumulate(flat, axis=0).reshape(right.shape) if flat.shape[0] else right


MUTANTS = (
    _changed("zeros", lambda right, *_: np.zeros_like(right)),
    _changed("ones", lambda right, *_: np.ones_like(right)),
    _changed("input_copy", lambda right, classes, count: classes.copy(), "it returns its input"),
    _changed("extra_axis", lambda right, *_: right[None]),
    _changed("narrow_integers", lambda right, *_: right.astype(np.int32), "the answer is int64, as the classes are"),
    _changed("booleans", lambda right, *_: right.astype(bool)),
    _changed("floats", lambda right, *_: right.astype(np.float32)),
    _changed("one_cold", lambda right, *_: 1 - right, "1 marks the class, and 0 all others"),
    _changed("class_in_place_of_1", lambda right, classes, count: right * classes[..., None]),
    _changed("classes_first", lambda right, *_: np.moveaxis(right, -1, 0), "the new axis is the last one"),
    _changed("reversed_columns", lambda right, *_: right[..., ::-1].copy()),
    _changed("last_row_dropped", _without_last, "the last class of all is left out"),
    _changed("tail_beyond_a_block_dropped", _tail_dropped, "what lies beyond the last full block of 256 is left out"),
    _changed("buffer_not_cleared", _never_cleared, "the zeros must be written: new memory holds anything"),
    _changed("buffer_of_the_row_before", _running, "a row is filled in without the one before being cleared"),
    _changed("one_class_short", lambda right, *_: right[..., :-1].copy()),
    _changed("one_class_more", lambda right, *_: np.concatenate([right, 0 * right[..., :1]], axis=-1)),
    _of_other_classes("counted_from_1", lambda classes, count: classes - 1, "classes are counted from 0"),
    _of_other_classes("next_class", lambda classes, count: classes + 1),
    _of_other_classes("classes_in_one_byte", lambda classes, count: classes % 256, "there are more than 256 classes"),
    _of_other_classes(
        "flat_index_transposed",
        lambda classes, count: classes.reshape(classes.shape[::-1]).T if classes.ndim > 1 else classes,
        "classes are taken in the order of another axis",
    ),
    Mutant(
        "as_many_as_there_are",
        lambda classes, *, num_classes: oracle(classes, num_classes=int(classes.max(initial=0)) + 1),
        "num_classes is asked for, and not found from the classes",
    ),
)

one_hot = Operator(
    name="one_hot",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    cost=cost,
    specification="PyTorch",
    redraw=True,
    output_dtype=lambda case: "int64",
    properties=(
        Property("published_values", published),
        Property("one_per_row", one_per_row),
        Property("gathered_back", gathered_back),
        Property("relabelling", relabelled),
    ),
    mutants=MUTANTS,
    conformance=(
        *grid(dtype="int64", shape=[(4,)], values="golden", num_classes=3),
        *grid(dtype="int64", shape=[(n,) for n in (1, 2, 31, 33, 255, 257, 1023, 1025)], num_classes=10),
        *grid(dtype="int64", shape=[(33,)], num_classes=[1, 2, 31, 32, 33, 255, 256, 257, 1023, 1024, 1025, 4097]),
        *grid(dtype="int64", shape=[(257,)], values=["first", "last"], num_classes=[1, 10, 257]),
        *grid(dtype="int64", shape=[()], values=["normal", "first", "last"], num_classes=[1, 5]),
        *grid(dtype="int64", shape=[(7, 33), (33, 7), (5, 7, 9), (3, 1, 5, 6), (2, 3, 4, 3, 5)], num_classes=[2, 10]),
        *grid(dtype="int64", shape=[(7, 33)], values=["first", "last"], num_classes=10),
        *grid(
            dtype="int64",
            shape=[(300,), (37, 53)],
            layout=["transposed", "strided", "reversed", "offset", "expanded"],
            num_classes=[10, 33],
        ),
        *grid(dtype="int64", shape=[(65537,)], num_classes=3),
        *grid(dtype="int64", shape=[(0,), (0, 3), (3, 0)], num_classes=[1, 4]),
        *grid(
            dtype="int64",
            shape=[(1,), (33,), (7, 33)],
            values=["negative", "far_negative"],
            num_classes=10,
            raises="a class below 0",
        ),
        *grid(
            dtype="int64",
            shape=[(1,), (33,), (7, 33)],
            values=["too_large", "huge"],
            num_classes=10,
            raises="a class from num_classes on",
        ),
        *grid(
            dtype="int64", shape=[()], values=["negative", "too_large"], num_classes=5, raises="a class out of range"
        ),
        *grid(dtype="int64", shape=[(3,)], num_classes=[0, -2], raises="num_classes below 1"),
    ),
    benchmarks=(
        *grid(dtype="int64", shape=[(65536,)], num_classes=64),
        *grid(dtype="int64", shape=[(1024,)], num_classes=1000),
    ),
)

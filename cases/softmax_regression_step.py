"""softmax_regression_step(x, target, weight, *, lr, micro_batches): one step of descent for a linear classifier.

    logits = x weight^T,   p = softmax(logits),   G = (1/N) (p - onehot(target))^T x,   answer: weight - lr G

G is the gradient of the mean cross-entropy over the batch. With micro_batches = k the batch is cut into k equal parts
in order, and the gradients of their mean losses, each divided by k, are added up from zero: that is G again, so that
the answer for any k is the answer for k = 1, within the sum of the bounds.

Shapes: x (N, D), target (N) of class indices, weight (C, D) -> (C, D), a new array. Oracle and bound: running error
analysis of the formula (harness.judge.tracked); the errors of a logit come back in p multiplied by p, so that large
logits cost digits. Exact where all logits are 0, C, N and lr are powers of two, and x holds small integers.

It holds its own gradient, and none of it is asked for. Specification: PyTorch's cross_entropy, autograd and SGD without
momentum: a batch of no samples changes nothing (autograd adds up nothing, although the loss is NaN); one NaN in x makes
every weight NaN, through the logits. Errors: a label that is negative or not below C (-100 too, which cross_entropy
would skip), a batch that micro_batches does not divide, micro_batches below 1, shapes that do not match.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Cost, Mutant, Operator, Probe, Property, grid
from harness.draw import draw
from harness.judge.formula import derived_from
from harness.judge.tracked import Tracked, contract, exp
from harness.precision import FLOATS, numpy_dtype

from .losses import LAYOUTS
from .wrong import from_formula, general, of_changed_inputs


def check(x: Any, target: np.ndarray, weight: Any, micro_batches: int) -> None:
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1] or target.shape != x.shape[:1]:
        raise ValueError(f"(N, D), (N) and (C, D) are needed, not {x.shape}, {target.shape} and {weight.shape}")
    if micro_batches < 1 or x.shape[0] % micro_batches:
        raise ValueError(f"a batch of {x.shape[0]} cannot be cut into {micro_batches} equal parts")
    if target.size and not (target.min() >= 0 and target.max() < weight.shape[0]):
        raise IndexError(f"a label is not in [0, {weight.shape[0] - 1}]")


def formula(x: Tracked, target: np.ndarray, weight: Tracked, *, lr: float, micro_batches: int) -> Tracked:
    check(x, target, weight, micro_batches)
    if 0 in x.shape:
        return weight
    logits = contract(x, weight.moveaxis(0, 1))
    e = exp(logits - logits.max(-1, keepdims=True))
    chosen = (target[:, None] == np.arange(weight.shape[0])).astype(np.float64)
    # divided before it is added up, as backward() does: a sum of thirds is not exact where a third of a sum is
    distance = (e / e.sum(-1).reshape(-1, 1) - chosen) / float(x.shape[0])
    return weight - contract(distance.moveaxis(0, 1), x) * lr


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """x and weight from the family, labels from all classes. Logits are large on purpose in `wide`."""
    samples, labels, weights = case.shapes
    dtype, classes = numpy_dtype(case.dtype), weights[0]
    target = rng.integers(0, max(1, classes), labels)

    def usual(family: str = "normal") -> list[np.ndarray]:
        return [draw(family, shape, case.dtype, rng) for shape in (samples, weights)]

    match case.values:
        case "zero_weight":
            x, weight = rng.integers(-8, 9, samples).astype(dtype), np.zeros(weights, dtype)
        case "label_too_large" | "label_negative" | "label_ignored":
            x, weight = usual()
            target[-1] = {"label_too_large": classes, "label_negative": -1, "label_ignored": -100}[case.values]
        case "one_class":
            x, weight = usual()
            target[:] = classes - 1
        case "separated":
            # logits of +-400 and more: exp overflows unless the largest is subtracted
            x, weight = (20.0 * part.astype(np.float64) for part in usual())
        case "nan":
            x, weight = usual()
            x[tuple(rng.integers(samples))] = np.nan
        case "integers":
            x, weight = draw("integers", samples, case.dtype, rng, terms=1 << 18), usual()[1]
        case _:
            x, weight = usual(case.values)
    return np.asarray(x).astype(dtype), target, np.asarray(weight).astype(dtype)


# ---- laws


def accumulated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """k micro-batches give what one batch gives, within both bounds."""
    if case["micro_batches"] == 1:
        return None

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound

    return Probe(inputs, relate, {"micro_batches": 1})


def repeated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The batch twice over is the batch: a mean, within both bounds."""
    x, target, weight = inputs
    if case.layout != "contiguous":
        return None

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer, bound + other_bound

    return Probe((np.concatenate([x, x]), np.concatenate([target, target]), weight), relate)


def permuted(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """Reordering the samples keeps the answer; renaming the classes reorders its rows; within both bounds."""
    x, target, weight = inputs
    if case.layout != "contiguous" or x.size == 0:
        return None
    order, names = rng.permutation(x.shape[0]), rng.permutation(weight.shape[0])

    def relate(answer: np.ndarray, other: np.ndarray, bound: np.ndarray, other_bound: np.ndarray) -> tuple[Any, ...]:
        return other, answer[names], bound[names] + other_bound

    return Probe((x[order], np.argsort(names)[target][order], weight[names]), relate)


def still(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """A step of rate 0 returns the weights, bit for bit."""
    if case.layout != "contiguous" or case.values == "nan":
        return None
    weight = inputs[2]

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, weight, np.zeros_like(weight)

    return Probe(inputs, relate, {"lr": 0.0})


# ---- wrong versions, in NumPy's own arithmetic


def _softmax(z: np.ndarray, axis: int = 1) -> np.ndarray:
    e = np.exp(z - z.max(axis=axis, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _unshifted(z: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))


def _gradient(x: np.ndarray, t: np.ndarray, w: np.ndarray, probabilities: Any = _softmax) -> np.ndarray:
    """That of the mean loss."""
    distance = probabilities(x @ w.T)
    distance[np.arange(t.size), t] -= 1
    return np.asarray(distance.T @ x / x.dtype.type(max(1, t.size)))


def _parts(x: np.ndarray, t: np.ndarray, w: np.ndarray, k: int) -> list[np.ndarray]:
    """The gradients of the micro-batches' mean losses."""
    return [_gradient(*part, w) for part in zip(np.split(x, k), np.split(t, k), strict=True)]


def _step(gradient: Any) -> Any:
    """weight - lr gradient(x, target, weight, micro_batches)."""

    def wrong(x: np.ndarray, t: np.ndarray, w: np.ndarray, *, lr: float, micro_batches: int) -> np.ndarray:
        return w - w.dtype.type(lr) * gradient(x, t, w, micro_batches)

    return wrong


def _stepped_each_time(x: np.ndarray, t: np.ndarray, w: np.ndarray, *, lr: float, micro_batches: int) -> np.ndarray:
    for part in zip(np.split(x, micro_batches), np.split(t, micro_batches), strict=True):
        w = w - w.dtype.type(lr / micro_batches) * _gradient(*part, w)
    return w


def _squared(x: np.ndarray, t: np.ndarray, w: np.ndarray, k: int) -> np.ndarray:
    return _gradient(x, t, w, lambda z: z)


def _without_own_class(x: np.ndarray, t: np.ndarray, w: np.ndarray, k: int) -> np.ndarray:
    return np.asarray(_softmax(x @ w.T).T @ x / x.dtype.type(max(1, t.size)))


def _zeroed_between(x: np.ndarray, t: np.ndarray, w: np.ndarray, k: int) -> np.ndarray:
    return _parts(x, t, w, k)[-1] / x.dtype.type(k)


oracle, bound = derived_from(formula)

MUTANTS = (
    from_formula(
        "gradient_not_zeroed",
        _step(lambda x, t, w, k: _gradient(x, t, w) + _gradient(x[::2], t[::2], w)),
        "the gradient of an earlier step is still in it: set it to zero before the first micro-batch",
    ),
    from_formula(
        "micro_batches_not_averaged",
        _step(lambda x, t, w, k: sum(_parts(x, t, w, k))),
        "each micro-batch contributes its mean divided by their number; backward() adds up",
    ),
    from_formula(
        "zeroed_between_micro_batches", _step(_zeroed_between), "zero the gradient once, before the first micro-batch"
    ),
    from_formula(
        "last_micro_batch_only", _step(lambda x, t, w, k: _parts(x, t, w, k)[-1]), "the gradients are to be added up"
    ),
    from_formula("first_micro_batch_only", _step(lambda x, t, w, k: _parts(x, t, w, k)[0])),
    from_formula("stepped_after_each_micro_batch", _stepped_each_time, "the weights move once, after the last one"),
    from_formula("sum_of_losses", _step(lambda x, t, w, k: _gradient(x, t, w) * x.dtype.type(len(t)))),
    from_formula("mean_over_classes_too", _step(lambda x, t, w, k: _gradient(x, t, w) / x.dtype.type(len(w)))),
    from_formula("ascent", _step(lambda x, t, w, k: -_gradient(x, t, w)), "down the gradient, not up"),
    from_formula("own_class_not_subtracted", _step(_without_own_class), "the gradient is p - onehot, not p"),
    from_formula("no_softmax", _step(_squared), "that is least squares"),
    from_formula("softmax_over_the_batch", _step(lambda x, t, w, k: _gradient(x, t, w, lambda z: _softmax(z, 0)))),
    from_formula(
        "no_max_subtraction",
        _step(lambda x, t, w, k: _gradient(x, t, w, _unshifted)),
        "exp overflows above 88 in float32; subtract each row's largest logit first",
    ),
    from_formula("labels_off_by_one", _step(lambda x, t, w, k: _gradient(x, (t + 1) % len(w), w))),
    from_formula("weight_decay", _step(lambda x, t, w, k: _gradient(x, t, w) + w.dtype.type(0.01) * w)),
    from_formula("gradient_for_an_answer", lambda x, t, w, **_: _gradient(x, t, w)),
    from_formula("rate_ignored", lambda x, t, w, *, lr, micro_batches: w - _gradient(x, t, w)),
    of_changed_inputs(
        oracle,
        "last_feature_dropped",
        lambda x, t, w: (np.concatenate([x[:, :-1], np.zeros_like(x[:, -1:])], axis=1), t, w),
    ),
    Mutant("weight_unchanged", lambda x, t, w, **parameters: w.copy(), "no step was made"),
)


def cost(case: Case) -> Cost:
    """Read x twice (logits and gradient), the labels, the weights; write the weights; two products of matrices."""
    (n, features), (classes, _) = case.shapes[0], case.shapes[2]
    itemsize = numpy_dtype(case.dtype).itemsize
    moved = (n * features + 2 * classes * features) * itemsize + 8 * n
    return Cost(bytes=moved, flops=4 * n * features * classes + 8 * n * classes)


def _shapes(*sizes: tuple[int, int, int]) -> list[tuple[tuple[int, ...], ...]]:
    """(N, D, C) as the shapes of x, target and weight."""
    return [((n, features), (n,), (classes, features)) for n, features, classes in sizes]


VALUES = ["uniform", "wide", "integers", "grid", "equal", "zero_weight", "one_class", "separated", "negative", "nan"]
USUAL = {"lr": 0.5, "micro_batches": 1}

softmax_regression_step = Operator(
    name="softmax_regression_step",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    cost=cost,
    terms=lambda case: case.shapes[0][0],
    redraw=True,
    specification="PyTorch: cross_entropy, autograd and SGD without momentum",
    properties=(
        Property("accumulation", accumulated),
        Property("repetition", repeated),
        Property("permutation", permuted),
        Property("rate_0", still),
    ),
    mutants=(*general(oracle), *MUTANTS),
    conformance=(
        *grid(dtype="float32", shape=_shapes((1, 1, 2), (2, 3, 1), (31, 5, 3), (33, 31, 4), (257, 9, 5)), **USUAL),
        *grid(dtype="float32", shape=_shapes((256, 33, 10), (1025, 4, 3), (8, 257, 4)), **USUAL),
        *grid(dtype=FLOATS, shape=_shapes((24, 7, 5)), lr=[0.125, 0.3, -1.0], micro_batches=[1, 3]),
        *grid(dtype="float32", shape=_shapes((24, 7, 5)), lr=[0.0, 10.0], micro_batches=[2, 4, 24]),
        *grid(dtype=FLOATS, shape=_shapes((24, 7, 5)), values=VALUES, lr=0.5, micro_batches=4),
        *grid(dtype="float32", shape=_shapes((32, 8, 8)), values="zero_weight", lr=0.5, micro_batches=[1, 2, 8]),
        *grid(dtype="float32", shape=_shapes((256, 33, 10)), lr=0.1, micro_batches=[4, 256]),
        *grid(dtype="float32", shape=_shapes((0, 3, 4), (4, 0, 3)), lr=0.5, micro_batches=[1, 2]),
        *grid(dtype="float32", shape=_shapes((36, 53, 5)), layout=LAYOUTS, lr=0.5, micro_batches=[1, 3]),
        *grid(
            dtype="float32",
            shape=_shapes((6, 3, 4)),
            values=["label_too_large", "label_negative", "label_ignored"],
            lr=0.5,
            micro_batches=[1, 3],
            raises="a label out of range",
        ),
        *grid(
            dtype="float32",
            shape=_shapes((6, 3, 4)),
            lr=0.5,
            micro_batches=[4, 7, 0, -1],
            raises="the batch cannot be cut into equal parts",
        ),
        *grid(
            dtype="float32",
            shape=[((6, 3), (6,), (4, 2)), ((6, 3), (5,), (4, 3)), ((6, 3), (6, 1), (4, 3)), ((6,), (6,), (4, 6))],
            **USUAL,
            raises="shapes that do not match",
        ),
    ),
    benchmarks=grid(dtype="float32", shape=_shapes((4096, 64, 10), (1024, 784, 10)), lr=0.125, micro_batches=[1, 4]),
)

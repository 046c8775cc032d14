"""nll(input, target[, weight], *, weighted, ignore_index, reduction): -weight[t] * input[t], the log-probability at t.

Shapes: input (C,), (N, C) or (N, C, d1, ...), target the same without C (int64), weight (C,). none -> the target's
shape; sum and mean -> (). A mean divides by the sum of weight[t] over what is not ignored (their count without
weights). Ignored samples count nothing, whatever their input holds: their loss is 0, their gradient exactly 0; with
nothing left the sum is 0 and the mean NaN (0/0), its gradient 0. Gradient: -weight[t] g at the label (divided as the
mean is), exactly 0 elsewhere. Oracle and bound: running error analysis of the formula (harness.judge.tracked): a
gather is exact, a weight costs one rounding, the sums theirs (over the 2**19 losses of a benchmark an order that is not
claimed has only its worst case, 1e8 times what happens). Specification: PyTorch, also for 0 * inf = NaN with a
weight of 0. Bad inputs: a label >= C, or < 0 and not ignore_index; labels that are not int64; weights that are not one
per class; labels of another shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import Case, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, where
from harness.precision import FLOATS

from .class_losses import (
    bad_labels,
    batch_terms,
    check_labels,
    class_axis,
    draw_labels,
    draw_logits,
    draw_weight,
    gather_cost,
    one_hot,
    relabelled,
    weights_of_one,
    with_labels,
)
from .losses import REDUCTIONS, reduction_mutants
from .wrong import always, answer, from_formula, general, of_changed_inputs

USUAL: dict[str, Any] = {"weighted": False, "ignore_index": -100}


def inputs(case: Case, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return draw_logits(case, rng), draw_labels(case, rng, case["ignore_index"]), *draw_weight(case, rng)


def counted(x: Any, target: np.ndarray, weight: Any, ignore_index: int) -> tuple[np.ndarray, np.ndarray, Any, Any]:
    """Labels that can be gathered at, which samples are ignored, the weight of each sample, and their total."""
    check_labels(x, target, weight, ignore_index)
    ignored = target == ignore_index
    safe = np.where(ignored, 0, target)
    if weight is None:
        return safe, ignored, None, float(np.sum(~ignored))
    each = where(ignored, 0.0, weight[safe])
    return safe, ignored, each, each.sum()


def picked(x: Tracked, labels: np.ndarray) -> Tracked:
    """The element of each sample at its label."""
    along = class_axis(x.shape)
    return x.gathered(np.expand_dims(labels, along), along).reshape(labels.shape)


def formula(
    x: Tracked,
    target: np.ndarray,
    weight: Tracked | None = None,
    *,
    weighted: bool,
    ignore_index: int,
    reduction: str,
) -> Tracked:
    safe, ignored, each, total = counted(x, target, weight, ignore_index)
    losses = -picked(x, safe)
    losses = where(ignored, 0.0, losses if each is None else losses * each)
    return reduced(losses, reduction, total)


def gradient(
    g: Tracked,
    x: Tracked,
    target: np.ndarray,
    weight: Tracked | None = None,
    *,
    weighted: bool,
    ignore_index: int,
    reduction: str,
) -> Tracked:
    safe, ignored, each, total = counted(x, target, weight, ignore_index)
    down = spread(g, picked(x, safe), reduction, total)
    down = down if each is None else down * each
    along = class_axis(x.shape)
    kept = one_hot(safe, x.shape) & ~np.expand_dims(ignored, along)
    tall = down.reshape(*target.shape[:along], 1, *target.shape[along:]).broadcast_to(x.shape)
    return where(kept, -tall, 0.0)


oracle, bound = derived_from(formula)


def negated(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """nll(-x) = -nll(x), bit for bit."""

    def relate(answer: np.ndarray, other: np.ndarray, *bounds: np.ndarray) -> tuple[Any, ...]:
        return other, -answer, np.zeros_like(answer)

    return Probe((-inputs[0], *inputs[1:]), relate) if case.layout == "contiguous" else None


def _mean_over_all(x: np.ndarray, target: np.ndarray, weight: Any = None, **asked: Any) -> np.ndarray:
    """The sum, divided by the number of samples."""
    more = () if weight is None else (weight,)
    if asked["reduction"] != "mean":
        return answer(oracle, x, target, *more, **asked)
    total = np.asarray(oracle(x, target, *more, **{**asked, "reduction": "sum"}))
    return np.asarray(total / target.size).astype(x.dtype)


def _ignored_is_nan_free(*arrays: np.ndarray, **asked: Any) -> np.ndarray:
    found = answer(oracle, *arrays, **asked)
    return np.where(np.isnan(found), 0, found).astype(found.dtype)


def _log_again(x: np.ndarray, *rest: np.ndarray, **asked: Any) -> np.ndarray:
    p = np.exp(x - np.max(x, axis=class_axis(x.shape), keepdims=True))
    logs = np.log(p / np.sum(p, axis=class_axis(x.shape), keepdims=True)).astype(x.dtype)
    return np.asarray(oracle(logs, *rest, **asked))


nll = Operator(
    name="nll",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients_of(gradient, 0),
    gradient_values=("normal", "wide", "grid", "integers", "all_ignored"),
    cost=gather_cost,
    terms=batch_terms,
    outweighs=float,
    redraw=True,
    specification="PyTorch",
    properties=(
        Property("negation", negated),
        Property("class_permutation", relabelled),
        Property("weights_of_one", weights_of_one),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "ignore_index_ignored", "labels equal to ignore_index count nothing", ignore_index=-(2**40)),
        of_changed_inputs(
            oracle,
            "weights_ignored",
            lambda x, t, *w: (x, t, *(np.ones_like(one) for one in w)),
            "each loss is multiplied by the weight of its class",
        ),
        from_formula("mean_over_all_samples", _mean_over_all, "the mean divides by the sum of the weights that count"),
        from_formula("no_nan_for_nothing", _ignored_is_nan_free, "the mean of nothing is NaN"),
        from_formula("log_softmax_applied_again", _log_again, "the input holds log-probabilities already"),
        of_changed_inputs(oracle, "label_off_by_one", lambda x, t, *w: (x, np.where(t > 0, t - 1, t), *w)),
        of_changed_inputs(
            oracle,
            "classes_on_the_last_axis",
            lambda x, t, *w: (np.ascontiguousarray(x.reshape(x.shape[0], *x.shape[2:], -1)).swapaxes(1, -1), t, *w)
            if x.ndim > 2
            else (x, t, *w),
            "the classes lie on axis 1, also where there are more axes",
        ),
        of_changed_inputs(oracle, "weights_squared", lambda x, t, *w: (x, t, *(one * one for one in w))),
        of_changed_inputs(
            oracle, "weights_shifted_by_a_class", lambda x, t, *w: (x, t, *(np.roll(one, 1) for one in w))
        ),
        from_formula("log_of_the_input", lambda x, *rest, **p: oracle(np.log(x), *rest, **p)),
    ),
    conformance=(
        *grid(dtype=FLOATS, shape=with_labels((7, 33)), **USUAL, reduction=REDUCTIONS),
        *grid(
            dtype=FLOATS,
            shape=with_labels((7, 33), weighted=True),
            weighted=True,
            ignore_index=[-100, 3],
            reduction=REDUCTIONS,
        ),
        *grid(dtype="float32", shape=with_labels((7, 33)), weighted=False, ignore_index=[-1, 2, 40], reduction="mean"),
        *grid(
            dtype="float32",
            shape=with_labels((1, 2), (31, 5), (256, 5), (1025, 5), (65537, 2), (3, 1025)),
            **USUAL,
            reduction="mean",
        ),
        *grid(
            dtype=FLOATS, shape=with_labels((257, 5), weighted=True), weighted=True, ignore_index=-100,
            reduction=["mean", "sum"],
        ),
        *grid(dtype="float32", shape=with_labels((5, 4, 8, 8)), **USUAL, reduction=REDUCTIONS),
        *grid(
            dtype=FLOATS, shape=with_labels((5, 4, 8, 8), weighted=True), weighted=True, ignore_index=1,
            reduction=["none", "mean"],
        ),
        *grid(dtype="float32", shape=with_labels((2, 3, 4), (2, 3, 2, 3, 2)), **USUAL, reduction=["none", "mean"]),
        *grid(dtype="float32", shape=with_labels((9,)), **USUAL, reduction=REDUCTIONS),
        *grid(dtype="float32", shape=with_labels((0, 3), (0, 3, 2)), **USUAL, reduction=REDUCTIONS),
        *grid(
            dtype="float32", shape=with_labels((7, 33), (2, 3, 4)), values="all_ignored", **USUAL, reduction=REDUCTIONS
        ),
        *grid(
            dtype="float32", shape=with_labels((7, 33), weighted=True), values=["all_ignored", "zero_weights"],
            weighted=True, ignore_index=2, reduction=REDUCTIONS,
        ),
        *grid(
            dtype=FLOATS, shape=with_labels((9, 300)), values=["wide", "integers"], **USUAL, reduction=["none", "sum"]
        ),
        *grid(
            dtype="float32", shape=with_labels((9, 300)), values=["bits", "infinities", "nan", "cancelling", "grid"],
            **USUAL, reduction=["none", "mean"],
        ),
        *grid(
            dtype="float32", shape=with_labels((37, 53)),
            layout=["transposed", "strided", "reversed", "offset", "expanded"], **USUAL, reduction=["none", "mean"],
        ),
        *bad_labels((4, 5), **USUAL, reduction="mean"),
        *grid(
            dtype="float32", shape=[((4, 5), (4,), (6,))], weighted=True, ignore_index=-100, reduction="mean",
            raises="one weight per class",
        ),
        *grid(
            dtype="float32", shape=with_labels((4, 5, 3)), values="label_too_large", **USUAL, reduction="sum",
            raises="a label is not below C",
        ),
    ),
    benchmarks=(
        *grid(dtype="float32", shape=with_labels((4096, 1000)), **USUAL, reduction="mean"),
        *grid(
            dtype="float32", shape=with_labels((8, 21, 256, 256), weighted=True), weighted=True, ignore_index=-100,
            reduction="mean",
        ),
    ),
)  # fmt: skip

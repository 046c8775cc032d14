"""cross_entropy(input, target[, weight], *, weighted, ignore_index, reduction, label_smoothing): -log softmax at t.

With y = log_softmax(input) over the classes, w the weights (or 1) and s the smoothing, the loss of a sample is
- sum_c q_c y_c, with q_c = w_c ((1 - s) [c = t] + s / C) for a label t, q_c = w_c ((1 - s) p_c + s / C) for
probabilities p. Shapes: input (C,), (N, C) or (N, C, d1, ...); target int64 labels of that shape without C, or
probabilities of the input's shape and dtype; weight (C,). none -> the input's shape without C; sum and mean -> ().
A mean divides by the sum of w_t over labels that are not ignored (their count without weights); for probabilities by
the number of samples. Gradient with respect to the input: g (softmax_j sum_c q_c - q_j), divided as the mean is.

Oracle and bound: running error analysis (harness.judge.tracked) of (x - max) - log(sum(exp(x - max))): to first order
t u + (tau + c_e + H) u + c_l u |ln s| + 2 u |y| per sample, as log_softmax has it, then the sums'. An implementation
by x - logsumexp(x), or by the log of a softmax, breaks it. Specification: PyTorch. Ignored samples count nothing,
whatever their logits: loss 0, gradient exactly 0. All ignored: mean NaN, sum 0, gradients 0. A logit of -inf at the
label gives inf, one of +inf NaN, a row of -inf NaN; 0 * -inf (a probability or weight of 0) NaN.

Bad inputs: a label >= C, or < 0 and not ignore_index; labels that are not int64; weights or labels of another shape; a
smoothing outside [0, 1]; an ignore_index >= 0 beside probabilities; and, beyond PyTorch, which computes something with
them, probabilities that are negative or NaN: the loss of what is no distribution can be negative.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import Case, Mutant, Operator, Probe, Property, grid
from harness.judge.formula import derived_from, gradients_of, reduced, spread
from harness.judge.tracked import Tracked, exp, where
from harness.precision import FLOATS, round_to, widen

from .class_losses import (
    CPU_FLOATS,
    GOLDEN,
    GOLDEN_GRADIENTS,
    Shape,
    as_probabilities,
    check_labels,
    class_axis,
    class_cost,
    distribution_inputs,
    logit_terms,
    of_log_softmax,
    one_hot,
    published_losses,
    relabelled,
    shifted,
    weights_of_one,
    with_labels,
    with_probabilities,
)
from .golden import HALF_A_DIGIT
from .log_softmax import _log, _log_of_softmax
from .logits import added_up, log_softmax
from .losses import LAYOUTS, REDUCTIONS, reduction_mutants
from .nll import counted, picked
from .nll import oracle as nll_oracle
from .softmax import _max_of_first
from .wrong import always, answer, from_formula, general, of_changed_inputs

HARD = ["wide", "grid", "overflow", "masked", "infinities", "nan", "equal", "bits"]
INFINITE = ["label_at_minus_inf", "label_at_inf", "row_of_minus_inf"]


def check(x: Any, target: Any, weight: Any, ignore_index: int, label_smoothing: float) -> None:
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"a label_smoothing of {label_smoothing} is not in [0, 1]")
    if not isinstance(target, Tracked):
        check_labels(x, target, weight, ignore_index)
    elif x.shape != target.shape:
        raise ValueError(f"probabilities of shape {target.shape} for an input of shape {x.shape}")
    elif ignore_index >= 0:
        raise ValueError("probabilities leave no label to be ignored")
    elif not np.all(target.value >= 0):
        raise ValueError("a probability that is negative or NaN")


def tall(weight: Tracked, x: Tracked) -> Tracked:
    """Weights along the class axis of the input."""
    along = class_axis(x.shape)
    return weight.reshape([-1 if axis == along else 1 for axis in range(x.ndim)])


def formula(
    x: Tracked, target: Any, weight: Tracked | None = None, *, weighted: bool, ignore_index: int, reduction: str,
    label_smoothing: float,
) -> Tracked:  # fmt: skip
    check(x, target, weight, ignore_index, label_smoothing)
    along, s = class_axis(x.shape), label_smoothing
    y = log_softmax(x)
    if isinstance(target, Tracked):
        p = target if s == 0 else target * (1.0 - s) + s / x.shape[along]
        terms = added_up(y, x) * p
        losses = -(terms if weight is None else terms * tall(weight, x)).sum(along)
        return reduced(losses, reduction)
    safe, ignored, each, total = counted(x, target, weight, ignore_index)
    losses = -picked(y, safe)
    losses = losses if each is None else losses * each
    if s:
        all_of_it = added_up(y, x)
        spread_out = -(all_of_it if weight is None else all_of_it * tall(weight, x)).sum(along)
        losses = losses * (1.0 - s) + spread_out * (s / x.shape[along])
    return reduced(where(ignored, 0.0, losses), reduction, total)


def gradient(
    g: Tracked, x: Tracked, target: Any, weight: Tracked | None = None, *, weighted: bool, ignore_index: int,
    reduction: str, label_smoothing: float,
) -> Tracked:  # fmt: skip
    along, s = class_axis(x.shape), label_smoothing
    softmax = exp(log_softmax(x))
    kept = tuple(1 if axis == along else size for axis, size in enumerate(x.shape))
    smoothed = s / x.shape[along]
    if isinstance(target, Tracked):
        ignored = np.zeros(kept, dtype=bool)
        total = None
        q = target if s == 0 else target * (1.0 - s) + smoothed
        q = q if weight is None else q * tall(weight, x)
    else:
        safe, mask, _, total = counted(x, target, weight, ignore_index)
        ignored = mask.reshape(kept)
        hot = one_hot(safe, x.shape)
        ones = x.constant(1.0) if weight is None else tall(weight, x)
        q = where(hot, ones * (1.0 - s) + ones * smoothed, ones * smoothed)
    sums = q.sum(along)
    down = spread(g, sums, reduction, total).reshape(kept)
    return where(ignored, 0.0, down * (softmax * sums.reshape(kept) - q))


oracle, bound = derived_from(formula)
gradients = gradients_of(gradient, 0)


def published_gradient(case: Case, inputs: tuple[np.ndarray, ...], rng: np.random.Generator) -> Probe | None:
    """The closed form that gradients are judged by agrees with the published gradients in every digit."""
    if case.values not in GOLDEN or case["reduction"] == "none":
        return None

    def relate(answer: np.ndarray, _: None, bound: np.ndarray, __: None) -> tuple[Any, ...]:
        found = gradients[0].oracle(*inputs, np.ones((), inputs[0].dtype), **dict(case.parameters))
        return found, np.array(GOLDEN_GRADIENTS[case.values]), np.full(found.shape, HALF_A_DIGIT)

    return Probe(None, relate)


def _through(name: str, log_probabilities: Callable[[np.ndarray], np.ndarray], lesson: str = "") -> Mutant:
    """The loss of labels, made of log-probabilities that `log_probabilities` finds for rows (..., C)."""

    def function(x: np.ndarray, target: np.ndarray, *weight: np.ndarray, **asked: Any) -> np.ndarray:
        if target.shape == x.shape or asked["label_smoothing"]:
            return np.asarray(oracle(x, target, *weight, **asked))
        along = class_axis(x.shape)
        y = np.moveaxis(log_probabilities(np.moveaxis(x, along, -1)), -1, along)
        return np.asarray(nll_oracle(y, target, *weight, **{k: v for k, v in asked.items() if k != "label_smoothing"}))

    return from_formula(name, function, lesson)


def _minus_logsumexp(x: np.ndarray) -> np.ndarray:
    top = np.max(x, axis=-1, keepdims=True)
    return np.asarray(x - (top + np.log(np.sum(np.exp(x - top), axis=-1, keepdims=True))))


def _narrow_exp(x: np.ndarray) -> np.ndarray:
    y = x - np.max(x, axis=-1, keepdims=True)
    total = np.sum(widen(round_to(np.exp(y), "bfloat16")), axis=-1, keepdims=True)
    return np.asarray(y - np.log(total), dtype=x.dtype)


def _mean_over_all(x: np.ndarray, target: np.ndarray, *weight: np.ndarray, **asked: Any) -> np.ndarray:
    """The sum, divided by the number of samples."""
    if asked["reduction"] != "mean" or target.shape == x.shape:
        return np.asarray(oracle(x, target, *weight, **asked))
    return np.asarray(oracle(x, target, *weight, **{**asked, "reduction": "sum"}) / max(1, target.size))


def _zero_for_nothing(*arrays: np.ndarray, **asked: Any) -> np.ndarray:
    found = answer(oracle, *arrays, **asked)
    return np.where(np.isnan(found), 0, found).astype(found.dtype)


def _smoothed_over_the_others(x: np.ndarray, target: np.ndarray, *weight: np.ndarray, **asked: Any) -> np.ndarray:
    """The smoothing goes to the C - 1 classes that are not the label."""
    s, classes = asked["label_smoothing"], x.shape[class_axis(x.shape)]
    more = min(1.0, s * classes / max(1, classes - 1))
    return np.asarray(oracle(x, target, *weight, **{**asked, "label_smoothing": more}))


def _hardened(x: np.ndarray, target: np.ndarray, *rest: np.ndarray) -> tuple[np.ndarray, ...]:
    """Probabilities replaced by all the mass on the most probable class."""
    if target.shape == x.shape:
        along = class_axis(x.shape)
        target = one_hot(np.argmax(target, axis=along), x.shape).astype(x.dtype)
    return x, target, *rest


def _weightless_gradient(x: np.ndarray, target: np.ndarray, *rest: np.ndarray, **asked: Any) -> np.ndarray:
    *weight, g = rest
    return round_to(gradients[0].oracle(x, target, *map(np.ones_like, weight), g, **asked), x.dtype.name)


def _undivided_gradient(*arrays: np.ndarray, **asked: Any) -> np.ndarray:
    reduction = "sum" if asked["reduction"] == "mean" else asked["reduction"]
    return round_to(gradients[0].oracle(*arrays, **{**asked, "reduction": reduction}), arrays[0].dtype.name)


def _gradient_of_ignored(*arrays: np.ndarray, **asked: Any) -> np.ndarray:
    """Ignored rows get a gradient, as if the first class were their label."""
    x, target, *rest = arrays
    safe = target if target.shape == x.shape else np.where(target == asked["ignore_index"], 0, target)
    return round_to(gradients[0].oracle(x, safe, *rest, **{**asked, "ignore_index": -1}), x.dtype.name)


def _probability_gradient(*arrays: np.ndarray, **asked: Any) -> np.ndarray:
    """The softmax alone, without the label taken off."""
    x, target, *rest = arrays
    nothing = np.zeros_like(x) if target.shape == x.shape else target
    right = gradients[0].oracle(x, nothing, *rest, **asked)
    return round_to(np.abs(right), x.dtype.name)


# fmt: off
def some(
    shape: list[tuple[Shape, ...]], dtype: Any = "float32", values: Any = "normal", *, layout: Any = "contiguous",
    raises: str = "", ignore_index: Any = -100, reduction: Any = "mean", smoothing: Any = 0.0,
) -> tuple[Case, ...]:
    """Cases, weighted where the shapes have a third."""
    return grid(
        dtype=dtype, shape=shape, values=values, layout=layout, raises=raises, weighted=len(shape[0]) == 3,
        ignore_index=ignore_index, reduction=reduction, label_smoothing=smoothing,
    )


# fmt: on
SMALL, HEAVY = with_labels((7, 33)), with_labels((7, 33), weighted=True)
SOFT = with_probabilities((7, 33))
IMAGE = with_labels((5, 4, 8, 8), weighted=True)
BAD, BAD_SOFT = with_labels((4, 5)), with_probabilities((4, 5))
BOTH = ["none", "mean"]
HALF = ["float16", "bfloat16"]

cross_entropy = Operator(
    name="cross_entropy",
    inputs=distribution_inputs,
    oracle=oracle,
    bound=bound,
    gradients=gradients,
    gradient_values=("normal", "wide", "uniform", "grid", "integers", "equal", "offset", "all_ignored", *GOLDEN),
    cost=class_cost,
    terms=logit_terms,
    redraw=True,
    specification="PyTorch",
    properties=(
        Property("published_values", published_losses),
        Property("published_gradient", published_gradient),
        Property("shift_invariance", shifted),
        Property("class_permutation", relabelled),
        Property("one_hot_probabilities", as_probabilities),
        Property("weights_of_one", weights_of_one),
        Property("of_log_softmax", of_log_softmax),
    ),
    mutants=(
        *general(oracle),
        *reduction_mutants(oracle),
        always(oracle, "ignore_index_ignored", "labels equal to ignore_index count nothing", ignore_index=-(2**40)),
        always(oracle, "label_smoothing_ignored", label_smoothing=0.0),
        from_formula("mean_over_all_samples", _mean_over_all, "the mean divides by the sum of the weights that count"),
        from_formula("zero_for_nothing", _zero_for_nothing, "the mean of nothing is NaN"),
        from_formula(
            "smoothed_over_the_other_classes",
            _smoothed_over_the_others,
            "label smoothing takes s from the label and gives s / C to every class, the label included",
        ),
        of_changed_inputs(
            oracle,
            "weights_ignored",
            lambda x, t, *w: (x, t, *map(np.ones_like, w)),
            "each loss is multiplied by the weight of its class",
        ),
        of_changed_inputs(oracle, "probabilities_hardened", _hardened, "probabilities are not labels: use all of them"),
        of_changed_inputs(
            oracle, "label_off_by_one", lambda x, t, *w: (x, np.where(t > 0, t - 1, t) if t.ndim < x.ndim else t, *w)
        ),
        of_changed_inputs(
            oracle,
            "classes_on_the_last_axis",
            lambda x, t, *w: (
                (x.reshape(x.shape[0], *x.shape[2:], -1).swapaxes(1, -1), t, *w) if t.ndim < x.ndim > 2 else (x, t, *w)
            ),
            "the classes lie on axis 1, also where there are more axes",
        ),
        _through(
            "minus_logsumexp",
            _minus_logsumexp,
            "x - logsumexp(x) cancels where the logits are large; (x - max) - log(sum(exp(x - max))) does not",
        ),
        _through(
            "log_of_softmax",
            lambda x: _log_of_softmax(x, dim=-1),
            "a probability below the smallest float has the logarithm -inf; use x - max - log(sum(exp(x - max)))",
        ),
        _through(
            "no_max_subtraction",
            lambda x: x - np.log(np.sum(np.exp(x), axis=-1, keepdims=True)),
            "exp(x) overflows above 88 in float32; subtract the largest logit of each row before exp",
        ),
        _through("max_of_first_256", lambda x: _log(_max_of_first)(x, dim=-1)),
        _through("logits_taken_for_log_probabilities", lambda x: x, "the logits are not normalised yet"),
        _through("exp_in_bfloat16", _narrow_exp, "8 bits of exp are not enough for the type of the answer"),
        _through("logarithm_to_base_2", lambda x: _minus_logsumexp(x) / np.log(x.dtype.type(2))),
        Mutant("gradient_without_weights", _weightless_gradient, "the gradient has the weight of the label", 0),
        Mutant("gradient_of_the_sum", _undivided_gradient, "the gradient of a mean is divided as the mean is", 0),
        Mutant("gradient_of_ignored_samples", _gradient_of_ignored, "ignored samples have a gradient of exactly 0", 0),
        Mutant("gradient_without_sign", _probability_gradient, "the gradient is softmax minus the label", 0),
    ),
    conformance=(
        # sizes, dtypes, parameters
        *some(SMALL, FLOATS, reduction=REDUCTIONS, smoothing=[0.0, 0.1]),
        *some(HEAVY, FLOATS, ignore_index=3, reduction=REDUCTIONS),
        *some(HEAVY),
        *some(HEAVY, ignore_index=-1, reduction=REDUCTIONS, smoothing=0.3),
        *some(SMALL, ignore_index=[-1, 2, 40], reduction=BOTH),
        *some(SMALL, smoothing=1.0),
        *some(SOFT, FLOATS, reduction=BOTH, smoothing=0.0),
        *some(SOFT, FLOATS, reduction=["none", "sum"], smoothing=0.2),
        *some(
            with_probabilities((7, 33), weighted=True), [*CPU_FLOATS, "bfloat16"], reduction=REDUCTIONS, smoothing=0.1
        ),
        *some(with_labels((3, 31), (3, 32), (3, 257), (3, 1023), (3, 1025), (1, 2), (1025, 5))),
        *some(with_labels((257, 5), (3, 1025)), HALF, reduction=["mean", "sum"]),
        *some(with_labels((2, 1)), reduction=BOTH),
        *some(with_labels((2, 131072)), ["float32", *HALF], "uniform", reduction="none"),
        # more axes, and none
        *some(IMAGE, FLOATS, ignore_index=1, reduction=BOTH),
        *some(with_labels((2, 3, 4), (2, 3, 2, 3, 2)), reduction=BOTH, smoothing=[0.0, 0.1]),
        *some(with_probabilities((2, 3, 4)), reduction=BOTH),
        *some(with_labels((9,)), reduction=REDUCTIONS),
        *some(with_probabilities((9,)), reduction="none"),
        *some([*with_labels((0, 3), (0, 3, 2)), *with_probabilities((0, 3))], reduction=REDUCTIONS),
        # what breaks an exp, a mask or a mean
        *some(with_labels((9, 300)), FLOATS, HARD, reduction="none"),
        *some(with_labels((9, 300)), "float32", ["wide", "overflow", "bits", "integers", "one_huge", "offset"]),
        *some(with_labels((9, 300)), "float64", "offset"),
        *some(with_labels((6, 40)), values=INFINITE, reduction=["none", "sum"], smoothing=[0.0, 0.1]),
        *some(with_probabilities((6, 40)), values=["wide", "overflow", "one_minus_inf", "grid"], reduction="none"),
        *some(SMALL, ["float32", "float16"], "all_ignored", reduction=REDUCTIONS),
        *some(SMALL, values="all_ignored", reduction=REDUCTIONS, smoothing=0.1),
        *some(HEAVY, values=["all_ignored", "zero_weights"], ignore_index=2, reduction=REDUCTIONS),
        *some(with_labels((6, 40)), values="nan_where_ignored", reduction=REDUCTIONS),
        *some(with_labels((1, 2)), FLOATS, "far_apart", reduction=REDUCTIONS),
        # published values
        *some(with_labels((3, 3)), CPU_FLOATS, "golden", reduction=BOTH),
        *some(with_probabilities((3, 3)), CPU_FLOATS, "golden"),
        *some(with_labels((1, 3)), CPU_FLOATS, ["golden_0", "golden_1", "golden_2"], reduction="sum"),
        # layouts
        *some(with_labels((37, 53)), layout=LAYOUTS, reduction=BOTH),
        *some(with_probabilities((37, 53)), layout=LAYOUTS, reduction="none"),
        # bad input
        *some(BAD, values="label_too_large", raises="a label is not below C"),
        *some(BAD, values="label_negative", raises="a label is below 0"),
        *some(BAD, values="int32_labels", raises="labels are int64"),
        *some(BAD, smoothing=[-0.1, 1.5], raises="a smoothing lies in [0, 1]"),
        *some([((4, 5), (3,))], raises="one label per sample"),
        *some([((4, 5), (4,), (6,))], raises="one weight per class"),
        *some(with_labels((4, 5, 3)), values=["label_too_large", "label_negative"], raises="a label is outside"),
        *some(BAD_SOFT, ignore_index=1, raises="probabilities leave no label to be ignored"),
        *some(BAD_SOFT, values=["negative_probability", "nan_probability"], raises="a probability negative or NaN"),
    ),
    benchmarks=(*some(with_labels((4096, 1000), (64, 32768))), *some(with_probabilities((1024, 1000)))),
)

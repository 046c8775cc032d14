"""ctc's oracle and gradient, certified by counting out all alignments, by mpmath and by differences; and its bound."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from harness.cases.ctc import ctc, gradient

from harness.declare import Accumulation, Case
from harness.judge.admission import admit
from harness.judge.arithmetic import arithmetic_for
from harness.judge.formula import evaluated
from harness.judge.truth import draw_inputs, generator, truth

USUAL: dict[str, Any] = {"blank": 0, "reduction": "none", "zero_infinity": False}


def normalised(rng: np.random.Generator, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    logits = scale * rng.standard_normal(shape)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def collapsed(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """What an alignment spells: repeats merged, then blanks taken out."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def by_counting(log_probs: np.ndarray, blank: int) -> dict[tuple[int, ...], float]:
    """The loss of every label sequence, from all C**T alignments of one sample (T, C)."""
    sums: dict[tuple[int, ...], list[float]] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        weight = math.exp(sum(log_probs[t, label] for t, label in enumerate(path)))
        sums.setdefault(collapsed(path, blank), []).append(weight)
    return {labels: -math.log(math.fsum(weights)) for labels, weights in sums.items()}


def in_mpmath(log_probs: np.ndarray, labels: list[int], blank: int) -> mpmath.mpf:
    """The loss by plain sums of products: mpmath's exponents have no end, so that nothing underflows."""
    with mpmath.workdps(40):
        states = [blank]
        for label in labels:
            states += [label, blank]
        probability = [[mpmath.exp(mpmath.mpf(float(x))) for x in row] for row in log_probs]
        alpha = [probability[0][c] if s < 2 else mpmath.mpf(0) for s, c in enumerate(states)]
        for row in probability[1:]:
            alpha = [
                row[c]
                * (
                    alpha[s]
                    + (alpha[s - 1] if s >= 1 else 0)
                    + (alpha[s - 2] if s >= 2 and c != blank and c != states[s - 2] else 0)
                )
                for s, c in enumerate(states)
            ]
        return -mpmath.log(sum(alpha[-2:]))


def the_loss(log_probs: np.ndarray, labels: list[int], **parameters: Any) -> np.ndarray:
    """The oracle's answer for one sample (T, C) that uses all of its frames."""
    frames, lengths = np.array([len(log_probs)]), np.array([len(labels)])
    return ctc.oracle(log_probs[:, None], np.array(labels, dtype=np.int64), frames, lengths, **{**USUAL, **parameters})[
        0
    ]


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 6])
def test_the_oracle_sums_over_all_alignments(frames: int, blank: int) -> None:
    rng = np.random.default_rng(frames)
    log_probs = normalised(rng, (frames, 3), 2.0)
    counted = by_counting(log_probs, blank)
    others = [c for c in range(3) if c != blank]
    for length in range(frames + 2):
        for labels in itertools.product(others, repeat=length):
            found = float(the_loss(log_probs, list(labels), blank=blank))
            # repeats need a blank between them: there are sequences without any alignment
            assert found == pytest.approx(counted.get(labels, math.inf), rel=1e-13), labels
    assert math.fsum(math.exp(-loss) for loss in counted.values()) == pytest.approx(1.0, rel=1e-13)


@pytest.mark.parametrize("frames, labels, classes", [(12, 4, 6), (50, 20, 20), (300, 60, 9)])
def test_the_oracle_agrees_with_mpmath_to_a_small_part_of_the_bound(frames: int, labels: int, classes: int) -> None:
    rng = np.random.default_rng(frames)
    log_probs = normalised(rng, (frames, 1, classes))
    target = rng.integers(1, classes, labels)
    inputs = log_probs, target[None], np.array([frames]), np.array([labels])
    found = ctc.oracle(*inputs, **USUAL)
    case = Case("float64", tuple(x.shape for x in inputs), tuple(USUAL.items()))
    bound = ctc.bound(case, inputs, found, arithmetic_for(case, Accumulation(), 1, True))
    with mpmath.workdps(40):
        # a long double in two parts: mpmath takes floats
        high = float(found[0])
        exact = mpmath.mpf(high) + mpmath.mpf(float(found[0] - np.longdouble(high)))
        error = abs(exact - in_mpmath(log_probs[:, 0], target.tolist(), 0))
    assert 0 < float(bound[0]) < 1e-10 * float(found[0]) * frames
    assert float(error) < 2e-3 * float(bound[0])


def test_long_inputs_do_not_underflow() -> None:
    """T = 3000: the probability of the target, exp(-13700) or so, is far below what any float holds."""
    rng = np.random.default_rng(3)
    log_probs = normalised(rng, (3000, 100), 0.3)
    target = rng.integers(1, 100, 60).tolist()
    found = float(the_loss(log_probs, target))
    assert found > 12000
    assert found == pytest.approx(float(in_mpmath(log_probs, target, 0)), rel=1e-14)


def test_empty_targets_are_blanks_alone() -> None:
    log_probs = normalised(np.random.default_rng(0), (7, 4))
    assert float(the_loss(log_probs, [])) == pytest.approx(-log_probs[:, 0].sum(), rel=1e-15)


def test_the_mean_divides_by_the_target_lengths_first() -> None:
    rng = np.random.default_rng(1)
    log_probs = normalised(rng, (9, 3, 5))
    inputs = log_probs, np.array([1, 2, 3, 4, 4]), np.array([9, 8, 7]), np.array([3, 0, 2])
    losses = ctc.oracle(*inputs, **USUAL)
    mean = ctc.oracle(*inputs, **{**USUAL, "reduction": "mean"})
    assert float(mean) == pytest.approx(float((losses / np.array([3, 1, 2])).mean()), rel=1e-15)


def test_infeasible_is_infinite_and_zero_infinity_makes_it_0() -> None:
    log_probs = normalised(np.random.default_rng(2), (2, 3))
    assert np.isposinf(the_loss(log_probs, [1, 1]))
    assert the_loss(log_probs, [1, 1], zero_infinity=True) == 0
    assert np.isfinite(the_loss(log_probs, [1, 2]))


# ---- gradient


def small_batch() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(4)
    log_probs = normalised(rng, (7, 3, 4)).astype(np.float64)
    return log_probs, np.array([[1, 1, 2], [3, 2, 0], [0, 0, 0]]), np.array([7, 5, 6]), np.array([3, 2, 0])


def the_gradient(inputs: tuple[np.ndarray, ...], cotangent: np.ndarray, **parameters: Any) -> np.ndarray:
    asked = {**USUAL, **parameters}
    return np.asarray(evaluated(lambda *a, **p: gradient(a[-1], *a[:-1], **p), (*inputs, cotangent), asked).value)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_the_gradient_through_log_softmax_is_that_of_differences(reduction: str) -> None:
    """With respect to logits, both conventions and the differences agree; with respect to free entries, exp(log_probs)
    lies between PyTorch's convention and the derivative."""
    inputs = small_batch()
    log_probs, *rest = inputs
    cotangent = np.random.default_rng(5).standard_normal(3 if reduction == "none" else ())
    found = the_gradient(inputs, np.asarray(cotangent), reduction=reduction)

    def value(x: np.ndarray) -> np.longdouble:
        return np.sum(cotangent * ctc.oracle(x, *rest, **{**USUAL, "reduction": reduction}))

    live = np.arange(7)[:, None, None] < rest[1][:, None]
    share = cotangent / (np.maximum(1, rest[2]) * 3 if reduction == "mean" else 1) * np.ones(3)
    surplus = np.where(live, np.exp(log_probs), 0) * share[:, None]
    step = 2.0**-20
    for place in np.ndindex(log_probs.shape):
        moved = np.zeros(log_probs.shape)
        moved[place] = step
        free = (value(log_probs + moved) - value(log_probs - moved)) / (2 * step)
        assert float(found[place] - surplus[place]) == pytest.approx(float(free), abs=1e-9)
        up, down = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (log_probs + moved, log_probs - moved))
        through = found[place] - np.exp(log_probs[place]) * found[place[:2]].sum()
        assert float(through) == pytest.approx(float((value(up) - value(down)) / (2 * step)), abs=1e-9)


def test_the_gradient_of_a_frame_sums_to_0_and_ends_with_the_sample() -> None:
    inputs = small_batch()
    found = the_gradient(inputs, np.ones(3))
    assert np.abs(found.sum(axis=-1)).max() < 1e-15
    assert not found[5:, 1].any() and not found[6:, 2].any()


def test_the_gradient_of_what_zero_infinity_took_out_is_0() -> None:
    log_probs, targets, _, lengths = small_batch()
    inputs = log_probs, targets, np.array([3, 5, 6]), lengths
    found = the_gradient(inputs, np.ones(3), zero_infinity=True)
    assert not found[:, 0].any() and found[:, 1].any()


# ---- the cases


def test_every_mutant_is_exposed() -> None:
    for seed in range(3):
        assert admit(ctc, seed).survivors == ()


@pytest.mark.parametrize("case", [one for one in ctc.conformance if one.raises], ids=lambda case: case.id)
def test_the_oracle_refuses_bad_input(case: Case) -> None:
    inputs = draw_inputs(ctc, case, generator(1, case.id, 0))
    with pytest.raises(ValueError):
        ctc.oracle(*inputs, **dict(case.parameters))


def test_families_are_feasible_where_gradients_are_judged() -> None:
    for case in ctc.conformance:
        if case.raises or case.values not in ctc.gradient_values or case.values.endswith("_zeroed"):
            continue
        for number in range(3):
            inputs = draw_inputs(ctc, case, generator(2, case.id, number))
            found = ctc.oracle(*inputs, **{**dict(case.parameters), "reduction": "none"})
            assert np.isfinite(found).all(), case.id


def test_the_bound_grows_with_frames_and_loss_as_derived() -> None:
    """About T u (|loss| / 2 + 4), times two for other formulas."""
    (case,) = (one for one in ctc.conformance if one.shapes[0][0] == 3000)
    call = truth(ctc, case, draw_inputs(ctc, case, generator(3, case.id, 0)), Accumulation())
    expected = 2 * 3000 * 2.0**-24 * (call.expected / 2 + 4)
    assert np.all((expected / 2 < call.bound) & (call.bound < 4 * expected))

"""What every operator promises, whatever it is: a certified oracle, true gradients, cases that draw, laws that hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from harness.declare import Accumulation, Case, Operator, Tree
from harness.judge.admission import wrong_gradients
from harness.judge.truth import draw_inputs, generator, gradient_truth, has_gradient, truth
from harness.precision import is_float
from harness.registry import load

# infinities and NaN are among the values
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

REGISTRY = load()
OPERATORS = REGISTRY.operators
TIGHT = Accumulation(Tree("pairwise", 26))
SMALL = 4000

MISSION = (  # noqa: SIM905 - a list of forty lines says no more
    "sum max dot logsumexp mean argmax expand where softmax log_softmax sigmoid log_sigmoid gumbel_softmax "
    "segment_softmax one_hot nll cross_entropy bce bce_with_logits l1 mse smooth_l1 poisson_nll kl_div js_div "
    "margin_ranking multilabel_margin soft_margin multi_margin triplet_margin hinge_embedding cosine_embedding ctc "
    "inverse_frequency_weights softmax_regression_step circular_correlation disentangled_attention "
    "component_score_before_sigmoid component_score_after_sigmoid mutual_information_bound"
).split()


def size_of(case: Case) -> int:
    return sum(math.prod(shape) for shape in case.shapes)


def small_cases(operator: Operator, dtype: str) -> list[Case]:
    return [
        case
        for case in operator.conformance
        if case.dtype == dtype and not case.raises and size_of(case) <= SMALL and case.layout == "contiguous"
    ]


def judged() -> list[Operator]:
    """The operators whose answers are numbers that an oracle knows."""
    return [one for one in OPERATORS.values() if one.accept is None]


def named(operator: Operator) -> str:
    return operator.name


@pytest.mark.parametrize("name", MISSION)
def test_every_operator_of_the_mission_has_numpy_and_torch(name: str) -> None:
    assert name in OPERATORS
    backends = {one.backend for one in REGISTRY.declarations if one.operator == name}
    assert {"numpy", "torch"} <= backends


def test_nothing_that_is_built_in_has_a_problem() -> None:
    assert REGISTRY.problems == ()


@pytest.mark.parametrize("operator", judged(), ids=named)
def test_an_oracle_agrees_with_itself_in_higher_precision(operator: Operator) -> None:
    """The oracle of a float32 case works in float64; the same numbers as float64 make it work in 80 bits. The
    difference is its own error, which must be under 1 % of the bound of a careful implementation."""
    for case in small_cases(operator, "float32"):
        inputs = draw_inputs(operator, case, generator(5, case.id, 0))
        true = truth(operator, case, inputs, TIGHT)
        if not is_float(true.answer_dtype):
            continue
        wide = tuple(x.astype(np.float64) if is_float(x.dtype.name) else x for x in inputs)
        with np.errstate(all="ignore"):
            high = np.asarray(operator.oracle(*wide, **true.parameters))
            apart = np.abs(high - true.expected)
        same = (high == true.expected) | (np.isnan(high) & np.isnan(true.expected))
        # where a right answer is exact, both must round to it
        exact = true.expected.astype(np.float32) == high.astype(np.float32)
        assert np.all(same | (apart <= true.bound / 100) | ((true.bound == 0) & exact)), case.id


OF_LOGITS = {"ctc"}
"""Operators whose gradient is PyTorch's: with respect to the logits of normalised log-probabilities."""


def log_softmax(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.longdouble)
    top = wide.max(axis=-1, keepdims=True)
    return np.asarray(wide - top - np.log(np.sum(np.exp(wide - top), axis=-1, keepdims=True))).astype(np.float64)


def directions(operator: Operator, case: Case) -> Any:
    """Inputs, and a random direction for each that has a gradient."""
    rng = generator(11, case.id, 0)
    inputs = draw_inputs(operator, case, rng)
    return inputs, {one.input: rng.standard_normal(inputs[one.input].shape) for one in operator.gradients}, rng


@pytest.mark.parametrize("operator", [one for one in judged() if one.gradients], ids=named)
def test_a_gradient_is_the_derivative_of_the_oracle(operator: Operator) -> None:
    """The closed form against a central difference of the oracle in 80 bits, in a random direction.

    A difference across a kink is not the derivative: the values are normal or uniform, where a kink is rare, and most
    of the cases must agree.
    """
    step, agree, seen = 2.0**-24, 0, 0
    for case in small_cases(operator, "float64"):
        if not has_gradient(operator, case) or size_of(case) == 0 or case.values in ("integers", "grid", "golden"):
            continue
        inputs, moves, rng = directions(operator, case)
        first = truth(operator, case, inputs, TIGHT)
        for gradient in operator.gradients:
            true = gradient_truth(operator, first, gradient, rng, TIGHT)
            cotangent = true.inputs[-1].astype(np.longdouble)
            x, move = inputs[gradient.input], moves[gradient.input]
            ahead, behind = x + step * move, x - step * move  # as the oracle sees them: rounded to float64
            if operator.name in OF_LOGITS:
                predicted = np.sum(true.expected * (ahead.astype(np.longdouble) - behind.astype(np.longdouble)))
                ahead, behind = log_softmax(ahead), log_softmax(behind)
            answers = []
            for changed in (ahead, behind):
                moved = tuple(changed if n == gradient.input else one for n, one in enumerate(inputs))
                try:
                    answers.append(np.asarray(operator.oracle(*moved, **first.parameters)))
                except ValueError:
                    break  # out of the domain, as a probability that leaves [0, 1]
            if len(answers) < 2 or not all(np.all(np.isfinite(one)) for one in answers):
                continue
            if not np.all(np.isfinite(true.expected)):
                continue
            difference = np.sum(cotangent * (answers[0] - answers[1]))
            if operator.name not in OF_LOGITS:
                predicted = np.sum(true.expected * (ahead.astype(np.longdouble) - behind.astype(np.longdouble)))
            scale = np.sum(np.abs(true.expected * (ahead - behind))) + 1e-18
            seen += 1
            agree += bool(abs(difference - predicted) <= 1e-6 * scale + 1e-16)
    assert seen and agree >= 0.7 * seen, (agree, seen)


@pytest.mark.parametrize("operator", judged(), ids=named)
def test_an_operator_has_mutants_of_its_own(operator: Operator) -> None:
    """Twelve of a general kind are shared; at least eight more tell what goes wrong with this operator."""
    names = [one.name for one in operator.mutants]
    assert len(set(names)) == len(names)
    automatic = [one for gradient in operator.gradients for one in wrong_gradients(gradient)]
    assert len(names) >= 18 and len(automatic) == 5 * len(operator.gradients)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_a_drawn_label_is_an_integer_and_its_operator_is_redrawn_while_timed(operator: Operator) -> None:
    for case in operator.benchmarks:
        inputs = draw_inputs(operator, case, generator(0, case.id, 0))
        assert operator.redraw or all(is_float(x.dtype.name) or x.dtype == bool for x in inputs), case.id


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_ids_are_plain_and_every_case_states_every_parameter(operator: Operator) -> None:
    names = {tuple(name for name, _ in case.parameters) for case in operator.conformance if not case.raises}
    assert len(names) == 1, names
    for case in operator.conformance:
        assert " " not in case.id and "'" not in case.id and "/" not in case.id


def test_logsumexp_minus_the_logit_keeps_the_laws_of_cross_entropy() -> None:
    """A right formula whose rounding changes when all logits move: a law that asked for equal bits would accuse it."""
    operator = REGISTRY.operators["cross_entropy"]
    (case,) = (
        one for one in operator.conformance if one.values == "grid" and one.dtype == "float32" and one.shapes[1] == (9,)
    )
    x, labels = draw_inputs(operator, case, generator(1, case.id, 0))
    (law,) = (one for one in operator.properties if one.name == "shift_invariance")
    probe = law.probe(case, (x, labels), np.random.default_rng(0))
    assert probe is not None and probe.inputs is not None
    arrays = (x, labels), probe.inputs

    def composed(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
        top = logits.max(axis=1)
        logsumexp = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        return np.where(labels < 0, np.float32(0), logsumexp - logits[np.arange(labels.size), labels])

    answers = [composed(*both) for both in arrays]
    trues = [truth(operator, case, both, None) for both in arrays]
    for answer, true in zip(answers, trues, strict=True):
        assert np.all(np.abs(answer.astype(np.float64) - true.expected) <= true.bound)
    left, right, allowed = probe.relate(*answers, *(true.bound for true in trues))
    assert np.all(np.abs(left.astype(np.float64) - right) <= allowed)
    assert not np.array_equal(*answers)

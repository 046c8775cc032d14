"""Running error analysis, against what it claims: every formula computed in float32 stays within its own bound."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from test_operators import OPERATORS, TIGHT, small_cases

from harness.declare import Accumulation, Case, Operator, Tree
from harness.judge import formula as formulation
from harness.judge import tracked
from harness.judge.arithmetic import Arithmetic, arithmetic_for
from harness.judge.compare import compare
from harness.judge.tracked import Rounding, Tracked
from harness.judge.truth import draw_inputs, generator, gradient_truth, has_gradient, truth
from harness.precision import format_of, is_float

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

SEQUENTIAL = Accumulation(Tree("sequential"))


def formulas() -> list[Operator]:
    return [one for one in OPERATORS.values() if hasattr(one.oracle, "__wrapped__") and one.accept is None]


def in_float32(function: Any, inputs: tuple[np.ndarray, ...], parameters: dict[str, Any]) -> np.ndarray:
    """The very formula, every step of it rounded to float32."""
    wrapped = [Tracked(x, 0.0, None) if is_float(x.dtype.name) else x for x in inputs]
    with np.errstate(all="ignore"):
        return np.asarray(function(*wrapped, **parameters).value, dtype=np.float32)


@pytest.mark.parametrize("operator", formulas(), ids=lambda one: one.name)
def test_a_formula_computed_in_float32_stays_within_its_bound(operator: Operator) -> None:
    seen = 0
    for case in small_cases(operator, "float32"):
        inputs = draw_inputs(operator, case, generator(2, case.id, 0))
        true = truth(operator, case, inputs, TIGHT)
        if not is_float(true.answer_dtype):
            continue
        answer = in_float32(operator.oracle.__wrapped__, inputs, true.parameters)  # type: ignore[attr-defined]
        assert not compare(answer, true.expected, true.bound, "float32").reason, case.id
        seen += 1
        if has_gradient(operator, case):
            rng = generator(2, case.id, 1)
            for gradient in operator.gradients:
                down = gradient_truth(operator, true, gradient, rng, TIGHT)
                found = in_float32(gradient.oracle.__wrapped__, down.inputs, down.parameters)  # type: ignore[attr-defined]
                assert not compare(found, down.expected, down.bound, "float32").reason, (case.id, gradient.input)
    assert seen


def arithmetic(dtype: str = "float32", claim: Accumulation = SEQUENTIAL) -> Arithmetic:
    return arithmetic_for(Case(dtype, ((8,),)), claim, 1, True)


def of(values: Any, dtype: str = "float32") -> Tracked:
    return Tracked(np.asarray(values, np.float64), 0.0, Rounding(arithmetic(dtype), format_of(dtype)))


UNIT = 2.0**-24
STEPS = {
    "add": (lambda a, b: a + b, lambda a, b: a + b),
    "subtract": (lambda a, b: a - b, lambda a, b: a - b),
    "multiply": (lambda a, b: a * b, lambda a, b: a * b),
    "divide": (lambda a, b: a / b, lambda a, b: a / b),
    "divide after a sum": (lambda a, b: (a + b) / (a + 1.0), lambda a, b: (a + b) / (a + 1)),
    "square of a difference": (lambda a, b: tracked.square(a - b), lambda a, b: (a - b) * (a - b)),
}


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_bounded_against_rational_arithmetic(name: str) -> None:
    formula, exactly = STEPS[name]
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(300).astype(np.float32) for _ in range(2))
    found = formula(of(a), of(b))
    rounded = formula(Tracked(a, 0.0, None), Tracked(b, 0.0, None)).value
    for one, other, value, error, low in zip(a, b, found.value, found.error, rounded, strict=True):
        right = exactly(Fraction(float(one)), Fraction(float(other)))
        assert abs(Fraction(float(value)) - right) <= Fraction(2) ** -50 * (abs(right) + 1)
        assert abs(Fraction(float(low)) - right) <= Fraction(float(error)) + Fraction(2) ** -50 * (abs(right) + 1)


def test_what_is_exact_has_no_error_and_what_is_not_has_some() -> None:
    assert np.all((of([1, 2, 3]) + of([4, 5, 6])).error == 0)
    assert np.all((of([1, 2, 3]) * 3.0 - 1.0).error == 0)
    assert (of([2.0**24]) + 1.0).error > 0  # 2**24 + 1 is no float32
    assert of([8.0]).sum().error == 0 and (of([1.0, 3.0]).sum() / 2.0).error == 0
    assert (of([1.0]) / 3.0).error > 0 and (of([1.0]) * 0.1).error > 0
    assert tracked.exp(of([0.0])).error == 0 and tracked.log(of([1.0])).error == 0
    assert tracked.exp(of([1.0])).error > 0


def test_a_long_double_that_fits_by_accident_is_not_taken_for_exact() -> None:
    """Of 4000 values of exp in 80 bits a few end in eleven zeros; an implementation rounds there all the same."""
    x = np.linspace(0.1, 3, 4000).astype(np.longdouble)
    double = Tracked(x, 0.0, Rounding(arithmetic("float64"), format_of("float64")))
    assert np.all(tracked.exp(double).error > 0) and np.all(tracked.log(double + 2.0).error > 0)
    assert np.all((double / 3.0).error > 0)


def test_a_step_that_overflows_guarantees_nothing_and_an_answer_beyond_the_format_rounds() -> None:
    mean = tracked.square(of([1e20, 0.0])).sum() / 2.0
    assert np.isinf(mean.error)
    beyond = formulation.allowed(of([1e30]) * 1e10, arithmetic())
    assert np.isinf(beyond[0])
    assert not compare(np.array([np.inf], np.float32), np.array([1e40]), beyond, "float32").reason
    assert compare(np.array([3e38], np.float32), np.array([1e40]), beyond, "float32").reason


def test_a_sum_is_rounded_once_more_where_it_is_stored_in_a_narrower_type() -> None:
    """exp(0) + exp(-5.93) is 1.00266: in bfloat16 it is 1, whose logarithm is 0 (PyTorch's log_softmax does this)."""
    stored = Accumulation(Tree("sequential"), intermediate="case")
    for claim, loses in ((stored, True), (SEQUENTIAL, False)):
        rounding = arithmetic("bfloat16", claim)
        form = format_of("bfloat16" if loses else "float32")
        total = Tracked(np.array([1.0, 0.00266]), 0.0, Rounding(rounding, form)).sum()
        assert (total.error >= 0.00266) == loses, claim


def test_kinks_allow_either_side_only_where_the_sign_is_hidden() -> None:
    clear, hidden = of([0.5, -0.5]), of([0.1]) * 3.0 - 0.3
    assert np.all(tracked.positive(clear).error == 0) and np.all(tracked.sign(clear).error == 0)
    assert tracked.positive(hidden).error[0] == 1 and tracked.sign(hidden).error[0] == 2
    assert tracked.positive(of([0.0])).value[0] == 0 and tracked.positive(of([0.0])).error[0] == 0


def test_an_undecided_divisor_bounds_nothing() -> None:
    hidden = of([0.1]) * 3.0 - 0.3
    assert np.isinf((of([1.0]) / hidden).error[0]) and np.isinf(tracked.log(hidden + 0.0).error[0])


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_reductions_and_their_gradients_agree(reduction: str) -> None:
    losses = of(np.arange(6.0).reshape(2, 3))
    answer = formulation.reduced(losses, reduction)
    down = formulation.spread(of(np.ones(answer.shape)), losses, reduction)
    assert answer.value.sum() == pytest.approx({"none": 15, "sum": 15, "mean": 2.5}[reduction])
    assert np.all(down.value == (1 / 6 if reduction == "mean" else 1))
    with pytest.raises(ValueError, match="none of none, mean, sum"):
        formulation.reduced(losses, "average")

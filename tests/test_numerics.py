"""What bounds and oracles are made of, certified against slower and higher-precision ways to the same numbers."""

from __future__ import annotations

import contextlib
import itertools
import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest

from harness.declare import Accumulation, Case, Operator, Tree
from harness.draw import FAMILIES, draw
from harness.judge import trees
from harness.judge.admission import admit
from harness.judge.arithmetic import arithmetic_for
from harness.judge.compare import Comparison
from harness.judge.exact import exact_sums
from harness.judge.truth import Truth, draw_inputs, generator, truth
from harness.judge.verdict import Judged, broken_law
from harness.precision import FLOATS, exact_dot, exact_sum, format_of, is_float, numpy_dtype, round_to, ulp, widen
from harness.registry import load

ERRORS = (IndexError, ValueError, TypeError)
OPERATORS = load().operators
TIGHTEST = Accumulation(Tree("pairwise", 26))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_facts_of_a_format_are_those_of_the_library(dtype: str) -> None:
    info = ml_dtypes.finfo(numpy_dtype(dtype))
    form = format_of(dtype)
    assert form.unit == float(info.eps) / 2
    assert form.largest == float(info.max)
    assert form.digits == info.nmant + 1
    assert 2.0**form.lowest_exponent == float(info.smallest_subnormal)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ulp_is_the_spacing(dtype: str) -> None:
    x = np.array([1.0, 1.5, 2.0, 1e10, 3e-30, 0.1], dtype)
    assert np.array_equal(ulp(x.astype(np.float64), dtype), np.spacing(x).astype(np.float64))


@pytest.mark.parametrize("kind", ["normal", "cancelling", "mixed"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 1000, 20_000])
def test_exact_sum_agrees_with_rational_arithmetic(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    x = rng.standard_normal(n)
    if kind == "cancelling":
        x[: n // 2] = -x[n - n // 2 :]
    if kind == "mixed":
        x *= 2.0 ** rng.integers(-40, 40, n)
    x = x.astype(np.longdouble)  # as widened from float64: no shortcut is taken
    true = sum((Fraction(float(value)) for value in x), Fraction(0))
    found = exact_sum(x)
    error = abs(Fraction(float(found)) + Fraction(float(found - np.longdouble(float(found)))) - true)
    assert error <= Fraction(2) ** -63 * abs(true) + Fraction(2) ** -98 * Fraction(float(np.abs(x).sum()))


def test_exact_sum_of_what_is_not_finite_is_ieees() -> None:
    rows = np.array([[np.inf, 1.0], [np.inf, -np.inf], [np.nan, 1.0], [1.0, 2.0]])
    assert np.array_equal(exact_sum(rows).astype(float), [np.inf, np.nan, np.nan, 3.0], equal_nan=True)


def test_exact_dot_sees_the_errors_of_float64_products() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal(501), rng.standard_normal(501)
    true = sum((Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, b, strict=True)), Fraction(0))
    assert abs(Fraction(float(exact_dot(a, b))) - true) <= Fraction(2) ** -53 * abs(true)


# ---- trees, against a simulation that keeps track of who was added to whom


class Term:
    """A number that remembers how many additions its oldest part has been through, and logs every partial sum."""

    def __init__(self, value: float, height: int, log: list[float]) -> None:
        self.value, self.height, self.log = value, height, log

    def __add__(self, other: Term) -> Term:
        total = Term(self.value + other.value, max(self.height, other.height) + 1, self.log)
        self.log.append(total.value)
        return total


def fold(group: list[Any], order: str) -> Any:
    """Reduce a power of two of terms by neighbours or by halves."""
    while len(group) > 1:
        half = len(group) // 2
        left, right = (group[0::2], group[1::2]) if order == "interleaved" else (group[:half], group[half:])
        group = [a + b for a, b in zip(left, right, strict=True)]
    return group[0]


def simulate(tree: Tree, x: list[Any], neutral: Any) -> Any:
    if tree.family == "sequential":
        return list(itertools.accumulate(x))[-1]
    x = [*x, *[neutral] * (-len(x) % tree.width)]
    partials = []
    for start in range(0, len(x), tree.width):
        block = x[start : start + tree.width]
        if tree.order == "warp":
            block = [fold(block[i : i + 32], "halving") for i in range(0, len(block), 32)]
        partials.append(fold(block, tree.order))
    if len(partials) == 1 or tree.finish == "host":
        return list(itertools.accumulate(partials))[-1]
    return simulate(tree, partials, neutral)


KNOWN = [
    Tree("sequential"),
    *(Tree("blocks", 64, o, f) for o in ("interleaved", "halving", "warp") for f in ("host", "grid")),
]


@pytest.mark.parametrize("tree", KNOWN, ids=str)
@pytest.mark.parametrize("n", [2, 3, 63, 64, 65, 700, 5000])
def test_height_and_partial_sums_are_those_of_a_simulation(tree: Tree, n: int) -> None:
    x = np.random.default_rng(n).standard_normal(n)
    log: list[float] = []
    total = simulate(tree, [Term(float(value), 0, log) for value in x], Term(0.0, 0, log))
    assert trees.height(tree, n) >= total.height
    assert trees.height(tree, n) == total.height or n <= tree.width
    squares = trees.square_sum(tree, x[None])
    assert squares is not None and squares[0] == pytest.approx(sum(value**2 for value in log), rel=1e-9)


@pytest.mark.parametrize("n", [8, 100, 128, 129, 1000, 1025, 4096])
def test_numpys_own_sum_is_no_higher_than_declared(n: int) -> None:
    """Masking (FPRev): with M and -M at i and j, the sum of ones counts those that are added after the two have met;
    each addition on the way up from i gives another count, so the counts number i's additions."""
    deepest = 0
    for i in range(0, n, max(1, n // 40)):
        counts = set()
        for j in range(0, n, max(1, n // 200)):
            if i != j:
                x = np.ones(n, np.float32)
                x[i], x[j] = 2.0**60, -(2.0**60)
                counts.add(int(np.sum(x)))
        deepest = max(deepest, len(counts))
    assert 1 <= deepest <= trees.height(Tree("pairwise", 26), n)


# ---- bounds hold, and can fail


def in_float32(tree: Tree, x: np.ndarray) -> float:
    return float(simulate(tree, list(x), np.float32(0)))


@pytest.mark.parametrize("values", ["normal", "uniform", "lognormal", "cancelling", "stagnation", "one_huge"])
@pytest.mark.parametrize("tree", KNOWN, ids=str)
def test_the_error_of_a_sum_in_its_declared_order_is_within_the_bound(tree: Tree, values: str) -> None:
    worst = 0.0
    for seed in range(30):
        x = draw(values, (600,), "float32", np.random.default_rng(seed))
        case = Case("float32", ((600,),), (("dim", 0),), values)
        bound = arithmetic_for(case, Accumulation(tree), 1, True).sum_error(x.astype(np.float64))
        true = math.fsum(x.astype(np.float64))
        worst = max(worst, abs(in_float32(tree, x) - true) / float(bound))
    assert worst <= 1.0
    assert worst >= 1.0 / 300 or values == "stagnation", "a bound is evidence only if it can fail"


def test_too_good_a_claim_fails() -> None:
    x = draw("stagnation", (600,), "float32", np.random.default_rng(0))
    case = Case("float32", ((600,),), (("dim", 0),), "stagnation")
    bound = arithmetic_for(case, Accumulation(Tree("pairwise", 26)), 1, True).sum_error(x.astype(np.float64))
    assert abs(in_float32(Tree("sequential"), x) - math.fsum(x.astype(np.float64))) > float(bound)


def test_no_claim_buys_an_accumulator_narrower_than_the_case() -> None:
    case = Case("float32", ((8,),), (("dim", 0),))
    assert arithmetic_for(case, Accumulation(dtype="float16", intermediate="bfloat16"), 1, True).unit == 2.0**-24
    half = Case("float16", ((8,),), (("dim", 0),))
    assert arithmetic_for(half, Accumulation(), 1, True).unit == 2.0**-24
    assert arithmetic_for(half, Accumulation(dtype="case"), 1, True).unit == 2.0**-11
    assert arithmetic_for(half, None, 1, True).unit == 2.0**-11, (
        "what is not declared is judged in the case's own dtype"
    )


def test_a_claim_that_guarantees_no_digit_permits_nothing() -> None:
    case = Case("float16", ((2000,),), (("dim", 0),))
    assert arithmetic_for(case, Accumulation(dtype="case"), 1, True).growth(2000) == math.inf


@pytest.mark.parametrize("n", [1, 2, 31, 33, 257, 1025, 4097, 65537])
def test_integers_are_exact_in_any_order_and_too_large_for_narrow_accumulators(n: int) -> None:
    x = draw("integers", (n,), "float32", np.random.default_rng(n), terms=n).astype(np.float64)
    assert np.abs(x).sum() < 2**24
    assert exact_sums(x[None], 2.0**-24).all()
    if n >= 31:
        assert not exact_sums(x[None], 2.0**-11).any()


def test_exactness_is_recognised_from_the_data() -> None:
    assert exact_sums(np.array([[0.25, 0.5, 1e6]]), 2.0**-24).all()
    assert not exact_sums(np.array([[0.1, 0.2, 0.3]]), 2.0**-24).any()
    assert not exact_sums(np.array([[np.inf, 1.0], [np.nan, 1.0]]), 2.0**-24).any()


@pytest.mark.parametrize("values", FAMILIES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (9, 300)])
def test_every_family_draws_every_shape_and_dtype_without_a_warning(
    values: str, dtype: str, shape: tuple[int, ...]
) -> None:
    x = draw(values, shape, dtype, np.random.default_rng(1))
    assert x.shape == shape and x.dtype == numpy_dtype(dtype)
    finite = np.isfinite(x.astype(np.float64)).all()
    assert finite or values in ("masked", "masked_out", "infinities", "nan")


# ---- operators


def in_high_precision(operator: str, inputs: tuple[np.ndarray, ...], dim: int) -> Any:
    """The last-axis answer by mpmath with 60 digits, for rows of finite numbers."""
    mpmath.mp.dps = 60

    def row_answer(row: np.ndarray) -> Any:
        x = [mpmath.mpf(float(value)) for value in row]
        if operator == "sum":
            return mpmath.fsum(x)
        if operator == "max":
            return max(x)
        top = max(x)
        total = mpmath.fsum(mpmath.exp(value - top) for value in x)
        if operator == "logsumexp":
            return top + mpmath.log(total)
        if operator == "softmax":
            return [mpmath.exp(value - top) / total for value in x]
        return [value - top - mpmath.log(total) for value in x]

    return [row_answer(row) for row in inputs[0].astype(np.float64)]


@pytest.mark.parametrize("values", ["normal", "wide", "overflow", "one_huge", "uniform"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("operator", ["sum", "max", "logsumexp", "softmax", "log_softmax"])
def test_an_oracles_own_error_is_under_one_percent_of_the_bound(operator: str, dtype: str, values: str) -> None:
    case = Case(dtype, ((3, 40),), (("dim", 1),), values)
    inputs = draw_inputs(OPERATORS[operator], case, generator(3, case.id, 0))
    true = truth(OPERATORS[operator], case, inputs, TIGHTEST)
    exact = np.array(in_high_precision(operator, inputs, 1), dtype=object).reshape(true.expected.shape)
    for found, right, bound in zip(true.expected.flat, exact.flat, true.bound.flat, strict=True):
        high = mpmath.mpf(float(found)) + mpmath.mpf(float(found - np.longdouble(float(found))))
        error = abs(high - right)
        if bound == 0:
            rounded = round_to(np.array([found]), dtype)[0]
            assert (
                abs(mpmath.mpf(float(rounded)) - right)
                <= mpmath.mpf(float(ulp(np.array([float(right)]), dtype)[0])) / 2
            )
        else:
            assert error <= mpmath.mpf(float(bound)) / 100


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_the_cases_of_an_operator_expose_every_mutant_whatever_the_seed(operator: Operator) -> None:
    for seed in range(2):
        admission = admit(operator, seed)
        assert not admission.survivors and admission.mutants >= 12 and not admission.refusal


def test_weak_cases_are_not_admitted() -> None:
    import dataclasses

    weak = dataclasses.replace(OPERATORS["softmax"], conformance=(Case("float32", ((4, 4),), (("dim", 1),), "equal"),))
    admission = admit(weak, 0)
    assert "no_max_subtraction" in admission.survivors and "not admitted" in admission.refusal
    assert "no mutants" in admit(dataclasses.replace(weak, mutants=(), gradients=()), 0).refusal


def stored(true: Truth) -> np.ndarray:
    """The truth in the dtype of the answer."""
    if is_float(true.answer_dtype):
        return round_to(true.expected, true.answer_dtype)
    return true.expected.astype(true.answer_dtype)


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_the_rounded_oracle_keeps_every_law_on_every_small_case(operator: Operator) -> None:
    for case in operator.conformance:
        if case.raises or sum(math.prod(shape) for shape in case.shapes) > 5000:
            continue
        rng = generator(1, case.id, 0)
        inputs = draw_inputs(operator, case, rng)
        first = truth(operator, case, inputs, TIGHTEST)
        if operator.accept is not None:
            continue  # a random answer has no law that holds between two draws
        answer = stored(first)
        assert not first.compare(answer).reason
        for law in operator.properties:
            probe = law.probe(case, inputs, rng)
            if probe is None:
                continue
            second, other = None, None
            if probe.inputs is not None:
                from harness.judge.truth import derived

                second = truth(operator, derived(case, probe.inputs, probe.parameters), probe.inputs, TIGHTEST)
                other = Judged(Comparison(), stored(second))
            own = Judged(Comparison(), answer)
            assert not broken_law(law.name, probe, own, other, first, second), case.id


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_bad_input_makes_the_oracle_raise_too_or_is_stated(operator: Operator) -> None:
    for case in operator.conformance:
        if case.raises:
            inputs = draw_inputs(operator, case, generator(0, case.id, 0))
            # a formula cannot raise for a value out of its domain; then the docstring of the operator names it
            values_are_bad = operator.redraw and case.values not in ("normal", "uniform")
            expectation = contextlib.suppress(*ERRORS) if values_are_bad else pytest.raises(ERRORS)
            with expectation:
                operator.oracle(*inputs, **dict(case.parameters))
            assert len(case.raises) > 5


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_an_operator_says_whose_edge_semantics_it_follows_and_what_it_costs(operator: Operator) -> None:
    assert operator.specification
    for case in operator.benchmarks:
        inputs = draw_inputs(operator, case, generator(0, case.id, 0))
        cost = operator.cost(case)
        # where labels choose, not every element is read
        assert cost.bytes > (0 if operator.redraw else sum(array.nbytes for array in inputs))
        assert cost.flops > 0 or not is_float(case.dtype)


def test_widening_keeps_values_and_integers() -> None:
    assert widen(np.array([1, 2])).dtype == np.int64
    assert widen(np.array([1.5], np.float64)).dtype == np.longdouble
    assert widen(np.array([1.5], np.float32)).dtype == np.float64

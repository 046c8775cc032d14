"""The law of the comparison: wrong unless shown right, whatever the scale, the order, or the tricks."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.judge.compare import compare

RNG = np.random.default_rng(0)
TRUTH = RNG.standard_normal((6, 7))
BOUND = np.full(TRUTH.shape, 1e-6)
ACTUAL = TRUTH.astype(np.float32)


def reason(actual: object, expected: np.ndarray = TRUTH, bound: np.ndarray = BOUND, dtype: str = "float32") -> str:
    return compare(np.asarray(actual), expected, bound, dtype).reason


def changed(value: float, at: tuple[int, int] = (2, 3)) -> np.ndarray:
    actual = ACTUAL.copy()
    actual[at] = value
    return actual


def test_the_rounded_truth_is_right_and_its_error_over_bound_is_zero() -> None:
    found = compare(ACTUAL, TRUTH, np.zeros_like(TRUTH), "float32")
    assert found.reason == "" and found.error_over_bound == 0.0


def test_an_element_outside_its_bound_is_wrong_and_named() -> None:
    text = reason(changed(float(TRUTH[2, 3]) + 3e-6))
    assert "1 of 42 elements are wrong" in text and "[2, 3]" in text and "times the bound 1e-06" in text


def test_the_bound_itself_is_allowed_and_its_neighbour_is_not() -> None:
    expected, bound = np.array([1.0]), np.array([2.0**-20])
    right, wrong = np.float32(1 + 2.0**-20), np.nextafter(np.float32(1 + 2.0**-20), np.float32(2))
    assert reason([right], expected, bound) == ""
    assert reason(np.array([wrong]), expected, bound) != ""


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_wrong_where_the_truth_is_finite(value: float) -> None:
    assert reason(changed(value)) != ""


@pytest.mark.parametrize("true", [np.nan, np.inf, -np.inf])
def test_where_the_truth_is_not_finite_only_the_same_is_right(true: float) -> None:
    expected = np.array([1.0, true])
    for value in (np.nan, np.inf, -np.inf, 0.0, 3e38):
        same = value == true or (np.isnan(value) and np.isnan(true))
        assert (reason(np.array([1.0, value], np.float32), expected, np.ones(2)) == "") == same


@pytest.mark.parametrize("bound", [np.nan, np.inf, -1.0])
def test_a_bound_that_says_nothing_accepts_nothing_but_the_truth(bound: float) -> None:
    bounds = np.full(TRUTH.shape, bound)
    assert reason(ACTUAL, bound=bounds) == ""
    assert reason(np.zeros_like(ACTUAL), bound=bounds) != ""
    assert reason(np.full_like(ACTUAL, np.nan), bound=bounds) != ""


@pytest.mark.parametrize("shape", [(), (1,), (7,), (1, 7), (6, 1), (42,), (7, 6), (1, 6, 7), (6, 7, 1)])
def test_shapes_are_not_broadcast(shape: tuple[int, ...]) -> None:
    assert "shape" in reason(np.zeros(shape, np.float32), np.zeros_like(TRUTH))


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", "complex64", "bool", "object"])
def test_another_dtype_is_wrong_even_with_right_values(dtype: str) -> None:
    assert "dtype" in reason(np.ones((6, 7), dtype), np.ones_like(TRUTH))


def test_an_empty_answer_is_right_only_in_the_right_shape() -> None:
    empty = np.empty((0, 3))
    assert reason(empty.astype(np.float32), empty, empty) == ""
    assert reason(np.empty((3, 0), np.float32), empty, empty) != ""
    assert reason(np.empty((0, 3), np.float32), TRUTH) != ""


@pytest.mark.parametrize("exponent", [-60, -20, 0, 20, 60])
@pytest.mark.parametrize("error", [0.5, 2.0])
def test_a_verdict_does_not_depend_on_scale(exponent: int, error: float) -> None:
    scale = 2.0**exponent
    actual = (TRUTH + error * BOUND).astype(np.float32).astype(np.float64)
    assert (reason((actual * scale).astype(np.float32), TRUTH * scale, BOUND * scale) == "") == (error < 1)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    arrays(np.float32, 12, elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    arrays(np.float32, 12, elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    st.permutations(range(12)),
)
def test_a_verdict_does_not_depend_on_order(actual: np.ndarray, truth: np.ndarray, order: list[int]) -> None:
    expected, bound = truth.astype(np.float64), np.linspace(0, 1, 12)
    one, other = (
        compare(actual, expected, bound, "float32"),
        compare(actual[order], expected[order], bound[order], "float32"),
    )
    assert (one.reason == "") == (other.reason == "")
    assert one.error_over_bound == other.error_over_bound or (one.error_over_bound != one.error_over_bound)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(arrays(np.float64, 8, elements=st.floats(-1e38, 1e38)), st.sampled_from(["float32", "float16", "bfloat16"]))
def test_the_correctly_rounded_truth_is_right_without_any_bound(truth: np.ndarray, dtype: str) -> None:
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    with np.errstate(over="ignore"):
        assert reason(truth.astype(kind), truth, np.zeros(8), dtype) == ""


def test_overflow_rounds_to_infinity_and_not_to_the_largest_number() -> None:
    expected = np.array([7e4])
    assert reason(np.array([np.inf], np.float16), expected, np.zeros(1), "float16") == ""
    assert reason(np.array([65504], np.float16), expected, np.zeros(1), "float16") != ""


def test_a_bound_of_another_shape_is_the_operators_mistake() -> None:
    with pytest.raises(ValueError, match="the operator is wrong"):
        compare(ACTUAL, TRUTH, np.zeros(7), "float32")


def test_integers_must_be_equal() -> None:
    expected = np.array([1, 2, 3])
    assert reason(np.array([1, 2, 3]), expected, np.zeros(3), "int64") == ""
    assert "element (1,)" in reason(np.array([1, 5, 3]), expected, np.zeros(3), "int64")

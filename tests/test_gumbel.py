"""gumbel_softmax's judge: its false alarms are as rare as derived, and wrong distributions are exposed every time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from conftest import needs_torch
from harness.cases import gumbel_statistics as statistics
from harness.cases.gumbel_softmax import MUTANTS, accept, gumbel_softmax

from harness.declare import Case
from harness.judge.truth import draw_inputs, generator, truth
from harness.precision import FLOATS, format_of, round_to, widen

ALARM = 0.05
"""For tests of the bounds themselves; verdicts use 1e-9, which no simulation could see."""
REPEATS = 400
MOST = 41
"""Of 400 events of probability 0.05 each, more than 41 have a probability below 1e-5."""


def case_of(shape: tuple[int, ...], dtype: str = "float32", **changed: Any) -> Case:
    parameters = {"tau": 1.0, "hard": False, "dim": -1, **changed}
    return Case(dtype, (shape,), tuple(parameters.items()))


def right_draw(
    logits: np.ndarray, *, tau: float, hard: bool, dim: int, rng: np.random.Generator | None = None
) -> np.ndarray:
    """A right implementation in float64, stored once."""
    noise = (rng or np.random.default_rng()).gumbel(size=logits.shape)
    with np.errstate(all="ignore"):
        z = np.asarray((widen(logits).astype(np.float64) + noise) / np.float64(tau))
    if z.ndim == 0:
        return np.ones((), logits.dtype)
    with np.errstate(all="ignore"):
        w = np.exp(z - z.max(axis=dim, keepdims=True, initial=-np.inf))
        y = w / w.sum(axis=dim, keepdims=True)
    if hard and y.size:
        y = np.where(np.isnan(y), y, np.arange(y.shape[dim]).reshape(-1, *[1] * (-1 - dim % y.ndim + y.ndim))
                     == np.argmax(y, axis=dim, keepdims=True))  # fmt: skip
    return round_to(y, logits.dtype.name)


def logistic_intervals(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> tuple[np.ndarray, np.ndarray]:
    """Right D, and ends around them, of which one or the other is near."""
    exact = rng.gumbel(size=shape) - rng.gumbel(size=shape)
    where = rng.random(shape)
    return exact - width * where, exact + width * (1 - where)


# ---- false alarms


@pytest.mark.parametrize("width", [0.0, 0.05])
@pytest.mark.parametrize("name", ["beyond_dkw", "tails", "dependent_columns", "dependent_rows"])
def test_a_test_fails_for_right_noise_at_most_as_often_as_it_says(name: str, width: float) -> None:
    rng = np.random.default_rng(7)
    failures = 0
    for _ in range(REPEATS):
        low, high = logistic_intervals(rng, (60, 6), width)
        failures += bool(getattr(statistics, name)(low, high, ALARM))
    assert failures <= MOST


def test_frequencies_and_winners_fail_at_most_as_often_as_they_say() -> None:
    rng = np.random.default_rng(8)
    failures = {"wrong_frequencies": 0, "dependent_winners": 0}
    for _ in range(REPEATS):
        logits = 2.0 * rng.standard_normal((200, 5))
        p = statistics.probabilities(logits, 1.0)
        assert p is not None
        y = right_draw(logits, tau=1.0, hard=True, dim=-1, rng=rng) == 1
        for name in failures:
            failures[name] += bool(getattr(statistics, name)(y, y, p, ALARM))
    assert max(failures.values()) <= MOST


@pytest.mark.parametrize("n, p", [(10, 0.5), (60, 0.1), (200, 0.03), (500, 0.5)])
def test_the_chernoff_bound_is_above_the_binomial_tail(n: int, p: float) -> None:
    weights = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    for k in range(n + 1):
        tail = math.fsum(weights[k:]) if k >= n * p else math.fsum(weights[: k + 1])
        assert tail <= math.exp(-n * statistics.divergence(k / n, p)) * (1 + 1e-9)


def test_the_density_that_repeated_rows_are_excluded_by() -> None:
    """The density of the difference of two logistic numbers is 1/6 at 0: the integral of the squared density."""
    x = np.linspace(-40, 40, 400_001)
    density = statistics.logistic(x) * statistics.logistic(-x)
    assert float(np.sum(density**2) * (x[1] - x[0])) == pytest.approx(1 / 6, rel=1e-6)


def test_the_shares_of_a_verdict_add_up() -> None:
    """Six kinds of tests; those of rows are two, at half a share each; a task has four answers judged."""
    assert 6 * statistics.SHARE <= statistics.FALSE_ALARM
    assert 4 * statistics.FALSE_ALARM <= 1e-8


@pytest.mark.parametrize(
    "case", [one for one in gumbel_softmax.conformance if not one.raises], ids=lambda case: case.id
)
def test_right_draws_are_accepted(case: Case) -> None:
    for number in range(2):
        inputs = draw_inputs(gumbel_softmax, case, generator(9, case.id, number))
        answer = right_draw(*inputs, **dict(case.parameters))
        assert truth(gumbel_softmax, case, inputs, None).compare(answer).reason == ""


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("tau", [0.3, 1.0, -2.0])
def test_right_draws_are_accepted_a_thousand_times(dtype: str, tau: float) -> None:
    rng = np.random.default_rng(10)
    case = case_of((300, 8), dtype, tau=tau)
    for _ in range(150):
        logits = round_to(3.0 * rng.standard_normal((300, 8)), dtype)
        assert accept(case, (logits,), right_draw(logits, rng=rng, **dict(case.parameters))) == ""


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_intervals_enclose_the_noise_that_was_drawn(dtype: str) -> None:
    """Where y underflows too."""
    rng = np.random.default_rng(11)
    logits = round_to(4.0 * rng.standard_normal((500, 10)), dtype)
    work = np.float64 if dtype == "float64" else np.float32
    g = rng.gumbel(size=logits.shape)
    z = (logits.astype(work) + g.astype(work)) / work(0.2)
    w = np.exp(z - z.max(axis=1, keepdims=True))
    y = (w / w.sum(axis=1, keepdims=True)).astype(logits.dtype)
    draw = statistics.enclosed(widen(logits).astype(float), y.astype(float), 0.2, format_of(dtype))
    low, high = statistics.differences(draw)
    order = np.random.default_rng(0).permutation(10)
    exact = g[:, order[:5]] - g[:, order[5:]]
    assert np.all((low <= exact) & (exact <= high))
    finite = np.isfinite(high - low)
    assert dtype == "float16" or np.median((high - low)[finite]) < 0.02


# ---- power


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_draw_is_exposed_every_time(mutant: Any) -> None:
    """By some conformance case, for each of several draws."""
    cases = [case for case in gumbel_softmax.conformance if not case.raises and case.layout == "contiguous"]
    cases.sort(key=lambda case: int(np.prod(case.shapes[0])))
    for number in range(3):
        assert any(_exposed(mutant, case, number) for case in cases)


def _exposed(mutant: Any, case: Case, number: int) -> bool:
    inputs = draw_inputs(gumbel_softmax, case, generator(12, case.id, number))
    with np.errstate(all="ignore"):
        answer = np.asarray(mutant.function(*(x.copy() for x in inputs), **dict(case.parameters)))
    return bool(truth(gumbel_softmax, case, inputs, None).compare(answer).reason)


STATISTICAL = [
    "gaussian_noise", "uniform_noise", "exponential_noise", "sign_slip", "logistic_noise", "noise_scaled_by_0.9",
    "noise_scaled_by_1.1", "noise_clipped_at_1_percent", "large_noise_clipped_at_1_percent", "uniform_of_8_bits",
    "same_noise_for_every_row", "one_noise_for_a_row", "half_of_the_rows_repeat_the_other",
    "noise_shared_by_neighbours", "no_noise", "logits_ignored",
]  # fmt: skip


@pytest.mark.parametrize("name", STATISTICAL)
def test_wrong_noise_is_exposed_by_one_soft_draw_of_many_rows(name: str) -> None:
    (mutant,) = (one for one in MUTANTS if one.name == name)
    case = case_of((20000, 20), dim=1)
    for number in range(5):
        assert _exposed(mutant, case, number)


def test_a_hard_draw_is_judged_by_its_frequencies_too() -> None:
    case = case_of((20000, 20), hard=True, dim=1)
    for name in (
        "no_noise",
        "uniform_noise",
        "sign_slip",
        "same_noise_for_every_row",
        "half_of_the_rows_repeat_the_other",
    ):
        (mutant,) = (one for one in MUTANTS if one.name == name)
        assert _exposed(mutant, case, 0), name


def test_a_hard_draw_is_one_hot() -> None:
    case = case_of((2, 3), hard=True)
    logits = np.zeros((2, 3), np.float32)
    assert accept(case, (logits,), np.array([[1, 0, 0], [0, 0, 1]], np.float32)) == ""
    for wrong in ([1, 1, 0], [0, 0, 0], [0.5, 0.5, 0], [1 - 2**-24, 0, 0], [2, -1, 0]):
        assert accept(case, (logits,), np.array([wrong, [0, 0, 1]], np.float32))


def test_edges_follow_pytorch() -> None:
    x = np.array([[0, -np.inf, 1], [-np.inf] * 3, [np.inf, 0, 1], [np.nan, 0, 1]], np.float32)
    y = np.array([[0.25, 0, 0.75], [np.nan] * 3, [np.nan] * 3, [np.nan] * 3], np.float32)
    assert accept(case_of((4, 3)), (x,), y) == ""
    assert "-inf is not 0" in accept(case_of((4, 3)), (x,), np.where(np.isnan(y), y, np.float32([0.25, 0.25, 0.5])))
    assert "NaN" in accept(case_of((4, 3)), (x,), np.nan_to_num(y))
    assert accept(case_of((4, 3), tau=0.0), (x,), np.full_like(y, np.nan)) == ""
    assert accept(case_of((4, 3), tau=0.0), (x,), y)


# ---- what one answer cannot show


def _builtin(backend: str, name: str) -> Any:
    import importlib

    return getattr(importlib.import_module(f"harness.implementations.{backend}.gumbel"), name)


@pytest.mark.parametrize("name", ["builtin", "composed"])
def test_two_draws_of_numpy_differ(name: str) -> None:
    logits = np.zeros((50, 10), np.float32)
    first, second = (_builtin("numpy", name)(logits) for _ in range(2))
    assert np.mean(first == second) < 0.01


@needs_torch
@pytest.mark.parametrize("name", ["builtin", "composed"])
def test_two_draws_of_torch_differ_and_a_seed_replays_them(name: str) -> None:
    import torch

    function, logits = _builtin("torch", name), torch.zeros((50, 10))
    first, second = function(logits), function(logits)
    assert float((first == second).float().mean()) < 0.01
    torch.manual_seed(1)
    first = function(logits)
    torch.manual_seed(1)
    assert torch.equal(first, function(logits))

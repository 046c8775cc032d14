"""Everything that is built in is right, on inputs that nobody has seen before."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from conftest import HAS_TORCH, needs_torch

import harness
from harness.api import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every conformance case of every implementation, with a fresh seed."""
    return harness.check(store=str(tmp_path_factory.mktemp("store") / "results.sqlite"))


def test_nothing_that_is_built_in_is_wrong(run: Run) -> None:
    wrong = [f"{record.id} (seed {record.seed}): {record.reason}" for record in run.checked if record.reason]
    expected = ("torch has no negative strides", "PyTorch is not installed")
    assert not [text for text in wrong if not any(reason in text for reason in expected)]


def test_every_operator_runs_on_every_float_and_every_strategy(run: Run) -> None:
    passed = Counter((one.operator, one.backend, one.dtype) for one in run.checked if one.status == "passed")
    for operator in ("sum", "max", "dot", "logsumexp", "softmax", "log_softmax"):
        for dtype in ("float64", "float32", "float16", "bfloat16"):
            for backend in ("numpy", "torch") if HAS_TORCH else ("numpy",):
                assert passed[operator, backend, dtype] >= 10, (operator, backend, dtype)


@needs_torch
def test_torch_is_refused_nothing_but_negative_strides(run: Run) -> None:
    refused = Counter(one.reason for one in run.checked if one.backend == "torch" and one.status != "passed")
    assert set(refused) == {"torch has no negative strides"}


def test_errors_stay_below_their_bounds_and_bounds_are_not_idle(run: Run) -> None:
    """A bound that no error ever comes near is no evidence: each inexact operator comes within a factor of 20."""
    for operator in ("sum", "dot", "logsumexp", "softmax", "log_softmax"):
        errors = [one.error_over_bound for one in run.checked if one.operator == operator and one.error_over_bound]
        assert 0.05 < max(errors) <= 1.0


def test_attributes_are_reported_where_they_apply(run: Run) -> None:
    builtin = [
        one for one in run.checked if one.backend == "numpy" and one.status == "passed" and "raises" not in one.case
    ]
    assert all(one.run_to_run_bitwise for one in builtin)
    assert {one.batch_invariant for one in builtin} >= {True, None}
    assert {one.tree_height for one in builtin if one.operator == "max"} == {None}


def test_a_frame_of_the_run_is_the_contract(run: Run) -> None:
    frame = run.frame()
    assert len(frame) == len(run.checked) and frame["median_ns"].isna().all()
    assert run.samples().empty


def test_bench_from_python_gives_times_and_samples(tmp_path: Path) -> None:
    from harness.execute import Options
    from harness.timing.groups import Settings

    options = Options(budget_s=1.0, settings=Settings(processes=2))
    done = harness.bench("dot/numpy/builtin/float32[4096,4096]*", store=str(tmp_path / "r.sqlite"), options=options)
    (record,) = done.timed
    assert record.status == "passed", record.reason
    assert record.median_ns and record.ci_low_ns and record.ci_high_ns and record.gb_per_s
    samples = done.samples()
    assert set(samples["process"]) == {0, 1} and samples["checked"].any()
    assert (samples["wall_ns_per_call"] > 0).all()
    assert done.frame().set_index("case").loc["float32[4096,4096]values=integers", "median_ns"] == record.median_ns

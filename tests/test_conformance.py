"""Everything that is built in is right.

The seed is fixed, so that a change fails by its own fault and not by a draw of one in a hundred thousand; `make seeds`
draws fresh ones, and `HARNESS_TEST_SEED=N` any other.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from conftest import HAS_TORCH, needs_torch

import harness
from harness.api import Run
from harness.cuda import building, nvrtc
from harness.registry import load

needs_compiler = pytest.mark.skipif(building.compiler() is None, reason=building.HINT)

SEED = int(os.environ.get("HARNESS_TEST_SEED", "20261121"))
EXACT = {"max", "argmax", "expand", "where", "one_hot", "gumbel_softmax"}
"""Operators that select or copy, and one that is random: there is no error to speak of."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every conformance case of every implementation on NumPy, PyTorch and the CPU device."""
    store = str(tmp_path_factory.mktemp("store") / "results.sqlite")
    return harness.check("*/numpy/*", "*/torch/*", "*/cuda_cpu/*", store=store, seed=SEED)


def test_nothing_that_is_built_in_is_wrong(run: Run) -> None:
    assert not [f"{record.id} (seed {record.seed}): {record.reason}" for record in run.checked if record.is_wrong]


def test_what_did_not_run_is_out_of_the_librarys_scope(run: Run) -> None:
    """Nothing of NumPy's own strategies is refused, and elsewhere only what a reason names."""
    refused = [one for one in run.checked if one.status in ("unsupported", "missing")]
    assert {one.implementation for one in refused if one.backend == "numpy"} <= {"array_api"}
    words = ("torch", "half", "frames", "samples", "float16", "masked array")
    assert not [one.reason for one in refused if not any(word in one.reason for word in words)]


@needs_torch
def test_known_failures_are_those_of_real_libraries(run: Run) -> None:
    known = {f"{one.operator}/{one.backend}/{one.implementation}" for one in run.checked if one.known}
    assert known and all(name.endswith("/torch/builtin") for name in known)


def test_every_operator_runs_on_every_float_and_every_strategy(run: Run) -> None:
    passed = Counter((one.operator, one.backend, one.dtype) for one in run.checked if one.status == "passed")
    for operator in {one.operator for one in run.checked}:
        for backend in ("numpy", "torch") if HAS_TORCH else ("numpy",):
            assert sum(count for key, count in passed.items() if key[:2] == (operator, backend)) >= 30, operator
    for operator in ("sum", "max", "dot", "logsumexp", "softmax", "log_softmax"):
        for dtype in ("float64", "float32", "float16", "bfloat16"):
            for backend in ("numpy", "torch") if HAS_TORCH else ("numpy",):
                assert passed[operator, backend, dtype] >= 10, (operator, backend, dtype)


@needs_compiler
def test_every_kernel_runs_on_the_cpu_and_its_launches_are_counted(run: Run) -> None:
    """Over all schedules and instrumented: a host round trip shows in its column, and only there."""
    ran = [one for one in run.checked if one.backend == "cuda_cpu" and one.status == "passed" and one.launches]
    strategies = {(one.operator, one.implementation) for one in ran}
    assert strategies == {
        (one.operator, one.implementation) for one in load().declarations if one.backend == "cuda_cpu"
    }
    for operator, strategy in strategies:
        trips = {one.host_round_trips for one in ran if (one.operator, one.implementation) == (operator, strategy)}
        if strategy.endswith("host_round_trip"):
            assert min(trips) >= 1, (operator, strategy)  # type: ignore[type-var]
        elif operator != "cross_entropy":  # it reads back whether a label was out of range
            assert trips == {0}, (operator, strategy)


@needs_compiler
@pytest.mark.skipif(nvrtc.missing() is not None, reason="NVRTC is not installed: pip install 'kernel-harness[nvrtc]'")
def test_kernels_compile_for_a_gpu_and_do_not_spill_where_speed_counts(run: Run) -> None:
    """Rows that lie in memory one behind the other, in types of up to four bytes; elsewhere some do."""
    ran = [one for one in run.checked if one.backend == "cuda_cpu" and one.status == "passed" and one.launches]
    assert ran and all(one.registers and 8 <= one.registers <= 128 for one in ran)
    fast = [one for one in ran if one.dtype != "float64" and "x300]dim=1" in one.case and "layout" not in one.case]
    assert len(fast) >= 100 and not [one.id for one in fast if one.spill_bytes]


def test_errors_stay_below_their_bounds_and_bounds_are_not_idle(run: Run) -> None:
    """A bound that no error ever comes near is no evidence: each inexact operator comes within a factor of 20."""
    right = [one for one in run.checked if one.status == "passed" and one.error_over_bound is not None]
    for operator in {one.operator for one in run.checked} - EXACT:
        errors = [one.error_over_bound for one in right if one.operator == operator]
        assert 0.05 < max(float(error or 0) for error in errors) <= 1.0, operator


@needs_torch
def test_gradients_are_judged_wherever_there_are_some(run: Run) -> None:
    judged = {one.operator for one in run.checked if one.gradient_status == "passed" and one.backend == "torch"}
    for name, operator in load().operators.items():
        assert (name in judged) == bool(operator.gradients), name


def test_attributes_are_reported_where_they_apply(run: Run) -> None:
    builtin = [
        one
        for one in run.checked
        if one.backend == "numpy"
        and one.status == "passed"
        and "raises" not in one.case
        and one.operator != "gumbel_softmax"  # it is random
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


@needs_torch
def test_a_known_acceptance_of_bad_input_is_timed_and_a_known_wrong_answer_is_not(tmp_path: Path) -> None:
    from harness.execute import Options, exit_code
    from harness.timing.groups import Settings

    options = Options(budget_s=2.0, settings=Settings(processes=2))
    chosen = ("cross_entropy/torch/builtin/float32[64x32768*", "soft_margin/torch/builtin/float32[1024x1024*mean")
    done = harness.bench(*chosen, store=str(tmp_path / "r.sqlite"), options=options)
    by_operator = {one.operator: one for one in done.timed}
    assert by_operator["cross_entropy"].median_ns
    wrong = by_operator["soft_margin"]
    assert wrong.status == "failed" and wrong.median_ns is None and wrong.known and "not timed" in wrong.reason
    assert exit_code("bench", done.checked, done.timed) == 0

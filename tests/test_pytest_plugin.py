"""The pytest plugin, used as its users do: sessions of pytest inside of pytest, in folders of their own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from conftest import needs_torch

pytest_plugins = ["pytester"]

NAME = "harness.testing.plugin"
INSTALLED = any(point.value == NAME for point in importlib.metadata.entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", NAME)
needs_xdist = pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="type: pip install pytest-xdist")

FEW = "softmax/numpy/builtin/float32[3x3*"
"""Four tasks."""

KERNELS = '''
"""Softmaxes, one of each kind."""
import os
import numpy as np
from harness import implementation


def right(x, dim):
    w = x.astype(np.float64)
    e = np.exp(w - w.max(axis=dim, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=dim, keepdims=True)).astype(x.dtype)


@implementation("softmax", backend="numpy")
def honest(x, *, dim):
    return right(x, dim)


@implementation("softmax", backend="numpy")
def zeros(x, *, dim):
    return np.zeros_like(x)


@implementation("softmax", backend="numpy", known={"float32[7x33]*": "rows are <not> summed yet"})
def known_zeros(x, *, dim):
    return np.zeros_like(x)


@implementation("softmax", backend="numpy", supports=lambda case: None if case.dtype == "float32" else "float32 only")
def picky(x, *, dim):
    return right(x, dim)


@implementation("softmax", backend="numpy")
def dies(x, *, dim):
    os._exit(3)
'''

OWN = """
import numpy as np


def right(x, dim):
    w = x.astype(np.float64)
    e = np.exp(w - w.max(axis=dim, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=dim, keepdims=True)).astype(x.dtype)
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session in a process of its own: one inside of this process would forget what it has imported, and PyTorch and
    NumPy cannot be imported twice."""
    return pytester.runpytest_subprocess(*PLUGIN, "-p", "no:randomly", *arguments)


@pytest.fixture
def kernels(pytester: pytest.Pytester) -> str:
    return str(pytester.makepyfile(kernels=KERNELS))


# ---- tasks as items


def test_items_are_tasks_and_their_ids_are_task_ids(pytester: pytest.Pytester) -> None:
    listed = run(pytester, "--harness", FEW, "--collect-only", "-q")
    ids = [line for line in listed.outlines if line.startswith("softmax/numpy/builtin/")]
    assert "softmax/numpy/builtin/float32[3x33]dim=1" in ids
    assert len(ids) == len(set(ids)) >= 4
    run(pytester, "--harness", FEW, "-p", "no:benchmark", "-p", "no:xdist").assert_outcomes(passed=4)
    passed = run(pytester, "--harness", FEW, "--harness-seed", "7")
    passed.assert_outcomes(passed=len(ids))
    # a line stands for an implementation, not for each of its cases; the seed is told
    passed.stdout.fnmatch_lines([f"harness: '{FEW}', seed 7", "softmax/numpy/builtin " + "." * len(ids) + " *"])


def test_tasks_are_selected_deselected_and_found_again_as_tests_are(pytester: pytest.Pytester, kernels: str) -> None:
    asked = ("--harness", "softmax/numpy/zeros/float32[7x33]*", "--harness", FEW, "--harness-plugin", kernels)
    one = "softmax/numpy/zeros/float32[7x33]dim=1"
    run(pytester, *asked, "-k", "zeros and 7x33]dim").assert_outcomes(failed=3, deselected=4)
    run(pytester, *asked, "-k", "zeros", "--deselect", one).assert_outcomes(failed=2, deselected=5)
    run(pytester, *asked, "-x").assert_outcomes(failed=1, passed=4)
    assert (
        run(pytester, *asked, "--lf", "--collect-only", "-q").outlines.count("softmax/numpy/zeros/float32[7x33]dim=0")
        == 1
    )
    run(pytester, *asked, "--lf").assert_outcomes(failed=3, deselected=4)


def test_a_wrong_task_reads_like_a_failure_of_pytest(pytester: pytest.Pytester, kernels: str) -> None:
    one = "softmax/numpy/zeros/float32[7x33]dim=0"
    line = Path(kernels).read_text().splitlines().index("def zeros(x, *, dim):")  # its decorator's, from 1
    failed = run(pytester, "--harness", one, "--harness-plugin", kernels, "--harness-seed", "42")
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(
        [
            "    # x: float32[[]7, 33[]]",
            ">   zeros(x, dim=0)",
            "E   softmax/numpy/zeros is no right softmax: 231 of 231 elements are wrong",
            "E     at        [[]*, *[]]",
            "E     got       0",
            "E     expected  0.*",
            "E     bound     off by *, * times the bound * for float32",
            f"E     again     pytest --harness 'softmax/numpy/zeros/*7x33*dim=0' --harness-seed 42 *{kernels}",
            f"kernels.py:{line}: 231 of 231 elements are wrong",
            "FAILED softmax/numpy/zeros/float32[[]7x33[]]dim=0 - 231 of 231 elements are wrong",
        ]
    )
    # nothing of the harness's own calls, and what is said to reproduce it does
    failed.stdout.no_fnmatch_line("*harness/testing*")
    again = run(pytester, "--harness", one, "--harness-seed", "42", "--harness-plugin", kernels)
    found = [line for line in failed.outlines if line.startswith("E     expected")]
    assert found == [line for line in again.outlines if line.startswith("E     expected")] != []


def test_what_cannot_run_or_is_known_or_dies_says_why(pytester: pytest.Pytester, kernels: str) -> None:
    asked = ("--harness-plugin", kernels, "-rsx")
    told = run(
        pytester,
        *asked,
        *("--harness", "softmax/numpy/known_zeros/float32[7x33]*"),
        *("--harness", "softmax/numpy/picky/float??[7x33]dim=0"),
        *("--harness", "softmax/numpy/dies/float32[7x33]dim=0"),
    )
    told.assert_outcomes(xfailed=3, skipped=2, passed=1, failed=1)
    told.stdout.fnmatch_lines(
        [
            "E   softmax/numpy/dies is no right softmax: crashed: the worker exited with code 3*",
            "SKIPPED [[]2[]] kernels.py:*: float32 only",
            "XFAIL softmax/numpy/known_zeros/float32[[]7x33[]]dim=0 - rows are <not> summed yet",
        ]
    )
    run(pytester, *asked, "--harness", "softmax/numpy/known_zeros/float32[7x33]*", "--runxfail").assert_outcomes(
        failed=3
    )


def test_tasks_of_a_missing_backend_are_skipped_with_its_reason(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        absent="""
        from harness import Backend, implementation

        backend = Backend(
            name="absent", library="absent", from_host=None, to_host=None, array_type="absent.Array",
            missing=lambda: "there is no such device; type: buy one",
        )

        @implementation("softmax", backend="absent")
        def any(x, *, dim):
            return x
        """
    )
    skipped = run(pytester, "--harness", "softmax/absent/any/float32[7x33]*", "--harness-plugin", "absent.py", "-rs")
    skipped.assert_outcomes(skipped=3)
    skipped.stdout.fnmatch_lines(["SKIPPED [[]3[]] absent.py:* there is no such device; type: buy one"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--harness", "softmax/numpy/onlin"],
            "*nothing matches 'softmax/numpy/onlin'; the nearest are: softmax/numpy/online*",
        ),
        (["--harness", FEW, "--harness-plugin", "nowhere.py"], "*--plugin nowhere.py: no such file or folder*"),
        (["--harness", FEW, "--harness-seed", "-1"], "*--harness-seed*whole number*'-1'*"),
        (["--harness-benchmark"], "*add --harness SELECTOR*"),
        (["--harness", FEW, "--harness-benchmark", "-p", "no:benchmark"], "*pip install 'kernel-harness[[]pytest[]]'*"),
    ],
)
def test_a_wrong_option_is_a_usage_error_in_one_line(
    pytester: pytest.Pytester, arguments: list[str], said: str
) -> None:
    result = run(pytester, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
    assert "Traceback" not in result.stderr.str()


def test_a_plugin_that_cannot_be_read_is_an_error_of_the_collection(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(broken="import harness\nnothing = harness.softmacks\n")
    result = run(pytester, "--harness", FEW, "--harness-plugin", "broken.py")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*broken.py: AttributeError: *softmacks*"])


def test_junit_names_are_implementation_and_case(pytester: pytest.Pytester, kernels: str) -> None:
    one = "softmax/numpy/zeros/float32[7x33]dim=0"
    run(pytester, "--harness", one, "--harness-plugin", kernels, "--junit-xml", "junit.xml").assert_outcomes(failed=1)
    (case,) = ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    assert (case.get("classname"), case.get("name")) == ("softmax.numpy.zeros", "float32[7x33]dim=0")
    properties = {found.get("name"): found.get("value") for found in case.iter("property")}
    assert (properties["harness.id"], properties["harness.status"]) == (one, "failed")
    assert float(str(properties["harness.error_over_bound"])) > 1e3
    (failure,) = case.iter("failure")
    assert failure.get("message") == "231 of 231 elements are wrong"
    assert "expected" in str(failure.text)


def test_the_projects_settings_hold_and_what_is_typed_goes_before_them(pytester: pytest.Pytester, kernels: str) -> None:
    pytester.makepyprojecttoml(
        """
        [tool.pytest.ini_options]
        harness = ["softmax/numpy/honest/float32[7x33]dim=0"]
        testpaths = ["."]
        [tool.harness]
        plugins = ["kernels.py"]
        seed = 11
        """
    )
    pytester.makepyfile(test_mine="def test_mine():\n    pass\n")
    both = run(pytester)  # as `testpaths`: what a bare `pytest` collects
    both.assert_outcomes(passed=2)
    both.stdout.fnmatch_lines(["harness: 'softmax/numpy/honest/*, seed 11, [[]tool.harness[]] of *pyproject.toml"])
    run(pytester, "test_mine.py").assert_outcomes(passed=1)
    alone = run(pytester, "--harness", FEW, "--harness-seed", "3")
    alone.assert_outcomes(passed=4)
    alone.stdout.fnmatch_lines(["harness: *, seed 3, *"])
    run(pytester, "test_mine.py", "--harness", FEW).assert_outcomes(passed=5)


@needs_xdist
def test_with_xdist_each_process_has_its_own_workers_and_all_have_one_seed(
    pytester: pytest.Pytester, kernels: str
) -> None:
    pytester.makepyfile(
        test_seed="""
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_seed(harness, number, record_property):
            record_property("drawn", float(harness.inputs("softmax", "float32[7x33]dim=0")[0][0, 0]))
            record_property("process", __import__("os").getpid())
        """
    )
    asked = ("--harness", "softmax/numpy/zeros/float32[7x33]*", "--harness", FEW, "--harness-plugin", kernels)
    result = pytester.runpytest_subprocess(*PLUGIN, "test_seed.py", *asked, "-n", "2", "--junit-xml", "junit.xml")
    result.assert_outcomes(passed=12, failed=3)
    # the report has crossed a process, and is whole
    result.stdout.fnmatch_lines(
        [">   zeros(x, dim=0)", "E     got       0", "kernels.py:*: 231 of 231 elements are wrong"]
    )
    properties: dict[str, set[str]] = {}
    names = set()
    for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase"):
        names.add((case.get("classname"), case.get("name")))
        for found in case.iter("property"):
            properties.setdefault(str(found.get("name")), set()).add(str(found.get("value")))
    assert len(properties["drawn"]) == 1
    assert ("softmax.numpy.zeros", "float32[7x33]dim=0") in names


# ---- one's own function


@pytest.fixture
def short(pytester: pytest.Pytester, kernels: str) -> tuple[str, ...]:
    """Options for benchmarks that take little time."""
    pytester.makepyprojecttoml("[tool.harness]\nbudget_s = 0.2\nprocesses = 1\n")
    return ("--harness-plugin", kernels, "--harness-store", "results.sqlite")


def own(pytester: pytest.Pytester, tests: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_own=OWN + tests)
    return run(pytester, "test_own.py", *arguments)


def test_an_honest_function_passes_and_tells_how_well(pytester: pytest.Pytester) -> None:
    own(
        pytester,
        """
def test_all(harness):
    found = harness.check(right, "softmax")
    assert (found.backend, found.cases > 150, found.unsupported) == ("numpy", True, 0)
    assert 0 < found.error_over_bound <= 1

def test_some(harness):
    last = {case.id for case in harness.cases("softmax", dtype="float32", dim=-1)}
    assert {"float32[7x33]dim=1", "float32[2x3x4x3x5]dim=4"} <= last
    assert not {"float32[7x33]dim=0", "float64[7x33]dim=1"} & last
    assert harness.check(right, "softmax", dtype="float32", dim=-1).cases == len(last)
    (x,) = harness.inputs("softmax", "float32[7x33]dim=1")
    assert x.shape == (7, 33) and x.dtype == np.float32
""",
    ).assert_outcomes(passed=2)


WRONG = {
    "zeros": ("np.zeros_like(x)", "expected  *", ""),
    "half": (
        "right(x.astype(np.float16), dim).astype(x.dtype)",
        "bound *times the bound*",
        "cases='float64[[]7x33[]]*'",
    ),
    "dim": ("right(x, -1 if x.ndim < 2 else (dim + 1) % x.ndim)", "bound *", "cases='float32[[]7x33[]]*'"),
    "mutates": (
        "np.multiply(x, 0, out=x) + right(x, dim)",
        "found *modified its input 0*",
        "cases='float32[[]7x33[]]*'",
    ),
    "view": (
        "x if x.size == 1 and np.all(x == 1) else x.T.T",
        "found *shares memory with an input*",
        "cases='float32[[]7x33[]]*'",
    ),
    "dtype": ("right(x.astype(np.float64), dim)", "found *dtype float64 where float32 is right*", "dtype='float32'"),
    "shape": ("right(x, dim)[None]", "found *shape (1, 7, 33) where (7, 33) is right*", "cases='float32[[]7x33[]]*'"),
    "nan": ("np.nan_to_num(right(x, dim))", "expected  nan", "cases='float32*values=nan'"),
    "raises": ("1 / 0", "found *error: raised ZeroDivisionError*", "cases='float32[[]7x33[]]*'"),
    "lenient": (
        "right(x, min(max(dim, -x.ndim), x.ndim - 1) if x.ndim else 0)",
        "found *instead of raising: dim out of range",
        "cases='float32[[]3x4[]]*raises'",
    ),
    "list": (
        "right(x, dim).tolist()",
        "found *returned a builtins.list where exactly a numpy.ndarray*",
        "cases='float32[[]7x33[]]*'",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_function_fails_with_the_reason(pytester: pytest.Pytester, kind: str) -> None:
    answer, said, which = WRONG[kind]
    which = which.replace("[[]", "[").replace("[]]", "]")
    failed = own(
        pytester,
        f"""
def mine(x, *, dim):
    return {answer}

def test_it(harness):
    harness.check(mine, "softmax", {which})
""",
        "--harness-seed",
        "5",
    )
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(
        [
            '>       harness.check(mine, "softmax"*',
            "E       AssertionError: mine is no softmax: * of * cases fail* (backend numpy)",
            "E         asked     mine(x, dim=*)",
            f"E         {said}",
            "E         again     pytest 'test_own.py::test_it' --harness-seed 5",
        ]
    )
    failed.stdout.no_fnmatch_line("*harness/testing*")


def test_claims_marks_and_refusals(pytester: pytest.Pytester) -> None:
    own(
        pytester,
        """
import pytest
from harness import Accumulation, Tree, implementation

def adds_one_by_one(x, *, dim):
    return np.cumsum(x, axis=dim, dtype=x.dtype).take(-1, axis=dim)

def claims(tree):
    return {"accumulation": Accumulation(Tree(*tree))}

ONE = dict(cases="float32[9x300]dim=1,values=stagnation")

def test_too_good_a_claim_fails_by_it(harness):
    harness.check(adds_one_by_one, "sum", **ONE, **claims(["sequential"]))
    with pytest.raises(AssertionError, match="times the bound"):
        harness.check(adds_one_by_one, "sum", **ONE, **claims(["pairwise", 8]))

def test_what_it_was_marked_with_counts(harness):
    marked = implementation("sum", backend="numpy", **claims(["pairwise", 8]))(adds_one_by_one)
    with pytest.raises(AssertionError, match="times the bound"):
        harness.check(marked, "sum", **ONE)

def test_out_of_scope_is_not_wrong_but_nothing_checked_is(harness):
    only = {"supports": lambda case: None if case.dtype == "float32" else "float32 only"}
    found = harness.check(right, "softmax", cases="float??[7x33]dim=0", **only)
    assert (found.cases, found.unsupported) == (1, 2)
    with pytest.raises(AssertionError, match="nothing was checked.*float32 only"):
        harness.check(right, "softmax", dtype="float64", **only)

@pytest.mark.parametrize(("how", "said"), [
    (dict(operator="sofmax"), "no operator is called 'sofmax'; there is softmax"),
    (dict(cases="float32[7x34]*"), "no case of softmax matches"),
    (dict(dtype="float8"), "no case of softmax is in 'float8'"),
    (dict(axis=1), "softmax has no parameter 'axis'; it has dim"),
    (dict(backend="nunpy"), "no backend is called 'nunpy'; there is numpy"),
])
def test_what_does_not_exist_is_named(harness, how, said):
    with pytest.raises(LookupError) as raised:
        harness.check(right, **{"operator": "softmax", **how})
    assert said in str(raised.value)

def test_a_skip_inside_of_the_function_is_one_of_the_test(harness):
    def skips(x, *, dim):
        pytest.skip("not today")
    harness.check(skips, "softmax", cases="float32[7x33]dim=0")
""",
        "-W",
        "error",
    ).assert_outcomes(passed=8, skipped=1)


def test_cases_parametrize_under_their_own_ids(pytester: pytest.Pytester) -> None:
    listed = own(
        pytester,
        """
import pytest
from harness.testing import cases

@pytest.mark.parametrize("case", cases("softmax", "float32[7x33]*"))
def test_it(harness, case):
    harness.check(right, "softmax", cases=case)
""",
        "-v",
    )
    listed.assert_outcomes(passed=3)
    listed.stdout.fnmatch_lines(["test_own.py::test_it[[]float32[[]7x33[]]dim=0[]] PASSED*"])


@needs_torch
def test_torch_functions_are_judged_with_their_gradients(pytester: pytest.Pytester) -> None:
    own(
        pytester,
        """
import pytest
import torch

SOME = dict(backend="torch", cases="float32[7x33]*")

def test_right(harness):
    assert harness.check(torch.softmax, "softmax", **SOME).cases == 3

def test_without_gradient(harness):
    def detached(x, *, dim):
        return torch.softmax(x.detach(), dim)
    with pytest.raises(AssertionError, match="gradient of input 0|raised"):
        harness.check(detached, "softmax", **SOME)
    harness.check(detached, "softmax", gradient=False, **SOME)

def test_in_place(harness):
    with pytest.raises(AssertionError, match="modified its input 0"):
        harness.check(lambda x, dim: x.copy_(torch.softmax(x.clone(), dim)).clone(), "softmax", gradient=False, **SOME)

def test_an_array_of_another_library(harness):
    with pytest.raises(AssertionError, match="returned a numpy.ndarray where exactly a torch.Tensor is right"):
        harness.check(lambda x, dim: torch.softmax(x, dim).detach().numpy(), "softmax", gradient=False, **SOME)
""",
    ).assert_outcomes(passed=4)


# ---- beside other plugins


def test_the_plugin_alone_imports_nothing_but_itself() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import harness.testing.plugin;"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['harness', 'harness.testing', 'harness.testing.plugin']"


def test_a_session_that_does_not_ask_for_it_imports_no_engine(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import sys\ndef test_it():\n    assert 'harness.registry' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    pytester.runpytest_subprocess(*PLUGIN, "-p", "no:hypothesispytest").assert_outcomes(passed=1)


@pytest.mark.timed
def test_benchmarks_are_replayed_to_pytest_benchmark_where_they_are_right(
    pytester: pytest.Pytester, short: tuple[str, ...]
) -> None:
    pytest.importorskip("pytest_benchmark")
    case = "float32[1024x1000]dim=1"
    asked = [word for name in ("honest", "zeros") for word in ("--harness", f"softmax/numpy/{name}/{case}")]
    timed = run(pytester, *asked, *short, "--harness-benchmark", "--benchmark-json", "times.json")
    timed.assert_outcomes(passed=1, failed=1)
    timed.stdout.fnmatch_lines(
        [
            "E   softmax/numpy/zeros is no right softmax: not timed: * conformance cases in float32 are wrong*",
            "harness: the run is stored; type: harness report * --store *results.sqlite",
            f"*benchmark 'softmax/{case.replace('[', '[[]')}': 1 tests*".replace("]dim", "[]]dim"),
        ]
    )
    document = json.loads((pytester.path / "times.json").read_text())
    (found,) = document["benchmarks"]
    extra, stats = found["extra_info"]["harness"], found["stats"]
    assert found["fullname"] == found["name"] == extra["id"] == f"softmax/numpy/honest/{case}"
    assert 0 <= extra["error_over_bound"] <= 1 and extra["machine_id"]
    assert stats["rounds"] == len(stats["data"]) == len(found["extra_info"]["kernel_harness"]["calls"])
    assert 0 < stats["min"] <= stats["median"] <= stats["max"]
    # the very readings that the store holds
    from harness.store import Store
    from harness.timing.statistics import per_call_ns

    with Store.open(str(pytester.path / "results.sqlite")) as store:
        samples = store.samples(extra_run := found["extra_info"]["kernel_harness"]["run_id"])
        assert store.run(extra_run).exit_code == 3
    # all of them: those that were disturbed are marked there
    assert sorted(stats["data"]) == pytest.approx(sorted(per_call_ns(sample) / 1e9 for sample in samples))
    skipped = run(pytester, *asked, *short, "--harness-benchmark", "--benchmark-skip")
    skipped.assert_outcomes(skipped=2)
    # neither timed nor stored: checked once, as a test
    checked = run(pytester, *asked, *short, "--harness-benchmark", "--benchmark-disable")
    checked.assert_outcomes(passed=1, failed=1)
    checked.stdout.no_fnmatch_line("*the run is stored*")

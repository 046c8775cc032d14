"""The search finds what is planted, makes it small and keeps it, so that it fails again; right kernels survive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import harness
from harness.declare import Case, DeclarationError
from harness.fuzz import literal, search
from harness.registry import load
from harness.searching import keep
from harness.sources import Sourced
from harness.sources.files import read_cases, read_file, write_file
from harness.supervisor import Supervisor

PLANTED = """
import numpy as np
from harness import Accumulation, Tree, implementation


def right(x, target, reduction):
    with np.errstate(all="ignore"):
        losses = np.square(x.astype(np.float64) - target.astype(np.float64))
        total = losses if reduction == "none" else losses.sum()
        return np.asarray(total / losses.size if reduction == "mean" else total).astype(x.dtype)


@implementation("mse", backend="numpy")
def honest(x, target, *, reduction):
    return right(x, target, reduction)


@implementation("mse", backend="numpy")
def loses_a_huge_element(x, target, *, reduction):
    y = right(np.where(np.abs(x.astype(np.float64)) > 1e4, 0, x).astype(x.dtype), target, reduction)
    return y


@implementation("mse", backend="numpy")
def wrong_on_five_columns(x, target, *, reduction):
    y = right(x, target, reduction)
    return y + y.dtype.type(1) if x.ndim == 2 and x.shape[1] == 5 else y


@implementation("mse", backend="numpy")
def dies_of_nan(x, target, *, reduction):
    if np.isnan(x.astype(np.float64)).any():
        import os
        os._exit(3)
    return right(x, target, reduction)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "planted.py"
    path.write_text(PLANTED)
    return path


def outcome(plugin: Path, name: str, budget_s: float) -> Any:
    registry = load([str(plugin)])
    (declared,) = (one for one in registry.declarations if one.id == f"mse/numpy/{name}")
    with Supervisor(registry, 7) as supervisor:
        return search(declared, registry.operators["mse"], supervisor, budget_s, lambda *_: None)


@pytest.mark.parametrize("name", ["loses_a_huge_element", "wrong_on_five_columns", "dies_of_nan"])
def test_a_planted_fault_is_found_kept_and_fails_again(plugin: Path, tmp_path: Path, name: str) -> None:
    found = outcome(plugin, name, 120.0)
    assert found.finding is not None, f"not found in {found.examples} candidates"
    sizes = [array.size for array in found.finding.sourced.inputs]
    assert max(sizes) <= 400, "it was not made smaller"
    row = keep(found, tmp_path / "kept")
    assert row["status"] in ("failed", "crashed") and row["reason"]
    again = harness.check(
        row["case"], plugins=[str(plugin)], cases=[row["file"]], store=str(tmp_path / "r.sqlite"), seed=1
    )
    (record,) = again.checked
    assert record.status == row["status"] and record.id == row["case"] and "fuzz:" in record.case


def test_a_right_kernel_survives(plugin: Path) -> None:
    found = outcome(plugin, "honest", 8.0)
    assert found.finding is None and found.examples > 20 and 0 < found.worst <= 1


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "int64", "bool"])
def test_a_literal_is_the_array_to_the_bit(dtype: str) -> None:
    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    array = np.array([[0.1, -1.5, 3.0], [7.0, 0.0, 1.0]]).astype(kind)
    if kind.kind not in "ib":
        array[0, 0], array[1, 2] = np.nan, np.inf
    made = eval(literal(array), {"np": np, "ml_dtypes": ml_dtypes})
    assert made.dtype == array.dtype and made.shape == array.shape
    assert np.array_equal(made.astype(np.float64), array.astype(np.float64), equal_nan=True)


def case_of(values: str) -> Sourced:
    x = np.array([1.0, np.nan, -0.0], np.float32)
    case = Case("float32", ((3,), (3,)), (("reduction", "mean"),), values=values, layout="strided")
    return Sourced("mse", case, (x, np.ones(3, np.float32)), None, 0.0, 0.0)


def test_a_file_of_cases_reads_back_as_it_was(tmp_path: Path) -> None:
    write_file(tmp_path / "cases.json", [case_of("fuzz:a"), case_of("fuzz:b")])
    first, second = read_file(tmp_path / "cases.json")
    assert first.case == case_of("fuzz:a").case and second.case.id.endswith("values=fuzz:b,layout=strided")
    assert first.inputs[0].tobytes() == case_of("fuzz:a").inputs[0].tobytes()
    assert [one.case for one in read_cases(str(tmp_path))] == [first.case, second.case]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda data: "no json", "no file of cases"),
        (lambda data: json.dumps([]), "no file of cases"),
        (lambda data: json.dumps({**data, "format": 99}), "format 99"),
        (lambda data: json.dumps({**data, "cases": [{}]}), "case 0: .layout. is missing"),
        (lambda data: json.dumps(data).replace('"float32"', '"object"'), "case 0: .*dtype"),
        (lambda data: json.dumps(data).replace('"strided"', '"upside down"'), "upside down"),
        (lambda data: json.dumps(data).replace('"shape": [3]', '"shape": [4]'), "case 0: .*bytes"),
    ],
)
def test_a_broken_file_of_cases_is_refused_with_its_place(tmp_path: Path, change: Any, complaint: str) -> None:
    path = tmp_path / "cases.json"
    write_file(path, [case_of("fuzz:a")])
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(DeclarationError, match=complaint) as refused:
        read_file(path)
    assert str(path) in str(refused.value)


def test_cases_of_an_unknown_operator_or_place_are_reported(tmp_path: Path) -> None:
    from dataclasses import replace

    write_file(tmp_path / "cases.json", [replace(case_of("fuzz:a"), operator="nonsense"), case_of("fuzz:b")])
    registry = load(cases=[str(tmp_path / "cases.json")])
    assert [problem.message for problem in registry.problems if "nonsense" in problem.message]
    assert any("fuzz:b" in case.id for case in registry.operators["mse"].conformance)
    with pytest.raises(DeclarationError, match="no such file"):
        load(cases=["nowhere.json"])

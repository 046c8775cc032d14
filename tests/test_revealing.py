"""`harness reveal`: what every built-in implementation declares is held against the order that probing reveals."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

import pytest
from conftest import HAS_TORCH

from harness import constants
from harness.cuda import building
from harness.registry import load
from harness.revealing import Found, reveal_all, rows

BACKENDS = ("numpy", "torch") if HAS_TORCH else ("numpy",)
LIAR = """
import numpy as np
from harness import Accumulation, Tree, implementation

@implementation("sum", backend="numpy", accumulation=Accumulation(Tree("blocks", 256, "halving", "grid")))
def claims_to_be_sequential_addressing(x, *, dim=None):
    return np.asarray(np.sum(x, axis=dim), x.dtype)

@implementation("sum", backend="numpy")
def adds_random_noise(x, *, dim=None):
    return np.asarray(np.sum(x, axis=dim) + np.random.rand(), x.dtype)
"""


def revealed(*selectors: str, n: int, dtype: str = "float32", plugins: tuple[str, ...] = ()) -> list[Found]:
    return reveal_all(load(list(plugins)), selectors, n, dtype, 60.0, lambda *_: None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("operator", ["sum", "mean", "dot", "logsumexp", "softmax"])
def test_what_is_declared_is_what_is_revealed(operator: str, backend: str) -> None:
    found = revealed(f"{operator}/{backend}", n=300)
    assert found
    for one in found:
        assert one.tree is not None, f"{one.declaration.id}: {one.reason}"
        assert not one.contradiction, f"{one.declaration.id}: {one.contradiction}"


@pytest.mark.skipif(building.compiler() is None, reason=building.HINT)
@pytest.mark.parametrize("order", ["interleaved", "sequential", "warp_shuffle"])
def test_a_kernel_adds_up_in_the_order_that_its_twin_and_its_author_say(order: str) -> None:
    table = rows(revealed(*(f"sum/{backend}/{order}_grid_reduced" for backend in ("cuda_cpu", "numpy")), n=300))
    assert [row["verdict"] for row in table] == ["as declared"] * 2
    assert len({row["same_tree"] for row in table}) == 1


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_dtypes_are_revealed_too(dtype: str) -> None:
    (found,) = revealed("sum/numpy/builtin", n=300, dtype=dtype)
    assert found.tree is not None and found.tree.leaves == 300 and not found.contradiction


def test_the_orders_of_the_cuda_reductions_are_told_apart() -> None:
    table = rows(revealed("sum/numpy/*_grid_reduced", n=512))
    assert len({row["same_tree"] for row in table}) == len(table) == 3
    assert {row["height"] for row in table} == {9}


def test_a_false_claim_and_a_sum_without_order_are_seen(tmp_path: Path) -> None:
    plugin = tmp_path / "liar.py"
    plugin.write_text(LIAR)
    liar, noisy = sorted(
        (one for one in revealed("sum/numpy/*", n=512, plugins=(str(plugin),)) if one.declaration.path),
        key=lambda one: one.declaration.line,
    )
    assert "halving" in liar.contradiction and liar.tree is not None
    assert noisy.tree is None and noisy.reason


def test_the_command_prints_the_tree_draws_it_and_exits_by_the_claim(tmp_path: Path) -> None:
    plugin = tmp_path / "liar.py"
    plugin.write_text(LIAR)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness.cli", "reveal", *arguments, "-n", "256"], capture_output=True, text=True
        )

    honest = run("sum/numpy/warp_shuffle_grid_reduced", "--svg", str(tmp_path / "svg"))
    assert (
        honest.returncode == 0
        and "16, 8, 4, 2, 1, 128, 64, 32 apart" in honest.stdout
        and "as declared" in honest.stdout
    )
    (picture,) = (tmp_path / "svg").glob("*.svg")
    assert xml.fromstring(picture.read_text()).tag.endswith("svg")
    lying = run("sum/numpy/claims_to_be_sequential_addressing", "--plugin", str(plugin), "--json")
    assert lying.returncode == 3
    (row,) = json.loads(lying.stdout)
    assert row["height"] > 8 and "halving" in row["verdict"]
    nothing = run("max/numpy/builtin")
    assert nothing.returncode == 5 and "can be revealed" in nothing.stderr


def test_the_constants_of_exp_and_log_are_measured_and_within_what_bounds_assume(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "SAMPLES", 1 << 14)
    found, problems = constants.measure(load(), lambda text: None)
    assert not problems
    numpys = {(one.function, one.dtype): one for one in found if one.backend == "numpy"}
    assert set(numpys) == {(name, dtype) for name in ("exp", "log") for dtype in constants.DTYPES}
    for one in numpys.values():
        assert one.error >= 0.9 and not one.is_beyond, one
        assert one.exhaustive == (one.dtype in ("float16", "bfloat16"))

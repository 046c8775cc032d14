"""The built-in implementations: the twins add in the order that they are named after, and all keep their hands off."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from conftest import needs_torch

from harness.declare import Implementation, Tree, implementations_in
from harness.judge.trees import block_levels

OPERATORS = ("sum", "max", "dot", "logsumexp", "softmax", "log_softmax")
SIZES = (1, 2, 31, 33, 255, 256, 257, 1000, 70_000)
THREADS, WARP = 256, 32


def declared(backend: str, operator: str) -> dict[str, Implementation]:
    module = importlib.import_module(f"harness.implementations.{backend}.{operator}")
    return {one.name: one for one in implementations_in(vars(module).values()) if one.operator == operator}


# ---- the CUDA kernels' orders, one thread after the other, one addition at a time


def interleaved_block(shared: list[Any], add: Callable[[Any, Any], Any]) -> Any:
    """for (s = 1; s < blockDim.x; s *= 2) if (tid % (2 * s) == 0) shared[tid] += shared[tid + s]"""
    stride = 1
    while stride < len(shared):
        for thread in range(0, len(shared), 2 * stride):
            shared[thread] = add(shared[thread], shared[thread + stride])
        stride *= 2
    return shared[0]


def sequential_block(shared: list[Any], add: Callable[[Any, Any], Any]) -> Any:
    """for (s = blockDim.x / 2; s > 0; s /= 2) if (tid < s) shared[tid] += shared[tid + s]"""
    half = len(shared) // 2
    while half:
        for thread in range(half):
            shared[thread] = add(shared[thread], shared[thread + half])
        half //= 2
    return shared[0]


def warp_shuffle_block(shared: list[Any], add: Callable[[Any, Any], Any]) -> Any:
    """__shfl_down_sync by 16, 8, 4, 2, 1 in each warp, then the same over the warps' results; lane 0 has the sum."""

    def warp(lanes: list[Any]) -> Any:
        offset = len(lanes) // 2
        while offset:
            # what lanes beyond the offset hold afterwards never reaches lane 0
            lanes = [add(lanes[i], lanes[i + offset]) for i in range(len(lanes) - offset)]
            offset //= 2
        return lanes[0]

    return warp([warp(shared[start : start + WARP]) for start in range(0, len(shared), WARP)])


BLOCKS = {"interleaved": interleaved_block, "sequential": sequential_block, "warp_shuffle": warp_shuffle_block}


def simulate(values: Sequence[Any], order: str, finish: str, add: Callable[[Any, Any], Any], neutral: Any) -> Any:
    """The whole kernel: blocks of 256, then the partials on the host or on the grid again."""
    padded = [*values, *[neutral] * (-len(values) % THREADS)]
    partials = [BLOCKS[order](padded[i : i + THREADS], add) for i in range(0, len(padded), THREADS)]
    if finish == "grid_reduced":
        return partials[0] if len(partials) == 1 else simulate(partials, order, finish, add, neutral)
    total = partials[0]
    for partial in partials[1:]:
        total = add(total, partial)
    return total


@pytest.mark.parametrize("finish", ["host_round_trip", "grid_reduced"])
@pytest.mark.parametrize("order", BLOCKS)
@pytest.mark.parametrize("size", SIZES)
def test_a_twin_adds_bit_for_bit_in_the_order_of_its_kernel(size: int, order: str, finish: str) -> None:
    x = np.random.default_rng(size).standard_normal(size, dtype=np.float32)
    expected = simulate(list(x), order, finish, lambda a, b: a + b, np.float32(0))
    twin = declared("numpy", "sum")[f"{order}_{finish}"].function
    assert twin(x, dim=0) == expected
    ones = np.ones_like(x)
    assert declared("numpy", "dot")[f"{order}_{finish}"].function(x, ones) == expected


@pytest.mark.parametrize(
    ("order", "name"), [("interleaved", "interleaved"), ("halving", "sequential"), ("warp", "warp_shuffle")]
)
def test_the_judge_knows_the_same_orders(order: str, name: str) -> None:
    x = np.random.default_rng(0).standard_normal(THREADS, dtype=np.float32)
    *_, last = block_levels(order, x)
    assert last[0] == BLOCKS[name](list(x), lambda a, b: a + b)
    claim = declared("numpy", "sum")[f"{name}_grid_reduced"].accumulation
    assert claim is not None and claim.tree == Tree("blocks", THREADS, order, "grid")


def test_the_orders_differ_in_their_bits() -> None:
    rng = np.random.default_rng(1)
    draws = [rng.standard_normal(70_000, dtype=np.float32) for _ in range(20)]
    answers = {
        name: tuple(float(one.function(x, dim=0)) for x in draws) for name, one in declared("numpy", "sum").items()
    }
    assert len(set(answers.values())) == len(answers)


def softmax_reference(x: np.ndarray, dim: int) -> np.ndarray:
    wide = x.astype(np.longdouble)
    e = np.exp(wide - wide.max(axis=dim, keepdims=True))
    return e / e.sum(axis=dim, keepdims=True)


REFERENCES: dict[str, Callable[..., Any]] = {
    "sum": lambda x, dim: x.astype(np.longdouble).sum(axis=dim),
    "max": lambda x, dim: x.max(axis=dim),
    "softmax": softmax_reference,
    "log_softmax": lambda x, dim: np.log(softmax_reference(x, dim)),
    "logsumexp": lambda x, dim: np.log(np.exp(x.astype(np.longdouble)).sum(axis=dim)),
}


@pytest.mark.parametrize("operator", REFERENCES)
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_every_numpy_strategy_agrees_with_the_formula(operator: str, dim: int) -> None:
    x = np.random.default_rng(2).standard_normal((5, 300, 7)).astype(np.float32)
    expected = REFERENCES[operator](x, dim)
    for name, one in declared("numpy", operator).items():
        np.testing.assert_allclose(one.function(x, dim=dim), expected, rtol=2e-5, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_answer_is_a_new_array_of_the_exact_class_and_the_input_stays(operator: str) -> None:
    for shape in [(), (1,), (4, 1), (3, 5)]:
        x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
        if operator == "dot" and len(shape) != 1:
            continue
        before = x.copy()
        for name, one in declared("numpy", operator).items():
            answer = one.function(x, x) if operator == "dot" else one.function(x, dim=-1)
            assert type(answer) is np.ndarray and answer.dtype == x.dtype, name
            assert not np.shares_memory(answer, x), name
            assert np.array_equal(x, before), name


@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "dot"])
@pytest.mark.parametrize("dim", [2, -3])
def test_a_dim_out_of_range_is_an_index_error(operator: str, dim: int) -> None:
    for one in declared("numpy", operator).values():
        with pytest.raises(IndexError):
            one.function(np.zeros((2, 3), np.float32), dim=dim)


def test_every_strategy_of_the_mission_is_declared() -> None:
    twins = {f"{order}_{finish}" for order in BLOCKS for finish in ("host_round_trip", "grid_reduced")}
    for operator in ("sum", "max", "dot"):
        assert set(declared("numpy", operator)) == {"builtin", *twins}
    assert set(declared("numpy", "softmax")) == {"builtin", "host_round_trip", "grid_reduced", "online"}
    assert set(declared("numpy", "log_softmax")) == set(declared("numpy", "logsumexp")) == {"builtin", "online"}


@needs_torch
def test_torch_declares_builtin_and_composed_for_every_operator() -> None:
    for operator in OPERATORS:
        assert set(declared("torch", operator)) == {"builtin", "composed"}


@needs_torch
def test_bfloat16_crosses_to_torch_and_back_without_a_copy() -> None:
    import ml_dtypes
    import torch
    from harness.implementations.torch import from_host, to_host

    x = np.arange(6, dtype=np.float32).astype(ml_dtypes.bfloat16).reshape(2, 3).T
    tensor = from_host(x)
    assert tensor.dtype == torch.bfloat16 and tensor.stride() == (1, 3)
    tensor[0, 0] = 5
    assert x[0, 0] == 5
    assert to_host(tensor).dtype == x.dtype and np.array_equal(to_host(tensor), x)


def test_the_torch_backend_imports_without_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['torch'] = None; from harness.implementations.torch import backend as b; print(b.name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "torch"


def test_golden_values_of_softmax() -> None:
    for one in declared("numpy", "softmax").values():
        row = one.function(np.array([1, 2, 3], np.float32), dim=0)
        assert [round(float(value), 4) for value in row] == [0.0900, 0.2447, 0.6652]
        rows = one.function(np.array([[2.0, 1.0, 0.1], [1.0, 3.0, 0.2]], np.float32), dim=-1)
        expected = [[0.6590, 0.2424, 0.0986], [0.1131, 0.8360, 0.0508]]
        assert np.abs(rows - expected).max() < 5.1e-5
    for one in declared("numpy", "log_softmax").values():
        row = one.function(np.array([1, 2, 3], np.float32), dim=0)
        assert [round(float(value), 4) for value in row] == [-2.4076, -1.4076, -0.4076]
    assert math.isclose(sum(map(math.exp, (1, 2, 3))), 30.1929, abs_tol=5e-5)

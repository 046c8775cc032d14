"""The built-in implementations: the twins add in the order that they are named after, and all keep their hands off."""

from __future__ import annotations

import importlib.util
import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import needs_torch

from harness import Unsupported
from harness.declare import Tree
from harness.implement import Implementation, implementations_in
from harness.judge.trees import block_levels
from harness.precision import numpy_dtype

OPERATORS = ("sum", "max", "dot", "logsumexp", "softmax", "log_softmax")
SIZES = (1, 2, 31, 33, 255, 256, 257, 1000, 70_000)
THREADS, WARP = 256, 32
BACKENDS = ["numpy", pytest.param("torch", marks=needs_torch)]


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


# ---- every implementation, dtype and memory layout against wider arithmetic, within a derived tolerance


def strided(x: np.ndarray) -> np.ndarray:
    """x in every second place of a larger array."""
    spread = np.zeros([2 * size for size in x.shape], x.dtype)
    view = spread[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def expanded(x: np.ndarray) -> np.ndarray:
    """The first slice of x over and over, by a stride of 0; unlike broadcast_to's, the view is writable."""
    return np.lib.stride_tricks.as_strided(x[:1].copy(), x.shape, (0, *x.strides[1:]))


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": lambda x: x,
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda x: np.flip(np.flip(x).copy()),
    "expanded": expanded,
}


def layouts(backend: str, x: np.ndarray) -> dict[str, np.ndarray]:
    return {name: lay(x) for name, lay in LAYOUTS.items() if not (backend == "torch" and name == "reversed")}


def answer(backend: str, one: Implementation, *arrays: np.ndarray, **parameters: Any) -> np.ndarray:
    """What an implementation returns, on the host, after a look at its class and its manners."""
    before = [array.tobytes() for array in arrays]
    if backend == "torch":
        import torch
        from harness.implementations.torch import from_host, to_host

        returned = one.function(*map(from_host, arrays), **parameters)
        assert type(returned) is torch.Tensor, one.name
        returned = to_host(returned)
    else:
        returned = one.function(*arrays, **parameters)
    assert type(returned) is np.ndarray and returned.dtype == arrays[0].dtype, one.name
    assert [array.tobytes() for array in arrays] == before, one.name
    assert not any(np.shares_memory(returned, array) for array in arrays), one.name
    return returned


UNITS = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}
EXP_OR_LOG = 5


def accumulator(dtype: str) -> float:
    return min(UNITS[dtype], UNITS["float32"])


def between(backend: str, name: str, dtype: str) -> float:
    """The unit roundoff of intermediate values: torch's own kernels keep those of half types in the half type."""
    return UNITS[dtype] if (backend, name) == ("torch", "builtin") else accumulator(dtype)


def truth_and_tolerance(operator: str, x: np.ndarray, dim: int | None, steps: float) -> tuple[Any, Any]:
    """The formula in extended precision, and gamma_n of any order with its terms of exp, log and rounding."""
    dtype = x.dtype.name
    wide = x.astype(np.longdouble)
    n = x.size if dim is None else x.shape[dim]
    if operator == "max":
        return wide.max(axis=dim), 0.0
    if operator == "sum":
        y = wide.sum(axis=dim)
        return y, n * accumulator(dtype) * np.abs(wide).sum(axis=dim) + UNITS[dtype] * np.abs(y)
    top = wide.max(axis=dim, keepdims=True)
    total = np.exp(wide - top).sum(axis=dim, keepdims=True)
    rescales = -(-n // 256)
    rho = n * accumulator(dtype) + (np.log(n) + EXP_OR_LOG + rescales * (EXP_OR_LOG + 2)) * steps
    store = float(np.asarray(ml_dtypes.finfo(x.dtype).smallest_subnormal))
    if operator == "softmax":
        y = np.exp(wide - top) / total
        return y, 1.1 * y * ((top - wide + EXP_OR_LOG + 1) * steps + rho + UNITS[dtype]) + store
    rho = rho + EXP_OR_LOG * steps * np.log(total)
    if operator == "log_softmax":
        y = wide - top - np.log(total)
        return y, 1.1 * ((top - wide) * steps + rho + (steps + UNITS[dtype]) * np.abs(y)) + store
    y = top + np.log(total)
    allowed = 1.1 * (rho + (steps + UNITS[dtype]) * np.abs(y)) + store
    return y.squeeze(dim), allowed.squeeze(dim)


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "dot"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_strategy_agrees_with_the_formula_in_every_layout(backend: str, operator: str, dtype: str) -> None:
    rng = np.random.default_rng(2)
    dims_of = {(3, 300, 4): (0, 1, 2, -1), (600,): (0,), (4, 1): (0, 1)}
    for shape, dims in dims_of.items():
        drawn = (3 * rng.standard_normal(shape)).astype(numpy_dtype(dtype))
        for (layout, x), dim in itertools.product(layouts(backend, drawn).items(), dims):
            for name, one in declared(backend, operator).items():
                truth, allowed = truth_and_tolerance(operator, x, dim, between(backend, name, dtype))
                error = np.abs(answer(backend, one, x, dim=dim) - truth)
                assert np.all(error <= allowed), (name, shape, layout, dim, float(np.max(error / allowed)))


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("operator", ["sum", "max"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_dim_everything_is_reduced(backend: str, operator: str, dtype: str) -> None:
    drawn = np.random.default_rng(3).standard_normal((3, 300, 4)).astype(numpy_dtype(dtype))
    for layout, x in layouts(backend, drawn).items():
        truth, allowed = truth_and_tolerance(operator, x, None, 0.0)
        for name, one in declared(backend, operator).items():
            assert np.abs(answer(backend, one, x, dim=None) - truth) <= allowed, (name, layout)
            assert np.array_equal(answer(backend, one, x), answer(backend, one, x, dim=None)), (name, layout)


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("size", [0, 1, 33, 1000])
@pytest.mark.parametrize("backend", BACKENDS)
def test_dot_agrees_with_the_formula_in_every_layout(backend: str, size: int, dtype: str) -> None:
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal(size).astype(numpy_dtype(dtype)) for _ in range(2))
    for layout in layouts(backend, a):
        x, y = LAYOUTS[layout](a), LAYOUTS[layout](b)
        products = x.astype(np.longdouble) * y.astype(np.longdouble)
        truth = products.sum()
        allowed = 1.1 * (size + 1) * accumulator(dtype) * np.abs(products).sum() + UNITS[dtype] * np.abs(truth)
        for name, one in declared(backend, "dot").items():
            assert np.abs(answer(backend, one, x, y) - truth) <= allowed, (name, layout)


# ---- the edges, as PyTorch has them

INF, NAN = np.inf, np.nan
EDGES: tuple[tuple[str, Any, int | None, Any], ...] = (
    ("sum", np.zeros((3, 0)), 1, np.zeros(3)),
    ("sum", np.zeros((0, 3)), 1, np.zeros(0)),
    ("sum", np.zeros(0), None, 0),
    ("sum", [INF, -INF], 0, NAN),
    ("sum", [1, NAN], 0, NAN),
    ("sum", [[2.0], [3.0]], 1, [2, 3]),
    ("sum", 7, None, 7),
    ("max", np.zeros((0, 3)), 1, np.zeros(0)),
    ("max", [1, NAN, INF], 0, NAN),
    ("max", [-INF, -INF], 0, -INF),
    ("max", 7, None, 7),
    ("logsumexp", np.zeros((3, 0)), 1, [-INF] * 3),
    ("logsumexp", np.zeros((0, 3)), 1, np.zeros(0)),
    ("logsumexp", [-INF, -INF], 0, -INF),
    ("logsumexp", [-INF, INF, 1], 0, INF),
    ("logsumexp", [INF, NAN], 0, NAN),
    ("softmax", np.zeros((3, 0)), 1, np.zeros((3, 0))),
    ("softmax", np.zeros((0, 3)), 0, np.zeros((0, 3))),
    ("softmax", [[-INF, -INF], [0, 0]], 1, [[NAN, NAN], [0.5, 0.5]]),
    ("softmax", [0, INF], 0, [NAN, NAN]),
    ("softmax", [0, -INF], 0, [1, 0]),
    ("softmax", [60000, -60000], 0, [1, 0]),
    ("softmax", [1, NAN], 0, [NAN, NAN]),
    ("log_softmax", np.zeros((0, 3)), 1, np.zeros((0, 3))),
    ("log_softmax", [[-INF, -INF], [0, -200]], 1, [[NAN, NAN], [0, -200]]),
    ("log_softmax", [0, INF], 0, [NAN, NAN]),
    ("log_softmax", [0, -INF], 0, [0, -INF]),
    *((operator, 7, dim, 7) for operator in ("sum", "max", "logsumexp") for dim in (0, -1)),
    *((operator, 7, dim, value) for operator, value in (("softmax", 1), ("log_softmax", 0)) for dim in (0, -1)),
)


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize(("operator", "values", "dim", "expected"), EDGES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_edges_are_pytorchs(
    backend: str, operator: str, values: Any, dim: int | None, expected: Any, dtype: str
) -> None:
    x = np.asarray(values, np.float64).astype(numpy_dtype(dtype))
    for name, one in declared(backend, operator).items():
        got = answer(backend, one, x, dim=dim)
        assert got.shape == np.shape(expected), name
        np.testing.assert_array_equal(got.astype(np.float64), np.asarray(expected, np.float64), err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_types_are_added_up_in_a_wider_type(backend: str) -> None:
    x = np.array([65504, 65504, -65504], np.float16)
    for name, one in declared(backend, "sum").items():
        assert answer(backend, one, x, dim=0) == 65504, name
        assert answer(backend, one, x[:2], dim=0) == INF, name
    for name, one in declared(backend, "dot").items():
        assert answer(backend, one, x, np.ones_like(x)) == 65504, name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("shape", "dim"), [((0,), 0), ((0,), None), ((0, 3), 0), ((0, 3), None), ((0, 0), 0), ((0, 0), 1), ((2, 0, 3), 1)]
)
def test_the_maximum_of_nothing_is_an_error(shape: tuple[int, ...], dim: int | None, backend: str) -> None:
    for one in declared(backend, "max").values():
        with pytest.raises((ValueError, IndexError, RuntimeError)):
            answer(backend, one, np.zeros(shape, np.float32), dim=dim)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shapes", [((3,), (4,)), ((1,), (4,)), ((2, 2), (2, 2)), ((), ()), ((3,), (3, 1))])
def test_dot_of_anything_but_two_vectors_of_one_length_is_an_error(
    shapes: tuple[tuple[int, ...], ...], backend: str
) -> None:
    for one in declared(backend, "dot").values():
        with pytest.raises((ValueError, RuntimeError)):
            answer(backend, one, *(np.zeros(shape, np.float32) for shape in shapes))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "dot"])
@pytest.mark.parametrize(("shape", "dim"), [((2, 3), 2), ((2, 3), -3), ((), 1), ((), -2), ((0,), 1)])
def test_a_dim_out_of_range_is_an_index_error(operator: str, shape: tuple[int, ...], dim: int, backend: str) -> None:
    for one in declared(backend, operator).values():
        with pytest.raises(IndexError):
            answer(backend, one, np.zeros(shape, np.float32), dim=dim)


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
    import torch
    from harness.implementations.torch import from_host, to_host

    x = np.arange(6, dtype=np.float32).astype(ml_dtypes.bfloat16).reshape(2, 3).T
    tensor = from_host(x)
    assert tensor.dtype == torch.bfloat16 and tensor.stride() == (1, 3)
    tensor[0, 0] = 5
    assert x[0, 0] == 5
    assert to_host(tensor).dtype == x.dtype and np.array_equal(to_host(tensor), x)


@needs_torch
def test_torch_refuses_negative_strides_and_takes_zero_strides() -> None:
    from harness.implementations.torch import from_host

    x = np.arange(4, dtype=np.float32)
    with pytest.raises(Unsupported, match="negative strides"):
        from_host(x[::-1])
    assert from_host(np.lib.stride_tricks.as_strided(x, (3, 4), (0, 4))).stride() == (0, 1)


def test_a_missing_torch_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.implementations.torch import missing

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert missing() == "PyTorch is not installed; type: pip install 'kernel-harness[torch]'"


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


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is an extra")
def test_jax_has_its_answer_when_a_function_returns() -> None:
    """Else its times are those of the dispatch, and the audit calls them a lie."""
    script = (
        "import numpy as np; from harness.implementations.jax import backend, _jax;"
        "x = backend.from_host(np.ones((2000, 2000), np.float32)); np.asarray(x @ x);"
        "answers = [x @ x for _ in range(20)]; print(all(one.is_ready() for one in answers))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "True", done.stderr[-2000:]

"""The CUDA kernels on the CPU device: any number of warps in a block, rows divided among blocks, counts, layouts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.implementations.cuda import (
    argmax,
    cross_entropy,
    dot,
    logsumexp,
    max,
    movement,
    online,
    softmax,
    streaming,
    sum,
)
from harness.implementations.cuda.reductions import FINISHES, ORDERS
from harness.implementations.cuda.rows import joined, rows
from harness.implementations.numpy import blocks as twins

from harness.cuda import KernelFault, Source, cpu
from harness.cuda.building import build, compiler
from harness.cuda.memory import from_host

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C++ compiler")
FLOATS = ("float32", "float64", "float16")
BLOCKS = (32, 64, 96, 160, 256, 992, 1024)
HERE = Path(cross_entropy.__file__).parent


@pytest.fixture(scope="module")
def built() -> None:
    """All sources are compiled before the first test, and not in the time of one."""
    sources = (*softmax.BY_BLOCKS, argmax.ARGMAX, dot.DOT, online.ONLINE, streaming.STREAMING, movement.MOVEMENT)
    for source in (*sources, cross_entropy.CROSS_ENTROPY):
        for watched in (False, True):
            build(source, watched)


@pytest.fixture
def device(built: None) -> cpu.CpuDevice:
    return cpu.CpuDevice()


def integers(*shape: int, dtype: str = "float32") -> np.ndarray:
    """Small integers: every order of additions is exact."""
    return np.random.default_rng(0).integers(-4, 5, shape).astype(dtype)


def normal(*shape: int, dtype: str = "float32") -> np.ndarray:
    return (3 * np.random.default_rng(1).standard_normal(shape)).astype(dtype)


def host(device: Any, array: Any) -> np.ndarray:
    return np.asarray(device.read_back(array))


def logsumexp_of(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    top = np.max(wide, axis=-1, keepdims=True)
    return np.asarray(top + np.log(np.sum(np.exp(wide - top), axis=-1, keepdims=True)))


# ---- blocks of any number of warps


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("block", BLOCKS)
def test_reductions_by_blocks_of_any_number_of_warps(device: Any, order: str, finish: str, block: int) -> None:
    asked = {"order": order, "finish": finish, "block": block}
    for n in (1, 31, 33, 97, 161, 1023, 2500):
        x = integers(2, n)
        there = device.upload(x)
        assert np.array_equal(host(device, sum.by_blocks(device, there, dim=1, **asked)), x.sum(axis=1))
        assert np.array_equal(host(device, max.by_blocks(device, there, dim=1, **asked)), x.max(axis=1))
        a, b = device.upload(x[0]), device.upload(x[1])
        assert host(device, dot.by_blocks(device, a, b, **asked)) == np.dot(x[0], x[1])


@pytest.mark.parametrize("block", [32, 96, 160, 1024])
def test_softmax_and_logsumexp_by_blocks_of_any_number_of_warps(device: Any, block: int) -> None:
    x = normal(2, 700)
    there, expected = device.upload(x), logsumexp_of(x)
    for finish in FINISHES:
        y = host(device, softmax.by_blocks(device, there, dim=1, finish=finish, block=block))
        assert np.allclose(y, np.exp(x - expected), rtol=1e-5, atol=0)
    y = host(device, logsumexp.by_blocks(device, there, dim=1, block=block))
    assert np.allclose(y, expected[:, 0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("block", [32, 96, 160, 1024])
def test_positions_by_blocks_of_any_number_of_warps(device: Any, block: int) -> None:
    for n in (1, 33, 97, 2500):
        x = integers(3, n)
        x[2, n // 2 :] = np.nan
        found = host(device, argmax.by_blocks(device, device.upload(x), dim=1, block=block))
        assert np.array_equal(found, np.argmax(x, axis=1))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("finish", FINISHES)
@pytest.mark.parametrize("n", [5, 40, 200, 257, 3000])
def test_the_kernels_add_in_the_order_of_their_numpy_twins(device: Any, order: str, finish: str, n: int) -> None:
    x = normal(3, n)
    found = host(device, sum.by_blocks(device, device.upload(x), dim=1, order=order, finish=finish))
    assert np.array_equal(found, twins.FINISHES[finish](x, twins.ORDERS[order], np.add, 0))


# ---- what costs


def test_a_host_round_trip_is_counted_and_the_grid_needs_none(device: Any) -> None:
    x = device.upload(normal(4, 70_000))
    sum.by_blocks(device, x, dim=1, order="sequential", finish="host_round_trip")
    assert (device.counts.launches, device.counts.host_round_trips) == (1, 1)
    assert device.counts.bytes_to_host == 4 * 274 * 4
    before = device.counts
    sum.by_blocks(device, x, dim=1, order="sequential", finish="grid_reduced")
    # 70000 terms, 274 partials, 2 partials, 1
    assert device.counts.launches - before.launches == 3
    assert device.counts.host_round_trips == before.host_round_trips


def test_launches_of_the_softmax_strategies(device: Any) -> None:
    def counts(call: Any) -> tuple[int, int]:
        before = device.counts
        call()
        after = device.counts
        return after.launches - before.launches, after.host_round_trips - before.host_round_trips

    x = device.upload(normal(2, 1000))
    assert counts(lambda: softmax.by_blocks(device, x, dim=1, finish="host_round_trip")) == (3, 2)
    assert counts(lambda: softmax.by_blocks(device, x, dim=1, finish="grid_reduced")) == (5, 0)
    assert counts(lambda: online.normalised(device, x, dim=1, law="Softmax")) == (1, 0)
    long = device.upload(normal(2, 9000))
    assert counts(lambda: online.normalised(device, long, dim=1, law="Softmax")) == (2, 0)
    assert counts(lambda: streaming.summed(device, long, [(2, 9000)], [(9000, 1)], "float32")) == (1, 0)


# ---- long rows: in registers, read twice, or divided among several blocks


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1025, 4097, 8192, 8193, 17000, 40000])
@pytest.mark.parametrize("few", [0, 100], ids=["one_block", "several_blocks"])
def test_long_rows(device: Any, dtype: str, n: int, few: int) -> None:
    x = normal(3, n, dtype=dtype)
    x[1] = -np.inf
    x[2, ::7] = -np.inf
    there = device.upload(x)
    with np.errstate(invalid="ignore"):
        total = logsumexp_of(x)
        logs = x.astype(np.float64) - total
    unit = float(np.finfo(dtype).eps)
    tiny = float(np.finfo(dtype).smallest_subnormal)
    found = host(device, online.normalised(device, there, dim=1, law="Softmax", few=few)).astype(np.float64)
    assert np.allclose(found, np.exp(logs), rtol=20 * unit, atol=4 * tiny, equal_nan=True)
    found = host(device, online.normalised(device, there, dim=1, law="LogSoftmax", few=few)).astype(np.float64)
    assert np.allclose(found, logs, rtol=20 * unit, atol=0, equal_nan=True)
    found = host(device, online.logsumexp(device, there, dim=1, few=few)).astype(np.float64)
    expected = np.where(np.isnan(total), -np.inf, total)[:, 0]
    assert np.allclose(found, expected, rtol=20 * unit, atol=0)


def test_how_rows_are_shared_out() -> None:
    assert online.splits_for(1, 8192, 16, few=512) == 1
    assert online.splits_for(1, 8193, 16, few=512) == 3
    assert online.splits_for(1, 2**28, 16, few=512) == 1024
    assert online.splits_for(100, 2**20, 16, few=512) == 11
    assert online.splits_for(512, 2**20, 16, few=512) == 1
    assert online.threads_for(1025, 16) == 96
    assert online.threads_for(2**20, 16) == 512


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("count", "n"), [(1, 5000), (3, 20_000), (1100, 5), (5, 1024), (1025, 1030)])
def test_streaming_sums(device: Any, dtype: str, count: int, n: int) -> None:
    x = integers(count, n, dtype=dtype) / np.dtype(dtype).type(16)
    found = streaming.summed(device, device.upload(x), [(count, n)], [(n, 1)], "float64" if n < 0 else dtype)
    assert np.array_equal(host(device, found), x.astype(np.float64).sum(axis=1).astype(dtype))


def test_streaming_adds_in_the_same_order_wherever_a_row_begins(device: Any) -> None:
    x = normal(20_011)
    answers = set()
    for start in range(4):
        padded = np.zeros(20_020, np.float32)
        padded[start : start + x.size] = x
        view = from_host(padded)
        view.view = view.view[start : start + x.size]
        answers.add(float(host(device, streaming.summed(device, view, [], [(x.size, 1)], "float32"))[0]))
    assert len(answers) == 1


# ---- layouts


def test_dimensions_are_joined_where_they_lie_evenly() -> None:
    assert joined([(2, 12), (3, 4), (4, 1)]) == [(24, 1)]
    assert joined([(2, 12), (1, 99), (4, 1)]) == [(2, 12), (4, 1)]
    assert joined([(5, 0), (7, 0)]) == [(35, 0)]
    assert joined([(3, -4), (4, -1)]) == [(12, -1)]
    assert joined([]) == joined([(1, 7)]) == [(1, 0)]
    assert rows([(2, 12), (4, 1)], [(3, 4)]).outer_shape == (2, 4)


@pytest.mark.parametrize("dim", [None, 0, 1, 2, 3, 4, 5])
def test_any_strides_at_rank_six(device: Any, dim: int | None) -> None:
    x = integers(6, 3, 4, 2, 5, 3).transpose(4, 1, 5, 0, 3, 2)[::-1, :, ::2, 1:, :, ::-3]
    there = from_host(x)
    for order in ORDERS:
        found = sum.by_blocks(device, there, dim=dim, order=order, finish="grid_reduced")
        assert np.array_equal(host(device, found), x.sum(axis=dim))
    outer, inner = ([], list(range(6))) if dim is None else ([a for a in range(6) if a != dim], [dim])
    steps = [(size, stride // 4) for size, stride in zip(x.shape, x.strides, strict=True)]
    found = streaming.summed(device, there, [steps[a] for a in outer], [steps[a] for a in inner], "float32")
    assert np.array_equal(host(device, found).reshape(x.sum(axis=dim).shape), x.sum(axis=dim))
    if dim is not None:
        y = np.moveaxis(host(device, online.normalised(device, there, dim=dim, law="LogSoftmax")), dim, -1)
        moved = np.moveaxis(x, dim, -1)
        assert np.allclose(y, moved - logsumexp_of(moved), atol=1e-5)


def test_more_dimensions_than_are_joined(device: Any) -> None:
    x = integers(*(2,) * 12).transpose(*range(11, -1, -1))
    out = movement.expanded(device, from_host(x), movement.mapping(x, (3, *x.shape)).layout, (3, *x.shape))
    assert np.array_equal(host(device, out), np.broadcast_to(x, (3, *x.shape)))


def test_answers_of_more_than_2_31_elements_are_indexed_in_64_bits(device: Any, monkeypatch: Any) -> None:
    assert movement.index_type(2**31 - 256) == "int"
    assert movement.index_type(2**31 - 255) == "long long"
    monkeypatch.setattr(movement, "index_type", lambda count: "long long")
    x, y = integers(7, 1), integers(1, 50)
    shape = (3, 7, 50)
    found = movement.expanded(device, device.upload(x), movement.mapping(x, shape).layout, shape)
    assert np.array_equal(host(device, found), np.broadcast_to(x, shape))
    found = movement.selected(device, device.upload(x > y), device.upload(x), device.upload(y))
    assert np.array_equal(host(device, found), np.where(x > y, x, y))


@pytest.mark.parametrize(("shape", "dim"), [((2, 700, 40), 1), ((9, 33), 0), ((1030, 8), 0), ((300, 4, 64), 0)])
def test_rows_that_lie_side_by_side(device: Any, shape: tuple[int, ...], dim: int) -> None:
    x = integers(*shape)
    moved = np.moveaxis(x, dim, -1)
    steps = [(size, stride // 4) for size, stride in zip(x.shape, x.strides, strict=True)]
    inner = [steps.pop(dim)]
    assert rows(steps, inner).side_by_side
    assert not rows(inner, steps[:1]).side_by_side
    there = device.upload(x)
    found = host(device, streaming.summed(device, there, steps, inner, "float32"))
    assert np.array_equal(found, moved.sum(axis=-1).reshape(-1))
    found = np.moveaxis(host(device, online.normalised(device, there, dim=dim, law="Softmax")), dim, -1)
    assert np.allclose(found, np.exp(moved - logsumexp_of(moved)), rtol=1e-5, atol=0)
    found = host(device, online.logsumexp(device, there, dim=dim))
    assert np.allclose(found, logsumexp_of(moved)[..., 0], rtol=1e-6, atol=1e-6)


# ---- cross_entropy: what only the kernel sees

ASKED = {"weighted": False, "ignore_index": -100, "reduction": "mean", "label_smoothing": 0.0}


@pytest.mark.parametrize("n", [5, 1500])
def test_a_label_out_of_range_is_seen_by_the_kernel(device: Any, n: int) -> None:
    x = device.upload(normal(6, n))
    for bad in (n, -1, 2**40):
        labels = np.array([0, 1, -100, bad, 4, 2])
        with pytest.raises(IndexError, match=f"outside 0 to {n - 1}"):
            cross_entropy.fused(device, x, device.upload(labels), **ASKED)
    before = device.counts
    cross_entropy.fused(device, x, device.upload(np.array([0, 1, -100, 3, 4, 2])), **ASKED)
    assert device.counts.host_round_trips - before.host_round_trips == 1
    assert device.counts.bytes_to_host - before.bytes_to_host == 4


@pytest.mark.parametrize("n", [5, 1500])
def test_what_is_no_probability_is_seen_by_the_kernel(device: Any, n: int) -> None:
    x = device.upload(normal(3, n))
    for bad in (-0.5, np.nan):
        p = np.full((3, n), 1 / n, np.float32)
        p[2, n - 1] = bad
        with pytest.raises(ValueError, match="probability"):
            cross_entropy.fused(device, x, device.upload(p), **ASKED)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
def test_labels_of_images_side_by_side(device: Any, smoothing: float) -> None:
    x, labels = normal(2, 300, 7, 5), np.random.default_rng(2).integers(0, 300, (2, 7, 5))
    labels[0, :, 1::2] = -100
    asked = {**ASKED, "reduction": "none", "label_smoothing": smoothing}
    there = device.upload(x), device.upload(labels)
    moved, kept = np.moveaxis(x, 1, -1), labels[..., None] != -100
    logs = moved.astype(np.float64) - logsumexp_of(moved)
    q = np.where(kept, (1 - smoothing) * (np.arange(300) == labels[..., None]) + smoothing / 300, 0)
    found = host(device, cross_entropy.fused(device, *there, **asked))
    assert np.allclose(found, -(q * logs).sum(axis=-1), rtol=1e-5)
    g = device.upload(np.ones(labels.shape, np.float32))
    found = np.moveaxis(host(device, cross_entropy.gradient(device, g, *there, **asked)), 1, -1)
    assert np.allclose(found, np.where(kept, np.exp(logs) - q, 0), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("smoothing", [0.0, 0.25])
@pytest.mark.parametrize("n", [1025, 9000])
def test_the_loss_and_the_gradient_of_long_rows(device: Any, n: int, smoothing: float) -> None:
    x, labels = normal(2, n), np.array([n - 1, 7])
    asked = {**ASKED, "reduction": "none", "label_smoothing": smoothing}
    there = device.upload(x), device.upload(labels)
    logs = x.astype(np.float64) - logsumexp_of(x)
    q = (1 - smoothing) * (np.arange(n) == labels[:, None]) + smoothing / n
    found = host(device, cross_entropy.fused(device, *there, **asked))
    assert np.allclose(found, -(q * logs).sum(axis=1), rtol=1e-5)
    g = np.array([2.0, -1.0], np.float32)
    found = host(device, cross_entropy.gradient(device, device.upload(g), *there, **asked))
    assert np.allclose(found, g[:, None] * (np.exp(logs) - q), rtol=1e-5, atol=1e-9)


# ---- the story of the README


def test_a_missing_barrier_is_found_with_its_line(device: Any, tmp_path: Path) -> None:
    for name in ("sum.cu", "blocks.cuh", "rows.cuh", "numbers.cuh"):
        shutil.copy(HERE / name, tmp_path)
    text = (tmp_path / "blocks.cuh").read_text()
    loop = text.index("for (unsigned active")
    barrier = text.index("        __syncthreads();\n", loop)
    (tmp_path / "blocks.cuh").write_text(text[:barrier] + "\n" + text[barrier:].partition("\n")[2])
    source = Source(tmp_path / "sum.cu", ("sum_sequential<float, float>",))
    x, out = device.upload(normal(256)), device.empty((1,), "float32")
    layout = rows([], [(256, 1)]).layout
    with pytest.raises(KernelFault, match=r"data race.*blocks\.cuh"):
        device.launch(source.kernel("sum_sequential<float, float>"), 1, 256, 0, (x, layout, 256, 1, out))

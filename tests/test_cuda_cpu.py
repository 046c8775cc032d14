"""The CPU device: sources are read rightly, launches are checked, kernels run as CUDA has them, and faults have places.

The corpus of planted bugs is in test_sabotage_cuda.py; here are the parts that it stands on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from harness.cuda import CompileError, KernelFault, Source, building, faults
from harness.cuda.cpu import SCHEDULES, CpuDevice
from harness.cuda.source import for_cpu, unsupported
from harness.implement import Unsupported
from harness.precision import numpy_dtype

pytestmark = pytest.mark.skipif(building.compiler() is None, reason=building.HINT)


@pytest.fixture
def device() -> CpuDevice:
    return CpuDevice(seconds=5)


def written(tmp_path: Path, text: str, *instances: str) -> Source:
    path = tmp_path / "kernels.cu"
    path.write_text(textwrap.dedent(text))
    return Source(path, instances)


# ---- reading a source


def test_signatures_are_read_with_template_arguments_in_place(tmp_path: Path) -> None:
    source = written(
        tmp_path,
        """
        struct Layout { int rank; long long sizes[4]; };
        /* __global__ void commented(int n) {} */
        template <typename T, typename A = float, int BLOCK = 256>
        __global__ void __launch_bounds__(BLOCK)
        sum(const T* __restrict__ x, A *partials, const Layout layout, unsigned int n, bool keep) {}
        extern "C" __global__ void plain(float4* x, const half* y, long long n) {}
        """,
    )
    kernel = source.kernel("sum<__half, double>")
    assert [(one.name, one.dtype, one.is_pointer, one.is_const) for one in kernel.parameters] == [
        ("x", "float16", True, True),
        ("partials", "float64", True, False),
        ("layout", "", False, True),
        ("n", "uint32", False, False),
        ("keep", "bool", False, False),
    ]
    assert (kernel.base, kernel.line, kernel.max_threads) == ("sum", 6, 256)
    assert [one.dtype for one in source.kernel("plain").parameters] == ["float32", "float16", "int64"]
    with pytest.raises(LookupError, match=r"kernels.cu has no kernel 'commented'; there is: sum, plain"):
        source.kernel("commented")
    with pytest.raises(LookupError, match="no template argument for T"):
        source.kernel("sum")


def test_only_dynamic_shared_memory_is_rewritten() -> None:
    text = "// extern __shared__ int a[];\nextern __shared__ __align__(16) unsigned char\n  raw[];\nint x = 1;\n"
    changed = for_cpu(text)
    assert "KH_DYNAMIC_SHARED(raw, unsigned char);" in changed
    assert changed.splitlines()[0] == text.splitlines()[0] and changed.splitlines()[3] == "int x = 1;"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('asm volatile("mov.u32 %0, %laneid;" : "=r"(x));', "inline PTX"),
        ("cg::this_grid().sync();", "a barrier over the grid"),
        ("#include <mma.h>", "tensor core"),
        ("__cluster_dims__(4, 1, 1)", "clusters"),
        ("#include <cuda/barrier>", "libcu"),
    ],
)
def test_what_a_cpu_cannot_do_is_unsupported_with_its_line(
    tmp_path: Path, device: CpuDevice, line: str, what: str
) -> None:
    source = written(tmp_path, f"// asm\n/* asm */\n{line}\n")
    found = unsupported(source.text)
    assert found is not None and found[0] == 3 and what in found[1]
    with pytest.raises(Unsupported, match=r"kernels\.cu:3"):
        device.prepare(source)


def test_a_source_that_does_not_compile_names_its_line(tmp_path: Path, device: CpuDevice) -> None:
    source = written(tmp_path, "__global__ void broken(float* x) {\n    x[0] = undeclared;\n}\n")
    with pytest.raises(CompileError, match=r"kernels\.cu:2: 'undeclared' was not declared"):
        device.prepare(source)
    # neither compiler knows these names without a header, so they must not slip in here
    (tmp_path / "more").mkdir()
    source = written(tmp_path / "more", "__global__ void infinite(float* x) {\n    x[0] = INFINITY;\n}\n")
    with pytest.raises(CompileError, match=r"kernels\.cu:2: 'INFINITY'"):
        device.prepare(source)


# ---- launches are checked before anything runs

COPY = """
struct Pair { int a; double b; };
template <typename T>
__global__ void __launch_bounds__(256) copy(const T* from, T* to, int n, float scale, Pair pair) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) to[i] = from[i];
}
"""
PAIR = np.dtype([("a", np.int32), ("b", np.float64)], align=True)


def test_arguments_are_held_against_the_signature(tmp_path: Path, device: CpuDevice) -> None:
    kernel = written(tmp_path, COPY, "copy<float>").kernel("copy<float>")
    x, y = device.upload(np.arange(4, dtype=np.float32)), device.empty((4,), "float32")
    pair = np.zeros((), PAIR)[()]

    def launch(*arguments: object, grid: object = 1, block: object = 32, shared: int = 0) -> None:
        device.launch(kernel, grid, block, shared, arguments)  # type: ignore[arg-type]

    for arguments, error, message in (
        ((x, y, 4, 1.0), TypeError, "takes 5 arguments"),
        ((x, device.empty((4,), "float64"), 4, 1.0, pair), TypeError, r"argument to is float\*; the array is float64"),
        ((x, np.zeros(4, np.float32), 4, 1.0, pair), TypeError, "an array of cuda_cpu is needed"),
        ((x, y, 4.0, 1.0, pair), TypeError, "an integer is needed"),
        ((x, y, 2**31, 1.0, pair), ValueError, "2147483648 does not fit"),
        ((x, y, x, 1.0, pair), TypeError, "by value; an array is given"),
        ((x, y, 4, "1", pair), TypeError, "a number is needed"),
        ((x, y, 4, 1.0, 3), TypeError, "a NumPy structured scalar"),
        ((x, y, 4, 1.0, np.zeros((), [("a", np.int32)])[()]), TypeError, "argument pair is 16 bytes large in C"),
        ((device.empty((0,), "float32"), y, 4, 1.0, pair), ValueError, "no elements: do not launch"),
    ):
        with pytest.raises(error, match=message):
            launch(*arguments)
    with pytest.raises(ValueError, match="nothing to launch"):
        launch(x, y, 4, 1.0, pair, grid=0)
    for more in ({"block": 2048}, {"block": (32, 64)}, {"block": 512}, {"shared": 50_000}):
        with pytest.raises(KernelFault) as fault:
            launch(x, y, 4, 1.0, pair, **more)  # type: ignore[arg-type]
        assert fault.value.kind == (faults.TOO_MUCH_SHARED if "shared" in more else faults.BLOCK_TOO_LARGE)
    assert device.counts.launches == 0
    device.stream = None
    with pytest.raises(ValueError, match="no stream"):
        launch(x, y, 4, 1.0, pair)


def test_launches_round_trips_and_bytes_are_counted(tmp_path: Path, device: CpuDevice) -> None:
    kernel = written(tmp_path, COPY, "copy<float>").kernel("copy<float>")
    x, y = device.upload(np.arange(4, dtype=np.float32)), device.empty((4,), "float32")
    device.launch(kernel, 1, 32, 0, (x, y, 4, 1.0, np.zeros((), PAIR)[()]))
    assert device.read_back(y).tolist() == [0, 1, 2, 3]
    counts = device.counts
    assert (counts.launches, counts.host_round_trips, counts.bytes_to_device, counts.bytes_to_host) == (1, 1, 16, 16)


# ---- kernels run as CUDA has them


def run(
    device: CpuDevice, source: Source, name: str, grid: object, block: object, shared: int, *arguments: object
) -> None:
    device.launch(source.kernel(name), grid, block, shared, arguments)  # type: ignore[arg-type]


WARP = """
__global__ void shuffles(const int* x, int* out) {
    int t = threadIdx.x, lane = t % 32, v = x[t];
    out[t] = __shfl_sync(~0u, v, (lane + 5) % 32);
    out[32 + t] = __shfl_up_sync(~0u, v, 3, 8);
    out[64 + t] = __shfl_down_sync(~0u, v, 3, 16);
    out[96 + t] = __shfl_xor_sync(~0u, v, 9);
    out[128 + t] = __ballot_sync(~0u, v % 3 == 0);
    out[160 + t] = __any_sync(~0u, v == 7) * 2 + __all_sync(~0u, v >= 0);
    out[192 + t] = __match_any_sync(~0u, v % 5);
    out[224 + t] = __reduce_add_sync(~0u, v) + __reduce_max_sync(~0u, -v);
    int all;
    out[256 + t] = __match_all_sync(~0u, 3, &all) + all;
}
"""


def test_warp_operations_give_what_the_guide_says(tmp_path: Path, device: CpuDevice) -> None:
    v = np.arange(32, dtype=np.int32) * 7 % 32
    out = device.zeros((288,), "int32")
    run(device, written(tmp_path, WARP), "shuffles", 1, 32, 0, device.upload(v), out)
    got = device.read_back(out).reshape(9, 32)
    lane = np.arange(32)
    assert np.array_equal(got[0], v[(lane + 5) % 32])
    assert np.array_equal(got[1], v[np.where(lane % 8 >= 3, lane - 3, lane)])
    assert np.array_equal(got[2], v[np.where(lane % 16 + 3 < 16, lane + 3, lane)])
    assert np.array_equal(got[3], v[lane ^ 9])
    bits = np.uint32(1) << lane.astype(np.uint32)
    assert np.all(got[4].view(np.uint32) == bits[v % 3 == 0].sum(dtype=np.uint32))
    assert np.all(got[5] == 3)
    assert np.array_equal(got[6].view(np.uint32), [bits[v % 5 == one].sum(dtype=np.uint32) for one in v % 5])
    assert np.all(got[7] == v.sum())
    assert np.all(got[8] == 0)


BARRIERS = """
__global__ void votes(int* out) {
    extern __shared__ int dynamic[];
    __shared__ double fixed[2][16];
    int t = threadIdx.x + blockDim.x * threadIdx.y;
    dynamic[t] = t;
    if (t < 32) fixed[t / 16][t % 16] = t * 0.5;
    int n = __syncthreads_count(t % 3 == 0);
    int o = __syncthreads_or(t == 17), a = __syncthreads_and(t < 1000);
    out[t] = dynamic[blockDim.x * blockDim.y - 1 - t] + (int)fixed[1][15] + n + 1000 * (o != 0) + 2000 * (a != 0);
}
"""


def test_barriers_vote_and_shared_memory_is_the_blocks(tmp_path: Path, device: CpuDevice) -> None:
    out = device.zeros((48,), "int32")
    run(device, written(tmp_path, BARRIERS), "votes", 1, (8, 6), 48 * 4, out)
    assert np.array_equal(device.read_back(out), 47 - np.arange(48) + 15 + 16 + 3000)


HALVES = """
#include <cuda_bf16.h>
#include <cuda_fp16.h>
template <typename T>
__global__ void rounded(const float* x, T* y, float* back, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) { y[i] = T(x[i]); back[i] = float(y[i]) + float(T(1.0f)); }
}
"""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_types_round_as_numpy_does(tmp_path: Path, device: CpuDevice, dtype: str) -> None:
    """On every finite half, and on the ties and near ties between them."""
    kind = numpy_dtype(dtype)
    halves = np.arange(1 << 16, dtype=np.uint16).view(kind).astype(np.float32)
    halves = np.sort(halves[np.isfinite(halves)])
    ties = halves[:-1] + (halves[1:] - halves[:-1]) / 2
    x = np.concatenate([halves, ties, np.nextafter(ties, np.float32(np.inf)), [np.inf, -np.inf, np.nan, 1e38]])
    x = x.astype(np.float32)
    name = {"float16": "rounded<__half>", "bfloat16": "rounded<__nv_bfloat16>"}[dtype]
    y, back = device.empty(x.shape, dtype), device.empty(x.shape, "float32")
    run(device, written(tmp_path, HALVES, name), name, -(-x.size // 256), 256, 0, device.upload(x), y, back, x.size)
    with np.errstate(all="ignore"):
        want = x.astype(kind)
    got = device.read_back(y)
    nan = np.isnan(want.astype(np.float32))
    assert np.array_equal(got[~nan].view(np.uint16), want[~nan].view(np.uint16))
    assert np.all(np.isnan(got[nan].astype(np.float32)))
    assert np.array_equal(device.read_back(back)[~nan], want[~nan].astype(np.float32) + 1)


ATOMICS = """
__device__ unsigned served;
__constant__ int table[4] = {1, 2, 3, 4};
__global__ void together(int* out, float* sum, unsigned* ticket, unsigned long long* wide) {
    atomicAdd(out, table[threadIdx.x % 4]);
    atomicMax(out + 1, (int)threadIdx.x);
    atomicMin(out + 2, -(int)threadIdx.x);
    atomicExch(out + 3, 5);
    atomicAdd(sum, 0.5f);
    atomicInc(ticket, 9u);
    atomicAdd(wide, 1ull << 33);
    atomicCAS(out + 4, 0, 1);
}
"""


def test_atomics_and_module_variables(tmp_path: Path, device: CpuDevice) -> None:
    out, total = device.zeros((5,), "int32"), device.zeros((1,), "float32")
    ticket, wide = device.zeros((1,), "uint32"), device.zeros((1,), "uint64")
    run(device, written(tmp_path, ATOMICS), "together", 2, 64, 0, out, total, ticket, wide)
    assert device.read_back(out).tolist() == [320, 63, -63, 5, 1]
    assert (device.read_back(total)[0], device.read_back(ticket)[0], device.read_back(wide)[0]) == (64, 8, 128 << 33)


GROUPS = """
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;
__global__ void tiles(const int* x, int* out) {
    auto block = cg::this_thread_block();
    auto tile = cg::tiled_partition<16>(block);
    int v = x[block.thread_rank()];
    int total = cg::reduce(tile, v, cg::plus<int>());
    block.sync();
    out[block.thread_rank()] = total * 1000 + tile.meta_group_rank() * 100 + tile.thread_rank() + tile.any(v == 3);
}
"""


def test_cooperative_groups(tmp_path: Path, device: CpuDevice) -> None:
    x, out = np.arange(64, dtype=np.int32), device.empty((64,), "int32")
    run(device, written(tmp_path, GROUPS), "tiles", 1, 64, 0, device.upload(x), out)
    tile = x // 16
    want = x.reshape(4, 16).sum(axis=1)[tile] * 1000 + tile * 100 + x % 16 + (tile == 0)
    assert np.array_equal(device.read_back(out), want)


def test_strided_inputs_keep_their_strides(tmp_path: Path, device: CpuDevice) -> None:
    source = written(
        tmp_path,
        """
        __global__ void gather(const float* x, float* y, long long rows, long long columns, long long a, long long b) {
            for (long long i = threadIdx.x; i < rows * columns; i += blockDim.x)
                y[i] = x[i / columns * a + i % columns * b];
        }
        """,
    )
    from harness.cuda.memory import from_host

    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (base, base.T, base[::-1, ::2], base[:, ::-3], np.broadcast_to(base[1], (5, 6))):
        x, y = from_host(view), device.empty(view.shape, "float32")
        a, b = (step // 4 for step in x.strides)
        run(device, source, "gather", 1, 32, 0, x, y, *view.shape, a, b)
        assert x.strides == view.strides and np.array_equal(device.read_back(y), view)


# ---- what is found, and what is not accused

TREE = """
__global__ void tree(const float* x, float* out) {
    __shared__ float s[256];
    int t = threadIdx.x;
    s[t] = x[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (int k = blockDim.x / 2; k > 0; k /= 2) {
        if (t < k) s[t] += s[t + k];
        __syncthreads();
    }
    if (t == 0) out[blockIdx.x] = s[0];
}
"""


def test_a_removed_barrier_is_found_with_its_line(tmp_path: Path, device: CpuDevice) -> None:
    x = device.upload(np.ones(512, np.float32))
    right = written(tmp_path, TREE)
    out = device.empty((2,), "float32")
    run(device, right, "tree", 2, 256, 0, x, out)
    assert device.read_back(out).tolist() == [256, 256] and not device.notes
    lines = TREE.splitlines()
    barrier = max(number for number, line in enumerate(lines) if "__syncthreads" in line)
    (tmp_path / "wrong").mkdir()
    wrong = written(tmp_path / "wrong", "\n".join([*lines[:barrier], "", *lines[barrier + 1 :]]))
    with pytest.raises(KernelFault) as fault:
        run(device, wrong, "tree", 2, 256, 0, x, out)
    assert fault.value.kind == faults.DATA_RACE and fault.value.line == 8, str(fault.value)
    assert fault.value.file == "kernels.cu" and fault.value.kernel == "tree" and fault.value.others[0].line == 8


def test_schedules_differ_where_only_they_can_tell(tmp_path: Path) -> None:
    """Without the instrumented build: a launch of too many bytes for it. The order of the blocks is what differs."""
    source = written(
        tmp_path, "__global__ void last(float* x, float* out) { if (threadIdx.x == 0) out[0] = blockIdx.x; }"
    )
    device = CpuDevice()
    with pytest.raises(KernelFault) as fault:
        run(device, source, "last", 4, 32, 0, device.zeros((1 << 18,), "float32"), device.zeros((1,), "float32"))
    # once it is known that something is wrong, the instrumented build is asked for the line after all
    assert fault.value.kind == faults.DATA_RACE and fault.value.line == 1
    assert len({schedule.name for schedule in SCHEDULES}) == len(SCHEDULES)


def test_a_sum_by_floating_atomics_may_depend_on_the_order_unless_it_is_exact(tmp_path: Path) -> None:
    source = written(tmp_path, "__global__ void add(const float* x, float* out) { atomicAdd(out, x[threadIdx.x]); }")
    device = CpuDevice()
    x = np.random.default_rng(1).standard_normal(256).astype(np.float32)
    out = device.zeros((1,), "float32")
    run(device, source, "add", 1, 256, 0, device.upload(x), out)
    assert abs(device.read_back(out)[0] - x.sum(dtype=np.float64)) < 1e-4
    out = device.zeros((1,), "float32")
    run(device, source, "add", 1, 256, 0, device.upload(np.arange(256, dtype=np.float32)), out)
    assert device.read_back(out)[0] == 32640


def test_an_endless_wait_ends_with_its_line(tmp_path: Path) -> None:
    source = written(tmp_path, "__global__ void wait(volatile int* x) {\n    while (x[0] == 0) {}\n}\n")
    device = CpuDevice(seconds=0.5)
    with pytest.raises(KernelFault) as fault:
        run(device, source, "wait", 1, 32, 0, device.zeros((1,), "int32"))
    assert fault.value.kind == faults.ENDLESS_WAIT and fault.value.line == 2


def test_a_wild_pointer_does_not_end_the_process(tmp_path: Path) -> None:
    source = written(tmp_path, "__global__ void wild(float* x, long long n) {\n    x[n] = 1;\n}\n")
    device = CpuDevice()
    for offset in (1 << 40, -(1 << 40), 3, -1):
        with pytest.raises(KernelFault) as fault:
            run(device, source, "wild", 1, 1, 0, device.zeros((2,), "float32"), offset)
        assert fault.value.kind == faults.OUT_OF_BOUNDS and fault.value.line == 2, offset
    # too large to be watched from the start: found by the guard zone or the signal, then explained
    for offset in (1 << 40, 1 << 18):
        with pytest.raises(KernelFault) as fault:
            run(CpuDevice(), source, "wild", 1, 1, 0, device.zeros((1 << 18,), "float32"), offset)
        assert fault.value.kind == faults.OUT_OF_BOUNDS and fault.value.line == 2, offset


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("out[0] += x[i];", faults.DATA_RACE),
        ("out[1 + i] = x[i + 1];", faults.OUT_OF_BOUNDS),
        ("out[1 + i] = *(const double*)(x + i);", faults.MISALIGNED),
    ],
)
def test_of_a_large_launch_some_blocks_are_watched(tmp_path: Path, line: str, kind: str) -> None:
    source = written(
        tmp_path,
        "__global__ void large(const float* x, double* out) {\n"
        "    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;\n"
        f"    {line}\n}}\n",
    )
    device, n = CpuDevice(), 1 << 16
    with pytest.raises(KernelFault) as fault:
        x, out = device.upload(np.ones(n, np.float32)), device.zeros((n + 1,), "float64")
        run(device, source, "large", n // 256, 256, 0, x, out)
    assert (fault.value.kind, fault.value.line) == (kind, 3)


WAITS = """
__global__ void waits(int* flags) {
    if (blockIdx.x == 0) while (atomicAdd(flags, 0) == 0) {}
    if (blockIdx.x == 1) atomicExch(flags, 1);
}
__global__ void for_ever(int* flags) {
    if (blockIdx.x == 1) while (atomicAdd(flags, 0) == 0) {}
}
"""


def test_a_wait_for_a_block_that_comes_later_is_unsupported_and_a_wait_for_nobody_is_wrong(tmp_path: Path) -> None:
    source = written(tmp_path, WAITS)
    device = CpuDevice()
    with pytest.raises(Unsupported, match=r"one after another on cuda_cpu: .*kernels\.cu:3, block 0"):
        run(device, source, "waits", 2, 32, 0, device.zeros((1,), "int32"))
    with pytest.raises(KernelFault) as fault:
        run(device, source, "for_ever", 2, 32, 0, device.zeros((1,), "int32"))
    assert fault.value.kind == faults.ENDLESS_WAIT and fault.value.line == 7


def test_without_a_compiler_there_is_a_row_with_the_hint_until_there_is_one(tmp_path: Path) -> None:
    def check(**environment: str) -> list[dict[str, str]]:
        command = [sys.executable, "-m", "harness.cli", "check", "sum/cuda_cpu/streaming/float32[33]*", "--json"]
        env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), **environment}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=env, timeout=300)
        rows: list[dict[str, str]] = json.loads(done.stdout)
        return rows

    (row,) = check(PATH="/nonexistent")
    assert row["status"] == "missing" and "apt-get install g++" in row["reason"]
    (row,) = check()
    assert row["status"] == "passed", row["reason"]

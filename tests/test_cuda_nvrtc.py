"""CUDA sources compiled without a GPU: figures from the log, occupancy, what got worse, and the compiler's errors."""

import dataclasses
import struct

import pytest

from harness.cuda import nvrtc, sass
from harness.cuda.faults import CompileError
from harness.cuda.occupancy import occupancy
from harness.cuda.resources import Resources, differences, read_log

HINT = nvrtc.missing()
compiled = pytest.mark.skipif(HINT is not None, reason=str(HINT))
disassembled = pytest.mark.skipif(
    sass.disassembler() is None, reason="nvdisasm (nvidia-cuda-nvdisasm) is not installed"
)

PLAIN = Resources("k", "sm_90", "NVRTC 13.0.88", 32, 0, 0, 0, 0, 1, 640)


def changed(**figures):
    return dataclasses.replace(PLAIN, **figures)


# ---- the log


LOG = """
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z1kIffEvPKT_PS0_i' for 'sm_80'
ptxas info    : Function properties for _Z1kIffEvPKT_PS0_i
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 14 registers, used 1 barriers, 128 bytes smem, 372 bytes cmem[0]
ptxas info    : Compile time = 2.125 ms
ptxas info    : Compiling entry function '_Z5spillPKfPf' for 'sm_80'
ptxas info    : Function properties for _Z5spillPKfPf
ptxas         .     360 bytes stack frame, 444 bytes spill stores, 572 bytes spill loads
ptxas info    : Function properties for _Z6helperfPKf
ptxas         .     8 bytes stack frame, 4 bytes spill stores, 4 bytes spill loads
ptxas info    : Used 24 registers, used 0 barriers, 360 bytes cumulative stack size, 368 bytes cmem[0]
"""


def test_a_log_is_read_kernel_by_kernel() -> None:
    assert read_log(LOG) == {
        "_Z1kIffEvPKT_PS0_i": {
            "stack_bytes": 0,
            "spill_store_bytes": 0,
            "spill_load_bytes": 0,
            "registers": 14,
            "barriers": 1,
            "shared_bytes": 128,
        },
        "_Z5spillPKfPf": {
            "stack_bytes": 360,
            "spill_store_bytes": 444,
            "spill_load_bytes": 572,
            "registers": 24,
            "barriers": 0,
            "shared_bytes": 0,
        },
    }


def test_a_log_without_kernels_has_no_figures() -> None:
    assert read_log("") == read_log("ptxas info    : 0 bytes gmem\n") == {}


@pytest.mark.parametrize(
    ("log", "place", "said"),
    [
        ('/a b/k.cu(2): error: identifier "x" is undefined\n    x;\n', ("/a b/k.cu", 2), 'identifier "x" is undefined'),
        ('k.cuh(7): warning #177-D: unused\n\nk.cu(9): error #20: no "y"\n', ("k.cu", 9), 'no "y"'),
        ('k.cu(1): catastrophic error: cannot open "no.h"\n', ("k.cu", 1), 'cannot open "no.h"'),
        ("ptxas error   : Entry function 'f' uses too much shared data\n", ("s.cu", 0), "too much shared data"),
        ("nvrtc: error: invalid value for --gpu-architecture (-arch)\n", ("s.cu", 0), "invalid value"),
        ("", ("s.cu", 0), "NVRTC gave no reason"),
    ],
)
def test_the_first_error_names_its_place(log: str, place: tuple[str, int], said: str) -> None:
    error = nvrtc.first_error(log, "s.cu")
    assert (error.file, error.line) == place
    assert said in str(error)


def test_launch_bounds_are_read_from_ptx() -> None:
    ptx = ".visible .entry f(\n.param .u64 a\n)\n.maxntid 16, 8, 2\n{ret;}\n.entry g(\n)\n{ret;}\n"
    ptx += ".entry h()\n.maxntid 64\n{}"
    assert nvrtc.launch_bounds(ptx) == {"f": 256, "h": 64}


# ---- occupancy: expected values by cuda_occupancy.h of the toolkit


@pytest.mark.parametrize(
    ("figures", "block", "dynamic", "blocks", "limit"),
    [
        ({}, 256, 0, 8, "warps"),
        ({"registers": 8}, 32, 0, 32, "blocks"),
        ({"registers": 40}, 256, 0, 6, "registers"),
        ({"registers": 128}, 128, 0, 4, "registers"),
        ({"registers": 255}, 512, 0, 0, "registers"),
        ({"shared_bytes": 48 * 1024}, 128, 0, 4, "shared memory"),
        ({"shared_bytes": 1024}, 128, 226 * 1024, 1, "shared memory"),
        ({"shared_bytes": 1024}, 128, 227 * 1024, 0, "shared memory"),
        ({"barriers": 16}, 64, 0, 4, "barriers"),
        ({"architecture": "sm_80", "barriers": 16}, 64, 0, 32, "warps"),
        ({"architecture": "sm_86"}, 256, 0, 6, "warps"),
        ({"architecture": "sm_90a"}, 256, 0, 8, "warps"),
        ({"max_threads": 128}, 256, 0, 0, "threads of a block"),
        ({}, 2048, 0, 0, "threads of a block"),
    ],
)
def test_occupancy(figures: dict, block: int, dynamic: int, blocks: int, limit: str) -> None:
    found = occupancy(changed(**figures), block, dynamic)
    assert (found.blocks, found.limit) == (blocks, limit)
    assert found.warps == blocks * -(-block // 32)


def test_occupancy_is_a_share_of_the_warps_that_fit() -> None:
    assert occupancy(changed(registers=40), 256).fraction == 48 / 64


def test_unknown_limits_and_empty_blocks_are_errors() -> None:
    with pytest.raises(ValueError, match="sm_35"):
        occupancy(changed(architecture="sm_35"), 256)
    with pytest.raises(ValueError, match="0 threads"):
        occupancy(PLAIN, 0)


# ---- what got worse


def test_nothing_is_worse_that_is_equal_better_or_new() -> None:
    better = changed(registers=24)
    assert differences([PLAIN], [PLAIN], 256) == differences([PLAIN], [better, changed(kernel="new")], 256) == []


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ({"registers": 33}, ["32 registers became 33", "falls from 100% to 75% (limited by registers)"]),
        ({"spill_store_bytes": 8, "spill_load_bytes": 16}, ["it spills: 8 bytes of stores and 16 of loads"]),
        ({"shared_bytes": 40 * 1024}, ["falls from 100% to 62% (limited by shared memory)"]),
        ({"max_threads": 128}, ["blocks of 256 cannot be launched any more (threads of a block)"]),
        ({"registers": 34, "compiler": "NVRTC 13.5.37"}, ["(compiled by NVRTC 13.0.88, now by NVRTC 13.5.37)", "75%"]),
    ],
)
def test_what_got_worse_is_named(figures: dict, said: list[str]) -> None:
    found = differences([PLAIN], [changed(**figures)], 256)
    assert len(found) == len(said)
    for sentence, words in zip(found, said, strict=True):
        assert sentence.startswith("k on sm_90: ")
        assert words in sentence


def test_a_growing_spill_and_a_lost_kernel_are_named() -> None:
    before = changed(spill_store_bytes=4, spill_load_bytes=4)
    after = changed(spill_store_bytes=8, spill_load_bytes=4)
    assert differences([before], [after], 256) == [
        "k on sm_90: 8 bytes of spills became 8 bytes of stores and 4 of loads"
    ]
    assert differences([after], [before], 256) == []
    assert differences([PLAIN], [changed(architecture="sm_80")], 256) == ["k on sm_90: is gone"]


def test_more_registers_that_cost_no_step_of_occupancy_are_named_once() -> None:
    assert differences([changed(registers=20)], [changed(registers=30)], 256) == ["k on sm_90: 20 registers became 30"]


# ---- machine code


@pytest.mark.parametrize(
    ("opcode", "kind"),
    [
        ("LDG.E", "global load"),
        ("LDG.E.128.CONSTANT", "global load of 16 bytes"),
        ("STG.E.128", "global store of 16 bytes"),
        ("LDS.128", "shared load"),
        ("LDL.LU.64", "local load"),
        ("LDCU.64", "constant load"),
        ("LDGSTS.E.BYPASS.128", "asynchronous copy"),
        ("MUFU.EX2", "special function"),
        ("SHFL.DOWN", "warp exchange"),
        ("BAR.SYNC.DEFER_BLOCKING", "barrier"),
        ("RED.E.ADD.F32.FTZ.RN.STRONG.GPU", "atomic"),
        ("REDUX.SUM", "warp exchange"),
        ("IMAD.WIDE.U32", "integer"),
        ("UIADD3", "integer"),
        ("HFMA2.MMA", "float16"),
        ("HMMA.16816.F32", "tensor core"),
        ("WHAT.IS.THIS", "other"),
    ],
)
def test_instructions_have_kinds(opcode: str, kind: str) -> None:
    assert sass.kind_of(opcode) == kind


def elf_file(sections: dict[str, int]) -> bytes:
    """An ELF file with nothing but section headers of the given sizes, and their names."""
    names, at = b"\0", {}
    for name in sections:
        at[name] = len(names)
        names += name.encode() + b"\0"
    start = sass.ELF_HEADER.size
    table = start + len(names)
    header = sass.ELF_HEADER.pack(
        2, 190, 1, 0, 0, table, 0, start, 0, 0, sass.SECTION_HEADER.size, len(sections) + 1, 0
    )
    rows = [struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, start, len(names), 0, 0, 1, 0)]
    rows += [struct.pack("<IIQQQQIIQQ", at[name], 1, 6, 0, 0, size, 0, 0, 128, 0) for name, size in sections.items()]
    return b"\x7fELF\x02\x01" + header[6:] + names + b"".join(rows)


def test_code_sizes_are_those_of_the_sections() -> None:
    assert sass.code_sizes(elf_file({".text._Z1f": 640, ".nv.info._Z1f": 48, ".text.g": 128})) == {
        "_Z1f": 640,
        "g": 128,
    }


def test_what_is_no_elf_file_has_no_code() -> None:
    with pytest.raises(ValueError, match="ELF"):
        sass.code_sizes(b"//\n// Generated by a compiler\n")


# ---- headers


def test_texts_of_a_source_are_its_own_and_those_of_its_headers_once(tmp_path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (tmp_path / "a.cu").write_text('#include <cuda_fp16.h>\n#include "b.cuh"\n  # include "c.cuh"\n#include "no.cuh"\n')
    (tmp_path / "b.cuh").write_text('#include "a.cu"\n#include "c.cuh"\n// b\n')
    (more / "c.cuh").write_text("// c\n")
    texts = nvrtc.source_texts(tmp_path / "a.cu", [more])
    assert [text.splitlines()[-1] for text in texts] == ['#include "no.cuh"', "// b", "// c"]


# ---- the compiler itself


SOURCE = """
#include <cuda_fp16.h>
#include "scale.cuh"

template <typename T, typename A>
__global__ void __launch_bounds__(256) turned(const T *x, T *y, int n) {
    __shared__ A tile[64];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    tile[threadIdx.x % 64] = i < n ? scaled((A)x[i]) : (A)0;
    __syncthreads();
    if (i < n) y[i] = (T)tile[63 - threadIdx.x % 64];
}

__global__ void vectors(const float4 *x, float4 *y) {
    float4 v = x[threadIdx.x];
    v.x = __expf(v.x);
    y[threadIdx.x] = v;
}

// 96 values a thread live across the barrier: more than the registers that 1024 threads leave to each
__global__ void __launch_bounds__(BOUND) hoarding(const float *x, float *y) {
    float v[96];
#pragma unroll
    for (int i = 0; i < 96; i++) v[i] = x[i * blockDim.x + threadIdx.x];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 96; i++) y[i * blockDim.x + threadIdx.x] = v[i] * v[95 - i];
}
"""
SCALE = "template <typename A> __device__ A scaled(A a) { return a * (A)2; }\n"
INSTANCES = ("turned<float, float>", "turned<__half, float>", "vectors", "hoarding")


@pytest.fixture
def source(tmp_path):
    (tmp_path / "scale.cuh").write_text(SCALE)
    path = tmp_path / "kernels.cu"
    path.write_text(SOURCE)
    return path


def figures(source, bound, architectures=("sm_90",), instances=INSTANCES):
    found = nvrtc.resources(
        source, instances, architectures, options=[f"-DBOUND={bound}"], cache=source.parent / "cache"
    )
    return {(one.kernel, one.architecture): one for one in found}


@compiled
def test_every_instance_has_figures_for_every_architecture(source) -> None:
    found = figures(source, 256, nvrtc.ARCHITECTURES)
    assert set(found) == {(kernel, architecture) for kernel in INSTANCES for architecture in nvrtc.ARCHITECTURES}
    for one in found.values():
        assert 4 <= one.registers <= 255
        assert one.code_bytes > 0
        assert one.compiler.startswith("NVRTC 13.")
    for architecture in nvrtc.ARCHITECTURES:
        tile = found["turned<float, float>", architecture]
        assert (tile.shared_bytes, tile.barriers, tile.max_threads, tile.spill_bytes) == (256, 1, 256, 0)
        assert found["turned<__half, float>", architecture].shared_bytes == 256
        vectors = found["vectors", architecture]
        assert (vectors.shared_bytes, vectors.barriers, vectors.max_threads) == (0, 0, None)


@compiled
def test_registers_that_are_short_show_as_a_spill_and_as_a_difference(source) -> None:
    roomy, short = (list(figures(source, bound, instances=["hoarding"]).values()) for bound in (256, 1024))
    assert roomy[0].spill_bytes == 0 < short[0].spill_store_bytes
    assert short[0].registers <= 64
    assert any("it spills" in sentence for sentence in differences(roomy, short, 256))
    assert any("of spills" in sentence or "registers became" in sentence for sentence in differences(short, roomy, 256))


@compiled
@disassembled
def test_the_instructions_of_a_kernel_are_counted(source) -> None:
    (one,) = figures(source, 256, instances=["vectors"]).values()
    assert one.instructions is not None
    mix = dict(one.instructions)
    assert mix["global load of 16 bytes"] == mix["global store of 16 bytes"] == mix["special function"] == 1
    assert "global load" not in mix
    spilling = dict(figures(source, 1024, instances=["hoarding"])["hoarding", "sm_90"].instructions)
    assert spilling["local store"] > 0 < spilling["local load"]


@compiled
def test_without_a_disassembler_only_the_instructions_are_unknown(source, monkeypatch) -> None:
    monkeypatch.setattr(sass, "disassembler", lambda: None)
    (one,) = figures(source, 256, instances=["vectors"]).values()
    assert one.instructions is None
    assert one.registers > 0


@compiled
def test_figures_are_kept_until_the_source_a_header_or_an_option_changes(source, monkeypatch) -> None:
    calls = []
    real = nvrtc.compile_source

    def counted(*arguments, **options):
        calls.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(nvrtc, "compile_source", counted)
    first = figures(source, 256, ["sm_80", "sm_90"])
    assert (figures(source, 256, ["sm_90", "sm_80"]), len(calls)) == (first, 2)
    figures(source, 512, ["sm_90"])
    assert len(calls) == 3
    (source.parent / "scale.cuh").write_text(SCALE.replace("2", "3"))
    figures(source, 256, ["sm_90"])
    assert len(calls) == 4
    assert len(list((source.parent / "cache").iterdir())) == 1


@compiled
@pytest.mark.parametrize("content", ["", "[]", '{"a": [{}]}', '{"a": 3}'])
def test_a_damaged_cache_is_made_anew(source, content: str) -> None:
    first = figures(source, 256, instances=["vectors"])
    (file,) = (source.parent / "cache").iterdir()
    file.write_text(content)
    assert figures(source, 256, instances=["vectors"]) == first


@compiled
def test_an_error_names_file_and_line(source) -> None:
    source.write_text('#include "scale.cuh"\n__global__ void f(float *x) {\n    x[0] = INFINITY;\n}\n')
    with pytest.raises(CompileError, match='identifier "INFINITY" is undefined') as caught:
        nvrtc.resources(source, ["f"], cache=source.parent)
    assert (caught.value.file, caught.value.line) == (str(source), 3)
    (source.parent / "scale.cuh").write_text("\n\nint a = ;\n")
    with pytest.raises(CompileError) as caught:
        nvrtc.resources(source, ["f"], cache=source.parent)
    assert (caught.value.file, caught.value.line) == (str(source.parent / "scale.cuh"), 3)


@compiled
@pytest.mark.parametrize(
    ("text", "instance", "said"),
    [
        ("__global__ void f() {}\n", "g<float>", "the instance g<float>"),
        (
            "__global__ void f(int *x) { __shared__ int s[50000]; s[threadIdx.x] = 1; *x = s[0]; }\n",
            "f",
            "too much shared",
        ),
    ],
)
def test_errors_without_a_line_name_the_source(source, text: str, instance: str, said: str) -> None:
    source.write_text(text)
    with pytest.raises(CompileError, match=said) as caught:
        nvrtc.resources(source, [instance], cache=source.parent)
    assert (caught.value.file, caught.value.line) == (str(source), 0)


@compiled
def test_an_architecture_that_does_not_exist_is_an_error(source) -> None:
    with pytest.raises(CompileError, match="arch"):
        nvrtc.resources(source, ["vectors"], ["sm_1"], options=["-DBOUND=256"], cache=source.parent)


def test_what_is_missing_is_said_with_what_to_type(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(nvrtc.importlib.util, "find_spec", lambda name: None)
    nvrtc.missing.cache_clear()
    try:
        assert "pip install 'kernel-harness[nvrtc]'" in nvrtc.missing()
        with pytest.raises(ImportError, match="cuda-bindings"):
            nvrtc.resources(tmp_path / "k.cu", ["k"])
    finally:
        nvrtc.missing.cache_clear()

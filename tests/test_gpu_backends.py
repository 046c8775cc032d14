"""Backends for a GPU where there is none: what is declared, why it is missing, and what of it can be run all the same.

PyTorch's strategies for CUDA run on CPU tensors, Triton's kernels in its interpreter, and Triton's compiler makes code
for a GPU that is not there. What only a GPU can show is not tested here.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from conftest import needs_torch
from harness.implementations import torch_cuda

from harness import modules, reading
from harness.declare import Case
from harness.registry import load

HAS_TRITON = all(importlib.util.find_spec(name) for name in ("triton", "torch"))
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason="Triton is an extra: pip install 'kernel-harness[triton]'")

THREE = {"builtin", "composed", "compiled"}
FAMILY = ("softmax", "log_softmax", "logsumexp", "expand", "where", "cross_entropy")
DECLARED = {
    **{("torch_cuda", operator): THREE for operator in ("sum", "max", "dot", *FAMILY)},
    **{("cupy", operator): {"builtin", "reduction_kernel"} for operator in ("sum", "max", "dot")},
    **{("cupy", operator): {"builtin"} for operator in FAMILY},
    ("triton", "softmax"): {"builtin", "online"},
    ("triton", "sum"): {"builtin"},
    ("triton", "cross_entropy"): {"fused"},
}


@pytest.fixture(scope="module")
def registry():
    return load()


# ---- what is declared


@pytest.mark.parametrize(("backend", "operator"), DECLARED)
def test_what_is_declared_is_listed_without_a_gpu(registry, backend: str, operator: str) -> None:
    found = {one.implementation for one in registry.declarations if (one.backend, one.operator) == (backend, operator)}
    assert found >= DECLARED[backend, operator]


def test_reading_without_the_libraries_finds_no_problems(registry) -> None:
    folders = ("cupy", "torch_cuda", "triton")
    assert [one for one in registry.problems if any(f"/{folder}/" in one.where for folder in folders)] == []


def test_compiled_strategies_compile_before_the_clock(registry) -> None:
    for one in registry.declarations:
        if one.backend == "torch_cuda":
            assert one.has_prepare == (one.implementation == "compiled")


def test_the_registry_says_why_a_gpu_backend_is_missing(registry) -> None:
    assert registry.backends["torch_cuda"].missing == torch_cuda.no_gpu()
    assert (registry.backends["triton"].missing is None) == HAS_TRITON


def test_triton_is_timed_only_on_a_gpu(registry) -> None:
    assert registry.backends["triton"].timed == (torch_cuda.no_gpu() is None and "TRITON_INTERPRET" not in os.environ)


def test_a_library_that_imports_lazily_takes_no_backend_away(monkeypatch) -> None:
    """CuPy brings modules along that import more when they are asked for their class."""

    class Lazy(types.ModuleType):
        @property
        def __class__(self):
            monkeypatch.setitem(sys.modules, f"asked_for_{len(sys.modules)}", types.ModuleType("asked"))
            return types.ModuleType

    monkeypatch.setitem(sys.modules, "lazy_module", Lazy("lazy_module"))
    (data,) = modules.read_modules([{"name": "harness.implementations.torch_cuda", "path": ""}], ["torch"])
    assert [one["name"] for one in data["backends"]] == ["torch_cuda"]


def test_a_backend_is_asked_again_when_its_library_or_a_variable_changes(monkeypatch, tmp_path) -> None:
    before = reading._installed_libraries()
    assert reading._installed_libraries() == before
    # a package need not be called as its module is: cupy comes as cupy-cuda13x
    (tmp_path / "cupyx.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    installed = reading._installed_libraries()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert len({before, installed, reading._installed_libraries()}) == 3


# ---- why there is no GPU


class Driver:
    """NVIDIA's driver library, as far as it is asked."""

    def __init__(self, status: int, gpus: int) -> None:
        self.cuInit = lambda flags: status
        self.gpus = gpus

    def cuDeviceGetCount(self, count) -> int:
        count._obj.value = self.gpus
        return 0


def installed(monkeypatch, folder: Path, version_file: str | None) -> None:
    """Let PyTorch look installed, with a version.py of this text."""
    (folder / "__init__.py").touch()
    if version_file is not None:
        (folder / "version.py").write_text(version_file)
    spec = types.SimpleNamespace(origin=str(folder / "__init__.py"))
    monkeypatch.setattr(torch_cuda.importlib.util, "find_spec", lambda name: spec)


def test_pytorch_that_is_not_there(monkeypatch) -> None:
    monkeypatch.setattr(torch_cuda.importlib.util, "find_spec", lambda name: None)
    assert "not installed" in torch_cuda.no_gpu() and "pip install" in torch_cuda.no_gpu()


@pytest.mark.parametrize("text", ["cuda: Optional[str] = None\nhip = None\n", "cuda = None\n", "", None])
def test_pytorch_without_cuda(monkeypatch, tmp_path, text) -> None:
    installed(monkeypatch, tmp_path, text)
    assert "built without CUDA" in torch_cuda.no_gpu()


@pytest.mark.parametrize("text", ["cuda: Optional[str] = '13.0'\n", 'cuda = "12.8"\n'])
@pytest.mark.parametrize(
    ("driver", "said"),
    [(None, "no NVIDIA driver"), (Driver(100, 0), "error 100"), (Driver(0, 0), "offers no GPU"), (Driver(0, 2), None)],
)
def test_pytorch_with_cuda_and_what_the_driver_says(monkeypatch, tmp_path, text, driver, said) -> None:
    def library(name: str):
        if driver is None:
            raise OSError(f"{name}: cannot open shared object file")
        return driver

    installed(monkeypatch, tmp_path, text)
    monkeypatch.setattr(ctypes, "CDLL", library)
    reason = torch_cuda.no_gpu()
    assert reason is None if said is None else said in reason


# ---- PyTorch's strategies, on CPU tensors


@needs_torch
@pytest.mark.parametrize("dtype", ["float32", "int16", "bfloat16"])
def test_a_copy_keeps_strides_and_alignment(dtype: str) -> None:
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    base = np.arange(120).astype(kind)
    layouts = [
        base,
        base.reshape(10, 12)[::3, 1::2],
        base.reshape(4, 5, 6).transpose(2, 0, 1),
        base[3:83].reshape(8, 10),
        np.lib.stride_tricks.as_strided(base, (5, 7), (0, kind.itemsize)),
        base[:0],
        base[5:6].reshape(()),
    ]
    for array in layouts:
        copy = torch_cuda.copied(array, "cpu")
        assert np.array_equal(torch_cuda.to_host(copy), array)
        assert copy.data_ptr() != array.ctypes.data
        if array.size > 1:
            assert copy.stride() == tuple(stride // array.itemsize for stride in array.strides)
            assert (copy.data_ptr() - array.ctypes.data) % 16 == 0 or array.ctypes.data % array.itemsize


@needs_torch
def test_negative_strides_are_refused() -> None:
    with pytest.raises(torch_cuda.Unsupported, match="negative"):
        torch_cuda.copied(np.arange(4.0)[::-1], "cpu")


@needs_torch
def test_every_case_is_compiled_on_its_own(monkeypatch) -> None:
    """More shapes than torch.compile keeps for one function: none falls back to running uncompiled."""
    import torch
    from harness.implementations.torch_cuda import strategies
    from harness.implementations.torch_cuda.reductions import total

    graphs = []

    def backend(graph, inputs):
        graphs.append([tuple(one.shape) for one in inputs])
        return graph.forward

    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: real(function, backend=backend, **options))
    ready = {}
    for n in range(1, 21):
        case = Case("float32", ((n, 3),), (("dim", 1),))
        ready[n] = strategies.compiled_for(total, case, "cpu")
    assert graphs == [[(n, 3)] for n in range(1, 21)]
    for n, function in ready.items():
        assert torch.equal(function(torch.ones(n, 3), dim=1), torch.full((n,), 3.0))
    assert len(graphs) == 20


@needs_torch
def test_a_case_of_bad_input_fails_where_it_is_judged() -> None:
    from harness.implementations.torch_cuda import strategies
    from harness.implementations.torch_cuda.reductions import total

    function = strategies.compiled_for(total, Case("float32", ((2, 3),), (("dim", 2),), raises="no such dim"), "cpu")
    with pytest.raises(Exception, match=r"[Dd]im"):
        function(*strategies.zeros(Case("float32", ((2, 3),)), "cpu"), dim=2)


@needs_torch
def test_inputs_to_compile_with_have_the_types_of_the_operator() -> None:
    import torch
    from harness.implementations.torch_cuda.strategies import zeros

    labels = (("weighted", True), ("ignore_index", -100))
    kinds = [one.dtype for one in zeros(Case("float16", ((4, 3), (4,), (3,)), labels), "cpu")]
    assert kinds == [torch.float16, torch.int64, torch.float16]
    kinds = [one.dtype for one in zeros(Case("float16", ((4, 3), (4, 3)), labels), "cpu")]
    assert kinds == [torch.float16, torch.float16]
    assert [one.dtype for one in zeros(Case("int64", ((2,), (2,), (2,))), "cpu")] == [torch.bool] + [torch.int64] * 2


# ---- Triton: interpreted, and compiled for a GPU that is not there


@needs_triton
def test_triton_is_right_in_its_interpreter(tmp_path) -> None:
    cases = (
        "softmax/triton/*/float*[9x300]dim=1*",
        "softmax/triton/online/float32[65537]*",
        "sum/triton/*/float32[300x9]*",
        "cross_entropy/triton/*/float64[7x33*",
    )
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "check", "--json", *cases],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, env={**os.environ, "TRITON_INTERPRET": "1"},
    )  # fmt: skip
    rows = [row for row in json.loads(done.stdout) if row["backend"] == "triton"]
    assert {row["operator"] for row in rows} == {"softmax", "sum", "cross_entropy"}
    assert [row["reason"] for row in rows if row["status"] not in ("passed", "unsupported")] == []
    assert sum(row["status"] == "passed" for row in rows) > 50


COMPILE = """
import harness.implementations.torch_cuda
harness.implementations.torch_cuda.no_gpu = lambda: None
import triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from harness.implementations.triton import cross_entropy, softmax
from harness.implementations.triton.rows import tile_of
from harness.implementations.triton.sum import WIDTH, partial_sums

POINTERS = {"labels": "*i64", "partials": "*fp32", "losses": "*fp32", "shares": "*fp32", "down": "*fp32",
            "weight_sum": "*fp32"}
NUMBERS = ("rows", "n", "inner", "share", "ignored")
KERNELS = [
    (softmax.whole_rows, 300, softmax.LONGEST), (softmax.whole_rows, 16384, softmax.LONGEST),
    (softmax.rows_in_blocks, 100000, softmax.BLOCK), (softmax.gradient_in_blocks, 100000, softmax.BLOCK),
    (partial_sums, 100000, WIDTH),
    (cross_entropy.label_losses, 1000, 4096), (cross_entropy.probability_losses, 1000, 4096),
    (cross_entropy.label_gradients, 1000, 4096), (cross_entropy.probability_gradients, 1000, 4096),
]
for kernel, n, widest in KERNELS:
    height, width, warps = tile_of(n, widest)
    constants = {"TYPE": tl.float32, "HEIGHT": height, "WIDTH": width, "OWN": 0.9, "EACH": 0.001, "WEIGHTED": True}
    constants = {name: value for name, value in constants.items() if name in kernel.arg_names}
    signature = {
        name: "constexpr" if name in constants else "i32" if name in NUMBERS else POINTERS.get(name, "*bf16")
        for name in kernel.arg_names
    }
    source = ASTSource(
        kernel, signature=signature,
        constexprs={(kernel.arg_names.index(name),): value for name, value in constants.items()},
    )
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": warps})
    assert built.asm["cubin"].startswith(b"\\x7fELF"), kernel
print("compiled", len(KERNELS))
"""


@needs_triton
def test_triton_compiles_every_kernel_for_a_gpu_that_is_not_here(tmp_path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**environment, "TRITON_CACHE_DIR": str(tmp_path / "triton")},
    )  # fmt: skip
    assert done.stdout.strip() == "compiled 9", done.stdout + done.stderr

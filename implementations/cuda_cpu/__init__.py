"""CUDA kernels on a CPU, from their own source: a device for conformance, never timed."""

from harness import Backend
from harness.cuda import building, cpu


def missing():
    return None if building.compiler() else building.HINT


def versions():
    return {"C++ compiler": building.version()}


backend = Backend(
    name="cuda_cpu",
    library="harness",
    from_host=cpu.from_host,
    to_host=cpu.to_host,
    array_type="harness.cuda.cpu.CpuArray",
    missing=missing,
    versions=versions,
    timed=False,
    counts=cpu.counts,
)

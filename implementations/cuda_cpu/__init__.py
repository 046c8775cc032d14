"""CUDA kernels on a CPU, from their own source: a device for conformance, never timed."""

from harness import Backend
from harness.cuda import building, cpu, memory


def missing():
    return None if building.compiler() else building.HINT


def versions():
    return {"C++ compiler": building.version()}


backend = Backend(
    name="cuda_cpu",
    library="harness",
    from_host=memory.from_host,
    to_host=memory.to_host,
    array_type="harness.cuda.memory.CpuArray",
    missing=missing,
    wait=cpu.wait,
    versions=versions,
    timed=False,
    work=cpu.work,
)

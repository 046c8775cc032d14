"""CUDA kernels: a source, its host side, and the devices that run both: a GPU through CuPy, or the CPU."""

from harness.cuda.declaring import implementation
from harness.cuda.device import Counts, Device
from harness.cuda.faults import CompileError, Finding, KernelFault, Place
from harness.cuda.source import C_TYPES, Kernel, Source

__all__ = [
    "C_TYPES",
    "CompileError",
    "Counts",
    "Device",
    "Finding",
    "Kernel",
    "KernelFault",
    "Place",
    "Source",
    "implementation",
]

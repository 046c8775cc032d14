"""What the CUDA compiler says of a source: the figures of its kernels for one architecture, where it is installed."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from harness.cuda import nvrtc
from harness.cuda.resources import Resources
from harness.cuda.source import Kernel, Source

ARCHITECTURE = "sm_90"
"""Of the figures in a record."""


@functools.cache
def compiled(source: Source) -> Mapping[str, Resources] | None:
    """The figures of all kernels of a source, by name; None without the compiler. Raises CompileError."""
    if nvrtc.missing():
        return None
    return {one.kernel: one for one in nvrtc.resources(source.path, source.entries, (ARCHITECTURE,))}


def resources_of(kernel: Kernel) -> Resources | None:
    """The figures of one kernel, or None without the compiler."""
    found = compiled(kernel.source)
    return None if found is None else found.get(kernel.name)

"""DECLARE: one host side, marked as an implementation of its operator on both devices."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.cuda import cpu, gpu
from harness.cuda.device import Device
from harness.cuda.source import Source
from harness.declare import Accumulation, Case
from harness.implement import MARK, Function, Implementation

DEVICES: dict[str, Callable[[], Device]] = {"cuda_cpu": cpu.device, "cupy": gpu.device}
"""The device of each backend that runs kernels."""


def implementation(
    operator: str,
    *,
    sources: Sequence[Source],
    name: str = "",
    supports: Callable[[Case], str | None] | None = None,
    accumulation: Accumulation | None = None,
    gradient: Callable[..., Any] | None = None,
    known: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Mark `host(device, *arrays, **parameters)` as an implementation of `operator` on a GPU and on a CPU.

    `sources` are compiled before anything is called, apart from every clock. `gradient(device, cotangent, *arrays,
    **parameters)`; everything else as in `harness.implementation`.
    """

    def mark(function: Function) -> Function:
        marks: list[Implementation] = function.__dict__.setdefault(MARK, [])
        for backend, device in DEVICES.items():
            call = _on(device, function)
            marks.append(
                Implementation(
                    operator,
                    backend,
                    name or function.__name__,
                    call,
                    supports,
                    accumulation,
                    None if gradient is None else _on(device, gradient),
                    functools.partial(_prepare, device, tuple(sources), call),
                    known,
                    tuple((str(source.path), source.instances) for source in sources),
                )
            )
        return function

    return mark


def _on(device: Callable[[], Device], function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arrays: Any, **parameters: Any) -> Any:
        return function(device(), *arrays, **parameters)

    return call


def _prepare(
    device: Callable[[], Device], sources: tuple[Source, ...], call: Callable[..., Any], case: Case
) -> Callable[..., Any]:
    for source in sources:
        device().prepare(source)
    return call

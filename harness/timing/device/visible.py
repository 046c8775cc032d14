"""Which GPUs this process sees, by their uuids: the same card has another number in every process."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from harness.timing.device.state import SMI_DEADLINE_S, has_nvml

DRIVER = "/dev/nvidiactl"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card: `uuid` is its own, `name` its model."""

    uuid: str
    name: str


@functools.cache
def visible_gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs of this process, in its own order; none where no driver is loaded. Where it is not known which
    ones those are, all that the machine has. Asked once."""
    if not os.path.exists(DRIVER):
        return ()
    gpus = _all()
    return chosen(gpus, os.environ.get("CUDA_VISIBLE_DEVICES")) if _order_is_known(gpus) else gpus


def measured_alone(drives_gpu: Iterable[bool]) -> list[str]:
    """The uuids of the GPUs that alone are measured on, where each backend that is timed `drives_gpu`; empty where the
    CPU is measured too, or no card is known. Kernels run on the first one, or, where it is not known which one that
    is, on any."""
    gpus = visible_gpus() if all(drives_gpu) else ()
    return [gpu.uuid for gpu in (gpus[:1] if _order_is_known(gpus) else gpus)]


def _order_is_known(gpus: tuple[Gpu, ...]) -> bool:
    """Whether CUDA's numbers are those of the driver's tools, which follow the PCI bus, or are not used at all: if not
    told otherwise, CUDA has the fastest model first, as it sees that."""
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    by_uuid = wanted is not None and not any(_is_number(word) for word in wanted.split(","))
    by_bus = os.environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    return by_uuid or by_bus or len({gpu.name for gpu in gpus}) <= 1


def _is_number(word: str) -> bool:
    word = word.strip()
    return word.isdecimal() and word.isascii()


def chosen(gpus: tuple[Gpu, ...], wanted: str | None) -> tuple[Gpu, ...]:
    """Those of a machine's GPUs that CUDA_VISIBLE_DEVICES leaves: numbers or (beginnings of) uuids, up to the first
    that is none."""
    if wanted is None:
        return gpus
    found: list[Gpu] = []
    for word in (one.strip() for one in wanted.split(",")):
        if _is_number(word):
            same = [gpus[int(word)]] if int(word) < len(gpus) else []
        else:
            same = [gpu for gpu in gpus if word and gpu.uuid.startswith(word)]
        if len(same) != 1 or same[0] in found:
            break
        found += same
    return tuple(found)


def _all() -> tuple[Gpu, ...]:
    if has_nvml():
        with contextlib.suppress(Exception):
            return _from_nvml()
    command = ["nvidia-smi", "--query-gpu=uuid,name", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=SMI_DEADLINE_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [line.partition(",") for line in said.splitlines() if line.strip()]
    return tuple(Gpu(uuid.strip(), name.strip()) for uuid, _, name in rows)


def _from_nvml() -> tuple[Gpu, ...]:
    nvml = importlib.import_module("pynvml")
    nvml.nvmlInit()
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    said = [(nvml.nvmlDeviceGetUUID(one), nvml.nvmlDeviceGetName(one)) for one in handles]
    return tuple(Gpu(*(one.decode() if isinstance(one, bytes) else str(one) for one in pair)) for pair in said)

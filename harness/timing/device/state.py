"""What a GPU says of itself while it runs: clocks, temperature, power, reasons to slow down. Read, never set.

NVML answers in microseconds where its Python module (`pynvml`) is installed; nvidia-smi takes a tenth of a second.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

SMI_DEADLINE_S = 5.0
SMI_EVERY_S = 1.0
IDLE = 0x1
SLOWED = {
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "heat (software)",
    0x40: "heat (hardware)",
    0x80: "power brake",
}
"""NVML's clocks event reasons that mean slower than asked for; the others are an idle GPU and what a user has set."""
FELL = 0.95
LOW = 0.75
"""An SM clock that falls below the first share of what it was, or stands below the second of the highest one, makes a
sample suspect. nvbench discards below three quarters of the default clock."""

_SMI_FIELDS = {
    "sm_mhz": "clocks.sm",
    "memory_mhz": "clocks.mem",
    "max_sm_mhz": "clocks.max.sm",
    "max_memory_mhz": "clocks.max.mem",
    "temperature_c": "temperature.gpu",
    "power_w": "power.draw",
    "power_limit_w": "power.limit",
    "reasons": "clocks_event_reasons.active",
    "driver": "driver_version",
    "persistence": "persistence_mode",
}
_OLD_REASONS = "clocks_throttle_reasons.active"
"""The name of the reasons before the driver 535."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One reading. What the driver does not say is None; `reasons` are NVML's bits; `problem` says why nothing is
    known."""

    sm_mhz: float | None = None
    memory_mhz: float | None = None
    max_sm_mhz: float | None = None
    max_memory_mhz: float | None = None
    temperature_c: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    reasons: int | None = None
    driver: str | None = None
    persistence: str | None = None
    problem: str = ""

    @property
    def slowed_by(self) -> tuple[str, ...]:
        """Why the driver slows the GPU down, in words."""
        bits = self.reasons or 0
        return tuple(words for bit, words in SLOWED.items() if bits & bit)

    @property
    def running_mhz(self) -> float | None:
        """The SM clock, unless the GPU idled when it was asked: then its clock says nothing of the work before."""
        return None if (self.reasons or 0) & IDLE else self.sm_mhz


def contamination(before: State, after: State) -> str:
    """Why what was timed between two readings is not clean, in words, or an empty string. What is not known
    contaminates nothing."""
    found = []
    slowed = dict.fromkeys((*before.slowed_by, *after.slowed_by))
    if slowed:
        found.append(f"the GPU was slowed by {', '.join(slowed)}")
    was, now, highest = before.running_mhz, after.running_mhz, after.max_sm_mhz
    if was is not None and now is not None and not now >= FELL * was:
        found.append(f"the SM clock fell from {was:.0f} to {now:.0f} MHz")
    if now is not None and highest is not None and not now >= LOW * highest:
        found.append(f"the SM clock stood at {now:.0f} of {highest:.0f} MHz")
    return "; ".join(found)


class Watch:
    """Readings of a GPU that are `every_s` apart at least: an older one is handed out in between, unless the reading
    has to be `fresh`."""

    def __init__(self, read: Callable[[], State] | None = None, every_s: float | None = None) -> None:
        self._read = read or read_state
        self._every_s = (0.0 if has_nvml() else SMI_EVERY_S) if every_s is None else every_s
        self._newest: tuple[float, State] | None = None

    def state(self, fresh: bool = False) -> State:
        now = time.monotonic()
        if fresh or self._newest is None or now - self._newest[0] >= self._every_s:
            self._newest = now, self._read()
        return self._newest[1]


@functools.cache
def has_nvml() -> bool:
    """Whether the Python module of NVML is installed."""
    return importlib.util.find_spec("pynvml") is not None


def read_state() -> State:
    """The state of the GPU that this process sees first."""
    if has_nvml():
        with contextlib.suppress(Exception):
            return _from_nvml()
    return _from_smi()


def visible() -> str:
    """The first GPU of this process, as nvidia-smi names it: it knows nothing of CUDA_VISIBLE_DEVICES."""
    return (os.environ.get("CUDA_VISIBLE_DEVICES") or "0").split(",")[0].strip() or "0"


@functools.cache
def _nvml() -> tuple[Any, Any]:
    pynvml = importlib.import_module("pynvml")
    pynvml.nvmlInit()
    wanted = visible()
    if wanted.isdigit():
        return pynvml, pynvml.nvmlDeviceGetHandleByIndex(int(wanted))
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(wanted)


def _from_nvml() -> State:
    nvml, gpu = _nvml()

    def ask(function: str, *arguments: Any) -> Any:
        try:
            return getattr(nvml, function)(gpu, *arguments)
        except Exception:  # a GPU need not support every question, nor a version of the module know it
            return None

    def watts(milliwatts: int | None) -> float | None:
        return None if milliwatts is None else milliwatts / 1000.0

    reasons = ask("nvmlDeviceGetCurrentClocksEventReasons")
    return State(
        sm_mhz=ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
        memory_mhz=ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
        max_sm_mhz=ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM),
        max_memory_mhz=ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_MEM),
        temperature_c=ask("nvmlDeviceGetTemperature", nvml.NVML_TEMPERATURE_GPU),
        power_w=watts(ask("nvmlDeviceGetPowerUsage")),
        power_limit_w=watts(ask("nvmlDeviceGetEnforcedPowerLimit")),
        reasons=ask("nvmlDeviceGetCurrentClocksThrottleReasons") if reasons is None else reasons,
        driver=_text(nvml.nvmlSystemGetDriverVersion()),
    )


def _text(said: Any) -> str:
    return said.decode() if isinstance(said, bytes) else str(said)


def _from_smi() -> State:
    fields = list(_SMI_FIELDS.values())
    text = _smi(fields)
    if isinstance(text, Exception) and not isinstance(text, (OSError, subprocess.TimeoutExpired)):
        text = _smi([_OLD_REASONS if one == _SMI_FIELDS["reasons"] else one for one in fields])
    if isinstance(text, Exception):
        return State(problem=f"nvidia-smi did not answer: {text}"[:200])
    values = [one.strip() for one in text.splitlines()[0].split(",")] if text.strip() else []
    return state_of(dict(zip(_SMI_FIELDS, values, strict=False)))


def _smi(fields: list[str]) -> str | Exception:
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits", f"--id={visible()}"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SMI_DEADLINE_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return error


def state_of(said: Mapping[str, str]) -> State:
    """The state from nvidia-smi's words by the names of the fields; a word that is no number is what is not known."""
    numbers: dict[str, Any] = {}
    for name, text in said.items():
        if name in ("driver", "persistence"):
            numbers[name] = text
            continue
        with contextlib.suppress(ValueError):
            numbers[name] = int(text, 16) if name == "reasons" else float(text.split()[0] if text else "")
    return State(**numbers)

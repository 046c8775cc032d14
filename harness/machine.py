"""The machine that a run happened on: what it is, an id that stays the same between runs, and the commit at hand."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import psutil

RUNS_KERNELS = (
    "numpy",
    "ml_dtypes",
    "torch",
    "cupy",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "jax",
    "jaxlib",
    "triton",
    "numba",
)
LIBRARIES = (*RUNS_KERNELS, "pandas", "SQLAlchemy")
VARIABLES = (
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "GOMP_",
    "KMP_",
    "NUMEXPR_",
    "CUDA_VISIBLE",
    "MALLOC_",
    "GLIBC_",
    "LD_PRELOAD",
)
IDENTITY = ("cpu", "architecture", "cores_usable", "memory_gib", "system", "python", "kernels", "environment")
GIT_DEADLINE_S = 10.0


def describe() -> dict[str, Any]:
    """Everything that a time may depend on, as JSON-able data. Imports no framework."""
    versions = _versions()
    return {
        "cpu": _cpu_name(),
        "architecture": platform.machine(),
        "cores": psutil.cpu_count(logical=True),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_usable": _usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": platform.system(),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": versions,
        "kernels": {name: version for name, version in versions.items() if name in RUNS_KERNELS},
        "threads": _thread_pools(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)},
        "frequency": _frequency(),
        "address_randomisation": _read("/proc/sys/kernel/randomize_va_space"),
        "state": {"load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None},
    }


def machine_id(description: dict[str, Any]) -> str:
    """12 hex digits over what makes two machines comparable: not the load, not the clock of the moment."""
    identity = json.dumps({name: description[name] for name in IDENTITY}, sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def commit() -> tuple[str | None, bool | None]:
    """The git commit of the current directory and whether anything is uncommitted; (None, None) outside of git."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None, None
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return head, None if changed is None else bool(changed)


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_DEADLINE_S,
            check=True,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_name() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("model name", "Model", "cpu model")):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _thread_pools() -> list[dict[str, Any]]:
    """The BLAS and OpenMP pools of this process; a worker's own are in its backend's versions."""
    import numpy  # noqa: F401 - loads the BLAS that is to be asked
    import threadpoolctl

    keys = ("user_api", "internal_api", "version", "num_threads", "architecture")
    return [{key: pool[key] for key in keys if key in pool} for pool in threadpoolctl.threadpool_info()]


def _frequency() -> dict[str, Any]:
    folder = "/sys/devices/system/cpu/cpu0/cpufreq"
    return {
        "governor": _read(f"{folder}/scaling_governor"),
        "largest_khz": _read(f"{folder}/cpuinfo_max_freq"),
        "turbo_off": _read("/sys/devices/system/cpu/intel_pstate/no_turbo"),
    }


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None

"""The machine that a run happened on: what it is, an id that stays the same between runs, and the commit at hand."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from harness import fingerprint
from harness.timing.device.visible import Gpu, chosen

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
    "MALLOC_",
    "GLIBC_",
    "LD_PRELOAD",
)
RULE = 2
"""By which rule an id was made; descriptions of before this key are of rule 1."""
FIRST_IDENTITY = ("cpu", "architecture", "cores_usable", "memory_gib", "system", "python", "kernels", "environment")
"""What an id of rule 1 was made of."""
BOX = ("cpu", "architecture", "instructions", "caches_kib", "smt", "memory_gib", "numa_nodes", "gpus")
"""The hardware: ids that agree in it are probably one box with something changed."""
IDENTITY = (
    *BOX, "cores_usable", "quota_cores", "gpus_visible", "driver", "cuda", "system", "python", "kernels", "blas",
    "environment",
)  # fmt: skip
"""What an id is made of: times are compared only where all of it is equal."""
SETTINGS = ("governor", "turbo", "limit_khz", "huge_pages")
"""What an owner changes on one machine and times follow at once: it is kept by the run, and has to be equal too."""
NOTED = (
    "kernel", "microcode", "mitigations", "hypervisor", "container", "image", "cpuset", "memory_limit_gib", "libraries",
    "harness", "cores", "cores_physical", "least_khz", "largest_khz", "address_randomisation",
)  # fmt: skip
"""What is told where it differs, and keeps nothing from being compared."""
UNIQUE = ("uuid",)
"""What tells one GPU from another of its kind: a time does not depend on it."""
GIT_DEADLINE_S = 10.0


def describe(root: Path = fingerprint.ROOT) -> dict[str, Any]:
    """Everything that a time may depend on, as JSON-able data; what cannot be read is None. Imports no framework.

    `root` holds proc and sys: another folder than / stands for another machine, whose GPUs are those of its files.
    Raises harness.fingerprint.NoAnswer where nvidia-smi is there and does not answer.
    """
    versions = _versions()
    here = root == fingerprint.ROOT
    processor = fingerprint.processor(root)
    memory = fingerprint.memory_gib(root)
    graphics = fingerprint.graphics(root, fingerprint.asked_smi() if here else None)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {
        "rule": RULE,
        **processor,
        "cpu": processor["cpu"] or (platform.processor() or platform.machine() if here else None),
        "architecture": platform.machine(),
        "cores": processor["cores"] or (psutil.cpu_count(logical=True) if here else None),
        "cores_usable": len(usable_cores()),
        "caches_kib": fingerprint.caches_kib(root),
        "memory_gib": round(psutil.virtual_memory().total / 2**30) if memory is None and here else memory,
        "numa_nodes": fingerprint.numa_nodes(root),
        **graphics,
        "gpus_visible": _visible(graphics["gpus"], visible),
        **fingerprint.limits(root),
        **fingerprint.clocks(root),
        "huge_pages": fingerprint.huge_pages(root),
        "system": platform.system(),
        "kernel": fingerprint.read(root / "proc/sys/kernel/osrelease") or (platform.release() if here else None),
        "mitigations": fingerprint.mitigations(root),
        "container": fingerprint.container(root, os.environ),
        "image": fingerprint.image(root),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": versions,
        "kernels": {name: version for name, version in versions.items() if name in RUNS_KERNELS},
        "harness": _version("kernel-harness"),
        "blas": _blas(),
        "threads": _thread_pools(),
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)},
        "address_randomisation": fingerprint.read(root / "proc/sys/kernel/randomize_va_space"),
        "state": {
            "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
            "cuda_visible_devices": visible,
        },
    }


def machine_id(description: Mapping[str, Any]) -> str:
    """12 hex digits over what makes two machines comparable: not the load, not the clock of the moment, and not which
    one of several equal GPUs it is."""
    identity = {name: _common(value) for name in IDENTITY if (value := description.get(name)) is not None}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]


def _common(value: Any) -> Any:
    """A value without what is of one piece only."""
    if isinstance(value, Mapping):
        return {key: _common(one) for key, one in value.items() if key not in UNIQUE}
    return [_common(one) for one in value] if isinstance(value, list) else value


def _visible(cards: list[dict[str, Any]] | None, wanted: str | None) -> list[dict[str, Any]] | None:
    """The kinds of the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order; None where it leaves all of them. A
    scheduler gives each job another one of several equal GPUs: that makes no other machine."""
    if not cards or wanted is None:
        return None
    words = [word.strip() for word in wanted.split(",")]
    if words[0].startswith("MIG-"):  # parts of a GPU have uuids of their own, which its description does not list
        return [{"name": "MIG device"} for word in words if word.startswith("MIG-")]
    seen = chosen(tuple(Gpu(str(one["uuid"] or number), "") for number, one in enumerate(cards)), wanted)
    kinds = {str(one["uuid"] or number): _common(one) for number, one in enumerate(cards)}
    found = [kinds[one.uuid] for one in seen]
    return None if found == [_common(one) for one in cards] else found


def commit() -> tuple[str | None, bool | None]:
    """The git commit of the current directory and whether anything is uncommitted; (None, None) outside of git."""
    head = _git("rev-parse", "HEAD")
    if head is None:
        return None, None
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return head, None if changed is None else bool(changed)


def commit_date(revision: str) -> datetime.datetime | None:
    """When a commit was made; None if the repository of the current directory does not know it."""
    if not re.fullmatch("[0-9a-f]{7,64}", revision):
        return None
    found = _git("show", "-s", "--format=%cI", revision)
    return datetime.datetime.fromisoformat(found) if found else None


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


def usable_cores() -> frozenset[int]:
    """The numbers of the cores that this process may use."""
    return frozenset(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def _versions() -> dict[str, str]:
    return {name: found for name in LIBRARIES if (found := _version(name)) is not None}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _blas() -> str | None:
    """What numpy was built with, whatever a process loads beside it: `scipy-openblas 0.3.31`."""
    import numpy as np

    built = getattr(np.__config__, "CONFIG", {}).get("Build Dependencies", {}).get("blas", {})
    found = f"{built.get('name', '')} {built.get('version', '')}".strip()
    return found or None


def _thread_pools() -> list[dict[str, Any]]:
    """The BLAS and OpenMP pools of this process; a worker's own are in its backend's versions."""
    import numpy  # noqa: F401 - loads the BLAS that is to be asked
    import threadpoolctl

    keys = ("user_api", "internal_api", "version", "num_threads", "architecture")
    return [{key: pool[key] for key in keys if key in pool} for pool in threadpoolctl.threadpool_info()]

"""What a node says of itself, as JSON-able data: the machine, its devices, and the harness that is installed there."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import json
import platform
import socket
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from harness import machine
from harness.plan import KINDS, tasks
from harness.registry import Registry
from harness.sandbox import policy, probing
from harness.timing.device.visible import visible_gpus

PACKAGES = ("harness", "harness.cases", "harness.implementations")
KINDS_OF_FILES = (".py", ".cu", ".cuh", ".h", ".cpp")
NETWORK_SINCE = 4
"""The version of landlock from which on it closes TCP."""


@functools.cache
def installed() -> dict[str, str]:
    """The version of this harness and a digest of its files: two nodes with the same give the same verdicts."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations or () if spec else ():
            for file in _files(Path(folder)):
                digest.update(f"{package}/{file.relative_to(folder).as_posix()}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    try:
        version = importlib.metadata.version("kernel-harness")
    except importlib.metadata.PackageNotFoundError:
        version = "unknown"
    return {"version": version, "digest": digest.hexdigest()[:16]}


def _files(folder: Path) -> Iterable[Path]:
    found = (path for path in folder.rglob("*") if path.suffix in KINDS_OF_FILES)
    return sorted(path for path in found if "__pycache__" not in path.parts)


def host() -> str:
    """The same for all that share cores, containers too, and for no other: the kernel that runs."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def facts(registry: Registry, operators: Collection[str]) -> dict[str, Any]:
    """What a node announces, once it knows what is to be run: tasks of these operators."""
    described = machine.describe()
    layers = probing.probe() if policy.is_wanted() else None
    return {
        **installed(),
        "host": host(),
        "hostname": socket.gethostname(),
        "cores": sorted(machine.usable_cores()),
        "python": platform.python_version(),
        "machine": described,
        "machine_id": machine.machine_id(described),
        "gpus": [gpu.uuid for gpu in visible_gpus()],
        "missing": {name: backend.missing for name, backend in registry.backends.items()},
        "tasks": tasks_digest(registry, operators),
        "layers": None if layers is None else dict(layers.found),
    }


def tasks_digest(registry: Registry, operators: Collection[str]) -> dict[str, str]:
    """By operator a digest of the ids of all its tasks: where it differs, so does what is declared."""
    names: dict[str, list[str]] = {}
    for kind in KINDS:
        for task in tasks(registry, kind):
            if task.declaration.operator in operators:
                names.setdefault(task.declaration.operator, []).append(f"{kind} {task.id}")
    return {name: hashlib.sha256(json.dumps(sorted(ids)).encode()).hexdigest()[:16] for name, ids in names.items()}


def closes_network(layers: Mapping[str, str] | None) -> bool:
    """Whether a plugin in the sandbox of a node reaches no port: that of a scheduler runs what it is sent."""
    if layers is None:
        return False
    if not layers.get("seccomp", "-"):
        return True
    return not layers.get("landlock", "-") and int(layers.get("landlock_abi", "0")) >= NETWORK_SINCE

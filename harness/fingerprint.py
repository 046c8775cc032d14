"""What a machine says of itself in /proc, /sys and nvidia-smi, field by field. What cannot be read is None.

All functions take the root of the tree, so that a description can be made of files as well as of a machine.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path("/")
SMI_DEADLINE_S = 60.0
INSTRUCTIONS = re.compile(
    r"sse4_[12]|ssse3|avx\w*|fma|f16c|bmi[12]|amx_\w+|sha_ni|vaes|gfni"
    r"|asimd\w*|fphp|sve\w*|sme(2\w*|[ibf]\d\w*)?|bf16|i8mm|neon|vfpv4"
)
"""The instruction sets that kernels are compiled for, as x86 (`flags`) and ARM (`Features`) name them."""
UNLIMITED_BYTES = 1 << 60
"""A limit of memory of version 1 that is larger than this is none."""
SIZES = {"K": 1, "M": 1 << 10, "G": 1 << 20}
CACHES = {"Data": "d", "Instruction": "i", "Unified": ""}


class NoAnswer(ValueError):
    """A program that describes the machine is there and does not answer; the message says what to do."""


def read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \t\r\n") or None
    except OSError:
        return None


def processor(root: Path = ROOT) -> dict[str, Any]:
    """`cpu` (its name), `instructions` (sorted), `cores`, `cores_physical`, `smt`, `microcode`, `hypervisor`."""
    blocks = [dict(_pairs(block)) for block in (read(root / "proc/cpuinfo") or "").split("\n\n")]
    blocks = [one for one in blocks if one]
    first = blocks[0] if blocks else {}
    words = (first.get("flags") or first.get("Features") or "").split()
    physical = {(one.get("physical id"), one["core id"]) for one in blocks if "core id" in one}
    cores = sum("processor" in one for one in blocks) or None
    smt = read(root / "sys/devices/system/cpu/smt/active")
    name = next((one[key] for one in blocks for key in ("model name", "Model", "cpu model") if one.get(key)), None)
    return {
        "cpu": name,
        "instructions": sorted(one for one in words if INSTRUCTIONS.fullmatch(one)) or None,
        "cores": cores,
        "cores_physical": len(physical) or None,
        "smt": {"1": True, "0": False}.get(smt or ""),
        "microcode": first.get("microcode"),
        "hypervisor": _hypervisor(root, "hypervisor" in words),
    }


def _pairs(block: str) -> Iterator[tuple[str, str]]:
    for line in block.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            yield name.strip(), value.strip()


def _hypervisor(root: Path, is_guest: bool) -> str | None:
    """Under what a machine runs, as its firmware says; `unknown` where only the processor tells that there is one."""
    kind = read(root / "sys/hypervisor/type")
    vendor, product = (read(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name"))
    if kind or is_guest:
        return kind or " ".join(one for one in (vendor, product) if one) or "unknown"
    return None


def caches_kib(root: Path = ROOT) -> dict[str, int] | None:
    """The size of each level of the first core, as {"L1d": 32, "L2": 1024}."""
    found = {}
    for folder in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (read(folder / name) for name in ("level", "type", "size"))
        written = re.fullmatch(r"(\d+)([KMG])", size or "")
        if level and kind in CACHES and written:
            found[f"L{level}{CACHES[kind]}"] = int(written[1]) * SIZES[written[2]]
    return found or None


def memory_gib(root: Path = ROOT) -> int | None:
    found = re.search(r"^MemTotal:\s+(\d+) kB", read(root / "proc/meminfo") or "", re.MULTILINE)
    return round(int(found[1]) / 2**20) if found else None


def numa_nodes(root: Path = ROOT) -> int | None:
    return len(list((root / "sys/devices/system/node").glob("node[0-9]*"))) or None


def clocks(root: Path = ROOT) -> dict[str, Any]:
    """How the cores are clocked: settings that an owner changes, and what the processor can."""
    cores = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))

    def over_all(name: str) -> str | None:
        return ", ".join(sorted({value for one in cores if (value := read(one / name))})) or None

    off, on = (read(root / "sys/devices/system/cpu" / name) for name in ("intel_pstate/no_turbo", "cpufreq/boost"))
    return {
        "governor": over_all("scaling_governor"),
        "turbo": {"0": True, "1": False}.get(off or "", {"1": True, "0": False}.get(on or "")),
        "limit_khz": over_all("scaling_max_freq"),
        "least_khz": over_all("cpuinfo_min_freq"),
        "largest_khz": over_all("cpuinfo_max_freq"),
    }


def huge_pages(root: Path = ROOT) -> str | None:
    """`always`, `madvise` or `never`."""
    found = re.search(r"\[(\w+)\]", read(root / "sys/kernel/mm/transparent_hugepage/enabled") or "")
    return found[1] if found else None


def mitigations(root: Path = ROOT) -> dict[str, str] | None:
    """What the kernel does against each fault of the processor that concerns it."""
    folder = root / "sys/devices/system/cpu/vulnerabilities"
    found = {one.name: said for one in sorted(folder.glob("*")) if (said := read(one)) and said != "Not affected"}
    return found or None


# ---- the container


def limits(root: Path = ROOT) -> dict[str, Any]:
    """`quota_cores` (cores' time that this process may use in all), `cpuset`, `memory_limit_gib`: None is no limit."""
    groups = _groups(root)
    quotas = [one for folder in _upwards(root, groups, "cpu") if (one := _quota(folder))]
    least = [one for folder in _upwards(root, groups, "memory") if (one := _memory_limit(folder))]
    sets = (
        read(folder / name)
        for folder in _upwards(root, groups, "cpuset")
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")
    )
    return {
        "quota_cores": round(min(quotas), 2) if quotas else None,
        "cpuset": next((one for one in sets if one), None),
        "memory_limit_gib": round(min(least) / 2**30, 2) if least else None,
    }


def _groups(root: Path) -> dict[str, str]:
    """The path of this process's group by controller; that of version 2 under ""."""
    found = {}
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        _, names, path = (*line.split(":", 2), "", "")[:3]
        found.update(dict.fromkeys(names.split(","), path))
    return found


def _upwards(root: Path, groups: Mapping[str, str], controller: str) -> Iterator[Path]:
    """The folders of this process's group and of those around it, of version 1 and of version 2. Inside a container the
    path may be the host's, of which only the top is mounted here."""
    base = root / "sys/fs/cgroup"
    names = [one.name for one in base.glob("*") if controller in one.name.split(",")]
    tops = [(base / name, groups.get(controller)) for name in names] + [
        (one, groups.get("")) for one in (base, base / "unified")
    ]
    for top, path in tops:
        parts = [part for part in (path or "").split("/") if part and part != ".."]
        for count in range(len(parts), -1, -1):
            folder = top.joinpath(*parts[:count])
            if folder.is_dir():
                yield folder


def _quota(folder: Path) -> float | None:
    """Cores, by `cpu.max` ("50000 100000") or the two files of version 1."""
    given = (read(folder / "cpu.max") or "").split()
    if not given:
        given = [read(folder / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    if len(given) == 2 and all(re.fullmatch(r"[1-9]\d*", one) for one in given):
        return int(given[0]) / int(given[1])
    return None


def _memory_limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        said = read(folder / name) or ""
        if said.isdecimal() and 0 < int(said) < UNLIMITED_BYTES:
            return int(said)
    return None


def container(root: Path, environment: Mapping[str, str]) -> str | None:
    """What kind of container this looks like: docker, podman, kubernetes, lxc ...; None where nothing hints at one."""
    if "KUBERNETES_SERVICE_HOST" in environment:
        return "kubernetes"
    if environment.get("container"):
        return environment["container"]
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    kind = read(root / "run/systemd/container")
    return kind if kind else None


def image(root: Path = ROOT) -> str | None:
    """The system that the libraries come from: `Debian GNU/Linux 12 (bookworm)`."""
    for path in (root / "etc/os-release", root / "usr/lib/os-release"):
        found = re.search(r'^PRETTY_NAME="?([^"\n]+)', read(path) or "", re.MULTILINE)
        if found:
            return found[1]
    return None


# ---- GPUs


def graphics(root: Path = ROOT, said: str | None = None) -> dict[str, Any]:
    """`gpus` (name, memory_mib, mig, uuid of each), `driver`, `cuda` (the newest that the driver runs). `said` is what
    `nvidia-smi -q -x` wrote; without it the driver's files tell names and version only."""
    found = _from_smi(said) if said else None
    if found is not None:
        return found
    cards = []
    for path in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        about = dict(_pairs(read(path) or ""))
        if about.get("Model"):
            cards.append({"name": about["Model"], "memory_mib": None, "mig": None, "uuid": about.get("GPU UUID")})
    version = re.search(r"Kernel Module\D*?\s(\d+\.[\d.]+)", read(root / "proc/driver/nvidia/version") or "")
    return {"gpus": cards or None, "driver": version[1] if version else None, "cuda": None}


def _from_smi(said: str) -> dict[str, Any] | None:
    try:
        tree = ElementTree.fromstring(said)
    except ElementTree.ParseError:
        return None

    def text(of: ElementTree.Element, path: str) -> str | None:
        value = (of.findtext(path) or "").strip()
        return None if value in ("", "N/A", "[N/A]") else value

    cards = []
    for one in tree.iter("gpu"):
        memory = re.match(r"(\d+) MiB", text(one, "fb_memory_usage/total") or "")
        parts = [text(part, "fb_memory_usage/total") or "?" for part in one.iterfind("mig_devices/mig_device")]
        mig = text(one, "mig_mode/current_mig")
        cards.append(
            {
                "name": text(one, "product_name"),
                "memory_mib": int(memory[1]) if memory else None,
                "mig": f"{mig}: {', '.join(parts)}" if parts else mig,
                "uuid": text(one, "uuid"),
            }
        )
    return {"gpus": cards or None, "driver": text(tree, "driver_version"), "cuda": text(tree, "cuda_version")}


@functools.cache
def asked_smi() -> str | None:
    """What nvidia-smi says of all GPUs, asked once in a process; None where it is missing, or says that it cannot tell.

    Raises NoAnswer where it says nothing at all: a description without its answer would be another machine's.
    """
    if shutil.which("nvidia-smi") is None:
        return None
    try:
        done = subprocess.run(
            ["nvidia-smi", "-q", "-x"],
            capture_output=True,
            text=True,
            timeout=SMI_DEADLINE_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise NoAnswer(
            f"nvidia-smi did not answer within {SMI_DEADLINE_S:.0f} s, and without it this would count as another "
            "machine; see that `nvidia-smi -q -x` answers (a machine under load may need longer), and begin again"
        ) from None
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout

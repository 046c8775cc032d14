"""What makes times on this machine noisy, and the command that would change it. Nothing is changed here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.machine import usable_cores

CPU = "sys/devices/system/cpu"
BUSY = 0.25
"""Share of the cores that others use, by the load average, from which it is worth saying so."""
STEAL = 0.005
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Advice:
    """`found` is what is so now, `why` what it does to times, `command` what to type to change it."""

    topic: str
    found: str
    why: str
    command: str


@dataclass(frozen=True, slots=True)
class Look:
    """Where to look: the root of the file system, the environment, and the cores that this process may use."""

    root: Path
    environment: Mapping[str, str]
    usable: frozenset[int]

    def read(self, path: str) -> str | None:
        """A file's text without blanks around it, or None where there is none."""
        try:
            return (self.root / path).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None

    def number(self, path: str) -> float | None:
        text = self.read(path)
        try:
            return None if text is None else float(text.split()[0])
        except (ValueError, IndexError):
            return None


def advise(
    root: Path = Path("/"), environment: Mapping[str, str] | None = None, usable: frozenset[int] | None = None
) -> list[Advice]:
    """All on this machine that is worth changing before times are taken. What cannot be read is not guessed at."""
    usable = usable_cores() if usable is None else usable
    look = Look(root, os.environ if environment is None else environment, usable)
    return [advice for check in CHECKS for advice in check(look)]


def _governor(look: Look) -> Iterator[Advice]:
    paths = sorted((look.root / CPU).glob("cpu[0-9]*/cpufreq/scaling_governor"))
    others = {look.read(str(path.relative_to(look.root))) for path in paths} - {"performance", None}
    if others:
        yield Advice(
            "governor",
            ", ".join(sorted(one for one in others if one)),
            "cores change their clock with the load, and short calls run before it has risen",
            f"echo performance | sudo tee /{CPU}/cpu*/cpufreq/scaling_governor",
        )


def _turbo(look: Look) -> Iterator[Advice]:
    why = "the clock depends on heat and on what the other cores do"
    if look.read(f"{CPU}/intel_pstate/no_turbo") == "0":
        yield Advice("turbo", "on", why, f"echo 1 | sudo tee /{CPU}/intel_pstate/no_turbo")
    elif look.read(f"{CPU}/cpufreq/boost") == "1":
        yield Advice("turbo", "on", why, f"echo 0 | sudo tee /{CPU}/cpufreq/boost")


def _pinning(look: Look) -> Iterator[Advice]:
    isolated = cores_of(look.read(f"{CPU}/isolated") or "")
    if isolated and not look.usable <= isolated:
        yield Advice(
            "pinning",
            f"cores {_cores(isolated)} are kept free, and this process may run elsewhere too",
            "other work shares the cores that it runs on",
            f"taskset -c {_cores(isolated)} harness ...",
        )
    elif not isolated and len(look.usable) >= 4:
        kept = sorted(look.usable)[-2:]
        yield Advice(
            "pinning",
            f"free to move over {len(look.usable)} cores",
            "a move to another core costs its caches",
            f"taskset -c {_cores(frozenset(kept))} harness ...",
        )


def _siblings(look: Look) -> Iterator[Advice]:
    if look.read(f"{CPU}/smt/active") == "1":
        yield Advice(
            "SMT",
            "two threads share a core",
            "what runs on the sibling slows a call, and on both clocks",
            f"echo off | sudo tee /{CPU}/smt/control",
        )


def _threads(look: Look) -> Iterator[Advice]:
    usable = len(look.usable)
    for name in THREADS:
        text = look.environment.get(name, "")
        if text.isdigit() and int(text) > usable:
            yield Advice(
                "threads",
                f"{name}={text} on {usable} usable cores",
                "more threads than cores wait for each other",
                f"export {name}={usable}",
            )
    online = cores_of(look.read(f"{CPU}/online") or "")
    if len(online) > usable and not any(look.environment.get(name) for name in THREADS):
        yield Advice(
            "threads",
            f"not set, and {usable} of {len(online)} cores may be used",
            "some libraries start a thread for every core that exists",
            f"export OMP_NUM_THREADS={usable}",
        )


def _huge_pages(look: Look) -> Iterator[Advice]:
    if "[always]" in (look.read("sys/kernel/mm/transparent_hugepage/enabled") or ""):
        yield Advice(
            "huge pages",
            "always",
            "whether an array gets huge pages is luck, and changes while a process runs",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        )


def _randomisation(look: Look) -> Iterator[Advice]:
    if look.read("proc/sys/kernel/randomize_va_space") not in (None, "0"):
        yield Advice(
            "address randomisation",
            "on",
            "each process has its own memory layout and luck; rounds of fresh processes average over that, and without "
            "it all have the same luck, so switch it off only to look for the cause of a difference",
            "setarch -R harness ...",
        )


def _load(look: Look) -> Iterator[Advice]:
    load = look.number("proc/loadavg")
    if load is not None and load > BUSY * len(look.usable):
        yield Advice(
            "load",
            f"{load:.2f} processes ran at a time in the last minute, on {len(look.usable)} cores",
            "they take cores, caches and memory bandwidth",
            "ps -eo pcpu,pid,args --sort=-pcpu | head",
        )


def _steal(look: Look) -> Iterator[Advice]:
    words = (look.read("proc/stat") or "").split("\n", 1)[0].split()
    ticks = [int(word) for word in words[1:] if word.isdigit()]
    if words[:1] == ["cpu"] and len(ticks) >= 8 and ticks[7] > STEAL * sum(ticks[:8]):
        yield Advice(
            "other virtual machines",
            f"took {ticks[7] / sum(ticks[:8]):.1%} of the time since the start",
            "a call stands still meanwhile; the CPU clock leaves that out, the wall clock does not",
            "vmstat 1   # column st; only a dedicated host or a larger instance changes it",
        )


def _quota(look: Look) -> Iterator[Advice]:
    words = (look.read("sys/fs/cgroup/cpu.max") or "max 0").split()
    quota = float(words[0]) / float(words[1]) if len(words) == 2 and words[0].isdigit() and float(words[1]) else None
    if quota is None:
        most, period = (look.number(f"sys/fs/cgroup/cpu/cpu.cfs_{one}_us") for one in ("quota", "period"))
        quota = most / period if most and period and most > 0 else None
    if quota is not None and quota < len(look.usable):
        yield Advice(
            "CPU quota",
            f"{quota:g} of {len(look.usable)} cores",
            "when it is used up the process stands still until the next period (100 ms)",
            "docker update --cpus=0 CONTAINER   # or leave out resources.limits.cpu",
        )


def _battery(look: Look) -> Iterator[Advice]:
    for path in sorted((look.root / "sys/class/power_supply").glob("*/status")):
        if look.read(str(path.relative_to(look.root))) == "Discharging":
            yield Advice("power", f"on battery ({path.parent.name})", "the clock is kept low", "plug it in")


CHECKS: tuple[Callable[[Look], Iterator[Advice]], ...] = (
    _load,
    _quota,
    _steal,
    _battery,
    _governor,
    _turbo,
    _pinning,
    _siblings,
    _threads,
    _huge_pages,
    _randomisation,
)


def cores_of(text: str) -> frozenset[int]:
    """The cores of a list as the kernel writes it: `0-3,8` is 0, 1, 2, 3 and 8; none where it is none."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            return frozenset()
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _cores(cores: frozenset[int]) -> str:
    return ",".join(str(core) for core in sorted(cores))

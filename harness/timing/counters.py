"""Files of /proc and /sys that hold counters, kept open: a read then costs about a microsecond."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

LARGEST = 1 << 16
MOST_THREADS = 16
"""Switches are per thread, 3 us each: of a process with more threads they are not read."""
MOST_SCHEDSTATS = 128
"""Times on and waiting for a core cost 0.5 us per thread."""
MOST_CPUS = 16
"""Heat is read at so many cores at most."""


class Kept:
    """A file that stays open and is read again from its start."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: int | None = os.open(path, os.O_RDONLY)
        except OSError:
            self._file = None

    def read(self) -> bytes | None:
        """The file's content now, or None where it cannot be read (any more)."""
        if self._file is None:
            return None
        try:
            return os.pread(self._file, LARGEST, 0)
        except OSError:
            return None

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None


@dataclass(frozen=True, slots=True)
class ProcessCounts:
    """Of a whole process, threads that have ended included."""

    minor_faults: int
    major_faults: int
    cpu_ticks: int


@dataclass(frozen=True, slots=True)
class ThreadCounts:
    """Summed over the threads of a process."""

    run_ns: int | None = None
    run_delay_ns: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None


class _Thread:
    """One thread's files, and the counts that they gave last."""

    def __init__(self, folder: Path) -> None:
        self.schedstat = Kept(folder / "schedstat")
        self.status = Kept(folder / "status")
        self.times: tuple[int, int] | None = None
        self.switches: tuple[int, int] | None = None

    def read(self, switches: bool) -> None:
        numbers = numbers_of(self.schedstat.read())
        if len(numbers) >= 2:
            self.times = numbers[0], numbers[1]
        if switches and (text := self.status.read()) is not None:
            self.switches = _switches(text) or self.switches

    def close(self) -> None:
        self.schedstat.close()
        self.status.close()


class Threads:
    """The threads of a process, those that come and go included: counts of ended threads are kept."""

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._folder: int | None = None
        with contextlib.suppress(OSError):
            self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._alive: dict[str, _Thread] = {}
        self._ended_times = 0, 0
        self._ended_switches = 0, 0

    def read(self) -> ThreadCounts:
        """The sums now; all None once the process has ended, or where it has more threads than are worth reading."""
        try:
            names = [] if self._folder is None else os.listdir(self._folder)
        except OSError:
            names = []
        for name in self._alive.keys() - set(names):
            self._retire(self._alive.pop(name))
        if not 0 < len(names) <= MOST_SCHEDSTATS:
            return ThreadCounts()
        with_switches = len(names) <= MOST_THREADS
        for name in names:
            if name not in self._alive:
                self._alive[name] = _Thread(self._path / name)
            self._alive[name].read(with_switches)
        threads = self._alive.values()
        run, delay = _sums(self._ended_times, [thread.times for thread in threads])
        switches = [thread.switches for thread in threads] if with_switches else []
        voluntary, involuntary = _sums(self._ended_switches, switches)
        return ThreadCounts(run, delay, voluntary, involuntary)

    def _retire(self, thread: _Thread) -> None:
        thread.close()
        if thread.times is not None:
            self._ended_times = self._ended_times[0] + thread.times[0], self._ended_times[1] + thread.times[1]
        if thread.switches is not None:
            voluntary, involuntary = self._ended_switches
            self._ended_switches = voluntary + thread.switches[0], involuntary + thread.switches[1]

    def close(self) -> None:
        for thread in self._alive.values():
            thread.close()
        self._alive.clear()
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None


class Throttles:
    """How often heat, or the quota of this process's control groups, slowed the cores."""

    def __init__(self, root: Path) -> None:
        folders = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle"))[:MOST_CPUS]
        self._heat = [Kept(path) for folder in folders for path in sorted(folder.glob("*_throttle_count"))]
        self._quota = [Kept(path) for path in _cpu_stats(root)]

    def read(self) -> int | None:
        """The sum of all counts, or None where the system keeps none."""
        counts = [numbers_of(kept.read()) for kept in self._heat]
        counts += [_field(kept.read(), b"nr_throttled") for kept in self._quota]
        found = [count[0] for count in counts if count]
        return sum(found) if found else None

    def close(self) -> None:
        for kept in (*self._heat, *self._quota):
            kept.close()


def _cpu_stats(root: Path) -> list[Path]:
    """The cpu.stat of each control group that this process is in, up to the outermost that can be seen: the quota of
    any of them holds."""
    try:
        lines = (root / f"proc/{os.getpid()}/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    mounts = root / "sys/fs/cgroup"
    found = []
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            tops = [mounts, mounts / "unified"]
        elif "cpu" in controllers.split(","):
            tops = [mounts / controllers, mounts / "cpu"]
        else:
            continue
        inner = Path(path.strip("/"))
        found += [top / one / "cpu.stat" for top in tops for one in (inner, *inner.parents)]
    return list({path.resolve(): path for path in found if path.is_file()}.values())


def _field(text: bytes | None, name: bytes) -> list[int]:
    for line in (text or b"").splitlines():
        if line.startswith(name + b" "):
            return numbers_of(line[len(name) :])
    return []


def _sums(ended: tuple[int, int], pairs: list[tuple[int, int] | None]) -> tuple[int | None, int | None]:
    known = [pair for pair in pairs if pair is not None]
    if not known:
        return None, None
    return ended[0] + sum(first for first, _ in known), ended[1] + sum(second for _, second in known)


def _switches(status: bytes) -> tuple[int, int] | None:
    """Voluntary and involuntary context switches: the last two lines of a status file."""
    _, found, tail = status.rpartition(b"\nvoluntary_ctxt_switches:")
    numbers = tail.split()
    return (int(numbers[0]), int(numbers[2])) if found and len(numbers) >= 3 else None


def read_process(kept: Kept) -> ProcessCounts | None:
    """The counts of a /proc/PID/stat, or None where it cannot be read."""
    text = kept.read()
    if text is None:
        return None
    # the program's name stands in brackets and may itself hold brackets and blanks
    fields = text.rpartition(b")")[2].split()
    if len(fields) < 13:
        return None
    return ProcessCounts(int(fields[7]), int(fields[9]), int(fields[11]) + int(fields[12]))


def numbers_of(text: bytes | None) -> list[int]:
    """Whole numbers between blanks; none where the text holds anything else, or is None."""
    try:
        return [int(word) for word in (text or b"").split()]
    except ValueError:
        return []

"""Evidence beside time: what the kernel knows about a worker and its machine, read around a burst by the supervisor.

A `Machine` and one `Watch` per worker keep their files open, so that a reading costs tens of microseconds: 16 us were
measured for a worker of one thread, 4 us for each further one, and once in 25 ms 16 us for the machine; under load up
to twice that. What a system does not say (no /proc, a container that hides it) is None, never 0.
"""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from harness.timing.counters import Kept, Threads, Throttles, numbers_of, read_process

TICKS_PER_S = 100
"""USER_HZ: what /proc counts in, on every Linux of today."""
TICK_NS = 1_000_000_000 // TICKS_PER_S
WINDOW_NS = 100_000_000
"""The kernel counts the machine's time in ticks of 10 ms: shares of it are taken over so much time at least."""
EVERY_NS = 25_000_000
"""The machine is read at most so often."""
KEPT = 64

WAITED = 0.05
STEAL = 0.02
OTHERS = 0.4
"""Shares from which a sample counts as contaminated: of its time, waiting for a core; of the cores' time, taken by
other virtual machines, and by other processes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineReading:
    """Counters of the whole machine, in nanoseconds of core time; `own_ns` is that of our processes."""

    at_ns: int
    cores: int | None = None
    busy_ns: int | None = None
    steal_ns: int | None = None
    own_ns: int | None = None
    throttles: int | None = None
    load: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What happened between two readings. Times in nanoseconds; counts of the process are over all its threads.

    `run_ns` is its time on a core and `run_delay_ns` its time waiting for one, `main_run_ns` and `main_delay_ns` those
    of its first thread alone. `others_share` and `steal_share` are shares (0 to 1) of all cores' time that went to
    other processes and to other virtual machines. They are taken over `shares_over_ns`, which reaches back before the
    first reading where that is needed to tell. `throttles` counts how often heat or a quota slowed the cores; `load` is
    the load average of the last minute. `device` says why a GPU's time is not clean, or is empty.
    """

    window_ns: int
    main_run_ns: int | None = None
    main_delay_ns: int | None = None
    run_ns: int | None = None
    run_delay_ns: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None
    steal_ns: int | None = None
    steal_share: float | None = None
    others_share: float | None = None
    shares_over_ns: int | None = None
    throttles: int | None = None
    load: float | None = None
    device: str = ""

    @property
    def throttled(self) -> bool | None:
        return None if self.throttles is None else self.throttles > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A worker's counters at one moment, the machine's, and the machine's a while before."""

    at_ns: int
    machine: MachineReading
    earlier: MachineReading | None = None
    main_run_ns: int | None = None
    main_delay_ns: int | None = None
    run_ns: int | None = None
    run_delay_ns: int | None = None
    voluntary_switches: int | None = None
    involuntary_switches: int | None = None
    minor_faults: int | None = None
    major_faults: int | None = None

    def minus(self, before: Reading) -> Evidence:
        """What happened since `before`, an earlier reading of the same watch."""
        now, then = self.machine, before.machine
        if now.at_ns - then.at_ns < WINDOW_NS and self.earlier is not None:
            then = self.earlier
        over = now.at_ns - then.at_ns
        steal = others = None
        if over >= WINDOW_NS and now.cores:
            steal = _share(_minus(now.steal_ns, then.steal_ns), over * now.cores)
            busy, own = _minus(now.busy_ns, then.busy_ns), _minus(now.own_ns, then.own_ns)
            others = None if busy is None or own is None else _share(max(0, busy - own), over * now.cores)
        return Evidence(
            window_ns=self.at_ns - before.at_ns,
            main_run_ns=_minus(self.main_run_ns, before.main_run_ns),
            main_delay_ns=_minus(self.main_delay_ns, before.main_delay_ns),
            run_ns=_minus(self.run_ns, before.run_ns),
            run_delay_ns=_minus(self.run_delay_ns, before.run_delay_ns),
            voluntary_switches=_minus(self.voluntary_switches, before.voluntary_switches),
            involuntary_switches=_minus(self.involuntary_switches, before.involuntary_switches),
            minor_faults=_minus(self.minor_faults, before.minor_faults),
            major_faults=_minus(self.major_faults, before.major_faults),
            steal_ns=_minus(now.steal_ns, before.machine.steal_ns),
            steal_share=steal,
            others_share=others,
            shares_over_ns=over if over >= WINDOW_NS else None,
            throttles=_minus(now.throttles, before.machine.throttles),
            load=now.load,
        )


class Machine:
    """The machine's counters, and which processes count as ours (this one does). `root` is / but in tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._stat = Kept(root / "proc/stat")
        self._load = Kept(root / "proc/loadavg")
        self._throttles = Throttles(root)
        self._own: dict[int, Kept] = {}
        self._own_ns: dict[int, int] = {}
        self._offset_ns = 0
        self._past: deque[MachineReading] = deque(maxlen=KEPT)
        self.add(os.getpid())

    @property
    def root(self) -> Path:
        return self._root

    def add(self, pid: int) -> None:
        """Count what a process uses from now on as ours, if it is not yet."""
        if pid in self._own:
            return
        self._own[pid] = Kept(self._root / f"proc/{pid}/stat")
        self._update_own()
        self._offset_ns -= self._own_ns.get(pid, 0)

    def remove(self, pid: int) -> None:
        """Forget a process; what it used stays ours."""
        kept = self._own.pop(pid, None)
        if kept is not None:
            kept.close()
        self._offset_ns += self._own_ns.pop(pid, 0)

    def read(self) -> MachineReading:
        """The counters now, or those of up to 25 ms ago."""
        now = time.monotonic_ns()
        if self._past and now - self._past[-1].at_ns < EVERY_NS:
            return self._past[-1]
        self._past.append(self._read(now))
        return self._past[-1]

    def before(self, reading: MachineReading) -> MachineReading | None:
        """The newest reading that is old enough for shares of time up to `reading`."""
        return next((one for one in reversed(self._past) if reading.at_ns - one.at_ns >= WINDOW_NS), None)

    def _read(self, now: int) -> MachineReading:
        text = self._stat.read()
        # user nice system idle iowait irq softirq steal; guest time is within user
        ticks = numbers_of(text.partition(b"\n")[0][3:]) if text and text.startswith(b"cpu ") else []
        load = (self._load.read() or b"").split()
        self._update_own()
        return MachineReading(
            at_ns=now,
            cores=None if text is None else text.count(b"\ncpu") or None,
            busy_ns=(sum(ticks[:3]) + sum(ticks[5:7])) * TICK_NS if len(ticks) >= 7 else None,
            steal_ns=ticks[7] * TICK_NS if len(ticks) >= 8 else None,
            own_ns=self._offset_ns + sum(self._own_ns.values()) if self._own_ns else None,
            throttles=self._throttles.read(),
            load=float(load[0]) if load else None,
        )

    def _update_own(self) -> None:
        for pid, kept in self._own.items():
            process = read_process(kept)
            if process is not None:
                self._own_ns[pid] = process.cpu_ticks * TICK_NS

    def close(self) -> None:
        self._throttles.close()
        for kept in (self._stat, self._load, *self._own.values()):
            kept.close()


class Watch:
    """The counters of one worker, on a machine; the worker counts as ours there. Close it when the worker ends."""

    def __init__(self, pid: int, machine: Machine) -> None:
        self._pid = pid
        self._machine = machine
        self._stat = Kept(machine.root / f"proc/{pid}/stat")
        self._main = Kept(machine.root / f"proc/{pid}/schedstat")
        self._threads = Threads(machine.root / f"proc/{pid}/task")
        machine.add(pid)

    def read(self) -> Reading:
        """The counters now. Fields that cannot be read are None, all of them once the worker has ended."""
        machine = self._machine.read()
        process = read_process(self._stat)
        threads = self._threads.read()
        main = numbers_of(self._main.read())
        return Reading(
            at_ns=time.monotonic_ns(),
            machine=machine,
            earlier=self._machine.before(machine),
            main_run_ns=main[0] if len(main) > 1 else None,
            main_delay_ns=main[1] if len(main) > 1 else None,
            run_ns=threads.run_ns,
            run_delay_ns=threads.run_delay_ns,
            voluntary_switches=threads.voluntary_switches,
            involuntary_switches=threads.involuntary_switches,
            minor_faults=process.minor_faults if process else None,
            major_faults=process.major_faults if process else None,
        )

    def main_delay_ns(self) -> int | None:
        """For how long the first thread has waited for a core: what `read` says of it, and nothing else."""
        main = numbers_of(self._main.read())
        return main[1] if len(main) > 1 else None

    def close(self) -> None:
        self._machine.remove(self._pid)
        self._stat.close()
        self._main.close()
        self._threads.close()


def contamination(evidence: Evidence, wall_ns: int, cpu_ns: int) -> str:
    """Why a sample is not a clean one, in words, or an empty string. What is not known contaminates nothing.

    `wall_ns` and `cpu_ns` are the sample's own, and `evidence` is of a window that holds it. Where a single thread ran
    (no more CPU time than wall time), it has waited within the sample no longer than its clocks differ.
    """
    found = []
    if evidence.run_delay_ns is not None and wall_ns > 0:
        alone = cpu_ns <= wall_ns
        waited = min(evidence.run_delay_ns, wall_ns - cpu_ns) if alone else evidence.run_delay_ns
        share = waited / (wall_ns if alone else waited + cpu_ns)
        if share >= WAITED:
            found.append(f"waited {share:.0%} of its time for a core")
    if evidence.major_faults:
        found.append(f"{evidence.major_faults} major page faults")
    if evidence.throttles:
        found.append("throttled")
    if evidence.steal_share is not None and evidence.steal_share >= STEAL:
        found.append(f"steal {evidence.steal_share:.0%}")
    if evidence.others_share is not None and evidence.others_share >= OTHERS:
        found.append(f"others used {evidence.others_share:.0%} of the cores")
    if evidence.device:
        found.append(evidence.device)
    return ", ".join(found)


def reset_peak(pid: int, root: Path = Path("/")) -> bool:
    """Make the peak of a process's resident memory what it is now; False where that is not allowed."""
    try:
        (root / f"proc/{pid}/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_bytes(pid: int, root: Path = Path("/")) -> int | None:
    """The peak of a process's resident memory since it started, or since `reset_peak`."""
    return _memory(pid, "VmHWM", root)


def resident_bytes(pid: int, root: Path = Path("/")) -> int | None:
    """A process's resident memory now."""
    return _memory(pid, "VmRSS", root)


def _memory(pid: int, name: str, root: Path) -> int | None:
    try:
        text = (root / f"proc/{pid}/status").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _minus(now: int | None, before: int | None) -> int | None:
    """A counter's growth; never below 0, since threads that end take their counts with them."""
    return None if now is None or before is None else max(0, now - before)


def _share(part: int | None, whole: int) -> float | None:
    return None if part is None else min(1.0, part / whole)

"""Evidence beside time: counters of a fake /proc and of the real one, and what contaminates a sample."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.timing import evidence
from harness.timing.counters import MOST_THREADS
from harness.timing.evidence import Evidence, Machine, MachineReading, Reading, Watch, contamination

MS = 1_000_000


class Fake:
    """A / with one process in it, 4242, beside our own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for pid in (4242, os.getpid()):
            self.process(pid)
        self.thread(4242)
        self.machine()

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def process(self, pid: int, minor: int = 0, major: int = 0, user: int = 0, system: int = 0) -> None:
        # a name that tries to be taken for the fields after it
        self.write(f"proc/{pid}/stat", f"{pid} (a) S 1 b) R 1 2 3 4 5 6 {minor} 0 {major} 0 {user} {system} 0 0 20 0")

    def thread(self, tid: int, run: int = 0, delay: int = 0, voluntary: int = 0, involuntary: int = 0) -> None:
        folder = f"proc/4242/task/{tid}"
        self.write(f"{folder}/schedstat", f"{run} {delay} 7\n")
        status = f"Name:\tworker\nvoluntary_ctxt_switches:\t{voluntary}\nnonvoluntary_ctxt_switches:\t{involuntary}\n"
        self.write(f"{folder}/status", status)

    def end_thread(self, tid: int) -> None:
        for file in (self.root / f"proc/4242/task/{tid}").iterdir():
            file.unlink()
        (self.root / f"proc/4242/task/{tid}").rmdir()

    def machine(self, user: int = 0, steal: int = 0, idle: int = 0) -> None:
        self.write("proc/stat", f"cpu  {user} 0 0 {idle} 0 0 0 {steal} 0 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n")
        self.write("proc/loadavg", "1.50 1.00 0.50 1/2 3\n")


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return Fake(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time, in ns; a test moves it."""
    now = [10**12]
    monkeypatch.setattr(evidence.time, "monotonic_ns", lambda: now[0])
    return now


def test_a_window_holds_the_growth_of_every_counter(fake: Fake, clock: list[int]) -> None:
    machine = Machine(fake.root)
    watch = Watch(4242, machine)
    before = watch.read()
    clock[0] += 200 * MS
    fake.process(4242, minor=300, major=2, user=10, system=4)
    fake.thread(4242, run=120 * MS, delay=50 * MS, voluntary=3, involuntary=9)
    fake.machine(user=25, steal=5, idle=10)
    found = watch.read().minus(before)
    assert found == Evidence(
        window_ns=200 * MS,
        run_ns=120 * MS,
        run_delay_ns=50 * MS,
        voluntary_switches=3,
        involuntary_switches=9,
        minor_faults=300,
        major_faults=2,
        steal_ns=50 * MS,
        steal_share=50 / 400,
        others_share=(250 - 140) / 400,
        shares_over_ns=200 * MS,
        load=1.5,
    )
    assert found.throttled is None


def test_threads_are_summed_and_those_that_end_keep_their_counts(fake: Fake, clock: list[int]) -> None:
    fake.thread(4243, run=5 * MS, delay=1 * MS, voluntary=1, involuntary=1)
    watch = Watch(4242, Machine(fake.root))
    before = watch.read()
    assert before.run_ns == 5 * MS
    fake.thread(4243, run=7 * MS, delay=2 * MS, voluntary=2, involuntary=2)
    watch.read()
    fake.end_thread(4243)
    fake.thread(4244, run=1 * MS)
    after = watch.read()
    assert after.minus(before).run_ns == 3 * MS
    assert after.minus(before).run_delay_ns == 1 * MS
    assert after.minus(before).voluntary_switches == 1


def test_switches_of_many_threads_are_unknown_and_not_partly_counted(fake: Fake) -> None:
    for tid in range(5000, 5000 + MOST_THREADS):
        fake.thread(tid, run=MS, voluntary=1)
    reading = Watch(4242, Machine(fake.root)).read()
    assert reading.run_ns == MOST_THREADS * MS
    assert reading.voluntary_switches is None


def test_shares_of_a_short_window_reach_back(fake: Fake, clock: list[int]) -> None:
    watch = Watch(4242, Machine(fake.root))
    watch.read()
    clock[0] += 120 * MS
    before = watch.read()
    assert before.minus(before).others_share == 0.0
    clock[0] += 5 * MS
    fake.machine(user=24)  # not looked at: the machine was read 5 ms ago
    assert watch.read().minus(before).others_share == 0.0
    clock[0] += 25 * MS
    found = watch.read().minus(before)
    assert found.window_ns == 30 * MS
    assert found.shares_over_ns == 150 * MS
    assert found.others_share == 240 / 300


def test_without_a_long_enough_past_shares_are_unknown(fake: Fake, clock: list[int]) -> None:
    watch = Watch(4242, Machine(fake.root))
    before = watch.read()
    clock[0] += 50 * MS
    found = watch.read().minus(before)
    assert (found.steal_share, found.others_share, found.shares_over_ns) == (None, None, None)


def test_time_before_a_process_is_ours_does_not_count_and_stays_when_it_leaves(fake: Fake, clock: list[int]) -> None:
    fake.process(4242, user=1000)
    machine = Machine(fake.root)
    assert machine.read().own_ns == 0
    machine.add(4242)
    fake.process(4242, user=1030)
    clock[0] += 30 * MS
    assert machine.read().own_ns == 300 * MS
    machine.remove(4242)
    clock[0] += 30 * MS
    assert machine.read().own_ns == 300 * MS


@pytest.mark.parametrize(
    ("path", "cgroup", "first", "then"),
    [
        ("sys/fs/cgroup/box/cpu.stat", "0::/box/inner", "nr_periods 4\nnr_throttled 1\n", "nr_throttled 3\n"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.stat", "4:memory:/a\n3:cpu,cpuacct:/", "nr_throttled 1\n", "nr_throttled 3\n"),
        ("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "0::/", "1\n", "3\n"),
    ],
)
def test_throttling_by_heat_and_by_the_quota_of_any_group_above(
    fake: Fake, clock: list[int], path: str, cgroup: str, first: str, then: str
) -> None:
    fake.write(f"proc/{os.getpid()}/cgroup", cgroup)
    fake.write(path, first)
    watch = Watch(4242, Machine(fake.root))
    before = watch.read()
    clock[0] += 30 * MS
    assert watch.read().minus(before).throttled is False
    fake.write(path, then)
    clock[0] += 30 * MS
    found = watch.read().minus(before)
    assert found.throttles == 2
    assert contamination(found, 30 * MS, 30 * MS) == "throttled"


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system lists no open files")
def test_watching_this_process_leaves_no_file_open() -> None:
    """A comparison does that in each of its rounds."""
    before = len(os.listdir("/proc/self/fd"))
    machine = Machine()
    Watch(os.getpid(), machine).close()
    machine.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_nothing_can_be_read_everything_is_unknown_and_nothing_contaminated(tmp_path: Path) -> None:
    watch = Watch(4242, Machine(tmp_path))
    before = watch.read()
    found = watch.read().minus(before)
    assert found == Evidence(window_ns=found.window_ns)
    assert contamination(found, 10 * MS, 5 * MS) == ""
    assert evidence.peak_bytes(4242, tmp_path) is None
    assert evidence.reset_peak(4242, tmp_path) is False


def test_garbage_is_unknown(fake: Fake) -> None:
    fake.write("proc/stat", "cpu garbage\n")
    fake.write("proc/4242/stat", "4242 (worker")
    fake.write("proc/4242/task/4242/schedstat", "a b c")
    fake.write("proc/4242/task/4242/status", "voluntary_ctxt_switches:")
    reading = Watch(4242, Machine(fake.root)).read()
    assert (reading.machine.busy_ns, reading.machine.steal_ns) == (None, None)
    assert (reading.minor_faults, reading.run_ns, reading.voluntary_switches) == (None, None, None)


def test_a_counter_that_falls_is_no_negative_evidence() -> None:
    machine = MachineReading(at_ns=0)
    before = Reading(at_ns=0, machine=machine, run_ns=5)
    assert Reading(at_ns=1, machine=machine, run_ns=3).minus(before).run_ns == 0


@pytest.mark.parametrize(
    ("found", "wall_ms", "cpu_ms", "says"),
    [
        ({"run_delay_ns": 38 * MS}, 100, 60, "waited 38% of its time for a core"),
        ({"run_delay_ns": 38 * MS}, 100, 99, ""),  # it waited outside of this sample
        ({"run_delay_ns": 0}, 100, 50, ""),  # it slept, and did not wait
        ({"run_delay_ns": 100 * MS}, 100, 300, "waited 25% of its time for a core"),  # several threads
        ({"steal_share": 0.12}, 100, 100, "steal 12%"),
        ({"steal_share": 0.01, "others_share": 0.3}, 100, 100, ""),
        ({"others_share": 0.5}, 100, 100, "others used 50% of the cores"),
        ({"major_faults": 3, "throttles": 1}, 100, 100, "3 major page faults, throttled"),
        ({"run_delay_ns": 5 * MS}, 0, 0, ""),
    ],
)
def test_contamination_in_words(found: dict[str, float], wall_ms: int, cpu_ms: int, says: str) -> None:
    window = Evidence(window_ns=wall_ms * MS, **found)
    assert contamination(window, wall_ms * MS, cpu_ms * MS) == says


needs_proc = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this kernel counts no run delay")


@needs_proc
@pytest.mark.timed
def test_two_busy_processes_on_one_core_wait_for_each_other() -> None:
    code = f"import os; os.sched_setaffinity(0, [{min(os.sched_getaffinity(0))}])\nwhile True: pass"
    busy = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    machine = Machine()
    watch = Watch(busy[0].pid, machine)
    try:
        deadline = time.monotonic() + 30
        before = watch.read()
        while True:
            time.sleep(0.1)
            found = watch.read().minus(before)
            if (found.run_delay_ns or 0) > 20 * MS and (found.run_ns or 0) > 20 * MS:
                break
            assert time.monotonic() < deadline, found
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert found.involuntary_switches is not None
    assert found.involuntary_switches > 0
    assert found.run_ns is not None
    assert "waited" in contamination(found, found.window_ns, found.run_ns)
    ended = watch.read()
    assert (ended.run_ns, ended.minor_faults) == (None, None)
    watch.close()
    machine.close()


@needs_proc
def test_the_peak_of_memory_can_be_reset() -> None:
    pid = os.getpid()
    if not evidence.reset_peak(pid):
        pytest.skip("clearing the peak is not allowed here")
    held = np.ones(64 << 20, np.uint8)
    high = evidence.peak_bytes(pid)
    assert high is not None
    del held  # an array of this size is mapped by itself, so it goes at once
    assert evidence.reset_peak(pid)
    low = evidence.peak_bytes(pid)
    assert low is not None
    assert low <= high - (32 << 20)
    resident = evidence.resident_bytes(pid)
    assert resident is not None
    assert resident <= low + (8 << 20)

"""What a machine is, what two of them differ in, and whether it was the machine that got slower, or the tasks."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from conftest import record
from harness.reports.history import headline, notes
from harness.reports.history_page import history_page
from harness.reports.machines import SUFFIXES
from harness.reports.page import page
from harness.reports.page_context import machine_section
from typer.testing import CliRunner

import harness.machine as machine
from harness import fingerprint, machines, shifts
from harness import series as series_module
from harness.commands.history import history as history_command
from harness.commands.machines import machines as command
from harness.comparing.machines import DifferentMachines
from harness.comparing.measured import Measured, measured_from_store, task_of
from harness.comparing.stored import compare_stored
from harness.comparing.verdicts import Compared, Comparison
from harness.copying import Wanted, copy_runs, opened_pair
from harness.fleet.ledger import Ledger
from harness.histories import Histories, histories
from harness.inventory import inventory
from harness.likeness import changes_since, continued, differences, is_continued, is_same_box, observed, state_at
from harness.outcome import Context
from harness.record import Noise, Record, Sample, stamp_now
from harness.reporting import stored_report
from harness.rows import RunInfo
from harness.shift import MACHINE, OTHER, UNKNOWN, Change, Moved, judge
from harness.store import Store
from harness.timing import reference
from harness.timing.ceiling import Ceilings

CPU = "sys/devices/system/cpu"
X86 = """processor\t: {number}
vendor_id\t: GenuineIntel
model name\t: Xeon A
microcode\t: 0x2b
physical id\t: 0
core id\t\t: {core}
flags\t\t: fpu sse4_2 smep avx2 fma avx512f amx_tile hypervisor

"""
BOX = {
    "proc/cpuinfo": "".join(X86.format(number=one, core=one // 2) for one in range(4)),
    "proc/meminfo": "MemTotal:       16384000 kB\nMemFree:         1 kB\n",
    "proc/sys/kernel/osrelease": "6.1.0-amd64\n",
    "proc/uptime": "1.0 2.0",
    "proc/sys/kernel/hostname": "here",
    f"{CPU}/smt/active": "1\n",
    f"{CPU}/cpu0/cache/index0/level": "1\n",
    f"{CPU}/cpu0/cache/index0/type": "Data\n",
    f"{CPU}/cpu0/cache/index0/size": "48K\n",
    f"{CPU}/cpu0/cache/index3/level": "3\n",
    f"{CPU}/cpu0/cache/index3/type": "Unified\n",
    f"{CPU}/cpu0/cache/index3/size": "32M\n",
    f"{CPU}/cpu0/cpufreq/scaling_governor": "performance\n",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "powersave\n",
    f"{CPU}/cpu0/cpufreq/scaling_max_freq": "3000000\n",
    f"{CPU}/cpu0/cpufreq/cpuinfo_min_freq": "800000\n",
    f"{CPU}/cpu0/cpufreq/cpuinfo_max_freq": "3900000\n",
    f"{CPU}/intel_pstate/no_turbo": "1\n",
    f"{CPU}/vulnerabilities/meltdown": "Mitigation: PTI\n",
    f"{CPU}/vulnerabilities/l1tf": "Not affected\n",
    "sys/devices/system/node/node0/cpulist": "0-1\n",
    "sys/devices/system/node/node1/cpulist": "2-3\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
    "sys/class/dmi/id/product_name": "c7i.large\n",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
    "run/.containerenv": "",
    "proc/self/cgroup": "0::/jobs/one\n",
    "sys/fs/cgroup/cpuset.cpus.effective": "0-3\n",
    "sys/fs/cgroup/jobs/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/jobs/one/cpu.max": "max 100000\n",
    "sys/fs/cgroup/jobs/one/memory.max": "2147483648\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue\nGCC version: 12\n",
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\nGPU UUID: \t GPU-1\n",
}
SMI = """<?xml version="1.0" ?><!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log><timestamp>now</timestamp><driver_version>550.54.15</driver_version><cuda_version>12.4</cuda_version>
<gpu id="0"><product_name>NVIDIA H200</product_name><uuid>GPU-1</uuid><mig_mode><current_mig>Enabled</current_mig>
</mig_mode><mig_devices><mig_device><fb_memory_usage><total>16384 MiB</total></fb_memory_usage></mig_device>
</mig_devices><fb_memory_usage><total>143771 MiB</total></fb_memory_usage></gpu>
<gpu id="1"><product_name>NVIDIA H200</product_name><uuid>GPU-2</uuid><mig_mode><current_mig>N/A</current_mig>
</mig_mode><fb_memory_usage><total>143771 MiB</total></fb_memory_usage></gpu></nvidia_smi_log>"""


def tree(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


# ---- the fingerprint


def test_every_field_of_a_box_is_read(tmp_path: Path) -> None:
    said = machine.describe(tree(tmp_path, BOX))
    expected = {
        "cpu": "Xeon A",
        "instructions": ["amx_tile", "avx2", "avx512f", "fma", "sse4_2"],
        "cores": 4,
        "cores_physical": 2,
        "smt": True,
        "microcode": "0x2b",
        "hypervisor": "Amazon EC2 c7i.large",
        "caches_kib": {"L1d": 48, "L3": 32768},
        "memory_gib": 16,
        "numa_nodes": 2,
        "governor": "performance, powersave",
        "turbo": False,
        "limit_khz": "3000000",
        "least_khz": "800000",
        "largest_khz": "3900000",
        "huge_pages": "madvise",
        "mitigations": {"meltdown": "Mitigation: PTI"},
        "kernel": "6.1.0-amd64",
        "image": "Debian GNU/Linux 12",
        "container": "podman",
        "quota_cores": 1.5,
        "cpuset": "0-3",
        "memory_limit_gib": 2.0,
        "gpus": [{"name": "NVIDIA H200", "memory_mib": None, "mig": None, "uuid": "GPU-1"}],
        "driver": "550.54.15",
        "cuda": None,
    }
    assert {name: said[name] for name in expected} == expected
    assert said["blas"] and said["python"] and said["kernels"]["numpy"]
    json.dumps(said, allow_nan=False)


def test_what_cannot_be_read_is_none(tmp_path: Path) -> None:
    said = machine.describe(tmp_path)
    read = {*machine.BOX, *machine.SETTINGS, "kernel", "quota_cores", "cpuset", "driver", "mitigations", "image"}
    assert {name: said[name] for name in read if said[name] is not None} == {"architecture": said["architecture"]}
    assert len(machine.machine_id(said)) == 12
    garbage = dict.fromkeys(BOX, "\x00ÿ<gpu>: \n\n:::\n[")
    said = machine.describe(tree(tmp_path / "garbage", garbage))
    assert said["memory_gib"] is None and said["quota_cores"] is None and said["caches_kib"] is None


def test_an_arm_processor_is_described(tmp_path: Path) -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd asimddp sve sme sme2 smei16i64 cpuid\n\nModel\t\t: Board 5\n"
    said = fingerprint.processor(tree(tmp_path, {"proc/cpuinfo": text}))
    assert said["cpu"] == "Board 5"
    assert said["instructions"] == ["asimd", "asimddp", "sme", "sme2", "smei16i64", "sve"]
    assert said["smt"] is None and said["hypervisor"] is None


@pytest.mark.parametrize(
    ("files", "quota", "memory"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000"}, None, None),
        # a container that sees the path of its host, of which only the top is mounted
        ({"proc/self/cgroup": "0::/docker/a1\n", "sys/fs/cgroup/cpu.max": "200000 100000"}, 2.0, None),
        (
            {
                "proc/self/cgroup": "4:memory:/box\n1:cpu,cpuacct:/box/job\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu,cpuacct/box/job/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu,cpuacct/box/job/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "1073741824",
            },
            3.0,
            1.0,
        ),
        ({}, None, None),
    ],
    ids=["v2", "v2_no_limit", "v2_host_path", "v1", "none"],
)
def test_limits_of_a_container(tmp_path: Path, files: dict[str, str], quota: float, memory: float) -> None:
    said = fingerprint.limits(tree(tmp_path, files))
    assert (said["quota_cores"], said["memory_limit_gib"]) == (quota, memory)


def test_gpus_as_nvidia_smi_tells_them(tmp_path: Path) -> None:
    said = fingerprint.graphics(tmp_path, SMI)
    assert (said["driver"], said["cuda"]) == ("550.54.15", "12.4")
    first, second = said["gpus"]
    assert first == {"name": "NVIDIA H200", "memory_mib": 143771, "mig": "Enabled: 16384 MiB", "uuid": "GPU-1"}
    assert second["mig"] is None
    assert fingerprint.graphics(tmp_path, "NVIDIA-SMI has failed") == {"gpus": None, "driver": None, "cuda": None}


def test_containers_leave_hints(tmp_path: Path) -> None:
    assert fingerprint.container(tmp_path, {}) is None
    assert fingerprint.container(tree(tmp_path / "d", {".dockerenv": ""}), {}) == "docker"
    assert fingerprint.container(tree(tmp_path / "l", {"run/systemd/container": "lxc\n"}), {}) == "lxc"
    assert fingerprint.container(tmp_path, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == "kubernetes"


SAME = {
    "proc/uptime": "99.0 1.0",
    "proc/sys/kernel/hostname": "there",
    "proc/meminfo": "MemTotal:       16384000 kB\nMemFree:         9 kB\n",
    "proc/sys/kernel/osrelease": "6.8.0",
    f"{CPU}/cpu1/cpufreq/scaling_governor": "performance\n",
    f"{CPU}/vulnerabilities/meltdown": "Vulnerable\n",
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA H200\nGPU UUID: \t GPU-9\n",
}
OTHERS = {
    "proc/cpuinfo": BOX["proc/cpuinfo"].replace("Xeon A", "Xeon B"),
    "proc/meminfo": "MemTotal:       32768000 kB\n",
    f"{CPU}/smt/active": "0\n",
    f"{CPU}/cpu0/cache/index3/size": "16M\n",
    "sys/fs/cgroup/jobs/cpu.max": "50000 100000\n",
    "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  560.1  Tue\n",
    "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA B200\nGPU UUID: \t GPU-1\n",
}


def test_an_id_does_not_change_with_what_times_do_not_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = machine.describe(tree(tmp_path / "a", BOX))
    monkeypatch.setenv("HOSTNAME", "other")
    monkeypatch.setattr("os.getloadavg", lambda: (9.0, 9.0, 9.0))
    for name, text in SAME.items():
        assert machine.machine_id(machine.describe(tree(tmp_path / "b", {**BOX, name: text}))) == machine.machine_id(
            first
        ), name
    reversed_ = {name: first[name] for name in reversed(first)}
    reversed_["kernels"] = dict(reversed(first["kernels"].items()))
    assert machine.machine_id(reversed_) == machine.machine_id(first)


def test_an_id_changes_with_what_times_depend_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = machine.machine_id(machine.describe(tree(tmp_path / "a", BOX)))
    for name, text in OTHERS.items():
        other = machine.describe(tree(tmp_path / name.replace("/", "_"), {**BOX, name: text}))
        assert machine.machine_id(other) != first, name
    said = machine.describe(tmp_path / "a")
    for name, value in (("kernels", {"numpy": "0.1"}), ("cores_usable", 99), ("cuda", "1"), ("blas", "mkl 1")):
        assert machine.machine_id({**said, name: value}) != first, name
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.machine_id(machine.describe(tmp_path / "a")) != first


SECOND = "proc/driver/nvidia/gpus/0000:02:00.0/information"


def test_an_id_does_not_change_with_which_of_equal_gpus_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler sets CUDA_VISIBLE_DEVICES for each job."""

    def identity(root: Path, visible: str | None) -> str:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        said = machine.describe(root)
        assert said["state"]["cuda_visible_devices"] == visible
        return machine.machine_id(said)

    equal = tree(tmp_path / "equal", {**BOX, SECOND: "Model: NVIDIA H200\nGPU UUID: GPU-2\n"})
    one = {identity(equal, visible) for visible in ("0", "1", "GPU-1", "GPU-2", "1,7,0")}
    both = {identity(equal, visible) for visible in (None, "0,1", "GPU-2, GPU-1")}
    none = {identity(equal, visible) for visible in ("", "-1", "7")}
    parts = {identity(equal, visible) for visible in ("MIG-1", "MIG-2")}
    assert [len(ids) for ids in (one, both, none, parts)] == [1, 1, 1, 1]
    assert len(one | both | none | parts) == 4
    mixed = tree(tmp_path / "mixed", {**BOX, SECOND: "Model: NVIDIA B200\nGPU UUID: GPU-2\n"})
    assert identity(mixed, "0") == identity(mixed, "GPU-1") != identity(mixed, "1")
    assert identity(mixed, None) == identity(mixed, "0,1") != identity(mixed, "1,0")
    alone = tree(tmp_path / "alone", BOX)
    assert identity(alone, "0") == identity(alone, None)
    assert machine.describe(mixed)["gpus_visible"] is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    said = differences(machine.describe(equal), machine.describe(mixed), ["gpus_visible"])
    assert [one.words() for one in said] == ["visible GPU NVIDIA H200 against NVIDIA B200"]


def test_a_silent_nvidia_smi_makes_no_other_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    fingerprint.asked_smi.cache_clear()
    try:
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        program.chmod(0o755)
        monkeypatch.setattr(fingerprint, "SMI_DEADLINE_S", 0.1)
        with pytest.raises(fingerprint.NoAnswer, match="nvidia-smi did not answer"):
            machine.describe()
        program.write_text("#!/bin/sh\necho no driver\nexit 9\n")
        monkeypatch.setattr(fingerprint, "SMI_DEADLINE_S", 60.0)
        assert fingerprint.asked_smi() is None, "installed where there is no GPU"
    finally:
        fingerprint.asked_smi.cache_clear()


# ---- two machines

OLD = {
    "cpu": "Xeon A", "architecture": "x86_64", "cores_usable": 16, "memory_gib": 64, "system": "Linux",
    "python": "CPython 3.11.7", "kernels": {"numpy": "2.0.0"}, "environment": {}, "kernel": "6.1",
    "libraries": {"numpy": "2.0.0", "pandas": "2.0"}, "frequency": {"governor": None}, "state": {"load_average": [1.0]},
}  # fmt: skip
NEW = {
    **{name: value for name, value in OLD.items() if name != "frequency"},
    "rule": machine.RULE, "instructions": ["avx2"], "caches_kib": {"L3": 32768}, "governor": "performance",
    "huge_pages": "madvise", "quota_cores": None, "gpus": None, "smt": True,
}  # fmt: skip


def test_a_machine_is_recognised_under_its_id_of_before() -> None:
    assert is_continued(OLD, NEW)
    assert not is_continued(NEW, OLD) and not is_continued(NEW, NEW)
    assert not is_continued({**OLD, "kernels": {"numpy": "1.9"}}, NEW)
    assert is_continued({**OLD, "environment": {"CUDA_VISIBLE_DEVICES": "1"}}, NEW)
    assert not is_continued({**OLD, "environment": {"OMP_NUM_THREADS": "1"}}, NEW)
    assert not is_continued({"cpu": "test"}, NEW), "too little was described"
    limited = {**NEW, "quota_cores": 2.0}
    known = [("old", "2026-01-01", OLD), ("later", "2026-03-01", limited), ("first", "2026-02-01", NEW)]
    assert continued(known) == {"old": "first"}


def test_what_differs_is_said_in_words() -> None:
    other = {
        **NEW,
        "cpu": "Xeon B",
        "cores_usable": 8,
        "quota_cores": 2.0,
        "kernels": {"numpy": "2.1.0"},
        "libraries": {"numpy": "2.1.0", "pandas": "2.1"},
        "gpus": [{"name": "NVIDIA H200", "memory_mib": 143771, "mig": None, "uuid": "GPU-1"}],
        "environment": {"OMP_NUM_THREADS": "4"},
        "kernel": "6.8",
        "governor": "powersave",
        "instructions": ["avx2", "avx512f"],
    }
    found = differences(NEW, other)
    said = [one.words() for one in found if one.matters]
    assert said == [
        "CPU Xeon A against Xeon B",
        "instruction sets none against avx512f",
        "GPU none against NVIDIA H200 143771 MiB",
        "16 usable cores against 8",
        "no quota against 2.0",
        "numpy 2.0.0 against 2.1.0",
        "OMP_NUM_THREADS=none against 4",
        "governor performance against powersave",
    ]
    assert [one.words() for one in found if not one.matters] == ["kernel 6.1 against 6.8", "pandas 2.0 against 2.1"]
    assert differences(NEW, copy.deepcopy(NEW)) == []
    assert differences(OLD, NEW) == [], "what the older rule did not look at is no difference"


def side(description: Mapping[str, Any], machine_id: str = "m") -> Measured:
    return Measured(label="run x", machine_id=machine_id, machine=description, records=(record(),))


def compare(base: Measured, head: Measured, **options: Any) -> Comparison:
    return compare_stored(base, head, **{"floor": lambda task: 0.01, "noise": (), "normalise": False, **options})


def test_machines_that_differ_are_refused_in_words() -> None:
    with pytest.raises(DifferentMachines) as refused:
        compare(side(NEW), side({**NEW, "cpu": "Xeon B", "cores_usable": 8, "kernel": "6.8"}, "n"))
    lines = [line.strip() for line in str(refused.value).splitlines()]
    assert lines[1:4] == [
        "CPU Xeon A against Xeon B",
        "16 usable cores against 8",
        "noted only: kernel 6.1 against 6.8",
    ]
    assert compare(side(OLD, "old"), side(NEW, "new")).machine_id == "new"


def test_a_machine_that_was_set_differently_is_refused() -> None:
    with pytest.raises(DifferentMachines, match="set differently") as refused:
        compare(side(NEW), side({**NEW, "governor": "powersave"}))
    assert "governor performance in BASE, powersave in HEAD" in str(refused.value)
    assert compare(side(NEW), side({**NEW, "kernel": "6.8"})).machine_id == "m"
    assert compare(side({}), side(NEW)).machine_id == "m", "a file describes no machine"


def test_boxes_are_recognised_by_their_hardware() -> None:
    assert is_same_box(NEW, {**NEW, "kernels": {}, "quota_cores": 1.0, "kernel": "1"})
    assert is_same_box(OLD, NEW)
    assert not is_same_box(NEW, {**NEW, "memory_gib": 32})
    assert not is_same_box({}, NEW)


def test_what_changed_under_one_id_is_known_for_each_moment() -> None:
    known = {"rule": machine.RULE, "kernel": "6.1", "governor": "performance", "libraries": {"pandas": "2.0"}}
    changed = {**known, "kernel": "6.8", "libraries": {"pandas": "2.1"}}
    first = changes_since(known, changed, "r2", "2026-02-01T00:00:00+00:00")
    assert {(one["field"], one["name"], one["before"], one["after"]) for one in first} == {
        ("kernel", "", "6.1", "6.8"),
        ("libraries", "pandas", "2.0", "2.1"),
    }
    kept = {**known, "changes": first}
    assert changes_since(kept, changed, "r3", "2026-03-01T00:00:00+00:00") == []
    back = changes_since(kept, {**changed, "kernel": "6.1"}, "r4", "2026-04-01T00:00:00+00:00")
    kept["changes"] = [*first, *back]
    assert state_at(kept, "2026-01-01")["kernel"] == "6.1"
    assert state_at(kept, "2026-02-15") == changed
    assert state_at(kept, "2026-05-01") == {**changed, "kernel": "6.1"}
    # a description that was overwritten by a later one is told by the changes all the same
    assert state_at({**kept, "kernel": "6.1", "libraries": {"pandas": "2.1"}}, "2026-01-01") == known


def test_runs_that_come_in_any_order_keep_what_the_machine_was_set_to() -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        days = rng.permutation(np.arange(10, 10 + rng.integers(2, 7)))
        runs = [(f"2026-01-{day}", f"r{day}") for day in days]
        said = [
            {
                "rule": machine.RULE,
                "governor": str(rng.choice(["performance", "powersave"])),
                "libraries": {name: str(rng.integers(2)) for name in ("pandas", "scipy") if rng.random() < 0.8},
            }
            for _ in runs
        ]
        known: dict[str, Any] = dict(said[0])
        for number, (at, run_id) in enumerate(runs[1:], 1):
            known = observed(known, said[number], run_id, at, runs[: number + 1])
        assert [state_at(known, at) for at, _ in runs] == said


def night(path: Path, governor: str, machine_id: str = "m") -> RunInfo:
    """A run in a store of its own, on a machine that is set so."""
    said = {**NEW, "governor": governor}
    with Store.open(str(path)) as store:
        run = store.start_run(
            command="bench", selectors=[], seed=1, budget_s=None, machine=said, machine_id=machine_id, commit=None,
            dirty=None,
        )  # fmt: skip
        machines.remember(store, run, said)
        store.add(record(run_id=run.run_id, machine_id=machine_id, median_ns=1000), "bench")
        store.finish_run(run.run_id, exit_code=0)
    return run


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_copies_keep_what_a_machine_was_set_to(tmp_path: Path, order: Sequence[int]) -> None:
    governors = ("performance", "powersave", "performance")
    runs = []
    for number, governor in enumerate(governors):
        runs.append(night(tmp_path / f"{number}.sqlite", governor))
        time.sleep(0.002)  # runs are told apart by the millisecond in which they began
    for number in (*order, *order):
        with opened_pair(str(tmp_path / f"{number}.sqlite"), str(tmp_path / "all.sqlite")) as (source, target):
            copy_runs(source, target, Wanted(), lambda *_: None)
    with Store.open(str(tmp_path / "all.sqlite")) as store:
        sides = [measured_from_store(store, run.run_id) for run in runs]
        rows = store.machine("m")["changes"]
    assert [one.machine["governor"] for one in sides] == list(governors)
    assert compare(sides[0], sides[2]).machine_id == "m"
    assert len(rows) == 2, "each change once"
    with pytest.raises(DifferentMachines, match="governor performance in BASE, powersave in HEAD"):
        compare(*sides[:2])


def test_a_run_that_goes_on_says_nothing_of_those_in_between(store_path: Path) -> None:
    first = night(store_path, "performance")
    time.sleep(0.002)
    between = night(store_path, "performance")
    time.sleep(0.002)
    with Store.open(str(store_path)) as store:
        machines.remember(store, first, {**NEW, "governor": "powersave"}, at=stamp_now())
        known = store.machine("m")
    assert [state_at(known, at)["governor"] for at in (first.started_at, between.started_at, "9")] == [
        "performance",
        "performance",
        "powersave",
    ]


def test_a_node_that_was_set_differently_is_remembered(store_path: Path) -> None:
    before = night(store_path, "performance", "node")
    time.sleep(0.002)
    with Store.open(str(store_path)) as store:
        run = store.start_run(
            command="bench", selectors=[], seed=1, budget_s=None, machine=OLD, machine_id="client", commit=None,
            dirty=None,
        )  # fmt: skip
        context = Context(run.run_id, "client", None, None, 1)
        parts: Any = SimpleNamespace()
        ledger = Ledger(parts, store, context, lambda *_: None, parts, parts)
        node: Any = SimpleNamespace(machine_id="node", facts={"machine": {**NEW, "governor": "powersave"}})
        ledger.joined(node)
        ledger.joined(node)
        known = store.machine("node")
        assert set(store.members(run.run_id)) == {"node"}
    assert state_at(known, before.started_at)["governor"] == "performance"
    assert state_at(known, run.started_at)["governor"] == "powersave"


# ---- references


def test_references_are_measured_and_kept_with_the_copies() -> None:
    ceilings = Ceilings()
    ceilings.refer()
    ceilings.refer()
    ceilings.rate(4096)
    data = ceilings.as_data()
    assert set(reference.references_of(data)) == set(reference.UNITS)
    assert all(math.isfinite(rate) and rate > 0.0 for rate in data.values())
    assert set(reference.copies_of(data)) == {4096}
    assert reference.over([{"a": 2.0}, {"a": 8.0}]) == {"a": pytest.approx(4.0)}
    assert reference.over([]) == {} and reference.references_of(None) == {}


# ---- whether it was the machine

SLOWER_MACHINE = math.log(1.12)
LIBRARIES = ("numpy", "torch", "jax")


def shared_changes(rng: np.random.Generator, tasks: int = 200, machine: float = 0.0, own: float = 0.012) -> np.ndarray:
    """Log changes of tasks between two runs: the machine's, to which tasks respond by 10 % more or less; what both runs
    shared by luck; and each task's own noise."""
    luck = rng.normal(0.0, 0.02)
    return luck + machine * rng.normal(1.0, 0.1, tasks) + rng.normal(0.0, own, tasks)


def of(logs: np.ndarray) -> list[Change]:
    return [Change(f"operator{n % 20}", LIBRARIES[n % 3], float(log)) for n, log in enumerate(logs)]


def moved(rng: np.random.Generator, log: float, copies: float) -> Moved:
    return Moved(log + rng.normal(0.0, 0.015), copies + rng.normal(0.0, 0.02), 0.015, 0.02)


def causes(
    seeds: int, logs: Callable[[np.random.Generator], np.ndarray], references: float, copies: float | None = None
) -> dict[str, int]:
    found = {MACHINE: 0, OTHER: 0, UNKNOWN: 0, "nothing": 0}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        shift = judge(of(logs(rng)), moved(rng, references, references if copies is None else copies))
        found["nothing" if shift is None else shift.cause] += 1
    return found


def test_a_slow_machine_is_told_and_luck_is_not() -> None:
    """In 300 pairs of runs each. Luck that two runs share is no machine as long as the references do not move."""
    assert causes(300, lambda rng: shared_changes(rng, machine=SLOWER_MACHINE), SLOWER_MACHINE)[MACHINE] >= 297
    assert causes(300, lambda rng: shared_changes(rng, machine=-SLOWER_MACHINE), -SLOWER_MACHINE)[MACHINE] >= 297
    calm = causes(300, shared_changes, 0.0)
    assert calm[MACHINE] <= 1
    assert calm["nothing"] >= 240


def test_what_a_commit_slows_down_is_not_excused() -> None:
    def commit(share: float) -> Callable[[np.random.Generator], np.ndarray]:
        return lambda rng: shared_changes(rng) + SLOWER_MACHINE * (rng.random(200) < share)

    for share in (0.6, 1.0):
        found = causes(300, commit(share), 0.0)
        assert found[MACHINE] == 0
        assert found[OTHER] >= 250
    # and not where the machine moved by little: only that little is the machine's
    rng = np.random.default_rng(5)
    shift = judge(of(shared_changes(rng, machine=math.log(1.3))), Moved(math.log(1.1), math.log(1.1), 0.015, 0.015))
    assert shift is not None and shift.cause == MACHINE
    assert shift.taken == pytest.approx(math.log(1.1)) and shift.log > math.log(1.2)


def test_one_reference_alone_convicts_no_machine_and_what_exceeds_both_is_called() -> None:
    """With fewer than six runs a reference is known to 2.1 points: that is no leave to excuse as much."""
    error = math.sqrt(2.0) * 0.015
    for tasks, cpu, copies in ((0.08, -0.01, 0.066), (0.15, 0.0, 0.113), (0.08, 0.066, 0.0), (-0.15, 0.0, -0.113)):
        shift = judge(of(np.full(40, tasks)), Moved(cpu, copies, error, error))
        assert shift is not None and (shift.cause, shift.taken) == (OTHER, 0.0)
        assert shift.reason == "only one of the machine's references moved"
    for tasks, cpu, copies in ((0.12, 0.066, 0.066), (0.2, 0.07, 0.15)):
        shift = judge(of(np.full(40, tasks)), Moved(cpu, copies, error, error))
        assert shift is not None and shift.cause == MACHINE
        assert shift.taken == pytest.approx((cpu + copies) / 2)
    # one that is known too badly to say anything by itself, and agrees with the tasks, does not stand against it
    shift = judge(of(np.full(40, 0.06)), Moved(0.06, 0.055, 0.005, 0.02))
    assert shift is not None and shift.taken == shift.log
    found = causes(300, lambda rng: shared_changes(rng, machine=SLOWER_MACHINE), 0.0, copies=SLOWER_MACHINE)
    assert found[MACHINE] <= 2


def test_one_librarys_or_half_the_operators_change_is_not_the_machines() -> None:
    rng = np.random.default_rng(1)
    logs = shared_changes(rng)
    library = np.array([number % 3 != 2 for number in range(200)])
    shift = judge(of(logs + SLOWER_MACHINE * library), Moved(0.11, 0.11, 0.01, 0.01))
    assert shift is not None and shift.cause == OTHER and "those of jax did not" in shift.reason
    operators = np.array([number % 20 < 14 for number in range(200)])
    shift = judge(of(logs + SLOWER_MACHINE * operators), Moved(0.11, 0.11, 0.01, 0.01))
    assert shift is not None and shift.cause == OTHER and shift.taken == 0.0


def test_without_references_nothing_is_excused() -> None:
    rng = np.random.default_rng(1)
    shift = judge(of(shared_changes(rng, machine=SLOWER_MACHINE)), Moved(None, None))
    assert shift is not None and shift.cause == UNKNOWN and shift.taken == 0.0
    assert judge(of(np.full(7, 0.2)), Moved(0.2, 0.2)) is None, "too few tasks"
    assert judge([], Moved(0.2, 0.2)) is None
    assert judge(of(np.array([math.nan] * 20)), Moved(0.2, 0.2)) is None


def reading(one: Record, process: int, log: float) -> Sample:
    time = round(1e6 * math.exp(log))
    return Sample(
        operator=one.operator, backend=one.backend, implementation=one.implementation, case=one.case,
        process=process, block=0, position=0, calls=1, wall_ns=time, cpu_ns=time, checked=False,
    )  # fmt: skip


def gate(
    seed: int, *, machine: float = 0.0, references: float | None = None, own: Mapping[int, float] | None = None
) -> tuple[Measured, Measured]:
    """Two runs of 200 tasks; `own` is what tasks have besides, in log time."""
    rng = np.random.default_rng(seed)
    change = shared_changes(rng, machine=machine, own=0.008)
    for number, more in (own or {}).items():
        change[number] += more
    sides = []
    for logs in (np.zeros(200), change):
        records, samples = [], {}
        for number, log in enumerate(logs):
            one = record(
                operator=f"operator{number % 20}", backend=LIBRARIES[number % 3], implementation=f"i{number}",
                median_ns=round(1e6 * math.exp(log)), machine_id="m",
            )  # fmt: skip
            records.append(one)
            samples[task_of(one)] = tuple(reading(one, process, log + rng.normal(0.0, 0.003)) for process in range(4))
        sides.append(Measured(label="run x", machine_id="m", records=tuple(records), samples=samples))
    speed = machine if references is None else references
    rates = [{key: 4.0 * math.exp(-log + rng.normal(0.0, 0.01)) for key in reference.UNITS} for log in (0.0, speed)]
    copies = [
        {size: 20.0 * math.exp(-log + rng.normal(0.0, 0.01)) for size in (65536, 1 << 24)} for log in (0.0, speed)
    ]
    base, head = (
        dataclasses.replace(one, references=rate, ceilings=copied)
        for one, rate, copied in zip(sides, rates, copies, strict=True)
    )
    return base, head


def slower(comparison: Comparison) -> list[Compared]:
    return [row for row in comparison.rows if row.verdict == "SLOWER"]


def test_a_slow_machine_is_one_sentence_and_no_regression() -> None:
    """200 tasks on a machine that is 12 % slower, 12 times: nothing remains, where 200 regressions stood."""
    alarms = excused = 0
    for seed in range(8):
        base, head = gate(seed, machine=SLOWER_MACHINE)
        found = compare(base, head, drift=0.02)
        alarms += len(slower(found))
        excused += bool(found.machine)
    assert excused == 8
    assert alarms <= 2
    assert (
        found.machine.startswith("machine m was 1") and "slower in HEAD than in BASE (CPU reference +1" in found.machine
    )
    assert "tasks between" in found.machine
    assert found.exit_code in (0, 4) and found.machine == found.notes[0]
    row = found.rows[0]
    assert row.machine_ratio == pytest.approx(1.12, abs=0.06) and row.ratio == pytest.approx(1.0, abs=0.05)
    assert "of the machine as a whole is taken out" in row.reason
    assert len(slower(compare(base, head, drift=0.02, slow_machine="count"))) > 150
    with pytest.raises(DifferentMachines, match=r"machine m was 1.* slower in HEAD.*--slow-machine refuse"):
        compare(base, head, slow_machine="refuse")


def test_a_regression_on_top_of_a_slow_machine_is_found() -> None:
    found = others = 0
    for seed in range(10):
        comparison = compare(*gate(seed, machine=SLOWER_MACHINE, own={7: math.log(1.08)}), drift=0.02)
        names = {row.implementation for row in slower(comparison)}
        found += "i7" in names
        others += len(names - {"i7"})
    assert found >= 9
    assert others <= 2


def test_one_task_that_is_selected_is_judged_as_among_all() -> None:
    """The command that a comparison prints to repeat one task must not say something else of it."""
    base, head = gate(3, machine=SLOWER_MACHINE, own={7: math.log(1.08)})
    both = [dataclasses.replace(one, records=one.records[7:8]) for one in (base, head)]
    (row,) = compare(*both, drift=0.02, everything=(base, head)).rows
    assert row.verdict == "SLOWER" and row.ratio == pytest.approx(1.08, abs=0.03)
    (row,) = compare(*both, drift=0.02).rows
    assert row.ratio == pytest.approx(1.2, abs=0.05), "alone it says nothing of the machine"


def test_a_commit_that_slows_most_tasks_is_called() -> None:
    """60 % of the tasks, 12 % slower, while the references stand still: all of them are called, and it is said that the
    machine is not to blame."""
    own = {number: SLOWER_MACHINE for number in range(200) if number % 5 < 3}
    for seed in range(4):
        comparison = compare(*gate(seed, own=own), drift=0.02)
        assert len(slower(comparison)) >= 110
        assert not comparison.machine and comparison.exit_code == 1
        assert any("references stood still" in note for note in comparison.notes)


def test_two_equal_runs_say_nothing_of_the_machine() -> None:
    for seed in range(4):
        comparison = compare(*gate(seed), drift=0.05)
        assert not comparison.machine
        assert not any(row.machine_ratio for row in comparison.rows)


# ---- over many runs

EVIL = "<script>\x1b[31m[bold]|"
START = datetime.datetime(2026, 8, 3, 9, tzinfo=datetime.UTC)


def fill(
    path: Path,
    logs: np.ndarray,
    speed: np.ndarray | None = None,
    *,
    machine_id: str = "box1",
    description: Mapping[str, Any] = NEW,
    first: int = 0,
) -> list[str]:
    """A run for each row of log times, a task for each column; `speed` is what the references took, in log time."""
    rng = np.random.default_rng(len(logs))
    found = []
    with Store.open(str(path)) as store:
        for number, row in enumerate(logs):
            commit = f"{first + number:08x}{'0' * 32}"
            run = store.start_run(
                command="bench", selectors=[], seed=1, budget_s=None, machine=description, machine_id=machine_id,
                commit=commit, dirty=False,
            )  # fmt: skip
            found.append(run.run_id)
            at = START + datetime.timedelta(days=first + number)
            for column, log in enumerate(row):
                time = round(1e6 * math.exp(log))
                store.add(
                    record(
                        run_id=run.run_id, started_at=at.isoformat(timespec="milliseconds"), machine_id=machine_id,
                        operator=f"operator{column % 4}", backend=LIBRARIES[column % 3], implementation=f"i{column}",
                        commit=commit, dirty=False, median_ns=time, cpu_median_ns=time, samples=9,
                        ci_low_ns=time - 9, ci_high_ns=time + 9,
                    ),
                    "bench",
                )  # fmt: skip
            if speed is not None:
                rates = {key: 4.0 * math.exp(-speed[number] + rng.normal(0, 0.01)) for key in reference.UNITS}
                rates["65536"] = 20.0 * math.exp(-speed[number] + rng.normal(0, 0.02))
                store.note(run.run_id, ceiling=rates)
            store.finish_run(run.run_id, exit_code=0)
    return found


def noisy(runs: int, tasks: int, seed: int = 1) -> np.ndarray:
    """1 % of noise that a run's tasks share, and 0.7 % of their own."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.0, 0.01, (runs, 1)) + rng.normal(0.0, 0.007, (runs, tasks))


def looked_at(path: Path, *selectors: str) -> Histories:
    with Store.open(str(path)) as store:
        return histories(store, selectors)


def test_a_machine_that_got_slower_is_one_finding_of_a_history(store_path: Path) -> None:
    """Run 25 of 40 on a slower machine; one task got slower by itself at run 32."""
    late, own = np.arange(40) >= 25, np.arange(40) >= 32
    logs = noisy(40, 18) + SLOWER_MACHINE * late[:, None]
    logs[:, 4] += math.log(1.08) * own
    runs = fill(store_path, logs, SLOWER_MACHINE * late)
    found = looked_at(store_path)
    (change,) = found.machine_changes
    assert change.is_machine and change.after.run_id == runs[25] and change.before.run_id == runs[24]
    assert 100 * math.expm1(change.shift.taken) == pytest.approx(12.0, abs=2.0)
    assert [row.series.implementation for row in found.rows if row.changes] == ["i4"]
    (step,) = next(row for row in found.rows if row.changes).changes
    assert step.after.run_id == runs[32] and step.percent == pytest.approx(8.0, abs=2.0)
    text, _ = headline(found)
    assert text.startswith("The machine got 1") and f"from run {runs[25]} on; apart from that: 1 of 18 tasks" in text
    (said,) = [note for note in notes(found) if note.startswith("Machine box1 got slower")]
    assert "of 18 tasks between" in said and "CPU reference +1" in said
    assert found.rows[0].as_data()["machine_changes"][0]["run_id"] == runs[25]
    assert "taken out" in history_page(found)
    json.dumps([row.as_data() for row in found.rows], allow_nan=False)
    assert len(found.frame()) == 18 and set(found.frame()["machine_changes"]) == {1}
    # one task alone: what the others share is looked at all the same
    alone = looked_at(store_path, "*/i2/*")
    assert len(alone.rows) == 1 and alone.machine_changes and not alone.rows[0].changes


def test_tasks_that_got_slower_on_a_machine_that_did_not(store_path: Path) -> None:
    late = np.arange(40) >= 25
    runs = fill(store_path, noisy(40, 18) + SLOWER_MACHINE * late[:, None], np.zeros(40))
    found = looked_at(store_path)
    (change,) = found.machine_changes
    assert not change.is_machine and change.shift.cause == OTHER
    assert all(row.changes and not row.taken for row in found.rows)
    (said,) = [note for note in notes(found) if "references stood still" in note]
    assert "not taken out" in said and f"commit {24:08x}..{25:08x}" in said
    assert runs[25] in said and not headline(found)[0].startswith("The machine")


def seen(logs: np.ndarray, speed: np.ndarray, seed: int) -> tuple[shifts.MachineChange, ...]:
    rng = np.random.default_rng(1000 + seed)
    tasks = [(f"operator{n % 5}", LIBRARIES[n % 3]) for n in range(logs.shape[1])]
    runs = [
        shifts.Run(
            run_id=str(n),
            started_at=START + datetime.timedelta(days=n),
            ceiling={key: math.exp(-log + rng.normal(0.0, 0.015)) for key in ("exp_1_thread", "4096", "8192")},
        )
        for n, log in enumerate(speed)
    ]
    return shifts.changes(runs, tasks, logs)


def test_over_many_runs_alarms_are_rare_and_steps_are_found() -> None:
    late = np.arange(40) >= 22
    found = false = drifts = 0
    for seed in range(15):
        logs = noisy(40, 30, seed)
        false += len(seen(logs, np.zeros(40), seed))
        (step,) = seen(logs + math.log(1.06) * late[:, None], math.log(1.06) * late, seed) or (None,)
        found += step is not None and step.is_machine and abs(int(step.after.run_id) - 22) <= 1
        weeks = np.arange(40) / 7.0
        (drift,) = seen(logs + 0.02 * weeks[:, None], 0.02 * weeks, seed)[-1:] or (None,)
        drifts += drift is not None and drift.is_machine and drift.kind == shifts.DRIFT
    assert false <= 1
    assert found >= 14
    assert drifts >= 12


@pytest.mark.parametrize("machine_step", [0.0, -0.10, -0.16], ids=["still", "part", "whole"])
def test_a_drift_beside_a_step_is_held_against_what_the_references_did(machine_step: float) -> None:
    """90 runs with a step down in the middle, and a drift up by 17 % in all, both of every task: a drift is the
    machine's only where the references drift, whoever made the step."""
    late, way = np.arange(90) >= 45, np.arange(90) / 90.0
    for seed in range(4):
        logs = noisy(90, 30, seed) - 0.16 * late[:, None] + 0.16 * way[:, None]
        for drift, cause in ((0.0, OTHER), (0.16, MACHINE)):
            (found,) = [one for one in seen(logs, machine_step * late + drift * way, seed) if one.kind == shifts.DRIFT]
            assert found.shift.cause == cause, (drift, found.shift)


def test_a_history_goes_on_under_the_new_id(store_path: Path) -> None:
    fill(store_path, noisy(12, 3), machine_id="aaaa", description=OLD)
    fill(store_path, noisy(12, 3), machine_id="bbbb", description=NEW, first=12)
    fill(store_path, noisy(2, 3), machine_id="cccc", description={**NEW, "quota_cores": 1.0}, first=30)
    with Store.open(str(store_path)) as store:
        for wanted in ("bbbb", "aaaa"):
            found = histories(store, (), machine=wanted)
            assert found.machine_id == "bbbb" and {len(row.series.points) for row in found.rows} == {24}
            assert {one.machine_id for one in found.machines} == {"bbbb", "cccc"}
        run = store.runs()[-1]
        assert run.machine_id == "aaaa"
        newest = next(one for one in store.runs() if one.machine_id == "bbbb")
        comparison = compare(measured_from_store(store, run.run_id), measured_from_store(store, newest.run_id))
    assert len(comparison.rows) == 3


def test_a_history_of_one_task_reads_no_other_machines_rows(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store_path, noisy(6, 20), machine_id="cccc", description={**NEW, "cpu": "Xeon B"})
    fill(store_path, noisy(6, 3), machine_id="aaaa", description=OLD, first=6)
    fill(store_path, noisy(6, 3), machine_id="bbbb", description=NEW, first=12)
    read, series = [], Store.series

    def counted(*arguments: Any, **options: Any) -> list[dict[str, Any]]:
        rows = series(*arguments, **options)
        read.append((len(rows), len({row["run_id"] for row in rows})))
        return rows

    monkeypatch.setattr(Store, "series", counted)
    with Store.open(str(store_path)) as store:
        found = series_module.read(store, ["operator1/*"], machine="bbbb")
        assert [len(one.points) for one in found.series] == [12]
        read.clear()
        machines.machine_changes(store, found)
    assert read == [(36, 12)], "its three tasks, under both of its ids"


# ---- harness machines


@pytest.fixture
def several(store_path: Path) -> Path:
    late = np.arange(14) >= 7
    fill(store_path, noisy(6, 2), machine_id="aaaa", description=OLD)
    fill(store_path, noisy(14, 2), SLOWER_MACHINE * late, machine_id="bbbb", first=6)
    fill(store_path, noisy(2, 2), machine_id="cccc", description={**NEW, "kernels": {"numpy": "2.1.0"}}, first=30)
    fill(store_path, noisy(1, 2), machine_id="dddd", description={"node": "evil\x1b[31m|<b>"}, first=1)
    noise = {
        "operator": "sum",
        "backend": "numpy",
        "implementation": "a",
        "comparisons": 9,
        "measured_at": "2026-01-01",
    }
    with Store.open(str(store_path)) as store:
        store.add_noise(
            [
                Noise(machine_id="aaaa", case="x", clock="cpu", spread=0.002, detectable=0.01, **noise),
                Noise(machine_id="bbbb", case="y", clock="cpu", spread=0.01, detectable=0.01, **noise),
            ]
        )
        known = store.machine("bbbb")
        run = next(one for one in store.runs() if one.machine_id == "bbbb")
        machines.remember(store, run, {**known, "kernel": "6.8"})
        machines.remember(store, run, {**known, "kernel": "6.8"})
    return store_path


def run(*arguments: object) -> Any:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_machines_are_listed(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    done = run("--store", several)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 110
    assert "\x1b" not in done.output
    assert "bbbb counts the runs of aaaa too" in done.stdout
    words = " ".join(done.stdout.split())
    assert "cccc is probably the same box as bbbb, with numpy 2.1.0 instead of 2.0.0" in words
    assert done.stderr.splitlines()[-1].startswith("next: harness ")
    rows = {row["machine_id"]: row for row in json.loads(run("--store", several, "--json").stdout)}
    assert set(rows) == {"bbbb", "cccc", "dddd"}
    own = rows["bbbb"]
    assert (own["runs"], own["rows"], own["older_ids"]) == (20, 40, ["aaaa"])
    assert own["noise"] == {"cpu": {"median": pytest.approx(0.006), "worst": 0.01, "tasks": 2}}
    assert [one["what"] for one in own["changes"]] == ["kernel 6.1 -> 6.8"]
    assert own["alike"][0]["machine_id"] == "cccc"
    copies = next(one for one in own["ceilings"] if one["key"] == "65536")
    assert copies["unit"] == "GB/s" and copies["runs"] == 14
    assert copies["newest"] == pytest.approx(20.0 / 1.12, rel=0.1)


def test_one_machine_is_shown_whole(several: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "180")
    done = run("bb", "--store", several)
    assert done.exit_code == 0, done.output
    for part in ("Xeon A", "integers, 1 thread", "copy, 64 KiB", "kernel 6.1 -> 6.8", "huge_pages"):
        assert part in done.stdout
    assert "probably the same box as cccc, with numpy 2.0.0 instead of 2.1.0" in done.stdout
    assert "next: harness history --machine bbbb" in done.stderr
    assert run("aaaa", "--store", several).stdout == done.stdout, "an id of before means the same machine"
    missing = run("zz", "--store", several)
    assert missing.exit_code == 5 and "bbbb" in missing.stderr


def test_machines_as_files(several: Path, tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        path = tmp_path / f"machines{suffix}"
        assert run("--store", several, "-o", path).exit_code == 0
        text = path.read_text()
        assert "bbbb" in text and "\x1b" not in text and "evil" in text
        assert suffix == ".json" or "<b>" not in text.replace("\\<b", "") or suffix == ".csv"
    assert run("--store", several, "-o", tmp_path / "x.txt").exit_code == 2


def test_an_empty_store_has_no_machine(store_path: Path) -> None:
    Store.open(str(store_path)).close()
    done = run("--store", store_path)
    assert done.exit_code == 5 and "harness bench" in done.stderr


def test_members_of_a_joined_run_count(several: Path) -> None:
    with Store.open(str(several)) as store:
        joined = store.runs()[0]
        store.add_member(joined.run_id, "eeee", NEW, ceiling={"65536": 3.0}, used_by_others=0.5)
        found = {one.machine_id: one for one in inventory(store)}
        report = stored_report(store, joined.run_id)
    assert found["eeee"].runs == 1 and [one.rates for one in found["eeee"].readings] == [{"65536": 3.0}]
    section = machine_section(report)
    captions = [table.caption for _, table in section.figures]
    assert captions[0] == "The machines of this run" and captions[1].startswith("Copy rates of machine eeee")
    assert [cell.text for cell in section.figures[0][1].rows[0]] == ["eeee", "Xeon A, 16 cores, 64 GiB", "50"]
    assert "How fast the machine computed in this run" in whole_page(several)


def whole_page(path: Path) -> str:
    """The page of the newest run that measured references."""
    with Store.open(str(path)) as store:
        run = next(one for one in store.runs() if one.ceiling)
        return page(stored_report(store, run.run_id))


def test_the_history_command_tells_of_the_machine(store_path: Path) -> None:
    late = np.arange(24) >= 14
    fill(store_path, noisy(24, 12) + SLOWER_MACHINE * late[:, None], SLOWER_MACHINE * late)
    app = typer.Typer()
    app.command()(history_command)
    done = CliRunner().invoke(app, ["--store", str(store_path)])
    assert done.exit_code == 0, done.output
    words = " ".join(done.stdout.split())
    assert "The machine got 12 % slower" in words or "The machine got 11 % slower" in words
    assert "apart from that: no drift and no change point" in words.lower()


def test_sequences_are_typed() -> None:
    assert isinstance(machine.IDENTITY, Sequence) and set(machine.BOX) < set(machine.IDENTITY)
    assert not set(machine.IDENTITY) & (set(machine.SETTINGS) | set(machine.NOTED))


def test_a_store_of_a_stranger_may_say_anything_of_its_machines(store_path: Path) -> None:
    strange: list[dict[str, Any]] = [
        {"rule": "2", "gpus": 7, "kernels": [1], "changes": 5, "cpu": {"a": [EVIL]}},
        {"rule": None, "gpus": [1, {"name": EVIL}], "changes": [1, {}, {"started_at": "x", "field": "a", "name": ""}]},
        {
            "memory_gib": [],
            "changes": [{"started_at": "2026-01-01", "field": EVIL, "name": EVIL, "before": 1, "after": []}],
        },
    ]
    for number, description in enumerate(strange):
        fill(store_path, noisy(2, 2), machine_id=f"m{number}", description=description, first=number)
    done = run("--store", store_path)
    assert done.exit_code == 0, done.output
    for number in range(3):
        done = run(f"m{number}", "--store", store_path)
        assert done.exit_code == 0, done.output
        assert "\x1b" not in done.output
    with Store.open(str(store_path)) as store:
        sides = [measured_from_store(store, one.run_id) for one in store.runs()]
    for one in sides[1:]:
        if one.machine_id != sides[0].machine_id:
            with pytest.raises(DifferentMachines):
                compare(sides[0], one)

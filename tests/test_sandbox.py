"""What the operating system forbids a worker: each layer by a probe that gets through without it."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import orphans, store
from harness.checkout import worker_environment
from harness.cli import app
from harness.options import DEFAULT_STORE
from harness.process import WorkerFailure, WorkerProcess
from harness.sandbox import cores, filter, kernel, landlock, policy, probing
from harness.sandbox.policy import Confined, Layers, NotConfined, Sandbox
from harness.timing import instructions
from harness.timing.alone import alone

HELD = probing.probe()
pytestmark = pytest.mark.skipif(
    HELD is None or bool(HELD.missing), reason=f"layers are missing here: {HELD and HELD.missing}"
)
HAS_NAMESPACES = HELD is not None and not HELD.found["namespaces"]
TRACES_ALL = not Path("/proc/sys/kernel/yama/ptrace_scope").exists() or (
    Path("/proc/sys/kernel/yama/ptrace_scope").read_text().strip() == "0"
)


@pytest.fixture(autouse=True)
def _auto() -> Iterator[None]:
    hidden = set(policy._hidden)
    policy.choose("auto")
    yield
    policy.choose("auto")
    policy._hidden.clear()
    policy._hidden.update(hidden)


@pytest.fixture
def victim() -> Iterator[int]:
    """Another process of the same user, as the supervisor and other workers are."""
    with subprocess.Popen(["sleep", "60"], env={"SECRET": "environment", "PATH": os.environ["PATH"]}) as process:
        yield process.pid
        process.kill()


def run(code: str, scratch: Path, mode: str, *, devices: bool = False, **names: object) -> str:
    """What a process says that runs `code` in a mode, with `names` defined: `through`, or why not."""
    policy.choose(mode)
    scratch.mkdir(exist_ok=True)
    lines = [f"{name} = {value!r}" for name, value in names.items()]
    body = "\n".join(f"    {line}" for line in code.strip().splitlines())
    program = "\n".join(
        ["import ctypes, mmap, os, resource, signal, socket, stat, sys, threading", *lines, "try:", body,
         "    print('through')", "except (OSError, AssertionError, ValueError) as error:", "    print(repr(error))"]
    )  # fmt: skip
    confined = Confined(Sandbox(str(scratch), devices=devices))
    done = subprocess.run(
        confined.python([sys.executable, "-c", program]),
        pass_fds=confined.descriptors,
        cwd=scratch,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **confined.variables},
    )
    confined.started()
    confined.must_hold()
    confined.close()
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FILES = {
    "makes a file": "open(f'{outside}/new', 'w')",
    "overwrites a file": "open(f'{outside}/file', 'w')",
    "appends to a file": "open(f'{outside}/file', 'a').write('more')",
    "truncates by name": "os.truncate(f'{outside}/file', 0)",
    "truncates as it reads": "os.open(f'{outside}/file', os.O_RDONLY | os.O_TRUNC)",
    "removes a file": "os.unlink(f'{outside}/file')",
    "renames a file": "os.rename(f'{outside}/file', f'{outside}/other')",
    "makes a folder": "os.mkdir(f'{outside}/folder')",
    "plants a link": "os.symlink('/etc/passwd', f'{outside}/link')",
    "plants a hard link": "os.link(f'{outside}/file', f'{outside}/hard')",
    "makes a pipe": "os.mkfifo(f'{outside}/pipe')",
    "writes through a link of its own": "os.symlink(f'{outside}/file', 'mine'); open('mine', 'w')",
    "changes the mode": "os.chmod(f'{outside}/file', 0o777); assert os.stat(f'{outside}/file').st_mode & 0o111",
    "changes the time": "os.utime(f'{outside}/file', (1, 1))\nassert os.stat(f'{outside}/file').st_mtime == 1",
    "reads what is hidden": "open(f'{outside}/hidden.sqlite')",
    "reads what lies beside the hidden": "open(f'{outside}/hidden.sqlite-wal')",
}


@pytest.mark.parametrize("name", FILES)
def test_files_outside_cannot_be_changed(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for file in ("file", "hidden.sqlite", "hidden.sqlite-wal"):
        (outside / file).write_text("kept")
    policy.hide(outside / "hidden.sqlite")

    said = run(FILES[name], tmp_path / "scratch", "auto", outside=str(outside))
    assert said != "through"
    assert {one.name for one in outside.iterdir()} == {"file", "hidden.sqlite", "hidden.sqlite-wal"}
    file = outside / "file"
    assert (file.read_text(), file.stat().st_mode & 0o777 == 0o777, file.stat().st_mtime == 1) == ("kept", False, False)
    assert run(FILES[name], tmp_path / "scratch", "off", outside=str(outside)) == "through"


def test_the_scratch_folder_and_what_a_worker_needs_can_be_written(tmp_path: Path) -> None:
    code = """
with open("own", "w") as file:
    file.write("x" * 100000)
os.mkdir("folder"); os.rename("own", "folder/own"); os.truncate("folder/own", 5); os.chmod("folder/own", 0o600)
assert open("folder/own").read() == "xxxxx"
open("/dev/null", "w").write("x")
assert len(open("/dev/urandom", "rb").read(8)) == 8
import tempfile
assert tempfile.gettempdir() == os.getcwd() == folder
import subprocess
assert subprocess.run(["true"], start_new_session=True).returncode == 0
a, b = socket.socketpair(); a.send(b"x"); assert b.recv(1) == b"x"
thread = threading.Thread(target=lambda: os.kill(os.getpid(), 0)); thread.start(); thread.join()
os.sched_setaffinity(0, os.sched_getaffinity(0))
assert all(open(path).read() for path in ("/proc/self/status", "/proc/cpuinfo", "/sys/devices/system/cpu/online"))
"""
    scratch = tmp_path / "scratch"
    assert run(code, scratch, "require", folder=str(scratch)) == "through"


OTHERS = {
    "signals it": "os.kill(victim, 0)",
    "stops it": "os.kill(victim, signal.SIGCONT)",
    "reads its environment": "assert b'SECRET' in open(f'/proc/{victim}/environ', 'rb').read()",
    "reads its descriptors": "os.readlink(f'/proc/{victim}/fd/0')",
    "lowers its priority": "os.setpriority(os.PRIO_PROCESS, victim, 1)",
    "moves it to one core": "os.sched_setaffinity(victim, {min(os.sched_getaffinity(0))})",
    "limits it": "resource.prlimit(victim, resource.RLIMIT_CORE, (0, 0))",
}
TRACES = {
    "opens its memory": "open(f'/proc/{victim}/mem', 'r+b', buffering=0)",
    "traces it": """
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, victim, 0, 0) != 0:
    raise OSError(ctypes.get_errno(), 'ptrace')
os.waitpid(victim, 0x40000000)
libc.ptrace(17, victim, 0, 0)
""",
}


@pytest.mark.parametrize("name", [*OTHERS, *TRACES])
def test_other_processes_are_out_of_reach(name: str, tmp_path: Path, victim: int) -> None:
    code = {**OTHERS, **TRACES}[name]
    assert re.search("PermissionError|OSError", run(code, tmp_path / "scratch", "auto", victim=victim))
    if name in OTHERS or TRACES_ALL:
        assert run(code, tmp_path / "scratch", "off", victim=victim) == "through"


BOUND = """
#define _GNU_SOURCE
#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int count, char **arguments) {
    cpu_set_t cores;
    int bound = 0;
    #pragma omp parallel num_threads(2) reduction(+ : bound) private(cores)
    {
        sched_getaffinity(0, sizeof cores, &cores);
        bound += CPU_COUNT(&cores) == 1;
    }
    sched_getaffinity(0, sizeof cores, &cores);
    int moved = sched_setaffinity(atoi(arguments[1]), sizeof cores, &cores);
    printf("%d bound, the other %s\\n", bound, moved ? strerror(errno) : "moved");
}
"""
"""Binds two threads of its own as OpenMP does, and then one of another process."""


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bound")
    (folder / "bound.cpp").write_text(BOUND)
    subprocess.run(["g++", "-fopenmp", "bound.cpp", "-o", "bound"], cwd=folder, check=True)
    return str(folder / "bound")


@pytest.mark.parametrize(
    ("mode", "answers", "says"),
    [
        ("auto", True, "2 bound, the other Operation not permitted"),
        ("auto", False, "0 bound, the other Operation not permitted"),
        ("off", True, "2 bound, the other moved"),
    ],
)
def test_threads_are_bound_to_cores_by_their_own_process_alone(
    mode: str, answers: bool, says: str, bound: str, tmp_path: Path, victim: int
) -> None:
    policy.choose(mode)
    confined = Confined(Sandbox(str(tmp_path), answers=answers))
    with subprocess.Popen(
        confined.program([bound, str(victim)]),
        pass_fds=confined.descriptors,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **confined.variables, "OMP_PROC_BIND": "true"},
    ) as process:
        confined.started()
        confined.must_hold(process.pid)
        said, _ = process.communicate()
    confined.close()
    assert said.strip() == says
    assert not any(one.name == "cores" for one in threading.enumerate())


def test_a_thread_belongs_to_one_process(victim: int) -> None:
    mine = threading.get_native_id()
    assert cores.is_of_same_process(mine, os.getpid()) and cores.is_of_same_process(os.getpid(), mine)
    for thread in (victim, 0, -1, 0xFFFFFFFF):
        assert not cores.is_of_same_process(os.getpid(), thread)
    assert not cores.is_of_same_process(victim, mine) and not cores.is_of_same_process(0, mine)


# A process that confines itself, with an older kernel or a dead mount as far as it can tell.
CONFINED = """
import errno, json, os, runpy, sys
enter = runpy.run_path(sys.argv[1])
enter["_stand_in"]()
from harness.sandbox import landlock
dead, kept = sys.argv[3:]
if dead:
    honest, number = os.fstat, os.stat(dead).st_ino
    def fstat(descriptor):
        found = honest(descriptor)
        if found.st_ino == number:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return found
    os.fstat = fstat
else:
    landlock.version = lambda: 1
found, _ = enter["confine"](json.loads(sys.argv[2]))
print(json.dumps(found))
"""


def confined(code: str, scratch: Path, dead: str = "", kept: str = "") -> tuple[dict[str, str], str]:
    """What a process says of its layers, and then what `code` prints."""
    scratch.mkdir(exist_ok=True)
    told = Sandbox(str(scratch), writable=(kept,) if kept else ()).as_json()
    command = [sys.executable, "-c", CONFINED + code, str(policy.ENTER), told, dead, kept]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr
    found, _, printed = done.stdout.partition("\n")
    return json.loads(found), printed.strip()


def test_a_mount_whose_server_is_gone_is_closed_and_all_else_holds(tmp_path: Path) -> None:
    for name in ("dead", "other", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    policy.hide(tmp_path / "secret")  # its neighbours are looked at one by one
    code = """
for path in (dead, os.path.dirname(dead) + "/other"):
    try:
        print(open(path + "/file").read())
    except OSError as error:
        print(error.strerror)
"""
    found, said = confined(code, tmp_path / "scratch", dead=str(tmp_path / "dead"))
    assert {name: found[name] for name in policy.LAYERS} == dict.fromkeys(policy.LAYERS, "")
    assert found["closed"] == f"{tmp_path}/dead (Transport endpoint is not connected)"
    assert said.splitlines() == ["Permission denied", "other"]


def test_on_the_first_version_of_landlock_caches_are_renamed_into_place(tmp_path: Path) -> None:
    code = """
import pathlib, shutil, subprocess
os.mkdir("new"); os.mkdir("new/inner"); pathlib.Path("new/inner/file").write_text("compiled")
os.close(os.open("tool", os.O_CREAT | os.O_WRONLY, 0o755)); os.symlink("file", "new/inner/link")
pathlib.Path("old").write_text("old")
os.replace("tool", kept + "/tool"); pathlib.Path("old").rename(kept + "/tool2"); os.replace(kept + "/tool2", "back")
os.rename("new", kept + "/new"); os.rename("back", "here")
print(sorted(os.listdir(".")), oct(os.stat(kept + "/tool").st_mode & 0o777), os.readlink(kept + "/new/inner/link"))
print(sorted(os.listdir(kept)), pathlib.Path(kept, "new/inner/file").read_text())
print(subprocess.run(["python3", "-c", "import os; os.rename('here', '" + kept + "/x')"], stderr=-1).stderr[-200:])
for target in ("/nowhere/file", "/etc/file"):
    try:
        os.rename("here", target)
    except OSError as error:
        print(error.strerror)
"""
    (tmp_path / "kept").mkdir()
    found, said = confined(code, tmp_path / "scratch", kept=str(tmp_path / "kept"))
    assert found["landlock_abi"] == "1" and not found["landlock"]
    here, there, other, *refused = said.splitlines()
    assert here == "['here'] 0o755 file" and there == "['new', 'tool'] compiled"
    assert "Invalid cross-device link" in other
    assert refused[0] == "No such file or directory" and refused[1] in ("Permission denied", "Read-only file system")


SOCKETS = {
    "connects": "socket.create_connection(('127.0.0.1', port), 5)",
    "listens": "one = socket.socket(); one.bind(('127.0.0.1', 0)); one.listen()",
    "sends a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', port))",
    "asks the kernel": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)",
    "connects to a local socket": "socket.socket(socket.AF_UNIX).connect(path)",
    "sends one by another name": "socket.socketpair(socket.AF_UNIX, socket.SOCK_RAW)[0].sendto(b'x', datagrams)",
    "sends a local datagram": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', datagrams)",
}


@pytest.mark.parametrize("name", SOCKETS)
@pytest.mark.parametrize("devices", [False, True])
def test_there_is_no_way_out_by_sockets(name: str, devices: bool, tmp_path: Path) -> None:
    path, datagrams = str(tmp_path / "s"), str(tmp_path / "d")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(path)
        local.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiving:
            receiving.bind(datagrams)
            known = {"port": server.getsockname()[1], "path": path, "datagrams": datagrams}
            said = run(SOCKETS[name], tmp_path / "scratch", "auto", devices=devices, **known)
            assert re.match("PermissionError|ConnectionRefusedError", said)
            assert run(SOCKETS[name], tmp_path / "scratch", "off", devices=devices, **known) == "through"


LIMITS = {
    "makes a huge file": "os.truncate(os.open('huge', os.O_CREAT | os.O_RDWR), 3 << 30)",
    "has the disk": "found = os.statvfs('.'); assert found.f_blocks * found.f_frsize > 1 << 30, 'a small file system'",
    "has the shared memory of all": "assert os.stat('/dev/shm').st_dev == shared, 'another file system'",
    "opens many files": "held = [os.open('/dev/null', os.O_RDONLY) for _ in range(5000)]",
    "keeps rights of the superuser": "assert 'CapEff:\\t0000000000000000' not in open('/proc/self/status').read()",
    "gains rights by a program": "assert 'NoNewPrivs:\\t0' in open('/proc/self/status').read()",
    "may dump its core": "assert resource.getrlimit(resource.RLIMIT_CORE)[1] != 0",
    "is spared when memory runs out": "assert open('/proc/self/oom_score_adj').read().strip() != '500'",
    "outlives its supervisor": "assert ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0",
    "makes namespaces": "assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "asks for filters": "assert ctypes.CDLL(None).syscall(number, 2, 0, (ctypes.c_uint * 1)(0x7fff0000)) == 0",
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits_hold(name: str, tmp_path: Path) -> None:
    if name in ("has the disk", "has the shared memory of all", "makes namespaces") and not HAS_NAMESPACES:
        pytest.skip("no namespaces here")
    if name == "keeps rights of the superuser" and os.geteuid() != 0:
        pytest.skip("not the superuser")
    known = {"shared": os.stat("/dev/shm").st_dev, "number": kernel.numbers()["seccomp"]}
    assert run(LIMITS[name], tmp_path / "scratch", "auto", **known) != "through"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if name != "opens many files" or most > 5000:
        raise_limit = (
            "resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)\n"
        )
        assert run(raise_limit + LIMITS[name], tmp_path / "scratch", "off", **known) == "through"


def decided(program: list[filter.Instruction], number: int, arguments: tuple[int, ...], architecture: int) -> int:
    """What the kernel makes of a call: the program is interpreted."""
    whole = [*arguments, *[0] * (6 - len(arguments))]
    shown = {filter.NUMBER: number, filter.ARCHITECTURE: architecture}
    shown.update({filter.ARGUMENTS + 8 * place: value & 0xFFFFFFFF for place, value in enumerate(whole)})
    at = value = 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == filter.RETURN:
            return operand
        if code == filter.LOAD:
            value = shown[operand]
        elif code == filter.MASK:
            value &= operand
        else:
            holds = {
                filter.EQUAL: value == operand,
                filter.AT_LEAST: value >= operand,
                filter.ANY_BIT: bool(value & operand),
            }[code]
            at += if_true if holds else if_false


@pytest.mark.parametrize("machine", kernel.TABLES)
def test_the_filter_on_each_architecture(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, audit = kernel.TABLES[machine], filter.AUDIT[machine]
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "", "", "", machine)))
    allow, refuse = filter.ALLOW, filter.ERRNO | 1

    def program(**changes: bool) -> list[filter.Instruction]:
        return filter.program(77, **{"devices": False, "scoped": False, "truncation": False, **changes})

    def says(name: str, *arguments: int, **changes: bool) -> int:
        return decided(program(**changes), numbers[name], arguments, audit)

    assert decided(program(), numbers["kill"], (77,), audit ^ 1) == filter.KILL
    assert decided(program(), filter.X32 + 3, (), audit) == filter.ERRNO | 38
    assert {says(name) for name in filter.FORBIDDEN if name in numbers} == {refuse}
    assert {says(name) for name in filter.WITHOUT_EFFECT if name in numbers} == {filter.ERRNO}
    assert says("clone3") == says("io_uring_setup") == filter.ERRNO | 38
    assert says("clone", 17) == says("clone", 0x3D0F00) == allow
    assert says("clone", 17 | 0x10000000) == says("clone", 17 | 0x20000) == refuse
    assert [says("kill", pid) for pid in (77, 78, 0, 1, 0xFFFFFFFF)] == [allow, refuse, refuse, refuse, refuse]
    assert says("kill", 78, scoped=True) == says("pidfd_send_signal", 3, scoped=True) == allow
    assert [says("sched_setaffinity", pid) for pid in (0, 77, 78)] == [allow, allow, refuse]
    assert [says("sched_setaffinity", pid, asking=True) for pid in (0, 77, 78)] == [allow, allow, filter.ASK]
    assert says("sched_setscheduler", 78, asking=True) == refuse
    assert [says("prlimit64", pid) for pid in (0, 77, 78)] == [allow, allow, refuse]
    assert [says("setpriority", 0, pid) for pid in (0, 77, 78)] == [allow, allow, refuse]
    assert [says("socket", family) for family in (1, 2, 10, 16)] == [refuse] * 4
    assert [says("socket", family, 1, devices=True) for family in (1, 2, 10, 16)] == [allow, refuse, refuse, refuse]
    assert [says("socket", 1, kind, devices=True) for kind in (1, 2, 3, 5)] == [allow, refuse, refuse, allow]
    assert says("connect", 3, devices=True) == filter.ERRNO | 111
    kinds = (1, 1 | 0o2000000, 2, 2 | 0o2000000, 3, 5)
    assert [says("socketpair", 1, kind) for kind in kinds] == [allow, allow, refuse, refuse, refuse, allow]
    assert says("socketpair", 30, 1) == refuse
    # a descriptor's owner gets the signal that is set for it
    assert [says("fcntl", 3, what) for what in (1, 2, 8, 10, 15)] == [allow, allow, refuse, refuse, refuse]
    assert says("fcntl", 3, 8, scoped=True) == allow
    assert says("ioctl", 3, 0x8901) == says("ioctl", 3, 0x8902) == refuse
    assert [says("prctl", what) for what in (1, 4, 15, 22)] == [refuse, refuse, allow, refuse]
    assert [says("ioctl", 0, what) for what in (0x5401, 0x5412, 0x541C)] == [allow, refuse, refuse]
    flags = (0, os.O_TRUNC, os.O_TRUNC | os.O_WRONLY, os.O_TRUNC | os.O_RDWR)
    assert [says("openat", 0, 0, one) for one in flags] == [allow, refuse, allow, allow]
    assert says("openat", 0, 0, os.O_TRUNC, truncation=True) == says("truncate", truncation=True) == allow


@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "/usr/include/asm-generic/unistd.h")],
)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed")
    text = Path(header).read_text()
    there = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    known = {name: number for name, number in kernel.TABLES[machine].items() if name in there}
    assert known == {name: there[name] for name in known}
    assert len(known) > 80


def test_everything_is_readable_but_what_is_hidden(tmp_path: Path) -> None:
    for name in ("a/b/secret", "a/b/open", "a/other/file", "c/file"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "b" / "secret")
    found = set(landlock.readable(str(tmp_path), [str(tmp_path / "a/b/secret")]))
    assert found == {str(tmp_path / name) for name in ("c", "a/other", "a/b/open")}
    assert list(landlock.readable(str(tmp_path), [])) == [str(tmp_path)]


PLUGIN = """
import os, subprocess, sys, time
from harness import implementation

@implementation("softmax", backend="numpy")
def leaves_a_daemon(x, *, dim):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    number = int(child.stdout.readline())
    raise RuntimeError(f"daemon {number} in {os.getpgid(number)} of {os.getpid()}, scratch {os.getcwd()}")
"""


# Asks a worker for one call of a plugin; what it says is in `text`.
ASKING = """
def ask(worker, plugin, name):
    target = {
        "module": "left", "path": plugin, "operator": "softmax", "backend": "numpy", "implementation": name,
    }
    inputs = {"offset": 64, "shape": [2, 2], "strides": [8, 4], "dtype": "float32"}
    worker.arena.reserve(1 << 16)
    request = {
        "do": "run", "arena_bytes": worker.arena.bytes, "target": target, "poison_bytes": [], "samples": [[0]],
        "backend": {"name": "numpy", "module": "harness.implementations.numpy", "path": ""},
        "case": {"dtype": "float32", "shapes": [[2, 2]], "parameters": [["dim", 1]], "layout": "contiguous"},
        "calls": [{"inputs": [inputs], "parameters": [["dim", 1]], "gradient": None, "passes": 1}],
        "slots": [[4096, 8192], [12288, 16384]],
    }
    return str(worker.ask(request, 60.0))
"""


def said_of_daemon(text: str) -> tuple[str, str, str, str]:
    """Number and group of a daemon, number of the worker that started it, and its scratch folder."""
    found = re.search(r"daemon (\d+) in (\d+) of (\d+), scratch (\S+?)[ '\"]", text)
    assert found, text
    return found.groups()  # type: ignore[return-value]


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_what_a_plugin_starts_dies_with_it_and_nothing_is_left(mode: str, tmp_path: Path) -> None:
    (tmp_path / "plugin.py").write_text(PLUGIN)
    policy.choose(mode)
    WorkerProcess().close()  # what looks after orphans is there once for all workers
    before = set(os.listdir("/proc/self/fd"))
    worker = WorkerProcess()
    known: dict[str, Any] = {}
    exec(ASKING, known)
    daemon, group, leader, scratch = said_of_daemon(
        known["ask"](worker, str(tmp_path / "plugin.py"), "leaves_a_daemon")
    )
    assert int(leader) == worker.pid
    in_group = group == leader
    worker.close()
    del worker  # the arena is mapped as long as somebody has it
    gc.collect()
    for _ in range(100):
        if not Path(f"/proc/{daemon}").exists():
            break
        time.sleep(0.02)
    assert in_group == (mode == "auto")
    assert not Path(f"/proc/{daemon}").exists()
    assert not Path(scratch).exists()
    assert set(os.listdir("/proc/self/fd")) == before


KILLED = """
import os, sys
from harness.process import WorkerProcess
from harness.sandbox.policy import choose
choose(sys.argv[1])
worker = WorkerProcess()
print(ask(worker, sys.argv[2], "leaves_a_daemon"), flush=True)
if sys.argv[3] == "still":
    worker.stand_still()
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("mode", "state"), [("auto", "running"), ("auto", "still"), ("off", "running")])
def test_what_a_plugin_starts_dies_with_a_supervisor_that_is_killed(mode: str, state: str, tmp_path: Path) -> None:
    # without a sandbox nobody finds what has left the group of its worker
    (tmp_path / "plugin.py").write_text(PLUGIN.replace("start_new_session=True", f"start_new_session={mode == 'auto'}"))
    command = [sys.executable, "-c", ASKING + KILLED, mode, str(tmp_path / "plugin.py"), state]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    daemon, group, leader, _ = said_of_daemon(done.stdout)
    assert group == leader
    while Path(f"/proc/{daemon}").exists() or Path(f"/proc/{leader}").exists():
        time.sleep(0.01)  # the session's own limit ends a wait in vain


def test_a_worker_that_fails_as_it_starts_is_ended_and_no_more_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[int] = []

    def watch(pid: int) -> None:
        watch_in_fact(pid)
        watched.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    watch_in_fact = orphans.watch
    monkeypatch.setattr(orphans, "watch", watch)
    with pytest.raises(OSError, match="open files"):
        WorkerProcess()
    with pytest.raises(OSError, match="open files"):
        instructions._run_group(["sleep", "60"], (), dict(os.environ), Path(os.devnull), 60.0)
    assert len(watched) == 2 and not {*watched} & {*orphans._groups}
    assert not [pid for pid in watched if Path(f"/proc/{pid}").exists()]


def test_a_process_that_is_less_confined_than_it_said_is_refused(tmp_path: Path, victim: int) -> None:
    confined = Confined(Sandbox(str(tmp_path)))
    os.write(confined.descriptors[0], b'{"seccomp": ""}')
    confined.started()
    with pytest.raises(NotConfined, match="knows nothing of it"):
        confined.must_hold(victim)


def test_what_a_process_hands_over_is_not_handed_on() -> None:
    ours, theirs = socket.socketpair()
    with theirs, open(os.devnull) as file:
        socket.send_fds(theirs, [b'{"seccomp": ""}'], [file.fileno()])
    _, descriptors = policy.read_report(ours)
    assert [os.get_inheritable(one) for one in descriptors] == [False]
    os.close(descriptors[0])


def test_require_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert HELD is not None
    monkeypatch.setattr(probing, "probe", lambda: Layers({**HELD.found, "landlock": "the kernel has none"}))
    done = CliRunner().invoke(app, ["list", "softmax/numpy", "--sandbox", "require"])
    assert done.exit_code == 2
    assert "landlock does not hold (the kernel has none)" in done.output
    assert "lsm=landlock" in done.output
    assert "--sandbox auto" in done.output
    assert CliRunner().invoke(app, ["list", "softmax/numpy", "--sandbox", "auto"]).exit_code == 0
    monkeypatch.setattr(probing, "probe", lambda: HELD)
    assert CliRunner().invoke(app, ["list", "softmax/numpy", "--sandbox", "require"]).exit_code == 0
    done = CliRunner().invoke(app, ["list", "softmax/numpy", "--sandbox", "some"])
    assert done.exit_code == 2
    assert "'some' is none of auto, require, off" in done.output


# A kernel without landlock, as far as the processes below can tell.
WITHOUT_LANDLOCK = """
import sys
from harness.sandbox import filter, kernel
from harness.sandbox.policy import choose
choose(sys.argv[1])
number = kernel.numbers()["landlock_create_ruleset"]
refusing = [(filter.LOAD, 0, 0, 0), (filter.EQUAL, 0, 1, number), (filter.RETURN, 0, 0, filter.ERRNO | 38)]
filter.program = lambda *_, **__: [*refusing, (filter.RETURN, 0, 0, filter.ALLOW)]
kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
filter.install(0, devices=False, scoped=False, truncation=False)
from harness.process import WorkerFailure, WorkerProcess
worker = WorkerProcess()
try:
    print(worker.ask({"do": "trim"}, 60.0), {k: v for k, v in worker._confined.layers.found.items() if v})
except WorkerFailure as failure:
    print(failure.status, failure.reason)
finally:
    worker.close()
"""


def test_where_a_layer_is_missing_the_others_hold_and_require_starts_nothing() -> None:
    def said(mode: str) -> str:
        command = [sys.executable, "-c", WITHOUT_LANDLOCK, mode]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert re.match(r"\{\} \{'landlock': 'the kernel has no landlock.*'landlock_abi': '0'\}", said("auto"))
    assert re.match(r"error --sandbox require: landlock does not hold \(the kernel has no landlock", said("require"))


def test_the_project_settles_the_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.harness]\nsandbox = "off"\n')
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["list", "softmax/numpy"]).exit_code == 0
    assert policy.chosen() == "off"
    assert CliRunner().invoke(app, ["list", "softmax/numpy", "--sandbox", "auto"]).exit_code == 0
    assert policy.chosen() == "auto"


def test_the_store_is_hidden_before_it_is_opened(tmp_path: Path) -> None:
    assert f"sqlite:///{DEFAULT_STORE}" == store.DEFAULT
    for url in ("kept.sqlite", f"sqlite:///{tmp_path}/other.sqlite?timeout=3", "postgresql+psycopg://somewhere/base"):
        policy.hide_store(url)
    assert {os.path.realpath("kept.sqlite"), f"{os.path.realpath(tmp_path)}/other.sqlite"} <= policy._hidden
    assert not any("somewhere" in one for one in policy._hidden)


def test_a_worker_reads_no_secrets_of_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id").write_text("key")
    monkeypatch.setenv("HOME", str(tmp_path))
    code = "open(f'{home}/.ssh/id')"
    assert "PermissionError" in run(code, tmp_path / "scratch", "auto", home=str(tmp_path))
    assert run(code, tmp_path / "scratch", "off", home=str(tmp_path)) == "through"


def test_a_worker_cannot_take_the_locks_of_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_LOCKS", str(tmp_path / "locks"))
    code = "import fcntl; fcntl.flock(os.open(f'{folder}/kernel-harness-cpu.lock', os.O_RDONLY), fcntl.LOCK_EX)"
    assert "PermissionError" in run(code, tmp_path / "scratch", "auto", folder=str(tmp_path / "locks"))
    with alone():
        pass
    assert run(code, tmp_path / "scratch", "off", folder=str(tmp_path / "locks")) == "through"
    assert not [name for name in worker_environment() if name.startswith("HARNESS_")]


def test_a_worker_that_kills_itself_is_told_from_one_that_is_refused() -> None:
    worker = WorkerProcess()
    worker.ask({"do": "trim"}, 60.0)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerFailure) as failure:
        worker.ask({"do": "trim"}, 60.0)
    assert failure.value.status == "out_of_memory"

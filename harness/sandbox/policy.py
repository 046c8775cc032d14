"""The supervisor's side of the sandbox: what is asked for, how a confined process starts, which layers hold in it."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import socket
import sys
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import cache
from harness.sandbox.cores import Cores
from harness.timing import alone

MODES = ("auto", "require", "off")
LAYERS = {
    "landlock": "files, signals and sockets of others: needs Linux 5.13 or newer, with landlock among the names in "
    "/sys/kernel/security/lsm (boot with lsm=landlock,...; a container may have to allow it)",
    "seccomp": "system calls: needs Linux on x86-64 or aarch64 whose container allows seccomp",
    "rlimits": "limits on files, descriptors, processes: needs Linux with /proc",
    "no_new_privs": "no rights by way of setuid programs: needs Linux",
    "capabilities": "no rights of the superuser: do not run as root, or allow capabilities to be dropped",
}
"""What `require` asks for: by layer, what it is about and what it needs."""
OPTIONAL = {
    "namespaces": "a file system of its own: allow user namespaces (sysctl user.max_user_namespaces, and where they "
    "exist kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0)",
    "cores": "threads that libraries bind to cores: needs Linux 5.7; without it OMP_PROC_BIND, OMP_PLACES, "
    "GOMP_CPU_AFFINITY and KMP_AFFINITY are not passed on to plugins",
}
DEVICES = ("null", "zero", "full", "random", "urandom")
GPUS = ("nvidia*", "nvidia-caps/*", "dri/*", "kfd", "dxg")
SECRETS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".netrc", ".git-credentials", ".pypirc", ".npmrc",
    ".pgpass", ".pg_service.conf", ".postgresql", ".config/gh", ".config/gcloud", ".password-store", ".bash_history",
    ".python_history", ".zsh_history", ".mozilla", ".config/google-chrome",
)  # fmt: skip
"""In the home folder: what a worker has no reason to read."""
NAMED_SECRETS = ("PGPASSFILE", "PGSERVICEFILE", "PGSSLKEY")
"""Variables that name such a file elsewhere."""
SECRETS_OF_URLS = ("passfile", "sslkey")
ENTER = Path(__file__).with_name("enter.py")
LIBRARIES = "libraries"
BUILT_IN = (LIBRARIES, "cuda", "nvrtc")
"""The folders of the cache that a worker without a plugin writes."""
SCRATCH_BYTES = 1 << 30
REPORT_S = 60.0
REPORT_BYTES = 1 << 16

_mode = ["auto"]
_hidden: set[str] = set()


class NotConfined(RuntimeError):
    """`require` was asked for, and a layer does not hold; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One process: its scratch folder, where it keeps what it compiles ("": in the scratch folder), the folders that it
    may write in beside the first, whether it drives a GPU, whether it is started by this process itself, with which it
    then dies, and whether `must_hold` is called while it runs, so that it can ask to move its threads."""

    scratch: str
    kept: str = ""
    writable: tuple[str, ...] = ()
    devices: bool = False
    is_child: bool = True
    answers: bool = False

    @classmethod
    def of_worker(cls, scratch: str, plugin: str | None, devices: bool) -> Sandbox:
        """That of a worker: it may write what it compiles into the cache of its plugin's file ("": of what is built
        in), or with None into no folder but its own."""
        if plugin is None:
            return cls(scratch, devices=devices, answers=True)
        place = cache.of_worker(plugin)
        # declarations are kept in the same folder, and are no worker's to write
        folders = [place] if plugin else [place / name for name in BUILT_IN]
        with contextlib.suppress(OSError):
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
        ours = tuple(str(one) for one in folders if os.path.isdir(one) and os.access(one, os.W_OK | os.X_OK))
        return cls(scratch, str(place) if len(ours) == len(folders) else "", ours, devices, answers=True)

    def as_json(self) -> str:
        """What the process is told that confines itself."""
        home = os.path.expanduser("~")
        named = [os.path.join(home, name) for name in SECRETS]
        named += [os.environ[name] for name in NAMED_SECRETS if os.environ.get(name)]
        secret = {os.path.realpath(one) for one in named if os.path.exists(one)}
        locks = {os.path.realpath(one) for one in alone.files()}  # who can read one can have all others wait
        policy = {
            "scratch": os.path.realpath(self.scratch),
            "scratch_bytes": SCRATCH_BYTES,
            "writable": [os.path.realpath(one) for one in self.writable],
            "devices": self.devices,
            "device_files": device_files(self.devices),
            "hidden": sorted(secret | locks | {one for path in _hidden for one in _family(path)}),
            "parent": os.getpid() if self.is_child else 0,
            "answers": self.answers,
        }
        return json.dumps(policy)

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment inside: where libraries keep what they write for later."""
        kept = self.kept or self.scratch
        return {
            "TMPDIR": self.scratch,
            cache.OF_THIS_WORKER: kept,
            **{name: os.path.join(kept, LIBRARIES, folder) for name, folder in CACHES.items()},
        }


CACHES = {
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "TRITON_CACHE_DIR": "triton",
    "CUPY_CACHE_DIR": "cupy",
    "CUDA_CACHE_PATH": "cuda_driver",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
}
"""Where libraries keep what they compiled, by the variable that says so."""


def choose(mode: str) -> None:
    """What holds for the processes that are started from now on: `auto` (each layer that the machine has), `require`
    (all of them, or nothing runs), `off`. Raises ValueError."""
    if mode not in MODES:
        raise ValueError(f"sandbox {mode!r}: there are {', '.join(MODES)}")
    _mode[0] = mode


def chosen() -> str:
    return _mode[0]


def is_wanted() -> bool:
    """Whether processes are confined at all."""
    return _mode[0] != "off" and sys.platform == "linux"


def hide(path: str | Path) -> None:
    """Have a file or folder out of reach of the workers that are started from now on."""
    _hidden.add(os.path.realpath(path))


def hidden() -> list[str]:
    """What is out of reach of workers by `hide`."""
    return sorted(_hidden)


def hide_store(url: str | None) -> None:
    """Hide the file of a store, where it is one: its runs have seeds, and who can read it can lock it. Of a server, the
    files by which one is let in."""
    url, _, query = (url or "").partition("?")
    for name, value in urllib.parse.parse_qsl(query):
        if name in SECRETS_OF_URLS:
            hide(value)
    path = re.sub(r"^sqlite(\+\w+)?:///", "", url)
    if path and "://" not in path:
        hide(path)


def _family(path: str) -> list[str]:
    """A file, and those that a database has beside it."""
    beside = [path, *(path + ending for ending in ("-wal", "-shm", "-journal")), *glob.glob(glob.escape(path) + ".*")]
    return [one for one in beside if os.path.exists(one)]


def device_files(gpus: bool) -> list[str]:
    """The devices that a worker may use."""
    named = [f"/dev/{name}" for name in DEVICES]
    found = [str(one) for names in GPUS for one in sorted(Path("/dev").glob(names))] if gpus else []
    return [one for one in (*named, *found) if os.path.exists(one)]


@dataclass(frozen=True, slots=True)
class Layers:
    """What a process said of itself before any plugin was near it: by layer "" where it holds, else why not."""

    found: Mapping[str, str]

    @property
    def missing(self) -> dict[str, str]:
        """The layers that do not hold and that `require` asks for, with the reason."""
        return {name: why for name in LAYERS if (why := self.found.get(name, "it was not tried"))}


def read_report(report: socket.socket, patience_s: float = REPORT_S) -> tuple[Layers | None, list[int]]:
    """What came until the other end was closed, None where nothing did, and the descriptors that came with it. The
    socket is closed."""
    said, came = b"", list[int]()
    end = time.monotonic() + patience_s
    with report:
        while len(said) < REPORT_BYTES and (left := end - time.monotonic()) > 0.0:
            report.settimeout(left)
            try:
                part, descriptors, _, _ = socket.recv_fds(report, REPORT_BYTES, 1)
            except (ConnectionResetError, TimeoutError):
                break
            for one in descriptors:
                os.set_inheritable(one, False)  # who has it can answer the questions of this worker
            came += descriptors
            if not part:
                break
            said += part
    return Layers(json.loads(said)) if said else None, came


def require(layers: Layers | None) -> None:
    """Raises NotConfined where `require` was asked for and a layer does not hold."""
    if _mode[0] != "require":
        return
    missing = dict.fromkeys(LAYERS, "not on this system") if layers is None else layers.missing
    if missing:
        lines = "; ".join(f"{name} does not hold ({why}): {LAYERS[name]}" for name, why in missing.items())
        raise NotConfined(f"--sandbox require: {lines}; or type --sandbox auto, and plugins run with what there is")


class Confined:
    """A process that is started inside, from its command to what it said of its layers. Where nothing is wanted, the
    command stays as it is."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._wanted = is_wanted()
        self._ours: socket.socket | None = None
        self._theirs: socket.socket | None = None
        self._cores: Cores | None = None
        if self._wanted:
            self._ours, self._theirs = socket.socketpair()
        self._heard = False
        self.layers: Layers | None = None
        """Known once `must_hold` was called."""

    def python(self, command: Sequence[str]) -> list[str]:
        """How to start a command of Python (`[python, ...]`) inside."""
        if self._theirs is None:
            return list(command)
        return [command[0], "-P", str(ENTER), str(self._theirs.fileno()), self._sandbox.as_json(), *command[1:]]

    def program(self, command: Sequence[str]) -> list[str]:
        """How to start any other program inside."""
        return self.python([sys.executable, "--exec", *command]) if self._wanted else list(command)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What the process must inherit."""
        return () if self._theirs is None else (self._theirs.fileno(),)

    @property
    def variables(self) -> Mapping[str, str]:
        return self._sandbox.variables

    def started(self) -> None:
        """The process has inherited its end of the socket: this one is closed."""
        if self._theirs is not None:
            self._theirs.close()

    def must_hold(self, pid: int | None = None) -> None:
        """Wait until the process has said which layers hold, once. It says so before plugin code is near; where it is
        alive, as `pid`, what the kernel shows of it is held against that.

        Raises NotConfined for a process that is less confined than it said, and, where `require` was chosen, for one
        that lacks a layer.
        """
        if self._heard:
            return
        self._heard = True
        if self._ours is not None:
            self.layers, questions = read_report(self._ours)
            for one in questions:
                self._cores = Cores(one)
            if self.layers is None:
                return  # it ended: who asks it something hears that
            if pid is not None and not self.layers.found.get("seccomp", "-") and filters_of(pid) == 0:
                raise NotConfined("the worker said that it is confined, and the kernel knows nothing of it")
        require(self.layers)

    def __del__(self) -> None:
        self.close()  # where the process could not even be started

    def close(self) -> None:
        """Let go of the socket, and answer no more; safe to call twice."""
        self.started()
        if self._ours is not None:
            self._ours.close()
        if self._cores is not None:
            self._cores.close()


def filters_of(pid: int) -> int | None:
    """Whether the kernel filters the system calls of a process: its mode, 0 for no; None where it does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) for line in lines if line.startswith("Seccomp:")]
    return found[0] if found else None

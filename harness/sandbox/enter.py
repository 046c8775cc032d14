"""Gives away what a process that runs plugin code has no need of, then runs it: a script, started by file.

    python -P enter.py REPORT POLICY -m harness.worker ...       a module, as Python would run it
    python -P enter.py REPORT POLICY -c CODE ...                 code
    python -P enter.py REPORT POLICY FILE ...                    a script
    python -P enter.py REPORT POLICY --exec PROGRAM ...          another program

REPORT is the descriptor of a socket: which layers hold is written there, as JSON, with the descriptor by which the
filter of system calls asks, and both are closed before anything of the rest runs, so that no plugin can write to it. No
library is imported before: a thread of one would stay outside.
"""

from __future__ import annotations

import importlib.machinery
import json
import os
import runpy
import socket
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIGKILL = 9


def main(arguments: list[str]) -> None:
    report, policy, rest = int(arguments[0]), json.loads(arguments[1]), arguments[2:]
    os.set_inheritable(report, False)
    _stand_in()
    found, questions = confine(policy)
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness"]:
        del sys.modules[name]
    with socket.socket(fileno=report) as supervisor:
        socket.send_fds(supervisor, [json.dumps(found).encode()], questions)
    for one in questions:
        os.close(one)
    run(rest)


def _stand_in() -> None:
    """Import modules of the harness without the package's own start, which imports NumPy and so starts threads."""
    package = types.ModuleType("harness")
    package.__path__ = [str(Path(__file__).resolve().parents[1])]
    package.__spec__ = importlib.machinery.ModuleSpec("harness", None, is_package=True)
    sys.modules["harness"] = package


def confine(policy: dict[str, Any]) -> tuple[dict[str, str], list[int]]:
    """Apply each layer that there is; by name "" where it holds, else why not. And the descriptor by which the filter
    of system calls asks, where it does."""
    from harness.sandbox import cores, filter, kernel, landlock, limits, namespaces, renaming

    found: dict[str, str] = {}

    def layer(name: str, apply: Callable[[], Any]) -> None:
        try:
            apply()
            found[name] = ""
        except (OSError, ValueError, KeyError) as error:
            found[name] = str(error) or type(error).__name__

    own_pid, devices, writable = os.getpid(), policy["devices"], [*policy["writable"]]
    limits.be_the_victim()
    layer("namespaces", lambda: namespaces.enter(policy["scratch"], writable, policy["scratch_bytes"]))
    os.chdir(policy["scratch"])
    is_private = not found["namespaces"] and namespaces.covers_shared_memory(policy["scratch"], writable)
    private = [namespaces.SHARED_MEMORY] if is_private else []
    layer("rlimits", lambda: limits.limit(devices=devices))
    layer("no_new_privs", lambda: kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1))
    opened = [policy["scratch"], *private, *writable]
    closed: list[str] = []
    abi = landlock.version()

    def restrict() -> None:
        closed.extend(landlock.restrict(opened, policy["device_files"], policy["hidden"]))
        if limits.watched_threads() != 1:
            raise OSError("another thread ran already, which it does not hold")

    layer("landlock", restrict)
    held = abi if not found["landlock"] else 0
    if 0 < held < landlock.RENAMES_SINCE:
        renaming.allow_between_folders()
    layer("capabilities", limits.drop_capabilities)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, SIGKILL)
    if policy["parent"] not in (0, os.getppid()):
        os._exit(1)  # it died before it could be said that we die with it
    rules = {
        "devices": devices,
        "scoped": held >= landlock.SCOPES_SINCE,
        "truncation": held >= landlock.TRUNCATE_SINCE,
    }
    questions: list[int] = []
    layer("cores", lambda: questions.append(_ask(own_pid, policy, rules)))
    if questions:
        found["seccomp"] = ""
    else:
        layer("seccomp", lambda: filter.install(own_pid, **rules))
        for name in cores.VARIABLES:
            # a library that is told to bind its threads, and may not, starts none
            os.environ.pop(name, None)
    return {**found, "landlock_abi": str(held), "closed": ", ".join(closed)}, questions


def _ask(own_pid: int, policy: dict[str, Any], rules: dict[str, bool]) -> int:
    from harness.sandbox import filter

    if not policy["answers"]:
        raise OSError("nobody answers while this process runs")
    return filter.install(own_pid, **rules, asking=True)


def run(rest: list[str]) -> None:
    """Run the rest of a command line as Python would, in this process."""
    while rest[0] == "-P":
        rest = rest[1:]
    kind = rest[0]
    if kind == "--exec":
        os.execvp(rest[1], rest[1:])
    elif kind == "-m":
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[2:]]
        main_module = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(rest[1], "<string>", "exec"), vars(main_module))
    else:
        sys.argv = rest
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])

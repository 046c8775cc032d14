"""Instructions per call, counted by the hardware (or by valgrind where asked): has the code path changed?

A count in a fresh process with few calls is taken from one with many, so that start-up cancels. Without address
randomisation, with a fixed hash seed and on one thread that repeats to a millionth, where a time repeats to a
hundredth. A count is no time: page faults, caches and vector width are not in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import orphans
from harness.checkout import ENGINE, Checkout, worker_environment
from harness.plan import Task
from harness.registry import Registry
from harness.sandbox.policy import Confined, NotConfined, Sandbox
from harness.scratch import Scratch

REPEATS = 3
FLOOR = 2e-3
"""Relative difference of two counts that is never a change. The same code from another folder has its temporary arrays
elsewhere, and other loops take their first elements: 0.01 % was seen, and 0.2 % in processes laid out at random."""
MARGIN = 2.0
"""Times the spread of the repeats: three of them show only a part of it."""
FIXED = {
    "PYTHONHASHSEED": "0",
    "LC_ALL": "C",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}
"""Environment of what is counted: threads that wait for work count millions of instructions, each time others."""
RUNNER = Path(__file__).with_name("calling.py")


@dataclass(frozen=True, slots=True)
class Counted:
    """Instructions of one call on one thread, user space: the median of the repeats, and their relative spread. Both
    are None where nothing could be counted, and `reason` says why and what to do."""

    per_call: float | None
    spread: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What is called, and how it is imported: `request` for the process that calls it, and that one's interpreter."""

    request: dict[str, Any]
    python: str


def target_of(task: Task, registry: Registry, checkout: Checkout | None = None) -> Target:
    """A task as a target, imported as a worker of this installation or of a checkout would. `registry` is the one that
    the task is from."""
    one, info, case = task.declaration, registry.backends[task.declaration.backend], task.case
    request = {
        "imports": {
            "engine": str(ENGINE),
            "implementations": str(checkout.implementations or "") if checkout else "",
            "folders": [str(one) for one in (checkout.root / "src", checkout.root) if one.is_dir()] if checkout else [],
        },
        "backend": {"name": info.name, "module": info.module, "path": info.path},
        "target": {
            "module": one.module,
            "path": one.path,
            "operator": one.operator,
            "backend": one.backend,
            "implementation": one.implementation,
        },
        "case": {"dtype": case.dtype, "shapes": case.shapes, "parameters": case.parameters, "layout": case.layout},
    }
    return Target(request, checkout.python if checkout else sys.executable)


def code_path(base: Counted, head: Counted) -> str | None:
    """ "changed" where the counts differ by more than they repeat, "unchanged" where not, None where not counted."""
    if base.per_call is None or head.per_call is None or base.spread is None or head.spread is None:
        return None
    difference = abs(head.per_call - base.per_call) / max(1.0, base.per_call)
    return "unchanged" if difference <= FLOOR + MARGIN * (base.spread + head.spread) else "changed"


def ratio(base: Counted, head: Counted) -> float | None:
    """Instructions of head over those of base, or None where not counted."""
    if base.per_call is None or head.per_call is None or not base.per_call > 0:
        return None
    return head.per_call / base.per_call


class _NotCounted(Exception):
    """Why there is no count."""


@dataclass(frozen=True, slots=True)
class _Counter:
    """A program that counts: its command for a file to write to, how to read what it wrote, the two numbers of calls
    (valgrind is about 85 times as slow as the call), and whether it is the very process that it counts in."""

    name: str
    command: Callable[[Path], list[str]]
    read: Callable[[str], int]
    few: int
    many: int
    counts_from_inside: bool


def count(
    target: Target,
    inputs: Sequence[np.ndarray],
    *,
    counter: str = "perf",
    repeats: int = REPEATS,
    deadline_s: float = 120.0,
) -> Counted:
    """Count the instructions of one call on `inputs`. `counter` is "perf" or, on demand only, "callgrind"; each process
    may take `deadline_s`. Raises ValueError for another counter."""
    if counter not in COUNTERS:
        raise ValueError(f"counter {counter!r} is none of {', '.join(COUNTERS)}")
    chosen = COUNTERS[counter]
    layout = target.request["case"]["layout"]
    if layout != "contiguous":
        return Counted(None, reason=f"instructions are counted on contiguous inputs only, and these are {layout}")
    with Scratch("counting") as folder:
        try:
            prefix = _runs_fixed(chosen, Path(folder))
            _write_request(target, inputs, Path(folder))

            def counted(calls: int) -> int:
                runner = [target.python, "-P", str(RUNNER), f"{folder}/request.json", f"{folder}/inputs.npz"]
                return _run(chosen, prefix, [*runner, str(calls)], Path(folder), deadline_s, confine=True)

            counted(1)  # writes bytecode, which later ones read
            found = [(counted(chosen.many) - counted(chosen.few)) / (chosen.many - chosen.few) for _ in range(repeats)]
        except _NotCounted as why:
            return Counted(None, reason=str(why))
    middle = statistics.median(found)
    if not middle > 0:
        return Counted(None, reason=f"{chosen.name} counted {middle:.0f} instructions per call, which cannot be")
    return Counted(middle, (max(found) - min(found)) / middle)


def _write_request(target: Target, inputs: Sequence[np.ndarray], folder: Path) -> None:
    described = [{"shape": array.shape, "dtype": array.dtype.name} for array in inputs]
    (folder / "request.json").write_text(json.dumps({**target.request, "inputs": described}))
    content = {f"input{number}": _bytes_of(array) for number, array in enumerate(inputs)}
    np.savez(folder / "inputs.npz", **content)  # type: ignore[arg-type]


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def _runs_fixed(counter: _Counter, folder: Path) -> list[str]:
    """The command that switches address randomisation off, or nothing where that is not allowed. Raises _NotCounted
    where the counter does not work at all."""
    fixed = ["setarch", platform.machine(), "-R"]
    without = subprocess.run([*fixed, "true"], capture_output=True) if shutil.which("setarch") else None
    prefix = fixed if without is not None and without.returncode == 0 else []
    if counter.name == "perf":  # valgrind takes seconds to start, and works or does not exist
        _run(counter, prefix, ["true"], folder, 30.0)
    return prefix


def _run(
    counter: _Counter, prefix: list[str], command: list[str], folder: Path, deadline_s: float, *, confine: bool = False
) -> int:
    output, scratch = folder / "count.txt", folder / "scratch"
    output.unlink(missing_ok=True)
    scratch.mkdir(exist_ok=True)
    # what counts from outside writes its count outside, too, where the code that it counts cannot
    inside = counter.counts_from_inside
    confined = Confined(Sandbox(str(scratch), is_child=inside)) if confine else None
    whole = [*counter.command(output), *command]
    if confined is not None:
        whole = confined.program(whole) if inside else [*counter.command(output), *confined.python(command)]
    try:
        environment = {**worker_environment(), **(confined.variables if confined else {}), **FIXED}
        descriptors = confined.descriptors if confined else ()
        code, said = _run_group([*prefix, *whole], descriptors, environment, folder / "said.txt", deadline_s)
        if confined is not None:
            confined.started()
            confined.must_hold()
    except NotConfined as missing:
        raise _NotCounted(str(missing)) from None
    except FileNotFoundError:
        raise _NotCounted(f"{counter.name} is not installed; {_INSTALL[counter.name]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NotCounted(f"{counter.name} did not finish: {error}") from None
    finally:
        if confined is not None:
            confined.close()
    written = output.read_text(errors="replace") if output.exists() else ""
    both = f"{written}\n{said}".strip()
    if "ermission" in both and not any(line[:1].isdigit() for line in written.splitlines()):
        raise _NotCounted(
            "perf is not permitted here; type: sudo sysctl kernel.perf_event_paranoid=2 "
            "(in a container also: --cap-add PERFMON)"
        )
    if code != 0:
        last = (said.strip().splitlines() or written.strip().splitlines() or ["it said nothing"])[-1]
        raise _NotCounted(f"{counter.name} ended with exit code {code}: {last[:200]}")
    return counter.read(both if counter.name == "callgrind" else written)


def _run_group(
    command: list[str], descriptors: Sequence[int], environment: dict[str, str], said: Path, deadline_s: float
) -> tuple[int, str]:
    """Run a command, and end all that it leaves; its exit code and what it wrote to stderr, which goes through the file
    `said`. Raises OSError and TimeoutExpired."""
    with said.open("w+", errors="replace") as file:
        process = subprocess.Popen(
            command,
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
            env=environment,
        )
        try:
            orphans.watch(process.pid)
            end = time.monotonic() + deadline_s
            # not reaped: its number, which is that of its group, goes to no other process before the group is killed
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                if time.monotonic() > end:
                    raise subprocess.TimeoutExpired(command[0], deadline_s)
                time.sleep(0.005)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            orphans.forget(process.pid)
        file.seek(0)
        return process.returncode, file.read()


def _read_perf(text: str) -> int:
    """The count in the output of `perf stat -x,`; a processor with two kinds of cores has a line for each."""
    rows = [line.split(",") for line in text.splitlines()]
    counts = [row for row in rows if len(row) > 2 and "instructions" in row[2]]
    values = [row[0] for row in counts]
    if any("not supported" in value for value in values):
        raise _NotCounted(
            "this machine's instruction counter is hidden (a virtual machine or a container without a PMU); "
            "use hardware that shows it"
        )
    numbers = [int(value) for value in values if value.isdigit()]
    if not numbers:
        raise _NotCounted(f"perf wrote no count: {text.strip()[:200]!r}")
    shares = [float(row[4]) for row in counts if row[0].isdigit() and len(row) > 4 and _is_number(row[4])]
    if len(numbers) == 1 and any(share < 99.0 for share in shares):
        raise _NotCounted(f"perf counted for {min(shares):.0f} % of the time only: other counters are in use")
    return sum(numbers)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _read_callgrind(text: str) -> int:
    for line in reversed(text.splitlines()):  # valgrind has the last word
        _, found, value = line.partition("Collected : ")
        if found and value.split() and value.split()[0].isdigit():
            return int(value.split()[0])
    raise _NotCounted(f"callgrind wrote no count: {text.strip()[-200:]!r}")


_INSTALL = {
    "perf": "install it (Debian: apt install linux-perf, Ubuntu: apt install linux-tools-generic)",
    "callgrind": "install valgrind (apt install valgrind)",
}
COUNTERS = {
    "perf": _Counter(
        "perf",
        lambda output: ["perf", "stat", "-e", "instructions:u", "-x,", "-o", str(output), "--"],
        _read_perf,
        5,
        25,
        False,
    ),
    "callgrind": _Counter(
        "callgrind",
        lambda _: ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"],
        _read_callgrind,
        1,
        3,
        True,
    ),
}

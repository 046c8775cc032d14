"""One command for a machine with a GPU: conformance there and on the CPU device, held against each other, and the
table of times with the copy ceiling of the same run.

    python -m harness.reports.measured --device cupy --out reports/measured [--minutes 8]

Writes FOLDER/<date>-<device>.csv, .md and .json. With `--device cuda_cpu` the same way is gone on a machine without a
GPU, with tiny sizes and a clock that says nothing. Exit codes: 0 all well, 3 something is wrong or differs between the
devices, 5 nothing was measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import harness.machine as machine
from harness.declare import Case
from harness.record import WRONG
from harness.registry import Registry, load
from harness.supervisor import fresh_seed

from .agreement import check_all, differences
from .arrays import PLACES
from .job import Job, Row, row_of
from .measured_table import Outcome, write

ROWS = 32768
COMMAND = (sys.executable, "-m", "harness.reports.measuring")
CONFORMANCE_SHARE = 3 / 8
RESERVE_S = 30.0
"""Kept back for starting, ending and writing."""
SILENCE_S = 120.0
"""So long a process that measures may say nothing: it may have to compile."""
GRACE_S = 20.0
MOST_STARTS = 8

Progress = Callable[[str], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done on a device. `other` is the backend that it is held against; `cases` are those of the table."""

    other: str
    checked: tuple[str, ...]
    compared: tuple[str, ...]
    operators: tuple[str, ...] | None
    most_cases: int | None
    cases: tuple[tuple[str, Case], ...]
    whole: int
    rounds: int
    left_out: tuple[str, ...] = ("array_api", "composed", "compiled")


def vectors(operator: str, sizes: Sequence[int]) -> list[tuple[str, Case]]:
    return [(operator, Case("float32", ((size,),), (("dim", 0),))) for size in sizes]


def matrices(operator: str, rows: int, widths: Sequence[int]) -> list[tuple[str, Case]]:
    return [(operator, Case("float32", ((rows, width),), (("dim", 1),))) for width in widths]


PLANS = {
    "cupy": Plan(
        other="cuda_cpu",
        checked=("cupy", "cuda_cpu", "torch_cuda", "triton"),
        compared=("cupy", "torch_cuda", "triton"),
        operators=None,
        most_cases=None,
        # the largest first: what is asked first is how fast those are
        cases=(
            *vectors("softmax", [1 << power for power in (28, 26, 24, 22, 20)]),
            *matrices("softmax", ROWS, [262144, 65536, 16384, 4096, 1024, 256]),
            *vectors("sum", [1 << power for power in (28, 26, 24, 22, 20)]),
            *matrices("sum", ROWS, [65536, 4096, 256]),
            *vectors("softmax", [1 << power for power in (18, 16, 14, 12, 10)]),
            *vectors("sum", [1 << power for power in (18, 16, 14, 12, 10)]),
        ),
        whole=1 << 20,
        rounds=60,
    ),
    "cuda_cpu": Plan(
        other="numpy",
        checked=("cuda_cpu", "numpy"),
        compared=("cuda_cpu", "numpy"),
        operators=("softmax", "sum"),
        most_cases=2,
        cases=(
            *vectors("softmax", [1 << 10, 1 << 7]),
            *matrices("softmax", 32, [64]),
            *vectors("sum", [1 << 10]),
            *matrices("sum", 32, [64]),
        ),
        whole=1 << 9,
        rounds=3,
    ),
}


class Gathered:
    """What the processes that measure have said so far."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.device: dict[str, Any] = {}
        self.states: dict[str, Any] = {}
        self.problems: list[str] = []
        self.begun = ""
        self.at = ""
        self.ended = False

    def hear(self, message: dict[str, Any]) -> None:
        if "row" in message:
            row = row_of(message["row"])
            self.rows[row.id] = row
        elif "case" in message:
            self.states[message["case"]] = {name: message[name] for name in ("before", "after")}
        self.device = message.get("device", self.device)
        self.begun = message.get("begin", self.begun)
        self.at = message.get("at", self.at)
        self.ended = self.ended or "end" in message

    def blame(self, status: str, reason: str) -> None:
        """The process was lost: by what ran last, unless that has a row already, which says why."""
        self.problems.append(f"the measuring process {reason}, at {self.at or 'its start'}")
        if self.at and self.at not in self.rows:
            names: dict[str, Any] = dict(
                zip(("operator", "backend", "implementation", "case"), self.at.split("/", 3), strict=True)
            )
            self.rows[self.at] = Row(**names, status=status, reason=f"the process {reason}")


def measure(job: Job, progress: Progress, command: Sequence[str] = COMMAND) -> Gathered:
    """Measure in a process of its own, and in another one for the rest if it is lost."""
    found = Gathered()
    for _ in range(MOST_STARTS):
        left = tuple(one for one in job.cases if f"{one[0]}/{one[1].id}" not in found.states)
        if found.ended or not left or time.monotonic() >= job.until:
            break
        found.begun, found.at, before = "", "", len(found.rows)
        # copies are measured anew, unless they are what failed
        settled = [row.id for row in found.rows.values() if row.backend != "copy" or row.status != "passed"]
        one = dataclasses.replace(job, cases=left, skip=(*job.skip, *settled))
        _measure_once(one, found, progress, command)
        if not found.ended and not found.begun:
            break  # it did not even begin, and will not the next time
        if not found.ended and len(found.rows) == before:
            found.states.setdefault(found.begun, {})  # nobody is to blame: the case is given up
    return found


def _measure_once(job: Job, found: Gathered, progress: Progress, command: Sequence[str]) -> None:
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
        )
        assert process.stdin is not None and process.stdout is not None
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
        reader.start()
        try:
            process.stdin.write(json.dumps(job.as_data()))
            process.stdin.close()
        except BrokenPipeError:
            pass  # it is gone; the reason is asked for below
        silent = _listen(lines, job.until + GRACE_S, found, progress)
        if silent:
            process.kill()
        code = process.wait()
        reader.join()
        process.stdout.close()
        if not found.ended:
            errors.seek(0)
            last = errors.read()[-400:].strip()
            if silent:
                found.blame("timeout", silent)
            else:
                found.blame("crashed", f"ended with code {code}: {last}" if last else f"ended with code {code}")


def _read(stream: IO[str], lines: queue.SimpleQueue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def _listen(lines: queue.SimpleQueue[str], until: float, found: Gathered, progress: Progress) -> str:
    """Hear messages until there are none left; why it was given up, or an empty text."""
    while True:
        wait = min(SILENCE_S, until - time.monotonic())
        try:
            line = lines.get(timeout=max(0.0, wait))
        except queue.Empty:
            return f"said nothing for {SILENCE_S:.0f} s" if wait >= SILENCE_S else "had no time left"
        if not line:
            return ""
        message = json.loads(line)
        found.hear(message)
        if "case" in message:
            progress(f"measured {message['case']}")


def run(device: str, minutes: float, seed: int, progress: Progress, registry: Registry, command: str) -> Outcome:
    """Conformance, then the table, in so many minutes together; `command` is what makes it again."""
    plan, start = PLANS[device], time.monotonic()
    until = start + 60.0 * minutes - RESERVE_S
    progress("conformance")
    checked = check_all(
        registry,
        plan.checked,
        plan.operators,
        plan.most_cases,
        start + CONFORMANCE_SHARE * (until - start),
        seed,
        progress,
    )
    job = Job(
        device=device,
        backends=plan.compared,
        left_out=plan.left_out,
        cases=plan.cases,
        until=until,
        whole=plan.whole,
        rounds=plan.rounds,
        seed=seed,
    )
    found = measure(job, progress)
    on_both, differ = differences(checked, device, plan.other)
    commit, dirty = machine.commit()
    reached = {f"{row.operator}/{row.case}" for row in found.rows.values()}
    return Outcome(
        device=device,
        other=plan.other,
        command=command,
        started_at=datetime.datetime.fromtimestamp(start, datetime.UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - start,
        commit=commit,
        dirty=dirty,
        seed=seed,
        machine=machine.describe(),
        gpu=found.device,
        states=found.states,
        missing={name: why for name in plan.checked if (why := registry.backends[name].missing)},
        conformance=checked.counts(),
        known=checked.known(),
        wrong=checked.wrong(),
        on_both=on_both,
        differ=differ,
        rows=tuple(found.rows.values()),
        not_reached=tuple(name for one in plan.cases if (name := f"{one[0]}/{one[1].id}") not in reached),
        problems=tuple(found.problems),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.reports.measured", description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", choices=sorted(PLANS), required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=None, help="seed of all inputs; fresh and recorded if absent")
    chosen = parser.parse_args(arguments)

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    registry = load()
    missing = registry.backends[chosen.device].missing
    if missing:
        print(f"nothing was measured: {missing}", file=sys.stderr)
        return 5
    if PLACES[chosen.device].warning:
        print(PLACES[chosen.device].warning, file=sys.stderr)
    seed = fresh_seed() if chosen.seed is None else chosen.seed
    asked = f"--device {chosen.device} --minutes {chosen.minutes:g} --out {chosen.out}"
    again = f"python -m harness.reports.measured {asked}"
    outcome = run(chosen.device, chosen.minutes, seed, progress, registry, again)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for path in write(outcome, chosen.out):
        print(path)
    if not any(row.median_ns for row in outcome.rows):
        return 5
    # what did not fit the device's memory is no fault
    faults = [row for row in outcome.rows if row.status in WRONG and row.status != "out_of_memory"]
    return 3 if outcome.wrong or outcome.differ or faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Are four nodes faster than one core, what does the engine cost per task, and is anything lost when a node goes?

`python -m harness.trials.fleet [--repeats 5] [--kills 20] [--json] [-o FILE]` starts a scheduler and nodes on this
machine; times the same conformance tasks on one core without the engine, on one node of one core, on four nodes of two
cores, and by two commands with half of the tasks on a core each (which no engine can be expected to beat, so it says
what the second core is worth here), in random order; and then runs tasks with faults (harness.trials.killed).
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import harness.machine as machine
from harness.execute import Progress
from harness.timing.statistics import student_quantile
from harness.trials import killed
from harness.trials.kept import Kept, Row
from harness.trials.nodes import Nodes
from harness.trials.showing import Column, print_rows, seconds

ARMS = ("one core", "one node of one core", "four nodes of two cores", "a half on each of two cores, no engine")
PLAIN, ONE, FOUR, HALVES = ARMS
SELECTORS = ("gumbel_softmax/numpy/*", "gumbel_softmax/torch/builtin", "ctc/numpy/builtin")
"""425 tasks of two backends, whose judging takes an eighth of a second each."""
LEVEL = 0.975
STORE = "results.sqlite"

SPEED: tuple[Column, ...] = (
    ("what", "arm", str),
    ("tasks", "tasks", str),
    ("repeats", "repeats", str),
    ("seconds", "seconds", seconds),
    ("times as fast", "speed_up", lambda value: f"{value:.2f}"),
    ("95 % from", "speed_up_low", lambda value: f"{value:.2f}"),
    ("to", "speed_up_high", lambda value: f"{value:.2f}"),
    ("engine, ms per task", "engine_ms", lambda value: f"{value:.1f}"),
    ("95 % from", "engine_low_ms", lambda value: f"{value:.1f}"),
    ("to", "engine_high_ms", lambda value: f"{value:.1f}"),
)
KILLED: tuple[Column, ...] = (
    ("a node is", "node", str),
    ("runs", "runs", str),
    ("struck in time", "in_time", str),
    ("tasks", "tasks", str),
    ("hung", "hung", str),
    ("lost", "lost", str),
    ("doubled", "doubled", str),
    ("strange", "strange", str),
    ("different", "different", str),
    ("left over", "left_over", str),
    ("median", "seconds", seconds),
    ("longest", "longest_s", seconds),
)


def measure(repeats: int, kept: Kept, folder: Path, seed: int, progress: Progress) -> None:
    """Time every arm once per repeat, in random order. Scheduler and nodes are started afresh for each, and are there
    before the clock starts; what is compiled is in one cache for all, filled before."""
    rng = np.random.default_rng(seed)
    done = kept.done("repeat", "arm")
    order = [(repeat, str(arm)) for repeat in range(repeats) for arm in rng.permutation(ARMS)]
    if all(one in done for one in order):
        return
    progress("what is compiled and read is kept", 0, len(order))
    first = folder / "first"
    timed(PLAIN, first)
    for number, (repeat, arm) in enumerate(order):
        progress(arm, number, len(order))
        if (repeat, arm) not in done:
            here = folder / f"{repeat}-{ARMS.index(arm)}"
            taken_s, tasks = halves(here, first / STORE) if arm == HALVES else timed(arm, here)
            kept.add({"repeat": repeat, "arm": arm, "seconds": taken_s, "tasks": tasks})


def timed(arm: str, folder: Path) -> tuple[float, int]:
    """The wall seconds of one run, from the start of the command to its end, and how many tasks it stored."""
    store = folder / STORE
    with _nodes(arm, folder) as nodes:
        command = killed.check_command(None if arm == PLAIN else nodes, store, SELECTORS)
        start_s = time.perf_counter()
        code, _, error = nodes.run(*command)
        taken_s = time.perf_counter() - start_s
    if code not in (0, 3):
        raise RuntimeError(f"{arm}: ended with {code}: {error[-2000:]}")
    return taken_s, len(killed.newest(store)[0])


def halves(folder: Path, durations: Path) -> tuple[float, int]:
    """The same by two commands side by side, each with half of the work on a core of its own: until the later one is
    over."""
    cores = sorted(os.sched_getaffinity(0))[:2]

    def half(number: int) -> int:
        here = folder / str(number)
        command = killed.check_command(None, here / STORE, SELECTORS)
        shard = ["--shard", f"{number + 1}/{len(cores)}", "--durations", str(durations)]
        code, _, error = Nodes(here, cores=cores[number : number + 1]).run(*command, *shard)
        if code not in (0, 3):
            raise RuntimeError(f"{HALVES}: ended with {code}: {error[-2000:]}")
        return len(killed.newest(here / STORE)[0])

    with ThreadPoolExecutor(len(cores)) as pool:
        start_s = time.perf_counter()
        counts = list(pool.map(half, range(len(cores))))
        return time.perf_counter() - start_s, sum(counts)


@contextlib.contextmanager
def _nodes(arm: str, folder: Path) -> Iterator[Nodes]:
    """What an arm runs on: nothing but the command, one node, or four; all of it on one core but the last."""
    cores = sorted(os.sched_getaffinity(0))
    nodes = Nodes(folder, cores=cores if arm == FOUR else cores[:1])
    if arm == PLAIN:
        yield nodes
        return
    names = killed.NAMES if arm == FOUR else killed.NAMES[:1]
    with nodes:
        for name in names:
            nodes.add(name, wait=False)
        for name in names:
            nodes.wait_for_node(name)
        yield nodes


def table(kept: Kept) -> list[Row]:
    """One row per arm: the median `seconds` of its `repeats`, how many times as fast as one core it is, and what the
    engine costs per task in ms, each with Student's 95 % interval over the repeats (their order is random, each is
    paired with the run on one core of its repeat)."""
    return [_row(arm, kept) for arm in ARMS if kept.rows(arm=arm)]


def _row(arm: str, kept: Kept) -> Row:
    plain = {row["repeat"]: row["seconds"] for row in kept.rows(arm=PLAIN)}
    rows = [row for row in kept.rows(arm=arm) if row["repeat"] in plain]
    found: Row = {
        "arm": arm,
        "tasks": rows[0]["tasks"],
        "repeats": len(rows),
        "seconds": float(np.median([row["seconds"] for row in rows])),
        **dict.fromkeys(("speed_up", "speed_up_low", "speed_up_high", "engine_ms", "engine_low_ms", "engine_high_ms")),
    }
    if arm in (FOUR, HALVES):
        logs = [math.log(plain[row["repeat"]] / row["seconds"]) for row in rows]
        estimate, half = _mean(logs)
        found |= {"speed_up": math.exp(estimate)}
        if half is not None:
            found |= {"speed_up_low": math.exp(estimate - half), "speed_up_high": math.exp(estimate + half)}
    elif arm == ONE:
        costs = [1e3 * (row["seconds"] - plain[row["repeat"]]) / row["tasks"] for row in rows]
        estimate, half = _mean(costs)
        found |= {"engine_ms": estimate}
        if half is not None:
            found |= {"engine_low_ms": estimate - half, "engine_high_ms": estimate + half}
    return found


def _mean(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean and half of its 95 % interval, None for a single value."""
    if len(values) < 2:
        return float(np.mean(values)), None
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(np.mean(values)), student_quantile(LEVEL, len(values) - 1) * error


def main(arguments: Sequence[str]) -> int:
    """Print both tables; 1 where a row was lost or doubled, a run hung, or anything was left over."""
    parser = argparse.ArgumentParser(prog="python -m harness.trials.fleet", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each kind that are timed; 0 for none")
    parser.add_argument("--kills", type=int, default=20, help="runs with a fault; 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="of the order, the faults and their moments")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("-o", "--output", type=Path, help="keep the rows here, and go on from them")
    chosen = parser.parse_args(arguments)
    here = machine.machine_id(machine.describe())
    speed, faults = (Kept(chosen.output, f"fleet {kind}", here) for kind in ("speed", "faults"))

    def progress(text: str, done: int, total: int) -> None:
        print(f"{done} of {total}: {text}", file=sys.stderr, flush=True)

    with TemporaryDirectory(prefix="fleet-") as folder:
        measure(chosen.repeats, speed, Path(folder) / "speed", chosen.seed, progress)
        killed.kill_nodes(chosen.kills, faults, Path(folder) / "faults", chosen.seed, progress)
    rows, columns = table(speed), SPEED
    if chosen.json:
        print_rows([*rows, *killed.table(faults)], columns, as_json=True)
    else:
        for found, headings in ((rows, columns), (killed.table(faults), KILLED)):
            if found:
                print_rows(found, headings, as_json=False)
    wrong = ("hung", "lost", "doubled", "strange", "different", "left_over")
    return int(any(row[name] for row in faults.rows() for name in wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

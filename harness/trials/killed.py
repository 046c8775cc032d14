"""What has a run on several nodes lost or doubled when one of them went?

A node is killed, stopped or unplugged at a random moment, and the store is held against that of a run without nodes.
"""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.execute import Progress
from harness.record import Record, Sample
from harness.store import Store
from harness.trials.kept import Kept, Row
from harness.trials.networks import Namespaces
from harness.trials.nodes import Node, Nodes

SELECTORS = ("sum/numpy/builtin", "sum/torch/builtin", "softmax/numpy/builtin", "max/numpy/builtin", "dot/numpy")
"""About 1,450 tasks of two backends."""
NAMES = ("node-1", "node-2", "node-3", "node-4")
SEED = 8
PAUSE_S = 8.0
"""How long a node sleeps that wakes up again: longer than the scheduler waits for one."""
TTL = {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "5s"}
"""After so long without a sign a node is given up; dask's own default is 5 minutes, and a trial would wait as long."""
GOES_S = 30.0
"""What a killed node has started may take so long to end: it removes its folders first."""
LATEST = 0.8
"""Nodes are struck within this share of the time of an undisturbed run, which is the first and takes longest."""
SETTLE_S = 5.0
"""In which a node that was cut off hears of it."""
HUNG_S = 600.0
"""A run that has not ended by then never will."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`strike` takes a node out of a run, `mend` brings it back after `back_s` seconds (None: after the run)."""

    strike: Callable[[Nodes, Node], None]
    mend: Callable[[Nodes, Node], None]
    back_s: float | None = None


def _start_anew(nodes: Nodes, node: Node) -> None:
    nodes.add(node.name)


def _wait_for_it(nodes: Nodes, node: Node) -> None:
    nodes.wait_for_node(node.name)


FAULTS = {
    "killed": Fault(lambda nodes, node: node.kill(), _start_anew),
    "without its dask worker": Fault(lambda nodes, node: node.kill_worker(), _wait_for_it),
    "without its engine": Fault(lambda nodes, node: node.kill_engine(), _wait_for_it),
    "stopped": Fault(lambda nodes, node: node.stop(), lambda nodes, node: node.go_on()),
    "stopped, and back": Fault(lambda nodes, node: node.stop(), lambda nodes, node: node.go_on(), PAUSE_S),
    "unplugged": Fault(
        lambda nodes, node: nodes.network.unplug(node.name), lambda nodes, node: nodes.network.plug(node.name)
    ),
    "unplugged, and back": Fault(
        lambda nodes, node: nodes.network.unplug(node.name), lambda nodes, node: nodes.network.plug(node.name), PAUSE_S
    ),
}
AFTERWARDS = "afterwards"
WITHOUT_CABLE = tuple(how for how in FAULTS if not how.startswith("unplugged"))


# ---- what a store shows


def count_writes(path: Path) -> None:
    """Make a store that counts how often a row is written: it replaces rows, so that it could not hold one twice."""
    with Store.open(str(path)):
        pass
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE written (phase TEXT, id TEXT)")
        whole = "NEW.operator || '/' || NEW.backend || '/' || NEW.implementation || '/' || NEW.\"case\""
        connection.execute(
            "CREATE TRIGGER count_writes AFTER INSERT ON records BEGIN "
            f"INSERT INTO written VALUES (NEW.phase, {whole}); END"
        )


def writes(path: Path) -> Counter[tuple[str, str]]:
    """How often each (phase, task id) was written since `count_writes`."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return Counter(connection.execute("SELECT phase, id FROM written").fetchall())


def newest(path: Path) -> tuple[list[Record], list[Record], list[Sample]]:
    """What the newest run of a store checked and timed, and its readings."""
    with Store.open(str(path)) as store:
        run_id = store.run(None).run_id
        return store.records(run_id, "check"), store.records(run_id, "bench"), store.samples(run_id)


def said(records: Sequence[Record]) -> dict[str, str]:
    """The status of each task."""
    return {one.id: one.status for one in records}


def compared(path: Path, expected: dict[str, str]) -> Row:
    """How many tasks the newest run of a store lacks, wrote more than once, has beyond those expected, and judged
    otherwise."""
    checked, _, _ = newest(path)
    found = said(checked)
    written = writes(path)
    return {
        "tasks": len(found),
        "lost": len(expected.keys() - found.keys()),
        "doubled": sum(count > 1 for count in written.values()) + len(checked) - len(found),
        "strange": len(found.keys() - expected.keys()),
        "different": sum(status != found.get(name, status) for name, status in expected.items()),
    }


# ---- the trial


@contextlib.contextmanager
def fleet(folder: Path, names: Sequence[str] = NAMES) -> Iterator[Nodes]:
    """Nodes of these names, in network namespaces of their own where the kernel lets us."""
    network = None if Namespaces.missing() else Namespaces()
    with Nodes(folder, network, TTL) as nodes:
        for name in names:
            nodes.add(name, wait=False)
        for name in names:
            nodes.wait_for_node(name)
        yield nodes


def check_command(nodes: Nodes | None, store: Path, selectors: Sequence[str] = SELECTORS) -> list[str]:
    """What is typed for a check with the trial's seed, by the nodes or (None) by this machine alone."""
    command = ["harness", "check", *selectors, "--seed", str(SEED), "--store", str(store), "--json"]
    return command if nodes is None else [*command, "--cluster", nodes.address]


def undisturbed(nodes: Nodes, selectors: Sequence[str] = SELECTORS) -> tuple[dict[str, str], float]:
    """What every run has to say, by a run of this machine alone; and the seconds that the nodes take when nothing
    happens to them."""
    alone = nodes.folder / "alone.sqlite"
    code, _, error = nodes.run(*check_command(None, alone, selectors))
    if code not in (0, 3):
        raise RuntimeError(f"a run of this machine alone ended with {code}: {error[-2000:]}")
    store = nodes.folder / "undisturbed.sqlite"
    count_writes(store)
    start_s = time.monotonic()
    code, _, error = nodes.run(*check_command(nodes, store, selectors))
    seconds = time.monotonic() - start_s
    expected = said(newest(alone)[0])
    row = compared(store, expected)
    if code not in (0, 3) or any(row[name] for name in ("lost", "doubled", "strange", "different")):
        raise RuntimeError(f"the nodes, undisturbed, ended with {code} and {row}: {error[-2000:]}")
    return expected, seconds


def struck(
    nodes: Nodes,
    how: str,
    choose: Callable[[], str],
    moment_s: float,
    store: Path,
    expected: dict[str, str],
    selectors: Sequence[str] = SELECTORS,
) -> Row:
    """One run during which a node is struck `moment_s` after its start, which is chosen then. The node is there again
    afterwards."""
    fault = FAULTS[how]
    count_writes(store)
    start_s = time.monotonic()
    child = nodes.start(*check_command(nodes, store, selectors))
    drained = _Drained(child)
    _wait(child, moment_s)
    in_time = child.poll() is None
    name = choose()
    node = nodes.nodes[name]
    fault.strike(nodes, node)
    if fault.back_s is not None:
        _wait(child, fault.back_s)
        fault.mend(nodes, node)
    hung = not drained.ended(HUNG_S)
    if hung:
        child.kill()
        drained.ended(HUNG_S)
    seconds = time.monotonic() - start_s
    left = left_over(node) if how == "killed" else []
    if fault.back_s is None:
        fault.mend(nodes, node)
    return {
        "how": how,
        "node": name,
        "moment_s": moment_s,
        "in_time": in_time,
        "seconds": seconds,
        "exit_code": child.returncode,
        "hung": hung,
        **compared(store, expected),
        "left_over": len(left),
        "said": drained.error[-500:],
    }


def left_over(node: Node) -> list[str]:
    """Processes of a killed node that still live when they had the time to go."""
    end_s = time.monotonic() + GOES_S
    while (left := node.left_over()) and time.monotonic() < end_s:
        time.sleep(0.02)
    return left


def _wait(child: subprocess.Popen[str], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(seconds)


class _Drained:
    """What a command prints, read while it runs, so that it never waits for a reader."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        self._said: list[str] = ["", ""]
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self._said[:] = self._child.communicate()

    def ended(self, within_s: float) -> bool:
        self._thread.join(within_s)
        return not self._thread.is_alive()

    @property
    def error(self) -> str:
        return self._said[1]


def kill_nodes(runs: int, kept: Kept, folder: Path, seed: int, progress: Progress) -> None:
    """So many runs on four nodes, each with one fault; those that `kept` holds are not run again."""
    rng = np.random.default_rng(seed)
    hows = WITHOUT_CABLE if Namespaces.missing() else tuple(FAULTS)
    drawn = [(hows[number % len(hows)], rng.uniform(), rng.uniform()) for number in range(runs)]
    done = kept.done("number")
    if all((number,) in done for number in range(runs)):
        return
    with fleet(folder) as nodes:
        progress("the same run undisturbed", 0, runs)
        expected, usual_s = undisturbed(nodes)
        for number, (how, place, share) in enumerate(drawn):
            progress(f"a run in which a node is {how}", number, runs)
            if (number,) not in done:
                _start_ended(nodes)
                store, moment_s = folder / f"{number}.sqlite", LATEST * share * usual_s
                choose = functools.partial(_working, nodes, place)
                kept.add({"number": number, **struck(nodes, how, choose, moment_s, store, expected)})
        progress("a run after all that", runs, runs)
        _start_ended(nodes)
        kept.add({"number": runs, **_afterwards(nodes, expected)})


def _start_ended(nodes: Nodes) -> None:
    """Start what ended, as a service manager does: a node of dask that was cut off while it worked ends by itself when
    it hears that nobody counts on it any more."""
    time.sleep(SETTLE_S)
    for name, node in nodes.nodes.items():
        if node.process.poll() is not None:
            nodes.add(name)


def _working(nodes: Nodes, place: float) -> str:
    """One of the nodes that have work now; of all, where none has. `place` is from 0 to 1."""
    names = [name for name, node in nodes.nodes.items() if node.works] or list(nodes.nodes)
    return names[int(place * len(names))]


def _afterwards(nodes: Nodes, expected: dict[str, str]) -> Row:
    """One more run, for which all nodes are there again: whoever made scratch folders before and was killed, its
    successor has removed them now."""
    store = nodes.folder / "afterwards.sqlite"
    count_writes(store)
    start_s = time.monotonic()
    code, _, error = nodes.run(*check_command(nodes, store))
    return {
        "how": AFTERWARDS,
        "in_time": False,
        "hung": False,
        "seconds": time.monotonic() - start_s,
        "exit_code": code,
        **compared(store, expected),
        "left_over": sum(len(node.scratch_left_over()) for node in nodes.nodes.values()),
        "said": error[-500:],
    }


def table(kept: Kept) -> list[Row]:
    """One row per kind of fault, and one of all: of `runs`, in how many the fault came before the end (`in_time`), how
    many `hung`, rows that were `lost`, `doubled`, `strange` or `different`, processes `left_over` (in the last run,
    which nothing happens to: scratch folders)."""
    rows = kept.rows()
    if not rows:
        return []
    hows = [how for how in (*FAULTS, AFTERWARDS) if kept.rows(how=how)]
    groups = [(how, kept.rows(how=how)) for how in hows] + [("all", rows)]
    counted = ("in_time", "hung", "lost", "doubled", "strange", "different", "left_over")
    return [
        {
            "node": how,
            "runs": len(group),
            **{name: sum(int(row[name]) for row in group) for name in counted},
            "tasks": group[0]["tasks"] if group else None,
            "seconds": float(np.median([row["seconds"] for row in group])) if group else None,
            "longest_s": max((row["seconds"] for row in group), default=None),
        }
        for how, group in groups
    ]

"""How long a store takes that holds much: `python -m harness.trials.scale --store URL`.

It fills a store that is empty with runs as a team has them, one transaction per run as `harness store copy` writes
them, and asks it what people ask. The times are made up; what is measured is the store.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.comparing.measured import measured_from_store
from harness.comparing.stored import compare_stored
from harness.histories import histories
from harness.location import shown
from harness.record import Record, Sample
from harness.reporting import write_report
from harness.rows import RunInfo
from harness.store import Store
from harness.strangers import opened_to_read

MACHINE = "00f1ee7000f1ee70"
OPERATORS = ("softmax", "log_softmax", "logsumexp", "cross_entropy", "sum")
BACKENDS = ("numpy", "torch")
IMPLEMENTATIONS = ("builtin", "online", "interleaved", "warp_shuffle_grid_reduced")
RUNS_OF_A_COMMIT = 5
HOURS_BETWEEN = 12
NOISE = 0.02
"""Standard deviation of the logarithm of a task's time from run to run, and from reading to reading."""
SINGLE_ROWS = 300
"""Rows that are stored one by one, each for good, as a run stores them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """One thing that was done with the store, how long it took, and what came back. `cpu_s` is the CPU time of this
    process: where others use the machine too, the time on an idle one lies between both."""

    what: str
    seconds: float
    cpu_s: float
    count: int
    of: str

    @property
    def rate(self) -> float:
        return self.count / self.seconds if self.seconds > 0.0 else 0.0

    def as_data(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "per_second": self.rate}


class Watch:
    """The time of the blocks that it is around, together."""

    def __init__(self) -> None:
        self.seconds = self.cpu_s = 0.0

    def __enter__(self) -> Watch:
        self._begun = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._begun[0]
        self.cpu_s += time.process_time() - self._begun[1]

    def said(self, what: str, count: int, of: str) -> Asked:
        return Asked(what, self.seconds, self.cpu_s, count, of)


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """How much a store holds: as many checks as timings in each run, each timing with as many readings."""

    rows: int
    samples: int
    runs: int

    @property
    def tasks(self) -> int:
        """Those of one run and phase."""
        return max(1, self.rows // self.runs // 2)

    @property
    def readings(self) -> int:
        """Those of one task of a run."""
        return self.samples // (self.runs * self.tasks)


def names(tasks: int) -> list[tuple[str, str, str, str]]:
    """Tasks as an operator, a backend, an implementation and a case."""
    whole = [(o, b, i) for o in OPERATORS for b in BACKENDS for i in IMPLEMENTATIONS]
    return [(*whole[number % len(whole)], f"float32[{number // len(whole) + 1}x4096]dim=1") for number in range(tasks)]


def run_of(number: int) -> RunInfo:
    """The run of a number, twelve hours after the one before."""
    moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=HOURS_BETWEEN * number)
    stamp = moment.isoformat(timespec="milliseconds")
    commit = f"{number // RUNS_OF_A_COMMIT:040x}"
    return RunInfo(
        run_id=f"{moment:%Y%m%dT%H%M%S}-{number:06x}",
        started_at=stamp,
        finished_at=stamp,
        command="bench",
        selectors=("softmax",),
        seed=number,
        budget_s=60.0,
        machine_id=MACHINE,
        commit=commit,
        dirty=False,
        exit_code=0,
        notes=("made up by harness.trials.scale",),
        ceiling={"4194304": 20.0},
    )


def made(info: RunInfo, size: Size, rng: np.random.Generator) -> tuple[list[Record], list[Record], list[Sample]]:
    """The checks, timings and readings of a run."""
    about: dict[str, Any] = {
        "run_id": info.run_id, "started_at": info.started_at, "commit": info.commit, "dirty": False,
        "machine_id": MACHINE, "dtype": "float32", "parameters": '{"dim": 1}', "seed": info.seed, "status": "passed",
        "error_over_bound": 0.125, "max_abs_error": 1e-7, "max_rel_error": 2e-7, "max_ulp": 1.0, "tree_height": 12,
        "run_to_run_bitwise": True, "batch_invariant": True,
    }  # fmt: skip
    checks, timings, samples = [], [], []
    for number, (operator, backend, implementation, case) in enumerate(names(size.tasks)):
        task: dict[str, Any] = {
            "operator": operator,
            "backend": backend,
            "implementation": implementation,
            "case": case,
        }
        time_ns = int(100_000 * (1 + number % 97) * np.exp(rng.normal(0.0, NOISE)))
        measured: dict[str, Any] = {
            "samples": size.readings, "median_ns": time_ns, "ci_low_ns": time_ns - 500, "ci_high_ns": time_ns + 500,
            "min_ns": time_ns - 900, "cpu_median_ns": time_ns - 100, "audit_ns": time_ns + 50, "prepare_ns": 1000,
            "bytes": 33_554_432, "flops": 12_582_912, "gb_per_s": 12.5, "percent_of_limit": 62.5,
        }  # fmt: skip
        checks.append(Record(**about, **task, duration_s=0.01))
        timings.append(Record(**about, **task, **measured, duration_s=1.5))
        spread = (time_ns * np.exp(rng.normal(0.0, NOISE, size.readings))).astype(np.int64).tolist()
        for place, wall_ns in enumerate(spread):
            samples.append(
                Sample(
                    **task, process=place % 4, block=place // 4, position=0, calls=1, wall_ns=wall_ns, cpu_ns=wall_ns,
                    checked=place == 0, minor_faults=0, major_faults=0, voluntary_switches=0, involuntary_switches=1,
                    run_delay_ns=1000, steal_ns=0, others_share=0.01, throttled=False,
                )
            )  # fmt: skip
    return checks, timings, samples


def fill(url: str, size: Size, progress: Callable[[str], None]) -> list[Asked]:
    """Make the store. Raises SystemExit for one that holds something."""
    rng = np.random.default_rng(1)
    for_rows, for_samples, alone = Watch(), Watch(), Watch()
    rows = samples = 0
    with Store.open(url) as store:
        if store.runs():
            raise SystemExit(f"{shown(url)} holds runs; name an empty store, or --keep to ask what is there")
        for number in range(size.runs):
            info = run_of(number)
            checks, timings, readings = made(info, size, rng)
            with for_rows:
                store.add_finished(info, {"cpu": "made up"}, checks, timings)
            with for_samples:
                store.add_samples(info.run_id, readings)
            rows, samples = rows + len(checks) + len(timings), samples + len(readings)
            progress(f"run {number + 1} of {size.runs}: {for_rows.seconds:.1f} s, {for_samples.seconds:.1f} s")
        _one_by_one(store, alone)
        tidied = _tidied(store)
    return [
        for_rows.said("insert task rows, a run at a time", rows, "rows"),
        for_samples.said("insert readings, a run at a time", samples, "readings"),
        alone.said("insert one row at a time, each for good", SINGLE_ROWS, "rows"),
        *tidied,
    ]


def _one_by_one(store: Store, watch: Watch) -> None:
    info = dataclasses.replace(run_of(0), run_id="one-by-one", command="check", started_at="2025-01-01T00:00:00")
    store.add_finished(info, {}, [])
    checks, _, _ = made(info, Size(SINGLE_ROWS * 2, 0, 1), np.random.default_rng(2))
    with watch:
        for one in checks:
            store.add(one, "check")


def _tidied(store: Store) -> list[Asked]:
    """A server counts and tidies what was loaded by itself within a minute or so; here it is told to."""
    if store.database.engine.dialect.name != "postgresql":
        return []
    with Watch() as watch, store.database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM ANALYZE")
    return [watch.said("VACUUM ANALYZE, which autovacuum does later", 1, "")]


def questions(url: str, folder: Path) -> Iterator[Asked]:
    """What people ask, each as a command asks it: the store is opened anew."""
    with opened_to_read(url) as store:
        runs = [run for run in store.runs() if run.command == "bench"]
        newest, older = runs[0], runs[min(len(runs) - 1, 2 * RUNS_OF_A_COMMIT)]
        task = next(one.id for one in store.records(newest.run_id, "bench"))

    def compared(store: Store) -> int:
        sides = measured_from_store(store, older.run_id), measured_from_store(store, newest.run_id)
        return len(compare_stored(*sides, floor=lambda one: 0.01, noise=(), normalise=False).rows)

    def reported(store: Store) -> int:
        write_report(store, newest.run_id, "html", folder / "report.html")
        return (folder / "report.html").stat().st_size

    asked: Sequence[tuple[str, Callable[[Store], int], str]] = (
        ("open the store, and list its runs", lambda store: len(store.runs()), "runs"),
        ("median per implementation and case over the last 50 runs", lambda store: len(store.medians(50)), "tasks"),
        ("compare two stored runs", compared, "tasks"),
        ("history of one task", lambda store: len(histories(store, [task]).rows), "tasks"),
        ("history of one operator", lambda store: len(histories(store, [f"{OPERATORS[0]}/*"]).rows), "tasks"),
        ("report of one run", reported, "bytes"),
    )
    for what, ask, of in asked:
        with Watch() as watch, opened_to_read(url) as store:
            count = ask(store)
        yield watch.said(what, count, of)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True, help="an empty store: a file, or a URL")
    parser.add_argument("--rows", type=int, default=1_000_000, help="task rows, half of them checks")
    parser.add_argument("--samples", type=int, default=10_000_000, help="readings")
    parser.add_argument("--runs", type=int, default=500, help="over so many runs")
    parser.add_argument("--keep", action="store_true", help="ask a store that was filled before")
    parser.add_argument("--json", action="store_true", help="one JSON array of rows")
    given = parser.parse_args()
    size = Size(given.rows, given.samples, given.runs)

    def progress(text: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{text}", end="", file=sys.stderr, flush=True)

    if not given.json:
        print(f"{size.rows} task rows and {size.samples} readings in {size.runs} runs, {shown(given.store)}")
    found: list[Asked] = []
    with tempfile.TemporaryDirectory() as folder:
        for one in itertools.chain(
            () if given.keep else fill(given.store, size, progress), questions(given.store, Path(folder))
        ):
            found.append(one)
            if not given.json:
                print(line(one), flush=True)
    if given.json:
        print(json.dumps([one.as_data() for one in found], indent=1))


def line(one: Asked) -> str:
    """What was done and how long it took, for a person."""
    per = f"{one.rate:12,.0f} {one.of}/s" if one.what.startswith("insert") else f"{one.count:12,} {one.of}"
    return f"{one.what:58} {one.seconds:9.2f} s  {one.cpu_s:9.2f} s CPU  {per}"


if __name__ == "__main__":
    main()

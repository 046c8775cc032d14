"""Files of other benchmark tools: taken in without loss or claim, written so that the tools themselves read them."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import importlib.util
import io
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import readings, record, timed
from typer.testing import CliRunner

from harness.cli import app
from harness.interop import asv, asv_layout, detecting, exporting, imported, stored
from harness.interop.imported import UnreadableFile
from harness.interop.storing import import_files
from harness.record import Record, Sample
from harness.reporting import write_report
from harness.store import Store

TOOLS = {"pytest_benchmark": "pytest-benchmark", "asv": "asv", "google_benchmark": "google-benchmark"}
REQUIRED = os.environ.get("REQUIRE_INTEROP", "").split()
COMMIT, LATER = "c0ffee" + "0" * 34, "decade" + "0" * 34


def needs(module: str) -> pytest.MarkDecorator:
    """A test that runs the real tool; REQUIRE_INTEROP names those that must not be missing."""
    missing = importlib.util.find_spec(module) is None and module not in REQUIRED
    return pytest.mark.skipif(missing, reason=f"{TOOLS[module]} is an extra: pip install 'kernel-harness[interop]'")


def python(folder: Path, *arguments: str, **environment: str) -> str:
    """What a command of this Python prints; it has to succeed."""
    # a pytest in there must not take itself for a worker of this one
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**inherited, "HOME": str(folder), "COLUMNS": "300", **environment},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the harness in a folder, in this process: starting Python takes longer than all of it."""
    with contextlib.chdir(folder):
        environment = {"HARNESS_STORE": str(folder / "store.sqlite"), "NO_COLOR": "1"}
        done = CliRunner().invoke(app, list(arguments), env=environment, catch_exceptions=False)
    return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


def taken(store: Store, path: Path, **about: Any) -> str:
    """The id of the run that a file became."""
    (one,) = import_files(store, [path], about.get("format"), about.get("machine"), about.get("commit"))
    return one.run_id


def written(store: Store, run_id: str, format: str) -> dict[str, str]:
    return dict(exporting.export(stored.stored_run(store, run_id), format).files)


def ours(store: Store, commit: str | None = COMMIT, factor: float = 1.0, calls: int = 1) -> str:
    """A finished run of our own: two tasks with times, two that failed, one that is missing here."""
    info = store.start_run(
        command="bench", selectors=(), seed=7, budget_s=None, machine_id="abc", commit=commit, dirty=False,
        machine={"cpu": "Some CPU", "architecture": "x86_64", "cores": 2, "python": "CPython 3.11.7",
                 "system": "Linux", "kernel": "6.1", "memory_gib": 24},
    )  # fmt: skip
    about: dict[str, Any] = {
        "run_id": info.run_id,
        "started_at": info.started_at,
        "commit": commit,
        "machine_id": "abc",
    }
    for name, middle in (("builtin", 1_000_000), ("online", 3_000_000)):
        draw = random.Random(name)
        times = [round(middle * factor * draw.uniform(0.98, 1.02)) * calls for _ in range(12)]
        store.add_samples(info.run_id, readings(name, times, calls=calls))
        median = round(sorted(times)[6] / calls)
        store.add(timed(name, median, **about), "bench")
    store.add(record(implementation="online", case="float32[9]dim=0", status="failed", reason="NaN", **about), "check")
    store.add(record(implementation="narrow", status="failed", reason="error 3 times the bound", **about), "bench")
    store.add(record(implementation="device", status="missing", reason="no GPU <here>", **about), "check")
    store.finish_run(info.run_id, exit_code=3)
    return info.run_id


def by_task(records: list[Record]) -> dict[tuple[str, str, str, str], Record]:
    return {(one.operator, one.backend, one.implementation, one.case): one for one in records}


# pytest-benchmark

SUITE = """
import time
import pytest

@pytest.mark.parametrize("n", [10, 100])
@pytest.mark.benchmark(group="sums", min_rounds=5, max_time=0.01, warmup=False)
def test_sum(benchmark, n):
    benchmark.extra_info.update({"größe": n, "nested": {"a": [1, None, 2.5]}})
    benchmark(sum, range(n))

class TestSorting:
    def test_sorted(self, benchmark):
        benchmark.pedantic(sorted, args=([3, 1, 2],), rounds=7, iterations=50)
"""


@pytest.fixture(scope="module")
def pytest_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "test_suite.py").write_text(SUITE, encoding="utf-8")
    python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-json=out.json", "test_suite.py")
    return folder / "out.json"


@needs("pytest_benchmark")
def test_pytest_benchmarks_file_becomes_a_run_and_the_same_file_again(pytest_file: Path, store_path: Path) -> None:
    original = json.loads(pytest_file.read_text())
    with Store.open(str(store_path)) as store:
        run_id = taken(store, pytest_file)
        again = json.loads(written(store, run_id, "pytest-benchmark")["out.json"])
        assert again.keys() == original.keys()
        for key in original:
            assert again[key] == original[key], key
        info = store.run(run_id)
        assert info.command == "import" and info.exit_code == 0
        assert info.started_at[:23] == original["datetime"][:23]
        found = by_task(store.records(run_id, "bench"))
        assert set(found) == {
            ("test_suite.py::test_sum", "pytest-benchmark", "imported", "10"),
            ("test_suite.py::test_sum", "pytest-benchmark", "imported", "100"),
            ("test_suite.py::TestSorting::test_sorted", "pytest-benchmark", "imported", "default"),
        }
        for entry in original["benchmarks"]:
            one = found[
                (entry["fullname"].partition("[")[0], "pytest-benchmark", "imported", entry["param"] or "default")
            ]
            stats = entry["stats"]
            assert one.status == "imported" and "nobody here checked" in one.reason
            assert one.median_ns == round(stats["median"] * 1e9) and one.min_ns == round(stats["min"] * 1e9)
            assert one.samples == stats["rounds"] == len(stats["data"])
            # what the file does not say is not made up
            assert (one.ci_low_ns, one.cpu_median_ns, one.error_over_bound, one.seed, one.bytes) == (None,) * 5
            samples = [s for s in store.samples(run_id) if (s.operator, s.case) == (one.operator, one.case)]
            assert [s.wall_ns for s in samples] == [round(t * stats["iterations"] * 1e9) for t in stats["data"]]
            assert {(s.calls, s.cpu_ns, s.checked) for s in samples} == {(stats["iterations"], None, False)}


@needs("pytest_benchmark")
def test_pytest_benchmark_compares_what_we_wrote(tmp_path: Path, store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        for name, factor in (("base", 1.0), ("head", 2.0)):
            text = written(store, ours(store, factor=factor), "pytest-benchmark")[""]
            (tmp_path / f"{name}.json").write_text(text)
    shown = python(
        tmp_path,
        "-m",
        "pytest_benchmark",
        "compare",
        "base.json",
        "head.json",
        "--columns=median,rounds",
        "--csv=out.csv",
    )
    assert "softmax/numpy/online/float32[8x8]dim=1" in shown
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"].partition(" ")[0] for row in rows} == {
        f"softmax/numpy/{name}/float32[8x8]dim=1" for name in ("builtin", "online")
    }
    assert sorted(float(row["median"]) for row in rows) == pytest.approx([1e-3, 2e-3, 3e-3, 6e-3], rel=0.02)


@needs("pytest_benchmark")
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 13])
def test_our_statistics_are_pytest_benchmarks_own(count: int) -> None:
    from pytest_benchmark.stats import Stats

    from harness.interop.pytest_benchmark import _stats

    draw = random.Random(count)
    times = [draw.lognormvariate(-7, 1) for _ in range(count)]
    theirs = Stats()
    for one in times:
        theirs.update(one)
    mine, own = _stats(times), theirs.as_dict()
    assert mine.keys() == own.keys()
    for name, value in own.items():
        assert mine[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12)), name


@pytest.mark.parametrize("calls", [1, 3])
def test_our_readings_survive_the_way_through_pytest_benchmarks_file(
    tmp_path: Path, store_path: Path, calls: int
) -> None:
    with Store.open(str(store_path)) as store:
        first = ours(store, calls=calls)
        (tmp_path / "ours.json").write_text(written(store, first, "pytest-benchmark")[""])
        second = taken(store, tmp_path / "ours.json")
        found = by_task(store.records(second))
        # times only of what was right: the failed and the missing are not in the file
        assert set(found) == {("softmax", "numpy", name, "float32[8x8]dim=1") for name in ("builtin", "online")}
        assert {one.status for one in found.values()} == {"imported"}
        key = lambda one: (one.implementation, one.block, one.process)  # noqa: E731
        before = [(one.calls, one.wall_ns) for one in sorted(store.samples(first), key=key)]
        after = [(one.calls, one.wall_ns) for one in sorted(store.samples(second), key=key)]
        assert sorted(before) == sorted(after)


# Google Benchmark

GOOGLE = {
    "context": {
        "date": "2026-03-01T10:00:00+01:00", "host_name": "lab", "executable": "./bench", "num_cpus": 8,
        "mhz_per_cpu": 3000, "caches": [{"type": "Data", "level": 1, "size": 32768, "num_sharing": 2}],
        "load_avg": [0.1, 0.2, 0.3], "library_version": "v1.9.4", "library_build_type": "release",
        "json_schema_version": 1, "custom": "kept",
    },
    "benchmarks": [
        *({"name": "BM_sum/8", "family_index": 0, "per_family_instance_index": 0, "run_name": "BM_sum/8",
           "run_type": "iteration", "repetitions": 3, "repetition_index": i, "threads": 1, "iterations": 1000,
           "real_time": wall, "cpu_time": cpu, "time_unit": "us", "items_per_second": 1e6}
          for i, (wall, cpu) in enumerate([(2.0, 1.9), (2.5, 2.4), (2.25, 2.0)])),
        {"name": "BM_sum/8_median", "family_index": 0, "per_family_instance_index": 0, "run_name": "BM_sum/8",
         "run_type": "aggregate", "repetitions": 3, "threads": 1, "aggregate_name": "median",
         "aggregate_unit": "time", "iterations": 3, "real_time": 2.25, "cpu_time": 2.0, "time_unit": "us"},
        {"name": "BM_sum/8_cv", "family_index": 0, "per_family_instance_index": 0, "run_name": "BM_sum/8",
         "run_type": "aggregate", "repetitions": 3, "threads": 1, "aggregate_name": "cv",
         "aggregate_unit": "percentage", "iterations": 3, "real_time": 0.1, "cpu_time": 0.1, "time_unit": "us"},
        {"name": "BM_only_median", "run_name": "BM_only", "run_type": "aggregate", "repetitions": 5,
         "aggregate_name": "median", "iterations": 5, "real_time": 7.0, "cpu_time": 6.0, "time_unit": "ms"},
        {"name": "BM_broken", "family_index": 2, "run_name": "BM_broken", "run_type": "iteration",
         "repetitions": 1, "repetition_index": 0, "error_occurred": True, "error_message": "no file",
         "iterations": 0, "real_time": 0.0, "cpu_time": 0.0, "time_unit": "ns"},
        {"name": "BM_big_BigO", "run_name": "BM_big", "run_type": "aggregate", "aggregate_name": "BigO",
         "cpu_coefficient": 1.5, "real_coefficient": 1.6, "big_o": "N", "time_unit": "ns"},
    ],
}  # fmt: skip


def test_google_benchmarks_repetitions_aggregates_and_errors(tmp_path: Path, store_path: Path) -> None:
    path = tmp_path / "google.json"
    path.write_text(json.dumps(GOOGLE))
    with Store.open(str(store_path)) as store:
        run_id = taken(store, path)
        found = {one.operator: one for one in store.records(run_id)}
        assert set(found) == {"BM_sum/8", "BM_only", "BM_broken"}
        one = found["BM_sum/8"]
        assert (one.median_ns, one.min_ns, one.cpu_median_ns, one.samples) == (2250, 2000, 2000, 3)
        assert (found["BM_only"].median_ns, found["BM_only"].cpu_median_ns) == (7_000_000, 6_000_000)
        assert found["BM_only"].samples == 5 and found["BM_only"].min_ns is None
        assert found["BM_broken"].status == "error" and "no file" in found["BM_broken"].reason
        samples = [(one.calls, one.wall_ns, one.cpu_ns) for one in store.samples(run_id)]
        assert samples == [(1000, 2_000_000, 1_900_000), (1000, 2_500_000, 2_400_000), (1000, 2_250_000, 2_000_000)]
        assert store.run(run_id).started_at.startswith("2026-03-01T09:00:00")
        assert json.loads(written(store, run_id, "google-benchmark")["google.json"]) == GOOGLE


GOOGLE_SUITE = """
import google_benchmark as benchmark

@benchmark.register
@benchmark.option.arg(10)
@benchmark.option.arg(100)
@benchmark.option.unit(benchmark.kMicrosecond)
def bm_sum(state):
    while state:
        sum(range(state.range(0)))
    state.counters["items"] = state.range(0)

@benchmark.register
def bm_broken(state):
    state.skip_with_error("broken on purpose")

benchmark.main()
"""


@needs("google_benchmark")
def test_what_google_benchmark_writes_becomes_a_run_and_the_same_file_again(tmp_path: Path, store_path: Path) -> None:
    (tmp_path / "suite.py").write_text(GOOGLE_SUITE)
    options = ("--benchmark_repetitions=3", "--benchmark_min_time=0.001s", "--benchmark_out_format=json")
    python(tmp_path, "suite.py", *options, "--benchmark_out=out.json")
    original = json.loads((tmp_path / "out.json").read_text())
    with Store.open(str(store_path)) as store:
        run_id = taken(store, tmp_path / "out.json")
        assert json.loads(written(store, run_id, "google-benchmark")["out.json"]) == original
        found = {one.operator: one for one in store.records(run_id)}
        assert {name: one.status for name, one in found.items()} == {
            "bm_sum/10": "imported", "bm_sum/100": "imported", "bm_broken": "error"
        }  # fmt: skip
        assert "broken on purpose" in found["bm_broken"].reason
        for name in ("bm_sum/10", "bm_sum/100"):
            (median,) = (row for row in original["benchmarks"] if row["name"] == f"{name}_median")
            # readings are in whole nanoseconds, so that a median of them may be one off
            assert abs((found[name].median_ns or 0) - median["real_time"] * 1e3) <= 1
            assert abs((found[name].cpu_median_ns or 0) - median["cpu_time"] * 1e3) <= 1


def test_our_readings_survive_google_benchmarks_file(tmp_path: Path, store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        first = ours(store, calls=4)
        text = written(store, first, "google-benchmark")[""]
        assert "narrow" not in text and "device" not in text  # a failure would be a row of zeros
        (tmp_path / "ours.json").write_text(text)
        second = taken(store, tmp_path / "ours.json")
        before, after = by_task(store.records(first)), by_task(store.records(second))
        assert after.keys() == {task for task, one in before.items() if one.median_ns is not None}
        assert {one.status for one in after.values()} == {"imported"}
        fields = [(one.implementation, one.calls, one.wall_ns, one.cpu_ns) for one in store.samples(second)]
        assert fields == [(one.implementation, one.calls, one.wall_ns, one.cpu_ns) for one in store.samples(first)]


COMPARE = Path("/usr/share/benchmark/compare.py")


@pytest.mark.skipif(
    not COMPARE.is_file() or importlib.util.find_spec("scipy") is None,
    reason="Google Benchmark's compare.py is Debian's libbenchmark-tools, and needs scipy",
)
def test_google_benchmarks_compare_reads_what_we_wrote(tmp_path: Path, store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        for name, factor in (("a", 1.0), ("b", 2.0)):
            (tmp_path / f"{name}.json").write_text(written(store, ours(store, factor=factor), "google-benchmark")[""])
    shown = python(tmp_path, str(COMPARE), "--no-color", "benchmarks", "a.json", "b.json")
    medians = [line.split() for line in shown.splitlines() if "dim=1_median" in line]
    assert {line[0].split("/")[2]: float(line[1]) for line in medians} == pytest.approx(
        {"builtin": 1.0, "online": 1.0}, abs=0.01
    )


# asv

ASV_SUITE = """
class TimeSums:
    params = [[10, 1000], ["int", "float"]]
    param_names = ["n", "kind"]
    repeat, rounds, number, warmup_time = (3, 3, 1.0), 1, 20, 0

    def setup(self, n, kind):
        if (n, kind) == (10, "float"):
            raise NotImplementedError("skipped")
        self.data = [__builtins__[kind](i) for i in range(n)] if isinstance(__builtins__, dict) else list(range(n))

    def time_sum(self, n, kind):
        sum(self.data)

def time_alone():
    sum(range(100))
time_alone.repeat, time_alone.rounds, time_alone.number, time_alone.warmup_time = (3, 3, 1.0), 1, 10, 0

def time_broken():
    raise ValueError("broken")

def track_size():
    return 42.5
track_size.unit = "widgets"

def peakmem_list():
    return [0] * 100000
"""
ASV_SETTINGS = {
    "version": 1, "project": "p", "repo": ".", "branches": ["main"], "environment_type": "existing",
    "benchmark_dir": "benchmarks", "results_dir": "results", "env_dir": "env", "html_dir": "html",
}  # fmt: skip


def asv_project(folder: Path) -> list[str]:
    """A git repository with two commits and asv's settings; the hashes of the commits."""
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "__init__.py").write_text("")
    (folder / "benchmarks" / "suite.py").write_text(ASV_SUITE)
    (folder / "asv.conf.json").write_text(json.dumps(ASV_SETTINGS))
    (folder / ".asv-machine.json").write_text(
        json.dumps(
            {"lab": {"arch": "x", "cpu": "y", "machine": "lab", "num_cpu": "2", "os": "z", "ram": "1"}, "version": 1}
        )
    )
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=folder, check=True)
    hashes = []
    for number in range(2):
        (folder / "file").write_text(str(number))
        subprocess.run([*git, "add", "file"], cwd=folder, check=True)
        subprocess.run([*git, "commit", "-q", "-m", str(number)], cwd=folder, check=True)
        hashes.append(
            subprocess.run([*git, "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True).stdout.strip()
        )
    return hashes


def same(first: Any, second: Any) -> bool:
    """Equal, and NaN is NaN."""
    if isinstance(first, float) and isinstance(second, float) and math.isnan(first):
        return math.isnan(second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and bool(first == second)


@needs("asv")
def test_asvs_results_become_a_run_and_the_same_files_again(tmp_path: Path, store_path: Path) -> None:
    commit = asv_project(tmp_path)[-1]
    command = ["-m", "asv", "run", "-E", f"existing:{sys.executable}", f"--set-commit-hash={commit}", "--machine=lab"]
    done = subprocess.run([sys.executable, *command, "--record-samples"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "HOME": str(tmp_path)})  # fmt: skip
    (path,) = (tmp_path / "results" / "lab").glob(f"{commit[:8]}-*.json")
    original = json.loads(path.read_text())
    with Store.open(str(store_path)) as store:
        run_id = taken(store, path)
        files = written(store, run_id, "asv")
        assert set(files) == {"benchmarks.json", "lab/machine.json", f"lab/{path.name}"}
        for name, text in files.items():
            assert same(json.loads(text), json.loads((tmp_path / "results" / name).read_text())), name
        found = {(one.operator, one.case): one for one in store.records(run_id)}
        assert len(found) == 8, done.stdout + done.stderr
        assert found[("suite.time_broken", "default")].status == "error"
        assert found[("suite.TimeSums.time_sum", "10, 'float'")].status == "unsupported"
        assert found[("suite.track_size", "default")].median_ns is None
        assert "42.5 widgets" in found[("suite.track_size", "default")].reason
        assert (found[("suite.peakmem_list", "default")].peak_bytes or 0) > 1_000_000
        one = found[("suite.TimeSums.time_sum", "1000, 'int'")]
        columns = dict(zip(original["result_columns"], original["results"]["suite.TimeSums.time_sum"], strict=False))
        assert one.median_ns == round(columns["result"][2] * 1e9)
        assert json.loads(one.parameters) == {"n": "1000", "kind": "'int'"}
        samples = [s for s in store.samples(run_id) if (s.operator, s.case) == (one.operator, one.case)]
        assert [s.wall_ns for s in samples] == [round(t * 20 * 1e9) for t in columns["samples"][2]]
        info = store.run(run_id)
        assert info.commit == commit


@needs("asv")
def test_asv_shows_and_compares_what_we_wrote(tmp_path: Path, store_path: Path) -> None:
    hashes = asv_project(tmp_path)
    with Store.open(str(store_path)) as store:
        for commit, factor in zip(hashes, (1.0, 2.0), strict=True):
            found = exporting.export(stored.stored_run(store, ours(store, commit, factor)), "asv")
            exporting.save(found, "asv", tmp_path / "results")
        shown = python(tmp_path, "-m", "asv", "show", hashes[0], "--machine=abc", "--details")
        assert "softmax.numpy.time_builtin" in shown
        assert "1.0" in shown and "ms" in shown
        compared = python(tmp_path, "-m", "asv", "compare", *hashes, "--machine=abc", "--factor=1.1")
        lines = [line for line in compared.splitlines() if "8x8" in line]
        assert len(lines) == 2 and all(line.startswith("| +") for line in lines), compared
        assert [float(line.split("|")[4]) for line in lines] == pytest.approx([2.0, 2.0], rel=0.02)
        (failed,) = (line for line in compared.splitlines() if "float32[9]" in line)
        assert failed.count("failed") == 2
        # what failed is asv's null, and what we wrote is read by us as it was
        path = tmp_path / "results" / "abc" / f"{hashes[0][:8]}-kernel-harness.json"
        again = by_task(store.records(taken(store, path)))
        statuses = {(task[2], task[3]): one.status for task, one in again.items()}
        assert statuses == {
            ("builtin", "float32[8x8]dim=1"): "imported",
            ("online", "float32[8x8]dim=1"): "imported",
            ("online", "float32[9]dim=0"): "error",
        }


def test_benchmarks_of_others_stay_in_asvs_folder(tmp_path: Path, store_path: Path) -> None:
    theirs = {"mine.time_x": {"name": "mine.time_x", "params": [], "param_names": [], "version": "1"}, "version": 2}
    (tmp_path / "benchmarks.json").write_text(json.dumps(theirs))
    with Store.open(str(store_path)) as store:
        exporting.save(exporting.export(stored.stored_run(store, ours(store)), "asv"), "asv", tmp_path)
        found = json.loads((tmp_path / "benchmarks.json").read_text())
        assert found["mine.time_x"] == theirs["mine.time_x"] and "softmax.numpy.time_builtin" in found
        (tmp_path / "benchmarks.json").write_text("{}")
        with pytest.raises(UnreadableFile, match=r"benchmarks\.json"):
            exporting.save(exporting.export(stored.stored_run(store, ours(store)), "asv"), "asv", tmp_path)
        with pytest.raises(stored.NotWritable, match="outside of a git repository"):
            written(store, ours(store, commit=None), "asv")


def asv_export(store: Store, folder: Path, case: str, median_ns: int, operator: str = "softmax", **run: Any) -> None:
    """Write a run of one task into asv's folder."""
    about = {"machine_id": "abc", "commit": COMMIT, "dirty": False, **run}
    info = store.start_run(command="bench", selectors=(), seed=7, budget_s=None, machine={}, **about)
    changes = {"operator": operator, "case": case}
    store.add_samples(info.run_id, readings("builtin", [median_ns], **changes))
    store.add(timed("builtin", median_ns, run_id=info.run_id, started_at=info.started_at, **changes), "bench")
    exporting.save(exporting.export(stored.stored_run(store, info.run_id), "asv"), "asv", folder)


def test_a_time_of_asvs_folder_is_of_the_case_that_it_was_taken_of(tmp_path: Path, store_path: Path) -> None:
    """benchmarks.json is of all commits: what the newest run had cases of says nothing of an older file's."""
    with Store.open(str(store_path)) as store:
        asv_export(store, tmp_path, "float32[8x8]", 100)
        asv_export(store, tmp_path, 'it\'s \\ "ü"', 5_000, commit=LATER)
        found = [detecting.read(path).benchmarks for path in sorted((tmp_path / "abc").glob("*-kernel-harness.json"))]
    assert [[(one.task, one.median_ns) for one in benchmarks] for benchmarks in found] == [
        [(("softmax", "numpy", "builtin", "float32[8x8]"), 100)],
        [(("softmax", "numpy", "builtin", 'it\'s \\ "ü"'), 5_000)],
    ]
    (about,) = (one for one in json.loads((tmp_path / "benchmarks.json").read_text()).values() if one != 2)
    assert [asv.literal_text(one) for one in about["params"][0]] == ["float32[8x8]", 'it\'s \\ "ü"']
    for hostile in ("__import__('os')", "'a' * 9", "'" + "(" * 9000, "'a'.b", "b'a'", "f'{1}'", "'\0", "3", "'\\d'"):
        assert asv.literal_text(hostile) in (None, "\\d"), hostile


def test_an_earlier_run_of_a_commit_stays_in_asvs_folder(tmp_path: Path, store_path: Path) -> None:
    path = tmp_path / "abc" / f"{COMMIT[:8]}-kernel-harness.json"
    with Store.open(str(store_path)) as store:
        for case, median, operator in (
            ("a", 100, "softmax"),
            ("b", 200, "softmax"),
            ("a", 300, "sum"),
            ("a", 110, "softmax"),
        ):
            asv_export(store, tmp_path, case, median, operator)
        found = {(one.task[0], one.task[3]): one for one in detecting.read(path).benchmarks}
        assert {key: one.median_ns for key, one in found.items()} == {
            ("softmax", "a"): 110, ("softmax", "b"): 200, ("sum", "a"): 300
        }  # fmt: skip
        assert {key: one.readings[0].wall_ns for key, one in found.items()} == {
            key: one.median_ns for key, one in found.items()
        }
        before = path.read_text()
        with pytest.raises(UnreadableFile, match=r"is of commit \"c0ffee0.*name another folder"):
            asv_export(store, tmp_path, "a", 5, commit=COMMIT[:8] + "1" * 32)
        with pytest.raises(stored.NotWritable, match="measured a changed tree"):
            asv_export(store, tmp_path, "a", 5, dirty=True)
        assert path.read_text() == before
        for broken in ("[]", '{"version": 2}', '{"version": 2, "results": {}, "result_columns": [[]]}'):
            path.write_text(broken)
            with pytest.raises(UnreadableFile, match=r"is no file of asv's results"):
                asv_export(store, tmp_path, "a", 5)


def test_the_interval_of_a_median_is_between_order_statistics() -> None:
    """Exact binomial limits: the extremes of 8 readings hold the median in 99.2 %, those of 7 in 98.4 %."""
    assert asv.median_interval([float(n) for n in range(7)]) == (-math.inf, math.inf)
    assert asv.median_interval([float(n) for n in range(8)]) == (0.0, 7.0)
    low, high = asv.median_interval([float(n) for n in range(100)])
    below = sum(math.comb(100, n) for n in range(int(low) + 1)) / 2**100
    wider = below + math.comb(100, int(low) + 1) / 2**100
    assert low == 99 - high and 2 * below <= 0.01 < 2 * wider


# Bencher, github-action-benchmark, JUnit

BMF = {
    "sum": {"latency": {"value": 12.5e3, "lower_value": 12e3, "upper_value": 13e3}, "throughput": {"value": 8e4}},
    "size": {"file-size": {"value": 17}},
}


def test_bencher_both_ways(tmp_path: Path, store_path: Path) -> None:
    (tmp_path / "bmf.json").write_text(json.dumps(BMF))
    with Store.open(str(store_path)) as store:
        run_id = taken(store, tmp_path / "bmf.json", machine="lab", commit=COMMIT)
        assert json.loads(written(store, run_id, "bencher")["bmf.json"]) == BMF
        found = {one.operator: one for one in store.records(run_id)}
        # an interval of we know not what is not ours
        assert (found["sum"].median_ns, found["sum"].ci_low_ns, found["size"].median_ns) == (12_500, None, None)
        assert store.run(run_id).commit == COMMIT
        own = json.loads(written(store, ours(store), "bencher")[""])
        one = next(iter(store.records(store.run(None).run_id, "bench")))
        metric = own[one.id]["latency"]
        assert metric == {"value": one.median_ns, "lower_value": one.ci_low_ns, "upper_value": one.ci_high_ns}
        assert len(own) == 2  # and nothing of what failed


def test_parameters_that_json_has_no_number_for_are_text(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run_id = ours(store)
        one = next(one for one in store.records(run_id, "bench") if one.median_ns)
        store.add(dataclasses.replace(one, parameters='{"p": NaN, "q": -Infinity, "r": 1}'), "bench")
        entries = json.loads(written(store, run_id, "pytest-benchmark")[""])["benchmarks"]
    (found,) = (entry["params"] for entry in entries if entry["name"] == one.id)
    assert found == {"p": "NaN", "q": "-Infinity", "r": 1}


def test_github_action_gets_smaller_is_better(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run_id = ours(store)
        entries = json.loads(written(store, run_id, "github-action")[""])
        medians = {one.id: one.median_ns for one in store.records(run_id) if one.median_ns}
        assert {one["name"]: one["value"] for one in entries} == medians
        for one in entries:
            assert set(one) <= {"name", "unit", "value", "range", "extra"} and one["unit"] == "ns"


def test_junit_says_what_is_wrong_and_why(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        root = ElementTree.fromstring(written(store, ours(store), "junit")[""])
    (suite,) = root
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "2", "errors": "0", "skipped": "1"
    }  # fmt: skip
    cases = {case.get("classname"): case for case in suite.iter("testcase")}
    failure = cases["softmax.numpy.narrow"].find("failure")
    assert failure is not None and failure.get("message") == "failed: error 3 times the bound"
    skipped = cases["softmax.numpy.device"].find("skipped")
    assert skipped is not None and "no GPU <here>" in (skipped.get("message") or "")
    assert [child.tag for child in cases["softmax.numpy.builtin"]] == ["properties"]


# what imported runs are good for


def bmf(folder: Path, name: str, value: float) -> Path:
    path = folder / name
    path.write_text(json.dumps({"sum": {"latency": {"value": value}}}))
    return path


def test_an_imported_time_is_never_ranked_nor_compared_with_ours(tmp_path: Path) -> None:
    path = tmp_path / "google.json"
    path.write_text(json.dumps(GOOGLE))
    slower = json.loads(json.dumps(GOOGLE))
    for row in slower["benchmarks"][:3]:
        row["real_time"] *= 2
    (tmp_path / "slower.json").write_text(json.dumps(slower))
    done = harness(tmp_path, "import", "google.json", "slower.json", "--json")
    assert done.returncode == 0, done.stderr
    first, second = (one["run_id"] for one in json.loads(done.stdout))
    done = harness(tmp_path, "report", first, "--format", "markdown")
    assert done.returncode == 0 and "nobody here checked its result" in done.stdout.replace("\\", ""), done.stdout
    assert "| 1 |" not in done.stdout and "2.25 µs" in done.stdout
    assert harness(tmp_path, "report", first, "-o", "page.html").returncode == 0
    assert "nobody here checked" in (tmp_path / "page.html").read_text()
    done = harness(tmp_path, "compare", first, second, "--json")
    rows = {row["operator"]: row for row in json.loads(done.stdout)}
    # one process on each side: the ratio is shown, and no verdict made of it
    assert rows["BM_sum/8"]["verdict"] == "UNCLEAR" and rows["BM_sum/8"]["ratio"] == pytest.approx(2.0)
    assert done.returncode == 4
    done = harness(tmp_path, "history", "BM_sum/8", "--json")
    assert done.returncode == 0 and json.loads(done.stdout), done.stderr
    with Store.open(str(tmp_path / "store.sqlite")) as store:
        own = ours(store)
    done = harness(tmp_path, "compare", first, own)
    assert done.returncode == 5 and "imported from" in done.stderr, done.stdout + done.stderr


def test_an_imported_run_has_frames_without_what_nobody_measured(tmp_path: Path, store_path: Path) -> None:
    from harness.api import load_run

    with Store.open(str(store_path)) as store:
        (tmp_path / "ours.json").write_text(written(store, ours(store), "pytest-benchmark")[""])
        run = load_run(store, taken(store, tmp_path / "ours.json"))
    frame, samples = run.frame(), run.samples()
    assert list(frame["status"]) == ["imported"] * 2 and frame["median_ns"].notna().all()
    assert frame["ci_low_ns"].isna().all() and samples["cpu_ns"].isna().all() and len(samples) == 24
    assert samples["wall_ns_per_call"].notna().all() and samples["cpu_ns_per_call"].isna().all()


def test_a_folder_is_taken_in_once(tmp_path: Path) -> None:
    (tmp_path / "results" / "lab").mkdir(parents=True)
    (tmp_path / "results" / "lab" / "c-e.json").write_text(asv_row([1.0], []))
    (tmp_path / "results" / "lab" / "machine.json").write_text('{"machine": "lab", "ram": "1", "version": 1}')
    (tmp_path / "results" / "benchmarks.json").write_text('{"version": 2}')
    (first,) = json.loads(harness(tmp_path, "import", "results", "--json").stdout)
    (again,) = json.loads(harness(tmp_path, "import", "results", "--json").stdout)
    assert (first["is_known"], again["is_known"]) == (False, True) and first["run_id"] == again["run_id"]
    assert "known already" in harness(tmp_path, "import", "results/lab/c-e.json").stdout
    (tmp_path / "empty").mkdir()
    assert harness(tmp_path, "import", "empty").returncode == 2


def asv_folder(folder: Path, *benchmarks: str) -> Path:
    (folder / "results" / "lab").mkdir(parents=True, exist_ok=True)
    (folder / "results" / "lab" / "c-e.json").write_text(asv_row([1.0], []))
    known = {name: {"param_names": [], "type": "time", "unit": "seconds"} for name in benchmarks}
    (folder / "results" / "benchmarks.json").write_text(json.dumps({"version": 2, **known}))
    return folder / "results" / "lab" / "c-e.json"


def test_a_file_is_taken_in_once_without_a_machine_too_and_whatever_lies_beside_it(
    tmp_path: Path, store_path: Path
) -> None:
    with Store.open(str(store_path)) as store:
        first = taken(store, bmf(tmp_path, "a.json", 5.0))
        assert taken(store, bmf(tmp_path, "renamed.json", 5.0)) == first
        others = [taken(store, tmp_path / "a.json", **about) for about in ({"commit": COMMIT}, {"machine": "lab"})]
        others.append(taken(store, bmf(tmp_path, "a.json", 6.0)))
        assert len({first, *others}) == 4
        # a machine that is unknown is that of no other run
        assert len({one.machine_id for one in store.runs()}) == 4
        found = taken(store, asv_folder(tmp_path, "m.time_x"))
        assert taken(store, asv_folder(tmp_path, "m.time_x", "m.time_y")) == found


def test_two_that_import_a_file_at_once_store_it_once(
    tmp_path: Path, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, meeting, found = bmf(tmp_path, "a.json", 5.0), threading.Barrier(2, timeout=60), []
    add = Store.add_imported

    def both(self: Store, *arguments: Any) -> Any:
        meeting.wait()
        return add(self, *arguments)

    monkeypatch.setattr(Store, "add_imported", both)
    Store.open(str(store_path)).close()

    def one() -> None:
        with Store.open(str(store_path)) as store:
            found.extend(import_files(store, [path], None, "lab", COMMIT))

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.is_known for one in found) == [False, True] and len({one.run_id for one in found}) == 1
    with sqlite3.connect(store_path) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        # and the database itself holds it to that
        with pytest.raises(sqlite3.IntegrityError, match="identity"):
            connection.execute("INSERT INTO imports SELECT 'another', format, files, identity FROM imports")


def test_files_that_were_stored_twice_before_are_known_afterwards(tmp_path: Path, store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run_id, other = (
            taken(store, bmf(tmp_path, "a.json", 5.0)),
            taken(store, bmf(tmp_path, "b.json", 6.0), machine="lab"),
        )
    with sqlite3.connect(store_path) as connection:
        connection.executescript(
            "DROP INDEX ix_imports_identity; ALTER TABLE imports DROP COLUMN identity;"
            "UPDATE runs SET machine_id = 'unknown-c0ffee' WHERE machine_id LIKE 'unknown-%';"
            "CREATE TEMP TABLE t AS SELECT * FROM runs; UPDATE t SET run_id = 'z' || run_id;"
            "INSERT INTO runs SELECT * FROM t; INSERT INTO imports SELECT 'z' || run_id, format, files FROM imports;"
            "UPDATE schema_version SET version = 4;"
        )
    with Store.open(str(store_path)) as store:
        assert len(store.runs()) == 4
        assert taken(store, tmp_path / "a.json") == run_id
        assert taken(store, tmp_path / "b.json", machine="lab") == other
        assert len(store.runs()) == 4


def test_files_of_unknown_machines_are_not_compared(tmp_path: Path) -> None:
    bmf(tmp_path, "a.json", 100.0), bmf(tmp_path, "b.json", 200.0)
    runs = [one["run_id"] for one in json.loads(harness(tmp_path, "import", "a.json", "b.json", "--json").stdout)]
    done = harness(tmp_path, "compare", *runs)
    assert done.returncode == 5 and "--machine NAME" in done.stderr, done.stderr
    done = harness(tmp_path, "import", "a.json", "b.json", "--json", "--machine", "lab")
    runs = [one["run_id"] for one in json.loads(done.stdout)]
    done = harness(tmp_path, "compare", *runs, "--json")
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)[0]["ratio"] == pytest.approx(2.0)


def test_report_writes_the_formats_and_says_what_it_left_out(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store.sqlite")) as store:
        run_id = ours(store)
    for format in ("pytest-benchmark", "google-benchmark", "bencher", "github-action"):
        done = harness(tmp_path, "report", run_id, "--format", format)
        assert done.returncode == 0 and json.loads(done.stdout), done.stderr
        assert "3 tasks are left out: 2 failed, 1 missing" in done.stderr
    done = harness(tmp_path, "report", run_id, "--format", "junit", "-o", "out.xml")
    assert done.returncode == 0 and ElementTree.parse(tmp_path / "out.xml")
    done = harness(tmp_path, "report", run_id, "--format", "asv", "-o", "results")
    assert done.returncode == 0 and (tmp_path / "results" / "benchmarks.json").is_file()
    with Store.open(str(tmp_path / "store.sqlite")) as store:
        empty = store.start_run(command="check", selectors=(), seed=1, budget_s=None, machine={}, machine_id="abc",
                                commit=None, dirty=None)  # fmt: skip
        store.add(record(run_id=empty.run_id, started_at=empty.started_at), "check")
    done = harness(tmp_path, "report", empty.run_id, "--format", "bencher")
    assert done.returncode == 5 and "has no time" in done.stderr and not done.stdout


def test_what_another_tool_reads_from_stdout_is_utf_8(
    tmp_path: Path, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = json.dumps({"größe →": {"latency": {"value": 5.0}}}, ensure_ascii=False) + "\r\n"
    (tmp_path / "a.json").write_bytes(text.encode())
    with Store.open(str(store_path)) as store:
        run_id = taken(store, tmp_path / "a.json")
        for encoding in ("ascii", "latin-1", "utf-16"):
            kept = io.BytesIO()
            monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding=encoding, errors="backslashreplace"))
            write_report(store, run_id, "bencher", None)
            assert kept.getvalue() == text.encode(), encoding


# broken and hostile files

PYTEST_ENTRY: dict[str, Any] = {
    "group": None, "name": "t", "fullname": "t.py::t", "params": None, "param": None, "extra_info": {}, "options": {},
    "stats": {"min": 1.0, "max": 1.0, "mean": 1.0, "stddev": 0.0, "median": 1.0, "rounds": 1, "iterations": 1},
}  # fmt: skip


def pytest_document(**stats: Any) -> str:
    entry = {**PYTEST_ENTRY, "stats": {**PYTEST_ENTRY["stats"], **stats}}
    head = {"machine_info": {"node": "n"}, "commit_info": {"id": "unversioned"}, "datetime": "2026-01-01T00:00:00"}
    return json.dumps({**head, "benchmarks": [PYTEST_ENTRY, entry], "version": "5"})


def google_row(**row: Any) -> str:
    whole = {
        "name": "x",
        "run_type": "iteration",
        "iterations": 1,
        "real_time": 1.0,
        "cpu_time": 1.0,
        "time_unit": "ns",
    }
    return json.dumps({"context": {}, "benchmarks": [{**whole, **row}]})


def asv_row(*cells: Any, version: int = 2) -> str:
    columns = ["result", "params", "version"]
    head = {"commit_hash": "c" * 40, "env_name": "e", "date": 0, "params": {"machine": "../../x"}, "version": version}
    return json.dumps({**head, "result_columns": columns, "results": {"m.time_x": list(cells)}})


BROKEN = {
    "no json": ("{", r"is no JSON"),
    "no object": ("3", r"it holds int, and no object"),
    "deep": ("[" * 100_000, r"nested too deeply|is no JSON"),
    "key twice": ('{"benchmarks": [], "benchmarks": []}', r'key "benchmarks" is there twice'),
    "unknown": ('{"a": 1}', r"of no tool that is known .*: its keys are 'a'"),
    "nothing in it": (json.dumps({"context": {}, "benchmarks": []}), r"holds no benchmark"),
    "key missing": (json.dumps({"machine_info": {}, "benchmarks": [{"name": "x"}]}), r"is missing"),
    "wrong kind": (pytest_document(median="1"), r'benchmarks\[1\]\.stats\.median is "1": .*number'),
    "true is no time": (pytest_document(median=True), r"benchmarks\[1\]\.stats\.median is true"),
    "nan": (pytest_document(median=math.nan), r"benchmarks\[1\]\.stats\.median is NaN"),
    "beyond floats": (pytest_document().replace('"median": 1.0', '"median": 1e999'), r"stats\.median is Infinity"),
    "negative": (pytest_document(median=-1.0), r"benchmarks\[1\]\.stats\.median is -1\.0, which is no time"),
    "rounds": (pytest_document(data=[1.0, 2.0]), r"stats\.data holds 2 times, and rounds says 1"),
    "no date": (pytest_document().replace("2026-01-01", "soon"), r"datetime is .*no ISO time"),
    "year 1": (pytest_document().replace("2026-01-01T00:00:00", "0001-01-01T00:00:00+05:00"), r"is no time of a"),
    "too many": (google_row(iterations=2**70), r"benchmarks\[0\]\.iterations is \d+: .*less than or equal"),
    "too much": (
        pytest_document(median=1e8, min=1e8, data=[1e8], iterations=10**15),
        r"is larger than any store holds",
    ),
    "unit": (google_row(time_unit="weeks"), r"benchmarks\[0\]\.time_unit is \"weeks\""),
    "below any number": (
        google_row(run_type="aggregate", aggregate_name="median", repetitions=-(10**30)),
        r"benchmarks\[0\]\.repetitions is -10+: .*greater than or equal to 0",
    ),
    "no time": (google_row(real_time=math.nan), r"benchmarks\[0\]\.real_time is NaN, which is no time"),
    "infinite time": (google_row(cpu_time=math.inf), r"benchmarks\[0\]\.cpu_time is Infinity, which is no time"),
    "below 0": (google_row(iterations=-(10**30)), r"benchmarks\[0\]\.iterations is -10+"),
    "no calls": (google_row(iterations=0), r"benchmarks\[0\]\.iterations is 0"),
    "too long": (google_row(real_time=1e30), r"benchmarks\[0\]\.real_time is 1e\+30, which is no time"),
    "a long name": (google_row(name="x" * 5000), r"benchmarks\[0\]\.name has 5000 characters"),
    "old asv": (asv_row([1.0], [], version=1), r"version is 1; version 2 is read: type `asv update`"),
    "asv's lists": (asv_row([1.0, 2.0], []), r"results\.m\.time_x\.result holds 2 entries, and its params make 1"),
    "asv's product": (asv_row(None, [["1"] * 2000] * 3), r"makes 8000000000 combinations"),
    "asv's infinity": (asv_row([math.inf], []), r"results\.m\.time_x\.result\[0\] is Infinity, which is no time"),
    "asv's columns": (asv_row([1.0], [], "v", 1, 2), r"has 5 columns, and result_columns names 3"),
    "bencher": ('{"x": {"latency": {"value": "1"}}}', r'x\.latency\.value is "1"'),
    "bencher below zero": ('{"x": {"latency": {"value": -1}}}', r"x\.latency\.value is -1, which is no time"),
    "machine.json": ('{"machine": "x", "num_cpu": "2"}', r"asv's machine\.json"),
    "benchmarks.json": ('{"a": {"param_names": []}, "version": 2}', r"asv's benchmarks\.json"),
    "github": ('[{"name": "x", "unit": "ns", "value": 1}]', r"github-action-benchmark, which is written only"),
    "our own": ('[{"machine_id": "x"}]', r"`harness compare` reads that as it is"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_named_with_the_place_and_nothing_is_stored(
    tmp_path: Path, store_path: Path, what: str
) -> None:
    text, message = BROKEN[what]
    (tmp_path / "bad.json").write_text(text)
    good = bmf(tmp_path, "good.json", 5.0)
    with Store.open(str(store_path)) as store:
        with pytest.raises(UnreadableFile, match=message) as caught:
            import_files(store, [good, tmp_path / "bad.json"], None, None, None)
        assert str(caught.value).startswith(f"{tmp_path / 'bad.json'}: ")
        assert len(str(caught.value)) < 500 + len(str(tmp_path)) and str(caught.value).isprintable()
        assert store.runs() == []


ASV = {
    "commit_hash": "c" * 40, "env_name": "e", "date": 1700000000000, "params": {"machine": "lab"}, "python": "3.11",
    "requirements": {}, "env_vars": {}, "durations": {}, "version": 2,
    "result_columns": ["result", "params", "version", "stats_number", "samples"],
    "results": {
        "m.time_x": [[1e-3, None], [["'a'", "'b'"]], "v", [3, None], [[1e-3, 2e-3], None]],
        "m.track_y": [[math.nan], [], "v"],
    },
}  # fmt: skip
HOSTILE = (-(10**30), 10**400, None, True, -1, 0, 2**70, 1e308, math.nan, -math.inf,
           "", "\0", "\ud800", "a" * 3000, [], {}, [[]], [None],
           {"a": None}, "1", {"value": 1}, -5.5)  # fmt: skip


def places(document: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The keys to every value of a document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [where, *(place for key, value in inner for place in places(value, (*where, key)))]


@pytest.mark.parametrize("format", ["pytest-benchmark", "google-benchmark", "asv", "bencher"])
def test_a_file_with_anything_in_any_place_is_read_or_refused(tmp_path: Path, format: str) -> None:
    """What is read can be stored; what is not is refused in one line: no other error gets out."""
    valid = {
        "pytest-benchmark": json.loads(pytest_document(data=[1.0])),
        "google-benchmark": GOOGLE,
        "asv": ASV,
        "bencher": BMF,
    }
    draw, outcomes, path = random.Random(format), {"read": 0, "refused": 0}, tmp_path / "file.json"
    for _ in range(150):
        document = json.loads(json.dumps(valid[format]))
        *way, last = draw.choice(places(document)[1:])
        inside = document
        for key in way:
            inside = inside[key]
        if draw.random() < 0.2:
            del inside[last]
        else:
            inside[last] = draw.choice(HOSTILE)
        path.write_text(json.dumps(document))
        try:
            found = detecting.read(path)
        except UnreadableFile as refused:
            assert str(refused).isprintable() and len(str(refused)) < 500 + len(str(tmp_path)), document
            outcomes["refused"] += 1
            continue
        machine = imported.machine_id_of(found) or "unknown"
        records = imported.records_of(found, run_id="r", started_at="x", machine_id=machine, commit=None, dirty=None)
        assert len(by_task(records)) == len(records) > 0
        for one in (*records, *imported.samples_of(found)):
            values = (getattr(one, name) for name in one.__dataclass_fields__)
            assert all(0 <= value < 2**63 for value in values if isinstance(value, int)), document
        outcomes["read"] += 1
    assert min(outcomes.values()) > 10, outcomes


def test_no_number_beyond_either_end_is_stored() -> None:
    for name in ("samples", "median_ns", "min_ns", "cpu_median_ns", "peak_bytes"):
        for value, words in ((-1, "below 0"), (-(10**30), "below 0"), (2**63, "larger than"), (2**63 - 1, ""), (0, "")):
            found = imported.beyond(imported.Benchmark(task=("a", "b", "c", "d"), reason="", **{name: value}))
            assert words in found and bool(found) is bool(words), (name, value)
    reading = imported.Reading(1, 1, -1)
    found = imported.beyond(imported.Benchmark(task=("a", "b", "c", "d"), reason="", readings=(reading,)))
    assert found == "cpu_ns of reading 0 is below 0"


def test_what_is_read_as_no_time_may_be_no_number(tmp_path: Path, store_path: Path) -> None:
    """A coefficient of variation is NaN where the mean is 0, as it is for a counter or CPU time of nothing."""
    document = json.loads(json.dumps(GOOGLE))
    document["benchmarks"][4] |= {"real_time": math.nan, "cpu_time": math.inf, "items_per_second": -math.inf}
    document["benchmarks"].append({**document["benchmarks"][-1], "aggregate_name": "RMS", "rms": math.nan})
    (tmp_path / "g.json").write_text(json.dumps(document))
    with Store.open(str(store_path)) as store:
        found = {one.operator: one for one in store.records(taken(store, tmp_path / "g.json"))}
    assert found["BM_sum/8"].median_ns == 2250 and len(found) == 3


@pytest.mark.parametrize("option", ["--commit=../../../x", "--commit=", "--commit=a b", "--commit=a\x1b", "--commit=-p",
                                    "--machine=", "--machine=a\nb", "--machine=\udcff"])  # fmt: skip
def test_what_is_said_of_a_file_is_checked_like_what_it_says(tmp_path: Path, option: str) -> None:
    bmf(tmp_path, "a.json", 5.0)
    done = harness(tmp_path, "import", "a.json", option)
    name = option.partition("=")[0]
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and f'{name} "' in done.stderr, done.stderr
    with Store.open(str(tmp_path / "store.sqlite")) as store:
        assert store.runs() == []


def test_parts_of_paths_are_safe_and_else_as_they_were(tmp_path: Path, store_path: Path) -> None:
    for name in ("My Laptop", "größe (2)", ".lab", "a:b", "x" * 200):
        assert asv_layout.path_part(name) == name
    for name in (
        "..",
        ".",
        "",
        "...",
        "/",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "\ud800",
        "\u202e",
        "ü" * 300,
        "x" * 300 + ".json",
    ):
        part = asv_layout.path_part(name)
        assert part.isprintable() and not set(part) & set("/\\") and part.strip(".") and 0 < len(part.encode()) <= 200
        (tmp_path / part).touch()
    assert asv_layout.path_part("x" * 300) != asv_layout.path_part("x" * 301)
    assert asv_layout.path_part("x" * 300 + ".json").endswith(".json")
    with Store.open(str(store_path)) as store:
        asv_export(store, tmp_path / "out", "a", 5, commit="../../../x", machine_id="..")
        lab = tmp_path / "results" / "My Laptop"
        lab.mkdir(parents=True)
        # results that lie where asv has the description of the machine
        (lab / "machine.json").write_text(json.dumps({**ASV, "params": {"machine": "My Laptop"}}))
        run_id = taken(store, lab / "machine.json")
        assert set(written(store, run_id, "asv")) == {"My Laptop/machine.json"}
        assert store.machine(store.run(run_id).machine_id)["node"] == "My Laptop"
    inside = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.json"))
    assert inside == ["benchmarks.json", "unnamed/.._.._..-kernel-harness.json", "unnamed/machine.json"]


def test_files_that_are_no_text_or_too_large_or_not_there(tmp_path: Path, store_path: Path) -> None:
    (tmp_path / "binary.json").write_bytes(b"\x80\x04\x95pickle")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(200_000_000)
    with Store.open(str(store_path)) as store:
        for name, message in (
            ("binary", "is no UTF-8 text: byte 0"),
            ("large", "200 MB; at most 100 MB"),
            ("gone", "cannot be read"),
        ):
            with pytest.raises(UnreadableFile, match=message):
                import_files(store, [tmp_path / f"{name}.json"], None, None, None)
    done = harness(tmp_path, "import", "binary.json")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_a_store_that_fails_midway_holds_nothing(
    tmp_path: Path, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "google.json"
    path.write_text(json.dumps(GOOGLE))
    with Store.open(str(store_path)) as store:
        from harness.interop import storing

        broken = Sample(operator="x", backend="x", implementation="x", case="x", process=0, block=0, position=0,
                        calls=1, wall_ns=None, cpu_ns=1, checked=False)  # type: ignore[arg-type]  # fmt: skip
        monkeypatch.setattr(storing, "samples_of", lambda found: [broken])
        with pytest.raises(Exception, match="NOT NULL"):
            taken(store, path)
        assert store.runs() == []
    tables = ("runs", "records", "samples", "imports", "machines")
    with sqlite3.connect(store_path) as connection:
        assert [connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables] == [0] * 5


def test_hostile_names_are_text_and_paths_stay_inside(tmp_path: Path, store_path: Path) -> None:
    name = "\x1b[2J<script>alert(1)</script>\u202e\ud800__import__('os')"
    (tmp_path / "bad.json").write_text(json.dumps({name: {"latency": {"value": 5}}}))
    lab = tmp_path / "deep" / "lab"
    lab.mkdir(parents=True)
    (lab / "c-e.json").write_text(asv_row([1.0], []))
    with Store.open(str(store_path)) as store:
        (found,) = store.records(taken(store, tmp_path / "bad.json"))
        assert found.operator.isprintable() and found.operator.startswith("\\x1b[2J<script>")
        run_id = taken(store, lab / "c-e.json")
        exporting.save(exporting.export(stored.stored_run(store, run_id), "asv"), "asv", tmp_path / "out")
    inside = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.json")]
    assert inside == [".._.._x/c-e.json"]


def test_a_name_that_is_there_twice_becomes_two_tasks(tmp_path: Path, store_path: Path) -> None:
    rows = [{**json.loads(google_row())["benchmarks"][0], "family_index": n, "real_time": n + 1.0} for n in range(3)]
    (tmp_path / "g.json").write_text(json.dumps({"context": {}, "benchmarks": rows}))
    with Store.open(str(store_path)) as store:
        found = store.records(taken(store, tmp_path / "g.json"))
    assert [(one.case, one.median_ns) for one in found] == [("default", 1), ("default#2", 2), ("default#3", 3)]


def test_a_store_of_the_version_before_keeps_its_samples(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with Store.open(str(path)) as store:
        run_id = ours(store)
        before = store.samples(run_id)
    with sqlite3.connect(path) as connection:
        (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'samples'").fetchone()
        assert "cpu_ns BIGINT," in sql
        connection.executescript(
            "ALTER TABLE samples RENAME TO rest; DROP INDEX ix_samples_run_id;"
            + sql.replace("cpu_ns BIGINT,", "cpu_ns BIGINT NOT NULL,")
            + "; CREATE INDEX ix_samples_run_id ON samples (run_id);"
            "INSERT INTO samples SELECT * FROM rest; DROP TABLE rest; DROP TABLE imports;"
            "UPDATE schema_version SET version = 3;"
        )
    with Store.open(str(path)) as store:
        assert store.samples(run_id) == before and store.imported_from(run_id) is None
        again = tmp_path / "ours.json"
        again.write_text(written(store, run_id, "pytest-benchmark")[""])
        assert all(one.cpu_ns is None for one in store.samples(taken(store, again)))
    shutil.copy(path, tmp_path / "copy.sqlite")
    with sqlite3.connect(tmp_path / "copy.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)

"""The command line as a new user meets it: exit codes, messages, and results on stdout."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.api import _taken_up
from harness.cli import app
from harness.machine import FIRST_IDENTITY, describe, machine_id
from harness.sharding import Shard, ShardError
from harness.store import RunInfo, Store, UnknownRun

PLUGINS = Path(__file__).parent / "sabotage" / "plugins"
ONE_CASE = "max/numpy/builtin/float32[33]dim=0"


def harness(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_list_shows_what_exists(tmp_path: Path) -> None:
    found = rows(harness(tmp_path, "list", "softmax", "--json"))
    assert {"operator", "backend", "implementation", "accumulation", "missing"} == set(found[0])
    assert {row["implementation"] for row in found if row["backend"] == "numpy"} >= {"builtin", "online"}
    assert {row["operator"] for row in found} == {"softmax"}


def test_list_says_what_is_missing_and_what_to_type(tmp_path: Path) -> None:
    """PyTorch is hidden by an empty package path, so that the same holds where it is installed."""
    code = (
        "import importlib.util, sys; real = importlib.util.find_spec;"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'torch' else real(name, *rest)"
    )
    (tmp_path / "sitecustomize.py").write_text(code)
    done = harness(
        tmp_path,
        "list",
        "softmax/torch",
        PYTHONPATH=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        COLUMNS="200",
    )
    assert done.returncode == 0
    assert "pip install 'kernel-harness[torch]'" in done.stdout
    assert done.stdout.count("missing") >= 3


def test_a_missing_backend_is_a_row_with_a_reason_and_exit_5_when_nothing_else_ran(tmp_path: Path) -> None:
    (tmp_path / "absent.py").write_text(
        "from harness import Backend, implementation\n"
        "backend = Backend('absent', 'nolib', None, None, 'nolib.Array', missing=lambda: 'type: pip install nolib')\n"
        "@implementation('max', backend='absent')\n"
        "def builtin(x, *, dim=None):\n    return x\n"
    )
    done = harness(tmp_path, "check", "max/absent", "--plugin", "absent.py", "--json")
    assert done.returncode == 5
    assert {(row["status"], row["reason"]) for row in rows(done)} == {("missing", "type: pip install nolib")}


def test_check_passes_and_reports_on_stdout_only(tmp_path: Path) -> None:
    done = harness(tmp_path, "check", ONE_CASE)
    assert done.returncode == 0, done.stderr
    assert "1 passed" in done.stdout
    assert done.stderr == "next: harness bench max/numpy/builtin\n"


def test_the_seed_that_is_printed_repeats_the_run(tmp_path: Path) -> None:
    case = "sum/numpy/builtin/float32[1025]dim=0"
    first = rows(harness(tmp_path, "check", case, "--json"))[0]
    again = rows(harness(tmp_path, "check", case, "--seed", str(first["seed"]), "--json"))[0]
    other = rows(harness(tmp_path, "check", case, "--json"))[0]
    assert first["max_abs_error"] == again["max_abs_error"]
    assert first["seed"] != other["seed"]


def test_something_wrong_is_exit_3_with_the_command_that_runs_it_again(tmp_path: Path) -> None:
    wrong = "softmax/numpy/without_max/float32[9x300]dim=1,values=overflow"
    done = harness(tmp_path, "check", wrong, "--plugin", str(PLUGINS / "softmax_without_max.py"))
    assert done.returncode == 3
    assert f"harness check '{wrong}'" in done.stdout
    assert "subtract the largest element" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("selector", "hint"),
    [("sofmax", "softmax"), ("softmax/numpy/onlin", "softmax/numpy/online"), ("zzz", "harness list")],
)
def test_nothing_selected_is_exit_5_and_names_the_nearest(tmp_path: Path, selector: str, hint: str) -> None:
    for command in ("check", "bench", "list"):
        done = harness(tmp_path, command, selector)
        assert done.returncode == 5
        assert hint in done.stderr
        assert done.stdout == ""
    assert not (tmp_path / ".harness").exists(), "nothing was begun"


def test_one_selector_that_matches_nothing_is_enough_to_stop(tmp_path: Path) -> None:
    done = harness(tmp_path, "check", ONE_CASE, "max/numpy/bultin")
    assert done.returncode == 5
    assert "'max/numpy/bultin'" in done.stderr and "max/numpy/builtin" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["check", "--nonsense"],
        ["bench", "--budget", "soon"],
        ["check", "--plugin", "not_here.py"],
        ["check", "--operators", "not_here.py"],
        ["check", "--store", "nosuchbase://x", ONE_CASE],
        ["report", "--format", "docx"],
    ],
    ids=" ".join,
)
def test_a_usage_error_is_exit_2_with_one_message(tmp_path: Path, arguments: list[str]) -> None:
    done = harness(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


def test_a_broken_plugin_is_one_row_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "odd.py").write_text(
        "from harness import implementation\n"
        "@implementation('sofmax', backend='numpy')\ndef one(x, *, dim): return x\n"
        "@implementation('softmax', backend='nunpy')\ndef two(x, *, dim): return x\n"
        "@implementation('max', backend='numpy')\ndef builtin(x, *, dim=None): return x\n"
    )
    done = harness(tmp_path, "check", ONE_CASE, "--plugin", "broken.py", "--plugin", "odd.py", "--json")
    assert done.returncode == 3
    reasons = {row["reason"] for row in rows(done) if row["status"] == "error"}
    assert len(reasons) == 4
    for fragment in ("nothing_of_this_name", "did you mean softmax", "did you mean numpy", "already declared"):
        assert any(fragment in str(reason) for reason in reasons), fragment
    assert [row["status"] for row in rows(done) if row["case"]] == ["passed"]


def test_a_report_in_every_format(tmp_path: Path) -> None:
    harness(tmp_path, "check", ONE_CASE)
    assert json.loads(harness(tmp_path, "report", "--format", "json").stdout)[0]["status"] == "passed"
    table = list(csv.DictReader(io.StringIO(harness(tmp_path, "report", "--format", "csv").stdout)))
    assert table[0]["case"] == "float32[33]dim=0"
    assert "1 passed" in harness(tmp_path, "report", "--format", "markdown").stdout
    path = Path(harness(tmp_path, "report").stdout.strip())
    assert path.suffix == ".html" and "All 1 tasks that ran are right" in path.read_text()
    done = harness(tmp_path, "report", "--format", "parquet", "-o", "run.parquet")
    assert done.returncode == 0 and (tmp_path / "run.parquet").stat().st_size > 0


def test_a_report_of_nothing_is_exit_5_and_says_what_to_type(tmp_path: Path) -> None:
    done = harness(tmp_path, "report")
    assert done.returncode == 5
    assert "harness bench" in done.stderr


def test_bench_times_what_is_right_and_only_that(tmp_path: Path) -> None:
    done = harness(
        tmp_path,
        "bench",
        "dot/numpy/builtin",
        "dot/numpy/sequential_grid_reduced",
        "dot/numpy/squares_the_first",
        "--budget=1",
        "--processes=1",
        "--json",
        "--plugin",
        str(PLUGINS / "wrong_dot.py"),
    )
    found = rows(done)
    timed = {row["implementation"] for row in found if row["median_ns"] is not None}
    assert timed == {"builtin", "sequential_grid_reduced"}, done.stderr
    for row in found:
        if row["median_ns"] is not None:
            assert row["ci_low_ns"] <= row["median_ns"] <= row["ci_high_ns"]  # type: ignore[operator]
            assert row["samples"] > 0 and row["percent_of_limit"] > 0  # type: ignore[operator]
    assert done.returncode in (0, 3)


CAREFUL = """\
import numpy as np
from harness import implementation

prepared = set()

def supports(case):
    if case.dtype != 'float32': return 'float32 only'
    return None if case.layout == 'contiguous' else 'contiguous only'

def prepare(case):
    if case.id in prepared: raise RuntimeError('prepared twice')
    prepared.add(case.id)
    made = []
    for _ in range(100000): made.append(case.dtype)
    return lambda a, b: np.asarray(np.dot(a, b)) if a.shape == b.shape and a.ndim == 1 else 1 / 0

@implementation('dot', backend='numpy', supports=supports, prepare=prepare)
def careful(a, b): raise RuntimeError('prepare returns what is called')
"""


def test_supports_limits_and_prepare_sets_up_once(tmp_path: Path) -> None:
    (tmp_path / "careful.py").write_text(CAREFUL)
    done = harness(tmp_path, "check", "dot/numpy/careful", "--plugin", "careful.py", "--json")
    assert done.returncode == 0, done.stdout[-3000:]
    found = rows(done)
    refused = {str(row["reason"]) for row in found if row["status"] == "unsupported"}
    assert refused == {"float32 only", "contiguous only"}
    assert {row["status"] for row in found} == {"passed", "unsupported"}


@pytest.mark.timed
def test_prepare_is_timed_apart(tmp_path: Path) -> None:
    (tmp_path / "careful.py").write_text(CAREFUL)
    case = "dot/numpy/careful/float32[4096,4096]*"
    done = harness(tmp_path, "bench", case, "--plugin", "careful.py", "--processes=1", "--json")
    (row,) = [one for one in rows(done) if str(one["case"]).startswith("float32[4096,4096]")]
    # some milliseconds against one microsecond, and the load of the machine lengthens both
    assert row["status"] == "passed" and row["prepare_ns"] > row["min_ns"] > 0, row  # type: ignore[operator]


def start_and_kill(folder: Path, enough: Callable[[Store, RunInfo], bool], *arguments: str) -> RunInfo:
    """Start a run, wait until the store holds enough of it, however long that takes, and kill -9 it."""
    path = folder / ".harness" / "results.sqlite"
    command = [sys.executable, "-m", "harness.cli", *arguments]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, start_new_session=True, **quiet) as child:  # type: ignore[call-overload]
        while child.poll() is None:
            time.sleep(0.02)
            if path.exists():
                with Store.open(str(path)) as store:
                    if any(enough(store, info) for info in store.runs()):
                        break
        os.kill(child.pid, signal.SIGKILL)
    with Store.open(str(path)) as store:
        (interrupted,) = store.runs()
    assert interrupted.finished_at is None
    return interrupted


def test_a_killed_run_is_resumed_and_loses_nothing(tmp_path: Path) -> None:
    interrupted = start_and_kill(
        tmp_path,
        lambda store, info: len(store.done(info.run_id, "check")) >= 20,
        *("check", "sum/numpy/builtin", "max/numpy/builtin", "--seed", "5"),
    )
    with Store.open(str(tmp_path / ".harness" / "results.sqlite")) as store:
        kept = {record.id: record.started_at for record in store.records(interrupted.run_id)}
    done = harness(tmp_path, "check", "--resume", "--json")
    assert done.returncode == 0, done.stderr
    found = {f"{row['operator']}/{row['backend']}/{row['implementation']}/{row['case']}": row for row in rows(done)}
    assert {row["run_id"] for row in found.values()} == {interrupted.run_id}
    assert len(found) > len(kept) >= 20
    assert all(found[key]["started_at"] == moment for key, moment in kept.items()), "finished rows are not run again"
    assert harness(tmp_path, "check", "--resume").returncode == 5


def test_a_run_that_is_killed_while_it_times_keeps_its_samples(tmp_path: Path) -> None:
    case = "dot/numpy/builtin/float32[4096,4096]*"
    interrupted = start_and_kill(
        tmp_path,
        lambda store, info: bool(store.samples(info.run_id)),
        *("bench", case, "--budget", "3", "--processes", "8"),
    )
    with Store.open(str(tmp_path / ".harness" / "results.sqlite")) as store:
        kept = store.samples(interrupted.run_id)
    done = harness(tmp_path, "bench", "--resume", "--json", "--budget", "2", "--processes", "2")
    assert done.returncode == 0, done.stderr
    with Store.open(str(tmp_path / ".harness" / "results.sqlite")) as store:
        after = store.samples(interrupted.run_id)
    assert after[: len(kept)] == kept
    assert len({(one.process, one.block, one.position) for one in after}) == len(after), "nothing is timed twice"
    (timed,) = [row for row in rows(done) if row["median_ns"] is not None]
    assert timed["samples"] == len(after)


def test_a_run_is_not_resumed_on_another_machine(tmp_path: Path) -> None:
    start_and_kill(tmp_path, lambda store, info: bool(store.done(info.run_id, "check")), "check", "sum/numpy")
    done = harness(tmp_path, "check", "--resume", OMP_NUM_THREADS="7")
    assert done.returncode == 2 and "thread settings" in done.stderr


def begun_and_left(store: str, machine: Mapping[str, Any], machine_id: str, **about: Any) -> str:
    """A run of a check of dot that was begun and not ended."""
    with Store.open(store) as opened:
        started = opened.start_run(
            command="check", selectors=["dot/numpy/builtin"], seed=1, budget_s=None, machine=machine,
            machine_id=machine_id, commit=None, dirty=None, **about,
        )  # fmt: skip
        return started.run_id


def test_on_a_shared_store_each_machine_resumes_its_own_run(store_url: str) -> None:
    here = describe()
    mine = begun_and_left(store_url, here, machine_id(here))
    older = {name: here[name] for name in FIRST_IDENTITY}
    theirs = [begun_and_left(store_url, {"cpu": "other"}, "theirs") for _ in range(2)]
    done = CliRunner().invoke(app, ["check", "--resume", "--store", store_url, "--json"])
    assert done.exit_code == 0 and {row["run_id"] for row in json.loads(done.stdout)} == {mine}
    done = CliRunner().invoke(app, ["check", "--resume", "--store", store_url])
    assert done.exit_code == 2 and f"run {theirs[1]} was begun on machine theirs" in done.output
    before = begun_and_left(store_url, older, "my-id-of-before")
    with Store.open(store_url) as store:
        assert [one.run_id for one in store.all_unfinished("check")] == [before, *reversed(theirs)]
        assert _taken_up(store, "check", here).run_id == before
        with Store.open(store_url) as other:
            assert [one for one in theirs if other.goes_on(one)] == [], "what is not ours was claimed"
            with pytest.raises(UnknownRun, match="still goes on"):
                _taken_up(other, "check", here)
            for one in theirs:
                other.finish_run(one, exit_code=0)
            store.finish_run(before, exit_code=0)
            with pytest.raises(UnknownRun, match="nothing to resume"):
                _taken_up(other, "check", here)


def test_of_several_shards_in_one_store_the_one_that_is_named_is_resumed(store_url: str) -> None:
    here = describe()
    name = machine_id(here)
    runs = [begun_and_left(store_url, here, name, shard=f"{number}/5", deal={"id": "x"}) for number in (1, 2, 3)]
    with Store.open(store_url) as store, Store.open(store_url) as other:
        assert _taken_up(store, "check", here, Shard(2, 5)).run_id == runs[1]
        with pytest.raises(UnknownRun, match=f"{runs[1]} .*still goes on"):
            _taken_up(other, "check", here, Shard(2, 5))
        with pytest.raises(ShardError, match=f"{runs[2]}, which --resume goes on with, is shard 3/5"):
            _taken_up(other, "check", here, Shard(4, 5))
        assert _taken_up(other, "check", here).run_id == runs[2]
        assert _taken_up(other, "check", here).run_id == runs[0]
        with pytest.raises(UnknownRun, match="interrupted here: there is nothing to resume"):
            _taken_up(other, "check", here, Shard(4, 5))


def test_doctor_says_what_is_here(tmp_path: Path) -> None:
    done = harness(tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    topics = {finding["topic"] for finding in rows(done)}
    assert {"backend", "machine", "ceiling"} <= topics


def test_what_a_project_has_settled_holds_where_nothing_is_typed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.harness]\nplugins = ["mine.py"]\nstore = "kept.sqlite"\nseed = 5\nprocesses = 1\nbudget_s = 0.2\n'
    )
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom harness import implementation\n"
        "@implementation('max', backend='numpy')\ndef mine(x, *, dim=None): return np.asarray(x.max(axis=dim))\n"
    )
    assert "mine" in harness(tmp_path, "list", "max/numpy").stdout
    done = harness(tmp_path, "bench", "max/numpy/mine/float32[1024x1024]dim=1", "--json")
    (row,) = [one for one in rows(done) if one["median_ns"] is not None]
    assert row["seed"] == 5
    assert (tmp_path / "kept.sqlite").exists() and not (tmp_path / ".harness").exists()
    assert harness(tmp_path, "report", "--format", "csv").returncode == 0
    typed = harness(tmp_path, "check", ONE_CASE, "--store", "other.sqlite", "--seed", "6", "--json")
    assert {one["seed"] for one in rows(typed)} == {6} and (tmp_path / "other.sqlite").exists()


def test_a_fault_in_what_is_settled_is_a_usage_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.harness]\nprocesses = 0\n")
    for command in (["list"], ["check", ONE_CASE], ["report"]):
        done = harness(tmp_path, *command)
        assert done.returncode == 2 and "pyproject.toml: [tool.harness] processes = 0" in done.stderr

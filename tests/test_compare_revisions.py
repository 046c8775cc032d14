"""`harness compare` on real repositories: what each kind of commit is called, and what the command ends with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PLUGIN = """\
import numpy as np

from harness import implementation

from_outside = None


def rows(x, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=dim, keepdims=True))


@implementation("softmax", backend="numpy")
def mine(x, *, dim):
    return rows(x, dim)


@implementation("softmax", backend="numpy")
def other(x, *, dim):
    e = np.exp(x - x.max(axis=dim, keepdims=True, initial=-np.inf))
    return np.asarray(e / e.sum(axis=dim, keepdims=True))
"""
CASE = "float32[64x128x64]dim=1"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


@pytest.fixture
def commit(tmp_path: Path) -> Callable[[str], Path]:
    """Commit a version of the plugin in a repository that begins with PLUGIN."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    git(folder, "config", "user.email", "nobody@example.org")
    git(folder, "config", "user.name", "nobody")

    def made(text: str) -> Path:
        (folder / "kernels.py").write_text(text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--allow-empty", "--message", "a version")
        return folder

    made(PLUGIN)
    return made


Rows = list[dict[str, object]]


def compare(folder: Path, *arguments: str) -> tuple[int, Rows, str]:
    """Exit code, rows of the plugin's implementations, and what was said on stderr."""
    given = ["HEAD~1", "HEAD", f"softmax/numpy/*/{CASE}"] if not arguments or arguments[0] == "--budget" else []
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "compare", *given, *arguments, "--plugin", "kernels.py", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    rows = json.loads(done.stdout) if done.stdout else []
    return done.returncode, [row for row in rows if row["implementation"] in ("mine", "other", "renamed")], done.stderr


def verdicts(rows: Rows) -> dict[object, object]:
    return {row["implementation"]: row["verdict"] for row in rows}


def test_a_comment_is_no_change(commit: Callable[[str], Path]) -> None:
    folder = commit(PLUGIN.replace("def rows", "# as in the book\ndef rows"))
    code, rows, _ = compare(folder)
    assert code == 0
    assert verdicts(rows) == {"mine": "SAME", "other": "SAME"}
    assert all(row["identical"] and row["samples"] == 0 for row in rows), "identical code is not measured"


@pytest.mark.timed
def test_work_that_is_done_twice_is_slower_and_its_neighbour_is_identical(commit: Callable[[str], Path]) -> None:
    folder = commit(PLUGIN.replace("    return rows(x, dim)", "    rows(x, dim)\n    return rows(x, dim)"))
    code, rows, said = compare(folder, "--budget", "12")
    assert code == 1, said
    assert verdicts(rows) == {"mine": "SLOWER", "other": "SAME"}
    (mine,) = (row for row in rows if row["implementation"] == "mine")
    # twice the work, and what the first result lay in is given back and faulted in again: thrice the page faults
    assert isinstance(mine["ratio"], float) and 1.5 < mine["ratio"] < 3.3
    assert mine["page_faults_ratio"] is None or mine["page_faults_ratio"] < 3.3
    assert mine["ratio_low"] > 1.0  # type: ignore[operator]
    assert "beyond the threshold" in str(mine["reason"])
    assert not any(row["identical"] for row in rows if row["implementation"] == "mine")


def test_what_is_wrong_in_head_has_failed_and_has_no_time(commit: Callable[[str], Path]) -> None:
    folder = commit(PLUGIN.replace("    return rows(x, dim)", "    return rows(x, dim) * 1.001"))
    code, rows, _ = compare(folder)
    assert code == 3
    (mine,) = (row for row in rows if row["implementation"] == "mine")
    assert mine["verdict"] == "FAILED" and mine["ratio"] is None and mine["head_ns"] is None
    assert "in HEAD failed" in str(mine["reason"])


def test_what_is_gone_is_missing_and_what_is_new_is_named(commit: Callable[[str], Path]) -> None:
    folder = commit(PLUGIN.replace("def mine", "def renamed").replace("return rows(x, dim)", "return rows(1 * x, dim)"))
    code, rows, _ = compare(folder)
    assert code == 5
    assert verdicts(rows) == {"mine": "MISSING", "renamed": "NEW", "other": "SAME"}


def test_another_name_is_no_other_code(commit: Callable[[str], Path]) -> None:
    folder = commit(PLUGIN.replace("def mine", "def renamed"))
    code, rows, _ = compare(folder)
    assert code == 0
    (renamed,) = (row for row in rows if row["implementation"] == "renamed")
    assert renamed["verdict"] == "SAME" and renamed["renamed_from"] == f"softmax/numpy/mine/{CASE}"


def test_the_working_tree_is_a_version_too(commit: Callable[[str], Path]) -> None:
    folder = commit(PLUGIN)
    (folder / "kernels.py").write_text(PLUGIN.replace("    return rows(x, dim)", "    return x"))
    code, rows, _ = compare(folder, "HEAD", ".", f"softmax/numpy/*/{CASE}")
    assert code == 3 and verdicts(rows)["mine"] == "FAILED"


def test_worktrees_are_gone_afterwards(commit: Callable[[str], Path]) -> None:
    folder = commit(PLUGIN)
    compare(folder)
    listed = subprocess.run(["git", "worktree", "list"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert len(listed.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["HEAD"], 2, "compare needs BASE and HEAD"),
        (["nowhere", "HEAD"], 2, "'nowhere' is no file, no run of the store and no git revision"),
        (["HEAD", "HEAD", "softmaxx"], 5, "the nearest are: softmax"),
        (["HEAD", "HEAD", "--floor", "much"], 2, "--floor much is no share"),
        (["HEAD", "HEAD", "--setup", "exit 7"], 2, "ended with code 7"),
        (["HEAD", "HEAD", "--python", "no/python"], 2, "no such program in the checkout"),
        (["a.json", "b.json"], 2, "a.json: no such file"),
        (["--ab", "softmax/numpy/mine", "sum/numpy/builtin"], 5, "no benchmark case in common"),
        (["--ab", "softmax/numpy", "softmax/numpy/mine"], 5, "names both"),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_message(
    commit: Callable[[str], Path], arguments: list[str], code: int, words: str
) -> None:
    folder = commit(PLUGIN)
    ended, rows, said = compare(folder, *arguments)
    assert (ended, rows) == (code, []), said
    assert words in said
    assert "Traceback" not in said


@pytest.mark.timed
def test_two_implementations_are_compared_live(commit: Callable[[str], Path]) -> None:
    folder = commit(PLUGIN.replace("    return rows(x, dim)", "    rows(x, dim)\n    return rows(x, dim)"))
    code, rows, said = compare(
        folder, "--ab", f"softmax/numpy/other/{CASE}", f"softmax/numpy/mine/{CASE}", "--budget", "8"
    )
    assert code == 1, said
    assert verdicts(rows) == {"mine": "SLOWER"}


def test_a_checkout_runs_its_own_version_of_the_built_in_implementations(tmp_path: Path) -> None:
    """Whatever is installed: a worker of a checkout imports harness.implementations from there."""
    from harness.checkout import Checkout
    from harness.process import WorkerProcess

    package = tmp_path / "implementations"
    (package / "numpy").mkdir(parents=True)
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "registry.py").write_text("raise RuntimeError('the engine is never taken from a checkout')")
    (package / "__init__.py").write_text("")
    (package / "numpy" / "__init__.py").write_text("")
    (package / "numpy" / "softmax.py").write_text(PLUGIN)
    worker = WorkerProcess(checkout=Checkout("base", tmp_path))
    try:
        module = {"name": "harness.implementations.numpy.softmax", "path": ""}
        reply = worker.ask({"do": "read", "modules": [module], "placeholders": []}, 60.0)
    finally:
        worker.close()
    assert [one["implementation"] for one in reply["modules"][0]["implementations"]] == ["mine", "other"]

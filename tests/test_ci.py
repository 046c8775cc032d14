"""The workflow and the shell command for CI: they run here with a harness that only notes how it was called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from harness.cli import app

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github/workflows/performance.yml"
COMPARE = ROOT / ".ci/compare"
NAMES_OF_A_BASE = (
    "CI_MERGE_REQUEST_DIFF_BASE_SHA",
    "SYSTEM_PULLREQUEST_TARGETBRANCH",
    "BITBUCKET_PR_DESTINATION_BRANCH",
    "BUILDKITE_PULL_REQUEST_BASE_BRANCH",
    "CHANGE_TARGET",
    "GITHUB_BASE_REF",
)


def steps() -> list[dict[str, Any]]:
    (job,) = yaml.safe_load(WORKFLOW.read_text())["jobs"].values()
    found: list[dict[str, Any]] = job["steps"]
    return found


def step(name: str) -> dict[str, Any]:
    (found,) = (one for one in steps() if one.get("name") == name or one.get("uses", "").startswith(name))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clone with two commits, a branch origin/main, and a `harness` that notes its arguments and exits as told."""
    fake = tmp_path / "bin/harness"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >"$NOTED"\nexit "$EXIT"\n')
    fake.chmod(0o755)
    (tmp_path / "clone").mkdir()
    script = """git init --quiet . && git config user.name x && git config user.email x@example.org
        git commit --quiet --allow-empty -m one && git commit --quiet --allow-empty -m two
        git update-ref refs/remotes/origin/main HEAD~1"""
    subprocess.run(["sh", "-ec", script], cwd=tmp_path / "clone", check=True)
    return tmp_path


def run(folder: Path, *command: str, code: int = 0, **more: str) -> tuple[int, list[str], str]:
    """Exit code, the arguments that `harness` got, and what was said."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES_OF_A_BASE}
    noted = folder / "noted"
    noted.unlink(missing_ok=True)
    environment = {
        **{name: value for name, value in clean.items() if not name.startswith("HARNESS")},
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "NOTED": str(noted),
        "EXIT": str(code),
        "RUNNER_TEMP": "/tmp/runner",
        "GITHUB_STEP_SUMMARY": "summary.md",
        **more,
    }
    done = subprocess.run(command, cwd=folder / "clone", env=environment, capture_output=True, text=True)
    return done.returncode, noted.read_text().splitlines() if noted.exists() else [], done.stdout + done.stderr


def require_parsed(arguments: list[str]) -> None:
    """Raise, as the command line would, for a command, an argument or an option that it does not know."""
    name, *rest = arguments
    commands: dict[str, Any] = getattr(typer.main.get_command(app), "commands")  # noqa: B009 - a group has them
    commands[name].make_context(f"harness {name}", rest)


def compare_step(folder: Path, code: int, **more: str) -> tuple[int, list[str], str]:
    script = step("Compare")["run"]
    return run(
        folder, "bash", "-e", "-c", script, code=code, **{"BASE": "origin/main", "FAIL_WHEN_UNCLEAR": "false", **more}
    )


def test_the_workflow_has_the_least_rights_and_the_whole_history_of_the_code() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    # YAML 1.1 reads the key `on` as true
    assert set(workflow[True]) == {"pull_request", "push"}
    assert step("actions/checkout")["with"] == {"fetch-depth": 0, "persist-credentials": False}
    assert "secrets." not in WORKFLOW.read_text()


def test_no_script_is_put_together_from_what_a_pull_request_says() -> None:
    assert not any("${{" in one.get("run", "") for one in steps())


def test_the_history_that_is_kept_is_the_one_that_is_restored() -> None:
    restored, kept = step("Restore the history")["with"], step("Keep the history")["with"]
    assert (restored["path"], restored["key"]) == (kept["path"], kept["key"])
    assert restored["key"].startswith(restored["restore-keys"])
    assert "github.event_name == 'push'" in step("Keep the history")["if"]


def test_what_the_comparison_writes_is_what_is_kept_and_uploaded(folder: Path) -> None:
    _, arguments, _ = compare_step(folder, 0)
    written = {arguments[arguments.index(name) + 1] for name in ("--store", "--junit")}
    uploaded = step("Upload the report and the raw results")["with"]["path"].replace(
        "${{ runner.temp }}", "/tmp/runner"
    )
    assert all(path.startswith(uploaded) for path in written)
    assert step("Keep the history")["with"]["path"].replace("${{ runner.temp }}", "/tmp/runner") in written


@pytest.mark.parametrize(("code", "outcome"), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 0), (5, 5)])
def test_the_workflow_fails_for_all_but_well_and_unclear(folder: Path, code: int, outcome: int) -> None:
    found, arguments, said = compare_step(folder, code)
    assert (found, arguments[:3]) == (outcome, ["compare", "origin/main", "HEAD"])
    assert ("::warning" in said) == (code == 4)


def test_the_workflow_fails_for_unclear_where_that_is_asked_for(folder: Path) -> None:
    found, _, said = compare_step(folder, 4, FAIL_WHEN_UNCLEAR="true")
    assert (found, "::warning" in said) == (4, False)


def test_a_first_push_is_compared_with_the_commit_before(folder: Path) -> None:
    _, arguments, _ = compare_step(folder, 0, BASE="0" * 40)
    assert arguments[:3] == ["compare", "HEAD~1", "HEAD"]


def test_the_shell_command_compares_with_the_commit_before(folder: Path) -> None:
    found, arguments, _ = run(folder, str(COMPARE))
    assert found == 0
    assert arguments == [
        *("compare", "HEAD~1", "HEAD", "--budget", "600", "--junit", ".harness/compare.xml"),
        *("--summary", ".harness/compare.md"),
    ]


def test_the_shell_command_passes_on_what_it_is_told(folder: Path) -> None:
    more = ("origin/main", "HEAD", "softmax/*", "--setup", "make install; true", "--plugin", "a b.py")
    settings = {"HARNESS_BUDGET": "60", "HARNESS_JUNIT": "a b.xml", "HARNESS_SUMMARY": "s.md"}
    _, arguments, _ = run(folder, str(COMPARE), *more, **settings)
    assert arguments == [
        *("compare", "origin/main", "HEAD", "--budget", "60", "--junit", "a b.xml", "--summary", "s.md"),
        *more[2:],
    ]


@pytest.mark.parametrize("name", NAMES_OF_A_BASE)
def test_the_shell_command_takes_the_base_that_the_ci_system_names(folder: Path, name: str) -> None:
    value = {NAMES_OF_A_BASE[0]: "HEAD~1", NAMES_OF_A_BASE[1]: "refs/heads/main"}.get(name, "main")
    _, arguments, _ = run(folder, str(COMPARE), **{name: value})
    assert arguments[1] == ("HEAD~1" if name == NAMES_OF_A_BASE[0] else "origin/main")
    _, arguments, _ = run(folder, str(COMPARE), "HEAD~1", **{name: value})
    assert arguments[1:3] == ["HEAD~1", "HEAD"]


@pytest.mark.parametrize("code", range(6))
def test_the_shell_command_exits_as_the_comparison_does(folder: Path, code: int) -> None:
    assert run(folder, str(COMPARE), code=code)[0] == code


@pytest.mark.parametrize("base", ["gone", "--help^", "HEAD:x", "HEAD~9"])
def test_a_base_that_this_clone_lacks_is_a_usage_error_with_a_hint(folder: Path, base: str) -> None:
    found, arguments, said = run(folder, str(COMPARE), base)
    assert (found, arguments) == (2, [])
    assert f"no commit {base}" in said and "--unshallow" in said


def test_the_shell_command_explains_itself(folder: Path) -> None:
    found, arguments, said = run(folder, str(COMPARE), "--help")
    assert (found, arguments) == (0, [])
    assert "HARNESS_BUDGET" in said and "set -eu" not in said and "#" not in said


def called(folder: Path) -> list[list[str]]:
    """Every way in which the workflow and the shell command call the harness."""
    more = (
        "HEAD~1",
        "HEAD",
        "softmax/*",
        "--setup",
        "make install",
        "--python",
        ".venv/bin/python",
        "--plugin",
        "a b.py",
    )
    return [
        compare_step(folder, 0)[1],
        *(run(folder, "bash", "-e", "-c", step(f"{verb} the history")["run"])[1] for verb in ("Add to", "Show")),
        run(folder, str(COMPARE))[1],
        run(folder, str(COMPARE), *more, "--floor", "2 %")[1],
    ]


def test_every_command_line_is_understood(folder: Path) -> None:
    lines = called(folder)
    assert [line[0] for line in lines] == ["compare", "bench", "history", "compare", "compare"]
    for line in lines:
        require_parsed(line)

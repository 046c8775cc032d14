"""`harness doctor --commits`: the repository that it makes, what counts as right, and the command on one commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.comparing.renaming import Source
from harness.trials import commits
from harness.trials.commits import CASES, CannotCompare, Plan, Slowed, source, table, try_all
from harness.trials.kept import Kept, Row

SLOWED = Slowed(3, (1024, 1000))


def quiet(text: str, done: int, total: int) -> None:
    pass


def row(name: str, verdict: str, ratio: float | None = None) -> Row:
    operator, backend, implementation, case = name.split("/")
    return {
        "operator": operator,
        "backend": backend,
        "implementation": implementation,
        "case": case,
        "verdict": verdict,
        "identical": ratio is None,
        "ratio": ratio,
        "reason": "",
    }


def slowed_in(repository: Path) -> str | None:
    """The task that the newest commit of the trial's repository slows, read from the difference alone."""
    shown = subprocess.run(
        ["git", "-C", str(repository), "diff", "--function-context", "HEAD~1", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    added = [line for line in shown.splitlines() if line.startswith("+") and "if x.shape ==" in line]
    if not added:
        return None
    before = shown[: shown.index(added[0])]
    number = int(before[before.rindex("def kernel_") :].split("_")[1].split("(")[0])
    shape = next(shape for shape in CASES if f"== {shape}" in added[0])
    return Slowed(number, shape).id


def test_a_comparison_that_sees_the_difference_is_right_on_every_commit() -> None:
    def compare(repository: Path, budget_s: float) -> tuple[int, list[Row]]:
        assert budget_s == 7.0
        slowed = slowed_in(repository)
        rows = [row("logsumexp/numpy/kernel_0/other", "SAME"), row("logsumexp/numpy/kernel_1/other", "UNCLEAR", 1.01)]
        return (1, [*rows, row(slowed, "SLOWER", 1.031)]) if slowed else (0, rows)

    kept = Kept(None, "commits", "m")
    try_all(Plan(tasks=10, repeats=4, budget_s=7.0), compare, kept, quiet)
    comment, slower = table(kept)
    assert (comment["repeats"], comment["right"], comment["false_alarms"], comment["estimate"]) == (4, 4, 0, None)
    assert (slower["repeats"], slower["right"], slower["named"], slower["estimate"]) == (4, 4, 4, 1.031)
    assert (slower["tasks"], slower["identical"]) == (3, 1)


@pytest.mark.parametrize(
    ("code", "alarms", "right"),
    [
        (1, {SLOWED.id: "SLOWER"}, True),
        (4, {}, False),
        (1, {SLOWED.id: "SLOWER", "logsumexp/numpy/kernel_4/other": "FASTER"}, False),
        (1, {SLOWED.id: "FASTER"}, False),
        (1, {"logsumexp/numpy/kernel_4/other": "SLOWER"}, False),
        (0, {SLOWED.id: "SLOWER"}, False),
    ],
)
def test_only_the_slowed_task_and_its_exit_code_are_right(code: int, alarms: dict[str, str], right: bool) -> None:
    rows = [row(name, verdict, 1.03) for name, verdict in alarms.items()]
    found = commits._summary(code, rows, SLOWED)
    assert commits._is_right(found) is right


@pytest.mark.parametrize(
    ("code", "rows", "right"),
    [
        (0, [row("logsumexp/numpy/kernel_0/one", "SAME")], True),
        (1, [row("logsumexp/numpy/kernel_0/one", "SLOWER", 1.1)], False),
        (4, [row("logsumexp/numpy/kernel_0/one", "UNCLEAR", 1.0)], False),
    ],
)
def test_a_comment_is_right_with_no_alarm_and_exit_code_0(code: int, rows: list[Row], right: bool) -> None:
    assert commits._is_right(commits._summary(code, rows, None)) is right


def test_the_trial_goes_on_where_it_was(tmp_path: Path) -> None:
    asked = []

    def compare(repository: Path, budget_s: float) -> tuple[int, list[Row]]:
        asked.append(slowed_in(repository))
        return 0, [row("logsumexp/numpy/kernel_0/one", "SAME")]

    path = tmp_path / "rows.jsonl"
    try_all(Plan(6, 2), compare, Kept(path, "commits", "m"), quiet)
    first = list(asked)
    try_all(Plan(6, 3), compare, Kept(path, "commits", "m"), quiet)
    assert len(first) == 4 and len(asked) == 6
    assert [one is None for one in first].count(True) == 2


def test_a_commit_changes_one_function_and_nothing_else(tmp_path: Path) -> None:
    plan = Plan(tasks=200)
    assert plan.functions * len(CASES) >= 200
    digests = []
    for name, text in (("base", source(plan, "1")), ("head", source(plan, "2", SLOWED))):
        file = tmp_path / name / "kernels.py"
        file.parent.mkdir()
        file.write_text(text)
        lines = text.splitlines()
        read = Source(file, file.parent)
        places = [number for number, line in enumerate(lines, 1) if line.startswith("def kernel_")]
        digests.append([read.digest(line) for line in places])
    assert None not in digests[0]
    assert [a != b for a, b in zip(*digests, strict=True)] == [number == 3 for number in range(plan.functions)]


def test_what_git_or_the_command_says_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CannotCompare, match="git diff ended with"):
        commits._git(tmp_path, "diff", "HEAD~1", "HEAD")
    with pytest.raises(CannotCompare, match="harness compare ended with 2"):
        commits.by_command(tmp_path, 1.0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotCompare, match="git is not installed"):
        commits._git(tmp_path, "init")


def test_a_commit_that_changes_a_comment_is_told_by_the_command_itself() -> None:
    """The whole way, with git and a process: what is identical takes no time."""
    kept = Kept(None, "commits", "m")
    plan = Plan(tasks=200, repeats=1)
    try_all(
        plan,
        lambda folder, budget_s: commits.by_command(folder, budget_s) if slowed_in(folder) is None else (4, []),
        kept,
        quiet,
    )
    (found,) = kept.rows(kind="comment")
    assert found["exit_code"] == 0 and found["alarms"] == {}
    assert found["tasks"] == found["identical"] == plan.functions * len(CASES)

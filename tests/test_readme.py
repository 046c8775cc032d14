"""The examples of the README and of docs/ run as they are written."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import needs_torch

from harness import check
from harness.cuda import nvrtc

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = {path: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
TEXT = "\n".join(PAGES.values())
FILES = dict(re.findall(r"```(?:python|cuda)\n(?=(?:#|//) (\w+\.(?:py|cu))\n)(.*?)```", TEXT, re.DOTALL))
COMMANDS = re.findall(r"^\$ harness (.*)$", TEXT, re.MULTILINE)
SHOWN = [line for block in re.findall(r"```console\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
"""Every line of every block that shows what to type, and what comes back."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file of the README, beside the plugins that it points to."""
    where = tmp_path_factory.mktemp("readme")
    for name, text in FILES.items():
        (where / name).write_text(text)
    (where / "tests").symlink_to(ROOT / "tests")
    return where


def harness(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_the_examples_are_found() -> None:
    assert {"frames.py", "my_softmax.py", "sum_of_squares.py", "my_squares.py", "tree.cu", "my_sum.py"} <= set(FILES)
    assert {"choosing.py", "masked.py"} <= set(FILES)
    assert len(COMMANDS) >= 8
    blocks = re.findall(r"^```python\n(.*)$", TEXT, re.MULTILINE)
    assert all(re.fullmatch(r"# \w+\.py", first) for first in blocks), "each has a file's name, and is run"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_runs(folder: Path, command: str) -> None:
    command, _, comment = command.partition("  # ")
    done = harness(folder, *shlex.split(command), "--json")
    assert done.returncode == (3 if comment == "exits 3" else 0), done.stdout[-2000:] + done.stderr
    rows = json.loads(done.stdout)
    if command.startswith("reveal"):
        assert [row["verdict"] for row in rows] == ["as declared"] * 3
    else:
        assert rows and all(row["status"] == ("failed" if comment else "passed") for row in rows), rows


def test_the_instructive_mistake_is_explained_as_the_readme_says(folder: Path) -> None:
    (command,) = (one for one in COMMANDS if "without_max" in one)
    rows = json.loads(harness(folder, *shlex.split(command.partition("  # ")[0]), "--json").stdout)
    lesson = re.search(r"\*(it errs as .*?)\*", TEXT.replace("\n", " ")).group(1)  # type: ignore[union-attr]
    for part in lesson.split(" ..., so "):
        assert all(part in row["reason"] for row in rows)


def test_the_forgotten_barrier_is_found_as_the_readme_says(folder: Path) -> None:
    (command,) = (one for one in COMMANDS if "my_sum.py" in one)
    (row,) = json.loads(harness(folder, *shlex.split(command.partition("  # ")[0]), "--json").stdout)
    said = re.search(r"> \*(data race .*?)\*\n", TEXT, re.DOTALL).group(1)  # type: ignore[union-attr]
    said = " ".join(said.replace("\n> ", " ").split())
    (line,) = set(re.findall(r"tree\.cu:(\d+)", said))
    assert FILES["tree.cu"].splitlines()[int(line) - 1].strip() == "if (t < k) s[t] += s[t + k];"

    def but_for_threads(text: str) -> str:
        # which two threads are caught at it is up to the compiler
        return re.sub(r"(element|thread) \d+|writes|reads|read|write", "_", text)

    assert but_for_threads(row["reason"]) == but_for_threads(said)


def test_the_tests_of_the_documentation_say_who_is_no_softmax(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_softmax.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout[-3000:] + done.stderr
    assert re.search(r"AssertionError: zeros is no softmax: \d+ of \d+ cases fail", done.stdout)


@pytest.mark.parametrize(
    "script", [name for name, text in FILES.items() if "\nimport harness\n" in text or name == "bursts.py"]
)
def test_a_script_of_the_documentation_runs(folder: Path, script: str) -> None:
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_each_line_that_is_shown_names_commands_and_options_that_exist(folder: Path) -> None:
    """Those that begin with `$` are run above; the others would take minutes, a git history or a server."""
    helps: dict[str, str] = {}
    for line in SHOWN:
        words = re.match(r"(?:\$ )?harness (store [a-z]+|[a-z]+)", line)
        if words is None:
            continue
        command = words.group(1)
        if command not in helps:
            done = harness(folder, *command.split(), "--help")
            assert done.returncode == 0, f"{line}: {done.stderr}"
            helps[command] = done.stdout
        for option in re.findall(r"(?<= )--[a-z][a-z-]*", line.partition("#")[0]):
            assert option in helps[command], line


@pytest.mark.parametrize(
    "command",
    [
        "list",
        "check",
        "bench",
        "compare",
        "history",
        "report",
        "import",
        "judge",
        "reveal",
        "fuzz",
        "kernels",
        "doctor",
    ],
)
def test_every_command_is_in_the_readme_and_has_help(command: str, folder: Path) -> None:
    assert f"harness {command} " in README
    done = harness(folder, command, "--help")
    assert done.returncode == 0 and len(done.stdout) > 200


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_a_page_links_to_exists(page: Path) -> None:
    for target, place in re.findall(r"\]\((?!http)([^)#]*)(#[^)]*)?\)", PAGES[page]):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        if place:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert place[1:] in anchors, f"{target}{place}"


def test_the_layers_of_the_readme_exist() -> None:
    table = README.partition("## Architecture")[2].partition("###")[0]
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", table):
        candidates = [ROOT / name, ROOT / "harness" / name]
        assert any(os.path.exists(one) for one in candidates), name


VIOLATIONS = re.findall(r"\| `harness check '([^']+)'` \|", TEXT)


@needs_torch
def test_what_the_readme_says_of_real_libraries_is_seen_by_its_commands(tmp_path: Path) -> None:
    here = [one for one in VIOLATIONS if "/torch/" in one]
    assert len(here) >= 9
    for selector in here:
        done = check(selector, store=str(tmp_path / "results.sqlite"))
        assert done.checked and all(one.known and one.status == "failed" for one in done.checked), selector


@pytest.mark.skipif(nvrtc.missing() is not None, reason="NVRTC is not installed: pip install 'kernel-harness[nvrtc]'")
def test_the_figures_of_the_readmes_kernel_are_told_without_a_gpu(folder: Path) -> None:
    done = harness(folder, "kernels", "sum/cuda_cpu/tree", "--plugin", "my_sum.py", "--arch", "sm_90", "--json")
    rows = json.loads(done.stdout)
    assert {row["kernel"]: row["shared_bytes"] for row in rows} == {"tree<float>": 1024, "tree<double>": 2048}
    assert all(row["registers"] > 0 and row["spill_bytes"] == 0 and row["occupancy"] == 1 for row in rows)


def test_kernels_says_what_is_wrong(folder: Path) -> None:
    done = harness(folder, "kernels", "sum/numpy/builtin")
    assert done.returncode == 5 and "no implementation with CUDA sources matches sum/numpy/builtin" in done.stderr

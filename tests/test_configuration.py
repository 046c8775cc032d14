"""`[tool.harness]`: found, checked, and laid under what is typed; every fault is named with file, key and remedy."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from harness import configuration
from harness.comparing.deciding import FLOOR
from harness.configuration import CompareSettings, Configuration, ConfigurationError, floor_of, share, with_options

WHOLE = """
[tool.harness]
store = "kept/results.sqlite"
plugins = ["kernels", "more.py"]
operators = ["more.py"]
backends = ["numpy", "torch*"]
budget_s = 60
processes = 4
timeout_s = 2.5
seed = 7

[tool.harness.compare]
selectors = ["softmax", "sum/*"]
budget_s = 600
floor = "1.5 %"
setup = "make install"
python = ".venv/bin/python"

[tool.harness.compare.floors]
"softmax/*" = 0.05
"softmax/numpy/*" = "2%"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, with some files, that is the current folder."""
    for folder in (".git", "kernels", "deep/er"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "more.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_STORE", raising=False)
    return tmp_path


def written(project: Path, text: str) -> Configuration:
    (project / "pyproject.toml").write_text(text)
    return configuration.load()


def refused(project: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        written(project, text)
    return str(caught.value)


def test_everything_that_can_be_settled_is_read(project: Path) -> None:
    assert written(project, WHOLE) == Configuration(
        path=project / "pyproject.toml",
        store=str(project / "kept/results.sqlite"),
        plugins=(str(project / "kernels"), str(project / "more.py")),
        operators=(str(project / "more.py"),),
        backends=("numpy", "torch*"),
        budget_s=60.0,
        processes=4,
        timeout_s=2.5,
        seed=7,
        compare=CompareSettings(
            selectors=("softmax", "sum/*"),
            budget_s=600.0,
            floor=0.015,
            floors=(("softmax/*", 0.05), ("softmax/numpy/*", 0.02)),
            setup="make install",
            python=".venv/bin/python",
        ),
    )


def test_the_example_in_the_docstring_is_one(project: Path) -> None:
    assert configuration.__doc__ is not None
    (project / "operators").mkdir()
    (project / "operators/rms_norm.py").write_text("")
    example = configuration.__doc__.partition("    [tool")[2].partition("Paths are")[0]
    found = written(project, "[tool" + example)
    assert found.compare.floors == (("softmax/*", 0.02),) and found.compare.floor == 0.01
    every = {one.name for one in dataclasses.fields(Configuration)}
    assert {name for name in every if not getattr(found, name)} == set()


def test_without_a_file_or_a_table_the_defaults_hold(project: Path) -> None:
    assert configuration.load() == Configuration()
    assert written(project, "[tool.other]\nharness = 3") == Configuration()
    assert floor_of(Configuration(), "softmax/numpy/online/float32[3]") == FLOOR == 0.01
    assert configuration.uses(Configuration(), "numpy")


def test_the_file_is_sought_upwards_past_files_without_the_table(project: Path) -> None:
    (project / "pyproject.toml").write_text("[tool.harness]\nseed = 1")
    (project / "deep/pyproject.toml").write_text("[project]\nname = 'inner'")
    assert configuration.load(project / "deep/er").seed == 1
    (project / "deep/pyproject.toml").write_text("[tool.harness]\nseed = 2")
    assert configuration.load(project / "deep/er").seed == 2


@pytest.mark.parametrize("is_worktree", [False, True])
def test_nothing_is_sought_above_the_repository(project: Path, is_worktree: bool) -> None:
    (project / "pyproject.toml").write_text("[tool.harness]\nseed = 1")
    root = project / "deep"
    (root / ".git").write_text("gitdir: elsewhere") if is_worktree else (root / ".git").mkdir()
    assert configuration.load(root / "er") == Configuration()


def test_the_last_floor_that_matches_holds(project: Path) -> None:
    found = written(project, WHOLE)
    assert floor_of(found, "softmax/numpy/online/float32[9]") == 0.02
    assert floor_of(found, "softmax/torch/builtin/float32[9]") == 0.05
    assert floor_of(found, "sum/torch/builtin/float32[9]") == 0.015


def test_what_is_typed_wins_and_what_is_not_typed_does_not(project: Path) -> None:
    found = written(project, WHOLE)
    typed = with_options(found, seed=0, budget_s=None, plugins=[], operators=["typed.py"])
    assert (typed.seed, typed.budget_s, typed.plugins, typed.operators) == (0, 60.0, found.plugins, ("typed.py",))
    compare = with_options(found.compare, selectors=["dot"], floor=None)
    assert (compare.selectors, compare.floors) == (("dot",), found.compare.floors)


def test_a_floor_that_is_typed_holds_for_all_tasks(project: Path) -> None:
    found = written(project, WHOLE)
    found = with_options(found, compare=with_options(found.compare, floor=0.0))
    assert floor_of(found, "softmax/numpy/online/float32[9]") == 0.0


def test_the_environment_stands_between_the_command_line_and_the_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = written(project, WHOLE)
    assert configuration.store_of(None, Configuration()) is None
    assert configuration.store_of(None, found) == str(project / "kept/results.sqlite")
    monkeypatch.setenv("HARNESS_STORE", "from_environment.sqlite")
    assert configuration.store_of(None, found) == "from_environment.sqlite"
    assert configuration.store_of("typed.sqlite", found) == "typed.sqlite"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///kept.sqlite", "sqlite:///{0}/kept.sqlite"),
        ("sqlite+pysqlite:///kept.sqlite", "sqlite+pysqlite:///{0}/kept.sqlite"),
        ("sqlite:////srv/kept.sqlite", "sqlite:////srv/kept.sqlite"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql+psycopg://team/results", "postgresql+psycopg://team/results"),
        ("/srv/kept.sqlite", "/srv/kept.sqlite"),
    ],
)
def test_a_relative_store_is_relative_to_the_file(project: Path, given: str, expected: str) -> None:
    (project / "pyproject.toml").write_text(f'[tool.harness]\nstore = "{given}"')
    assert configuration.load(project / "deep").store == expected.format(project)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1 %", 0.01), ("0.5%", 0.005), (" 3.1 % ", 0.031), ("0.02", 0.02), ("1e-3", 0.001), (".5%", 0.005)],
)
def test_a_share_is_a_number_or_a_percentage(text: str, value: float) -> None:
    assert share(text) == value


@pytest.mark.parametrize("value", [0, 0.01, 0.999])
def test_a_share_as_a_number_is_itself(value: float) -> None:
    assert share(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *("", "%", "1 pct", "-1 %", "nan", "inf", "1_0 %", "1 % 2", "1e999999", "\u0661 %", "101 %", "1"),
        *(1, 5, -0.1, True, float("nan"), float("inf"), None, [0.01]),
    ],
)
def test_what_is_no_share_below_one_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is "):
        share(value)


COMPARE = "[tool.harness.compare]\n"
FAULTS = {
    '[tool.harness]\nplugin = ["k"]': '[tool.harness] plugin = ["k"]: there is no such key; the nearest are: plugins',
    "[tool.harness]\nfloor = 0.1": "[tool.harness] floor = 0.1: belongs into [tool.harness.compare]",
    COMPARE + "seed = 1": "[tool.harness.compare] seed = 1: belongs into [tool.harness]",
    COMPARE + "flor = 1": "[tool.harness.compare] flor = 1: there is no such key; the nearest are: floor",
    '[tool.harness]\nplugins = "kernels"': '[tool.harness] plugins = "kernels": write a list of paths like ["kernels"]',
    '[tool.harness]\nplugins = ["kernels", 3]': "[tool.harness] plugins[1] = 3: write a list of paths",
    '[tool.harness]\noperators = ["gone.py"]': '[tool.harness] operators[0] = "gone.py": no such file or folder',
    "[tool.harness]\nbudget_s = -1": "[tool.harness] budget_s = -1: write seconds, above 0 and at most 604800 (a week)",
    "[tool.harness]\nbudget_s = nan": "budget_s = NaN: write seconds",
    '[tool.harness]\nbudget_s = "60"': 'budget_s = "60": write seconds',
    "[tool.harness]\ntimeout_s = 1e9": "timeout_s = 1000000000.0: write seconds, above 0 and at most 86400 (a day)",
    "[tool.harness]\nprocesses = 0": "processes = 0: write a whole number from 1 to 20",
    "[tool.harness]\nprocesses = 2.0": "processes = 2.0: write a whole number from 1 to 20",
    "[tool.harness]\nseed = true": "seed = true: write a whole number",
    '[tool.harness]\nstore = " "': 'store = " ": write a file or an SQLAlchemy URL',
    "[tool.harness]\ncompare = 3": "[tool.harness] compare = 3: write a table [tool.harness.compare]",
    "[tool]\nharness = 3": "tool.harness = 3: write a table [tool.harness]",
    COMPARE + 'floor = "5 pct"': 'floor = "5 pct": is no share; write a share like 0.01 or "1 %"',
    COMPARE + "floor = 5": 'floor = 5: is 500 %; write a share like 0.01 or "1 %"',
    COMPARE + "floors = 3": "floors = 3: write a table [tool.harness.compare.floors]",
    COMPARE + 'floors = {"sum/*" = "x"}': '[tool.harness.compare.floors] "sum/*" = "x": is no share; write a share',
    COMPARE + "floors = {seed = -1}": "[tool.harness.compare.floors] seed = -1: is no share; write a share",
    COMPARE + "budget_s = 1979-05-27": 'budget_s = "1979-05-27": write seconds',
    "[tool.harness": "is no TOML: Expected ']' at the end of a table declaration",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_one_line_with_file_key_finding_and_remedy(project: Path, text: str) -> None:
    message = refused(project, text)
    assert message.startswith("pyproject.toml: ") and FAULTS[text] in message
    assert len(message.splitlines()) == 1


def test_several_faults_are_a_line_each(project: Path) -> None:
    lines = refused(project, '[tool.harness]\nseed = -1\nbudget = 3\n[tool.harness.compare]\nfloor = "x"').splitlines()
    assert len(lines) == 3 and all(line.startswith("pyproject.toml: [tool.harness") for line in lines)


def test_a_file_that_is_no_text_is_named(project: Path) -> None:
    (project / "pyproject.toml").write_bytes(b"[tool.harness]\nstore = '\xff'")
    with pytest.raises(ConfigurationError, match=r"^pyproject.toml: is no TOML: .*0xff"):
        configuration.load()


def test_the_file_is_named_as_it_is_reached_from_here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pyproject.toml").write_text("[tool.harness]\nseed = -1")
    monkeypatch.chdir(project / "deep/er")
    with pytest.raises(ConfigurationError, match=r"^\.\./\.\./pyproject.toml: \[tool.harness\] seed = -1: "):
        configuration.load()


def test_nothing_in_the_file_reaches_the_terminal_as_more_than_text(project: Path) -> None:
    message = refused(project, '[tool.harness]\n"a\\u001b[31m\\u202E" = "\\u0007\\n' + "x" * 5000 + '"')
    assert message.isprintable() and len(message) < 400


BACKENDS = ("numpy", "torch")
TASKS = ("softmax/numpy/online/float32[9]", "sum/torch/builtin/float32[9]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[tool.harness]\nbackends = ["numpy", "touch"]',
            '[tool.harness] backends[1] = "touch": matches no backend; the ',
        ),
        (COMPARE + 'selectors = ["sofmax"]', '[tool.harness.compare] selectors[0] = "sofmax": matches no task; '),
        (
            COMPARE + 'floors = {"softmax/*" = 0.02, "softmax/nunpy/*" = "3 %"}',
            '[tool.harness.compare.floors] "softmax/nunpy/*" = 0.03: matches no task; ',
        ),
    ],
)
def test_a_glob_that_matches_nothing_is_named_by_its_key(project: Path, text: str, said: str) -> None:
    found = written(project, text)
    with pytest.raises(ConfigurationError) as caught:
        configuration.require_known(found, BACKENDS, TASKS)
    assert said in str(caught.value)


def test_globs_that_match_are_no_fault(project: Path) -> None:
    found = written(project, WHOLE.replace("sum/*", "sum/torch"))
    configuration.require_known(found, BACKENDS, TASKS)
    configuration.require_known(Configuration(), (), ())
    assert [configuration.uses(found, name) for name in ("numpy", "torch_cuda", "jax")] == [True, True, False]


def test_pydantic_is_loaded_when_there_is_something_to_check() -> None:
    code = "import sys, harness.configuration; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""Instruction counts: what a scripted `perf` says, and the process that it would count."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.checkout import Checkout
from harness.declare import Case
from harness.implement import Declaration
from harness.plan import Task
from harness.registry import Registry, load
from harness.timing import instructions
from harness.timing.instructions import Counted, Target, code_path, count, ratio, target_of

PERF = """#!{python}
import os, subprocess, sys
arguments = sys.argv[1:]
assert arguments[:4] == ["stat", "-e", "instructions:u", "-x,"], arguments
output, command = arguments[5], arguments[7:]
assert os.environ["PYTHONHASHSEED"] == "0"
with open({log!r}, "a") as log:
    log.write(" ".join(command) + chr(10))
def write(text):
    open(output, "w").write("# started on Mon" + chr(10) + chr(10) + text)
calls = int(command[-1]) if command[-1].isdigit() else 0
repeat = sum(1 for line in open({log!r}))
{body}
"""

WRITES = 'write(f"{%s},,instructions:u,100,100.00,,")'


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load([], [], [])


@pytest.fixture
def fake_perf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a `perf` in front of the real one, and have `setarch` do nothing; returns its log."""

    def install(body: str) -> Path:
        folder, log = tmp_path / "bin", tmp_path / "log"
        folder.mkdir()
        perf = PERF.format(python=sys.executable, log=str(log), body=body)
        (folder / "perf").write_text(perf)
        (folder / "setarch").write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
        for name in ("perf", "setarch"):
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return log

    return install


def softmax(registry: Registry, case: Case | None = None) -> Target:
    case = case or Case("float32", ((8, 64),), (("dim", 1),))
    (declared,) = [one for one in registry.declarations if one.id == "softmax/numpy/builtin"]
    return target_of(Task(declared, case), registry)


INPUTS = [np.linspace(0, 1, 512, dtype=np.float32).reshape(8, 64)]


def test_start_up_cancels(registry: Registry, fake_perf) -> None:
    log = fake_perf(WRITES % "10**9 + 3000 * calls")
    assert count(softmax(registry), INPUTS) == Counted(3000.0, 0.0)
    commands = log.read_text().splitlines()
    assert commands[0] == "true"
    assert [int(command.split()[-1]) for command in commands[1:]] == [1, 25, 5, 25, 5, 25, 5]
    assert "calling.py" in commands[1]


def test_the_spread_of_the_repeats_is_kept(registry: Registry, fake_perf) -> None:
    fake_perf(WRITES % "10**9 + (3000 + 3 * (repeat > 6)) * calls")
    found = count(softmax(registry), INPUTS)
    assert found.per_call == 3000.0
    assert found.spread == pytest.approx(0.001)


def test_both_kinds_of_cores_are_added(registry: Registry, fake_perf) -> None:
    lines = "{500 * calls},,cpu_core/instructions:u/,1,60.00,,\\n{200 * calls},,cpu_atom/instructions:u/,1,40.00,,"
    fake_perf(f'write(f"{lines}")')
    assert count(softmax(registry), INPUTS).per_call == 700.0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('write("<not supported>,,instructions:u,0,100.00,,")', "without a PMU"),
        ('sys.stderr.write("Access denied: No permission to enable instructions:u event."); sys.exit(255)', "sysctl"),
        ('write("<not counted>,,instructions:u,0,0.00,,")', "wrote no count"),
        ('write("Segmentation garbage")', "wrote no count"),
        ("pass", "wrote no count"),
        ('sys.stderr.write("event syntax error"); sys.exit(129)', "exit code 129: event syntax error"),
        ('write(f"{5000 * calls},,instructions:u,9,37.50,,")', "38 % of the time only"),
        (WRITES % "5000", "which cannot be"),
    ],
)
def test_without_a_count_there_is_a_reason(registry: Registry, fake_perf, body: str, says: str) -> None:
    fake_perf(body)
    found = count(softmax(registry), INPUTS)
    assert (found.per_call, found.spread) == (None, None)
    assert says in found.reason


def test_without_perf_there_is_a_command(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = count(softmax(registry), INPUTS)
    assert found.per_call is None
    assert "apt install" in found.reason


def test_a_process_that_hangs_ends(registry: Registry, fake_perf) -> None:
    fake_perf("import time\nif calls: time.sleep(600)\nwrite('1,,instructions:u,1,100.00,,')")
    found = count(softmax(registry), INPUTS, deadline_s=0.5)
    assert "did not finish" in found.reason


def test_other_layouts_are_not_counted(registry: Registry) -> None:
    case = Case("float32", ((8, 64),), (("dim", 1),), layout="reversed")
    assert "contiguous" in count(softmax(registry, case), INPUTS).reason


def test_another_counter_is_an_error(registry: Registry) -> None:
    with pytest.raises(ValueError, match="none of perf, callgrind"):
        count(softmax(registry), INPUTS, counter="stopwatch")


def test_a_code_path_is_unchanged_within_what_repeats() -> None:
    exact, loose = Counted(1000.0, 0.0), Counted(1004.0, 0.002)
    assert code_path(exact, exact) == "unchanged"
    assert code_path(exact, loose) == "unchanged"
    assert code_path(exact, Counted(1001.9, 0.0)) == "unchanged"
    assert code_path(exact, Counted(1004.0, 0.0)) == "changed"
    assert code_path(exact, Counted(996.0, 0.0)) == "changed"
    assert code_path(exact, Counted(None, reason="no PMU")) is None
    assert ratio(exact, loose) == 1.004
    assert ratio(exact, Counted(None)) is None


def request_of(target: Target, inputs: list[np.ndarray], folder: Path) -> list[str]:
    """The counted process's command, without the number of calls."""
    instructions._write_request(target, inputs, folder)
    files = [str(folder / "request.json"), str(folder / "inputs.npz")]
    return [sys.executable, "-P", str(instructions.RUNNER), *files]


PLUGIN = """
import sys
import numpy as np
from harness import implementation

@implementation("sum", backend="numpy", prepare=lambda case: prepared)
def told(x, *, dim=None):
    raise AssertionError("prepare= gives the function")

def prepared(x, *, dim=None):
    print(x.dtype, x.shape, x.ctypes.data % 64, float(x.sum()), dim, flush=True)
    return x.sum()
"""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_counted_process_calls_a_plugin_as_often_as_told(registry: Registry, tmp_path: Path, dtype: str) -> None:
    import ml_dtypes

    plugin = tmp_path / "plugin.py"
    plugin.write_text(PLUGIN)
    declared = Declaration("sum", "numpy", "told", module="plugin_told", path=str(plugin))
    target = target_of(Task(declared, Case(dtype, ((3, 5),), (("dim", None),))), registry)
    array = np.ones((3, 5), ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float32)
    command = request_of(target, [array], tmp_path)
    done = subprocess.run([*command, "4"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{dtype} (3, 5) 0 15.0 None"] * 4


def test_the_implementations_of_a_checkout_stand_in_for_the_installed_ones(registry: Registry, tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    source = Path(instructions.__file__).parents[2]
    shutil.copytree(source / "implementations", root / "implementations", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "harness").mkdir()
    (root / "harness/registry.py").write_text("raise AssertionError('the instrument is never taken from a checkout')")
    module = root / "implementations/numpy/softmax.py"
    module.write_text(module.read_text() + "\nimport helper\nprint(__file__, helper.__file__, flush=True)\n")
    (root / "helper.py").write_text("")
    (declared,) = [one for one in registry.declarations if one.id == "softmax/numpy/builtin"]
    task = Task(declared, Case("float32", ((8, 64),), (("dim", 1),)))
    target = target_of(task, registry, Checkout("base", root))
    done = subprocess.run([*request_of(target, INPUTS, tmp_path), "1"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(module), str(root / "helper.py")]

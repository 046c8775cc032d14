"""What a person at a terminal sees: progress, tables that fit, the way on; and what a pipe, a dumb terminal, or an
ASCII locale gets instead. Commands run in a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import record
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from harness.api import Run
from harness.comparing.verdicts import Compared, Comparison
from harness.fitting import fitted, shortened, show
from harness.next_step import after_comparison, after_run, typed
from harness.progress import Limit, Phase, Progress, duration, remaining_words
from harness.registry import load
from harness.store import Store

WRONG = Path(__file__).parent / "sabotage" / "plugins" / "softmax_without_max.py"
COMMAND = [sys.executable, "-m", "harness.cli"]
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-79]|9[0-7])[0-9;]*m")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Seen:
    code: int
    text: str

    @property
    def last(self) -> str:
        return plain(self.text).strip().splitlines()[-1]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")


def in_terminal(folder: Path, arguments: Sequence[str], *, columns: int = 80, **environment: str) -> Seen:
    """What a command writes on a terminal of so many columns, stdout and stderr together."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    env = {**kept, "TERM": "xterm-256color", **environment}
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=env
    ) as child:
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            said += part
        code = child.wait()
    os.close(ours)
    return Seen(code, said.decode())


# ---- the time that remains


def phase_of(times_s: Sequence[float], total: int) -> Phase:
    """A phase in which a step ended at each of these times."""
    phase = Phase("checking", total, 0.0)
    for done, time_s in enumerate([0.0, *times_s]):
        phase.reach(time_s, done)
    return phase


def test_nothing_is_said_of_the_time_before_something_was_done() -> None:
    assert remaining_words(phase_of([1.0, 1.5], 100), 1.5, None) == ""
    assert remaining_words(phase_of([0.1, 0.2, 0.3, 0.4], 100), 0.4, None) == ""


@pytest.mark.parametrize(
    ("times_s", "total", "words"),
    [
        ([1.0, 2.0, 3.0, 4.0], 14, "about 10 s left"),
        ([1.0, 2.0, 3.0, 4.0], 304, "about 5 min left"),
        # quick at first, slow of late: the mean is 1.6 s a step, the pace of late 4 s
        ([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 8.0, 12.0, 16.0], 111, "2 to 7 min left"),
    ],
)
def test_the_time_that_remains_is_that_of_what_was_done(times_s: list[float], total: int, words: str) -> None:
    assert remaining_words(phase_of(times_s, total), times_s[-1], None) == words


def test_steps_that_were_stored_already_tell_nothing_of_the_time() -> None:
    phase = Phase("checking", 1000, 0.0)
    for done in range(901):
        phase.reach(done * 1e-6, done)
    for done in range(1, 11):
        phase.reach(float(done), 900 + done)
    assert remaining_words(phase, 10.0, None) == "about 90 s left".replace("90 s", "2 min")


def test_the_budget_is_the_limit() -> None:
    phase = phase_of([1.0, 2.0, 3.0, 4.0], 104)
    assert remaining_words(phase, 4.0, Limit(lambda steps: 24.0)) == "at most 20 s left"
    assert remaining_words(phase, 4.0, Limit(lambda steps: 2.0 * steps)) == "about 2 min left"
    assert remaining_words(phase, 4.0, Limit(lambda steps: 500.0, by_steps=False)) == "at most 8 min left"
    assert remaining_words(phase, 30.0, Limit(lambda steps: 24.0)) == "the budget is spent, ending"
    assert remaining_words(phase_of([], 10), 1.0, Limit(lambda steps: 24.0)) == "at most 25 s left"


def test_durations_are_no_finer_than_a_forecast() -> None:
    seconds = [0.2, 7.1, 12, 58, 89, 91, 3500, 3580, 7500]
    said = ["1 s", "8 s", "10 s", "1 min", "1 min", "2 min", "58 min", "1 h 00 min", "2 h 05 min"]
    assert [duration(one) for one in seconds] == said


# ---- progress where nobody looks


def test_a_pipe_gets_a_line_now_and_then() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(terminal=False, stream=stream, clock=clock)
    for done in range(1800):
        clock.now = float(done)
        progress(f"checking task {done}", done, 1800)
    lines = stream.getvalue().splitlines()
    assert 10 <= len(lines) <= 30, "of half an hour"
    assert lines[0] == "10/1800 checking task 10; about 30 min left"
    assert "\x1b" not in stream.getvalue() and "\r" not in stream.getvalue()


def test_json_gets_no_progress_at_all() -> None:
    clock, stream = Clock(), io.StringIO()
    progress = Progress(terminal=True, quiet=True, stream=stream, clock=clock)
    for done in range(100):
        clock.now = float(done)
        progress("checking", done, 100)
        progress.detail("round 1", 0, 1)
    progress.close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_the_line_is_never_longer_than_the_terminal_and_goes_away(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    clock, stream = Clock(), io.StringIO()
    progress = Progress(terminal=True, stream=stream, clock=clock)
    for done in range(20):
        clock.now = float(done)
        progress(f"checking softmax/numpy/语/float32[{done}x1000]dim=1,values=infinities,layout=transposed", done, 2000)
    progress.close()
    *drawn, last = stream.getvalue().split("\r\x1b[K")
    assert last == ""
    lines = [plain(one) for one in drawn[1:]]
    assert len(lines) == 20 and "\n" not in "".join(lines)
    assert all(Text(line).cell_len < columns for line in lines)
    assert "19/2000" in lines[-1] and "about 33 min left" in lines[-1]
    assert columns == 40 or "layout=transposed" in lines[-1]
    assert ("━" in lines[-1]) == (columns == 120)


# ---- tables that fit


def wide_table() -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("task", overflow="fold")
    for heading in ("change [95 %]", "clock", "before", "now", "visible"):
        table.add_column(heading, justify="right", no_wrap=True)
    for verdict, dtype in (("SLOWER", "float32"), ("UNCLEAR", "bfloat16")):
        name = Text(f"cross_entropy/torch/with_a_very_long_name/{dtype}[1024x1000]label_smoothing=0.25,reduction=mean")
        reason = Text("the interval is without 0 and the change is beyond the threshold; " * 2)
        cells = ("+3.9 % [2.7, 5.2]", "CPU", "3.79 ms", "3.91 ms", "2.0 %")
        table.add_row(Text(verdict, "red"), Group(name, reason), *map(Text, cells))
    return table


def printed(table: Table, width: int, encoding: str = "utf-8") -> list[str]:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=stream, width=width, highlight=False)
    for part in fitted(table, console):
        console.print(part)
    stream.seek(0)
    return stream.read().splitlines()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [80, 120, 300])
def test_a_table_fits_and_no_verdict_and_no_figure_is_shortened(width: int, encoding: str) -> None:
    lines = printed(wide_table(), width, encoding)
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    for whole in ("SLOWER", "UNCLEAR", "+3.9 % [2.7, 5.2]", "3.79 ms", "3.91 ms", "2.0 %", "before"):
        assert whole in text, text
    assert text.count("cross_entropy/torch") == 2 and text.count("reduction=mean") == 2
    assert ("float32[1024x1000]" in text) == (width >= 120)
    assert lines[0].split()[-1] == "visible"


def test_ids_that_differ_only_in_what_would_be_left_out_stand_on_their_own_lines() -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("task", "median", "error"):
        table.add_column(heading, no_wrap=True)
    for dtype in ("float16", "float32"):
        table.add_row(Text(f"softmax/numpy/builtin/{dtype}[1024x1000]dim=1,layout=strided"), Text("1"), Text("2" * 30))
    text = "\n".join(printed(table, 80))
    assert "float16[1024x1000]" in text and "float32[1024x1000]" in text


def test_a_table_that_fits_is_left_alone() -> None:
    table = Table(box=None)
    table.add_column("task")
    table.add_row(Text("sum/numpy/builtin"))
    assert fitted(table, Console(width=80)) == [table]


@pytest.mark.parametrize("text", ["sum/numpy/builtin/float32[33]dim=0", "求和/numpy/内置/float32[33]维=0"])
def test_the_middle_of_an_id_is_left_out(text: str) -> None:
    for width in range(1, 40):
        short = shortened(text, width)
        assert Text(short).cell_len <= width
        assert short == text or "…" in short
    assert shortened("abcdefghij", 6) == "abc…ij" and shortened("abcdefghij", 6, "ascii") == "ab..ij"


# ---- commands on a terminal


def test_a_check_on_a_terminal_ends_with_what_to_do_next(tmp_path: Path) -> None:
    seen = in_terminal(tmp_path, ["check", "max/numpy/builtin"])
    assert seen.code == 0, seen.text
    drawn = [plain(one) for one in re.findall(r"\r\x1b\[K([^\r\n]+)", seen.text)]
    assert drawn and all(len(one) < 80 for one in drawn)
    assert any(re.search(r"\d+/\d+ +checking", one) for one in drawn)
    assert COLOUR.search(seen.text)
    assert seen.last == "next: harness bench max/numpy/builtin"


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"PYTHONIOENCODING": "ascii"}])
def test_what_a_terminal_cannot_or_must_not_show_is_left_out(tmp_path: Path, environment: dict[str, str]) -> None:
    seen = in_terminal(tmp_path, ["check", "max/numpy/builtin"], **environment)
    assert seen.code == 0 and "passed" in seen.text, seen.text
    assert bool(COLOUR.search(seen.text)) == ("PYTHONIOENCODING" in environment)
    assert ("\x1b" in seen.text) == ("TERM" not in environment)
    assert seen.text.isascii() or "PYTHONIOENCODING" not in environment


def test_the_command_after_a_failure_shows_it_again(tmp_path: Path) -> None:
    seen = in_terminal(tmp_path, ["check", "softmax/numpy/without_max", "--plugin", str(WRONG)], columns=120)
    assert seen.code == 3
    command = shlex.split(seen.last.removeprefix("next: harness "))
    assert command[0] == "check" and "--seed" in command and "softmax/numpy/without_max/" in command[1]
    again = subprocess.run([*COMMAND, *command], cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 3 and "1 failed" in again.stdout


def test_json_is_followed_by_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "check", "max/numpy/builtin/float32[33]dim=0", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupted_check_says_what_is_stored_and_the_command_that_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "kept here.sqlite"
    arguments = ["check", "sum/numpy", "max/numpy", "--store", str(path)]
    child = subprocess.Popen([*COMMAND, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while child.poll() is None:
        time.sleep(0.02)
        if path.exists():
            with Store.open(str(path)) as store:
                if any(len(store.done(info.run_id, "check")) >= 10 for info in store.runs()):
                    break
    child.send_signal(signal.SIGINT)
    _, said = child.communicate()
    assert child.returncode == 130, said
    assert "Traceback" not in said
    (line,) = [one for one in said.splitlines() if "interrupted" in one]
    with Store.open(str(path)) as store:
        (info,) = store.runs()
        count = len(store.done(info.run_id, "check"))
    assert f"{count} verdicts are stored (run {info.run_id})" in line
    assert line.endswith(f"harness check --resume --store {shlex.quote(str(path))}")


# ---- what to do next


def test_after_a_check_what_can_be_timed_is_named() -> None:
    registry = load()

    def after(selectors: Sequence[str], *records: str) -> str | None:
        checked = []
        for one in records:
            operator, backend, implementation = one.split("/")
            checked.append(record(operator=operator, backend=backend, implementation=implementation))
        return after_run("check", Run("run", tuple(checked), (), ()), registry, selectors, " --plugin a.py", "")

    softmax = "softmax/numpy/online"
    assert after(["softmax/numpy"], softmax) == "harness bench softmax/numpy --plugin a.py"
    narrow = "softmax/numpy/online/float32[9x300]dim=1,values=overflow"
    assert after([narrow], softmax) == f"harness bench {softmax} --plugin a.py"
    assert after(["*overflow"], softmax) == f"harness bench {softmax} --plugin a.py"
    assert after(["sum"], "sum/cuda_cpu/warp_shuffle_grid_reduced") == "harness report"


def test_after_a_bench_comes_the_report_and_where_nothing_ran_the_list() -> None:
    registry = load()
    fast = record(median_ns=1000)
    missing = record(status="missing", reason="not installed")
    store = typed(store="my results.sqlite")
    assert after_run("bench", Run("r", (record(),), (fast,), ()), registry, [], "", store) == (
        "harness report --store 'my results.sqlite'"
    )
    assert after_run("bench", Run("r", (missing,), (missing,), ()), registry, ["softmax/*"], "", "") == (
        "harness list 'softmax/*'"
    )


def test_after_a_comparison_the_first_doubt_is_looked_at_again() -> None:
    def after(*verdicts: str) -> str | None:
        rows = tuple(
            Compared(
                operator="sum",
                backend="numpy",
                implementation=f"one{number}",
                case="float32[33]dim=0",
                verdict=verdict,  # type: ignore[arg-type]
                reason="why",
            )
            for number, verdict in enumerate(verdicts)
        )
        comparison = Comparison(base="a", head="b", machine_id="m", rows=rows, spent_s=30.0)
        return after_comparison(comparison, "harness compare a b", " --plugin p.py")

    assert after("SAME", "SAME") == "harness compare a b --plugin p.py --all"
    assert after("UNCLEAR", "SLOWER") == "harness compare a b 'sum/numpy/one1/float32[33]dim=0' --plugin p.py"
    assert after("UNCLEAR", "SAME") == (
        "harness compare a b 'sum/numpy/one0/float32[33]dim=0' --plugin p.py --budget 120"
    )
    assert after("FASTER") is None


@pytest.mark.parametrize("columns", [30, 80])
def test_no_word_of_a_table_vanishes_on_a_narrow_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no room for all columns, the terminal breaks the lines; nothing is cut out of them."""
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table("gate", "one alarm is stated at most", "times", box=None)
    for number in range(3, 12):
        table.add_column(f"column{number}", no_wrap=True)
    table.add_row("unchanged", "0 of 2 (0 to 84 %)", "97", *(f"verylongvalue{number}" for number in range(3, 12)))
    with_id = Table("task", "change", "verdict")
    for number in range(3, 12):
        with_id.add_column(f"column{number}", no_wrap=True)
    with_id.add_row("softmax/numpy/builtin/float32[8x8]dim=1", "+3 %", "SLOWER", *map(str, range(1003, 1012)))
    show([table, with_id])
    words = capsys.readouterr().out
    assert all(word in words for word in ("unchanged", "SLOWER", "verylongvalue11", "1011"))

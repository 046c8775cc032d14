"""`harness doctor` and its trials as typed: what goes together, what is printed, what is kept."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from harness.commands.doctor import doctor
from harness.comparing.verdicts import Compared, Comparison
from harness.record import Noise
from harness.store import Store
from harness.timing.statistics import Interval
from harness.trials import comparer, power, rivals
from harness.trials import gate as gate_trial

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, in a folder of its own, with a comparison that finds nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(comparer.Live, "__call__", nothing_changed)
    app = typer.Typer()
    app.command()(doctor)
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments])


def nothing_changed(
    live: comparer.Live, pairs: list[comparer.Pair], budget_s: float, rounds: int | None = None
) -> Comparison:
    rows = tuple(
        Compared(
            operator=pair.head.declaration.operator,
            backend=pair.head.declaration.backend,
            implementation=pair.head.declaration.implementation,
            case=pair.head.case.id,
            verdict="SAME",
            reason="scripted",
            clock="cpu",
            ratio=1.001,
            cpu_ratio=1.001,
            cpu_low=0.999,
            cpu_high=1.003,
            rounds=3,
            base_ns=2_000_000,
        )
        for pair in pairs
    )
    return Comparison(base="a", head="b", machine_id="m1", rows=rows, spent_s=budget_s)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--noise", "--power"], "type one of them"),
        (["--gate", "5", "--intervals", "5"], "type one of them"),
        (["softmax"], "harness doctor --noise softmax"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(run: Run, arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr


def test_noise_prints_a_table_draws_a_page_and_keeps_what_it_found(run: Run, tmp_path: Path) -> None:
    page, store = tmp_path / "deep" / "noise.html", tmp_path / "results.sqlite"
    done = run("--noise", "sum/numpy/builtin", "--repeats", 4, "-o", page, "--store", store)
    assert done.exit_code == 0, done.output
    assert "false alarms: 0 of 8" in done.stdout
    assert "sum/numpy/builtin/" in done.stdout
    assert "<svg" in page.read_text()
    with Store.open(str(store)) as opened:
        kept = opened.noise("m1")
    assert len(kept) == 2
    assert all(isinstance(one, Noise) and one.clock == "cpu" and one.comparisons == 4 for one in kept)


def test_noise_as_json(run: Run, tmp_path: Path) -> None:
    done = run("--noise", "sum/numpy/builtin", "--repeats", 2, "--json", "--store", tmp_path / "results.sqlite")
    rows = json.loads(done.stdout)
    assert {row["operator"] for row in rows} == {"sum"}
    assert {row["alarms"] for row in rows} == {0}


def test_noise_of_nothing_exits_with_5(run: Run) -> None:
    done = run("--noise", "soft_min")
    assert done.exit_code == 5
    assert "soft_min" in done.stderr


def test_power_prints_its_rows_and_goes_on_from_its_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivals, "RIVALS", ())
    monkeypatch.setattr(
        power, "calibrate", lambda percents, seconds, say: dict.fromkeys(percents, Interval(1.02, 1.01, 1.03))
    )
    path = tmp_path / "power.jsonl"
    first = run("--power", "--repeats", 1, "--json", "-o", path)
    assert first.exit_code == 0, first.output
    rows = json.loads(first.stdout)
    keys = ["tool", "load", "slowdown", "repeats", "detected", "median_estimate", "seconds"]
    assert set(rows[0]) == {*keys, "true_ratio", "true_low", "true_high", "reason"}
    assert {row["tool"] for row in rows} == {
        f"{tool}, {clock} clock" for tool in ("harness --ab", "harness BASE HEAD") for clock in ("CPU", "wall")
    }
    lines = path.read_text().splitlines()
    assert json.loads(run("--power", "--repeats", 1, "--json", "-o", path).stdout) == rows
    assert path.read_text().splitlines() == lines


def test_a_gate_and_intervals_as_tables(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_trial, "true_ratio", lambda slower, seconds, shape: Interval(1.031, 1.03, 1.032))
    gate = run("--gate", 4, "--repeats", 2)
    assert gate.exit_code == 0, gate.output
    assert "unchanged" in gate.stdout
    assert "2 of 2" in gate.stdout
    intervals = run("--intervals", 5, "--json")
    by_cpu, _ = json.loads(intervals.stdout)
    assert (by_cpu["comparisons"], by_cpu["missed"]) == (5, 0)
    assert "--output" in intervals.stderr


def test_a_file_that_is_no_trial_is_a_usage_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    done = run("--intervals", 1, "-o", "notes.txt")
    assert done.exit_code == 2
    assert "notes.txt:1" in done.stderr


def test_an_interrupted_trial_says_how_it_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(comparer.Live, "__call__", interrupt)
    done = run("--intervals", 3, "-o", "rows.jsonl")
    assert done.exit_code == 130
    assert "goes on from rows.jsonl" in done.stderr
    assert "nothing was kept" in run("--intervals", 3).stderr

"""A drift that no gate sees is found, noise is not taken for one, and every step is named with its commits."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import re
import sys
import xml.dom.minidom
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from conftest import Page, record, timed
from harness.reports.history import change_words, headline, runs_words, sentence, spark, trend_words
from harness.reports.history_page import history_page, history_svg, write_history
from harness.reports.history_table import history_lines
from harness.reports.page import page
from harness.reports.trend import MOST_DOTS, trend
from rich.console import Console
from typer.testing import CliRunner

from harness.commands.history import history as command
from harness.drift import Findings, find, noise_of, without_spikes
from harness.histories import Histories, histories, run_histories
from harness.reporting import stored_report
from harness.series import NoSeries, read
from harness.store import Store

NOISE = 0.01
START = datetime.datetime(2026, 8, 3, 9, tzinfo=datetime.UTC)
EVIL = "<script>alert(1)</script>\x1b[31m[bold]\u202e"
Logs = Callable[[np.random.Generator, int], np.ndarray]


def white(rng: np.random.Generator, runs: int) -> np.ndarray:
    return rng.normal(0.0, NOISE, runs)


def alike(rng: np.random.Generator, runs: int) -> np.ndarray:
    """Runs that resemble the ones before them: a correlation of 0.5."""
    fresh = rng.normal(0.0, NOISE * math.sqrt(0.75), runs)
    values = [rng.normal(0.0, NOISE)]
    for one in fresh[1:]:
        values.append(0.5 * values[-1] + one)
    return np.array(values)


def by_day(rng: np.random.Generator, runs: int) -> np.ndarray:
    """Three runs share the day's luck."""
    return np.repeat(rng.normal(0.0, 0.6 * NOISE, runs // 3 + 1), 3)[:runs] + rng.normal(0.0, 0.8 * NOISE, runs)


def spiky(rng: np.random.Generator, runs: int) -> np.ndarray:
    """One run in twenty is 10 to 100 % too slow."""
    return white(rng, runs) + (rng.random(runs) < 0.05) * rng.uniform(0.1, 0.7, runs)


def heavy(rng: np.random.Generator, runs: int) -> np.ndarray:
    return NOISE / 1.7 * rng.standard_t(3, runs)


def weeks(runs: int, per_day: int = 1) -> np.ndarray:
    return (np.arange(runs) / per_day + 0.01) / 7.0


def findings(logs: np.ndarray, per_day: int = 1) -> Findings:
    return find(1e6 * np.exp(logs), weeks(len(logs), per_day))


@pytest.mark.parametrize("per_day", [1, 3])
def test_a_drift_of_one_percent_a_week_is_found_in_twelve_weeks(per_day: int) -> None:
    """And told as a drift, not as the staircase that it resembles."""
    runs, found, steps, covered = 84 * per_day, 0, 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        seen = findings(math.log(1.01) * weeks(runs, per_day) + white(rng, runs), per_day)
        assert seen.drift is not None
        found += seen.drift.p_value < 1e-4 and seen.drift.per_week.estimate > 0.0
        steps += bool(seen.steps)
        covered += seen.drift.per_week.low <= math.log(1.01) <= seen.drift.per_week.high
    assert found == 60
    assert steps <= 3
    assert covered >= 53


def test_one_run_a_week_is_enough_for_the_same_drift() -> None:
    rng = np.random.default_rng(5)
    seen = find(1e6 * np.exp(math.log(1.01) * np.arange(12) + white(rng, 12)), np.arange(12) + 0.01)
    assert seen.drift is not None and seen.drift.p_value < 0.01
    assert seen.drift.per_week.low < math.log(1.01) < seen.drift.per_week.high


@pytest.mark.parametrize(
    ("noise", "most_steps", "most_drifts"),
    [(white, 0.03, 0.06), (heavy, 0.04, 0.08), (spiky, 0.08, 0.08), (alike, 0.08, 0.10), (by_day, 0.08, 0.08)],
    ids=["white", "heavy", "spiky", "alike", "by_day"],
)
def test_false_alarms_are_rare_on_flat_series(noise: Logs, most_steps: float, most_drifts: float) -> None:
    """300 series without any change: how many show a step, and how many a drift at p < 0.05."""
    steps = drifts = 0
    for seed in range(300):
        seen = findings(noise(np.random.default_rng(seed), 120), 3)
        steps += bool(seen.steps)
        drifts += seen.drift is not None and seen.drift.p_value < 0.05
    assert steps <= most_steps * 300
    assert drifts <= most_drifts * 300


def test_a_step_of_six_percent_is_found_at_its_run() -> None:
    """At run 60 of 100, in 100 series: nearly always at that very run, with nothing beside it, and no drift."""
    exact = covered = alone = drifts = 0
    for seed in range(100):
        seen = findings(white(np.random.default_rng(seed), 100) + math.log(1.06) * (np.arange(100) >= 60))
        at = [one for one in seen.steps if one.index == 60]
        exact += bool(at)
        alone += len(seen.steps) == 1
        covered += any(one.size.low <= math.log(1.06) <= one.size.high for one in at)
        drifts += seen.drift is not None and seen.drift.p_value < 0.05
        assert any(abs(one.index - 60) <= 1 for one in seen.steps)
    assert exact >= 97
    assert alone >= 96
    assert covered >= 88
    assert drifts <= 12


def test_step_and_drift_are_told_apart() -> None:
    covered = drifts = 0
    for seed in range(60):
        logs = white(np.random.default_rng(seed), 100) - 0.2 * (np.arange(100) >= 60) + 0.01 * weeks(100)
        seen = findings(logs)
        (step,) = [one for one in seen.steps if one.index == 60]
        covered += step.size.low <= -0.2 <= step.size.high
        drifts += seen.drift is not None and seen.drift.p_value < 0.05 and seen.drift.per_week.estimate > 0.0
    assert covered >= 51
    assert drifts >= 57


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("place", [0, 60, 97])
def test_a_spike_is_no_change_point(length: int, place: int) -> None:
    for seed in range(10):
        logs = white(np.random.default_rng(seed), 100)
        logs[place : place + length] += 0.4
        seen = findings(logs)
        assert not seen.steps


def test_a_disturbance_of_ten_runs_is_two_change_points() -> None:
    logs = white(np.random.default_rng(2), 100)
    logs[50:60] += 0.06
    assert [one.index for one in findings(logs).steps] == [50, 60]


@pytest.mark.parametrize("logs", [np.zeros(40), np.arange(40) % 2 * 1e-4, np.repeat([0.0, 1e-4], 20)])
def test_less_than_any_machine_can_tell_is_nothing(logs: np.ndarray) -> None:
    seen = findings(logs)
    assert not seen.steps
    assert seen.drift is None or seen.drift.p_value > 0.05 or abs(seen.drift.per_week.estimate) < 1e-3


def test_two_modes_are_noise() -> None:
    rng = np.random.default_rng(1)
    alarms = sum(bool(findings(0.05 * rng.integers(0, 2, 100) + rng.normal(0.0, 0.003, 100)).steps) for _ in range(50))
    assert alarms <= 2


def test_few_runs_say_why_they_say_nothing() -> None:
    assert findings(np.zeros(1)).too_short == "one run is no series"
    assert findings(np.zeros(3)).too_short == "runs on 3 days, a trend takes 5"
    assert findings(white(np.random.default_rng(1), 40), per_day=100).too_short == "runs on 1 day, a trend takes 5"


def test_noise_and_its_repetition_are_estimated() -> None:
    rng = np.random.default_rng(3)
    independent, correlated = noise_of(white(rng, 4000)), noise_of(alike(rng, 4000))
    assert independent.spread == pytest.approx(NOISE, rel=0.06) and independent.repetition < 1.2
    assert correlated.spread == pytest.approx(NOISE, rel=0.10) and correlated.repetition == pytest.approx(3.0, rel=0.2)


def test_a_spike_goes_and_a_step_stays() -> None:
    logs = np.repeat([0.0, 0.06], 10)
    assert np.array_equal(without_spikes(logs, NOISE), logs)
    with_spike = logs.copy()
    with_spike[4] = 1.0
    assert np.array_equal(without_spikes(with_spike, NOISE), logs)


def test_without_the_library_the_message_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(ImportError, match=r"pip install 'kernel-harness\[stats\]'"):
        findings(np.zeros(20))
    assert findings(np.zeros(9)).steps == (), "fewer runs than two levels need no library"


def add_runs(
    path: Path,
    logs: dict[str, np.ndarray],
    *,
    machine: str = "m1",
    per_day: int = 1,
    cpu: float = 1.0,
    start: datetime.datetime = START,
    **changes: Any,
) -> list[str]:
    """One run for each value, of an implementation for each key, 1 ms times exp(value); NaN is a failed task."""
    run_ids = []
    with Store.open(str(path)) as store:
        for number in range(len(next(iter(logs.values())))):
            at = start + datetime.timedelta(days=number / per_day)
            commit, dirty = f"{number:08x}{'0' * 32}", number % 10 == 3
            run = store.start_run(
                command="bench",
                selectors=["softmax"],
                seed=1,
                budget_s=None,
                machine={"cpu": "test"},
                machine_id=machine,
                commit=commit,
                dirty=dirty,
            )
            run_ids.append(run.run_id)
            shared = {
                "run_id": run.run_id,
                "commit": commit,
                "dirty": dirty,
                "machine_id": machine,
                "started_at": at.isoformat(timespec="milliseconds"),
                **changes,
            }
            for name, values in logs.items():
                if math.isnan(values[number]):
                    row = record(implementation=name, status="failed", reason=f"off {EVIL}", **shared)
                else:
                    row = timed(name, round(1e6 * math.exp(values[number])), **shared)
                    row = dataclasses.replace(row, cpu_median_ns=round(cpu * (row.median_ns or 0)))
                store.add(row, "bench")
            store.finish_run(run.run_id, exit_code=0)
    return run_ids


def looked_at(path: Path, *selectors: str, **options: Any) -> Histories:
    with Store.open(str(path)) as store:
        return histories(store, selectors, **options)


@pytest.fixture
def demo(store_path: Path) -> Path:
    """Twelve weeks of three runs a day: one task drifts, one steps at run 150, one fails now and then."""
    rng = np.random.default_rng(7)
    runs = 252
    flaky = white(rng, runs)
    flaky[[20, 90]] = math.nan
    logs = {
        "drifting": math.log(1.01) * weeks(runs, 3) + white(rng, runs),
        "flaky": flaky,
        "stepping": white(rng, runs) + math.log(1.06) * (np.arange(runs) >= 150),
    }
    add_runs(store_path, logs, per_day=3)
    return store_path


def test_each_task_has_its_finding_with_commits(demo: Path) -> None:
    drifting, flaky, stepping = looked_at(demo, "softmax").rows
    assert (drifting.verdict, flaky.verdict, stepping.verdict) == ("slower", "steady", "changed")
    assert drifting.trend is not None and drifting.trend.estimate == pytest.approx(1.0, abs=0.15)
    assert not drifting.changes and not flaky.changes
    (change,) = stepping.changes
    assert change.before.commit_words == f"{149:08x}" and change.after.commit_words == f"{150:08x}"
    assert change.percent_low < 6.0 < change.percent_high
    assert change.percent_high - change.percent_low < 1.5


def test_runs_without_a_time_are_gaps_with_their_reason(demo: Path) -> None:
    flaky = looked_at(demo, "softmax/numpy/flaky").rows[0]
    assert len(flaky.series.timed) == 250
    assert [point.status for point in flaky.series.gaps] == ["failed", "failed"]
    assert runs_words(flaky) == "250 (2 failed)"
    assert "no time on 2026-09-02 at 0000005a: failed: off" in sentence(flaky)


def test_commits_with_changes_are_marked(demo: Path) -> None:
    points = looked_at(demo, "*/drifting/*").rows[0].series.points
    assert [point.commit_words for point in points[2:4]] == ["00000002", "00000003+"]


def test_the_clock_is_the_cpus_where_one_thread_works(tmp_path: Path) -> None:
    def clock(name: str, **options: Any) -> tuple[str, str]:
        path = tmp_path / f"{name}.sqlite"
        add_runs(path, {"a": np.zeros(3)}, **options)
        series = looked_at(path).rows[0].series
        return series.clock, series.clock_reason

    assert clock("one", cpu=1.0) == ("cpu", "one thread works")
    assert clock("several", cpu=1.9) == ("wall", "several threads work: 1.90 s of CPU time in each s")
    assert clock("waits", cpu=0.1)[0] == "wall"
    assert clock("gpu", device="cuda") == ("wall", "it runs on a device")


def test_the_cpu_clock_does_not_see_other_programs(store_path: Path) -> None:
    """In the last ten runs something else used the machine: the wall clock doubles, the CPU's time does not."""
    with Store.open(str(store_path)) as store:
        rng = np.random.default_rng(1)
        for number in range(40):
            cpu_ns = 1e6 * math.exp(rng.normal(0.0, NOISE))
            wall_ns = round(cpu_ns * (2.0 if number >= 30 else 1.01))
            at = START + datetime.timedelta(days=number)
            row = timed("a", wall_ns, run_id=str(number), machine_id="m", started_at=at.isoformat())
            store.add(dataclasses.replace(row, cpu_median_ns=round(cpu_ns)), "bench")
    (row,) = looked_at(store_path).rows
    assert row.series.clock == "cpu" and not row.changes and row.verdict == "steady"


def test_machines_are_never_mixed(store_path: Path) -> None:
    add_runs(store_path, {"a": np.zeros(6)}, machine="old-1")
    add_runs(store_path, {"a": np.ones(7)}, machine="new-1", start=START + datetime.timedelta(days=30))
    newest = looked_at(store_path)
    assert newest.machine_id == "new-1" and len(newest.rows[0].series.points) == 7
    other = looked_at(store_path, machine="old")
    assert other.machine_id == "old-1" and len(other.rows[0].series.points) == 6
    with pytest.raises(
        NoSeries, match=r"--machine x: has no time .* new-1 \(7 runs, the newest of 2026-09-08\), old-1"
    ):
        looked_at(store_path, machine="x")


def test_last_and_since_shorten_a_series(store_path: Path) -> None:
    add_runs(store_path, {"a": np.zeros(30)})
    assert len(looked_at(store_path, last=12).rows[0].series.points) == 12
    since = datetime.datetime(2026, 8, 23, tzinfo=datetime.UTC)
    assert len(looked_at(store_path, since=since).rows[0].series.points) == 10
    with pytest.raises(NoSeries, match="--since 2027-08-23: no run is that new; the newest is of 2026-09-01"):
        looked_at(store_path, since=since.replace(year=2027))


def test_a_misspelt_task_is_named_with_the_nearest(store_path: Path) -> None:
    with Store.open(str(store_path)) as store, pytest.raises(NoSeries, match="harness bench"):
        read(store, ["softmax"])
    add_runs(store_path, {"a": np.zeros(2)})
    with pytest.raises(NoSeries, match="'sofmax'; the nearest are: softmax"):
        looked_at(store_path, "softmax", "sofmax")


def test_trends_are_tested_together(store_path: Path) -> None:
    """Of 60 flat tasks hardly any may be called drifting; the one that drifts is, and it alone."""
    rng = np.random.default_rng(11)
    logs = {f"flat{number:02}": white(rng, 60) for number in range(60)}
    logs["drifting"] = white(rng, 60) + 0.01 * weeks(60)
    add_runs(store_path, logs)
    found = looked_at(store_path)
    assert [row.series.implementation for row in found.rows if row.verdict == "slower"] == ["drifting"]
    assert not [row for row in found.rows if row.verdict == "faster"]


def test_rows_are_json_and_frames_are_typed(demo: Path) -> None:
    found = looked_at(demo)
    rows = json.loads(json.dumps([row.as_data() for row in found.rows], allow_nan=False))
    assert rows[2]["change_points"][0]["commit_before"] == f"{149:08x}{'0' * 32}"
    frame = found.frame()
    assert [name for name in frame.columns if name in rows[0]] == [name for name in rows[0] if name != "gap_reasons"]
    assert frame["change_points"].tolist() == [len(row["change_points"]) for row in rows]
    assert str(frame["runs"].dtype) == "Int64" and str(frame["trend_low_percent_per_week"].dtype) == "Float64"
    assert str(frame["newest_at"].dtype).startswith("datetime64") and str(frame["verdict"].dtype) == "category"
    points = found.points()
    assert len(points) == 3 * 252
    assert points["median_ns"].isna().sum() == 2 and str(points["median_ns"].dtype) == "Int64"


def test_a_task_without_any_time_is_a_row(store_path: Path) -> None:
    add_runs(store_path, {"a": np.full(4, math.nan), "b": np.zeros(4)})
    broken, _ = looked_at(store_path).rows
    assert broken.verdict == "unknown" and broken.newest is None and spark(broken, 8) == "xxxx"
    assert broken.as_data()["newest_ns"] is None and trend(broken) is None
    found = looked_at(store_path)
    assert "numpy/a/" not in shown(found) and "not shown: 1 failed" in shown(found)
    assert headline(found)[0] == "Too few runs of 1 task to tell drift or steps"


def shown(found: Histories) -> str:
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for line in history_lines(found):
        console.print(line)
    console.file.close()
    return console.export_text()


def test_the_terminal_shows_trend_steps_and_gaps(demo: Path) -> None:
    text = shown(looked_at(demo))
    assert "2 of 3 tasks got slower" in text
    assert "drifts slower" in text and "00000095..00000096 2026-09-22" in text
    assert "250 (2 failed)" in text and "no time on" in text
    assert "\x1b" not in text and "\u202e" not in text


def test_a_sparkline_shows_steps_and_keeps_noise_flat(demo: Path) -> None:
    drifting, flaky, stepping = looked_at(demo).rows
    assert spark(drifting, 12)[0] in "▁▂" and spark(drifting, 12)[-1] in "▇█"
    assert set(spark(flaky, 12)) <= set("▃▄▅▆")
    assert set(spark(stepping, 12)[:7]) <= set("▁▂▃") and set(spark(stepping, 12)[8:]) <= set("▆▇█")


def test_a_plot_is_thinned_and_keeps_its_steps(demo: Path) -> None:
    _, flaky, stepping = looked_at(demo).rows
    plot = trend(stepping)
    assert plot is not None and plot.together == 2 and len(plot.dots) <= MOST_DOTS
    assert len(plot.levels) == 2 and len(plot.lines) == 1
    assert plot.lines[0].text.startswith("+") and plot.lines[0].text.endswith(f"{150:08x}")
    other = trend(flaky)
    assert other is not None and len(other.gaps) == 2
    inside = [(dot.x, dot.y) for dot in plot.dots]
    assert all(plot.left <= x <= plot.right and plot.top <= y <= plot.bottom for x, y in inside)


def test_what_lies_far_out_does_not_flatten_the_others(store_path: Path) -> None:
    logs = white(np.random.default_rng(1), 50)
    logs[25] = 2.0
    add_runs(store_path, {"a": logs})
    plot = trend(looked_at(store_path).rows[0])
    assert plot is not None and [dot.beyond for dot in plot.dots].count(1) == 1
    heights = [dot.y for dot in plot.dots if not dot.beyond]
    assert max(heights) - min(heights) > 80


@pytest.fixture
def evil(store_path: Path) -> Path:
    logs = white(np.random.default_rng(4), 30)
    logs[[3, 9]] = math.nan
    add_runs(store_path, {f"evil{EVIL}": logs, "good": np.repeat([0.0, 0.1], 15)})
    return store_path


def test_pictures_and_pages_are_inert(evil: Path, tmp_path: Path) -> None:
    found = looked_at(evil)
    svg = history_svg(found)
    document = xml.dom.minidom.parseString(svg)
    assert not document.getElementsByTagName("script")
    text = history_page(found)
    tags = Page(text)
    assert "script" not in tags.tags and tags.links == []
    assert tags.tags.count("svg") == 2 and tags.tags.count("table") == 3
    for one in (svg, text):
        assert "\x1b" not in one and "\u202e" not in one
    for suffix in (".svg", ".html"):
        write_history(found, tmp_path / "new" / f"a{suffix}")
        assert (tmp_path / "new" / f"a{suffix}").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"must end in \.svg or \.html"):
        write_history(found, tmp_path / "a.png")


def test_a_report_shows_the_history_up_to_its_run(demo: Path) -> None:
    with Store.open(str(demo)) as store:
        ids = sorted({row["run_id"] for row in store.series(lambda one: True)})
        by_time = [point.run_id for point in read(store, ["softmax"]).series[0].points]
        assert set(ids) == set(by_time)
        report = stored_report(store, by_time[99])
        tasks = {one.id for one in report.timed}
        found = run_histories(store, by_time[99], "m1", tasks)
        assert [len(row.series.points) for row in found.rows] == [100, 100, 100]
        assert not found.rows[2].changes, "the step came later"
        text = page(report, found)
        early = run_histories(store, by_time[1], "m1", tasks)
    assert early.rows == () and 'id="history"' not in page(report, early)
    assert 'id="history"' not in page(report)
    tags = Page(text)
    within = text[text.index('id="history"') : text.index('id="tasks"')]
    assert 'href="#history"' in text and Page(within).tags.count("svg") == 3
    assert all(link.startswith("#") for link in tags.links)
    assert len(text) - len(page(report)) < 40_000


def test_a_history_of_many_runs_stays_small(store_path: Path) -> None:
    found = looked_at(store_path_with(store_path, 1000))
    plot = trend(found.rows[0])
    assert plot is not None and len(plot.dots) <= MOST_DOTS
    assert len(history_page(found)) < 30_000


def store_path_with(path: Path, runs: int) -> Path:
    with Store.open(str(path)) as store:
        rng = np.random.default_rng(1)
        for number in range(runs):
            at = START + datetime.timedelta(hours=8 * number)
            time_ns = round(1e6 * math.exp(rng.normal(0.0, NOISE)))
            store.add(timed("a", time_ns, run_id=str(number), machine_id="m", started_at=at.isoformat()), "bench")
    return path


def run(*arguments: str) -> Any:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command)
    return CliRunner().invoke(app, list(arguments))


def test_the_command_prints_writes_and_says_what_is_wrong(demo: Path, tmp_path: Path) -> None:
    store = ["--store", str(demo)]
    done = run("softmax", *store, "--output", str(tmp_path / "a.html"))
    assert done.exit_code == 0 and "drifts slower" in done.stdout
    assert (tmp_path / "a.html").exists()
    rows = json.loads(run("softmax/numpy/stepping", *store, "--json").stdout)
    assert [row["verdict"] for row in rows] == ["changed"]
    assert run("sofmax", *store).exit_code == 5
    assert run("softmax", *store, "--machine", "x").exit_code == 5
    assert run("softmax", *store, "--since", "yesterday").exit_code == 2
    assert run("softmax", *store, "--output", str(tmp_path / "a.png")).exit_code == 2
    assert run("softmax", *store, "--last", "0").exit_code == 2


def test_words_have_signs_and_intervals(demo: Path) -> None:
    drifting, _, stepping = looked_at(demo).rows
    words = trend_words(drifting)
    assert re.fullmatch(r"\+0\.9\d % \(\+0\.\d\d to \+[01]\.\d\d\)", words)
    assert change_words(stepping)[0].startswith("+")
    assert headline(looked_at(demo, "*/flaky/*")) == ("No drift and no change point in 1 task", "none")

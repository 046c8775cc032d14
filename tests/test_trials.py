"""Trials of the harness: known slowdowns, gates and intervals, with scripted tools and a scripted comparison."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.comparing.verdicts import Compared, Comparison
from harness.plan import Task
from harness.registry import Registry, load
from harness.timing.statistics import Interval
from harness.trials import binomial, calibration, gate, intervals, power, rivals, slowed
from harness.trials.comparer import Pair, plugin_path, softmax_pair
from harness.trials.kept import Kept
from harness.trials.ours import Ours
from harness.trials.rivals import Outcome


def quiet(text: str, done: int, total: int) -> None:
    return None


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load([plugin_path()], [], [])


def compared(task: Task, verdict: str = "SAME", **fields: object) -> Compared:
    one = task.declaration
    known = {
        "operator": one.operator,
        "backend": one.backend,
        "implementation": one.implementation,
        "case": task.case.id,
        "clock": "cpu",
        "reason": "scripted",
        "rounds": 3,
    }
    return Compared(verdict=verdict, **{**known, **fields})


@dataclasses.dataclass
class Scripted:
    """A comparer whose rows are made by a function of a pair; it remembers what it was asked for."""

    answer: Callable[[Pair], Compared]
    asked: list[tuple[int, float, int | None]] = dataclasses.field(default_factory=list)

    def __call__(self, pairs, budget_s: float, rounds: int | None = None) -> Comparison:
        self.asked.append((len(pairs), budget_s, rounds))
        rows = tuple(self.answer(pair) for pair in pairs)
        seconds = 100.0 if rounds is None else 450.0
        return Comparison(base="a", head="b", machine_id="m", rows=rows, spent_s=seconds)


# ---- rows that are kept


def test_rows_are_kept_at_once_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "rows.jsonl"
    kept = Kept(path, "power", "m1")
    kept.add({"repeat": 0, "slower": True})
    assert len(path.read_text().splitlines()) == 1
    again = Kept(path, "power", "m1")
    assert again.rows(repeat=0) == kept.rows()
    assert again.done("repeat") == {(0,)}


def test_rows_of_another_machine_or_trial_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Kept(path, "power, 4 s", "m1").add({"repeat": 0})
    assert Kept(path, "power, 4 s", "m2").rows() == []
    assert Kept(path, "power, 1 s", "m1").rows() == []


def test_a_line_that_was_cut_off_is_dropped_and_what_follows_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Kept(path, "power", "m").add({"repeat": 0})
    with path.open("a") as file:
        file.write('{"repeat": 1, "slo')
    Kept(path, "power", "m").add({"repeat": 2})
    assert [row["repeat"] for row in Kept(path, "power", "m").rows()] == [0, 2]


@pytest.mark.parametrize("text", ["id,time\n", "[1, 2]\n", '{"repeat": 1}\nnonsense\n'])
def test_a_file_of_something_else_is_refused_with_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"rows.jsonl:{text.count(chr(10))}: no row of a trial"):
        Kept(path, "power", "m")
    assert path.read_text() == text


# ---- binomial intervals


@pytest.mark.parametrize(("found", "trials"), [(0, 1), (0, 20), (1, 40), (8, 200), (19, 20), (20, 20), (113, 500)])
def test_the_interval_is_that_of_clopper_and_pearson(found: int, trials: int) -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    low, high = binomial.interval(found, trials)
    exact = scipy_stats.binomtest(found, trials).proportion_ci(0.95, "exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_a_rate_in_words() -> None:
    assert binomial.in_words(1, 40) == "1 of 40 (95 %: 0.1 to 13 %)"
    assert binomial.in_words(0, 20) == "0 of 20 (95 %: 0 to 17 %)"


@pytest.mark.parametrize(("found", "trials"), [(0, 0), (3, 2), (-1, 2)])
def test_no_rate_of_nothing(found: int, trials: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        binomial.interval(found, trials)


# ---- the slowed softmax


def test_every_slowed_softmax_is_right() -> None:
    x = slowed.inputs()
    exact = np.exp(x.astype(np.float64))
    exact /= exact.sum(axis=1, keepdims=True)
    for percent in slowed.ROWS:
        np.testing.assert_allclose(slowed.softmax_again(percent)(x), exact, rtol=1e-5)


def test_the_plugin_declares_the_plain_one_its_twin_and_the_slower_ones(registry: Registry) -> None:
    names = {one.implementation for one in registry.declarations if one.path == plugin_path()}
    assert names == {"plain", "twin", "slower_by_2", "slower_by_3", "slower_by_5", "slower_by_10"}
    pair = softmax_pair(registry, 3, (256, 300))
    assert pair.base.id == "softmax/numpy/plain/float32[256x300]dim=1"
    assert pair.head.id == "softmax/numpy/slower_by_3/float32[256x300]dim=1"


def test_calibration_finds_twice_the_work_of_a_scripted_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now, clock = [0.0], [0]

    def work(cost: int) -> Callable[..., np.ndarray]:
        def call(x: np.ndarray) -> np.ndarray:
            clock[0] += cost
            now[0] += cost / 1e9
            return x

        return call

    monkeypatch.setattr(calibration.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(calibration.time, "thread_time_ns", lambda: clock[0])
    monkeypatch.setattr(calibration.slowed, "softmax_again", lambda percent: work(1_000_000))
    assert calibration.true_ratio(work(2_000_000), 1.0) == Interval(2.0, 2.0, 2.0)


# ---- known slowdowns


@dataclasses.dataclass
class Tool:
    """Calls everything from 5 % on slower; under a name, with a log, and perhaps with a fault."""

    name: str
    log: list[tuple[str, int]]
    fault: str = ""
    absent: str | None = None

    def missing(self) -> str | None:
        return self.absent

    def compare(self, percent: int, seconds: float) -> list[Outcome]:
        if self.fault:
            raise RuntimeError(self.fault)
        self.log.append((self.name, percent))
        return [
            Outcome(f"{self.name} strict", percent >= 5, 1 + percent / 100),
            Outcome(f"{self.name} lax", False, None),
        ]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> power.Plan:
    truth = {percent: Interval(1 + percent / 90, 1.0, 1.2) for percent in power.SLOWDOWNS}
    monkeypatch.setattr(power, "calibrate", lambda percents, seconds, say: {one: truth[one] for one in percents})
    return power.Plan(repeats=3, busy=0)


def run(plan: power.Plan, tools: list[Tool], kept: Kept) -> None:
    power.try_all(plan, tools, kept, lambda text: None, quiet)


def test_every_tool_meets_every_slowdown_and_load_as_often(plan: power.Plan) -> None:
    log: list[tuple[str, int]] = []
    kept = Kept(None, "power", "m")
    run(plan, [Tool("ours", log), Tool("theirs", log)], kept)
    assert len(log) == 3 * 2 * 2 * 4
    rows = power.table(kept)
    assert len(rows) == 2 * 2 * 2 * 4
    assert {row["repeats"] for row in rows} == {3}
    found = {row["slowdown"]: row["detected"] for row in rows if row["tool"] == "ours strict" and row["load"] == "hog"}
    assert found == {0: 0, 2: 0, 5: 3, 10: 3}
    row = next(row for row in rows if row["tool"] == "ours strict" and row["slowdown"] == 5)
    assert row["median_estimate"] == 1.05
    assert row["true_ratio"] == 1 + 5 / 90
    assert next(row for row in rows if row["tool"] == "ours lax")["median_estimate"] is None


def test_within_a_repeat_the_order_is_drawn_by_lot(plan: power.Plan) -> None:
    log: list[tuple[str, int]] = []
    run(plan, [Tool("ours", log), Tool("theirs", log)], Kept(None, "power", "m"))
    parts = [tuple(log[start : start + 8]) for start in range(0, len(log), 8)]
    assert all(len(set(part)) == 8 for part in parts)
    assert len(set(parts)) > 1


def test_an_interrupted_trial_goes_on_where_it_was(plan: power.Plan, tmp_path: Path) -> None:
    path, log = tmp_path / "rows.jsonl", []
    run(dataclasses.replace(plan, repeats=1), [Tool("ours", log)], Kept(path, "power", "m"))
    text = path.read_text().splitlines()
    path.write_text("\n".join(text[:-4]) + "\n")  # two comparisons of two rules each
    log.clear()
    run(dataclasses.replace(plan, repeats=1), [Tool("ours", log)], Kept(path, "power", "m"))
    assert len(log) == 2
    assert {row["repeats"] for row in power.table(Kept(path, "power", "m"))} == {1}


def test_a_tool_that_is_missing_or_fails_has_a_reason_and_is_tried_again(plan: power.Plan) -> None:
    kept = Kept(None, "power", "m")
    run(plan, [Tool("ours", [], fault="it broke"), Tool("theirs", [], absent="type: pip install it")], kept)
    rows = power.table(kept)
    assert {row["tool"]: row["reason"] for row in rows} == {
        "ours": "3 did not run: RuntimeError: it broke",
        "theirs": "3 did not run: type: pip install it",
    }
    assert {row["detected"] for row in rows} == {None}
    log: list[tuple[str, int]] = []
    run(plan, [Tool("ours", log), Tool("theirs", log)], kept)
    assert len(log) == 48
    assert {row["reason"] for row in power.table(kept)} == {""}


def test_hogs_end_with_their_context() -> None:
    import psutil

    from harness.trials.hog import hogs

    before = {one.pid for one in psutil.Process().children()}
    with hogs(2):
        during = {one.pid for one in psutil.Process().children()} - before
        assert len(during) == 2
    assert not any(psutil.pid_exists(pid) for pid in during)


@pytest.mark.parametrize(
    ("fields", "cpu", "wall"),
    [
        ({"verdict": "SLOWER", "clock": "cpu", "wall_ratio": 1.02, "wall_low": 0.99}, True, False),
        ({"verdict": "UNCLEAR", "clock": "cpu", "wall_ratio": 1.02, "wall_low": 1.01}, False, True),
        ({"verdict": "SAME", "clock": "wall", "cpu_ratio": 1.005, "cpu_low": 1.001}, False, False),
        ({"verdict": "SLOWER", "clock": "wall"}, False, True),
    ],
)
def test_our_comparison_counts_by_each_clock(registry: Registry, fields: dict, cpu: bool, wall: bool) -> None:
    comparer = Scripted(lambda pair: compared(pair.head, **{"threshold": 0.01, **fields}))
    by_cpu, by_wall = Ours("harness", comparer, registry).compare(2, 4.0)
    assert (by_cpu.slower, by_wall.slower) == (cpu, wall)
    assert comparer.asked == [(1, 4.0, None)]


def test_our_comparison_that_fails_is_no_detection(registry: Registry) -> None:
    ours = Ours("harness", Scripted(lambda pair: compared(pair.head, "FAILED", reason="it crashed")), registry)
    with pytest.raises(RuntimeError, match="it crashed"):
        ours.compare(2, 4.0)


# ---- other tools


def scripted_run(monkeypatch: pytest.MonkeyPatch, stored: list[dict], said: str) -> None:
    """Have each process leave the next stored file where its command says, and print `said`."""
    files = iter(stored)

    def _run(command: list[str], folder: str, **environment: str) -> object:
        import subprocess

        for number, word in enumerate(command):
            if word.startswith("--benchmark-json="):
                Path(word.partition("=")[2]).write_text(json.dumps(next(files)))
            if word == "-o":
                (Path(folder) / command[number + 1]).write_text(json.dumps(next(files)))
        return subprocess.CompletedProcess(command, 0, said, "")

    monkeypatch.setattr(rivals, "_run", _run)


@pytest.mark.parametrize(("said", "strict"), [("", False), ("ERROR: Performance has regressed:", True)])
def test_pytest_benchmark_by_its_own_word_and_by_its_medians(
    monkeypatch: pytest.MonkeyPatch, said: str, strict: bool
) -> None:
    scripted_run(monkeypatch, [{"benchmarks": [{"stats": {"median": one}}]} for one in (1.0, 1.06)], said)
    tight, loose = rivals.PytestBenchmark().compare(5, 4.0)
    assert tight == Outcome("pytest-benchmark median:1%", strict, 1.06)
    assert loose == Outcome("pytest-benchmark median:5%", True, 1.06)


@pytest.mark.parametrize(
    ("said", "means", "outcomes"),
    [
        ("Mean +- std dev: [base] 1.6 ms -> [head] 1.7 ms: 1.06x slower", (1.0, 1.06), (True, True)),
        ("Mean +- std dev: [base] 1.6 ms -> [head] 1.6 ms: 1.00x slower", (1.0, 1.004), (True, False)),
        ("Mean +- std dev: [base] 1.7 ms -> [head] 1.6 ms: 1.06x faster", (1.06, 1.0), (False, False)),
        ("Benchmark hidden because not significant (1): softmax", (1.0, 1.2), (False, False)),
    ],
)
def test_pyperf_by_its_own_word(
    monkeypatch: pytest.MonkeyPatch, said: str, means: tuple[float, float], outcomes: tuple[bool, bool]
) -> None:
    stored = [{"benchmarks": [{"runs": [{"metadata": {}}, {"values": [one, one]}]}]} for one in means]
    scripted_run(monkeypatch, stored, said)
    assert tuple(one.slower for one in rivals.Pyperf().compare(5, 4.0)) == outcomes


@pytest.mark.parametrize("tool", rivals.RIVALS, ids=lambda tool: tool.name)
def test_a_rival_that_is_not_installed_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tool: rivals.Tool) -> None:
    monkeypatch.setattr(rivals, "_installed", lambda module: False)
    assert "pip install 'kernel-harness[rivals]'" in (tool.missing() or "")


@pytest.mark.parametrize("tool", rivals.RIVALS, ids=lambda tool: tool.name)
@pytest.mark.timed
def test_a_rival_compares_for_real(tool: rivals.Tool) -> None:
    if reason := tool.missing():
        pytest.skip(reason)
    outcomes = tool.compare(10, 1.0)
    assert len(outcomes) == 2
    assert all(one.estimate is not None and 0.1 < one.estimate < 10 for one in outcomes)


# ---- gates


@pytest.fixture(autouse=True)
def no_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "true_ratio", lambda slower, seconds, shape: Interval(1.031, 1.03, 1.032))


def test_a_gate_that_names_the_slowed_task_and_only_that_is_right(registry: Registry) -> None:
    def answer(pair: Pair) -> Compared:
        is_slow = "slower" in pair.head.id
        return compared(pair.head, "SLOWER" if is_slow else "SAME", rounds=9 if is_slow else 3)

    comparer = Scripted(answer)
    kept = Kept(None, "gate", "m")
    gate.try_all(gate.Plan(tasks=10, repeats=4, fixed=1, budget_s=7.0), registry, comparer, kept, quiet)
    unchanged, one_slower, fixed = gate.table(kept)
    assert (unchanged["repeats"], unchanged["right"], unchanged["false_alarms"]) == (4, 4, 0)
    assert (one_slower["repeats"], one_slower["right"], one_slower["named"]) == (4, 4, 4)
    assert one_slower["rounds"] == (9 + 9 * 3) / 10
    assert comparer.asked == [(10, 7.0, None)] * 8 + [(10, 7.0, 9)]
    assert (fixed["right"], fixed["times_adaptive"]) == (1, 4.5)
    assert (unchanged["true_ratio"], one_slower["true_ratio"]) == (None, 1.031)


def test_alarms_on_unchanged_tasks_are_counted_and_make_a_gate_wrong(registry: Registry) -> None:
    def answer(pair: Pair) -> Compared:
        alarmed = pair.head.case.shapes[0][1] == gate.shape_of(3)[1]
        return compared(pair.head, "FASTER" if alarmed else "UNCLEAR")

    kept = Kept(None, "gate", "m")
    gate.try_all(gate.Plan(tasks=5, repeats=2, fixed=0), registry, Scripted(answer), kept, quiet)
    unchanged, one_slower = gate.table(kept)
    assert (unchanged["right"], unchanged["false_alarms"], unchanged["unclear"]) == (0, 2, 4)
    assert (one_slower["right"], one_slower["named"]) == (0, 0)


def test_a_gate_goes_on_where_it_was(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    comparer = Scripted(lambda pair: compared(pair.head))
    gate.try_all(gate.Plan(3, 2, 1), registry, comparer, Kept(path, "gate", "m"), quiet)
    assert len(comparer.asked) == 5
    gate.try_all(gate.Plan(3, 3, 1), registry, comparer, Kept(path, "gate", "m"), quiet)
    assert len(comparer.asked) == 7


def test_no_two_tasks_of_a_gate_share_a_case(registry: Registry) -> None:
    assert len({softmax_pair(registry, 0, gate.shape_of(number)).head.id for number in range(200)}) == 200


# ---- intervals


def test_intervals_that_miss_one_are_counted_by_clock(registry: Registry) -> None:
    bounds = iter([(0.99, 1.01), (1.001, 1.02), (0.9, 0.999), (0.98, 1.0)])

    def answer(pair: Pair) -> Compared:
        low, high = next(bounds)
        return compared(pair.head, cpu_ratio=(low + high) / 2, cpu_low=low, cpu_high=high, wall_ratio=1.0)

    kept = Kept(None, "intervals", "m")
    comparer = Scripted(answer)
    intervals.try_all(softmax_pair(registry, 0), comparer, 4, 2.0, kept, quiet)
    by_cpu, by_wall = intervals.table(kept)
    assert (by_cpu["comparisons"], by_cpu["missed"]) == (4, 2)
    assert by_cpu["missed_share"] == 0.5
    assert (by_wall["comparisons"], by_wall["missed"], by_wall["share_low"]) == (0, None, None)
    intervals.try_all(softmax_pair(registry, 0), comparer, 4, 2.0, kept, quiet)
    assert len(comparer.asked) == 4

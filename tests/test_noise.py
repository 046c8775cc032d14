"""A/A comparisons: what they come to, the page that shows them, and advice from the files of fake machines."""

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.comparing.verdicts import Compared, Comparison
from harness.declare import Case
from harness.implement import Declaration
from harness.plan import NothingSelected, Task
from harness.registry import Registry, load
from harness.store import Store
from harness.trials import noise
from harness.trials.advice import Advice, advise, cores_of
from harness.trials.comparer import Pair
from harness.trials.noise import Measured, Seen, TaskNoise

CASE = Case("float32", ((8, 8),), (("dim", 1),))
TASK = Task(Declaration("softmax", "numpy", "builtin"), CASE)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load([], [], [])


def seen(*ratios: float, half_width: float = 0.005) -> tuple[Seen, ...]:
    return tuple(Seen(ratio, ratio - half_width, ratio + half_width) for ratio in ratios)


def noisy(*ratios: float, **fields: object) -> TaskNoise:
    known = {"task": TASK, "clock": "cpu", "deciding": True, "alarms": 0, "median_ns": 1_600_000, "contaminated": 0.1}
    return TaskNoise(seen=seen(*ratios), **{**known, **fields})


class Gates:
    """A comparer that gives these (verdict, CPU ratio, wall ratio) one after the other, to every pair."""

    def __init__(self, *answers: tuple[str, float | None, float | None]) -> None:
        self.answers = list(answers)
        self.budgets: list[float] = []

    def __call__(self, pairs: Sequence[Pair], budget_s: float, rounds: int | None = None) -> Comparison:
        self.budgets.append(budget_s)
        verdict, cpu, wall = self.answers.pop(0)
        return Comparison(
            base="a", head="b", machine_id="m1", rows=tuple(self._row(pair, verdict, cpu, wall) for pair in pairs)
        )

    def _row(self, pair: Pair, verdict: str, cpu: float | None, wall: float | None) -> Compared:
        assert pair.base == pair.head
        fields: dict[str, object] = {}
        for name, ratio in (("cpu", cpu), ("wall", wall)):
            if ratio is not None:
                fields |= {f"{name}_ratio": ratio, f"{name}_low": ratio - 0.004, f"{name}_high": ratio + 0.004}
        one = pair.head.declaration
        return Compared(
            operator=one.operator,
            backend=one.backend,
            implementation=one.implementation,
            case=pair.head.case.id,
            verdict=verdict,
            reason="scripted",
            clock=None if cpu is None else "cpu",
            ratio=cpu,
            base_ns=1000,
            samples=10,
            contaminated=3,
            **fields,
        )


def quiet(text: str, done: int, total: int) -> None:
    return None


def test_spread_and_what_can_be_seen_follow_from_the_ratios() -> None:
    one = noisy(1.01, 1 / 1.01, 1.01, 1 / 1.01)
    assert one.spread == pytest.approx(1.96 * math.log(1.01))
    assert one.missed == 4
    assert one.detectable == pytest.approx(one.spread + 1.2816 * one.spread / 1.96)


def test_without_any_spread_the_floor_or_the_interval_can_be_seen() -> None:
    assert noisy(1.0, 1.0).detectable == pytest.approx(0.01)
    wide = TaskNoise(TASK, "cpu", True, seen(1.0, 1.0, half_width=0.03), 0, None, 0.0)
    assert wide.detectable == pytest.approx(0.03)


def test_alarms_and_misses_are_counted_over_all_comparisons() -> None:
    gates = Gates(("SAME", 1.001, 0.998), ("SLOWER", 1.03, 1.05), ("UNCLEAR", 0.99, None), ("SAME", 1.0, 1.0))
    found = noise.measure([TASK, TASK], gates, 4, 20.0, quiet)
    assert gates.budgets == [5.0] * 4
    assert (found.comparisons, found.alarms, found.skipped) == (8, 2, ())
    assert found.rate_in_words == "2 of 8 (95 %: 3.2 to 65 %)"
    cpu, wall = found.tasks[:2]
    assert (cpu.clock, cpu.deciding, cpu.alarms, cpu.missed, len(cpu.seen)) == ("cpu", True, 1, 2, 4)
    assert (wall.clock, wall.deciding, wall.alarms, len(wall.seen)) == ("wall", False, 0, 3)
    assert cpu.contaminated == 0.3


def test_a_task_that_cannot_be_compared_is_named() -> None:
    found = noise.measure([TASK], Gates(("FAILED", None, None)), 1, 1.0, quiet)
    assert (found.comparisons, found.tasks) == (0, ())
    assert found.skipped == ((TASK.id, "scripted"),)
    assert found.rate_in_words == "nothing was compared"


def test_the_smallest_and_the_largest_case_of_each_implementation_are_chosen(registry: Registry) -> None:
    tasks = noise.chosen(registry, ["softmax/numpy"])
    by_implementation: dict[str, list[int]] = {}
    for task in tasks:
        size = registry.operators["softmax"].cost(task.case).bytes
        by_implementation.setdefault(task.declaration.id, []).append(size)
    assert set(by_implementation) == {one.id for one in registry.declarations if one.id.startswith("softmax/numpy/")}
    assert all(small < large for small, large in by_implementation.values())


def test_nothing_selected_is_said(registry: Registry) -> None:
    with pytest.raises(NothingSelected, match="harness list"):
        noise.chosen(registry, ["soft_min"])


def measured(*tasks: TaskNoise, **fields: object) -> Measured:
    known = {"machine_id": "m1", "comparisons": 40, "alarms": 1, "skipped": (), "seconds": 12.0}
    return Measured(tasks=tasks, **{**known, **fields})


def test_noise_is_kept_in_the_store_and_the_newest_counts(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        store.add_noise(noise.for_store(measured(noisy(1.05))))
        store.add_noise(noise.for_store(measured(noisy(1.01, 1.0), noisy(1.02, clock="wall", deciding=False))))
        found = {one.clock: one for one in store.noise("m1")}
        assert store.noise("m2") == []
    assert found["cpu"].spread == pytest.approx(1.96 * math.log(1.01) / math.sqrt(2))
    assert (found["cpu"].comparisons, found["cpu"].case) == (2, CASE.id)
    assert found["wall"].detectable > found["wall"].spread > 0.03


def test_rows_are_json_and_have_no_alarms_where_no_verdict_is_by_the_clock() -> None:
    cpu, wall = noise.rows_of(measured(noisy(1.01, alarms=1), noisy(1.02, clock="wall", deciding=False)))
    assert (cpu["alarms"], wall["alarms"]) == (1, None)
    assert cpu["ratios"] == [1.01]


# ---- the page


def test_the_page_shows_every_comparison_and_escapes_what_plugins_say() -> None:
    from harness.reports.noise_picture import page

    hostile = Task(Declaration("softmax", "numpy", "<script>alert(1)</script>"), CASE)
    one = noisy(1.01, 0.99, 1.3)
    other = dataclasses.replace(noisy(1.0), task=hostile)
    advice = [Advice("governor", "powersave", "slow & slower", "echo performance")]
    text = page(measured(one, other, skipped=((hostile.id, "\x1b[31mit broke"),)), advice)
    assert "<script" not in text
    assert "\x1b" not in text
    assert text.count('<circle class="dot"') == 4
    assert "1 of 40 (95 %: 0.1 to 13 %)" in text
    assert "slow &amp; slower" in text
    assert "http" not in text


def test_the_picture_is_to_scale() -> None:
    from harness.reports.noise_picture import picture

    drawn = picture([noisy(0.98, 1.0, 1.02), noisy(1.1, clock="wall", deciding=False)])
    assert drawn is not None
    (row,) = drawn.rows
    left, middle, right = row.dots
    assert middle == pytest.approx((drawn.label + drawn.width - 24) / 2, abs=0.2)
    assert right - middle == pytest.approx(middle - left, abs=0.2)
    assert row.low < left < right < row.high < row.detectable <= drawn.width
    words = [text for _, text in drawn.ticks]
    assert "0" in words
    assert all(re.fullmatch(r"0|[+-][\d.]+ %", word) for word in words)


def test_without_a_deciding_clock_there_is_no_picture() -> None:
    from harness.reports.noise_picture import page, picture

    assert picture([]) is None
    assert "<svg" not in page(measured(comparisons=0, alarms=0), [])


# ---- advice


def machine(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    return root


CPU = "sys/devices/system/cpu"


@pytest.mark.parametrize(
    ("files", "environment", "topic", "command"),
    [
        (
            {f"{CPU}/cpu0/cpufreq/scaling_governor": "powersave"},
            {},
            "governor",
            f"echo performance | sudo tee /{CPU}/cpu*/cpufreq/scaling_governor",
        ),
        ({f"{CPU}/intel_pstate/no_turbo": "0"}, {}, "turbo", f"echo 1 | sudo tee /{CPU}/intel_pstate/no_turbo"),
        ({f"{CPU}/cpufreq/boost": "1"}, {}, "turbo", f"echo 0 | sudo tee /{CPU}/cpufreq/boost"),
        ({f"{CPU}/isolated": "2-3"}, {}, "pinning", "taskset -c 2,3 harness ..."),
        ({f"{CPU}/smt/active": "1"}, {}, "SMT", f"echo off | sudo tee /{CPU}/smt/control"),
        ({}, {"OMP_NUM_THREADS": "64"}, "threads", "export OMP_NUM_THREADS=2"),
        ({f"{CPU}/online": "0-15"}, {}, "threads", "export OMP_NUM_THREADS=2"),
        (
            {"sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never"},
            {},
            "huge pages",
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        ({"proc/sys/kernel/randomize_va_space": "2"}, {}, "address randomisation", "setarch -R harness ..."),
        ({"proc/loadavg": "1.90 1.0 0.5 1/2 3"}, {}, "load", "ps -eo pcpu,pid,args --sort=-pcpu | head"),
        ({"proc/stat": "cpu  50 0 20 20 0 0 0 10 0 0"}, {}, "other virtual machines", "vmstat 1"),
        ({"sys/fs/cgroup/cpu.max": "50000 100000"}, {}, "CPU quota", "docker update --cpus=0"),
        (
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"},
            {},
            "CPU quota",
            "docker update --cpus=0",
        ),
        ({"sys/class/power_supply/BAT0/status": "Discharging"}, {}, "power", "plug it in"),
    ],
)
def test_each_source_of_noise_comes_with_its_command(
    tmp_path: Path, files: dict[str, str], environment: dict[str, str], topic: str, command: str
) -> None:
    (advice,) = advise(machine(tmp_path, files), environment, frozenset({0, 1}))
    assert advice.topic == topic
    assert advice.command.startswith(command)
    assert advice.found
    assert advice.why


def test_a_quiet_machine_and_one_that_says_nothing_need_no_advice(tmp_path: Path) -> None:
    files = {
        f"{CPU}/cpu0/cpufreq/scaling_governor": "performance",
        f"{CPU}/intel_pstate/no_turbo": "1",
        f"{CPU}/isolated": "0-1",
        f"{CPU}/online": "0-1",
        f"{CPU}/smt/active": "0",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
        "proc/sys/kernel/randomize_va_space": "0",
        "proc/loadavg": "0.10 0.1 0.1 1/2 3",
        "proc/stat": "cpu  50 0 20 20 0 0 0 0 0 0",
        "sys/fs/cgroup/cpu.max": "max 100000",
        "sys/class/power_supply/BAT0/status": "Charging",
    }
    cores = frozenset({0, 1})
    assert advise(machine(tmp_path / "quiet", files), {"OMP_NUM_THREADS": "2"}, cores) == []
    assert advise(tmp_path / "empty", {}, cores) == []
    garbage = dict.fromkeys(files, "??")
    assert [one.topic for one in advise(machine(tmp_path / "odd", garbage), {}, cores) if one.topic != "governor"] == [
        "address randomisation"
    ]


def test_many_cores_are_worth_pinning(tmp_path: Path) -> None:
    (advice,) = advise(tmp_path, {}, frozenset(range(8)))
    assert (advice.topic, advice.command) == ("pinning", "taskset -c 6,7 harness ...")


@pytest.mark.parametrize(("text", "cores"), [("", ()), ("0", (0,)), ("0-2,8", (0, 1, 2, 8)), ("a-b", ()), ("1-x", ())])
def test_a_list_of_cores(text: str, cores: tuple[int, ...]) -> None:
    assert cores_of(text) == frozenset(cores)

"""A plan is dealt to several jobs: each task to one, alike everywhere, evenly, and the parts make up the whole."""

from __future__ import annotations

import json
import math
import os
import random
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
import yaml
from conftest import record, timed

import harness
from harness import api, dealing, sharding
from harness.balance import Load, Price, Unit, deal, side_by_side
from harness.cli import app
from harness.comparing.deciding import holm, holm_of_part
from harness.comparing.verdicts import Comparison
from harness.durations import CHECK_US, FIRST_US, Durations, learn
from harness.execute import Options
from harness.plan import Planned, Task, planned
from harness.record import Record
from harness.registry import Registry, load
from harness.sharding import Shard, ShardError, contradiction, deal_of, lacking, name_of, part_of, shard_words
from harness.store import Store
from harness.timing.groups import Group, Settings
from harness.timing.stopwatch import Stopwatch

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github/workflows/sharded.yml"
WRONG = str(ROOT / "tests/sabotage/plugins/softmax_without_max.py")
REGISTRY = load()
SLICE = ("dot/numpy/builtin", "dot/numpy/array_api/float16*")
KEY = ("operator", "backend", "implementation", "case")
QUICK = Options(settings=Settings(budget_s=0.2, processes=2))


# ---- which part


@pytest.mark.parametrize("text", ["1/1", "2/5", "5/5", "256/256"])
def test_a_shard_is_written_as_a_fraction(text: str) -> None:
    assert str(Shard.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0/5", "numbered from 1/5 to 5/5"),
        ("6/5", "numbered from 1/5 to 5/5"),
        ("2/0", "1 to 256 shards"),
        ("1/257", "1 to 256 shards"),
        *(
            (text, "2/5, the second of five")
            for text in ("x/5", "2", "", "-1/5", "1/-5", "2/5 ", "1.0/5", "\u0662/\u0665", "2/5/7")
        ),
    ],
)
def test_what_is_no_shard_is_refused_with_what_would_be(text: str, words: str) -> None:
    with pytest.raises(ShardError, match=words):
        Shard.parse(text)


# ---- the deal


def units(costs: Iterable[int], needs: Sequence[str] = (), queue: str = "numpy") -> list[Unit]:
    wanted = frozenset(("operator", need) for need in needs)
    return [Unit((f"{queue}/{needs}", at, at), (queue, ""), cost, wanted) for at, cost in enumerate(costs)]


def test_a_shard_is_as_fast_as_its_workers_side_by_side() -> None:
    assert [side_by_side(one) for one in ([], [5], [5, 4], [5, 4, 3])] == [0, 5, 5, 7]


def test_equal_pieces_are_dealt_evenly() -> None:
    loads = deal(units([10] * 25), {}, 5)
    assert [len(load.units) for load in loads] == [5] * 5


def test_no_shard_is_longer_than_an_even_one_and_a_piece() -> None:
    rng = random.Random(8)
    for shards in (2, 3, 5, 16):
        costs = [int(1000 * rng.paretovariate(1.2)) for _ in range(400)]
        times = [load.time_us({}) for load in deal(units(costs), {}, shards)]
        assert max(times) <= max(*costs, 1.01 * sum(costs) / shards)


def test_what_shares_a_dear_beginning_stays_together() -> None:
    """Two kernels whose compilers take ten seconds, with a hundred quick cases each: nobody pays for both."""
    prices = {("operator", name): Price(("numpy", ""), 10_000_000) for name in "ab"}
    loads = deal([*units([10_000] * 100, "a"), *units([10_000] * 100, "b")], prices, 2)
    assert [len(load.needs) for load in loads] == [1, 1]
    assert max(load.time_us({}) for load in loads) == 11_000_000


def test_two_cases_that_need_the_same_to_be_right_are_timed_in_one_place() -> None:
    """Three operators with two cases of 4 s each, and 6 s of conformance before: nobody checks for half a pair."""
    queue = "numpy", ""
    prices = {("conformance", name): Price(queue, 6_000_000) for name in "abc"}
    pairs = [
        Unit((name, case), queue, 4_000_000, frozenset([("conformance", name)]), alone=True)
        for name in "abc"
        for case in ("small", "large")
    ]
    assert [load.time_us({}) for load in deal(pairs, prices, 3)] == [14_000_000] * 3


def test_a_beginning_is_paid_for_twice_where_that_is_quicker() -> None:
    prices = {("operator", "a"): Price(("numpy", ""), 1_000_000)}
    loads = deal(units([1_000_000] * 100, "a"), prices, 4)
    assert [len(load.units) for load in loads] == [25] * 4


def random_durations(whole: Planned, seed: int = 3) -> Durations:
    rng = random.Random(seed)
    checks = {name_of(task): int(rng.paretovariate(1.1) * 5000) for task in whole.checked}
    groups = {(task.declaration.operator, task.case.id): rng.randrange(2_000_000, 9_000_000) for task in whole.timed}
    firsts = {("operator", name): rng.randrange(1_000_000) for name in REGISTRY.operators}
    return Durations(checks, groups, firsts)


def time_of(part: Planned, durations: Durations) -> float:
    """Seconds, reckoned from the tasks alone."""
    load = Load()
    for task in part.checked:
        declared = task.declaration
        queue = declared.backend, declared.path
        for need in (("worker", queue), ("operator", declared.operator), ("implementation", declared.id)):
            if need not in load.needs:
                load.needs.add(need)
                load.queues[queue] += durations.first_us(need)
        load.queues[queue] += durations.check_us(name_of(task))
    load.alone_us = sum(durations.group_us(*one) for one in {(t.declaration.operator, t.case.id) for t in part.timed})
    return load.time_us({}) / 1e6


def ids(part: Planned) -> tuple[list[str], list[str]]:
    return [task.id for task in part.checked], [task.id for task in part.timed]


@pytest.mark.parametrize("shards", [1, 2, 5, 17])
def test_each_task_of_a_check_is_in_one_part(shards: int) -> None:
    whole = planned(REGISTRY, ["softmax", "sum/*", "*/cuda_cpu/*"], "check")
    found, _ = deal_of("check", whole, random_durations(whole), shards)
    parts = [part_of("check", whole, found, Shard(number + 1, shards)) for number in range(shards)]
    together = [one for part in parts for one in ids(part)[0]]
    assert len(together) == len(set(together)) == found["check"] == len(whole.checked)
    assert set(together) == set(ids(whole)[0])
    assert [one["check"] for one in found["parts"]] == [len(part.checked) for part in parts]


@pytest.mark.parametrize("shards", [2, 5, 17])
def test_what_is_expected_of_a_shard_is_what_its_tasks_add_up_to(shards: int) -> None:
    """With one worker: of two, either may be the one that pays for an operator."""
    whole = planned(REGISTRY, ["softmax/numpy", "sum/numpy", "exp/numpy"], "check")
    durations = random_durations(whole)
    found, forecast = deal_of("check", whole, durations, shards)
    parts = [part_of("check", whole, found, Shard(number + 1, shards)) for number in range(shards)]
    assert [time_of(part, durations) for part in parts] == pytest.approx(forecast.seconds)


@pytest.mark.parametrize("shards", [1, 2, 5, 40])
def test_a_benchmark_case_is_in_one_part_with_all_that_has_to_be_right_before(shards: int) -> None:
    whole = planned(REGISTRY, ["max/*py", "sum/torch", "dot", "exp/numpy"], "bench")
    found, _ = deal_of("bench", whole, random_durations(whole), shards)
    parts = [part_of("bench", whole, found, Shard(number + 1, shards)) for number in range(shards)]
    timed = [one for part in parts for one in ids(part)[1]]
    assert sorted(timed) == sorted(ids(whole)[1])
    assert {one for part in parts for one in ids(part)[0]} == set(ids(whole)[0])
    assert [(one["check"], one["bench"]) for one in found["parts"]] == [tuple(map(len, ids(part))) for part in parts]
    for part in parts:
        groups = {(task.declaration.operator, task.case.id) for task in part.timed}
        assert len(part.timed) == sum((t.declaration.operator, t.case.id) in groups for t in whole.timed)
        wanted = {(task.declaration.id, task.case.dtype) for task in part.timed}
        needed = {task.id for task in whole.checked if (task.declaration.id, task.case.dtype) in wanted}
        assert needed <= set(ids(part)[0])


def test_a_plan_is_walked_once_for_however_many_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[Planned] = []
    places = sharding._places

    def counted(whole: Planned) -> Iterator[tuple[Task, int | None]]:
        walks.append(whole)
        return places(whole)

    monkeypatch.setattr(sharding, "_places", counted)
    deal_of("bench", planned(REGISTRY, ["dot"], "bench"), Durations(), 256)
    assert len(walks) == 1


def test_everything_that_there_is_is_dealt_more_evenly_than_by_numbers() -> None:
    whole = planned(REGISTRY, [], "check")
    durations, count = random_durations(whole), 5
    found, forecast = deal_of("check", whole, durations, count)
    dealt = [time_of(part_of("check", whole, found, Shard(at + 1, count)), durations) for at in range(count)]
    size = math.ceil(len(whole.checked) / count)
    slices = [time_of(Planned(whole.checked[at * size : (at + 1) * size]), durations) for at in range(count)]
    every = [time_of(Planned(whole.checked[at::count]), durations) for at in range(count)]
    (alone,) = deal_of("check", whole, durations, 1)[1].seconds
    assert max(forecast.seconds) <= 1.05 * alone / count
    assert max(dealt) < min(max(slices), max(every))


def test_the_deal_is_the_same_in_every_process_and_in_whatever_order_things_are_known() -> None:
    code = """
import random, sys
from test_sharding import *
whole = planned(REGISTRY, ["max", "sum/numpy", "dot"], "bench")
known = random_durations(whole)
rng = random.Random(int(sys.argv[1]))
parts = known.checks, known.groups, known.firsts
mixed = Durations(*(dict(rng.sample(sorted(one.items()), len(one))) for one in parts))
print(json.dumps(deal_of("bench", whole, mixed, 5)[0]))
"""
    said = [
        subprocess.run(
            [sys.executable, "-c", code, seed],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "tests")},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(json.loads(said[0])["parts"]) == 5


def test_parts_that_were_dealt_by_other_durations_are_told_apart() -> None:
    whole = planned(REGISTRY, ["sum"], "check")
    first, _ = deal_of("check", whole, random_durations(whole, 1), 3)
    same, _ = deal_of("check", whole, random_durations(whole, 1), 3)
    other, _ = deal_of("check", whole, random_durations(whole, 2), 3)
    assert contradiction([first, same]) == ""
    assert "other durations were known" in contradiction([first, same, other])
    assert "of 3 and of 4 shards" in contradiction([first, deal_of("check", whole, Durations(), 4)[0]])
    fewer = planned(REGISTRY, ["sum/numpy"], "check")
    assert "out of other tasks" in contradiction([first, deal_of("check", fewer, Durations(), 3)[0]])


def test_a_part_of_a_plan_that_has_changed_is_refused() -> None:
    whole = planned(REGISTRY, ["sum/numpy"], "check")
    found, _ = deal_of("check", whole, Durations(), 3)
    with pytest.raises(ShardError, match=r"shard 2/3 was dealt out of other tasks"):
        part_of("check", Planned(whole.checked[1:]), found, Shard(2, 3))


def test_what_is_missing_is_named_with_what_it_holds() -> None:
    whole = planned(REGISTRY, ["sum/numpy", "max/numpy"], "check")
    found, _ = deal_of("check", whole, Durations(), 3)
    assert lacking(found, {1, 2, 3}) == ""
    said = lacking(found, {1, 3})
    assert said.startswith(f"shard 2/3 ({found['parts'][1]['check']} tasks: ")
    assert "/numpy/" in said and "shard 1/3" not in said


def test_what_a_shard_has_is_said_in_one_line() -> None:
    whole = planned(REGISTRY, ["sum"], "check")
    found, forecast = deal_of("check", whole, random_durations(whole), 5)
    part = found["parts"][1]["check"]
    begin = f"shard 2/5: {part:,} of {len(whole.checked):,} tasks"
    assert shard_words(found, forecast, Shard(2, 5)).startswith(f"{begin}, about ")
    assert shard_words(*deal_of("check", whole, Durations(), 5), Shard(2, 5)).endswith("so all count alike")


# ---- what is learnt from earlier runs


def row(implementation: str, case: str, duration_s: float, **changes: Any) -> Mapping[str, Any]:
    found = {
        "phase": "check", "operator": "sum", "backend": "numpy", "implementation": implementation, "case": case,
        "status": "passed", "seed": 1, "machine_id": "m", "duration_s": duration_s,
    }  # fmt: skip
    return {**found, **changes}


QUEUES = {"sum/numpy/builtin": ("numpy", ""), "sum/numpy/mine": ("numpy", "mine.py")}


def test_what_comes_first_is_told_from_what_comes_each_time() -> None:
    first = [row("builtin", "0", 1.51), *(row("builtin", str(at), 0.01) for at in range(1, 9))]
    second = [row("online", "0", 0.31), *(row("online", str(at), 0.02) for at in range(1, 9))]
    found = learn([[*first, *second]], QUEUES)
    assert found.check_us(("sum", "numpy", "builtin", "0")) == 10_000
    assert found.check_us(("sum", "numpy", "online", "0")) == 20_000
    assert found.first_us(("worker", ("numpy", ""))) == 1_500_000
    assert found.first_us(("implementation", "sum/numpy/online")) == 290_000
    assert found.first_us(("worker", ("numpy", "mine.py"))) == 1_500_000, "as the others of its backend"


def test_the_newest_run_that_knows_a_task_counts() -> None:
    newer = [row("builtin", str(at), 0.02) for at in range(5)]
    older = [row("builtin", str(at), 0.01) for at in range(9)]
    found = learn([newer, older], QUEUES)
    assert found.check_us(("sum", "numpy", "builtin", "4")) == 20_000
    assert found.check_us(("sum", "numpy", "builtin", "8")) == 10_000


def test_a_newer_check_hides_no_times() -> None:
    check = [row("builtin", str(at), 0.01) for at in range(5)]
    bench = [*check, *(row("builtin", str(at), 10.0 * at, phase="bench") for at in range(3))]
    wanted = {("sum", "numpy", "builtin", str(at)) for at in range(5)}, {("sum", str(at)) for at in range(3)}
    found = learn([check, bench], QUEUES, *wanted)
    assert found.groups == {("sum", "0"): 0, ("sum", "1"): 10_000_000, ("sum", "2"): 20_000_000}

    def until_all_is_known() -> Iterator[Sequence[Mapping[str, Any]]]:
        yield from (check, bench)
        raise AssertionError("all was known")

    assert learn(until_all_is_known(), QUEUES, *wanted) == found


def test_a_check_after_the_last_bench_changes_no_forecast_of_a_bench(tmp_path: Path) -> None:
    store = str(tmp_path / "results.sqlite")
    whole = planned(REGISTRY, ["dot/numpy/builtin"], "bench")
    checks = [record(operator="dot", case=task.case.id, duration_s=0.01) for task in whole.checked]
    times = [timed("builtin", 10**6, operator="dot", case=one.case.id, duration_s=7.0) for one in whole.timed]
    add_run(store, "m", {}, checks, times)
    before = learnt(store, whole)
    assert set(before.groups.values()) == {7_000_000}
    add_run(store, "m", {}, checks)
    assert learnt(store, whole).groups == before.groups


def test_what_is_not_known_is_as_what_is_like_it() -> None:
    rows = [
        *(row("builtin", str(at), 0.01) for at in range(9)),
        *(row("online", str(at), 0.03, operator="max") for at in range(9)),
        *(row("builtin", str(at), 0.05, backend="torch") for at in range(9)),
    ]
    found = learn([rows], QUEUES)
    assert found.check_us(("sum", "numpy", "builtin", "new")) == 10_000
    assert found.check_us(("sum", "numpy", "new", "new")) == 10_000
    assert found.check_us(("max", "torch", "new", "new")) == 30_000
    assert found.check_us(("new", "torch", "new", "new")) == 50_000
    assert found.check_us(("new", "new", "new", "new")) == 30_000
    assert Durations().check_us(("sum", "numpy", "builtin", "0")) == CHECK_US
    assert Durations().first_us(("worker", ("torch", ""))) == FIRST_US["worker"]


def test_a_backend_that_was_missing_counts_where_no_other_run_had_it() -> None:
    gone = [row("builtin", str(at), 0.0001, backend="torch", status="missing") for at in range(5)]
    assert learn([gone], {}).check_us(("sum", "torch", "builtin", "0")) == 100
    there = [row("builtin", str(at), 0.04, backend="torch") for at in range(5)]
    assert learn([gone, there], {}).check_us(("sum", "torch", "builtin", "0")) == 40_000


def test_parts_of_a_joined_run_each_had_a_beginning() -> None:
    parts = [row("builtin", str(at), 1.5 if at % 5 == 0 else 0.01, seed=at // 5) for at in range(25)]
    found = learn([parts], QUEUES)
    assert {found.check_us(("sum", "numpy", "builtin", str(at))) for at in range(25)} == {10_000}


def test_a_benchmark_case_takes_what_all_of_its_implementations_took() -> None:
    timed = [row(name, "big", 1.5, phase="bench") for name in ("builtin", "online")]
    found = learn([timed], QUEUES)
    assert found.group_us("sum", "big") == found.group_us("sum", "new") == 3_000_000


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1e300])
def test_a_duration_that_cannot_be_teaches_nothing_absurd(value: float) -> None:
    whole = planned(REGISTRY, ["sum/numpy/builtin"], "check")
    rows = [row("builtin", task.case.id, value) for task in whole.checked]
    _, forecast = deal_of("check", whole, learn([rows], QUEUES), 3)
    assert all(0.0 <= one < 3600.0 for one in forecast.seconds)


# ---- durations of records


def test_the_stage_is_shared_by_those_that_were_on_it() -> None:
    now = iter([0.0, 3.0, 5.0, 5.0, 9.0, 10.0, 12.0])
    one, two = (SimpleNamespace(timings={name: SimpleNamespace(blocks={}) for name in names}) for names in ("ab", "c"))
    watch = Stopwatch([one, two], lambda: next(now))  # type: ignore[list-item]
    for group, final in ((one, True), (two, False), (two, True)):
        watch.begin()
        watch.end(group, final)  # type: ignore[arg-type]
    # workers started for 3 s, for both; for the last process 1 s, for one
    assert watch.share_s(one) == pytest.approx((1.5 + 2.0) / 2)  # type: ignore[arg-type]
    assert watch.share_s(two) == pytest.approx(1.5 + 4.0 + 1.0 + 2.0)  # type: ignore[arg-type]


def test_processes_of_an_interrupted_run_count_as_those_that_follow() -> None:
    now = iter([0.0, 0.0, 2.0])
    group: Group = SimpleNamespace(timings={"a": SimpleNamespace(blocks={(0, 0): 1.0, (1, 0): 1.0})})  # type: ignore[assignment]
    watch = Stopwatch([group], lambda: next(now))
    watch.begin()
    watch.end(group, True)
    assert watch.share_s(group) == pytest.approx(6.0)


# ---- real runs


def rows_of(records: Iterable[Record], but: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return sorted((one.id, one.status) for one in records if not one.id.startswith(but))


UNSURE = ("softmax/numpy/without_max/",)
"""Wrong for some inputs only: which of its tasks fail depends on what is drawn."""


def test_five_shards_in_five_stores_are_the_whole_run(tmp_path: Path) -> None:
    selected = (*SLICE, "softmax/numpy/without_max/float32*")
    whole = harness.check(*selected, plugins=[WRONG], store=str(tmp_path / "whole.sqlite"))
    assert whole.exit_code == 3
    assert all(one.duration_s is not None and one.duration_s > 0 for one in whole.checked)
    assert whole.frame()["duration_s"].notna().all()
    lines: list[str] = []
    parts = [
        api.run(
            "check",
            selected,
            plugins=[WRONG],
            store=str(tmp_path / f"{number}.sqlite"),
            shard=f"{number}/5",
            durations=str(tmp_path / "whole.sqlite"),
            told=lambda part, line: lines.append(line),
        )
        for number in range(1, 6)
    ]
    checked = [one for part in parts for one in part.checked]
    assert sorted(one.id for one in checked) == sorted(one.id for one in whole.checked)
    assert rows_of(checked, UNSURE) == rows_of(whole.checked, UNSURE)
    assert {part.exit_code for part in parts} <= {0, 3}
    assert any(part.exit_code == 3 for part in parts)
    assert len({one.seed for part in parts for one in part.checked}) == 5, "each part has a seed of its own"
    assert all(" s of " in line for line in lines)

    stores = [f"{number}.sqlite" for number in range(1, 6)]
    some = command(tmp_path, "store", "merge", *stores[:2], *stores[3:], "--into", "joined.sqlite")
    assert some.returncode == 5
    assert f"shard 3/5 ({len(parts[2].checked)} tasks" in " ".join(some.stdout.split())
    done = command(tmp_path, "store", "merge", stores[2], "--into", "joined.sqlite")
    assert done.returncode == 0, done.stdout + done.stderr
    with Store.open(str(tmp_path / "joined.sqlite")) as store:
        (joined,) = (info for info in store.runs() if info.shard is None)
        assert joined.exit_code == 3
        assert rows_of(store.records(joined.run_id)) == rows_of(checked)
        again = learnt(str(tmp_path / "joined.sqlite"), planned(load([WRONG]), selected, "check"))
        assert len(again.checks) == len(whole.checked), "the joined run tells how long all tasks take"


def test_a_shard_of_a_bench_times_its_cases_and_checks_what_they_need(tmp_path: Path) -> None:
    selected = ("dot/numpy/builtin", "dot/numpy/array_api")
    told: list[dealing.Dealt] = []
    store = str(tmp_path / "results.sqlite")
    done = api.run(
        "bench", selected, shard="1/2", options=QUICK, store=store, told=lambda part, line: told.append(part)
    )
    assert {one.case for one in done.timed} == {task.case.id for task in told[0].part.timed} != set()
    assert {one.implementation for one in done.timed} == {"builtin", "array_api"}
    assert {one.id for one in done.checked} == set(ids(told[0].part)[0])
    assert done.exit_code == 0
    assert all(one.median_ns and one.duration_s and one.duration_s > 0.05 for one in done.timed)


class Enough(Exception):
    pass


def test_a_shard_that_is_resumed_stays_the_same_part(tmp_path: Path) -> None:
    """Meanwhile the store has learnt durations, by which all would be dealt otherwise."""
    store = str(tmp_path / "results.sqlite")
    seen: list[str] = []

    def stop(text: str, done: int, total: int) -> None:
        seen.append(text)
        if len(seen) == 10:
            raise Enough

    told: list[dealing.Dealt] = []
    with pytest.raises(Enough):
        api.run("check", SLICE, store=store, shard="2/3", progress=stop, told=lambda part, line: told.append(part))
    with Store.open(store) as opened:
        (info,) = opened.runs()
        machine = opened.machine(info.machine_id)
    whole = planned(REGISTRY, SLICE, "check")
    uneven = [
        record(operator="dot", implementation=task.declaration.implementation, case=task.case.id, duration_s=float(at))
        for at, task in enumerate(whole.checked)
    ]
    add_run(store, info.machine_id, machine, uneven)
    with pytest.raises(ShardError, match=r"is shard 2/3; leave --shard out"):
        api.run("check", [], store=store, resume=True, shard="1/3")
    resumed = api.run("check", [], store=store, resume=True)
    assert sorted(one.id for one in resumed.checked) == sorted(ids(told[0].part)[0])
    again, _ = deal_of("check", whole, learnt(store, whole), 3)
    assert again["digest"] != told[0].deal["digest"], "nothing was shown: the deal is the same anyway"


def learnt(store: str, whole: Planned) -> Durations:
    with Store.open(store) as opened:
        return dealing.durations_from(whole, opened, None)[0]


def add_run(
    store: str,
    machine_id: str,
    machine: Mapping[str, Any],
    records: Sequence[Record],
    times: Sequence[Record] = (),
    **about: Any,
) -> str:
    with Store.open(store) as opened:
        info = opened.start_run(
            command="check", selectors=[], seed=1, budget_s=None, machine=machine, machine_id=machine_id, commit=None,
            dirty=None, **{key: value for key, value in about.items() if key != "finished"},
        )  # fmt: skip
        for phase, rows in (("check", records), ("bench", times)):
            for one in rows:
                opened.add(api.dataclasses.replace(one, run_id=info.run_id, machine_id=machine_id), phase)
        if about.get("finished", True):
            opened.finish_run(info.run_id, exit_code=0)
        return info.run_id


def test_what_other_shards_write_meanwhile_changes_no_deal(tmp_path: Path) -> None:
    store = str(tmp_path / "shared.sqlite")
    whole = planned(REGISTRY, ["sum/numpy/builtin"], "check")
    rows = [
        record(operator="sum", case=task.case.id, duration_s=float(at % 7) + 0.5)
        for at, task in enumerate(whole.checked)
    ]
    add_run(store, "m", {}, rows[:90])
    before = learnt(store, whole)
    add_run(store, "m", {}, rows, shard="1/3", deal={"id": "x"})
    add_run(store, "m", {}, rows, finished=False)
    assert learnt(store, whole) == before
    add_run(store, "m", {}, rows)
    assert learnt(store, whole) != before


@pytest.mark.parametrize("form", ["json", "csv"])
def test_durations_are_read_from_a_report_too(tmp_path: Path, form: str) -> None:
    from harness.reporting import write_report

    store = str(tmp_path / "results.sqlite")
    whole = planned(REGISTRY, ["sum/numpy/builtin"], "check")
    rows = [record(operator="sum", case=task.case.id, duration_s=0.01 * at) for at, task in enumerate(whole.checked)]
    add_run(store, "m", {}, rows)
    with Store.open(store) as opened:
        write_report(opened, None, form, tmp_path / f"durations.{form}")
        by_file, _ = dealing.durations_from(whole, opened, str(tmp_path / f"durations.{form}"))
        assert by_file == dealing.durations_from(whole, opened, None)[0]
        nothing, words = dealing.durations_from(whole, opened, str(tmp_path / "none.json"))
        assert nothing == Durations() and "no such file" in words
        with pytest.raises(ShardError, match=r"ends in \.sqlite"):
            (tmp_path / "durations.txt").write_text("x")
            dealing.durations_from(whole, opened, str(tmp_path / "durations.txt"))


# ---- how a part ends


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments], cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_a_shard_without_a_task_ends_well_and_is_stored(tmp_path: Path) -> None:
    done = command(tmp_path, "check", "max/numpy/builtin/float32[33]dim=0", "--shard", "7/8")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "shard 7/8: 0 of 1 tasks: there is less to deal than there are shards\n"
    with Store.open(str(tmp_path / ".harness/results.sqlite")) as store:
        (info,) = store.runs()
        assert (info.shard, info.exit_code, info.finished_at is None) == ("7/8", 0, False)


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("check", "max/numpy", "--shard", "0/5"), 2, "numbered from 1/5 to 5/5"),
        (("bench", "max/numpy", "--shard", "x/5"), 2, "2/5, the second of five"),
        (("check", "max/numpy", "--durations", "x.sqlite"), 2, "--shard 2/5, or leave it out"),
        (("check", "maxx/numpy", "--shard", "2/5"), 5, "the nearest are"),
        (("compare", "--ab", "max/numpy/builtin", "max/numpy/array_api", "--shard", "2/5"), 2, "leave it out"),
    ],
)
def test_what_cannot_be_dealt_is_one_line(tmp_path: Path, options: Sequence[str], code: int, words: str) -> None:
    done = command(tmp_path, *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)
    assert words in done.stderr
    assert not (tmp_path / ".harness").exists() or options[0] == "compare"


def dealt_to(whole: Planned, part: Planned) -> dealing.Dealt:
    return dealing.Dealt(Shard(1, 2), {}, whole, part)


def test_a_part_whose_backends_are_missing_fails_only_where_all_are() -> None:
    backends = {name: REGISTRY.backends[name] for name in ("numpy", "cupy")}
    absent = api.dataclasses.replace(backends["cupy"], missing="type: pip install cupy")
    registry = Registry(REGISTRY.operators, {"numpy": backends["numpy"], "cupy": absent}, REGISTRY.declarations)
    here, gone = (planned(REGISTRY, [f"max/{name}"], "check") for name in ("numpy", "cupy"))
    both = Planned([*here.checked, *gone.checked])
    missing = [record(backend="cupy", status="missing", reason="type: pip install cupy", error_over_bound=None)]
    unsupported = [record(status="unsupported", reason="not this dtype", error_over_bound=None)]

    def code(part: dealing.Dealt, checked: Sequence[Record]) -> int:
        return dealing.exit_code_of_part("check", part, registry, checked, [])

    assert code(dealt_to(both, gone), missing) == 0
    assert code(dealt_to(gone, gone), missing) == 5
    assert code(dealt_to(both, Planned([])), []) == 0
    assert code(dealt_to(Planned([]), Planned([])), []) == 5
    assert code(dealt_to(both, here), unsupported) == 5
    assert code(dealt_to(both, gone), [*missing, record(status="failed", reason="wrong")]) == 3


# ---- a gate over revisions


def test_a_part_of_a_gate_has_its_share_of_the_level() -> None:
    assert holm_of_part([0.01, 0.04], 2) == holm([0.01, 0.04]) == [0.02, 0.04]
    assert holm_of_part([0.01, 0.04], 10) == pytest.approx([0.1, 0.2])
    assert holm_of_part([0.01, 0.04], 0) == holm([0.01, 0.04]), "no part: the whole gate"
    assert holm_of_part([], 7) == []


def test_parts_of_a_gate_raise_no_more_false_alarms_than_the_whole() -> None:
    """Twenty tasks without a change in four jobs, 20,000 times: one gate in twenty may call any of them."""
    rng = np.random.default_rng(1)
    alarms = sum(
        any(min(holm_of_part(part, 20)) <= 0.05 for part in gate) for gate in rng.uniform(size=(20_000, 4, 5)).tolist()
    )
    assert 0.045 <= alarms / 20_000 <= 0.052


def test_a_part_without_a_task_ends_well_where_others_compare() -> None:
    empty = Comparison(base="a", head="b", machine_id="m", rows=(), elsewhere=6)
    assert empty.exit_code == 0
    assert api.dataclasses.replace(empty, elsewhere=0).exit_code == 5


def test_shards_of_a_gate_hold_each_task_once(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(
        "import numpy as np\nfrom harness import implementation\n\n\n"
        "@implementation('max', backend='numpy', name='mine')\n"
        "def most(x, *, dim=None):\n    return np.max(x, axis=dim)\n\n\n"
        "@implementation('sum', backend='numpy')\ndef mine(x, *, dim=None):\n    return np.sum(x, axis=dim)\n"
    )
    script = """git init --quiet . && git config user.name x && git config user.email x@example.org && git add .
        git commit --quiet -m one && git commit --quiet --allow-empty -m two"""
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
    given = ("compare", "HEAD~1", "HEAD", "*/numpy/mine", "--plugin", "kernels.py", "--json")
    found = []
    for number in (1, 2):
        done = command(tmp_path, *given, "--shard", f"{number}/2")
        assert done.returncode == 0, done.stderr
        found.append({"/".join(one[key] for key in KEY) for one in json.loads(done.stdout)})
    assert all(found) and not found[0] & found[1]
    assert found[0] | found[1] == {
        f"{operator}/numpy/mine/{case.id}"
        for operator in ("max", "sum")
        for case in REGISTRY.operators[operator].benchmarks
    }


# ---- in CI


def test_the_workflow_deals_to_as_many_jobs_as_it_has_and_joins_them_whatever_happens() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    shard, join = workflow["jobs"]["shard"], workflow["jobs"]["join"]
    numbers = shard["strategy"]["matrix"]["shard"]
    assert numbers == list(range(1, len(numbers) + 1)) and shard["strategy"]["fail-fast"] is False
    assert workflow["env"]["SHARDS"] == str(len(numbers))
    assert join["needs"] == "shard" and "cancelled()" in join["if"]
    scripts = [one["run"] for job in (shard, join) for one in job["steps"] if "run" in one]
    assert not any("${{" in one for one in scripts)
    lines = [line for one in scripts for line in one.replace("\\\n", " ").splitlines() if line.startswith("harness ")]
    assert [line.split()[1] for line in lines] == ["check", "store", "report", "report"]
    assert '--shard "$SHARD/$SHARDS"' in lines[0] and "--durations" in lines[0]
    for line in lines:
        found: Any = typer.main.get_command(app)
        words = shlex.split(line.partition(">>")[0])[1:]
        while hasattr(found, "commands"):
            found = found.commands[words.pop(0)]
        found.make_context("harness", words)  # raises for what the command line does not know


def test_what_the_shards_keep_is_what_is_joined() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    shard, join = (workflow["jobs"][name]["steps"] for name in ("shard", "join"))
    (kept,) = (one["with"] for one in shard if one.get("uses", "").startswith("actions/upload-artifact"))
    (fetched,) = (one["with"] for one in join if one.get("uses", "").startswith("actions/download-artifact"))
    assert kept["name"].startswith(fetched["pattern"].removesuffix("*"))
    assert kept["path"].rstrip("/") == fetched["path"]
    (saved,) = (one["with"] for one in join if one.get("uses", "").startswith("actions/cache/save"))
    (restored, handed) = (one["with"] for one in workflow["jobs"]["durations"]["steps"])
    assert (saved["path"], saved["key"]) == (restored["path"], restored["key"])
    assert restored["path"].startswith(handed["path"]) and handed["name"] == "durations"

"""Stored runs and result files against each other: what is called, what is refused, and what is named."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import readings, record, timed

from harness import reports
from harness.comparing.machines import DifferentMachines, ceiling_of
from harness.comparing.measured import (
    Measured,
    UnreadableResults,
    measured_from_file,
    measured_from_store,
    task_of,
)
from harness.comparing.sides import Estimate, ratio
from harness.comparing.stored import compare_stored
from harness.comparing.verdicts import Compared, Comparison
from harness.likeness import differences
from harness.record import Noise, Record, Sample
from harness.store import Store

needs_parquet = pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is an extra")

TIME_NS = 1_000_000


def samples(
    implementation: str, factor: float = 1.0, processes: int = 6, seed: int = 1, **changes: Any
) -> list[Sample]:
    """Readings of 1 ms times `factor`, 0.2 % apart from process to process."""
    rng = np.random.default_rng(seed)
    found = []
    for process in range(processes):
        own = TIME_NS * factor * math.exp(0.002 * rng.standard_normal())
        for block in range(5):
            time = round(own * math.exp(0.001 * rng.standard_normal()))
            found += readings(implementation, [time], **{"process": process, "block": block, **changes})
    return found


def side(*implementations: tuple[str, float], seed: int = 1, **about: Any) -> Measured:
    """A side in memory: implementations with the factor of their time."""
    records, found = [], {}
    for number, (name, factor) in enumerate(implementations):
        one = timed(name, round(TIME_NS * factor))
        records.append(one)
        found[task_of(one)] = tuple(samples(name, factor, seed=seed * 1000 + number))
    return Measured(**{"label": "run x", "machine_id": "m", "records": tuple(records), "samples": found, **about})


def of_records(*records: Record, **about: Any) -> Measured:
    return Measured(**{"label": "run x", "machine_id": "m", "records": records, **about})


def compare(base: Measured, head: Measured, **options: Any) -> Comparison:
    return compare_stored(
        base, head, **{"floor": lambda identity: 0.01, "noise": (), "normalise": False, "drift": 0.0, **options}
    )


def rows(comparison: Comparison) -> dict[str, Compared]:
    return {row.implementation: row for row in comparison.rows}


def test_a_slowdown_is_called_and_the_rest_is_not() -> None:
    base = side(("a", 1.0), ("b", 1.0), ("c", 1.0), commit="a" * 40, dirty=False)
    head = side(("a", 1.0), ("b", 1.05), ("c", 0.9), seed=2, commit="b" * 40, dirty=False)
    found = compare(base, head)
    verdicts = {name: row.verdict for name, row in rows(found).items()}
    assert verdicts == {"a": "SAME", "b": "SLOWER", "c": "FASTER"}
    assert found.exit_code == 1
    slower = rows(found)["b"]
    assert slower.clock == "cpu"
    assert slower.ratio is not None and abs(slower.ratio - 1.05) < 0.01
    assert slower.ratio_low is not None and slower.ratio_low > 1.0
    assert slower.threshold == 0.01
    assert slower.p_value is not None and slower.p_value < 0.05
    assert "drift between the two runs is not cancelled" in slower.reason
    assert f"harness compare {'a' * 12} {'b' * 12}" in slower.reason
    json.dumps([row.as_data() for row in found.rows], allow_nan=False)


def test_several_threads_are_compared_by_the_wall_clock() -> None:
    base, head = side(("a", 1.0)), side(("a", 1.2))
    for one in (base, head):
        task, own = next(iter(one.samples.items()))
        more = {task: tuple(dataclasses.replace(s, cpu_ns=2 * s.wall_ns) for s in own)}
        object.__setattr__(one, "samples", more)
    row = rows(compare(base, head))["a"]
    assert (row.clock, row.verdict) == ("wall", "SLOWER")
    assert "several threads" in row.reason


def test_the_largest_of_the_thresholds_counts_and_is_named() -> None:
    base, head = side(("a", 1.0)), side(("a", 1.05), seed=2)
    key = {"operator": "softmax", "backend": "numpy", "implementation": "a", "case": "float32[8x8]dim=1"}
    strayed = Noise(
        machine_id="m", **key, clock="cpu", spread=0.08, detectable=0.1, comparisons=20, measured_at="2026-01-01"
    )
    row = rows(compare(base, head, noise=[strayed]))["a"]
    assert row.threshold == 0.08
    assert row.verdict != "SLOWER"
    assert "A/A" in row.reason
    elsewhere = [dataclasses.replace(strayed, machine_id="other"), dataclasses.replace(strayed, clock="wall")]
    assert rows(compare(base, head, noise=elsewhere))["a"].verdict == "SLOWER"
    apart = dataclasses.replace(base, spreads={task_of(base.records[0]): {"cpu": 0.07}})
    row = rows(compare(apart, head))["a"]
    assert row.threshold == 0.07
    assert "runs of BASE's commit lie apart" in row.reason
    assert rows(compare(base, head, floor=lambda identity: 0.2 if "/a/" in identity else 0.0))["a"].threshold == 0.2


def test_drift_of_unknown_size_is_allowed_for() -> None:
    base, head = side(("a", 1.0), ("b", 1.0)), side(("a", 1.04), ("b", 1.08), seed=2)
    spreads = {task_of(one): {"cpu": 0.01} for one in base.records}

    def verdicts(base: Measured, **options: float) -> dict[str, str]:
        found = compare_stored(base, head, floor=lambda identity: 0.01, noise=(), normalise=False, **options)
        return {name: row.verdict for name, row in rows(found).items()}

    assert verdicts(base) == {"a": "SAME", "b": "SLOWER"}
    assert verdicts(base, drift=0.0) == {"a": "SLOWER", "b": "SLOWER"}
    assert verdicts(dataclasses.replace(base, spreads=spreads)) == {"a": "SLOWER", "b": "SLOWER"}
    found = compare_stored(base, head, floor=lambda identity: 0.01, noise=(), normalise=False)
    assert rows(found)["a"].threshold == 0.05
    assert "allowed for drift" in rows(found)["a"].reason


def test_welch_counts_degrees_of_freedom() -> None:
    equal = ratio(Estimate(0.0, 1e-6, 4), Estimate(0.0, 1e-6, 4))
    assert equal.rounds == 9  # 8 degrees of freedom, exactly
    lopsided = ratio(Estimate(0.0, 1e-9, 40), Estimate(0.0, 1e-4, 2))
    assert lopsided.rounds == 3
    alone = ratio(Estimate(0.0, math.inf, 0), Estimate(1.0, 1e-6, 5))
    assert alone.rounds == 1 and alone.p_value == 1.0 and alone.interval.high == math.inf


def test_intervals_of_equal_runs_miss_one_in_about_as_often_as_they_say() -> None:
    missed = 0
    for seed in range(200):
        row = rows(compare(side(("a", 1.0), seed=seed), side(("a", 1.0), seed=10_000 + seed)))["a"]
        assert row.ratio_low is not None and row.ratio_high is not None
        missed += not row.ratio_low <= 1.0 <= row.ratio_high
    assert 2 <= missed <= 18


def test_in_a_gate_over_many_tasks_only_the_slower_one_is_named() -> None:
    names = [f"task_{number}" for number in range(120)]
    base = side(*((name, 1.0) for name in names))
    head = side(*((name, 1.03 if name == "task_7" else 1.0) for name in names), seed=2)
    assert [row.implementation for row in compare(base, head).rows if row.verdict != "SAME"] == ["task_7"]
    assert rows(compare(base, head))["task_7"].verdict == "SLOWER"


def test_one_process_says_nothing() -> None:
    one = samples("a", processes=1)
    base = of_records(timed("a", TIME_NS), samples={task_of(one[0]): tuple(one)})
    row = rows(compare(base, side(("a", 3.0))))["a"]
    assert row.verdict == "UNCLEAR"
    assert "one process" in row.reason
    assert row.ratio_high is None and row.detectable is None
    assert row.p_value == 1.0


def test_the_same_commit_twice_raises_no_alarm() -> None:
    about = {"commit": "c" * 40, "dirty": False}
    row = rows(compare(side(("a", 1.0), **about), side(("a", 1.3), seed=2, **about)))["a"]
    assert (row.verdict, row.identical, row.p_value) == ("SAME", True, None)
    assert "the same commit was measured twice: HEAD differs by +30" in row.reason
    changed = side(("a", 1.3), seed=2, commit="c" * 40, dirty=True)
    row = rows(compare(side(("a", 1.0), **about), changed))["a"]
    assert (row.verdict, row.identical) == ("SLOWER", False)
    assert "harness compare REV REV" in row.reason


@pytest.mark.parametrize("median", [None, 0, -3, math.nan])
def test_what_is_no_time_is_unclear_and_never_same(median: Any) -> None:
    broken = dataclasses.replace(timed("a", TIME_NS), median_ns=median)
    fine = timed("b", TIME_NS)
    for base, head in ((broken, timed("a", TIME_NS)), (timed("a", TIME_NS), broken)):
        row = rows(compare(of_records(base, fine), of_records(head, fine)))["a"]
        assert row.verdict == "UNCLEAR"
        assert "no times to compare" in row.reason
        assert row.ratio is None


def test_readings_that_took_no_time_are_unclear() -> None:
    broken = tuple(dataclasses.replace(one, wall_ns=0) for one in samples("a"))
    base = of_records(timed("a", TIME_NS), samples={task_of(broken[0]): broken})
    assert rows(compare(base, side(("a", 1.0))))["a"].verdict == "UNCLEAR"


def test_new_missing_failed_and_known_are_named() -> None:
    failed = {"status": "failed", "reason": "off by one"}
    base = of_records(
        timed("same", TIME_NS),
        timed("gone", TIME_NS),
        timed("broken", TIME_NS),
        timed("known", TIME_NS),
        timed("absent", TIME_NS),
        record(implementation="always", **failed),
        record(implementation="fixed", **failed),
        record(implementation="left", **failed),
        record(implementation="unsupported", status="unsupported", reason="no float16"),
        record(implementation="checked"),
    )
    head = of_records(
        timed("same", TIME_NS),
        record(implementation="broken", **failed),
        record(implementation="known", known="see issue 3", **failed),
        record(implementation="absent", status="missing", reason="no library"),
        record(implementation="always", **failed),
        timed("fixed", TIME_NS),
        record(implementation="unsupported", status="unsupported", reason="no float16"),
        record(implementation="checked"),
        timed("new", TIME_NS),
        record(implementation="new_and_wrong", **failed),
    )
    found = compare(base, head)
    assert {name: row.verdict for name, row in rows(found).items()} == {
        "same": "SAME",
        "broken": "FAILED",
        "known": "UNCLEAR",
        "absent": "MISSING",
        "always": "UNCLEAR",
        "fixed": "NEW",
        "new": "NEW",
        "new_and_wrong": "FAILED",
        "gone": "MISSING",
    }
    assert found.exit_code == 3
    assert "off by one" in rows(found)["broken"].reason
    assert "wrong in BASE too" in rows(found)["always"].reason
    assert "see issue 3" in rows(found)["known"].reason
    assert "no library" in rows(found)["absent"].reason
    assert any("1 task not listed: right on both sides" in note for note in found.notes)


def test_a_new_name_is_compared_only_where_the_caller_says_so() -> None:
    base, head = side(("old", 1.0)), side(("new", 1.1), seed=2)
    assert {name: row.verdict for name, row in rows(compare(base, head)).items()} == {"new": "NEW", "old": "MISSING"}
    (row,) = compare(base, head, renamed={"softmax/numpy/new": "softmax/numpy/old"}).rows
    assert (row.verdict, row.renamed_from) == ("SLOWER", "softmax/numpy/old/float32[8x8]dim=1")


def test_a_run_that_was_only_checked_has_no_times() -> None:
    checked = of_records(record(implementation="a"), record(implementation="b"))
    found = compare(side(("a", 1.0)), checked)
    assert [row.verdict for row in found.rows] == ["MISSING"]
    assert "harness bench" in found.rows[0].reason
    assert found.exit_code == 5
    found = compare(checked, side(("a", 1.0)))
    assert {name: row.verdict for name, row in rows(found).items()} == {"a": "NEW", "b": "MISSING"}
    assert compare(checked, checked).rows == ()
    assert compare(checked, checked).exit_code == 5


def test_empty_sides_are_said_to_be_empty() -> None:
    empty = of_records(machine_id="")
    assert compare(empty, empty).exit_code == 5
    assert any("holds no time" in note for note in compare(empty, empty).notes)
    assert [row.verdict for row in compare(side(("a", 1.0)), empty).rows] == ["MISSING"]


def test_what_others_used_is_said() -> None:
    found = compare(side(("a", 1.0), used_by_others=0.42), side(("a", 1.0), used_by_others=0.01, seed=2))
    assert "others used 42 % of the cores while BASE was timed" in rows(found)["a"].reason
    assert any("42 %" in note for note in found.notes)


DESCRIBED = {
    "cpu": "Fast 9000",
    "cores_usable": 8,
    "libraries": {"numpy": "2.1.0", "torch": "2.9.0"},
    "environment": {"OMP_NUM_THREADS": "4"},
    "state": {"load_average": [1.0]},
}


def test_different_machines_are_refused_with_what_differs() -> None:
    other = DESCRIBED | {"cpu": "Slow 1", "cores_usable": 2, "libraries": {"numpy": "2.2.0"}, "environment": {}}
    other["state"] = {"load_average": [9.0]}
    base = side(("a", 1.0), machine=DESCRIBED)
    head = side(("a", 1.0), machine=other, machine_id="n")
    with pytest.raises(DifferentMachines) as refused:
        compare(base, head)
    for part in (
        "CPU Fast 9000 against Slow 1",
        "8 usable cores against 2",
        "OMP_NUM_THREADS=4 against none",
        "noted only: numpy 2.1.0 against 2.2.0; torch 2.9.0 against none",
        "--normalise",
    ):
        assert part in str(refused.value)
    assert "load_average" not in str(refused.value)
    assert differences(DESCRIBED, DESCRIBED) == []
    with pytest.raises(DifferentMachines, match="not described"):
        compare(side(("a", 1.0)), side(("a", 1.0), machine_id="n"))
    with pytest.raises(DifferentMachines, match="unknown machine"):
        compare(side(("a", 1.0), machine_id=""), side(("a", 1.0), machine_id=""))


def test_normalised_times_are_relative_to_the_copy_rates_and_say_so() -> None:
    def of(name: str, factor: float, gb_per_s: float, percent: float, machine_id: str) -> Measured:
        one = side((name, factor), machine_id=machine_id)
        records = (dataclasses.replace(one.records[0], gb_per_s=gb_per_s, percent_of_limit=percent),)
        return dataclasses.replace(one, records=records)

    # HEAD's machine copies half as fast, and HEAD takes twice as long
    base, head = of("a", 1.0, 2.0, 20.0, "m"), of("a", 2.0, 1.0, 20.0, "n")
    row = rows(compare(base, head, normalise=True))["a"]
    assert row.verdict == "SAME"
    assert row.ratio is not None and abs(row.ratio - 1.0) < 0.01
    assert row.threshold == 0.1
    assert "normalised by the copy rates of both machines, 10 GB/s in BASE and 5 GB/s in HEAD" in row.reason
    slower = of("a", 2.6, 1.0, 20.0, "n")
    assert rows(compare(base, slower, normalise=True))["a"].verdict == "SLOWER"
    unknown = side(("a", 1.0), machine_id="n")
    unknown = dataclasses.replace(
        unknown, records=(dataclasses.replace(unknown.records[0], gb_per_s=None, percent_of_limit=None),)
    )
    row = rows(compare(base, unknown, normalise=True))["a"]
    assert row.verdict == "UNCLEAR"
    assert "not known in HEAD" in row.reason
    same = rows(compare(side(("a", 1.0)), side(("a", 1.0), seed=2), normalise=True))["a"]
    assert same.threshold == 0.01 and "normalised" not in same.reason


def test_the_ceiling_is_that_of_the_working_set() -> None:
    bare = record(bytes=5000)
    assert ceiling_of(bare, {4096: 1.0, 8192: 2.0, 65536: 3.0}) == 2.0
    assert ceiling_of(bare, {4096: 1.0, 65536: 3.0}) == 3.0
    assert ceiling_of(bare, {4096: 1.0}) == 1.0
    assert ceiling_of(bare, {}) is None
    assert ceiling_of(record(), {4096: 1.0}) is None
    assert ceiling_of(dataclasses.replace(bare, gb_per_s=4.0, percent_of_limit=50.0), {}) == 8.0


def fill(store: Store, records: Sequence[Record], found: Sequence[Sample] = (), **about: Any) -> str:
    options = {"machine": DESCRIBED, "machine_id": "m", "commit": "d" * 40, "dirty": False, **about}
    run = store.start_run(command="bench", selectors=(), seed=1, budget_s=None, **options)
    about = {"run_id": run.run_id, "machine_id": run.machine_id, "commit": run.commit, "dirty": run.dirty}
    for one in records:
        store.add(dataclasses.replace(one, **about), "bench" if one.median_ns is not None else "check")
    store.add_samples(run.run_id, found)
    store.note(run.run_id, ceiling={"4096": 12.5}, used_by_others=0.25)
    store.finish_run(run.run_id, exit_code=0)
    return run.run_id


def test_a_stored_run_is_read_with_all_that_is_known_of_it(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run_id = fill(store, [record(implementation="a"), timed("a", TIME_NS)], samples("a"))
        fill(store, [timed("a", 1_030_000)])
        fill(store, [timed("a", 1_900_000)], dirty=True)
        fill(store, [timed("a", 1_900_000)], commit="e" * 40)
        fill(store, [timed("a", 1_900_000)], machine_id="other")
        found = measured_from_store(store, run_id)
    assert (found.machine_id, found.commit, found.dirty) == ("m", "d" * 40, False)
    assert found.ceilings == {4096: 12.5}
    assert found.used_by_others == 0.25
    assert found.machine == DESCRIBED
    (one,) = found.records
    assert one.median_ns == TIME_NS
    assert len(found.samples[task_of(one)]) == 30
    assert found.spreads[task_of(one)] == pytest.approx({"wall": 0.03, "cpu": 0.03})
    assert f"run {run_id} of commit dddddddddd" in found.label
    assert compare(found, found).rows[0].identical


def exported(tmp_path: Path, format: str, records: Sequence[Record], name: str = "results") -> Path:
    report = reports.Report(
        run={"run_id": "r", "command": "bench"}, machine={}, checked=(), timed=tuple(records), samples=()
    )
    path = tmp_path / f"{name}.{format}"
    reports.write(report, format, path)
    return path


HOSTILE = (
    '=HYPERLINK("http://x")[1]dim=1',
    "-1,2\n;DROP TABLE records",
    "a\"b'c/d\\e",
    "[red]\x1b[31m<b>&amp;",
    "\u202eabc é 数",
)


@pytest.mark.parametrize("format", ["json", "csv", pytest.param("parquet", marks=needs_parquet)])
def test_result_files_are_read_as_they_were_written(tmp_path: Path, format: str) -> None:
    written = [
        timed("a", TIME_NS, machine_id="m", commit="f" * 40, dirty=False, run_to_run_bitwise=True),
        record(implementation="b", status="failed", reason="=1+1, or worse", error_over_bound=math.inf, machine_id="m"),
        *(timed("hostile", TIME_NS + n, case=case, machine_id="m") for n, case in enumerate(HOSTILE)),
    ]
    # as the store writes it: a Parquet file holds a moment, not the text of one
    written = [dataclasses.replace(one, started_at="2026-01-01T00:00:00.250+00:00") for one in written]
    found = measured_from_file(exported(tmp_path, format, written))
    # CSV holds no escape sequences: a terminal that shows the file would obey them
    cases = [one.case if format != "csv" else one.case.replace("\x1b", "\\x1b") for one in written]
    cases = [one if format != "csv" else one.replace("\u202e", "\\u202e") for one in cases]
    expected = [dataclasses.replace(one, case=case) for one, case in zip(written, cases, strict=True)]
    assert list(found.records) == expected
    assert found.machine_id == "m"
    assert found.samples == {}
    again = compare(found, found)
    assert {row.case for row in again.rows if row.implementation == "hostile"} == set(cases[2:])
    assert {row.verdict for row in again.rows if row.implementation == "hostile"} <= {"SAME", "UNCLEAR"}
    assert "without samples" in rows(again)["a"].reason


def test_files_without_samples_are_compared_by_their_intervals(tmp_path: Path) -> None:
    base = exported(
        tmp_path, "json", [timed("a", TIME_NS, machine_id="m"), timed("b", TIME_NS, 100_000, machine_id="m")]
    )
    records = [timed("a", 1_100_000, machine_id="m"), timed("b", 1_100_000, 100_000, machine_id="m")]
    found = compare(measured_from_file(base), measured_from_file(exported(tmp_path, "csv", records)))
    assert {name: row.verdict for name, row in rows(found).items()} == {"a": "SLOWER", "b": "UNCLEAR"}
    assert rows(found)["a"].rounds == 3
    bare = [dataclasses.replace(one, ci_low_ns=None) for one in records]
    found = compare(measured_from_file(base), of_records(*bare))
    assert {row.verdict for row in found.rows} == {"UNCLEAR"}


def test_another_store_stands_for_its_newest_timed_run(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with Store.open(str(path)) as store:
        fill(store, [timed("a", 5)])
        newest = fill(store, [timed("a", 7)])
        fill(store, [record(implementation="a")])
    found = measured_from_file(path)
    assert newest in found.label and str(path) in found.label
    assert found.records[0].median_ns == 7
    empty = tmp_path / "empty.sqlite"
    Store.open(str(empty)).close()
    with pytest.raises(UnreadableResults, match="no run with times"):
        measured_from_file(empty)


def rewritten(path: Path, change: Any) -> Path:
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[0].pop("median_ns"), r"row 1: column median_ns is missing.*harness report"),
        (lambda rows: rows[1].pop("status"), r"row 2: column status is missing"),
        (lambda rows: rows[1].update(median_ns="fast"), r"row 2, column median_ns: 'fast' is not a whole number"),
        (lambda rows: rows[1].update(median_ns=1.5), r"row 2, column median_ns: 1.5 is not a whole number"),
        (lambda rows: rows[1].update(operator=None), r"row 2, column operator: None is not text"),
        (lambda rows: rows[1].update(status="great"), r"row 2: status 'great'"),
        (lambda rows: rows[1].update(dirty="perhaps"), r"row 2, column dirty: 'perhaps' is not True or False"),
        (lambda rows: rows[1].update(machine_id="n"), r"several machines: m, n"),
        (lambda rows: rows.append({**rows[0], "median_ns": 1}), r"rows 1 and 3: both are softmax/.*differ"),
        (lambda rows: rows.insert(0, 7), r"row 1: int is no object"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, change: Any, message: str) -> None:
    written = [timed("a", TIME_NS, machine_id="m"), timed("b", TIME_NS, machine_id="m")]
    path = rewritten(exported(tmp_path, "json", written), change)
    with pytest.raises(UnreadableResults, match=message) as refused:
        measured_from_file(path)
    assert str(path) in str(refused.value)


def test_equal_rows_count_once_and_nan_is_no_time(tmp_path: Path) -> None:
    path = exported(tmp_path, "json", [timed("a", TIME_NS, machine_id="m"), timed("b", TIME_NS, machine_id="m")])
    rewritten(path, lambda rows: (rows.append(dict(rows[0])), rows[1].update(median_ns=math.nan)))
    found = measured_from_file(path)
    assert [one.implementation for one in found.records] == ["a", "b"]
    assert {name: row.verdict for name, row in rows(compare(found, found)).items()} == {"a": "SAME"}
    fine = side(("a", 1.0), ("b", 1.0))
    assert rows(compare(fine, found))["b"].verdict == "UNCLEAR"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", "{", "is no JSON"),
        ("x.json", '{"a": 1}', "holds dict"),
        ("x.json", "[" * 100_000, "nested too deeply"),
        ("x.csv", "a,b\n1,2\n", "column run_id, started_at"),
        ("x.csv", "a,b\n1\n", "row 1: it has not as many cells"),
        ("x.csv", b"\xff\xfe\x00", "is no UTF-8 text"),
        pytest.param("x.parquet", "PAR?", "no Parquet file", marks=needs_parquet),
        ("x.txt", "", "results are read from .json, .csv"),
    ],
)
def test_a_file_that_is_something_else_is_refused(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UnreadableResults, match=message):
        measured_from_file(path)
    with pytest.raises(UnreadableResults, match="no such file"):
        measured_from_file(tmp_path / "nothing.json")


def test_files_without_rows_are_empty(tmp_path: Path) -> None:
    for format in ("json", "csv", *(["parquet"] if importlib.util.find_spec("pyarrow") else [])):
        found = measured_from_file(exported(tmp_path, format, []))
        assert found.records == ()
        assert any("holds no result" in note for note in found.notes)

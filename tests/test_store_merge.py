"""The shards of a dealt run become one run: the same in whichever order, and what is missing is named."""

from __future__ import annotations

import itertools
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import readings, record, timed
from test_store_copy import MACHINE, everything, harness
from typer.testing import CliRunner

from harness import joining
from harness.cli import app
from harness.comparing.measured import measured_from_store
from harness.dealing import PIPELINES, pipeline
from harness.inventory import inventory
from harness.store import RunInfo, Store

OF = 3
COMMIT = "c0ffee" + "0" * 34


def deal(digest: str = "d1", of: int = OF) -> dict[str, Any]:
    """Each of the shards times two cases and checks two tasks, one of which they all need."""
    part = {"check": 2, "bench": 2, "checked": {"softmax/numpy/builtin": "0-1"}, "timed": {"softmax": ["a", "b"]}}
    return {"id": "deal", "of": of, "digest": digest, "check": of + 1, "bench": 2 * of, "parts": [part] * of}


def shard(
    path: Path | str,
    number: int,
    *,
    machine_id: str | None = None,
    ends: bool = True,
    commit: str = COMMIT,
    tasks: int = 2,
    common: dict[str, Any] | None = None,
    time_ns: int = 10**6,
    dealt: dict[str, Any] | None = None,
    dirty: bool = False,
) -> RunInfo:
    """A store with the run of one shard."""
    with Store.open(str(path)) as store:
        machine_id = machine_id or f"m{number}"
        run = store.start_run(
            command="bench",
            selectors=["softmax"],
            seed=number,
            budget_s=None,
            machine={**MACHINE, "name": machine_id},
            machine_id=machine_id,
            commit=commit,
            dirty=dirty,
            shard=f"{number}/{OF}",
            deal=dealt or deal(),
        )
        about = {"run_id": run.run_id, "machine_id": machine_id, "commit": commit, "dirty": dirty, "seed": number}
        store.add(record(case="common", **{**about, **(common or {})}), "check")
        store.add(record(case=f"own{number}", **about), "check")
        for case in [f"float32[{number}x{one}]dim=1" for one in range(tasks)]:
            store.add_samples(run.run_id, readings("builtin", [time_ns + one for one in range(6)], case=case))
            store.add(timed("builtin", time_ns, case=case, **{**about, "started_at": run.started_at}), "bench")
        if ends:
            store.note(
                run.run_id, notes=["a note"], ceiling={"1024": float(number)}, admission={}, used_by_others=0.1 * number
            )
            store.finish_run(run.run_id, exit_code=3 if common else 0)
        return store.run(run.run_id)


def merged(into: Path | str, *stores: object, code: int = 0) -> dict[str, Any]:
    """The one row of `harness store merge --json`."""
    arguments = ["store", "merge", *map(str, stores), "--into", str(into), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, (done.exit_code, done.output, done.exception)
    (row,) = json.loads(done.stdout)
    return row


def joined_run(path: Path | str) -> tuple[RunInfo, dict[str, Any]]:
    """The joined run and all that a store holds of it."""
    with Store.open(str(path)) as store:
        (info,) = [run for run in store.runs() if run.deal and not run.shard]
        return info, {
            "check": sorted(store.records(info.run_id, "check"), key=lambda one: one.id),
            "bench": sorted(store.records(info.run_id, "bench"), key=lambda one: one.id),
            "samples": sorted(store.samples(info.run_id), key=repr),
            "members": store.members(info.run_id),
        }


def test_shards_become_one_run_in_whichever_order(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.sqlite" for number in range(1, OF + 1)]
    runs = [shard(path, number) for number, path in enumerate(paths, 1)]
    found = []
    for number, order in enumerate(itertools.permutations(paths)):
        into = tmp_path / f"into{number}.sqlite"
        for path in order[:-1] if number % 2 else ():
            merged(into, path, code=5)
        row = merged(into, *order)
        assert (row["records"], row["samples"], row["finished"], row["exit_code"], row["problems"]) == (
            10,
            36,
            True,
            0,
            [],
        )
        assert merged(into, *order)["changed"] is False and merged(into)["changed"] is False
        found.append(joined_run(into))
    assert all(one == found[0] for one in found)
    info, rows = found[0]
    assert info.started_at == min(run.started_at for run in runs)
    assert info.finished_at == max(str(run.finished_at) for run in runs)
    assert (info.command, info.selectors, info.commit, info.shard) == ("bench", ("softmax",), COMMIT, None)
    assert {one.machine_id for one in rows["bench"]} == {"m1", "m2", "m3"} == set(rows["members"])
    assert [one.case for one in rows["check"]] == ["common", "own1", "own2", "own3"]
    assert {one.run_id for one in rows["bench"]} == {info.run_id}
    assert "a note" in info.notes and len([note for note in info.notes if "on machine" in note]) == OF


def test_missing_shards_are_named_and_complete_it_later(tmp_path: Path) -> None:
    into = tmp_path / "into.sqlite"
    runs = {number: shard(tmp_path / f"{number}.sqlite", number) for number in (1, 2, 3)}
    said = " ".join(harness("store", "merge", tmp_path / "3.sqlite", "--into", into, code=5).split())
    assert "shard 1/3" in said and "shard 2/3" in said and "are missing" in said
    assert "harness bench softmax --shard 1/3" in said and "1 of 3 shards, not whole" in said
    info, rows = joined_run(into)
    assert info.finished_at is None and len(rows["bench"]) == 2
    row = merged(into, tmp_path / "1.sqlite", code=5)
    (problem,) = row["problems"]
    assert "shard 2/3" in problem and "is missing" in problem and row["run_id"] == info.run_id
    row = merged(into, tmp_path / "2.sqlite")
    assert (row["run_id"], row["finished"], len(row["shards"])) == (info.run_id, True, 3)
    assert {one["run_id"] for one in row["shards"]} == {run.run_id for run in runs.values()}
    assert not any("missing" in note for note in joined_run(into)[0].notes)


def test_a_store_without_a_shard_stops_no_other(tmp_path: Path) -> None:
    """A job died before its run began, another's file is cut, a third's was never there: the rest is joined."""
    into = tmp_path / "into.sqlite"
    for number in (1, 2, 3):
        shard(tmp_path / f"{number}.sqlite", number)
    empty, cut, absent = (tmp_path / f"{name}.sqlite" for name in ("empty", "cut", "absent"))
    Store.open(str(empty)).close()
    with closing(sqlite3.connect(tmp_path / "2.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (tmp_path / "2.sqlite").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    said = harness("store", "merge", tmp_path / "1.sqlite", empty, cut, absent, "--into", into, code=5)
    assert f"{empty}: it holds no run" in said and f"{absent}: no such file" in said and str(cut) in said
    assert "shard 2/3" in said and "are missing" in said and "next: harness report" in said
    row = merged(into, empty, tmp_path / "2.sqlite", tmp_path / "3.sqlite", code=5)
    assert (row["finished"], row["problems"], len(row["shards"])) == (True, [], 3), (
        "it is whole, and one STORE is named"
    )
    assert merged(into, tmp_path / "3.sqlite")["finished"]
    untouched = tmp_path / "untouched.sqlite"
    said = harness("store", "merge", empty, absent, "--into", untouched, code=2)
    assert f"{empty}: it holds no run" in said and f"{absent}: no such file" in said
    assert "it holds no run" in harness("store", "merge", empty, "--into", untouched, code=5)


def test_a_wrong_verdict_of_one_shard_does_not_disappear(tmp_path: Path) -> None:
    into = tmp_path / "into.sqlite"
    for number in (1, 2, 3):
        wrong = {"status": "failed", "reason": "off"} if number == 2 else None
        shard(tmp_path / f"{number}.sqlite", number, common=wrong)
    row = merged(into, *(tmp_path / f"{number}.sqlite" for number in (1, 2, 3)))
    assert row["exit_code"] == 3
    (common,) = [one for one in joined_run(into)[1]["check"] if one.case == "common"]
    assert (common.status, common.machine_id) == ("failed", "m2")


def test_of_a_shard_that_was_run_twice_the_newest_finished_counts(tmp_path: Path) -> None:
    into, again = tmp_path / "into.sqlite", tmp_path / "again.sqlite"
    for number in (1, 2, 3):
        shard(tmp_path / f"{number}.sqlite", number)
    paths = [tmp_path / f"{number}.sqlite" for number in (1, 2, 3)]
    merged(into, *paths)
    cut = shard(again, 2, ends=False, time_ns=5)
    row = merged(into, again)
    assert row["finished"] and cut.run_id not in {one["run_id"] for one in row["shards"]}
    newest = shard(tmp_path / "retried.sqlite", 2, machine_id="m9", time_ns=2 * 10**6)
    row = merged(into, tmp_path / "retried.sqlite")
    assert row["shards"][1]["run_id"] == newest.run_id and row["changed"]
    (note,) = row["notes"]
    assert f"shard 2/3 was run 3 times: run {newest.run_id} counts" in note
    info, rows = joined_run(into)
    times = {one.case: one.median_ns for one in rows["bench"]}
    assert times["float32[2x0]dim=1"] == 2 * 10**6 and times["float32[1x0]dim=1"] == 10**6
    assert (
        len(rows["samples"]) == 36
        and min(one.wall_ns for one in rows["samples"] if one.case.startswith("float32[2")) >= 2 * 10**6
    )
    assert set(rows["members"]) == {"m1", "m3", "m9"} and info.finished_at is not None


def test_a_retried_shard_brings_its_readings_where_the_joined_run_was_copied(tmp_path: Path) -> None:
    """Fewer than before, too: a record is never beside the readings of another."""
    into, team, old = (tmp_path / f"{name}.sqlite" for name in ("into", "team", "old"))
    for number in (1, 2, 3):
        shard(tmp_path / f"{number}.sqlite", number)
    merged(into, *(tmp_path / f"{number}.sqlite" for number in (1, 2, 3)))
    for copy in (team, old):
        harness("store", "copy", into, copy)
    retried = shard(tmp_path / "retried.sqlite", 1, time_ns=2 * 10**6)
    with closing(sqlite3.connect(tmp_path / "retried.sqlite")) as connection, connection:
        connection.execute("DELETE FROM samples WHERE wall_ns > 2000001")
        connection.execute("UPDATE records SET started_at = '2199-01-01T00:00:00+00:00' WHERE phase = 'bench'")
    row = merged(into, tmp_path / "retried.sqlite")
    assert row["shards"][0]["run_id"] == retried.run_id and row["samples"] == 24 + 2 * 2
    for source, target in ((into, team), (old, team)):
        harness("store", "copy", source, target)
        info, rows = joined_run(team)
        assert rows["bench"] == joined_run(into)[1]["bench"] and rows["samples"] == joined_run(into)[1]["samples"]
    assert {one.wall_ns for one in rows["samples"] if one.case == "float32[1x0]dim=1"} == {2_000_000, 2_000_001}
    assert info.run_id == row["run_id"]


def test_two_runs_of_a_pipeline_at_one_commit_are_two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into = tmp_path / "into.sqlite"
    for name in PIPELINES:
        monkeypatch.delenv(name, raising=False)
    assert pipeline() is None
    found = []
    for night in ("41", "42"):
        monkeypatch.setenv("GITHUB_RUN_ID", night)
        paths = [tmp_path / f"{night}-{number}.sqlite" for number in (1, 2, 3)]
        for number, path in enumerate(paths, 1):
            shard(path, number, dealt={**deal(), "pipeline": pipeline()})
        found.append(merged(into, *paths))
    assert all(row["finished"] and not row["notes"] for row in found) and found[0]["run_id"] != found[1]["run_id"]
    again = shard(tmp_path / "again.sqlite", 2, dealt={**deal(), "pipeline": pipeline()})
    row = merged(into, tmp_path / "again.sqlite")
    assert row["run_id"] == found[1]["run_id"] and row["shards"][1]["run_id"] == again.run_id
    with Store.open(str(into)) as store:
        assert len(store.records(found[0]["run_id"])) == 10


def test_a_shard_that_did_not_end_is_named(tmp_path: Path) -> None:
    into = tmp_path / "into.sqlite"
    runs = [
        shard(tmp_path / f"{number}.sqlite", number, ends=number != 2, tasks=1 if number == 2 else 2)
        for number in (1, 2, 3)
    ]
    row = merged(into, *(tmp_path / f"{number}.sqlite" for number in (1, 2, 3)), code=5)
    (problem,) = row["problems"]
    assert f"shard 2/3 (run {runs[1].run_id}) has not ended" in problem and "--resume" in problem
    assert not row["finished"] and len(joined_run(into)[1]["bench"]) == 5


def test_shards_that_do_not_fit_are_named_with_what_to_do(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        shard(tmp_path / f"{number}.sqlite", number)
    odd = shard(tmp_path / "odd.sqlite", 3, dealt=deal("d2"))
    other = shard(tmp_path / "other.sqlite", 3, commit="beef" * 10)
    row = merged(tmp_path / "a.sqlite", tmp_path / "1.sqlite", tmp_path / "2.sqlite", tmp_path / "odd.sqlite", code=5)
    said = " ".join(row["problems"])
    assert f"shard 3/3 (run {odd.run_id}) does not fit" in said and "other durations" in said and "is missing" in said
    assert len(row["shards"]) == 2
    done = CliRunner().invoke(
        app,
        [
            "store",
            "merge",
            *(str(tmp_path / f"{one}.sqlite") for one in (1, 2, "other")),
            "--into",
            str(tmp_path / "b.sqlite"),
            "--json",
        ],
    )
    assert done.exit_code == 5
    said = " ".join(problem for one in json.loads(done.stdout) for problem in one["problems"])
    assert f"run {other.run_id}) does not fit: it is of commit beefbeefbeef, the others of commit c0ffee" in said
    assert merged(tmp_path / "a.sqlite", tmp_path / "3.sqlite")["finished"], "the right one completes it"


def test_rows_that_are_left_out_are_named_to_the_database_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server takes 65,535 values in one command; all other rows are there once, in their order."""
    monkeypatch.setattr(joining, "MOST_LEFT_OUT", 3)
    into = tmp_path / "into.sqlite"
    cases = [f"common{number}" for number in range(12)]
    for number in (1, 2, 3):
        run = shard(into, number)
        with Store.open(str(into)) as store:
            for case in cases:
                store.add(record(case=case, run_id=run.run_id, machine_id=run.machine_id), "check")
            store.add(record(case=f"last{number}", run_id=run.run_id, machine_id=run.machine_id), "check")
    row = merged(into)
    with Store.open(str(into)) as store:
        found = [one.case for one in store.records(row["run_id"], "check")]
    assert found == ["common", "own1", *cases, "last1", "own2", "last2", "own3", "last3"]
    assert merged(into)["changed"] is False


def test_a_task_of_two_shards_and_one_of_none_are_named(tmp_path: Path) -> None:
    into = tmp_path / "into.sqlite"
    paths = [tmp_path / f"{number}.sqlite" for number in (1, 2, 3)]
    for number, path in enumerate(paths, 1):
        shard(path, number)
    with closing(sqlite3.connect(paths[2])) as connection, connection:
        for table in ("records", "samples"):
            connection.execute(
                f"UPDATE {table} SET \"case\" = 'float32[1x1]dim=1' WHERE \"case\" = 'float32[3x1]dim=1'"
            )
    row = merged(into, *paths, code=5)
    twice, none = row["problems"]
    assert "a task is in two shards" in twice and "softmax/numpy/builtin/float32[1x1]dim=1" in twice
    assert "1 of 6 tasks that were to be timed have no row in any shard" in none
    rows = joined_run(into)[1]
    (taken,) = [one for one in rows["bench"] if one.case == "float32[1x1]dim=1"]
    assert taken.machine_id == "m1" and len([one for one in rows["samples"] if one.case == taken.case]) == 6
    assert merged(into, *paths, code=5)["changed"] is False


@pytest.mark.parametrize(
    "change", ["deal = '{}'", "shard = '9/3'", "notes = '['", "started_at = 'soon'", "finished_at = 'soon'"]
)
def test_a_run_whose_deal_cannot_be_stops_no_other(tmp_path: Path, change: str) -> None:
    """A stranger's shard in a team's store; it is named, and only for who asks for it something went wrong."""
    into, strange = tmp_path / "into.sqlite", tmp_path / "strange.sqlite"
    bad = shard(into, 1, commit="beef" * 10)
    with closing(sqlite3.connect(into)) as connection, connection:
        connection.execute(f"UPDATE runs SET {change}")
    for number in (1, 2, 3):
        shard(tmp_path / f"{number}.sqlite", number)
    row = merged(into, *(tmp_path / f"{number}.sqlite" for number in (1, 2, 3)))
    assert row["finished"] and row["records"] == 10
    assert [note for note in row["notes"] if bad.run_id in note and "is passed over" in note]
    assert merged(into)["finished"]
    if change.startswith(("deal", "shard")):  # the others are not copied
        bad = shard(strange, 1, commit="beef" * 10)
        with closing(sqlite3.connect(strange)) as connection, connection:
            connection.execute(f"UPDATE runs SET {change}")
        row = merged(into, strange, tmp_path / "1.sqlite", code=5)
        assert row["finished"] and [one for one in row["problems"] if bad.run_id in one]
        assert bad.run_id in harness("store", "merge", strange, "--into", tmp_path / "other.sqlite", code=2)


def test_nothing_to_join_is_said(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "a.sqlite")) as store:
        run = store.start_run(
            command="bench",
            selectors=[],
            seed=1,
            budget_s=None,
            machine=MACHINE,
            machine_id="m",
            commit=None,
            dirty=None,
        )
        store.add(record(run_id=run.run_id), "check")
    assert "no such file" in harness("store", "merge", "--into", tmp_path / "into.sqlite", code=2)
    for stores in ([tmp_path / "a.sqlite"], []):
        said = harness("store", "merge", *stores, "--into", tmp_path / "into.sqlite", code=5)
        assert "none of the runs is a shard of a dealt run" in said


def test_a_joined_run_is_reported_compared_and_has_a_history_without_doubles(tmp_path: Path) -> None:
    into = tmp_path / "into.sqlite"
    shards = [shard(tmp_path / f"{number}.sqlite", number) for number in (1, 2, 3)]
    row = merged(into, *(tmp_path / f"{number}.sqlite" for number in (1, 2, 3)))
    with Store.open(str(into)) as store:
        assert store.run(None).run_id == row["run_id"], "the newest run is the whole and not its last shard"
        points = store.series(lambda task: True)
    assert len(points) == 6 and {one["run_id"] for one in points} == {row["run_id"]}
    written = harness("report", row["run_id"], "--store", into, "--format", "json")
    assert {one["machine_id"] for one in json.loads(written)} == {"m1", "m2", "m3"}
    harness("report", "--store", into, "-o", tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size > 10_000
    assert "float32[2x0]dim=1" in harness("history", "softmax", "--store", into, "--machine", "m2")
    copy = tmp_path / "copy.sqlite"
    harness("store", "copy", into, copy)
    assert everything(copy) == everything(into)
    assert merged(copy)["changed"] is False
    alone = tmp_path / "alone.sqlite"
    harness("store", "copy", into, alone, "--runs", row["run_id"])
    kept = merged(alone, tmp_path / "1.sqlite")
    assert kept["records"] == 10 and kept["finished"] and shards[1].run_id in kept["notes"][0], "nothing is lost"


def shown(path: Path | str) -> tuple[str, set[str]]:
    """The newest run of a store, and the runs whose times histories show."""
    with Store.open(str(path)) as store:
        return store.run("latest").run_id, {one["run_id"] for one in store.series(lambda task: True)}


@pytest.mark.parametrize("on_server", [False, True])
def test_a_joined_run_hides_only_what_was_joined_into_it(tmp_path: Path, request: Any, on_server: bool) -> None:
    """All shards write to one store; what is not joined yet is there."""
    into = request.getfixturevalue("postgres").url if on_server else str(tmp_path / "into.sqlite")
    superseded = shard(into, 1)
    shard(into, 1)
    whole = merged(into, code=5)["run_id"]
    assert shown(into) == (whole, {whole}), "of a shard that ran twice, the one that does not count is hidden too"
    second = shard(into, 2)
    assert shown(into) == (second.run_id, {whole, second.run_id})
    third = shard(into, 3)
    assert shown(into) == (third.run_id, {whole, second.run_id, third.run_id})
    assert merged(into)["finished"] and shown(into)[1] == {whole}
    dirty = [shard(into, number, dirty=True).run_id for number in (1, 2, 3)]
    assert shown(into) == (dirty[-1], {whole, *dirty})
    again = shard(into, 2, ends=False)
    assert again.run_id not in shown(into)[1] and superseded.run_id not in shown(into)[1]
    retried = shard(into, 2)
    assert shown(into) == (retried.run_id, {whole, retried.run_id, *dirty})
    assert merged(into)["run_id"] == whole and shown(into)[1] == {whole, *dirty}


def test_what_was_joined_counts_once_among_the_readings_of_a_machine(tmp_path: Path) -> None:
    into = tmp_path / "into.sqlite"
    runs = [shard(into, number) for number in (1, 2, 3)]
    with Store.open(str(into)) as store:
        before = {one.machine_id: (one.runs, one.rows, len(one.readings)) for one in inventory(store)}
    assert before == {"m1": (1, 4, 1), "m2": (1, 4, 1), "m3": (1, 4, 1)}
    whole = merged(into)["run_id"]
    with Store.open(str(into)) as store:
        after = {one.machine_id: (one.runs, one.rows, one.readings) for one in inventory(store)}
    for number, run in enumerate(runs, 1):
        count, rows, (reading,) = after[run.machine_id]
        assert (count, rows) == (1, 4 if number == 1 else 3), "a task that all of them checked is there once"
        assert (reading.run_id, reading.rates) == (whole, {"1024": float(number)})


def test_the_machines_of_a_shard_that_had_several_are_those_of_the_joined_run(tmp_path: Path) -> None:
    into = tmp_path / "into.sqlite"
    for number in (1, 2, 3):
        run = shard(into, number, machine_id="m1")
        with Store.open(str(into)) as store:
            for name in ("m1", f"node{number}", "node"):
                store.add_member(run.run_id, name, MACHINE, ceiling={f"{number}": 5.0}, used_by_others=number)
    whole = merged(into)["run_id"]
    with Store.open(str(into)) as store:
        members = store.members(whole)
        machines = {one.machine_id: one for one in inventory(store)}
    assert set(members) == {"m1", "node1", "node2", "node3", "node"} == set(machines)
    assert members["node"].ceiling == {"1": 5.0, "2": 5.0, "3": 5.0} and members["node"].used_by_others == 3
    assert members["node2"].ceiling == {"2": 5.0} and members["m1"].ceiling["1024"] == 1.0
    assert {(one.runs, len(one.readings)) for one in machines.values()} == {(1, 1)}


def test_references_of_joined_runs_count_once(tmp_path: Path) -> None:
    """Five runs are too few to tell how far references stray; with a copy of each they would seem ten."""
    into = tmp_path / "into.sqlite"
    for night in range(5):
        run = shard(into, 1, dealt={**deal(), "pipeline": str(night)}, machine_id="m")
        with Store.open(str(into)) as store:
            store.note(run.run_id, ceiling={"integer_1_thread": 100.0 + night, "65536": 20.0 + night})
        whole = merged(into, code=5)["run_id"]
    with Store.open(str(into)) as store:
        assert measured_from_store(store, whole).reference_noise is None
        run = shard(into, 1, dealt={**deal(), "pipeline": "6"}, machine_id="m")
        store.note(run.run_id, ceiling={"integer_1_thread": 105.0, "65536": 25.0})
        assert measured_from_store(store, run.run_id).reference_noise is not None


def test_joined_runs_are_compared_task_by_task_on_the_same_machine(tmp_path: Path) -> None:
    """Whichever machine a CI system lends to a shard: no time is held against one of another machine."""
    into = tmp_path / "into.sqlite"
    runs = []
    for name, commit, machines in (("a", COMMIT, "123"), ("b", "beef" * 10, "132"), ("c", "cafe" * 10, "789")):
        paths = [tmp_path / f"{name}{number}.sqlite" for number in (1, 2, 3)]
        for number, path in enumerate(paths, 1):
            shard(path, number, commit=commit, machine_id=f"m{machines[number - 1]}")
        runs.append(merged(into, *paths)["run_id"])
    done = CliRunner().invoke(app, ["compare", *runs[:2], "--store", str(into), "--json"])
    assert done.exit_code == 4, done.output
    rows = {row["case"]: row for row in json.loads(done.stdout)}
    for case, row in rows.items():
        if case.startswith("float32[1x"):
            assert row["ratio"] is not None and "machine" not in row["reason"]
        else:
            assert (row["verdict"], row["ratio"]) == ("UNCLEAR", None)
            assert "it was timed on machine m" in row["reason"] and "different machines say nothing" in row["reason"]
    done = CliRunner().invoke(app, ["compare", runs[0], runs[2], "--store", str(into)])
    assert done.exit_code == 5 and "times of different machines say nothing" in done.output


def test_shards_are_joined_in_a_server(postgres: Any, tmp_path: Path) -> None:
    with Store.open(postgres.url):
        pass
    paths = [tmp_path / f"{number}.sqlite" for number in (1, 2, 3)]
    for number, path in enumerate(paths, 1):
        shard(path, number)
    assert merged(postgres.url, *paths[:2], code=5)["records"] == 7
    assert merged(postgres.url, paths[2])["records"] == 10
    assert merged(postgres.url)["changed"] is False
    merged(tmp_path / "into.sqlite", *paths)
    assert joined_run(postgres.url) == joined_run(tmp_path / "into.sqlite")


@pytest.mark.parametrize(
    "value",
    [
        "{}",
        '{"id": "x", "of": 3}',
        '{"id": "deal", "of": 3, "digest": "d", "check": 1, "bench": 1, "parts": [1, 2, 3]}',
        json.dumps({**deal(), "parts": [{**deal()["parts"][0], "checked": {"x": "0-99999999999"}}] * OF}),
    ],
)
def test_a_deal_that_cannot_be_is_refused_or_said_without_words(tmp_path: Path, value: str) -> None:
    path = tmp_path / "1.sqlite"
    run = shard(path, 1)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET deal = ?", (value,))
    done = CliRunner().invoke(app, ["store", "merge", str(path), "--into", str(tmp_path / "into.sqlite")])
    assert done.exit_code in (2, 5) and done.exception.__class__ is SystemExit
    assert run.run_id in done.output

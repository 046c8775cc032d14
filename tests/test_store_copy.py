"""Runs of one store in another: nothing is lost, nothing is there twice, and what does not fit is named."""

from __future__ import annotations

import dataclasses
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import readings, record, timed
from typer.testing import CliRunner

from harness import transfer
from harness.cli import app
from harness.copying import CopyEnded, Wanted, copy_runs, opened_pair
from harness.database import Database
from harness.record import ImportedFrom, Noise
from harness.schema import SCHEMA_VERSION, import_identity
from harness.store import RunInfo, Store

MACHINE = {"cpu": "test", "cores": 4}


def begin(store: Store, seed: int = 7, machine_id: str = "abc", **more: Any) -> RunInfo:
    return store.start_run(
        command="bench",
        selectors=["softmax"],
        seed=seed,
        budget_s=1.5,
        machine={**MACHINE, "name": machine_id},
        machine_id=machine_id,
        commit="c0ffee" + "0" * 34,
        dirty=False,
        **more,
    )


def fill(store: Store, run: RunInfo, tasks: int = 3, first: int = 0, base_ns: int = 1000) -> None:
    """So many checked and timed tasks, each with readings of two processes."""
    about = {"run_id": run.run_id, "machine_id": run.machine_id, "commit": run.commit, "dirty": False}
    for number in range(first, first + tasks):
        case = f"float32[{number}x8]dim=1"
        store.add(record(case=f"{case}ok", **about), "check")
        store.add_samples(run.run_id, readings("builtin", [base_ns, base_ns + 1, base_ns + 2], case=case))
        store.add(timed("builtin", 10**6 + number, case=case, **about), "bench")


def end(store: Store, run: RunInfo) -> None:
    store.note(
        run.run_id, notes=["a note"], ceiling={"1024": 10.0}, admission={"softmax": {"killed": 1}}, used_by_others=0.5
    )
    store.finish_run(run.run_id, exit_code=0)


def stored(path: Path | str, runs: int = 2, **more: Any) -> list[str]:
    with Store.open(str(path)) as store:
        found = []
        for _ in range(runs):
            run = begin(store, **more)
            fill(store, run)
            end(store, run)
            found.append(run.run_id)
        store.add_noise([noise()])
        store.describe_machine("abc", {"constants": [1, 2]})
        return found


def noise(measured_at: str = "2026-01-01T00:00:00.000+00:00", spread: float = 0.01) -> Noise:
    return Noise(
        machine_id="abc", operator="softmax", backend="numpy", implementation="builtin", case="x", clock="wall",
        spread=spread, detectable=0.05, comparisons=20, measured_at=measured_at,
    )  # fmt: skip


def everything(path: Path | str) -> dict[str, Any]:
    """All that a store says of its runs, in order, and of its machines."""
    with Store.open(str(path)) as store:
        runs = sorted(store.runs(), key=lambda run: run.run_id)
        return {
            "runs": runs,
            "records": {
                (one.run_id, phase): store.records(one.run_id, phase) for one in runs for phase in ("check", "bench")
            },
            "samples": {one.run_id: store.samples(one.run_id) for one in runs},
            "imports": {one.run_id: store.imported_from(one.run_id) for one in runs},
            "machines": {one.machine_id: store.machine(one.machine_id) for one in runs},
            "noise": store.noise("abc"),
        }


def harness(*arguments: object, code: int = 0) -> str:
    """What the command prints, in one line; stderr is in it."""
    done = CliRunner().invoke(app, [str(one) for one in arguments], env={"NO_COLOR": "1", "COLUMNS": "180"})
    assert done.exit_code == code, (done.exit_code, done.output, done.exception)
    return " ".join(done.output.split())


def copied(*arguments: object, code: int = 0) -> dict[str, Any]:
    """The rows of `harness store copy --json` by run."""
    done = CliRunner().invoke(app, ["store", "copy", *map(str, arguments), "--json"])
    assert done.exit_code == code, (done.exit_code, done.output, done.exception)
    return {row["run_id"]: row for row in json.loads(done.stdout)}


def test_all_of_a_run_goes_along_and_nothing_goes_twice(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    stored(here)
    said = harness("store", "copy", here, there)
    assert "copied 2 runs (12 records, 18 samples)" in " ".join(said.split()) and "2 new" in said
    assert f"next: harness store list --store {there}" in said
    assert everything(there) == everything(here) != {}
    before = there.read_bytes()
    again = harness("store", "copy", here, there)
    assert "copied nothing from" in again and "2 known already" in again
    assert everything(there) == everything(here) and there.read_bytes() == before
    back = harness("store", "copy", there, here)
    assert "copied nothing from" in back


def test_a_run_that_grew_gets_what_is_new(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    with Store.open(str(here)) as store:
        run = begin(store)
        fill(store, run, 2)
        assert "harness store copy" not in harness("store", "copy", here, there)
        with Store.open(str(there)) as other:
            assert other.run(None).finished_at is None and len(other.records(run.run_id)) == 4
        assert copied(here, there)[run.run_id]["outcome"] == "known"
        fill(store, run, 2, first=2)
        # a process more of a task that is there, and a verdict that was made anew
        later = [dataclasses.replace(one, process=7) for one in readings("builtin", [5, 6], case="float32[0x8]dim=1")]
        store.add_samples(run.run_id, later)
        again = {"run_id": run.run_id, "machine_id": run.machine_id, "commit": run.commit, "dirty": False}
        store.add(timed("builtin", 77, case="float32[1x8]dim=1", started_at="2026-01-02T00:00:00", **again), "bench")
        end(store, run)
    row = copied(here, there)[run.run_id]
    assert (row["outcome"], row["records"], row["samples"], row["is_finished"]) == ("grown", 5, 8, True)
    ours, theirs = everything(here), everything(there)
    for one in (ours, theirs):
        one["samples"][run.run_id].sort(key=lambda sample: (sample.case, sample.process, sample.block))
    assert theirs == ours
    assert copied(here, there)[run.run_id]["outcome"] == "known"


def test_what_a_machine_of_a_run_was_measured_at_later_comes_along(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    with Store.open(str(here)) as store:
        run = begin(store)
        for machine_id in ("abc", "def"):
            store.add_member(run.run_id, machine_id, MACHINE)
        fill(store, run, 1)
    harness("store", "copy", here, there)
    with Store.open(str(here)) as store:
        store.add_member(run.run_id, "abc", MACHINE, ceiling={"1024": 5.0}, used_by_others=0.1)
    assert copied(here, there)[run.run_id]["outcome"] == "grown"
    with Store.open(str(here)) as store:
        store.add_member(run.run_id, "abc", MACHINE, ceiling={"1024": 5.0, "2048": 4.0}, used_by_others=0.5)
        end(store, run)
    assert copied(here, there)[run.run_id]["outcome"] == "grown"
    with Store.open(str(here)) as first, Store.open(str(there)) as second:
        wanted = first.members(run.run_id)
        assert second.members(run.run_id) == wanted and wanted["abc"].ceiling == {"1024": 5.0, "2048": 4.0}
    for source, target in ((here, there), (there, here)):
        assert copied(source, target)[run.run_id]["outcome"] == "known"
    with closing(sqlite3.connect(there)) as connection, connection:  # as an earlier version left it
        connection.execute("UPDATE members SET ceiling = NULL, used_by_others = NULL")
    assert copied(there, here)[run.run_id]["outcome"] == "known"
    assert copied(here, there)[run.run_id]["outcome"] == "grown"
    for path in (here, there):
        with Store.open(str(path)) as store:
            assert store.members(run.run_id) == wanted


def test_what_is_older_takes_the_place_of_nothing(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    with Store.open(str(here)) as store:
        run = begin(store)
        fill(store, run, 1)
        harness("store", "copy", here, there)
        with Store.open(str(there)) as other:  # it goes on there
            about = {"run_id": run.run_id, "machine_id": "abc", "started_at": "2026-03-01T00:00:00+00:00"}
            other.add(timed("builtin", 5, case="float32[0x8]dim=1", **about), "bench")
            end(other, run)
    after = everything(there)
    assert copied(here, there)[run.run_id]["outcome"] == "known"
    assert everything(there) == after
    assert copied(there, here)[run.run_id]["outcome"] == "grown"
    assert everything(here)["records"] == after["records"] and everything(here)["runs"] == after["runs"]


@pytest.mark.parametrize("column, value", [("seed", 8), ("machine_id", "other"), ("started_at", "2026-01-01T00:00:00")])
def test_another_run_of_the_same_id_is_refused_by_name(tmp_path: Path, column: str, value: object) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    first, second = stored(here)
    harness("store", "copy", here, there, "--runs", first)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute(f"UPDATE runs SET {column} = ? WHERE run_id = ?", (value, first))
        connection.execute("DELETE FROM records WHERE run_id = ? AND phase = 'check'", (first,))
    before = everything(there)
    rows = copied(here, there, code=5)
    assert rows[first]["outcome"] == "refused" and column in rows[first]["reason"]
    assert rows[second]["outcome"] == "new"
    after = everything(there)
    assert after["records"][first, "check"] == before["records"][first, "check"]
    assert [run for run in after["runs"] if run.run_id == first] == before["runs"]
    assert "another run of this id is there" in harness("store", "copy", here, there, code=5)


@pytest.mark.parametrize(
    "statement, said",
    [
        ("UPDATE samples SET wall_ns = 'x' WHERE run_id = ?", "samples, column wall_ns"),
        ("UPDATE samples SET calls = 0 WHERE run_id = ?", "samples, column calls"),
        ("UPDATE samples SET contaminated = CAST(X'ff80' AS TEXT) WHERE run_id = ?", "cannot be read"),
        ("UPDATE records SET status = 'great' WHERE run_id = ?", "records, column status"),
        ("UPDATE records SET phase = 'x' WHERE run_id = ?", "records.phase"),
        ("UPDATE records SET machine_id = X'00' WHERE run_id = ?", "machine_id"),
        ("UPDATE runs SET exit_code = 9000000000 WHERE run_id = ?", "no 32 bits"),
        ("UPDATE runs SET notes = '[' WHERE run_id = ?", "runs.notes"),
        ("UPDATE runs SET started_at = 'soon' WHERE run_id = ?", "started_at"),
    ],
)
def test_a_run_whose_rows_cannot_be_is_named_and_the_others_are_copied(
    tmp_path: Path, statement: str, said: str
) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    first, second = stored(here)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute(statement, (first,))
    before = here.read_bytes()
    rows = copied(here, there, code=5)
    assert (rows[first]["outcome"], rows[second]["outcome"]) == ("refused", "new")
    assert said in rows[first]["reason"] and "harness-scratch" not in rows[first]["reason"]
    found = everything(there)
    assert [run.run_id for run in found["runs"]] == [second] and here.read_bytes() == before
    with closing(sqlite3.connect(there)) as connection:
        assert connection.execute("SELECT count(*) FROM samples WHERE run_id = ?", (first,)).fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM records WHERE run_id = ?", (first,)).fetchone() == (0,)


def test_noise_that_cannot_be_is_named_and_the_other_machines_are_copied(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    stored(here, runs=1)
    stored(here, runs=1, machine_id="xyz")
    with Store.open(str(here)) as store:
        store.add_noise([dataclasses.replace(noise(), machine_id="xyz")])
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("UPDATE noise SET measured_at = 'x' WHERE machine_id = 'abc'")
    for outcome in ("new", "known"):
        rows = copied(here, there, code=5)
        bad = rows.pop("")
        assert {row["outcome"] for row in rows.values()} == {outcome} and len(rows) == 2
        assert (bad["outcome"], bad["machine_id"]) == ("refused", "abc") and "measured_at" in bad["reason"]
    with Store.open(str(there)) as store:
        assert len(store.noise("xyz")) == 1 and store.noise("abc") == [] and store.machine("abc")["name"] == "abc"
    said = harness("store", "copy", here, there, code=5)
    assert "machine abc: " in said and "2 known already, 1 refused" in said


def test_texts_that_a_server_does_not_take_are_made_storable(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    (run_id,) = stored(here, runs=1)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("UPDATE samples SET contaminated = 'a' || char(0) || 'b'")
        connection.execute("UPDATE records SET status = 'failed', median_ns = NULL, reason = 'a' || char(0)")
        connection.execute("UPDATE noise SET clock = 'wa' || char(0)")
    harness("store", "copy", here, there)
    found = everything(there)
    assert {one.contaminated for one in found["samples"][run_id]} == {"a\ufffdb"}
    assert {one.reason for one in found["records"][run_id, "bench"]} == {"a\ufffd"}
    assert copied(here, there)[run_id]["outcome"] == "known"


def test_runs_are_chosen_by_id_time_and_machine(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    first, second = stored(here)
    (third,) = stored(here, runs=1, machine_id="xyz")
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("UPDATE runs SET started_at = '2026-01-05T00:00:00+00:00' WHERE run_id = ?", (first,))
    assert set(copied(here, tmp_path / "1.sqlite", "--since", "2026-02-01")) == {second, third}
    assert set(copied(here, tmp_path / "2.sqlite", "--machine", "x")) == {third}
    assert set(copied(here, tmp_path / "3.sqlite", "--runs", first, "--runs", "latest")) == {first, third}
    with Store.open(str(tmp_path / "2.sqlite")) as store:
        assert store.machine("abc") == {} and store.noise("abc") == [] and store.machine("xyz")["name"] == "xyz"
    assert "is the beginning of several" in harness("store", "copy", here, there, "--runs", "2", code=5)
    assert "is none of its runs" in harness("store", "copy", here, there, "--runs", "nothing", code=5)
    assert "is none of its machines" in harness("store", "copy", here, there, "--machine", "q", code=5)
    assert "none of its 3 runs" in harness("store", "copy", here, there, "--since", "2199-01-01", code=5)
    assert "no date" in harness("store", "copy", here, there, "--since", "soon", code=2)


def test_what_is_no_store_to_copy_is_refused(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    stored(here, runs=1)
    (tmp_path / "link.sqlite").symlink_to(here)
    for other in (here, f"sqlite:///{here}", tmp_path / "link.sqlite"):
        assert "one store; name two" in harness("store", "copy", here, other, code=2)
    assert "no such file" in harness("store", "copy", tmp_path / "typo.sqlite", there, code=2)
    assert not there.exists(), "what was typed wrong makes no store"
    (tmp_path / "text").write_text("no database" * 1000)
    assert "is no store" in harness("store", "copy", tmp_path / "text", there, code=2)
    Store.open(str(tmp_path / "empty.sqlite")).close()
    assert "holds no run" in harness("store", "copy", tmp_path / "empty.sqlite", there, code=5)
    newer = tmp_path / "newer.sqlite"
    stored(tmp_path / "older.sqlite", runs=1)
    with closing(sqlite3.connect(tmp_path / "older.sqlite")) as connection, connection:
        connection.execute("UPDATE schema_version SET version = 7")
    stored(newer, runs=1)
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE schema_version SET version = 99")
    assert "newer kernel-harness" in harness("store", "copy", newer, there, code=2)
    for older in (here, tmp_path / "older.sqlite"):
        said = harness("store", "copy", older, newer, code=2)
        assert "newer kernel-harness" in said and f"{newer}: " in said and f"{older}: " not in said
    assert "in memory" in harness("store", "copy", here, ":memory:", code=2)


def test_an_older_store_is_upgraded_in_the_copy_only(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    (run_id,) = stored(here, runs=1)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("ALTER TABLE records DROP COLUMN duration_s")
        connection.execute("ALTER TABLE runs DROP COLUMN deal")
        connection.execute("ALTER TABLE runs DROP COLUMN shard")
        connection.execute("DROP TABLE members")
        connection.execute("UPDATE schema_version SET version = 6")
    with closing(sqlite3.connect(here)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = here.read_bytes()
    assert copied(here, there)[run_id]["outcome"] == "new"
    assert here.read_bytes() == before
    with Store.open(str(there)) as store:
        assert len(store.records(run_id)) == 6
    with closing(sqlite3.connect(there)) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(SCHEMA_VERSION,)]


def test_an_import_that_is_there_is_the_same_run(tmp_path: Path) -> None:
    paths = [tmp_path / "a.sqlite", tmp_path / "b.sqlite"]
    identity = import_identity("asv", "{}", "abc", None)
    ids = []
    for number, path in enumerate(paths):
        with Store.open(str(path)) as store:
            info = dataclasses.replace(
                begin(store), run_id=f"import{number}", command="import", finished_at="2026-01-01"
            )
            rows = [record(run_id=info.run_id, status="imported", reason="1 s")]
            store.add_imported(info, MACHINE, rows, [], ImportedFrom("asv", {"x.json": "{}"}), identity)
            ids.append(info.run_id)
    row = copied(*paths)[ids[0]]
    assert row["outcome"] == "known" and ids[1] in row["reason"]
    with Store.open(str(paths[1])) as store:
        assert ids[0] not in {run.run_id for run in store.runs()}
    fresh = tmp_path / "c.sqlite"
    copied(paths[0], fresh)
    with Store.open(str(fresh)) as store:
        assert store.imported_from(ids[0]) == ImportedFrom("asv", {"x.json": "{}"})


def test_what_both_know_of_a_machine_is_kept(tmp_path: Path) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    stored(here, runs=1)
    stored(there, runs=1)
    with Store.open(str(here)) as store:
        store.describe_machine("abc", {"constants": [9], "mine": 1})
        store.add_noise([noise("2025-01-01T00:00:00.000+00:00", 0.5), noise("2026-05-01T00:00:00.000+00:00", 0.02)])
    with Store.open(str(there)) as store:
        store.describe_machine("abc", {"theirs": 2})
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("UPDATE machines SET first_seen = '2020-01-01T00:00:00.000+00:00'")
    for _ in range(2):
        harness("store", "copy", here, there)
        with Store.open(str(there)) as store:
            known = store.machine("abc")
            assert (known["constants"], known["mine"], known["theirs"]) == ([1, 2], 1, 2)
            assert [one.spread for one in store.noise("abc")] == [0.02], "the newest counts, however it came"
        with closing(sqlite3.connect(there)) as connection:
            assert connection.execute("SELECT first_seen FROM machines").fetchall() == [
                ("2020-01-01T00:00:00.000+00:00",)
            ]
            assert connection.execute("SELECT count(*) FROM noise").fetchall() == [(3,)]


def test_a_copy_that_is_killed_goes_on(tmp_path: Path) -> None:
    """Runs are there whole or not at all; the readings of a large one are written before it is there."""
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    with Store.open(str(here)) as store:
        for _ in range(40):
            run = begin(store)
            fill(store, run, 2)
            end(store, run)
        large = begin(store)
        for number in range(100):
            many = readings("builtin", list(range(100, 200)), case=f"float32[{number}x8]dim=1")
            store.add_samples(large.run_id, many)
        end(store, large)
    wanted = everything(here)
    code = f"""
import sys
from harness import transfer
from harness.copying import Wanted, copy_runs, opened_pair
transfer.MOST_AT_ONCE = 3000
transfer_partitions = transfer.partitions
import harness.delta
harness.delta.BATCH = 500
with opened_pair({str(here)!r}, {str(there)!r}) as (first, second):
    copy_runs(first, second, Wanted(), lambda text, done, total: print(done, flush=True))
"""
    for limit in (30, 400, 5000, 8000):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        while line := child.stdout.readline():
            if int(line) >= limit:
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        found = everything(there)
        for run in found["runs"]:
            assert found["samples"][run.run_id] == wanted["samples"][run.run_id]
            assert found["records"][run.run_id, "bench"] == wanted["records"][run.run_id, "bench"]
    harness("store", "copy", here, there)
    assert everything(there) == wanted
    with closing(sqlite3.connect(there)) as connection:
        (samples,) = connection.execute("SELECT count(*) FROM samples").fetchone()
        assert samples == sum(map(len, wanted["samples"].values()))
    assert not list(tmp_path.glob("*.lock"))


def write_runs(url: str, failures: list[BaseException], ids: list[str]) -> None:
    try:
        with Store.open(url) as store:
            for _ in range(3):
                run = begin(store)
                fill(store, run, 3)
                end(store, run)
                ids.append(run.run_id)
    except BaseException as error:
        failures.append(error)


def copy_all(source: str, target: str, failures: list[BaseException]) -> None:
    try:
        with opened_pair(source, target) as (first, second):
            copy_runs(first, second, Wanted(), lambda text, done, total: None)
    except BaseException as error:
        failures.append(error)


def at_once(source: Path, target: str) -> None:
    """Eight writers of runs of their own, and two copies of one store, into one store."""
    wanted, failures, ids = everything(source), [], []
    threads = [threading.Thread(target=write_runs, args=(target, failures, ids)) for _ in range(8)]
    threads += [threading.Thread(target=copy_all, args=(str(source), target, failures)) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failures == []
    found = everything(target)
    assert len(ids) == 24 and {run.run_id for run in found["runs"]} == {*ids, *(run.run_id for run in wanted["runs"])}
    for run in wanted["runs"]:
        assert found["records"][run.run_id, "bench"] == wanted["records"][run.run_id, "bench"]
        assert found["samples"][run.run_id] == wanted["samples"][run.run_id]
    for run_id in ids:
        assert len(found["records"][run_id, "bench"]) == 3 and len(found["samples"][run_id]) == 9


def test_others_write_meanwhile(tmp_path: Path) -> None:
    stored(tmp_path / "a.sqlite", runs=6)
    at_once(tmp_path / "a.sqlite", str(tmp_path / "b.sqlite"))


def test_a_lost_store_is_named_and_what_was_copied_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    stored(here, runs=3)
    with opened_pair(str(here), str(there)) as (first, second):
        writing, calls = Database.writing, []

        def lose(self: Database) -> Any:
            calls.append(self)
            if len(calls) == 3:
                there.rename(tmp_path / "moved.sqlite")
            return writing(self)

        monkeypatch.setattr(Database, "writing", lose)
        with pytest.raises(CopyEnded, match=r"was removed or replaced.*the same command goes on"):
            copy_runs(first, second, Wanted(), lambda text, done, total: None)
    monkeypatch.undo()
    (saved,) = tmp_path.glob("*.rescued-*.sqlite")
    assert len(everything(saved)["runs"]) == 2
    assert "1 new, 2 known already" in harness("store", "copy", here, saved)
    assert everything(saved) == everything(here)


def test_runs_are_listed_with_what_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    (ended,) = stored(path, runs=1)
    with Store.open(str(path)) as store:
        cut = begin(store)
        fill(store, cut, 1)
    code = f"from test_store_copy import *; s = Store.open({str(path)!r}); print(begin(s).run_id, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    going_on = child.stdout.readline().strip()
    try:
        rows = {row["run_id"]: row for row in json.loads(harness("store", "list", "--store", path, "--json"))}
        said = harness("store", "list", "--store", path)
    finally:
        child.communicate("\n")
    began = [row["started_at"] for row in rows.values()]
    assert began == sorted(began, reverse=True)
    held = rows[ended]
    assert (held["checked"], held["timed"], held["samples"], held["exit_code"], held["state"]) == (3, 3, 9, 0, None)
    assert rows[cut.run_id]["state"] == "interrupted" and rows[going_on]["state"] == "goes on"
    for words in ("3 runs", f"schema {SCHEMA_VERSION}", "exit 0", "interrupted", "goes on", "bench softmax"):
        assert words in said
    assert "and 2 older ones: --last 3" in harness("store", "list", "--store", path, "--last", "1")


def test_a_store_that_is_written_to_while_it_is_read_is_no_torn_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that nobody writes to is read without a lock; where somebody begins to, nothing of that run is kept."""
    here, there = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    first, second = stored(here)
    with opened_pair(str(here), str(there)) as (source, target):
        calls, write = [], transfer.insert_rows

        def written(*arguments: Any) -> None:
            calls.append(write(*arguments))
            if len(calls) == 3:  # the readings of the second run
                stored(here, runs=1)

        monkeypatch.setattr(transfer, "insert_rows", written)
        with pytest.raises(CopyEnded, match="was written to while it was read"):
            copy_runs(source, target, Wanted(), lambda text, done, total: None)
    monkeypatch.undo()
    assert [run.run_id for run in everything(there)["runs"]] == [first]
    assert len(copied(here, there)) == 3 and everything(there) == everything(here)
    assert second in {run.run_id for run in everything(there)["runs"]}


# ---- a server of PostgreSQL


def test_runs_go_to_a_server_and_come_back_as_they_were(postgres: Any, tmp_path: Path) -> None:
    here, back = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    first, second = stored(here)
    with closing(sqlite3.connect(here)) as connection, connection:
        odd = "max_ulp = 9e999, seed = 9223372036854775807, reason = ?, status = 'failed', median_ns = NULL"
        connection.execute(f"UPDATE records SET {odd} WHERE phase = 'check'", ('ünï\x01\\N\t"\r\n\\.',))
        odd = "contaminated = ?, throttled = 1, others_share = 0.1"
        connection.execute(f"UPDATE samples SET {odd}", ("\\N\nΩ",))
    assert {row["outcome"] for row in copied(here, postgres.url).values()} == {"new"}
    assert {row["outcome"] for row in copied(here, postgres.url).values()} == {"known"}
    assert {row["outcome"] for row in copied(postgres.url, back).values()} == {"new"}
    assert everything(postgres.url) == everything(here) == everything(back)
    assert {row["outcome"] for row in copied(postgres.url, here).values()} == {"known"}
    assert "one store; name two" in harness("store", "copy", postgres.url, postgres.url, code=2)
    with closing(sqlite3.connect(here)) as connection, connection:
        connection.execute("UPDATE runs SET seed = 1 WHERE run_id = ?", (first,))
    assert copied(here, postgres.url, code=5)[first]["outcome"] == "refused"
    rows = json.loads(harness("store", "list", "--store", postgres.url, "--json"))
    assert [(row["run_id"], row["timed"], row["samples"]) for row in rows] == [(second, 3, 9), (first, 3, 9)]


def test_others_write_to_a_server_meanwhile(postgres: Any, tmp_path: Path) -> None:
    stored(tmp_path / "a.sqlite", runs=6)
    at_once(tmp_path / "a.sqlite", postgres.url)

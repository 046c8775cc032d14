"""The store keeps what was finished, whatever happens next: on a file of SQLite and on a server of PostgreSQL."""

from __future__ import annotations

import dataclasses
import math
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import older_stores
import pytest
import sqlalchemy as sa
from conftest import readings, record, timed
from harness.reports.medians import median_lines

from harness import strangers
from harness.database import StoreLost
from harness.machine import FIRST_IDENTITY, RULE
from harness.record import Noise
from harness.rows import Member
from harness.schema import SCHEMA_VERSION, StoreError, import_identity, metadata
from harness.store import RunInfo, Store, UnknownRun

KEY = ("softmax", "numpy", "builtin", "float32[8x8]dim=1")


def start(store: Store, command: str = "check", machine_id: str = "abc", **changes: object) -> RunInfo:
    return store.start_run(
        **{
            "command": command,
            "selectors": ["softmax"],
            "seed": 7,
            "budget_s": None,
            "machine": {"cpu": "test"},
            "machine_id": machine_id,
            "commit": "c0ffee",
            "dirty": False,
            **changes,
        }
    )


def test_a_record_comes_back_as_it_was(store_url: str) -> None:
    with Store.open(store_url) as store:
        run = start(store)
        written = record(run_id=run.run_id, run_to_run_bitwise=True, batch_invariant=None, error_over_bound=math.inf)
        written = dataclasses.replace(written, status="failed", reason="off by Ω \U0001f600", bytes=2**62)
        store.add(written, "check")
        assert store.records(run.run_id, "check") == [written]
        assert store.records(run.run_id, "bench") == []


def test_a_record_of_the_same_task_is_replaced(store_url: str) -> None:
    with Store.open(store_url) as store:
        run = start(store)
        store.add(record(run_id=run.run_id, max_ulp=1.0), "check")
        store.add(record(run_id=run.run_id, max_ulp=2.0), "check")
        assert [one.max_ulp for one in store.records(run.run_id)] == [2.0]
        assert store.done(run.run_id, "check") == {KEY}


def test_nan_becomes_null_and_text_from_plugins_is_kept_storable(store_url: str) -> None:
    with Store.open(store_url) as store:
        run = start(store)
        odd = {"reason": "a\0b\ud800c", "case": "x'; --\\\t\n\0"}
        store.add(record(run_id=run.run_id, status="failed", error_over_bound=math.nan, **odd), "check")
        store.add_all(run.run_id, "bench", [record(run_id=run.run_id, status="failed", **odd)] * 1)
        store.add_samples(run.run_id, readings("builtin", [1], case=odd["case"], contaminated="a\0\ud800"))
        for found in store.records(run.run_id):
            assert found.error_over_bound is None or found.error_over_bound == 0.25
            assert found.reason == "a\ufffdb?c" and found.case == "x'; --\\\t\n\ufffd"
        (sample,) = store.samples(run.run_id)
        assert (sample.case, sample.contaminated) == ("x'; --\\\t\n\ufffd", "a\ufffd?")


def test_samples_come_back_as_they_were(store_url: str) -> None:
    with Store.open(store_url) as store:
        run = start(store)
        written = readings("builtin", [10, 20, 2**40], others_share=0.1, throttled=False, cpu_ns=None)
        store.add_samples(run.run_id, written)
        assert store.samples(run.run_id) == written


def test_what_belongs_together_is_stored_whole_and_replaced_whole(store_url: str) -> None:
    with Store.open(store_url) as store:
        run = start(store, "bench")
        both = [timed("builtin", 10, run_id=run.run_id), timed("online", 20, run_id=run.run_id)]
        store.add_all(run.run_id, "bench", both, [*readings("builtin", [1, 2]), *readings("online", [3])])
        store.add_samples(run.run_id, readings("other", [9]))
        again = [timed("builtin", 11, run_id=run.run_id)]
        store.add_all(run.run_id, "bench", again, readings("builtin", [4]))
        assert store.records(run.run_id) == [both[1], *again]
        assert sorted(one.wall_ns for one in store.samples(run.run_id)) == [3, 4, 9]
        with pytest.raises(sa.exc.IntegrityError):
            store.add_all(run.run_id, "check", both * 2, readings("online", [5]))
        assert store.records(run.run_id) == [both[1], *again] and len(store.samples(run.run_id)) == 3


def test_a_finished_run_is_stored_whole(store_url: str) -> None:
    with Store.open(store_url) as store:
        run = dataclasses.replace(start(store), run_id="whole", notes=("a",), ceiling={"1": 2.0}, deal={"of": 2})
        rows = [timed(f"i{number}", 100 + number, run_id="whole") for number in range(50)]
        samples = [one for row in rows for one in readings(row.implementation, [1, 2, 3])]
        store.add_finished(run, {}, rows, rows, samples)
        assert store.run("whole") == run and store.machine("abc") == {"cpu": "test"}
        assert store.records("whole", "check") == store.records("whole", "bench") == rows
        assert store.samples("whole") == samples


def test_runs_are_found_by_id_prefix_and_latest(store_url: str) -> None:
    with Store.open(store_url) as store:
        first, second = start(store), start(store)
        assert first.run_id != second.run_id
        assert store.run(first.run_id) == first
        assert store.run(first.run_id[:-1]) in (first, second)
        assert store.run(None).run_id in (first.run_id, second.run_id)
        assert store.run("latest") == store.run(None) == store.runs()[0]
        with pytest.raises(UnknownRun, match="is the beginning of several runs"):
            store.run("20")
        for unknown in ("nothing", "%", "2_2", first.run_id + "x"):
            with pytest.raises(UnknownRun, match="is no run of this store; the newest are: 20"):
                store.run(unknown)


def test_the_parts_of_a_joined_run_are_counted_once(store_url: str) -> None:
    with Store.open(store_url) as store:
        whole = dataclasses.replace(start(store, deal={"of": 2}), run_id="0", started_at="2025-01-01T00:00:00")
        store.add_finished(whole, {}, [], [timed("builtin", 100, run_id="0", machine_id="abc")])
        named = []
        for part in ("1/2", "2/2"):
            run = start(store, "bench", shard=part, deal={"of": 3})
            store.add(timed("builtin", 200, run_id=run.run_id, machine_id="abc"), "bench")
            named.append(f"shard {part}: run {run.run_id} on machine abc")
        assert len(store.series(lambda task: True)) == 3 and store.medians()[0].runs == 3, "not joined"
        joined = dataclasses.replace(
            start(store), run_id="j", deal={"of": 3}, started_at="2030-01-01", notes=tuple(named)
        )
        store.add_finished(joined, {}, [], [timed("builtin", 300, run_id="j", machine_id="abc")])
        assert [one["median_ns"] for one in store.series(lambda task: True)] == [100, 300]
        assert store.medians()[0].runs == 2 and store.run(None) == joined
        assert len(store.runs()) == 6


def test_an_empty_store_says_what_to_type(store_url: str) -> None:
    with Store.open(store_url) as store:
        for wanted in (None, "20"):
            with pytest.raises(UnknownRun, match="harness bench"):
                store.run(wanted)
        assert store.medians() == [] and store.newest_timed() is None


def test_only_an_unfinished_run_of_the_command_is_resumed(store_url: str) -> None:
    with Store.open(store_url) as store:
        finished = start(store)
        store.finish_run(finished.run_id, exit_code=0)
        with pytest.raises(UnknownRun, match="nothing to resume"):
            store.unfinished("check")
        waiting = start(store)
        assert store.unfinished("check") == waiting
        with pytest.raises(UnknownRun):
            store.unfinished("bench")


def test_whether_a_run_goes_on_is_known_to_others(store_url: str) -> None:
    with Store.open(store_url) as store, Store.open(store_url) as other:
        run = start(store)
        assert other.goes_on(run.run_id) and not other.goes_on("another")
        with pytest.raises(UnknownRun, match="still goes on"):
            other.take_up("check")
        with other.database.claimed("another") as ours:
            assert ours and store.goes_on("another")
            with store.database.claimed("another") as theirs:
                assert not theirs
        assert not store.goes_on("another")
        store.close()
        assert not other.goes_on(run.run_id)
        assert other.take_up("check") == run


def test_machines_and_members_and_noise_come_back(store_url: str) -> None:
    noise = Noise(
        machine_id="abc", operator="softmax", backend="numpy", implementation="builtin", case="c", clock="wall",
        spread=0.1, detectable=0.2, comparisons=3, measured_at="2026-01-02T00:00:00",
    )  # fmt: skip
    with Store.open(store_url) as store:
        run = start(store)
        store.describe_machine("abc", {"constants": {"exp": 1.0}})
        store.describe_machine("new", {"constants": {}})
        assert store.machine("abc") == {"cpu": "test", "constants": {"exp": 1.0}} and store.machine("none") == {}
        store.add_member(run.run_id, "two", {"cpu": "2"}, ceiling={"1024": 1.0, "f": 2.0}, used_by_others=0.5)
        store.add_member(run.run_id, "two", {"cpu": "other"}, ceiling={"1024": 3.0})
        store.add_member(run.run_id, "one", {"cpu": "1"})
        two = Member(run.run_id, "two", {"1024": 3.0, "f": 2.0}, 0.5)
        assert store.members(run.run_id) == {"one": Member(run.run_id, "one"), "two": two}
        assert store.all_members() == [Member(run.run_id, "one"), two] and store.members("none") == {}
        about = {"abc": store.machine("abc"), "new": {"constants": {}}, "two": {"cpu": "2"}, "one": {"cpu": "1"}}
        assert {name: found for name, _, found in store.machines()} == about
        older = dataclasses.replace(noise, spread=0.9, measured_at="2026-01-01T00:00:00")
        store.add_noise([noise, older])  # a copied store has its rows in another order
        assert store.noise("abc") == [noise]
        store.add(record(run_id=run.run_id, machine_id="two"), "check")
        assert store.rows_by_machine() == {"two": 1}


def test_series_hold_what_is_selected_and_no_more(store_url: str) -> None:
    with Store.open(store_url) as store:
        for number in range(4):
            run = start(store, "bench", commit="c" * (number // 2 + 1), dirty=number == 3)
            about = {"run_id": run.run_id, "started_at": run.started_at, "commit": run.commit, "dirty": run.dirty}
            # more than one query asks for
            about["machine_id"] = f"m{number % 2}"
            rows = [timed("builtin", 1000 + number, case=str(case), **about) for case in range(250)]
            store.add_all(run.run_id, "bench", rows)
            store.add(record(run_id=run.run_id, case="checked"), "check")
        assert len(store.series(lambda task: True)) == 1000
        found = store.series(lambda task: task.endswith("/7"))
        assert [one["median_ns"] for one in found] == [1000, 1001, 1002, 1003] and {one["case"] for one in found} == {
            "7"
        }
        assert [one["started_at"] for one in found] == sorted(one["started_at"] for one in found)
        assert len(store.series(lambda task: True, "m1")) == 500 == len(store.series(lambda task: True, {"m1", "no"}))
        assert [one["median_ns"] for one in store.series(lambda task: task.endswith("/7"), commit="c")] == [1000, 1001]
        assert [one["median_ns"] for one in store.series(lambda task: task.endswith("/7"), commit="cc")] == [1002]


def test_medians_are_those_of_numpy(store_url: str) -> None:
    rng = np.random.default_rng(5)
    with Store.open(store_url) as store:
        times: dict[str, list[int]] = {}
        for number in range(60):
            machine = "other" if number % 10 == 8 else "m"
            run = dataclasses.replace(
                start(store, machine_id=machine), run_id=str(number), started_at=f"2026-01-01T00:{number:02d}:00"
            )
            about = {"run_id": run.run_id, "machine_id": machine}
            rows = []
            for task in range(5):
                if number % 7 == 3:
                    continue  # a run without times is none of the last
                time_ns = int(rng.integers(1, 2**50))
                if rng.random() < 0.2:
                    rows.append(record(case=str(task), status="failed", reason="off", **about))
                    continue
                rows.append(timed("builtin", time_ns, case=str(task), **about))
                if machine == "m":
                    times.setdefault(f"{task} in {number}", []).append(time_ns)
            store.add_finished(run, {}, [record(run_id=run.run_id)], rows)
        newest = [number for number in range(60) if number % 7 != 3 and number % 10 != 8]
        for last in (1, 2, 20, 1000):
            wanted = newest[-last:]
            found = store.medians(last, machine_id="m")
            expected = {
                str(task): [one for number in wanted for one in times.get(f"{task} in {number}", [])]
                for task in range(5)
            }
            assert {one.case: (one.runs, one.median_ns, one.least_ns, one.most_ns) for one in found} == {
                task: (len(held), float(np.median(held)), min(held), max(held))
                for task, held in expected.items()
                if held
            }
        assert [one.case for one in store.medians(50, lambda task: task.endswith("/3"), "m")] == ["3"]
        assert {one.machine_id for one in store.medians(3)} == {"other"}, "the machine of the newest run with a time"


def test_medians_are_over_all_ids_of_a_machine_and_apart_from_what_was_imported(store_url: str) -> None:
    older = dict.fromkeys(FIRST_IDENTITY, 1)
    newer = {**older, "rule": RULE}
    with Store.open(store_url) as store:
        ids = ("before", "before", "now", "another", "now")
        for number, (machine_id, time_ns) in enumerate(zip(ids, (300, 100, 200, 7, 999), strict=True)):
            status = {"status": "imported", "reason": "x"} if time_ns == 999 else {}
            run = dataclasses.replace(
                start(store, "bench", machine_id), run_id=str(number), started_at=f"2026-01-01T00:00:0{number}"
            )
            said = {"before": older, "now": newer}.get(machine_id, {})
            store.describe_machine(machine_id, said)
            row = timed("builtin", time_ns * 1000, run_id=run.run_id, machine_id=machine_id, **status)
            store.add_finished(run, said, [], [row])
        for name in ("before", "now", None):
            imported, passed = store.medians(machine_id=name)
            assert (imported.status, imported.runs, imported.median_ns) == ("imported", 1, 999_000)
            assert (passed.status, passed.runs, passed.median_ns) == ("passed", 3, 200_000)
            assert {imported.machine_id, passed.machine_id} == {"now"}
        assert "1 task;" in str(list(median_lines(store.medians(), 50))[-1])
        assert [(one.runs, one.median_ns) for one in store.medians(2) if one.status == "passed"] == [(1, 200_000)]
        assert [one.median_ns for one in store.medians(machine_id="another")] == [7000]


def test_a_file_that_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        Store.open(str(other))


def test_an_unknown_kind_of_database_is_refused() -> None:
    with pytest.raises(StoreError, match="nosuchbase"):
        Store.open("nosuchbase://host/name")


@pytest.fixture
def execute(store_url: str) -> Callable[[str], list[tuple[object, ...]]]:
    """Executes a statement in the store, past it."""

    def run(statement: str) -> list[tuple[object, ...]]:
        engine = sa.create_engine(store_url)
        try:
            with engine.begin() as connection:
                found = connection.exec_driver_sql(statement)
                return [tuple(row) for row in found] if found.returns_rows else []
        finally:
            engine.dispose()

    return run


def test_a_newer_schema_is_refused_and_left_as_it_is(
    store_url: str, execute: Callable[[str], list[tuple[object, ...]]]
) -> None:
    Store.open(store_url).close()
    execute("DROP TABLE noise")
    execute("UPDATE schema_version SET version = 99")
    with pytest.raises(StoreError, match=r"newer kernel-harness.*upgrade, or name another --store"):
        Store.open(store_url)
    with pytest.raises(sa.exc.DBAPIError):
        execute("SELECT * FROM noise")


def shape(url: str) -> dict[str, object]:
    """Columns by table with their types and whether they may be null, and indexes."""
    engine = sa.create_engine(url)
    inspector = sa.inspect(engine)
    found: dict[str, object] = {}
    for table in sorted(metadata.tables):
        found[table] = {one["name"]: (str(one["type"]), one["nullable"]) for one in inspector.get_columns(table)}
        found[f"{table} indexes"] = sorted(
            (tuple(one["column_names"]), bool(one["unique"])) for one in inspector.get_indexes(table)
        )
    engine.dispose()
    return found


@pytest.mark.parametrize("number", range(1, SCHEMA_VERSION))
def test_a_store_of_an_earlier_version_opens_and_holds_what_it_held(
    store_url: str, other_url: str, number: int
) -> None:
    older_stores.make(store_url, number)
    with Store.open(store_url) as store:
        run = store.run("one")
        assert (run.command, run.selectors, run.seed, run.notes) == ("bench", ("softmax",), 7, ("a note",))
        assert (run.used_by_others, run.shard, run.exit_code, run.dirty) == (None, None, 0, False)
        assert store.machine("m") == {"cpu": "old"}
        old = store.records("one")
        assert [(one.status, one.reason, one.median_ns) for one in old] == [
            ("failed", "off by Ω", None),
            ("passed", "", 1234),
        ]
        assert all(one.known is None and one.audit_ns is None and one.duration_s is None for one in old)
        assert [(one.wall_ns, one.cpu_ns, one.checked) for one in store.samples("one")] == [
            (10, 11, True),
            (20, 21, False),
        ]
        assert len(store.noise("m")) == (number >= 3)
        if number >= 4:
            files = '{"results.json": "[]"}'
            identity = import_identity("asv", "[]", None, None)
            with store.database.reading() as connection:
                held = connection.exec_driver_sql("SELECT run_id, files, identity FROM imports ORDER BY run_id").all()
            # those that version 5 stored itself have one, or are null
            assert [tuple(row) for row in held] == [
                ("three", files, identity if number == 4 else None), ("two", files, None)
            ]  # fmt: skip
        assert store.members("one") == ({"m": Member("one", "m", {"1024": 10.0}, 0.5)} if number >= 7 else {})
        store.add(record(run_id="one", case="new", known=None, duration_s=1.5), "check")
        store.add_samples("one", readings("builtin", [30], cpu_ns=None))
        assert [one.median_ns for one in store.medians()] == [1234] and len(store.series(lambda task: True)) == 1
    with Store.open(store_url) as store:
        assert len(store.records("one")) == 3 and len(store.samples("one")) == 3
    Store.open(other_url).close()
    made, fresh = shape(store_url), shape(other_url)
    assert {table: set(found) for table, found in made.items()} == {table: set(found) for table, found in fresh.items()}
    if store_url.startswith("postgresql"):
        assert made == fresh


def test_processes_that_open_an_older_store_at_once_do_not_collide(store_url: str) -> None:
    older_stores.make(store_url, 1)
    code = f"""
import sys
from harness.store import Store
sys.stdin.readline()
with Store.open({store_url!r}) as store:
    print(len(store.records("one")), store.run("one").command)
"""
    children = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    assert [child.communicate()[0] for child in children] == ["2 bench\n"] * 4
    assert [child.returncode for child in children] == [0] * 4


def test_tables_without_a_version_are_completed(
    store_url: str, execute: Callable[[str], list[tuple[object, ...]]]
) -> None:
    """Where a process ended before it could say which version it makes."""
    older_stores.make(store_url, 2)
    execute("DELETE FROM schema_version")
    with Store.open(store_url) as store:
        assert len(store.records("one")) == 2
    assert execute("SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]


@pytest.mark.parametrize("number", [1, 3])
def test_an_older_file_keeps_what_its_user_made(store_path: Path, number: int) -> None:
    older_stores.make(f"sqlite:///{store_path}", number)
    with closing(sqlite3.connect(store_path)) as connection:
        connection.executescript(
            """
            CREATE INDEX mine ON samples (operator, wall_ns);
            CREATE VIEW total AS SELECT run_id, count(*) AS n, sum(wall_ns) AS wall_ns FROM samples GROUP BY run_id;
            CREATE TRIGGER kept BEFORE DELETE ON samples BEGIN SELECT RAISE(ABORT, 'kept'); END;
            """
        )
        before = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type != 'table'").fetchall()
    with Store.open(str(store_path)) as store:
        old = store.samples("one")
        store.add_samples("one", [dataclasses.replace(old[0], cpu_ns=None, wall_ns=30)])
    with closing(sqlite3.connect(store_path)) as connection:
        after = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE type != 'table'").fetchall()
        assert set(before) <= set(after)
        assert connection.execute("SELECT n, wall_ns FROM total").fetchall() == [(3, 60)]
        with pytest.raises(sqlite3.IntegrityError, match="kept"):
            connection.execute("DELETE FROM samples")
        (made,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'samples_%'").fetchone()
        assert made == 0 and connection.execute("SELECT version FROM schema_version").fetchall() == [(SCHEMA_VERSION,)]


def test_a_file_of_this_version_is_read_where_it_lies(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open(str(store_path)) as store:
        run = start(store, "bench")
        store.add(timed("builtin", 1000, run_id=run.run_id, machine_id="abc"), "bench")
    with closing(sqlite3.connect(store_path)) as connection:
        connection.executescript(
            "CREATE TRIGGER a BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'it ran'); END;"
            "CREATE VIEW other AS SELECT * FROM records; PRAGMA wal_checkpoint(TRUNCATE);"
        )
    before = store_path.read_bytes()

    def copied(*_: object) -> None:
        raise AssertionError("it was copied")

    monkeypatch.setattr(strangers, "_copy", copied)
    with strangers.opened_to_read(str(store_path)) as store:
        assert len(store.records(run.run_id)) == 1 and store.medians()[0].median_ns == 1000.0
        assert store.series(lambda task: True)[0]["median_ns"] == 1000
        with pytest.raises(StoreLost, match="readonly"):
            store.finish_run(run.run_id, exit_code=0)
    assert store_path.read_bytes() == before and list(store_path.parent.iterdir()) == [store_path]
    with strangers.opened_to_read(str(store_path)) as store, Store.open(str(store_path)) as writer:
        writer.note(run.run_id, notes=["new"])  # it lies in the log beside the file
        assert store.run(run.run_id).notes == ("new",)


def test_a_copy_with_a_log_alone_is_read_with_what_is_in_the_log(store_path: Path, tmp_path: Path) -> None:
    """As a backup that left the log's index out: that is all that is made beside it, and file and log stay."""
    copy = tmp_path / "backup" / "store.sqlite"
    copy.parent.mkdir()
    with Store.open(str(store_path)) as store:
        run = start(store)
        for ending in ("", "-wal"):
            Path(f"{copy}{ending}").write_bytes(Path(f"{store_path}{ending}").read_bytes())
    before = {path.name: path.read_bytes() for path in copy.parent.iterdir()}
    with strangers.opened_to_read(str(copy)) as store:
        assert store.run(None) == run
    after = {path.name: path.read_bytes() for path in copy.parent.iterdir()}
    assert set(after) - set(before) <= {"store.sqlite-shm"} and {name: after[name] for name in before} == before


def test_what_becomes_of_a_file_while_it_is_read_is_seen(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run = start(store)
        store.add(record(run_id=run.run_id), "check")
    with strangers.opened_to_read(str(store_path)) as store:
        assert len(store.records(run.run_id)) == 1
        with closing(sqlite3.connect(store_path)) as connection:
            connection.executescript(
                "ALTER TABLE records RENAME TO hidden;"
                "CREATE VIEW records AS SELECT hidden.* FROM hidden, (SELECT 1 UNION ALL SELECT 2)"
            )
        with pytest.raises(StoreError, match=r"results\.sqlite: records is no plain table"):
            store.records(run.run_id)
    with closing(sqlite3.connect(store_path)) as connection:
        connection.executescript("DROP VIEW records; ALTER TABLE hidden RENAME TO records; PRAGMA wal_checkpoint")
    with (
        strangers.opened_to_read(str(store_path)) as store,
        pytest.raises(StoreLost, match="was written to while it was read; type the same again"),
        store.database.reading() as connection,
    ):
        connection.exec_driver_sql("SELECT * FROM records").all()
        with store_path.open("r+b") as file:
            file.seek(0, 2)
            file.write(b"\0" * 4096)

"""The store keeps what was finished, whatever happens next."""

from __future__ import annotations

import dataclasses
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import readings, record

from harness.store import RunInfo, Store, StoreError, UnknownRun


def start(store: Store, command: str = "check") -> RunInfo:
    return store.start_run(
        command=command,
        selectors=["softmax"],
        seed=7,
        budget_s=None,
        machine={"cpu": "test"},
        machine_id="abc",
        commit="c0ffee",
        dirty=False,
    )


def test_a_record_comes_back_as_it_was(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run = start(store)
        written = record(run_id=run.run_id, run_to_run_bitwise=True, batch_invariant=None, error_over_bound=math.inf)
        written = dataclasses.replace(written, status="failed", reason="off")
        store.add(written, "check")
        assert store.records(run.run_id, "check") == [written]
        assert store.records(run.run_id, "bench") == []


def test_a_record_of_the_same_task_is_replaced(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run = start(store)
        store.add(record(run_id=run.run_id, max_ulp=1.0), "check")
        store.add(record(run_id=run.run_id, max_ulp=2.0), "check")
        assert [one.max_ulp for one in store.records(run.run_id)] == [2.0]
        assert store.done(run.run_id, "check") == {("softmax", "numpy", "builtin", "float32[8x8]dim=1")}


def test_nan_becomes_null_and_text_from_plugins_is_kept_storable(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run = start(store)
        store.add(
            record(run_id=run.run_id, status="failed", reason="a\0b\ud800c", error_over_bound=math.nan, case="x'; --"),
            "check",
        )
        (found,) = store.records(run.run_id)
        assert found.error_over_bound is None
        assert found.reason == "a\ufffdb?c"


def test_samples_come_back_as_they_were(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        run = start(store)
        written = readings("builtin", [10, 20, 2**40])
        store.add_samples(run.run_id, written)
        assert store.samples(run.run_id) == written


def test_runs_are_found_by_id_prefix_and_latest(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        first, second = start(store), start(store)
        assert first.run_id != second.run_id
        assert store.run(first.run_id) == first
        assert store.run(None).run_id in (first.run_id, second.run_id)
        assert store.run("latest") == store.run(None)
        with pytest.raises(UnknownRun, match="is the beginning of several runs"):
            store.run("20")
        with pytest.raises(UnknownRun, match="is no run of this store"):
            store.run("nothing")


def test_an_empty_store_says_what_to_type(store_path: Path) -> None:
    with Store.open(str(store_path)) as store, pytest.raises(UnknownRun, match="harness bench"):
        store.run(None)


def test_only_an_unfinished_run_of_the_command_is_resumed(store_path: Path) -> None:
    with Store.open(str(store_path)) as store:
        finished = start(store)
        store.finish_run(finished.run_id, exit_code=0)
        with pytest.raises(UnknownRun, match="nothing to resume"):
            store.unfinished("check")
        waiting = start(store)
        assert store.unfinished("check") == waiting
        with pytest.raises(UnknownRun):
            store.unfinished("bench")


def test_a_file_that_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        Store.open(str(other))


def test_an_unknown_kind_of_database_is_refused() -> None:
    with pytest.raises(StoreError, match="nosuchbase"):
        Store.open("nosuchbase://host/name")


def test_a_newer_schema_is_refused(store_path: Path) -> None:
    import sqlite3

    Store.open(str(store_path)).close()
    connection = sqlite3.connect(store_path)
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="newer kernel-harness"):
        Store.open(str(store_path))


def test_killing_the_writer_loses_no_row_that_was_added(store_path: Path) -> None:
    """The child says after each add() how many there are; whatever it said must be found after kill -9."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import record
from test_store import start
from harness.store import Store
store = Store.open({str(store_path)!r})
run = start(store)
print(run.run_id, flush=True)
for number in range(100000):
    store.add(record(run_id=run.run_id, case=str(number)), "check")
    print(number + 1, flush=True)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    run_id = child.stdout.readline().strip()
    promised = 0
    while promised < 200:
        promised = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    promised = max([promised, *(int(line) for line in child.stdout.read().split("\n")[:-1])])
    child.wait()
    child.stdout.close()
    with Store.open(str(store_path)) as store:
        assert len(store.records(run_id)) >= promised


def test_a_report_can_be_read_while_a_run_is_written(store_path: Path) -> None:
    with Store.open(str(store_path)) as writer, Store.open(str(store_path)) as reader:
        run = start(writer)
        writer.add(record(run_id=run.run_id), "check")
        assert len(reader.records(run.run_id)) == 1

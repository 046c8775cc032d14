"""Attacks on the house that take more than one row of the corpus: what is left behind, and who would come upon it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from harness.reports.inert import cell

from harness import cache
from harness.arena import Arena
from harness.plan import plan
from harness.process import WorkerFailure, WorkerProcess
from harness.registry import load
from harness.supervisor import Supervisor
from harness.wire import text_of

PLUGINS = Path(__file__).parent / "sabotage" / "plugins"
CASE = "float32[33]dim=0,values=integers"
SEED = 20260101


@pytest.fixture
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    yield tmp_path


def check(name: str, supervisor: Supervisor) -> tuple[str, str]:
    (task,) = plan(supervisor.registry, [f"sum/numpy/{name}/{CASE}"], "conformance")
    verdict = supervisor.check(task)
    return verdict.status, verdict.reason


def group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


@pytest.mark.parametrize("attack", ["forks_again_and_again", "leaves_a_daemon"])
def test_no_process_outlives_its_worker(attack: str) -> None:
    """They sleep for twenty seconds: who is found was not killed."""
    with Supervisor(load([str(PLUGINS / f"{attack}.py")]), SEED) as supervisor:
        assert check(attack, supervisor) == ("passed", "")
        (worker,) = supervisor._workers.values()
        started = [one for one in psutil.process_iter() if one.pid != worker.pid and group_of(one.pid) == worker.pid]
        assert started, "it has started nothing, so nothing is tested"
    _, alive = psutil.wait_procs(started, timeout=5)
    left = [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    for one in left:
        one.kill()
    assert not left


def test_a_plugin_has_a_folder_of_the_cache_to_itself(own_caches: Path) -> None:
    """Another file has another one, and so has the same file when it is changed; what is built in shares one."""
    one, other = own_caches / "one.py", own_caches / "other.py"
    one.write_text("a = 1\n")
    other.write_text("a = 1\n")
    first = cache.of_worker(str(one))
    assert first.is_dir() and first != cache.of_worker(str(other)) and first != cache.folder()
    assert cache.of_worker(str(one)) == first
    one.write_text("a = 2\n")
    assert cache.of_worker(str(one)) != first
    assert cache.of_worker("") == cache.folder()


def test_what_a_plugin_leaves_in_its_cache_is_found_by_nobody_else(
    own_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = own_caches / "one.py"
    plugin.write_text("a = 1\n")
    own = cache.of_worker(str(plugin))
    poisoned = own / "cuda" / "sum.so"
    poisoned.parent.mkdir()
    poisoned.write_bytes(b"poison")
    assert cache.kept("cuda", "sum.so") == cache.folder() / "cuda" / "sum.so"
    monkeypatch.setenv(cache.OF_THIS_WORKER, str(own))
    assert cache.kept("cuda", "sum.so") == poisoned
    shared = cache.folder() / "cuda" / "sum.so"
    shared.parent.mkdir()
    shared.write_bytes(b"honest")
    assert cache.kept("cuda", "sum.so") == shared, "what is there for all is not shadowed"
    assert cache.unfinished(shared) != cache.unfinished(shared)


def test_shared_memory_grows_whatever_a_worker_did_to_it() -> None:
    arena = Arena()
    arena.reserve(1)
    os.ftruncate(arena.descriptor, 1 << 40)
    arena.reserve(3 << 20)
    arena.clear()
    assert np.all(arena.memory[arena.slot(2 << 20).start :][:64] == 0xA5)
    arena.close()


def test_an_answer_is_copied_once_and_judged_as_it_was_then() -> None:
    """A worker may write there while it is read; what is judged does not change any more."""
    arena = Arena()
    arena.reserve(1 << 12)
    arena.clear()
    slot = arena.slot(16)
    taken = arena.read(slot.start, (4,), np.dtype(np.float32))
    before = taken.copy()
    arena.memory[slot.start : slot.stop] = 0
    assert taken.tobytes() == before.tobytes() and not np.may_share_memory(taken, arena.memory)
    arena.close()


def test_a_read_of_a_plugin_has_bounded_memory(tmp_path: Path) -> None:
    plugin = tmp_path / "large.py"
    plugin.write_text("import mmap\ntaken = [mmap.mmap(-1, 1 << 30) for _ in range(64)]\n")
    (problem,) = [one for one in load([str(plugin)]).problems if "large" in one.where]
    assert "Cannot allocate memory" in problem.message


TRICKS = "\x1b[2J \u202e\u2066turned \u200b\u2028\ufeff \U000e0041 \ud800 \x00\x9b"


def test_what_a_worker_says_has_nothing_that_cannot_be_seen() -> None:
    said = text_of(f"it is well, Größe µ ∞ {TRICKS}")
    assert "it is well, Größe µ ∞" in said and "turned" in said
    assert not set(TRICKS) - set(" turned[2J") & set(said)
    assert WorkerFailure("crashed", TRICKS).reason == text_of(TRICKS)


def test_a_formula_in_a_reason_is_text_in_a_csv() -> None:
    with Supervisor(load([str(PLUGINS / "refuses_with_a_formula.py")]), SEED) as supervisor:
        status, reason = check("refuses_with_a_formula", supervisor)
    assert (status, reason[0]) == ("unsupported", "=")
    out = io.StringIO()
    csv.writer(out).writerow([cell(reason), cell(-1.5)])
    assert next(csv.reader([out.getvalue()])) == [f"'{reason}", "-1.5"]


def test_a_worker_gets_two_descriptors_beside_its_streams() -> None:
    worker = WorkerProcess()
    try:
        worker.ask({"do": "trim"}, 60.0)
        folder = Path(f"/proc/{worker.pid}/fd")
        kinds = {os.stat(one).st_ino for one in folder.iterdir() if int(one.name) > 2}
    finally:
        worker.close()
    assert len(kinds) == 2, "the connection and the shared memory"

"""What remains after a fault: nothing measured is lost or there twice, one line says what to do, and no process, folder
or lock is left over. Nothing here holds a time against a bound: any moment must be right."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import itertools
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import readings, record, timed
from postgres_server import Postgres

from harness import api, database, execute, scratch, supervisor
from harness.comparing.versions import checkouts
from harness.database import StoreLost
from harness.problems.hosting import _Printed
from harness.process import MOST_PRINTED, WorkerProcess
from harness.record import Record
from harness.registry import load
from harness.reporting import write_report
from harness.schema import StoreError
from harness.store import RunInfo, Store, UnknownRun
from harness.supervisor import Stopped, Supervisor
from harness.timing.groups import Settings
from harness.whole import replacing, write_whole

COMMAND = [sys.executable, "-m", "harness.cli"]
TASKS = "max/numpy/builtin"
RANDOM = random.Random(int(os.environ.get("HARNESS_TEST_SEED", "20261121")))


def begin(store: Store, command: str = "check") -> RunInfo:
    return store.start_run(
        command=command,
        selectors=[TASKS],
        seed=7,
        budget_s=None,
        machine={"cpu": "test"},
        machine_id="abc",
        commit="c0ffee",
        dirty=False,
    )


@dataclasses.dataclass(frozen=True)
class Place:
    """A folder to run commands in, with a temporary folder of their own, and a mark on all processes beneath them."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        scratch_folder = self.folder / "tmp"
        scratch_folder.mkdir(exist_ok=True)
        return {**os.environ, "TMPDIR": str(scratch_folder), "FAULTS_MARK": str(self.folder)}

    @property
    def store(self) -> Path:
        return self.folder / ".harness" / "results.sqlite"

    def start(self, *arguments: str, stdout: int = subprocess.PIPE, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # a session of tests in the background of a shell ignores Ctrl-C, and so would what it starts
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        with self.start(*arguments, **environment) as child:
            out, err = child.communicate()
        return child.returncode, out, err

    def run_shell(self, line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True
        )

    def processes(self) -> list[str]:
        """Processes that a command here has started, and that still run."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.folder).encode() in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    def wait_for_processes(self) -> None:
        """Return when none is left; the session's own limit ends a wait in vain."""
        while self.processes():
            time.sleep(0.02)

    @property
    def left_over(self) -> list[str]:
        return os.listdir(self.folder / "tmp")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def wait_until_it_listens(child: subprocess.Popen[str]) -> None:
    """From then on a signal is the command's to answer; before, Python itself starts."""
    while child.poll() is None:
        (caught,) = [line for line in Path(f"/proc/{child.pid}/status").read_text().splitlines() if "SigCgt" in line]
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.002)


def wait_for_records(path: Path, count: int, child: subprocess.Popen[str]) -> None:
    while child.poll() is None:
        if path.exists():
            with Store.open(str(path)) as store:
                if any(len(store.done(info.run_id, "check")) >= count for info in store.runs()):
                    return
        time.sleep(0.02)


def ids(records: Sequence[Record]) -> Counter[str]:
    return Counter(one.id for one in records)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="/proc and the death of children are Linux's")


# ---- signals


@linux_only
@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        *itertools.product([signal.SIGINT, signal.SIGTERM, signal.SIGHUP], [("check", "sum/numpy")]),
        (signal.SIGINT, ("doctor",)),
        (signal.SIGINT, ("list",)),
        (signal.SIGTERM, ("compare", "--ab", "dot/numpy/builtin", "dot/numpy/sequential_grid_reduced")),
    ],
    ids=lambda one: one.name if isinstance(one, signal.Signals) else one[0],
)
def test_a_signal_at_any_moment_ends_in_one_line_and_leaves_nothing(
    place: Place, number: signal.Signals, arguments: tuple[str, ...]
) -> None:
    with place.start(*arguments) as child:
        wait_until_it_listens(child)
        time.sleep(RANDOM.uniform(0.0, 2.5))  # any moment
        child.send_signal(number)
        _, said = child.communicate()
    assert "Traceback" not in said and "Exception ignored" not in said, said
    assert child.returncode in (128 + number, 0), said  # or it was over already
    if child.returncode:
        assert len([line for line in said.splitlines() if "interrupted" in line]) == 1, said
    place.wait_for_processes()
    assert place.left_over == []
    if "verdicts are stored" in said:
        with Store.open(str(place.store)) as store:
            (run,) = store.runs()
            assert f"{len(store.done(run.run_id, 'check'))} verdicts are stored (run {run.run_id})" in said


@linux_only
@pytest.mark.parametrize(
    "where",
    [
        "class A:\n    def __del__(self): os.kill(os.getpid(), signal.SIGINT); time.sleep(0.001)\nA()",
        "gc.callbacks.append(lambda *_: (os.kill(os.getpid(), signal.SIGINT), gc.callbacks.clear())); gc.collect()",
        "os.kill(os.getpid(), signal.SIGINT)",
    ],
    ids=["finalizer", "garbage collection", "code"],
)
def test_a_signal_is_not_lost_where_python_ignores_exceptions(where: str) -> None:
    code = (
        "import gc, os, signal, time\nfrom harness import interruption\ninterruption.listen()\ntry:\n"
        + "".join(f"    {line}\n" for line in where.splitlines())
        + "    while True: time.sleep(0.01)\nexcept KeyboardInterrupt:\n    print('ended')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("ended\n", "")


@linux_only
def test_an_interrupted_plugin_that_hangs_is_not_waited_for_and_gets_no_verdict(place: Place) -> None:
    plugin = place.folder / "hangs.py"
    plugin.write_text(
        "import pathlib\nfrom harness import implementation\n"
        "@implementation('max', backend='numpy')\n"
        "def hangs(x, *, dim=None):\n    print('here', flush=True)\n    while True: pass\n"
    )
    with place.start(
        "check", "max/numpy/hangs/float32[33]dim=0", "--plugin", str(plugin), "--timeout", "9999"
    ) as child:
        wait_until_it_listens(child)
        while child.poll() is None:  # until a worker is busy
            if any("harness.worker" in one for one in place.processes()) and place.store.exists():
                break
            time.sleep(0.02)
        time.sleep(RANDOM.uniform(0.5, 1.5))
        child.send_signal(signal.SIGINT)
        _, said = child.communicate()
    assert child.returncode == 130 and "interrupted; 0 verdicts are stored" in said, said
    place.wait_for_processes()
    assert place.left_over == []


@linux_only
def test_a_run_whose_supervisor_is_killed_leaves_no_process_and_the_next_one_tidies_up(place: Place) -> None:
    with place.start("check", "sum/numpy/builtin") as child:
        wait_for_records(place.store, 10, child)
        child.kill()
        child.communicate()
    place.wait_for_processes()
    assert any(name.startswith(scratch.PREFIX) for name in place.left_over), "else this test shows nothing"
    with Store.open(str(place.store)) as store:
        (run,) = store.runs()
        kept = {one.id: one for one in store.records(run.run_id, "check")}
    code, _, said = place.run("check", "--resume", "--json")
    assert code == 0, said
    assert place.left_over == []
    assert sorted(path.name for path in place.store.parent.iterdir() if "lock" in path.name) == []
    with Store.open(str(place.store)) as store:
        after = store.records(run.run_id, "check")
    assert set(ids(after).values()) == {1} and len(after) > len(kept) >= 10
    assert all(one == kept[one.id] for one in after if one.id in kept), "what was measured stays"


# ---- stdout and stderr that are gone


@linux_only
def test_a_reader_that_leaves_ends_a_command_in_silence(place: Place) -> None:
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)  # smaller than what is written, so that the rest has to wait
    child = place.start("list", "--json", stdout=theirs)
    os.close(theirs)
    assert os.read(ours, 1) == b"["
    os.close(ours)
    assert child.communicate()[1] == "" and child.returncode == 141


@linux_only
@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [(">/dev/full", 5, "No space left on device"), (">&-", 0, ""), ("2>/dev/full", 0, ""), ("2>&-", 0, "")],
)
def test_what_cannot_be_written_to_the_terminal_is_no_traceback(
    place: Place, redirected: str, code: int, said: str
) -> None:
    shell = f"exec {sys.executable} -m harness.cli list max/numpy {redirected}"
    done = place.run_shell(shell)
    assert done.returncode == code, done.stderr
    assert said in done.stderr and len(done.stderr.splitlines()) == bool(said), done.stderr


# ---- files


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_whole(path, "old")
    path.chmod(0o640)
    with pytest.raises(KeyboardInterrupt), replacing(path) as partial:
        partial.write_text("half of the ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["report.html"]
    link = tmp_path / "latest.html"
    link.symlink_to(path)
    write_whole(link, "new")
    assert link.is_symlink() and path.read_text() == "new" and path.stat().st_mode & 0o777 == 0o640
    write_whole(Path("/dev/null"), "gone")
    assert Path("/dev/null").is_char_device()


@linux_only
def test_a_report_that_the_disk_does_not_take_leaves_the_former_one(place: Place) -> None:
    with Store.open(str(place.folder / "r.sqlite")) as store:
        run = begin(store)
        rows = [record(run_id="many", case=f"{number}{'x' * 400}") for number in range(1000)]
        many = dataclasses.replace(run, run_id="many", admission={"softmax": {"mutants": 1}}, ceiling={"1000": 3.0})
        store.add_finished(many, {}, rows)
        assert store.run("many") == many and store.records("many") == rows
    (place.folder / "page.json").write_text("the former")
    before = set(os.listdir(place.folder))
    done = subprocess.run(
        [*COMMAND, "report", "many", "--store", "r.sqlite", "--format", "json", "-o", "page.json"],
        cwd=place.folder,
        env=place.environment,
        capture_output=True,
        text=True,
        # more than the store needs, less than what is written of it
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, 1_200_000)),
    )
    assert done.returncode == 2 and "File too large" in done.stderr and "page.json" in done.stderr, done.stderr
    assert (place.folder / "page.json").read_text() == "the former"
    assert set(os.listdir(place.folder)) - {"tmp"} == before


# ---- scratch folders and worktrees


@linux_only
def test_folders_of_killed_processes_go_and_those_of_living_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import os, sys; from harness.scratch import Scratch; one = Scratch('test')\n"
        "os.makedirs(one.name + '/a/b'); open(one.name + '/a/f', 'w').close(); os.chmod(one.name + '/a', 0)\n"
        "print(one.name, flush=True); sys.stdin.read()"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    made = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    names = [one.stdout.readline().strip() for one in made if one.stdout]
    other = tmp_path / f"{scratch.PREFIX}link"
    other.symlink_to(tmp_path / "else")
    (tmp_path / "else").mkdir()
    made[0].kill()
    made[0].wait()
    assert list(scratch.abandoned(str(tmp_path))) == [names[0]]
    monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
    scratch.sweep_once.cache_clear()
    with scratch.Scratch("mine") as mine:
        assert not os.path.exists(names[0]) and os.path.isdir(names[1]) and os.path.isdir(mine)
        assert other.is_symlink() and (tmp_path / "else").is_dir()
    assert not os.path.exists(mine)
    made[1].communicate("")
    assert not os.path.exists(names[1]), "it tidies up itself"
    for one in made:
        for stream in (one.stdin, one.stdout):
            if stream is not None:
                stream.close()


def test_folders_of_other_machines_are_let_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file system is shared, the lock of a living process there may not be seen here."""
    machine, kernel, started = scratch.here()
    others = {
        "this kernel, which containers share": (("another1", kernel, started), 0.0, True),
        "this machine, before it was started again": ((machine, "earlier1", started), started - 60.0, True),
        "another that has its name, at work now": ((machine, "another1", started), started + 60.0, False),
        "another": (("another1", "another1", started), started - 60.0, False),
    }
    expected = []
    for place, changed_at, is_swept in others.values():
        monkeypatch.setattr(scratch, "here", lambda place=place: place)
        monkeypatch.setattr(scratch.tempfile, "tempdir", str(tmp_path))
        path, descriptor = scratch._made("test")
        os.close(descriptor)  # what the lock of another machine looks like from here
        if changed_at:
            os.utime(path, (changed_at, changed_at))
        expected += [path] * is_swept
    monkeypatch.undo()
    (tmp_path / f"{scratch.PREFIX}unmarked").mkdir()
    assert sorted(expected) == list(scratch.abandoned(str(tmp_path)))


def test_a_folder_that_a_sweep_took_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made, real = [], tempfile.mkdtemp

    def swept(**more: Any) -> str:
        made.append(real(**more))
        if len(made) == 1:
            os.rmdir(made[0])
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with scratch.Scratch("worker") as path:
        assert made == [made[0], path]
        assert list(scratch.abandoned(str(tmp_path))) == []


def test_worktrees_of_a_killed_comparison_are_forgotten_and_those_of_the_user_are_not(tmp_path: Path) -> None:
    repository = tmp_path / "project"
    repository.mkdir()

    def git(*arguments: str) -> str:
        named = ["-c", "user.email=a@example.org", "-c", "user.name=a"]
        done = subprocess.run(["git", "-C", str(repository), *named, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "one")
    git("worktree", "add", "--quiet", "--detach", str(tmp_path / "mine"))
    code = (
        "import os, pathlib, sys; from harness.comparing.versions import checkouts\n"
        "with checkouts(pathlib.Path(sys.argv[1]), [('base', 'HEAD')], None, None): os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    killed = subprocess.run([sys.executable, "-c", code, str(repository)], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert git("worktree", "list").count("\n") == 3, "else this test shows nothing"
    for path in scratch.abandoned(str(tmp_path)):
        scratch.remove(path)
    with checkouts(repository, [("base", "HEAD")], None, None) as found:
        assert found[0].root.is_dir()
    left = git("worktree", "list").splitlines()
    assert len(left) == 2 and str(tmp_path / "mine") in left[1]


# ---- the store


@pytest.mark.parametrize("fault", ["removed", "its folder removed", "replaced"])
def test_a_store_that_is_taken_away_while_it_is_used_is_saved(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "kept" / "results.sqlite"
    with Store.open(str(path)) as store:
        run = begin(store)
        written = [record(run_id=run.run_id, case=str(number)) for number in range(50)]
        for one in written:
            store.add(one, "check")
        if fault == "its folder removed":
            shutil.rmtree(path.parent)
        elif fault == "removed":
            path.unlink()
        else:
            (tmp_path / "other").write_bytes(b"a backup that somebody put back")
            (tmp_path / "other").replace(path)
        said = set()
        for _ in range(2):
            with pytest.raises(StoreLost, match="was removed or replaced") as lost:
                store.add(record(run_id=run.run_id, case="50"), "check")
            said.add(str(lost.value))
    (words,) = said
    (saved,) = path.parent.glob("results.rescued-*.sqlite")
    assert f"saved as {saved}" in words
    with Store.open(str(saved)) as store:
        assert store.take_up("check").run_id == run.run_id and store.records(run.run_id) == written


def test_a_full_disk_ends_a_run_with_the_command_that_goes_on(place: Place) -> None:
    """SQLite's own limit on pages stands for the disk: what it says, and does, is the same."""
    (place.folder / "site").mkdir()
    (place.folder / "site" / "sitecustomize.py").write_text(
        "import sqlite3.dbapi2 as real\n"
        "made = real.connect\n"
        "def connect(*arguments, **named):\n"
        "    found = made(*arguments, **named)\n"
        "    found.execute('PRAGMA max_page_count=24')\n"
        "    return found\n"
        "real.connect = connect\n"
    )
    code, _, said = place.run("check", TASKS, PYTHONPATH=str(place.folder / "site"))
    assert code == 5 and "Traceback" not in said, said
    (line,) = [one for one in said.splitlines() if one.startswith("harness:")]
    assert "database or disk is full" in line and "make room" in line and "harness check --resume" in line
    with Store.open(str(place.store)) as store:
        (run,) = store.runs()
        kept = {one.id: one for one in store.records(run.run_id, "check")}
    assert f"{len(kept)} verdicts are stored" in line and kept
    assert place.run("check", "--resume")[0] == 0
    with Store.open(str(place.store)) as store:
        after = store.records(run.run_id, "check")
    assert set(ids(after).values()) == {1} and len(after) > len(kept)
    assert all(one == kept[one.id] for one in after if one.id in kept)
    assert place.left_over == []


def test_a_lock_of_another_process_is_waited_for_and_then_named(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.2)
    with Store.open(str(store_path)) as store:
        run = begin(store)
        holder = sqlite3.connect(store_path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert store.records(run.run_id) == [], "who reads waits for nobody"
        with pytest.raises(StoreLost, match=f"locked; another process keeps it locked.*fuser {store_path}"):
            store.add(record(run_id=run.run_id), "check")
        holder.execute("ROLLBACK")
        holder.close()
        store.add(record(run_id=run.run_id), "check")
        assert len(store.records(run.run_id)) == 1


def test_a_report_that_is_read_for_long_is_in_nobodys_way(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_S", 0.2)
    with Store.open(str(store_path)) as store, Store.open(str(store_path)) as reader:
        run = begin(store)
        with reader.database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM records").scalar() == 0
            store.add(record(run_id=run.run_id), "check")
        assert len(reader.records(run.run_id)) == 1


def test_many_processes_write_at_once_and_each_row_is_there_once(store_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import readings, record
from test_faults import begin
from harness.store import Store
with Store.open({str(store_path)!r}) as store:
    run = begin(store)
    for number in range(40):
        store.add(record(run_id=run.run_id, case=str(number)), "check")
        store.add_samples(run.run_id, readings(f"i{{number}}", [1, 2]))
    store.finish_run(run.run_id, exit_code=0)
"""
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(5)]
    assert [child.wait() for child in children] == [0] * 5
    with Store.open(str(store_path)) as store:
        assert len(store.runs()) == 5 and all(run.finished_at for run in store.runs())
        for run in store.runs():
            assert ids(store.records(run.run_id)) == ids([record(case=str(number)) for number in range(40)])
            assert len(store.samples(run.run_id)) == 80


def test_one_process_alone_goes_on_with_a_run(store_path: Path) -> None:
    with Store.open(str(store_path)) as first, Store.open(str(store_path)) as second:
        run = begin(first)
        with pytest.raises(UnknownRun, match=f"{run.run_id} .*still goes on in another process"):
            second.take_up("check")
        first.close()
        assert second.take_up("check").run_id == run.run_id
        with Store.open(str(store_path)) as third, pytest.raises(UnknownRun, match="still goes on"):
            third.take_up("check")
        second.finish_run(run.run_id, exit_code=0)
    with Store.open(str(store_path)) as store, pytest.raises(UnknownRun, match="nothing to resume"):
        store.take_up("check")
    assert [path.name for path in store_path.parent.glob("*.lock")] == []


def test_two_resumes_at_once_do_the_work_once(place: Place) -> None:
    class Enough(Exception):
        pass

    def progress(text: str, done: int, total: int) -> None:
        if done >= 20:
            raise Enough

    with pytest.raises(Enough):
        api.check("sum/numpy/builtin", store=str(place.folder / "r.sqlite"), progress=progress)
    both = [place.start("check", "--resume", "--store", "r.sqlite") for _ in range(2)]
    said = [child.communicate()[1] for child in both]
    codes = sorted(child.returncode for child in both)
    assert codes == [0, 5], said
    assert any("still goes on in another process" in one or "nothing to resume" in one for one in said)
    with Store.open(str(place.folder / "r.sqlite")) as store:
        (run,) = store.runs()
        assert set(ids(store.records(run.run_id, "check")).values()) == {1} and run.finished_at is not None


def test_a_run_that_ended_between_its_last_readings_and_its_rows_has_them_when_it_is_resumed(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = execute.Options(budget_s=0.3, settings=Settings(processes=2))
    asked = {"store": str(store_path), "options": options}
    add = Store.add

    def killed(store: Store, record: Record, phase: str) -> None:
        if phase == "bench" and record.median_ns is not None:
            raise KeyboardInterrupt
        add(store, record, phase)

    monkeypatch.setattr(Store, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        api.bench("dot/numpy/builtin/float32[4096,4096]*", **asked)
    monkeypatch.undo()
    with Store.open(str(store_path)) as store:
        readings = store.samples(store.runs()[0].run_id)
    assert {one.process for one in readings} == {0, 1}
    run = api.run("bench", (), resume=True, **asked)
    (timed,) = run.timed
    assert timed.samples == len(readings) and timed.median_ns is not None
    assert list(run.raw_samples) == readings, "nothing is measured again"


def test_readings_whose_success_was_not_heard_of_are_not_there_twice(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server stores them and is gone before it says so: they are written again, in place of themselves."""
    with Store.open(str(store_path)) as store:
        run = begin(store)
        opened, lost = store.database, []
        real = opened.writing

        @contextlib.contextmanager
        def writing() -> Iterator[object]:
            with real() as connection:
                yield connection
            if not lost:
                lost.append(True)
                raise StoreLost("gone") from ConnectionError()

        monkeypatch.setattr(opened, "writing", writing)
        monkeypatch.setattr(database, "_may_come_back", lambda cause: isinstance(cause, ConnectionError))
        written = readings("builtin", [10, 20, 30, 40])
        store.add_samples(run.run_id, written)
        assert lost and store.samples(run.run_id) == written


def damaged(data: bytes, number: int) -> bytes:
    """A store after a fault of the disk."""
    rng = random.Random(number)
    changed = bytearray(data)
    kind = number % 4
    if kind == 0:
        for _ in range(rng.choice([1, 3, 10, 100])):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del changed[rng.randrange(len(changed)) :]
    elif kind == 2:
        start = rng.randrange(len(changed))
        changed[start : start + 512] = rng.randbytes(len(changed[start : start + 512]))
    else:
        start = rng.randrange(len(changed)) // 4096 * 4096
        changed[start : start + 4096] = bytes(4096)
    return bytes(changed)


def test_a_damaged_store_is_refused_in_words_and_never_with_a_traceback(tmp_path: Path) -> None:
    whole = tmp_path / "whole.sqlite"
    with Store.open(str(whole)) as store:
        run = begin(store, "bench")
        for number in range(20):
            store.add(record(run_id=run.run_id, implementation=f"i{number}"), "check")
            store.add(timed(f"i{number}", 5000 + number, run_id=run.run_id), "bench")
        store.add_samples(run.run_id, readings("i1", [10, 20, 30] * 30))
        store.note(run.run_id, admission={"softmax": {"mutants": 1, "killed": 1, "survivors": []}})
        store.finish_run(run.run_id, exit_code=0)
    with contextlib.closing(sqlite3.connect(whole)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data, outcomes = whole.read_bytes(), Counter[str]()
    for number in range(60):
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(damaged(data, RANDOM.randrange(10**6) * 4 + number))
        try:
            with Store.open(str(path)) as store:
                write_report(store, None, "csv", tmp_path / "report.csv")
                begin(store)
            outcomes["read"] += 1
        except (StoreError, UnknownRun) as refused:
            outcomes["refused"] += 1
            if "malformed" in str(refused):
                assert f"sqlite3 {path} .recover" in str(refused)
    assert outcomes["refused"] > 10 and sum(outcomes.values()) == 60, outcomes


def test_a_damaged_store_on_the_command_line_is_one_line(place: Place) -> None:
    path = place.folder / "r.sqlite"
    with Store.open(str(path)) as store:
        begin(store)
    path.write_bytes(path.read_bytes()[:5000])
    for arguments in (("check", TASKS), ("report",), ("history",)):
        code, out, said = place.run(*arguments, "--store", "r.sqlite")
        assert code == 2 and out == "", said
        (line,) = said.splitlines()
        assert "malformed" in line and "sqlite3 r.sqlite .recover" in line


def test_an_empty_file_and_a_log_without_its_store_are_new_stores(store_path: Path) -> None:
    store_path.touch()
    with Store.open(str(store_path)) as store:
        run = begin(store)
        store.add(record(run_id=run.run_id), "check")
        log = Path(f"{store_path}-wal").read_bytes()
    assert log
    store_path.unlink()
    Path(f"{store_path}-wal").write_bytes(log)
    with Store.open(str(store_path)) as store:
        assert store.runs() == []
        begin(store)


@pytest.mark.parametrize("name", ["a folder", "file/r.sqlite", "/proc/no/r.sqlite", "/proc/r.sqlite"])
def test_a_store_where_none_can_be_is_a_usage_error(place: Place, name: str) -> None:
    (place.folder / "a folder").mkdir()
    (place.folder / "file").touch()
    code, _, said = place.run("check", TASKS, "--store", name)
    assert code == 2 and name in said and len(said.splitlines()) == 1, said


@pytest.mark.skipif(os.geteuid() != 0, reason="drops its rights, which only root can")
def test_a_store_that_may_only_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with Store.open(str(path)) as store:
        begin(store)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005 and folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o755)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            Store.open(str(path))
        except StoreError as error:
            os._exit(7 if "copy it to a folder of yours" in str(error) or "rights" in str(error) else 8)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# ---- the machine


def test_neither_a_home_nor_a_cache_is_needed(place: Place) -> None:
    bare = {"HOME": "/proc/nobody", "XDG_CACHE_HOME": "/proc/nothing"}
    code, _, said = place.run("check", "max/numpy/builtin/float32[33]dim=0", **bare)
    assert code == 0, said


def test_no_room_for_a_worker_ends_the_run_and_judges_nobody(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load()  # reads declarations in a worker of its own

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "/tmp/full")

    monkeypatch.setattr(WorkerProcess, "__init__", full)
    with pytest.raises(Stopped, match=r"No space left on device \(/tmp/full\); make room there"):
        api.check(TASKS, store=str(store_path))
    with Store.open(str(store_path)) as store:
        (run,) = store.runs()
        assert store.records(run.run_id) == [] and run.finished_at is None


def test_a_judge_without_memory_is_a_row_that_accuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.plan import plan

    registry = load()
    task = plan(registry, ["max/numpy/builtin/float32[33]dim=0"], "conformance")[0]

    def full(*_: object) -> None:
        raise MemoryError

    with Supervisor(registry, 1) as judges:
        monkeypatch.setattr(supervisor, "check_task", full)
        verdict = judges.check(task)
        monkeypatch.undo()
        assert verdict.status == "error" and "not what it judged, had no memory left" in verdict.reason
        assert judges.check(task).status == "passed"


def test_a_clock_that_jumps_by_a_day_changes_nothing(place: Place) -> None:
    (place.folder / "site").mkdir()
    (place.folder / "site" / "sitecustomize.py").write_text(
        "import random, time\nreal = time.time\n"
        "time.time = lambda: real() + random.choice([-86400.0, 0.0, 86400.0])\n"
        "time.time_ns = lambda: int(1e9 * time.time())\n"
    )
    code, out, said = place.run(
        *("bench", "max/numpy/builtin/float32[1024x1024]dim=1", "--budget", "0.5", "--processes", "1", "--json"),
        PYTHONPATH=str(place.folder / "site"),
    )
    assert code == 0, said
    (row,) = [one for one in json.loads(out) if one["median_ns"] is not None]
    assert 0 < row["min_ns"] <= row["median_ns"] and row["samples"] > 0


def test_after_a_clock_that_went_back_the_run_is_named(place: Place) -> None:
    with Store.open(str(place.folder / "r.sqlite")) as store:
        future = begin(store)
        with contextlib.closing(sqlite3.connect(place.folder / "r.sqlite")) as connection, connection:
            connection.execute("UPDATE runs SET started_at = '2099-01-01T00:00:00.000+00:00'")
        store.finish_run(future.run_id, exit_code=0)
    selector = "sum/numpy/builtin/float32[]dim=None"
    code, _, said = place.run("bench", selector, "--store", "r.sqlite", "--budget", "0.1", "--processes", "1")
    with Store.open(str(place.folder / "r.sqlite")) as store:
        (ours,) = [run for run in store.runs() if run.run_id != future.run_id]
        assert store.run(None).run_id == future.run_id, "by its clock it is the newest"
    if "next: harness report" in said:
        assert f"next: harness report {ours.run_id} --store r.sqlite" in said
    assert code in (0, 3, 5), said


def test_a_problem_that_prints_without_end_is_ended() -> None:
    code = "import os\nwhile True: os.write(1, b'x' * 65536)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        printed = _Printed(process)
        assert process.wait() == -signal.SIGKILL
        printed.join()
    assert printed.is_flood and len(printed.tail) <= 2000 < MOST_PRINTED


# ---- a server of PostgreSQL


def test_a_server_that_is_killed_and_comes_back_loses_and_doubles_nothing(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(postgres.url) as store:
        run = begin(store)
        with Store.open(postgres.url) as other, pytest.raises(UnknownRun, match="still goes on"):
            other.take_up("check")
        for number in range(5):
            store.add(record(run_id=run.run_id, case=str(number)), "check")
        postgres.kill()
        postgres.start()
        for number in range(5, 10):
            store.add(record(run_id=run.run_id, case=str(number)), "check")
        store.add_samples(run.run_id, readings("builtin", [1, 2, 3]))
        assert ids(store.records(run.run_id)) == ids([record(case=str(number)) for number in range(10)])
        assert len(store.samples(run.run_id)) == 3
        monkeypatch.setattr(database, "PATIENCE_S", 0.2)
        postgres.kill()
        with pytest.raises(StoreLost, match="look whether its server runs"):
            store.add(record(run_id=run.run_id, case="10"), "check")
        with pytest.raises(StoreError, match="look whether its server runs"):
            Store.open(postgres.url)
        postgres.start()
    with Store.open(postgres.url) as store:
        assert store.take_up("check").run_id == run.run_id
        assert len(store.records(run.run_id)) == 10

"""Runs on a cluster: what is sent, what is believed, where units go. Scheduler and nodes are real processes."""

import contextlib
import dataclasses
import io
import itertools
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import psutil
import pytest

from harness import api
from harness.declare import DeclarationError
from harness.execute import Options
from harness.fleet import lanes, running
from harness.fleet.commission import Commission
from harness.fleet.crew import Crew, Node, with_cores
from harness.fleet.facts import closes_network, facts, installed
from harness.fleet.flights import Fell, Flights
from harness.fleet.lanes import environment
from harness.fleet.ledger import QUEUED
from harness.fleet.measuring import Measuring
from harness.fleet.node import _answer, secrets
from harness.fleet.parcel import pack, unpack
from harness.fleet.receiving import Lie, left_of, left_out_of, rates_of, records_of, samples_of
from harness.fleet.units import LIMIT_S, MOST_TASKS, UNIT_S, Unit, Waiting, spread
from harness.outcome import Context
from harness.plan import Planned, Task, plan
from harness.record import Record
from harness.registry import Registry, load
from harness.sandbox import policy
from harness.store import Store
from harness.supervisor import Stopped
from harness.timing.alone import alone
from harness.timing.device import visible
from harness.timing.device.visible import Gpu, chosen
from harness.timing.groups import Settings
from harness.timing.reference import copies_of

pytest.importorskip("distributed", reason="pip install 'kernel-harness[cluster]'")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

SEED = 11
MISSING = "sum/cupy/sequential_grid_reduced/float32[33]*"
"""On most machines."""
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load()


@pytest.fixture(scope="module")
def tasks(registry: Registry) -> list[Task]:
    return plan(registry, ["max/numpy/builtin/float32*"], "conformance")


# what is cut into units


def test_units_get_as_long_as_they_should_and_everything_comes_once(tasks: list[Task]) -> None:
    waiting = Waiting(tasks)
    trust = waiting.trusts()[0]
    for _ in range(50):
        waiting.took(tasks[0], UNIT_S / 10)
    sizes, taken = [], []
    while waiting:
        got, deaths = waiting.take(trust, lanes=2)
        assert got and not deaths and len(got) <= MOST_TASKS
        sizes.append(len(got))
        taken += got
    assert taken == tasks
    assert 9 <= max(sizes) <= 11, "ten such tasks take a second"
    assert sizes[-1] == 1, "at the end there is something for everybody"


def test_what_a_node_died_over_is_tried_by_itself_and_first(tasks: list[Task]) -> None:
    waiting = Waiting(tasks[3:])
    trust = waiting.trusts()[0]
    waiting.suspect(tasks[:3], ["a", "b"])
    assert len(waiting) == len(tasks)
    assert [waiting.take(trust, 1) for _ in range(3)] == [([task], ["a", "b"]) for task in tasks[:3]]
    waiting.suspect(tasks[:1], ["a"])
    assert waiting.withdraw(trust) == [*tasks[3:], tasks[0]]
    assert not waiting


def test_little_work_warms_few_nodes() -> None:
    assert [spread(seconds, 4) for seconds in (0.0, 1.0, 5.0, 100.0)] == [1, 1, 3, 4]
    assert LIMIT_S >= UNIT_S


def test_nodes_that_share_cores_are_not_all_warmed() -> None:
    def node(name: str, host: str, cores: list[int], lanes: int = 1) -> Node:
        return Node(name, 0.0, None, None, {"host": host, "cores": cores, "lanes": lanes})  # type: ignore[arg-type]

    four = [node(name, "one", [0, 1]) for name in "abcd"]
    assert [one.address for one in with_cores(four)] == ["a", "b"]
    assert [one.address for one in with_cores([*four, node("e", "two", [0, 1])])] == ["a", "b", "e"]
    pinned = [node("a", "one", [0]), node("b", "one", [1]), node("c", "one", [0, 1])]
    assert [one.address for one in with_cores(pinned)] == ["a", "b"]
    wide = [node("a", "one", [0, 1], lanes=2), node("b", "one", [0, 1], lanes=2)]
    assert [one.address for one in with_cores(wide)] == ["a"]
    assert with_cores([]) == []


# what is sent


def test_the_same_files_are_the_same_parcel_and_come_out_as_they_were(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = tmp_path / name / "kernels"
        (folder / "inner").mkdir(parents=True)
        (folder / "a.py").write_text("A = 1\n")
        (folder / "inner" / "b.cu").write_bytes(b"\0\xff")
        (folder / ".secret").write_text("no")
        (folder / "__pycache__").mkdir()
        (folder / "__pycache__" / "a.pyc").write_bytes(b"no")
        (folder / "link.py").symlink_to(folder / "a.py")
    alone_file = tmp_path / "plugin.py"
    alone_file.write_text("B = 2\n")
    (tmp_path / "beside.py").write_text("not sent")
    (tmp_path / "beside.cuh").write_text("sent")
    one = pack([str(tmp_path / "one" / "kernels"), str(alone_file)], [], ["onnx"])
    two = pack([str(tmp_path / "two" / "kernels"), str(alone_file)], [], ["onnx"])
    assert (one.digest, one.plugins, one.cases) == (two.digest, two.plugins, ("onnx",))
    unpack(one.archive, one.digest, tmp_path / "out")
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {
        "plugin/0/kernels/a.py",
        "plugin/0/kernels/link.py",
        "plugin/0/kernels/inner/b.cu",
        "plugin/1/plugin.py",
        "plugin/1/beside.cuh",
    }
    assert (tmp_path / "out" / one.plugins[0] / "inner" / "b.cu").read_bytes() == b"\0\xff"
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_what_leads_out_of_a_folder_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "secret.py").write_text("S = 1\n")
    (tmp_path / "kernels" / "in.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(DeclarationError, match="leads out of the folder"):
        pack([str(tmp_path / "kernels")], [], [])
    with pytest.raises(DeclarationError, match="no such file"):
        pack([str(tmp_path / "none.py")], [], [])


def test_a_parcel_has_a_largest_size(tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "weights.bin").write_bytes(bytes((16 << 20) + 1))
    with pytest.raises(DeclarationError, match="16 MiB"):
        pack([str(tmp_path / "large")], [], [])


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "a/../../out.py", "a\\b.py"])
def test_a_node_unpacks_nothing_beside_its_folder(tmp_path: Path, name: str) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "X = 1\n")
    packed = target.getvalue()
    import hashlib

    digest = hashlib.sha256(packed).hexdigest()
    with pytest.raises(ValueError, match="cannot be"):
        unpack(packed, digest, tmp_path / "deep" / "in")
    with pytest.raises(ValueError, match="not what was sent"):
        unpack(packed + b"\0", digest, tmp_path / "deep" / "in")
    assert not list(tmp_path.rglob("*.py"))


# what is believed

CONTEXT = Context("run-1", "client", "c0ffee", False, SEED)


def row(task: Task, **changes: Any) -> dict[str, Any]:
    declared = task.declaration
    values = {
        "run_id": "run-1",
        "started_at": "2026-11-22T00:00:00.000+00:00",
        "commit": "c0ffee",
        "dirty": False,
        "machine_id": "node",
        "operator": declared.operator,
        "backend": declared.backend,
        "implementation": declared.implementation,
        "case": task.case.id,
        "dtype": task.case.dtype,
        "parameters": json.dumps(dict(task.case.parameters)),
        "seed": SEED,
        "status": "passed",
        "reason": "",
    }
    return {**values, **changes}


def test_an_honest_answer_is_believed(tasks: list[Task]) -> None:
    answer = {"rows": [row(task) for task in tasks[:2]], "left": [tasks[2].id]}
    left = left_of(answer, tasks[:3])
    assert [one.id for one in records_of(answer, tasks[:3], left, CONTEXT, "node")] == [one.id for one in tasks[:2]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"run_id": "run-0"}, "run_id"),
        ({"seed": SEED + 1}, "seed"),
        ({"commit": None}, "commit"),
        ({"machine_id": "another"}, "machine_id"),
        ({"implementation": "rival"}, "nobody had asked for"),
        ({"dtype": "float64"}, "another dtype"),
        ({"parameters": "{}"}, "other parameters"),
        ({"status": "splendid"}, "status"),
        ({"status": "failed"}, "reason"),
        ({"median_ns": "fast"}, "median_ns"),
        ({"median_ns": -1}, "median_ns"),
        ({"rank": 1}, "no rows"),
    ],
)
def test_a_row_that_was_not_asked_for_is_a_lie(tasks: list[Task], changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Lie, match=said):
        records_of({"rows": [row(tasks[0], **changes)]}, tasks[:1], (), CONTEXT, "node")


def test_rows_come_once_and_none_is_left_out(tasks: list[Task]) -> None:
    twice = {"rows": [row(tasks[0]), row(tasks[0])]}
    with pytest.raises(Lie, match="a second time"):
        records_of(twice, tasks[:1], (), CONTEXT, "node")
    with pytest.raises(Lie, match="no row of"):
        records_of({"rows": [row(tasks[0])]}, tasks[:2], (), CONTEXT, "node")
    with pytest.raises(Lie, match="not given"):
        left_of({"left": [tasks[5].id]}, tasks[:2])
    with pytest.raises(Lie, match="twice"):
        left_of({"left": [tasks[0].id, tasks[0].id]}, tasks[:2])


def test_readings_are_those_of_the_rows(tasks: list[Task]) -> None:
    timed = records_of({"rows": [row(tasks[0], samples=2, median_ns=5)]}, tasks[:1], (), CONTEXT, "node")
    declared = tasks[0].declaration
    reading = {
        "operator": declared.operator,
        "backend": declared.backend,
        "implementation": declared.implementation,
        "case": tasks[0].case.id,
        "process": 0,
        "block": 0,
        "position": 0,
        "calls": 1,
        "wall_ns": 5,
        "cpu_ns": 5,
        "checked": True,
    }
    assert len(samples_of({"samples": [reading, reading]}, timed)) == 2
    for wrong in ([reading], [reading, {**reading, "case": "another"}], [reading, {**reading, "calls": 0}]):
        with pytest.raises(Lie):
            samples_of({"samples": wrong}, timed)
    for rate in ("-1.0", "0", "true", "null", "Infinity", "NaN", "1e999", "1" + 400 * "0"):
        with pytest.raises(Lie):
            rates_of(json.loads(f'{{"ceiling": {{"4096": {rate}}}}}'))
    assert rates_of({"ceiling": {"4096": 7}}) == {"4096": 7.0}
    for wrong in ("all of it", [1], ["a"] * (len(tasks) + 1), {"a": "b"}):
        with pytest.raises(Lie):
            left_out_of({"left_out": wrong}, tasks)
    (said,) = left_out_of({"left_out": ["one \x1b[31mprocess"]}, tasks)
    assert said.startswith("one ") and "\x1b" not in said
    assert left_out_of({}, tasks) == []


@pytest.mark.parametrize("text", ["", "rows", "[]", "7", "null", "[" * 100_000, None])
def test_an_answer_that_is_no_object_is_no_end_of_the_run(tasks: list[Task], text: Any) -> None:
    crew: Any = SimpleNamespace(node=lambda address: equal_node(1))
    client = Engine()
    flights = Flights(client, crew, "token")  # type: ignore[arg-type]
    unit = Unit(1, tuple(tasks[:1]), {"do": "check"}, "numpy")
    flights.send(unit, [equal_node(1)])
    (flight,) = flights._flights.values()
    flight.future.status, flight.future.result = "finished", lambda timeout: text  # type: ignore[misc, assignment]
    assert flights._done(client.keys[0]) == [Fell(unit, died=True)] and not flights
    assert "no JSON object" in unit.deaths[0]


def test_a_sandbox_without_network_rules_is_known_as_that() -> None:
    assert closes_network({"seccomp": "", "landlock": "none", "landlock_abi": "0"})
    assert closes_network({"seccomp": "none", "landlock": "", "landlock_abi": "4"})
    assert not closes_network({"seccomp": "none", "landlock": "", "landlock_abi": "3"})
    assert not closes_network({"seccomp": "none", "landlock": "none", "landlock_abi": "7"})
    assert not closes_network(None)


def test_keys_are_found_wherever_they_were_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import dask
    from distributed import Security

    for name in ("ca.pem", "node.pem", "node.key", "typed.key"):
        (tmp_path / name).write_text("PEM")
    monkeypatch.chdir(tmp_path)
    by_file = {"ca-file": str(tmp_path / "ca.pem"), "worker": {"cert": "node.pem", "key": "node.key"}, "ciphers": None}
    typed = Security(tls_worker_key="typed.key", tls_worker_cert="-----BEGIN CERTIFICATE-----\n" * 500)
    with dask.config.set({"distributed.comm.tls": by_file}):
        assert secrets(typed) == [str(tmp_path / name) for name in ("ca.pem", "node.key", "node.pem", "typed.key")]


@linux_only
def test_a_plugin_that_is_read_for_a_cluster_reads_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the command is typed, its file is read in a worker before any node hears of it."""
    import dask

    key, plugin = tmp_path / "node.key", tmp_path / "reads.py"
    key.write_text("secret")
    plugin.write_text(f"FOUND = open({str(key)!r}).read()\n" + PLUGIN)
    said: list[str] = []

    def reads(*sources: Any) -> Registry:
        found = load(*sources)
        said.extend(problem.message for problem in found.problems)
        return found

    monkeypatch.setattr("harness.registry.load", reads)
    monkeypatch.setattr(policy, "_hidden", set(policy.hidden()))
    asked = {"plugins": [str(plugin)], "store": str(tmp_path / "s.sqlite"), "cluster": "tcp://127.0.0.1:1"}
    with dask.config.set({"distributed.comm.tls": {"client": {"key": str(key)}}}), pytest.raises(Stopped):
        api.run("check", ["max/numpy/builtin/float32[3]dim=0"], **asked)  # type: ignore[arg-type]
    assert len(said) == 1 and ("PermissionError" in said[0] or "FileNotFoundError" in said[0]), said


@pytest.mark.parametrize("kind", ["built in", "named by path", "installed"])
def test_a_node_that_cannot_close_the_network_runs_no_plugin_of_any_kind(
    tasks: list[Task], registry: Registry, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"named by path": {"path": "/home/me/fast.py"}, "installed": {"module": "fast_kernels.numpy"}}
    declared = dataclasses.replace(tasks[0].declaration, **changes.get(kind, {}))
    asked = Planned([dataclasses.replace(tasks[0], declaration=declared)])
    said: list[str] = []

    def meets(client: Any, commission: Commission, *more: Any) -> None:
        crew = Crew(client, Commission.from_json(commission.as_json()), *more)
        said.append(crew._hindrance({**facts(registry, ["max"]), "lanes": 1, "layers": None}))
        raise Stopped("they have met")

    monkeypatch.setattr(running, "connected", lambda cluster, jobs: contextlib.nullcontext())
    monkeypatch.setattr(running, "Crew", meets)
    run_it = running.execute_on(running.Fleet("local"))
    with pytest.raises(Stopped, match="they have met"):
        run_it("check", ["max"], registry, None, CONTEXT, Options(), lambda words, done, total: None, asked)
    assert ["its sandbox cannot keep plugins from the network" in one for one in said] == [kind != "built in"], said


# where units go


def test_gpus_are_known_by_their_uuids() -> None:
    a, b, c = gpus = tuple(Gpu(f"GPU-{letter}1", "model") for letter in "abc")
    assert chosen(gpus, None) == gpus
    assert chosen(gpus, "2,0") == (c, a)
    assert chosen(gpus, "GPU-b") == (b,)
    assert chosen(gpus, "1,7,0") == (b,), "what follows a number that is none is not seen"
    assert chosen(gpus, "GPU-") == (), "the beginning of several"
    assert chosen(gpus, "") == chosen(gpus, "-1") == ()


class Engine:
    """A client that keeps what it is given: nothing is done."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.scheduler = SimpleNamespace(address="tcp://head:1")
        self.status = "running"

    def subscribe_topic(self, topic: str, handler: Any) -> None:
        pass

    def cancel(self, futures: Any, force: bool) -> None:
        pass

    def submit(self, function: Any, *given: Any, key: str, **named: Any) -> Any:
        self.keys.append(key)
        future = SimpleNamespace(status="pending", key=key, done=lambda: False, release=lambda: None)
        future.add_done_callback = lambda hears: None
        return future


def equal_node(number: int) -> Node:
    facts = {"machine_id": "m", "host": f"host-{number}", "gpus": [], "missing": {"numpy": None}, "lanes": 1}
    return Node(f"tcp://host-{number}:1", 0.0, None, None, facts)  # type: ignore[arg-type]


@pytest.mark.parametrize("machines", [1, 2, 3, 8])
def test_each_of_many_equal_machines_is_given_cases_to_time(machines: int, registry: Registry) -> None:
    crew: Any = SimpleNamespace(is_waiting=lambda: False)
    crew.ready = lambda: [equal_node(number) for number in range(machines)]
    flights = Flights(Engine(), crew, "token")  # type: ignore[arg-type]
    run: Any = SimpleNamespace(registry=registry, crew=crew, flights=flights, keep=lambda phase, rows: None)
    measuring = Measuring(run, Options())
    units = [Unit(0, (task,), {"do": "time"}, "time") for task in plan(registry, ["max/numpy/builtin"], "conformance")]
    assert len(units) >= 20
    placed = sum(measuring._placed(unit) for unit in units[:20])
    assert placed == machines * (1 + QUEUED), "one that runs and one that waits, on each"


def test_a_node_that_stands_still_keeps_nobody_from_taking_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.fleet.measuring.REST_S", 0.2)
    monkeypatch.setattr("harness.fleet.measuring.PATIENCE_S", 0.05)
    still = equal_node(1)
    crew: Any = SimpleNamespace(ready=lambda: [still], look=lambda: None, node=lambda address: still)
    said: list[str] = []
    flights = Flights(Engine(), crew, "token")  # type: ignore[arg-type]
    run: Any = SimpleNamespace(crew=crew, flights=flights, numbers=itertools.count(), say=said.append)
    resting = threading.Thread(target=Measuring(run, Options())._rest, daemon=True)
    resting.start()
    resting.join(PATIENCE_S)
    assert not resting.is_alive() and not flights, "it waits for as long as that node stands still"
    assert set(said) == {"waiting for host-1:1"}


HOLD = """
import sys
from harness.timing.alone import alone
with alone(sys.argv[1:]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("theirs", "ours", "waits"),
    [([], [], True), ([], ["GPU-1"], True), (["GPU-1"], ["GPU-1"], True), (["GPU-1"], ["GPU-2"], False)],
)
def test_one_measurement_at_a_time(theirs: list[str], ours: list[str], waits: bool, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_LOCKS", str(tmp_path))
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, *theirs], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert holder.stdin is not None and holder.stdout is not None
        with holder:
            assert holder.stdout.readline() == "held\n"
            heard: list[str] = []

            def waiting(words: str) -> None:
                heard.append(words)
                holder.stdin.close()  # the other one ends, and with it its lock

            with alone(ours, waiting):
                assert bool(heard) == waits
            assert not waits or f"(process {holder.pid})" in heard[0]


def test_a_plain_bench_waits_for_its_turn_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_LOCKS", str(tmp_path))
    heard: list[str] = []
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None and holder.stdout.readline() == b"held\n"

        def progress(text: str, done: int, total: int) -> None:
            if text.startswith("waiting"):
                heard.append(text)
                holder.stdin.close()  # type: ignore[union-attr]
            assert heard or not text.startswith("timing"), "it did not wait"

        run = api.run(
            "bench",
            ["max/numpy/builtin/float32[1024x1024]dim=1"],
            store=str(tmp_path / "s.sqlite"),
            options=Options(settings=Settings(budget_s=0.2, processes=1)),
            progress=progress,
        )
    assert heard and all(one.median_ns for one in run.timed)


def test_nvidia_smi_is_asked_for_uuids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU-1-2, NVIDIA H200'\necho 'GPU-3-4, NVIDIA H200'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(visible, "has_nvml", lambda: False)
    monkeypatch.setattr(visible, "DRIVER", str(program))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    visible.visible_gpus.cache_clear()
    try:
        assert visible.visible_gpus() == (Gpu("GPU-3-4", "NVIDIA H200"),)
        assert visible.measured_alone([True, True]) == ["GPU-3-4"]
        assert visible.measured_alone([True, False]) == []
    finally:
        visible.visible_gpus.cache_clear()


# nodes


@dataclasses.dataclass
class Cluster:
    """A scheduler with two nodes; `where` is its scheduler file."""

    where: str
    nodes: list[subprocess.Popen[bytes]]

    def engines(self) -> list[psutil.Process]:
        found = []
        for node in self.nodes:
            for child in psutil.Process(node.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):  # it is ending
                    if "harness.fleet.engine" in child.cmdline():
                        found.append(child)
        return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    where = folder / "scheduler.json"
    dask = [sys.executable, "-W", "ignore", "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    plain = ["--scheduler-file", str(where), "--no-dashboard"]
    processes = [subprocess.Popen([*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", *plain], **quiet)]  # type: ignore[call-overload]
    try:
        until(where.exists)
        worker = [*dask, "worker", *plain, "--nthreads", "1", "--local-directory", str(folder)]
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]  # type: ignore[call-overload]
        yield Cluster(str(where), processes[1:])
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(PATIENCE_S)


def until(holds: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)


def judged(record: Record) -> tuple[Any, ...]:
    return record.status, record.reason, record.error_over_bound, record.max_ulp, record.seed, record.tree_height


def test_nodes_judge_as_this_process_does(cluster: Cluster, tmp_path: Path) -> None:
    selectors = [
        "sum/numpy/*/float32[33]*",
        "sum/numpy/builtin/float64*",
        "sum/cupy/sequential_grid_reduced/float32[33]*",
    ]
    news: list[str] = []
    here = api.run("check", selectors, store=str(tmp_path / "here.sqlite"), seed=SEED)
    there = api.run(
        "check",
        selectors,
        store=str(tmp_path / "there.sqlite"),
        seed=SEED,
        cluster=cluster.where,
        news=lambda words, _: news.append(words),
    )
    rows = {one.id: one for one in there.checked}
    assert len(rows) == len(there.checked) == len(here.checked)
    for one in here.checked:
        if one.status != "missing":
            assert judged(rows[one.id]) == judged(one), one.id
    missing = [one for one in there.checked if one.status == "missing"]
    assert {one.backend for one in missing} <= {"cupy"}
    # the nanny's environment (one thread for everything) is not what is measured in
    assert {one.machine_id for one in there.checked} == {here.checked[0].machine_id}
    assert all(one.duration_s is not None for one in there.checked if one.status == "passed")
    with Store.open(str(tmp_path / "there.sqlite")) as store:
        about = store.run(there.run_id)
    assert about.admission is not None and set(about.admission) == {"sum"}
    assert about.finished_at is not None and about.machine_id == there.checked[0].machine_id
    assert sum("joins" in line for line in news) >= 1
    until(lambda: not cluster.engines())


def test_a_case_is_timed_as_a_whole_on_one_node(cluster: Cluster, tmp_path: Path) -> None:
    case = "float32[1024x1024]dim=1"
    store = str(tmp_path / "bench.sqlite")
    run = api.run(
        "bench",
        [f"max/numpy/builtin/{case}", f"max/numpy/array_api/{case}"],
        store=store,
        seed=SEED,
        cluster=cluster.where,
        options=Options(settings=Settings(budget_s=0.6, processes=2)),
    )
    assert [one.status for one in run.timed] == ["passed"] * 2, [one.reason for one in run.timed]
    for one in run.timed:
        assert one.median_ns and one.percent_of_limit and one.machine_id and one.duration_s
        name = one.id.rpartition("/")[0].split("/")[2]
        assert one.samples == sum(sample.implementation == name for sample in run.raw_samples)
    assert {sample.process for sample in run.raw_samples} == {0, 1}
    with Store.open(store) as opened:
        (member,) = opened.members(run.run_id).values()
    assert member.machine_id == run.timed[0].machine_id
    assert copies_of(member.ceiling), "the copy rate that percent_of_limit is of"


PLUGIN = """
import os
import socket

import numpy as np

from harness import implementation


def reached():
    found = []
    with open("/proc/net/tcp") as file:
        lines = [line.split() for line in file.readlines()[1:]]
    for fields in lines:
        if fields[3] == "0A":
            try:
                with socket.create_connection(("127.0.0.1", int(fields[1].rpartition(":")[2], 16)), 0.3):
                    found.append(fields[1])
            except OSError:
                pass
    return found


@implementation("max", backend="numpy")
def knocks(x, *, dim=None):
    assert not reached(), "a port was reached"
    return np.asarray(np.max(x, axis=dim))


@implementation("max", backend="numpy")
def kills(x, *, dim=None):
    if x.shape == (33,):
        os.kill(os.getppid(), 9)
    return np.asarray(np.max(x, axis=dim))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "hostile.py").write_text(PLUGIN)
    return str(tmp_path / "kernels")


@linux_only
def test_a_plugin_reaches_no_scheduler_and_no_node(cluster: Cluster, plugin: str, tmp_path: Path) -> None:
    """On a node it runs confined, as anywhere: its ports are closed, that of the scheduler above all."""
    options = {"plugins": [plugin], "store": str(tmp_path / "s.sqlite"), "seed": SEED, "cluster": cluster.where}
    selectors = ["max/numpy/knocks/float32[3]dim=0", "max/numpy/knocks/float32[31]dim=0"]
    run = api.run("check", selectors, **options)
    assert [one.status for one in run.checked] == ["passed"] * 2, [one.reason for one in run.checked]
    try:
        policy.choose("off")
        run = api.run("check", selectors, **options)
    finally:
        policy.choose("auto")
    assert all("a port was reached" in one.reason for one in run.checked), "else nothing was tried above"


@linux_only
def test_what_kills_engines_is_found_and_named(cluster: Cluster, plugin: str, tmp_path: Path) -> None:
    """Without a sandbox a plugin kills what judges it: its other tasks have their verdicts, and that one its row."""
    selectors = [f"max/numpy/kills/float32[{size}]dim=0" for size in (3, 31, 32, 33, 63)]
    try:
        policy.choose("off")
        run = api.run(
            "check", selectors, plugins=[plugin], store=str(tmp_path / "s.sqlite"), seed=SEED, cluster=cluster.where
        )
    finally:
        policy.choose("auto")
    by_case = {one.case: one for one in run.checked}
    assert {case: one.status for case, one in by_case.items()} == {
        selector.rpartition("/")[2]: "error" if "[33]" in selector else "passed" for selector in selectors
    }
    assert "4 nodes died while this ran" in by_case["float32[33]dim=0"].reason
    assert "SIGKILL" in by_case["float32[33]dim=0"].reason


def test_another_harness_takes_no_part(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "installed", lambda: {**installed(), "digest": "0" * 16})
    with pytest.raises(Stopped, match=r"none of the 2 nodes .* install the same there"):
        api.run("check", ["max/numpy"], store=str(tmp_path / "s.sqlite"), cluster=cluster.where)


def test_no_scheduler_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.fleet.connecting.CONNECT_S", 0.5)
    with pytest.raises(Stopped, match="no scheduler answers there"):
        api.run("check", ["max/numpy"], store=str(tmp_path / "s.sqlite"), cluster="tcp://127.0.0.1:1")
    with pytest.raises(ValueError, match="is no address"):
        api.run("check", ["max/numpy"], store=str(tmp_path / "s.sqlite"), cluster="nowhere")


class Scripted:
    """Engines in place of processes: the first dies over its first task; the second fails in one of two ways."""

    failing = ""
    made: ClassVar[list["Scripted"]] = []

    def __init__(self, environment: Any) -> None:
        self.made.append(self)
        self.number = len(self.made)
        self.warm: set[str] = set()
        self.closed = False
        if self.number == 2 and self.failing == "start":
            raise OSError(11, "Resource temporarily unavailable")

    def ask(self, message: Any, progress: Any) -> dict[str, Any]:
        if (self.number, message["do"]) in {(1, "check"), (2, "open")}:
            raise lanes.EngineLost("it died")
        return {"rows": []}

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("failing", ["start", "opening"])
def test_an_engine_that_cannot_be_started_takes_no_lane_with_it(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_Engine", Scripted)
    monkeypatch.setattr(Scripted, "failing", failing)
    monkeypatch.setattr(Scripted, "made", [])
    one = lanes.Lanes(1, {"do": "open"}, {})
    one.open()
    for _ in range(2):
        with pytest.raises(lanes.EngineLost):
            one.ask({"do": "check"}, "numpy", lambda words: None)
    heard: list[Any] = []
    asking = threading.Thread(
        target=lambda: heard.append(one.ask({"do": "check"}, "numpy", lambda words: None)), daemon=True
    )
    asking.start()
    asking.join(PATIENCE_S)
    assert heard == [{"rows": []}], "it waits for a lane for ever"
    assert [engine.closed for engine in Scripted.made] == [True, failing == "opening", False]


def test_a_node_whose_next_engine_refuses_is_not_asked_again() -> None:
    """That its engines were let go of is another thing: then it is."""

    class Refusing:
        def __init__(self, why: type[Exception]) -> None:
            self.why = why

        def ask(self, message: Any, wanted: str, progress: Any) -> dict[str, Any]:
            raise self.why("why")

    def answer(why: type[Exception]) -> Any:
        return _answer(Refusing(why), {"do": "check"}, "numpy", lambda what, words: None)  # type: ignore[arg-type]

    assert answer(lanes.Refused) == {"stopped": "why"}
    assert answer(lanes.Over) == {"gone": "why"}
    closed = lanes.Lanes(1, {}, {})
    closed.close()
    with pytest.raises(lanes.Over):
        closed.ask({}, "numpy", lambda words: None)


def test_a_cluster_has_more_than_five_nodes() -> None:
    """There are versions of dask that tell of five, unless asked for all."""
    addresses = [f"tcp://a:{number}" for number in range(8)]

    class Older(Engine):
        def scheduler_info(self, n_workers: int = 5) -> Any:
            return {"workers": dict.fromkeys(addresses[: None if n_workers < 0 else n_workers])}

    client = Older()
    crew = Crew(client, SimpleNamespace(token="t", as_json=str), b"", {}, lambda words, trouble: None)  # type: ignore[arg-type]
    crew.look()
    assert all(crew.node(address) for address in addresses)


def test_a_node_that_is_asked_again_is_asked_under_another_name() -> None:
    """dask answers a key that it knows with what it knows, without asking."""
    client = Engine()
    crew = Crew(client, SimpleNamespace(token="t", as_json=str), b"", {}, lambda words, trouble: None)  # type: ignore[arg-type]
    crew.appeared("tcp://a:1")
    crew.appeared("tcp://b:1")
    for _ in range(3):
        crew.forgotten("tcp://b:1")
    crew.forgotten("tcp://a:1")
    assert len(client.keys) == 2 * 6 == len(set(client.keys))


@linux_only
def test_an_engine_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    monkeypatch.setattr(sys, "executable", "/nowhere")
    before = open_files()
    with pytest.raises(lanes.EngineLost, match="no engine could be started"):
        lanes.Lanes(1, {"do": "open"}, {}).open()
    assert open_files() == before


def test_a_node_runs_in_the_environment_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent of this process stands in for the nanny: what it was started with counts."""
    parent = psutil.Process(os.getppid()).environ()
    kept = next(name for name in parent if name.isidentifier() and name != "_")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(kept, "changed")
    found = environment({"OMP_NUM_THREADS": 1, kept: "changed"})
    assert found[kept] == parent[kept]
    assert found.get("OMP_NUM_THREADS") == parent.get("OMP_NUM_THREADS")
    assert environment(None)["OMP_NUM_THREADS"] == "1"

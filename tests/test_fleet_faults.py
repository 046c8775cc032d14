"""A fleet under faults: nodes, scheduler, client and plugins go, and nothing measured is lost, doubled or mixed.

Nodes are real `dask worker` processes of this machine, each in a network namespace of its own where the kernel lets us,
else at a loopback address of its own. Nothing here holds a time against a bound: any moment must be right.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest
from postgres_server import Postgres

from harness.store import Store
from harness.timing.statistics import per_call_ns
from harness.trials import killed
from harness.trials.killed import count_writes, newest, said, writes
from harness.trials.networks import Namespaces
from harness.trials.nodes import JOINED, Nodes

pytest.importorskip("distributed", reason="pip install 'kernel-harness[cluster]'")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and the death of children are Linux's")

ROOT = Path(__file__).parent.parent
RANDOM = random.Random(int(os.environ.get("HARNESS_TEST_SEED", "20261122")))
NAMES = ("node-1", "node-2")
FAST, SLOW = "2", "3"
"""How many threads the two nodes are told to use: to the harness they are two machines."""
TASKS = ("sum/numpy/builtin", "max/numpy/builtin")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    network = None if Namespaces.missing() else Namespaces()
    with Nodes(tmp_path_factory.mktemp("fleet"), network, killed.TTL) as nodes:
        yield nodes


@pytest.fixture
def nodes(started: Nodes) -> Nodes:
    """A scheduler and two nodes, whatever the test before has done to them."""
    assert started.scheduler is not None
    if started.scheduler.poll() is not None:
        started.start_scheduler()
    for name, threads in zip(NAMES, (FAST, SLOW), strict=True):
        if name not in started.nodes or started.nodes[name].process.poll() is not None:
            started.add(name, environment={"OMP_NUM_THREADS": threads}, wait=False)
    for name in NAMES:
        started.wait_for_node(name)
    return started


@pytest.fixture(scope="module")
def expected(started: Nodes) -> Mapping[str, str]:
    """The status of each task, by a run of this machine alone."""
    store = started.folder / "alone.sqlite"
    code, _, error = started.run(*killed.check_command(None, store, TASKS))
    assert code == 0, error
    return said(newest(store)[0])


def records_of(store: Path) -> int:
    """How many records the newest run has so far."""
    if not store.exists():
        return 0
    with Store.open(str(store)) as opened:
        return max((len(opened.done(info.run_id, "check")) for info in opened.runs()), default=0)


def wait_for_records(store: Path, count: int, child: subprocess.Popen[str]) -> None:
    while child.poll() is None and records_of(store) < count:
        time.sleep(0.02)


def check(nodes: Nodes, store: Path, *more: str) -> list[str]:
    return ["harness", "check", "--store", str(store), "--cluster", nodes.address, *more]


def written_once(store: Path) -> bool:
    return set(writes(store).values()) == {1}


# ---- nodes that go


@pytest.mark.parametrize("how", ["killed", "stopped, and back", "unplugged"])
def test_a_node_that_goes_at_any_moment_loses_and_doubles_nothing(
    nodes: Nodes, expected: Mapping[str, str], tmp_path: Path, how: str
) -> None:
    if how == "unplugged" and (missing := Namespaces.missing()):
        pytest.skip(missing)
    moment_s = RANDOM.uniform(0.5, 5.0)
    row = killed.struck(
        nodes, how, lambda: RANDOM.choice(NAMES), moment_s, tmp_path / "r.sqlite", dict(expected), TASKS
    )
    assert row["exit_code"] == 0, row
    assert row["tasks"] == len(expected), row
    assert not any(row[name] for name in ("hung", "lost", "doubled", "strange", "different", "left_over")), row


SQUARES = """
import numpy as np
from harness import Case, Cost, Mutant, Operator, grid
from harness.draw import draw
from harness.judge.formula import derived_from
from harness.judge.tracked import square


def inputs(case, rng):
    return (draw(case.values, case.shapes[0], case.dtype, rng, terms=64 * case.shapes[0][0]),)


oracle, bound = derived_from(lambda x: square(x).sum())
squares = Operator(
    name="squares",
    inputs=inputs,
    oracle=oracle,
    bound=bound,
    cost=lambda case: Cost(bytes=4 * case.shapes[0][0], flops=2 * case.shapes[0][0]),
    mutants=(Mutant("zeros", lambda x: np.zeros((), x.dtype)), Mutant("sum", lambda x: np.asarray(x.sum(), x.dtype))),
    conformance=grid(dtype="float32", shape=[(1,), (33,), (1025,)], values=["normal", "ties", "uniform"]),
    benchmarks=grid(dtype="float32", shape=[(2**18,), (2**18 + 1,), (2**18 + 2,)]),
)
"""
"""An operator with few cases."""
SLOWER = 16
BY_MACHINE = f"""
import os
import numpy as np
from harness import Accumulation, Tree, implementation

TIMES = {SLOWER} if os.environ.get("OMP_NUM_THREADS") == "{SLOW}" else 1


@implementation("squares", backend="numpy", accumulation=Accumulation(Tree("any")))
def by_machine(x):
    for _ in range(TIMES):
        answer = np.asarray(np.dot(x, x))
    return answer


@implementation("squares", backend="numpy", accumulation=Accumulation(Tree("any")))
def beside_it(x):
    return np.asarray(np.dot(x, x))
"""


@pytest.mark.timed
def test_readings_of_a_case_are_of_one_node_when_one_is_killed_while_it_measures(nodes: Nodes, tmp_path: Path) -> None:
    """One of two nodes takes sixteen times as long: what was taken on both would show it."""
    plugin, operators, store = tmp_path / "by_machine.py", tmp_path / "squares.py", tmp_path / "r.sqlite"
    plugin.write_text(BY_MACHINE)
    operators.write_text(SQUARES)
    count_writes(store)
    asked = ["squares", "--plugin", str(plugin), "--operators", str(operators), "--budget", "6", "--processes", "3"]
    with nodes.start("harness", "bench", *asked, *check(nodes, store)[2:]) as child:
        while child.poll() is None and not measured(store):
            time.sleep(0.02)
        time.sleep(RANDOM.uniform(0.0, 1.0))
        assert child.poll() is None, child.communicate()
        (first,) = {one.machine_id for one in newest(store)[1]}
        (name,) = [
            name for name, threads in zip(NAMES, (FAST, SLOW), strict=True) if threads == threads_of(store, first)
        ]
        assert nodes.nodes[name].offers, "its log says that it takes times"
        nodes.nodes[name].kill()
        _, error = child.communicate()
    assert child.returncode == 0, error
    _, timed, samples = newest(store)
    assert written_once(store) and len(timed) == 6
    assert first in {one.machine_id for one in timed} and len({one.machine_id for one in timed}) == 2
    readings: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in samples:
        readings[f"squares/numpy/{one.implementation}/{one.case}"][one.process].append(per_call_ns(one))
    for row in timed:
        assert row.status == "passed", row
        processes = readings[row.id]
        assert sum(map(len, processes.values())) == row.samples, "none of an unfinished try"
        medians = [statistics.median(times) for times in processes.values()]
        assert max(medians) < SLOWER / 3 * min(medians), (row.id, medians)
    for case in {row.case for row in timed}:
        machines = {row.machine_id for row in timed if row.case == case}
        assert len(machines) == 1, "implementations of one case are compared: they belong on one machine"


def threads_of(store: Path, machine_id: str) -> str:
    """How many threads a machine was told to use."""
    with Store.open(str(store)) as opened:
        return str(opened.machine(machine_id)["environment"]["OMP_NUM_THREADS"])


def measured(store: Path) -> int:
    """How many readings the newest run has so far."""
    with Store.open(str(store)) as opened:
        return max((len(opened.samples(info.run_id)) for info in opened.runs()), default=0)


def test_a_run_waits_for_nodes_when_all_are_killed_and_goes_on_where_it_was(
    nodes: Nodes, expected: Mapping[str, str], tmp_path: Path
) -> None:
    store = tmp_path / "r.sqlite"
    count_writes(store)
    with nodes.start(*check(nodes, store, *TASKS, "--seed", str(killed.SEED))) as child:
        wait_for_records(store, 10, child)
        assert child.poll() is None, child.communicate()
        for node in nodes.nodes.values():
            node.kill()
        kept = {one.id: one for one in newest(store)[0]}
        assert not any(killed.left_over(node) for node in nodes.nodes.values())
        assert child.poll() is None and len(kept) < len(expected), child.communicate()
        nodes.add("node-1", environment={"OMP_NUM_THREADS": FAST})
        _, error = child.communicate()
    assert child.returncode == 0, error
    after = newest(store)[0]
    assert said(after) == expected and written_once(store)
    assert all(one == kept[one.id] for one in after if one.id in kept), "what was stored stays"


def test_a_node_that_joins_in_the_middle_takes_its_part(
    nodes: Nodes, expected: Mapping[str, str], tmp_path: Path
) -> None:
    store = tmp_path / "r.sqlite"
    count_writes(store)
    nodes.nodes["node-2"].kill()
    with nodes.start(*check(nodes, store, *TASKS, "--seed", str(killed.SEED))) as child:
        wait_for_records(store, 5, child)
        assert child.poll() is None, child.communicate()
        nodes.nodes["node-1"].stop()  # else it might be done with everything before the other one has joined
        nodes.add("node-2", environment={"OMP_NUM_THREADS": SLOW})
        while child.poll() is None and len({one.machine_id for one in newest(store)[0]}) < 2:
            time.sleep(0.05)
        nodes.nodes["node-1"].go_on()
        _, error = child.communicate()
    assert child.returncode == 0, error
    checked = newest(store)[0]
    assert said(checked) == expected and written_once(store)
    assert len({one.machine_id for one in checked}) == 2


# ---- the scheduler and the client


def test_a_scheduler_that_is_killed_ends_the_run_in_words_and_it_can_be_resumed(
    nodes: Nodes, expected: Mapping[str, str], tmp_path: Path
) -> None:
    store = tmp_path / "r.sqlite"
    count_writes(store)
    with nodes.start(*check(nodes, store, *TASKS, "--seed", str(killed.SEED))) as child:
        wait_for_records(store, 10, child)
        assert child.poll() is None and nodes.scheduler is not None, child.communicate()
        nodes.scheduler.kill()
        nodes.scheduler.wait()
        _, error = child.communicate()
    assert child.returncode == 5 and "Traceback" not in error, error
    assert "--resume" in error.strip().splitlines()[-1], error
    for node in nodes.nodes.values():
        node.kill()
    nodes.start_scheduler()
    for name in NAMES:
        nodes.add(name)
    code, _, error = nodes.run(*check(nodes, store, "--resume"))
    assert code == 0, error
    assert said(newest(store)[0]) == expected and written_once(store)


def test_a_client_that_is_killed_leaves_the_nodes_to_others_and_its_run_can_be_resumed(
    nodes: Nodes, tmp_path: Path
) -> None:
    plugin, store = tmp_path / "hangs.py", tmp_path / "r.sqlite"
    plugin.write_text(plugin_of("hangs", "while True: pass"))
    count_writes(store)
    hanging = ["max/numpy/hangs/float32[33]dim=0", "--plugin", str(plugin)]
    with nodes.start(*check(nodes, store, "sum/numpy/builtin", *hanging, "--timeout", "9999")) as child:
        wait_for_records(store, 10, child)
        assert child.poll() is None, child.communicate()
        child.kill()
        child.communicate()
    kept = {one.id: one for one in newest(store)[0]}
    for node in nodes.nodes.values():  # the one that hangs would do so for 9,999 s
        while any(is_worker(one) for one in node.processes()):
            time.sleep(0.05)
    code, _, error = nodes.run(*check(nodes, tmp_path / "other.sqlite", "max/numpy/builtin"))
    assert code == 0, error
    code, _, error = nodes.run(*check(nodes, store, "--resume", "--plugin", str(plugin), "--timeout", "2"))
    assert code == 3, error
    after = {one.id: one for one in newest(store)[0]}
    assert written_once(store) and Counter(one.status for one in after.values())["timeout"] == 1
    assert all(after[name] == one for name, one in kept.items())


def is_worker(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):  # it is ending
        return "harness.worker" in process.cmdline()
    return False


# ---- plugins


def plugin_of(name: str, body: str) -> str:
    head = "import os\nimport harness.implementations.numpy.max as theirs\nfrom harness import implementation\n\n\n"
    head += f"@implementation('max', backend='numpy')\ndef {name}(x, *, dim=None):\n"
    return head + textwrap.indent(textwrap.dedent(body).strip() + "\n", "    ")


BAD = {
    "crashes": "import ctypes; ctypes.string_at(0)",
    "hangs": "while True: pass",
    "leaves": "os._exit(3)",
    "floods": "while True: print('x' * 65536)",
    "kills": "os.kill(os.getppid(), 9); return theirs.builtin(x, dim=dim)",
    "reads": "open({store!r}).read(1); return theirs.builtin(x, dim=dim)",
}


def test_what_a_bad_plugin_does_is_a_row_and_the_node_lives(nodes: Nodes, tmp_path: Path) -> None:
    store, alone = tmp_path / "r.sqlite", tmp_path / "alone.sqlite"
    for name, body in BAD.items():
        (tmp_path / f"{name}.py").write_text(plugin_of(name, body.replace("{store!r}", repr(str(store)))))
    plugins = [word for name in BAD for word in ("--plugin", str(tmp_path / f"{name}.py"))]
    asked = [*(f"max/numpy/{name}/float32[33]dim=0" for name in BAD), *plugins, "--timeout", "3"]
    before = {name: (node.process.pid, node.log.count(JOINED)) for name, node in nodes.nodes.items()}
    count_writes(store)
    code, _, error = nodes.run(*check(nodes, store, *asked))
    assert code == 3, error
    (tmp_path / "reads.py").write_text(plugin_of("reads", BAD["reads"].replace("{store!r}", repr(str(alone)))))
    nodes.run("harness", "check", "--store", str(alone), *asked)
    checked, there = newest(store)[0], newest(alone)[0]
    assert said(checked) == said(there) and written_once(store) and len(checked) == len(BAD)
    statuses = {one.implementation: one.status for one in checked}
    assert statuses["crashes"] == statuses["leaves"] == "crashed" and statuses["hangs"] == "timeout"
    assert before == {name: (node.process.pid, node.log.count(JOINED)) for name, node in nodes.nodes.items()}


# ---- who may work, and when


def test_a_node_of_another_version_is_refused_by_name(nodes: Nodes, tmp_path: Path) -> None:
    other = tmp_path / "other" / "harness"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "harness", other, ignore=ignored)
    for name in ("cases", "implementations", "reports"):
        shutil.copytree(ROOT / name, other / name, ignore=ignored)
    shutil.copytree(ROOT / "tests" / "sabotage", other / "sabotage", ignore=ignored)
    with (other / "judge" / "verdict.py").open("a") as file:
        file.write("\n# another version\n")
    store = tmp_path / "r.sqlite"
    try:
        nodes.add("stranger", environment={"PYTHONPATH": str(other.parent)})
        host = nodes.network.join("stranger")
        code, _, error = nodes.run(*check(nodes, store, "max/numpy/builtin"))
        assert code == 0 and f"{host}:" in error and "install the same there" in error, error
        assert all(one.status == "passed" for one in newest(store)[0])
        for name in NAMES:
            nodes.nodes[name].kill()
        code, _, error = nodes.run(*check(nodes, store, "max/numpy/builtin"))
        assert code == 5 and f"{host}:" in error and "Traceback" not in error, error
    finally:
        nodes.nodes.pop("stranger").kill()


LOGGED = """
import os
import time
import harness.implementations.numpy.max as theirs
from harness import implementation

LOG = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@implementation("max", backend="numpy", gradient=theirs.gradient)
def logged(x, *, dim=None):
    start = time.monotonic_ns()
    answer = theirs.builtin(x, dim=dim)
    if x.size >= 2**20:
        os.write(LOG, b"%d %d %d\\n" % (os.getpid(), start, time.monotonic_ns()))
    return answer
"""
FEWEST_CALLS = 50
"""Of a process that is timed; one that is checked is called less often."""


def at_a_time(log: Path) -> tuple[int, int]:
    """How many processes were timed, and how many pairs of them at the same time, by the plugin's own log."""
    spans: dict[int, list[int]] = defaultdict(list)
    for line in log.read_text().splitlines():
        pid, start, end = map(int, line.split())
        spans[pid] += [start, end]
    timed = [(min(times), max(times)) for times in spans.values() if len(times) >= 2 * FEWEST_CALLS]
    pairs = itertools.combinations(timed, 2)
    return len(timed), sum(a[0] < b[1] and b[0] < a[1] for a, b in pairs)


@pytest.mark.timed
def test_two_clients_never_measure_at_the_same_time_on_one_machine(nodes: Nodes, tmp_path: Path) -> None:
    """Without the sandbox a plugin can write down when it is called. The two nodes share this machine's cores, so that
    also one client's may not measure side by side."""
    found = {}
    for name, where in (("fleet", ["--cluster", nodes.address]), ("alone", [])):
        log, plugin = tmp_path / f"{name}.log", tmp_path / f"logged_{name}.py"
        plugin.write_text(LOGGED.format(log=str(log)))
        asked = ["max/numpy/logged", "--plugin", str(plugin), "--sandbox", "off", "--budget", "2", "--processes", "2"]
        both = []
        for number in range(2):
            locks = {} if name == "fleet" else {"HARNESS_LOCKS": str(tmp_path)} if number else {}
            store = str(tmp_path / f"{name}-{number}.sqlite")
            both.append(nodes.start("harness", "bench", *asked, "--store", store, *where, **locks))
        ended = [child.communicate()[1] for child in both]
        assert [child.returncode for child in both] == [0, 0], ended
        found[name] = at_a_time(log)
    assert found["fleet"] == (2 * 2 * 2, 0), found
    assert found["alone"][1] > 0, (
        "two commands with locks in two places do not wait for each other: else this shows nothing"
    )


# ---- the documentation


PAGE = (ROOT / "docs" / "fleet.md").read_text()


def block(language: str, holding: str) -> str:
    """The block of the page in which this stands."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if holding in text]
    return str(found)


def test_the_certificates_of_the_page_let_in_who_has_one_and_nobody_else(tmp_path: Path) -> None:
    subprocess.run(["bash", "-e", "-c", block("sh", "openssl")], cwd=tmp_path, check=True, capture_output=True)
    settings = tmp_path / "dask"
    settings.mkdir()
    (settings / "tls.yaml").write_text(block("yaml", "ca-file").replace("/etc/bench", str(tmp_path)))
    secret = {"DASK_CONFIG": str(settings)}
    plugin = tmp_path / "reads.py"
    plugin.write_text(
        plugin_of("reads", f"open({str(tmp_path / 'node.key')!r}).read(1)\nreturn theirs.builtin(x, dim=dim)")
    )
    asked = ["max/numpy/reads/float32[33]dim=0", "max/numpy/builtin/float32[33]dim=0", "--plugin", str(plugin)]
    with Nodes(tmp_path / "fleet", environment=secret, protocol="tls") as nodes:
        assert nodes.address.startswith("tls://")
        nodes.add("node-1")
        code, out, error = nodes.run(*check(nodes, tmp_path / "r.sqlite", *asked, "--json"))
        rows = {row["implementation"]: row for row in json.loads(out)}
        assert code == 3 and rows["builtin"]["status"] == "passed", error
        assert "PermissionError" in rows["reads"]["reason"] or "FileNotFoundError" in rows["reads"]["reason"], rows
        plain = nodes.address.replace("tls://", "tcp://")
        for address in (nodes.address, plain):
            asked = [
                "harness",
                "check",
                "max/numpy/builtin",
                "--store",
                str(tmp_path / "no.sqlite"),
                "--cluster",
                address,
            ]
            code, _, error = nodes.run(*asked, DASK_CONFIG=str(tmp_path / "nothing"))
            assert code in (2, 5) and "Traceback" not in error and len(error.strip().splitlines()) == 1, error


def test_the_job_of_the_page_is_what_a_node_needs(tmp_path: Path) -> None:
    """No Slurm is here: the script that would be submitted is run as what it is, a shell script, and a node joins."""
    jobqueue = pytest.importorskip("dask_jobqueue", reason="pip install dask-jobqueue")
    assert jobqueue
    (tmp_path / "on_slurm.py").write_text(block("python", "SLURMCluster"))
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import on_slurm; print(on_slurm.cluster().job_script())"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "#SBATCH --exclusive" in told and "#SBATCH -p bench" in told and "#SBATCH -n 1" in told
    with Nodes(tmp_path / "fleet") as nodes:
        script = re.sub(r"tcp://\S+", nodes.address, told)
        job = nodes.start("bash", "-c", f"exec > {tmp_path}/job.log 2>&1\n{script}")
        code, _, error = nodes.run(*check(nodes, tmp_path / "r.sqlite", "max/numpy/builtin/float32[33]dim=0"))
    job.communicate()
    assert code == 0, error


def test_the_commands_of_the_page_from_nothing(postgres: Postgres, tmp_path: Path) -> None:
    """As written, but for the names of the machines, the database (a test's own), and a smaller choice of tasks."""
    with socket.socket() as free:
        free.bind(("127.0.0.10", 0))
        port = free.getsockname()[1]
    names = {"head:8786": f"127.0.0.10:{port}", "--port 8786": f"--port {port}", "--host head": "--host 127.0.0.10"}
    names |= {"--host node-1": "--host 127.0.0.11", "'softmax/*'": "max/numpy/builtin --budget 1 --processes 2"}

    def here(text: str) -> str:
        for name, other in names.items():
            text = text.replace(name, other)
        return re.sub(r"postgresql\+psycopg://\S+", f"'{postgres.url}'", text)

    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    nodes = Nodes(tmp_path, environment=path)
    with contextlib.ExitStack() as stack:
        starting = [line for line in here(block("sh", "createdb")).splitlines() if line.startswith("dask ")]
        assert len(starting) == 2
        for line in starting:
            log = f"{line.split()[1]}.log"
            stack.callback(nodes.start("bash", "-c", f"exec {line} --no-dashboard > {log} 2>&1").communicate)
            time.sleep(0.5)
        stack.callback(nodes.close)
        code, _, error = nodes.run("bash", "-e", "-c", here(block("sh", "HARNESS_STORE")))
    assert code == 0, error
    (page,) = tmp_path.rglob("*.html")
    assert "max/numpy/builtin" in page.read_text()
    with Store.open(postgres.url) as store:
        run_id = store.run(None).run_id
        assert [one.status for one in store.records(run_id, "bench")] == ["passed"] * 2

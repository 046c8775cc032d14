"""What `harness doctor` finds: backends, machine, threads, ceilings, and what the harness itself costs."""

from __future__ import annotations

import os
import statistics
import time
import tracemalloc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil

import harness.machine as machine
from harness import constants
from harness.declare import Case
from harness.implement import Declaration
from harness.plan import plan
from harness.process import WorkerFailure, WorkerProcess
from harness.registry import BackendInfo, Registry
from harness.sandbox import policy, probing
from harness.supervisor import Supervisor, fresh_seed
from harness.timing.ceiling import Ceilings
from harness.worker import clocked

if TYPE_CHECKING:
    from harness.store import Store

WORKING_SETS = (1 << 16, 1 << 20, 1 << 24, 1 << 28)
MANY_TASKS = 100_000
CHECKS = 300
CALLS = 50_000
STARTS = 15

Finding = dict[str, Any]
"""topic, name, value, advice (what to do, or an empty string)."""


def diagnose(registry: Registry, *, overhead: bool, progress: Callable[[str], None]) -> list[Finding]:
    """Everything that is worth knowing before numbers from this machine are believed."""
    described = machine.describe()
    findings = [*_backends(registry, progress), *_machine(described), *_load(), *_sandbox(), *_problems(registry)]
    progress("measuring copy rates")
    ceilings = Ceilings()
    for size in WORKING_SETS:
        findings.append(
            _finding("ceiling", f"copy, working set of {size >> 10} KiB", f"{ceilings.rate(size) / 1e9:.1f} GB/s")
        )
    if overhead:
        findings.extend(measure_overhead(registry, progress))
    return findings


def measure_constants(registry: Registry, store: Store, progress: Callable[[str], None]) -> list[Finding]:
    """Measure exp and log of every backend, keep the constants with this machine, and hold them against the bounds."""
    found, problems = constants.measure(registry, progress)
    described = machine.describe()
    store.describe_machine(machine.machine_id(described), {**described, "constants": [one.as_data() for one in found]})
    findings = []
    for one in found:
        how = "all values" if one.exhaustive else f"{one.inputs:.1e} bit patterns"
        value = f"{one.error:.3g} u, at {one.worst_input:.6g} ({how})"
        advice = "beyond what error bounds assume: verdicts on this backend are too strict" if one.is_beyond else ""
        findings.append(_finding("constant", f"{one.backend} {one.function} {one.dtype}", value, advice))
    return findings + [_finding("constant", "not measured", problem) for problem in problems]


def _finding(topic: str, name: str, value: str, advice: str = "") -> Finding:
    return {"topic": topic, "name": name, "value": value, "advice": advice}


def _backends(registry: Registry, progress: Callable[[str], None]) -> list[Finding]:
    findings = []
    for info in registry.backends.values():
        if info.missing:
            findings.append(_finding("backend", info.name, "missing", info.missing))
            continue
        progress(f"starting a worker for {info.name}")
        findings.append(_ask_backend(info))
    return findings


def _ask_backend(info: BackendInfo) -> Finding:
    worker = WorkerProcess(plugin=info.path, devices=info.reserves)
    start = time.perf_counter()
    try:
        message = {"name": info.name, "module": info.module, "path": info.path}
        reply = worker.ask({"do": "describe", "backend": message}, 60.0)
    except WorkerFailure as failure:
        return _finding("backend", info.name, failure.status, failure.reason)
    finally:
        worker.close()
    if "failure" in reply:
        return _finding("backend", info.name, "error", str(reply["failure"]))
    versions = ", ".join(f"{name} {version}" for name, version in reply["versions"].items())
    return _finding("backend", info.name, f"{versions} (ready in {time.perf_counter() - start:.2f} s)")


def _machine(described: dict[str, Any]) -> list[Finding]:
    findings = [_finding("machine", "id", machine.machine_id(described))]
    for name, value in described.items():
        if not isinstance(value, (dict, list)):
            findings.append(_finding("machine", name, str(value)))
        elif isinstance(value, dict):
            findings.extend(_finding("machine", f"{name}.{key}", str(one)) for key, one in value.items())
    return findings


def _load() -> list[Finding]:
    """Whether other work shares the cores now."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    busy = "other work shares the cores: stop it, or expect wide intervals and raise --budget"
    advice = busy if load > cores / 2 else ""
    return [_finding("machine", "load of the last minute", f"{load:.2f} on {cores} cores", advice)]


def _sandbox() -> list[Finding]:
    """Which layers hold around a worker here, tried on a process that does nothing."""
    mode = policy.chosen()
    findings = [_finding("sandbox", "mode", mode, "" if mode != "off" else "plugins run with your rights")]
    policy.choose("auto")
    try:
        held = probing.probe()
    finally:
        policy.choose(mode)
    if held is None:
        return [*findings, _finding("sandbox", "all layers", "missing", "it needs Linux; run plugins in a container")]
    for name, needed in {**policy.LAYERS, **policy.OPTIONAL}.items():
        why = held.found.get(name, "it was not tried")
        version = f" (version {held.found['landlock_abi']})" if name == "landlock" else ""
        findings.append(
            _finding("sandbox", name, f"missing: {why}" if why else f"holds{version}", needed if why else "")
        )
    if held.found.get("landlock_abi") == "1":
        advice = "Linux 5.19 allows them; inside, Python copies instead, and a compiler that renames says EXDEV"
        findings.append(
            _finding("sandbox", "renames between folders", "refused to programs that plugins start", advice)
        )
    if closed := held.found.get("closed"):
        advice = "plugins cannot read there: mount it again, or unmount it, if they need it"
        findings.append(_finding("sandbox", "cannot be opened", closed, advice))
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        advice = "do not run as root, or limit the container (--pids-limit)"
        findings.append(_finding("sandbox", "number of processes", "not limited for the superuser", advice))
    return findings


def _problems(registry: Registry) -> list[Finding]:
    return [_finding("declaration", one.where, "cannot be used", one.message) for one in registry.problems]


# ---- what the harness itself costs


def measure_overhead(registry: Registry, progress: Callable[[str], None]) -> list[Finding]:
    """The costs that the project promises to keep: per check, per timed call, and for a large plan."""
    progress("measuring the harness's own cost")
    return [_per_check(registry), _per_timed_call(), *_large_plan(registry), _sandboxed_start()]


def _per_check(registry: Registry) -> Finding:
    """The median time of a whole check with a warm worker, kernel included, over the small cases of softmax."""
    tasks = plan(registry, ["softmax/numpy/builtin"], "conformance")
    small = [task for task in tasks if sum(size_of(shape) for shape in task.case.shapes) <= 4096][:CHECKS]
    with Supervisor(registry, fresh_seed()) as supervisor:
        supervisor.check(small[0])
        costs = []
        for task in small:
            start = time.perf_counter_ns()
            supervisor.check(task)
            costs.append(time.perf_counter_ns() - start)
    costs.sort()
    value = f"median {costs[len(costs) // 2] / 1e6:.2f} ms, 95 % under {costs[len(costs) * 95 // 100] / 1e6:.2f} ms"
    return _finding("overhead", f"one conformance check, {len(small)} small cases, kernels included", value)


def size_of(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def _per_timed_call() -> Finding:
    """What a reading holds beside the clock reads and the calls, with calls of a function that does nothing."""

    def nothing(*_: Any) -> None:
        return None

    def cost(count: int) -> float:
        calls: list[Any] = [(nothing, [None], {})] * count
        return statistics.median(clocked(calls, lambda: None).wall_ns for _ in range(CALLS // count)) / count

    bare = statistics.median(-(time.perf_counter_ns() - time.perf_counter_ns()) for _ in range(CALLS))
    value = f"{cost(1) - bare:.0f} ns alone, {cost(16):.0f} ns each in a row of 16 (two clock reads: {bare:.0f} ns)"
    return _finding("overhead", "timing adds to one call, beyond the clock reads", value)


def _sandboxed_start() -> Finding:
    """What the sandbox adds to the start of a worker: with it and without, in turn."""

    def started() -> tuple[float, float]:
        start = time.perf_counter()
        worker = WorkerProcess()
        try:
            worker.ask({"do": "trim"}, 60.0)
            elapsed = time.perf_counter() - start
            spent = psutil.Process(worker.pid).cpu_times()
        finally:
            worker.close()
        return elapsed, spent.user + spent.system

    mode = policy.chosen()
    differences = []
    try:
        for _ in range(STARTS):
            policy.choose("off")
            without = started()
            policy.choose("auto")
            differences.append([1e3 * (inside - outside) for inside, outside in zip(started(), without, strict=True)])
    finally:
        policy.choose(mode)
    wall, cpu = map(statistics.median, zip(*differences, strict=True))
    value = f"{wall:.0f} ms, {cpu:.0f} ms of them on a processor (medians of {STARTS} differences)"
    return _finding("overhead", "the sandbox adds to the start of a worker", value)


def _large_plan(registry: Registry) -> list[Finding]:
    """Time and memory to plan many tasks and write their ids."""
    import dataclasses

    operator = registry.operators["softmax"]
    cases = tuple(Case("float32", ((2, number),), (("dim", 1),)) for number in range(1, MANY_TASKS // 10 + 1))
    declared = tuple(Declaration("softmax", "numpy", f"strategy{number}") for number in range(10))
    operators = {"softmax": dataclasses.replace(operator, conformance=cases)}
    large = dataclasses.replace(registry, operators=operators, declarations=declared)
    start = time.perf_counter()
    count = sum(len(task.id) > 0 for task in plan(large, ["softmax/*"], "conformance"))
    seconds = time.perf_counter() - start
    tracemalloc.start()
    kept = plan(large, ["softmax/*"], "conformance")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return [_finding("overhead", f"a plan of {count} tasks", f"{seconds:.2f} s, {peak / 1e6:.0f} MB for {len(kept)}")]


def print_findings(findings: list[Finding]) -> None:
    """A table on stdout, topic by topic."""
    from rich.table import Table
    from rich.text import Text

    from harness.fitting import show

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("topic", "name", "value", "what to do"):
        table.add_column(heading, overflow="fold")
    last = ""
    for one in findings:
        topic = one["topic"] if one["topic"] != last else ""
        last = one["topic"]
        table.add_row(*(Text(str(cell)) for cell in (topic, one["name"], one["value"], one["advice"])))
    show([table])

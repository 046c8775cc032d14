"""Imports point one way, heavy libraries stay where they are used, and the supervisor never imports a plugin."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LAYERS = (
    ("location", "scratch", "interruption", "timing.alone", "whole", "orphans"),
    (
        "declare",
        "record",
        "nearest",
        "checkout",
        "documents",
        "durations",
        "fingerprint",
        "fitting",
        "timing.device.state",
        "timing.counters",
        "timing.pinning",
    ),
    (
        "timing.device.timer",
        "timing.device.visible",
        "timing.evidence",
        "comparing.syntax",
        "comparing.verdicts",
        "progress",
        "balance",
    ),
    ("timing.device.readings", "timing.device.graphs", "timing.device.libraries"),
    ("precision", "machine", "implement", "cache", "cuda.faults", "cuda.source", "cuda.occupancy"),
    ("sandbox.kernel", "sandbox.cores", "sandbox.renaming"),
    ("sandbox.policy", "likeness", "timing.reference"),
    ("sandbox.filter", "sandbox.landlock", "sandbox.limits", "sandbox.namespaces", "sandbox.probing"),
    ("sandbox.enter",),
    ("draw", "wire", "judge.trees", "schema", "sources.files", "sources.onnx_nodes", "sources.torch_samples"),
    (
        "cuda.building",
        "cuda.memory",
        "cuda.resources",
        "cuda.sass",
        "confinement",
        "rows",
        "bulk",
        "migrations",
        "claims",
        "complaints",
    ),
    ("cuda.nvrtc",),
    ("cuda.compiled",),
    ("cuda.device",),
    ("cuda.emulated", "cuda.gpu"),
    ("cuda.cpu",),
    ("cuda.declaring",),
    ("judge.arithmetic", "judge.exact", "judge.compare", "judge.revealed", "arena", "modules", "database"),
    (
        "judge.truth",
        "judge.tracked",
        "judge.reveal",
        "judge.drawing",
        "process",
        "worker",
        "queries",
        "timing.calling",
        "delta",
    ),
    ("judge.admission", "judge.verdict", "judge.formula", "reading", "store", "transfer"),
    ("judge.diagnosis", "registry", "strangers", "contents"),
    ("plan", "copying", "heavy"),
    ("stage", "listing", "figures", "series", "sharding", "interop.imported", "interop.stored"),
    ("interop.files",),
    ("interop.asv", "interop.bencher", "interop.github_action", "interop.google_benchmark", "interop.pytest_benchmark"),
    ("interop.asv_layout", "interop.detecting", "interop.junit"),
    ("interop.exporting", "interop.storing"),
    ("conformance", "timing.statistics", "timing.audit", "timing.ceiling", "timing.disturbance", "timing.instructions"),
    ("comparing.pooling", "timing.challenge"),
    ("supervisor", "timing.groups", "drift", "comparing.deciding"),
    ("shift",),
    ("shifts",),
    ("machines",),
    ("constants", "fuzz", "histories", "inventory", "configuration"),
    ("problems.exchange", "problems.tensors", "problems.problem", "problems.measuring"),
    ("problems.axes", "problems.kernelbench", "problems.gpumode", "problems.subjects"),
    ("problems.flashinfer", "problems.recognising", "problems.nasty"),
    ("problems.host", "problems.hosting", "problems.wrapping"),
    ("problems.candidates",),
    ("problems.trying", "problems.opinions"),
    ("problems.judging",),
    ("problems.recording",),
    ("terminal",),
    ("options",),
    ("timing.turn",),
    ("timing.rotation", "timing.overhead", "timing.workers", "timing.stopwatch"),
    ("timing.exchange",),
    ("timing.bursts",),
    ("timing.session", "outcome"),
    (
        "fleet.parcel",
        "fleet.facts",
        "fleet.commission",
        "fleet.lanes",
        "fleet.units",
        "fleet.admitting",
        "fleet.receiving",
        "fleet.local",
    ),
    ("fleet.node", "fleet.engine"),
    ("fleet.crew", "fleet.connecting"),
    ("fleet.flights",),
    ("fleet.ledger",),
    ("fleet.checking", "fleet.measuring"),
    ("fleet.running",),
    ("execute", "doctor"),
    ("comparing.identity", "comparing.versions", "comparing.presence", "comparing.measured", "comparing.contest"),
    ("comparing.environment", "comparing.renaming", "comparing.machines", "comparing.pairs", "comparing.eligible"),
    ("comparing.counting", "comparing.whole"),
    ("comparing.looking",),
    ("comparing.live", "comparing.sides"),
    ("comparing.stored", "comparing.revisions"),
    ("comparing.abreast",),
    ("comparing.asking",),
    ("reporting", "revealing", "searching", "next_step", "dealing"),
    ("deals", "trials.binomial", "trials.hog", "trials.kept", "trials.rivals", "trials.slowed", "trials.advice"),
    ("trials.networks",),
    ("trials.nodes",),
    ("trials.killed",),
    ("joining", "trials.calibration", "trials.comparer"),
    (
        "trials.audited",
        "trials.power",
        "trials.scale",
        "trials.commits",
        "trials.gate",
        "trials.intervals",
        "trials.noise",
        "trials.ours",
        "trials.saving",
        "trials.trust",
    ),
    ("trials.showing",),
    ("trials.fleet",),
    ("commands.history", "commands.judge", "commands.doctor", "commands.import_", "commands.machines"),
    ("api",),
    ("testing.message", "testing.selecting", "testing.inprocess"),
    ("testing.shared",),
    ("testing.checking", "testing.items"),
    ("testing.benchmarking",),
    ("testing.collecting",),
    ("testing.plugin",),
    ("commands.compare", "commands.running", "commands.ending", "commands.store"),
    ("cli",),
    ("__main__",),
)
"""Modules of harness/, the lowest first: a module imports only from layers below its own."""

LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}
HEAVY = {
    "pandas", "torch", "cupy", "jax", "onnx", "hypothesis", "scipy", "ruptures", "sqlalchemy", "rich", "jinja2",
    "matplotlib", "distributed", "dask",
}  # fmt: skip
MAY_IMPORT_AT_ONCE = {
    name: {"sqlalchemy"}
    for name in (
        "store",
        "queries",
        "database",
        "migrations",
        "claims",
        "schema",
        "strangers",
        "bulk",
        "contents",
        "copying",
        "deals",
        "delta",
        "joining",
        "transfer",
    )
}


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / "harness").rglob("*.py")):
        parts = path.relative_to(ROOT / "harness").with_suffix("").parts
        if parts[-1] != "__init__":
            found[".".join(parts)] = path
    return found


def imported(path: Path, *, at_once: bool) -> set[str]:
    """Full names that a file imports: all of them, or only those at module level and not for type checking."""
    names: set[str] = set()

    def visit(node: ast.AST) -> None:
        if at_once and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return names


def test_every_module_has_a_layer() -> None:
    assert set(modules()) == set(LEVEL)


@pytest.mark.parametrize("module", modules())
def test_a_module_imports_only_from_layers_below_its_own(module: str) -> None:
    for name in imported(modules()[module], at_once=False):
        target = name.removeprefix("harness.")
        if name.startswith("harness.") and target in LEVEL and target != module:
            assert LEVEL[target] < LEVEL[module], f"harness.{module} imports harness.{target}, which stands above it"


@pytest.mark.parametrize("module", modules())
def test_heavy_libraries_are_imported_where_they_are_used(module: str) -> None:
    roots = {name.partition(".")[0] for name in imported(modules()[module], at_once=True)}
    assert roots & HEAVY <= MAY_IMPORT_AT_ONCE.get(module, set())


@pytest.mark.parametrize("module", modules())
def test_only_reports_import_pandas(module: str) -> None:
    assert "pandas" not in {name.partition(".")[0] for name in imported(modules()[module], at_once=False)}


@pytest.mark.parametrize("path", sorted(ROOT.glob("cases/*.py")), ids=lambda path: path.stem)
def test_cases_know_numpy_and_the_engine_and_no_implementation(path: Path) -> None:
    names = imported(path, at_once=False)
    assert not any("implementations" in name for name in names)
    roots = {name.partition(".")[0] for name in names}
    own = {path.stem for path in ROOT.glob("cases/*.py")}
    library = {"__future__", "collections", "dataclasses", "functools", "itertools", "math", "typing"}
    assert roots <= library | {"numpy", "harness"} | own


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_wheel_holds_every_package() -> None:
    """An editable installation hides a package that the list of pyproject.toml forgets; the wheel does not."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)["tool"]["setuptools"]
    listed = set(settings["packages"])
    folders = {Path(folder): package for package, folder in settings["package-dir"].items()}
    found = {
        ".".join([package, *path.parent.relative_to(ROOT / folder).parts])
        for folder, package in folders.items()
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert found <= listed, f"missing in pyproject.toml: {sorted(found - listed)}"


def test_import_harness_is_light() -> None:
    heavy = sorted(HEAVY | {"typer", "psutil"})
    assert run_python(f"import sys, harness; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_pandas_is_imported_where_a_frame_is_made_and_not_by_what_a_terminal_or_a_page_shows() -> None:
    shown = "harness.reports.text, harness.reports.page, harness.reports.compared_table, harness.reports.history"
    assert run_python(f"import sys, {shown}; print('pandas' in sys.modules)") == "False"


def test_a_worker_imports_what_it_runs_with() -> None:
    """Every round of a comparison starts some."""
    idle = ["harness.cuda.building", "harness.cuda.nvrtc", "unittest", "asyncio", "psutil", "pandas"]
    assert run_python(f"import sys, harness.worker; print([name for name in {idle} if name in sys.modules])") == "[]"


def test_listing_imports_no_framework_and_no_plugin() -> None:
    code = (
        "import sys; from harness.registry import load; registry = load();"
        "print(len(registry.declarations) > 20,"
        " [name for name in sys.modules if name.startswith('harness.implementations.') or name in ('torch', 'pandas')])"
    )
    assert run_python(code) == "True []"


def test_the_supervisor_never_unpickles() -> None:
    for path in (ROOT / "harness").rglob("*.py"):
        roots = {name.partition(".")[0] for name in imported(path, at_once=False)}
        assert not roots & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "multiprocessing"}


def test_no_module_outgrows_itself() -> None:
    for path in (*ROOT.glob("harness/**/*.py"), *ROOT.glob("reports/*.py"), *ROOT.glob("cases/*.py")):
        assert len(path.read_text().splitlines()) <= 380, f"{path.name} asks to be two things"
